"""Kind 9: nothing is lost: checkpoints are kept, no advice costs work, what is not needed stops nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mistaken.small import begin, one_line, steps_of, tiny, train

import grokkit as gk

ROOT = Path(__file__).resolve().parents[2]


def checkpoints(folder) -> list[str]:
    return sorted(path.name for path in Path(folder).rglob("checkpoint-*"))


@pytest.mark.parametrize("keep", [-1, 0, True, False, 1.5, "2", np.nan, -(2**70)])
def test_what_is_no_count_of_checkpoints_is_refused_and_removes_none(keep, tmp_path):
    train(tiny(), [1], tmp_path, keep=None)
    before = checkpoints(tmp_path)
    with pytest.raises(gk.GrokkitError, match="keep"):
        train(tiny(), [1], tmp_path, keep=keep)
    assert checkpoints(tmp_path) == before and before


@pytest.mark.parametrize("keep, left", [(1, 1), (2.0, 2), (np.int64(1), 1), (None, 3)])
def test_so_many_checkpoints_are_kept(keep, left, tmp_path):
    train(tiny(), [1], tmp_path, keep=keep)
    assert len(checkpoints(tmp_path)) == left


def test_a_constant_rate_goes_on_with_more_steps(tmp_path):
    short = tiny(schedule="constant", horizon=4)
    train(short, [1], tmp_path)
    longer = short.replace(steps=8, horizon=8)
    seen = steps_of(longer, [1], tmp_path)
    assert seen[0] == 5 and seen[-1] == 8
    pd.testing.assert_frame_equal(train(longer, [1], tmp_path), train(longer, [1]))


def test_a_constant_rate_asked_for_fewer_steps_loses_none(tmp_path):
    longer = tiny(schedule="constant", steps=8)
    train(longer, [1], tmp_path)
    before = checkpoints(tmp_path)
    try:
        train(longer.replace(steps=4), [1], tmp_path)
    except gk.GrokkitError as error:
        assert "remove" not in one_line(error)
    assert checkpoints(tmp_path) == before
    assert train(longer, [1], tmp_path).step.tolist() == [0, 2, 4, 6, 8]


def test_a_falling_rate_says_why_more_steps_are_another_experiment(tmp_path):
    train(tiny(), [1], tmp_path)
    with pytest.raises(gk.GrokkitError, match="rate|schedule|horizon") as caught:
        train(tiny(steps=30, horizon=40), [1], tmp_path)
    said = one_line(caught.value)
    assert "remove" not in said.lower()
    assert re.search("another (folder|place)|out|GROKKIT_RUNS", said)


def test_another_config_in_a_folder_is_no_reason_to_remove_it(tmp_path):
    train(tiny(), [1], tmp_path)
    with pytest.raises(gk.GrokkitError, match="learning_rate") as caught:
        train(tiny(learning_rate=0.5), [1], tmp_path)
    assert "remove" not in one_line(caught.value).lower()


def test_damaged_checkpoints_are_no_reason_to_remove_the_table(tmp_path):
    begin(tiny(), [1], tmp_path)
    for path in tmp_path.rglob("checkpoint-*"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match="is damaged"), pytest.raises(gk.GrokkitError, match="damaged") as caught:
        train(tiny(), [1], tmp_path)
    assert not re.search("remove (the|its) folder", one_line(caught.value))


def test_no_text_of_the_kit_advises_to_remove_a_folder_of_runs():
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted((ROOT / "grokkit").rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"[Rr]emove (the|its) folder|remove one of the folders|train again, or remove", line)
    ]
    assert not found


def test_a_script_without_a_main_guard_is_told_so(tmp_path):
    """Its workers would run the script again; memory has nothing to do with it."""
    script = tmp_path / "script.py"
    script.write_text(
        "import grokkit as gk\ngk.sweep.run('smoke', ['tense'], [1, 2], range(40), workers=2, progress=False)\n"
    )
    environment = os.environ | {"GROKKIT_RUNS": str(tmp_path / "runs"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=100)
    (said,) = [line for line in answer.stderr.splitlines() if line.startswith("grokkit.errors.GrokkitError")]
    assert "__main__" in said
    assert "out of memory" not in answer.stderr


def test_a_home_that_cannot_be_read_ends_no_training(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/" + "x" * 300)  # the system refuses to look there, as it does without rights
    assert train(tiny(), [1], minutes=0).step.tolist() == [0]


def test_no_home_ends_no_training(monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert train(tiny(), [1], minutes=0).step.tolist() == [0]


def test_a_damaged_file_in_the_cache_is_said(monkeypatch, tmp_path):
    (tmp_path / "grokkit").mkdir()
    (tmp_path / "grokkit/tense.gen").write_text("half of a line")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.warns(UserWarning, match="tense.gen"):
        assert train(tiny(), [1], minutes=0).step.tolist() == [0]
