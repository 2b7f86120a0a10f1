"""Kind 9: nothing is lost by a stop: what is saved comes before measuring, and printing fails nothing."""

import io
import os
import signal
import sys

import pandas as pd
import pytest
from mistaken.small import (
    begin,
    folders_of,
    run_files,
    set_options,
    tiny,
    train,
)

import grokkit as gk
from grokkit.cli import main
from grokkit.evaluation import Evaluator
from grokkit.storage.run_folder import RunFolder
from grokkit.training import Trainer

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


@pytest.mark.parametrize("at, step", [(1, 2), (2, 4)])
def test_a_kill_in_an_evaluation_loses_no_step(at, step, tmp_path, monkeypatch):
    evaluation(monkeypatch, at, kill)
    with pytest.raises(Killed):
        train(tiny(), [1], tmp_path)
    monkeypatch.undo()
    assert Trainer(tiny(), [1], tmp_path, "cpu").step == step


@pytest.mark.parametrize("stop", [kill, press])
def test_what_a_broken_evaluation_left_goes_on_to_the_same_end(stop, tmp_path, monkeypatch):
    whole = train(tiny(), [1])
    evaluation(monkeypatch, 1, stop)
    with pytest.raises((Killed, KeyboardInterrupt)):
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


def test_a_sweep_stopped_by_ctrl_c_keeps_what_was_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    evaluation(monkeypatch, 1, press)
    with pytest.raises(KeyboardInterrupt):
        gk.sweep.run("smoke", ["tense"], [1], [42], progress=False)
    (folder,) = folders_of(tmp_path, 42)
    assert any("10" in path.name for path in folder.glob("checkpoint-*"))


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
