"""Kind 9: nothing is lost: save first, then measure, then print; no advice that costs work."""

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mistaken.small import begin, folders_of, one_line, run_files, set_options, steps_of, tiny, train

import grokkit as gk
from grokkit.cli import main
from grokkit.evaluation import Evaluator
from grokkit.storage.run_folder import RunFolder
from grokkit.training import Trainer

ROOT = Path(__file__).resolve().parents[2]
CELL = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--seeds", "42"]


def checkpoints(folder) -> list[str]:
    return sorted(path.name for path in Path(folder).rglob("checkpoint-*"))


# -- counts --------------------------------------------------------------------------------------------------


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


# -- save first, then measure --------------------------------------------------------------------------------


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


@pytest.mark.parametrize("at, step", [(1, 2), (2, 4)])
def test_a_kill_in_an_evaluation_loses_no_step(at, step, tmp_path, monkeypatch):
    evaluation(monkeypatch, at, kill)
    with pytest.raises(Killed):
        train(tiny(), [1], tmp_path)
    monkeypatch.undo()
    assert Trainer(tiny(), [1], tmp_path, "cpu").step == step


def test_what_a_kill_in_an_evaluation_left_goes_on_to_the_same_end(tmp_path, monkeypatch):
    whole = train(tiny(), [1])
    evaluation(monkeypatch, 1, kill)
    with pytest.raises(Killed):
        train(tiny(), [1], tmp_path)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(train(tiny(), [1], tmp_path), whole)


def test_a_kill_between_the_saves_of_two_runs_doubles_and_skips_no_row(tmp_path, monkeypatch):
    """After the measuring at step 2, one run has its row on the disk, the other not yet."""
    whole, calls, save = train(tiny(), [1, 2]), [], RunFolder.save

    def save_some(*given):
        calls.append(None)
        if len(calls) == 6:
            raise Killed
        save(*given)

    monkeypatch.setattr(RunFolder, "save", save_some)
    with pytest.raises(Killed):
        train(tiny(), [1, 2], tmp_path)
    monkeypatch.undo()
    assert [pd.read_csv(f / "metrics.csv").step.max() for f in run_files(tmp_path)] == [2, 0]
    pd.testing.assert_frame_equal(train(tiny(), [1, 2], tmp_path), whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_breaks_an_evaluation_off(number, tmp_path, monkeypatch):
    """Whether by an exception or by asking between two batches: it does not come to its end."""
    ended = []

    def stop(evaluator, stack, measured):
        os.kill(os.getpid(), number)
        result = measured(evaluator, stack)
        ended.append(result)
        return result

    evaluation(monkeypatch, 1, stop)
    assert main([*CELL, "--out", str(tmp_path), *set_options()]) == 128 + number
    assert not ended
    monkeypatch.undo()
    assert Trainer(tiny(), [42], tmp_path, "cpu").step == 2


def test_what_a_broken_evaluation_left_goes_on_to_the_same_end(tmp_path, monkeypatch):
    whole = train(tiny(), [1])
    evaluation(monkeypatch, 1, lambda *given: os.kill(os.getpid(), signal.SIGINT) or given[2](*given[:2]))
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), [1], tmp_path)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(train(tiny(), [1], tmp_path), whole)


# -- a stop gives what there is ------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [False, True])
def test_a_stop_carries_the_table(kept, tmp_path):
    stopped = begin(tiny(), [1, 2], tmp_path if kept else None)
    assert sorted(set(stopped.table.seed)) == [1, 2] and set(stopped.table.step) == {0}
    assert {"val_accuracy", "gen_accuracy", "status"} <= set(stopped.table)


def test_a_stop_without_a_folder_says_where_its_table_is():
    assert "table" in str(begin(tiny(), [1]))


def test_a_later_stop_carries_all_rows_so_far():
    def stop(progress):
        if progress.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:  # progress is told at the last step for certain
        gk.train(tiny(), [1], progress=stop)
    assert caught.value.table.step.tolist()[:2] == [0, 2]


# -- printing fails nothing ----------------------------------------------------------------------------------


class Closed(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")

    def fileno(self):
        raise io.UnsupportedOperation("fileno")


def ascii_terminal() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)


@pytest.mark.parametrize("terminal", [Closed, ascii_terminal])
def test_a_training_ends_and_is_saved_whoever_reads(terminal, tmp_path, monkeypatch):
    out = tmp_path / "für-später"
    monkeypatch.setattr(sys, "stdout", terminal())
    main([*CELL, "--out", str(out), *set_options()])
    monkeypatch.undo()
    (folder,) = run_files(out)
    assert pd.read_csv(folder / "metrics.csv").step.tolist() == [0, 2, 4]


@pytest.mark.parametrize("terminal", [Closed, ascii_terminal])
def test_progress_that_nobody_reads_ends_no_training(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal())
    table = gk.train(tiny(), [1], progress=True)
    monkeypatch.undo()
    assert table.step.tolist() == [0, 2, 4]


def test_an_ascii_terminal_is_told_where_the_record_is(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("GROKKIT_FIGURES", str(tmp_path / "für-später"))
    terminal = ascii_terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["record", "--preset", "smoke"]) == 0
    monkeypatch.undo()
    assert b"smoke" in terminal.buffer.getvalue()
    assert (tmp_path / "für-später/smoke/results.csv").exists()


def test_a_record_is_written_whoever_reads(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("GROKKIT_FIGURES", str(tmp_path))
    monkeypatch.setattr(sys, "stdout", Closed())
    main(["record", "--preset", "smoke"])
    monkeypatch.undo()
    assert {path.name for path in (tmp_path / "smoke").iterdir()} >= {"results.csv", "provenance.json"}


# -- training longer -----------------------------------------------------------------------------------------


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


# -- no advice loses work ------------------------------------------------------------------------------------


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


# -- what is not needed stops nothing ------------------------------------------------------------------------


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


def test_a_sweep_stopped_by_ctrl_c_keeps_what_was_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    evaluation(monkeypatch, 1, lambda *given: os.kill(os.getpid(), signal.SIGINT) or given[2](*given[:2]))
    with pytest.raises(KeyboardInterrupt):
        gk.sweep.run("smoke", ["tense"], [1], [42], progress=False)
    (folder,) = folders_of(tmp_path, 42)
    assert any("10" in name for name in checkpoints(folder))
