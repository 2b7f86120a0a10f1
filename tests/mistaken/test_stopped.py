"""Kind 9: nothing is lost: by a stop, by whoever reads what is printed, by advice; what is not needed stops nothing."""

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from mistaken.small import begin, folders_of, one_line, run_files, set_options, steps_of, tiny, train

import grokkit as gk
from grokkit.cli import main
from grokkit.evaluation import Evaluator
from grokkit.training import Trainer

ROOT = Path(__file__).resolve().parents[2]
CELL = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--seeds", "42"]


class Killed(BaseException):
    """As a process that is killed: nobody catches it."""


def evaluation(monkeypatch, at: int, do) -> None:
    """Does something in the evaluation number `at` (0: before training)."""
    calls, measured = [], Evaluator.__call__

    def call(self, stack):
        calls.append(None)
        return do(self, stack, measured) if len(calls) - 1 == at else measured(self, stack)

    monkeypatch.setattr(Evaluator, "__call__", call)
    monkeypatch.setattr("grokkit.training.trainer.announce", lambda *given: None)  # it evaluates too, before training


def kill(evaluator, stack, measured):
    raise Killed


def press(evaluator, stack, measured):
    """Ctrl-C, and on with the evaluation."""
    os.kill(os.getpid(), signal.SIGINT)
    return measured(evaluator, stack)


@pytest.mark.parametrize("at, stop", [(1, kill), (2, kill), (1, press)])
def test_a_broken_evaluation_loses_no_step_and_goes_on_to_the_same_end(at, stop, tmp_path, monkeypatch):
    whole = train(tiny(), [1])
    evaluation(monkeypatch, at, stop)
    with pytest.raises((Killed, KeyboardInterrupt)):
        train(tiny(), [1], tmp_path)
    monkeypatch.undo()
    again = Trainer(tiny(), [1], tmp_path, "cpu")
    again.folders.close()
    assert again.step == 2 * at
    pd.testing.assert_frame_equal(train(tiny(), [1], tmp_path), whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_breaks_an_evaluation_off(number, tmp_path, monkeypatch):
    """Whether by an exception or by asking between two batches: it does not come to its end."""
    ended = []

    def stop(evaluator, stack, measured):
        os.kill(os.getpid(), number)
        ended.append(measured(evaluator, stack))
        return ended[-1]

    evaluation(monkeypatch, 1, stop)
    assert main([*CELL, "--out", str(tmp_path), *set_options()]) == 128 + number
    assert not ended
    monkeypatch.undo()
    assert Trainer(tiny(), [42], tmp_path, "cpu").step == 2


def test_a_sweep_stopped_by_ctrl_c_keeps_what_was_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    evaluation(monkeypatch, 1, press)
    with pytest.raises(KeyboardInterrupt):
        gk.sweep.run("smoke", ["tense"], [1], [42], progress=False)
    (folder,) = folders_of(tmp_path, 42)
    assert any("10" in path.name for path in folder.glob("checkpoint-*"))


@pytest.mark.parametrize("kept", [False, True])
def test_a_stop_carries_the_table_so_far(kept, tmp_path):
    stopped = begin(tiny(), [1, 2], tmp_path if kept else None)
    assert sorted(set(stopped.table.seed)) == [1, 2] and set(stopped.table.step) == {0}

    def stop(progress):
        if progress.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:  # progress is told at the last step for certain
        gk.train(tiny(), [3], out=tmp_path if kept else None, progress=stop)
    assert caught.value.table.step.tolist()[:2] == [0, 2]


class Closed(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")

    def fileno(self):
        raise io.UnsupportedOperation("fileno")


def ascii_terminal() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)


@pytest.mark.parametrize("terminal", [Closed, ascii_terminal])
def test_a_training_and_a_record_end_and_are_saved_whoever_reads(terminal, tmp_path, monkeypatch):
    runs, figures = tmp_path / "für-später", tmp_path / "Bilder für später"
    monkeypatch.setenv("GROKKIT_RUNS", str(runs))
    monkeypatch.setenv("GROKKIT_FIGURES", str(figures))
    there = terminal()
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, there)
    main(CELL)
    main(["record", "--preset", "smoke"])
    monkeypatch.undo()
    (folder,) = run_files(runs)
    assert pd.read_csv(folder / "metrics.csv").step.tolist() == [0, 10, 20]
    assert {path.name for path in (figures / "smoke").iterdir()} >= {"results.csv", "provenance.json"}
    assert terminal is Closed or b"smoke" in there.buffer.getvalue()


@pytest.mark.parametrize("terminal", [Closed, ascii_terminal])
def test_progress_that_nobody_reads_ends_no_training(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal())
    table = gk.train(tiny(), [1], progress=True)
    monkeypatch.undo()
    assert table.step.tolist() == [0, 2, 4]


# -- more steps, other steps, advice --------------------------------------------------------------------------


def test_a_constant_rate_goes_on_with_more_steps_and_asked_for_fewer_loses_none(tmp_path):
    short = tiny(schedule="constant", horizon=4)
    longer = short.replace(steps=8, horizon=8)
    train(short, [1], tmp_path)
    seen = steps_of(longer, [1], tmp_path)
    assert seen[0] == 5 and seen[-1] == 8
    pd.testing.assert_frame_equal(train(longer, [1], tmp_path), train(longer, [1]))
    before = sorted(tmp_path.rglob("checkpoint-*"))
    try:
        train(short, [1], tmp_path)
    except gk.GrokkitError as error:
        one_line(error)
    assert sorted(tmp_path.rglob("checkpoint-*")) == before
    assert train(longer, [1], tmp_path).step.tolist() == [0, 2, 4, 6, 8]


def test_a_falling_rate_says_why_more_steps_are_another_experiment(tmp_path):
    train(tiny(), [1], tmp_path)
    with pytest.raises(gk.GrokkitError, match="rate|schedule|horizon") as caught:
        train(tiny(steps=30, horizon=40), [1], tmp_path)
    assert re.search("another (folder|place)|out|GROKKIT_RUNS", one_line(caught.value))


def test_no_text_of_the_kit_advises_to_remove_a_folder_of_runs():
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted((ROOT / "grokkit").rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"[Rr]emove (the|its) folder|remove one of the folders|train again, or remove", line)
    ]
    assert not found


# -- what is not needed ---------------------------------------------------------------------------------------


@pytest.mark.long  # it starts three processes that import torch
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


@pytest.mark.parametrize("there_is_one", [True, False])
def test_a_home_that_cannot_be_read_and_none_end_no_training(there_is_one, monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    if there_is_one:
        monkeypatch.setenv("XDG_CACHE_HOME", "/" + "x" * 300)  # the system refuses to look there
    else:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", nowhere)
    assert train(tiny(), [1], minutes=0).step.tolist() == [0]


def test_a_damaged_file_in_the_cache_is_said(monkeypatch, tmp_path):
    (tmp_path / "grokkit").mkdir()
    (tmp_path / "grokkit/tense.gen").write_text("half of a line")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.warns(UserWarning, match="tense.gen"):
        assert train(tiny(), [1], minutes=0).step.tolist() == [0]
