"""The loop: alone and in company, interrupted and not."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from trainings import run_steps, smoke, trainer

import grokkit.training.trainer as training
from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.storage import stack_folders
from grokkit.storage.run_folder import RunFolder
from grokkit.storage.table import COLUMNS
from grokkit.training.batches import Batches
from grokkit.training.trainer import train


@pytest.mark.parametrize("task", ["question", "tense", "dyck"])
def test_a_run_does_not_notice_its_company(task):
    """50 steps with dropout, alone and in a stack of three: equal within rounding."""
    config = smoke(task, steps=60, horizon=60)
    alone, stack = run_steps(config, [52], 50), run_steps(config, [42, 52, 62], 50)
    # rounding of float32 sums in another order, amplified by Adam's division: small against steps of 2e-3
    assert (alone.stack.flat[0] - stack.stack.flat[1]).abs().max() < 2e-4
    assert alone.update.loss_sum[0].item() == pytest.approx(stack.update.loss_sum[1].item(), rel=1e-5)
    # what lies between the rows of the table has no part in it
    table, parameters = stack.update.flat, stack.stack.parameter_count()
    assert table.shape[1] > parameters and not table[:, parameters:].any()


def test_batches_depend_on_the_seed_alone_and_are_sorted_by_length():
    corpus = training.load_corpus(smoke())
    batches, other = (Batches(corpus["train"].lines, corpus.vocab, 8, 2, seeds, "cpu") for seeds in ((1, 2), (2,)))
    assert np.array_equal(batches.of_run(2, 17), other.of_run(2, 17))
    for lines in batches.line_indices(3):
        assert (np.diff(batches.lengths[lines]) <= 0).all()


def test_table_has_its_columns_and_a_row_an_evaluation(tmp_path):
    table = train(smoke(), [42, 52], tmp_path / "a", progress=False)
    assert list(table.columns[:13]) == COLUMNS
    assert table.groupby("seed")["step"].agg(list).to_dict() == {42: [0, 10, 20], 52: [0, 10, 20]}
    on_disk = pd.concat([pd.read_csv(tmp_path / f"a/seed-{seed}/metrics.csv") for seed in (42, 52)], ignore_index=True)
    pd.testing.assert_frame_equal(on_disk, table, check_dtype=False)


@pytest.mark.parametrize("stop_at", [7, 10])
def test_stop_and_resume_equals_uninterrupted(tmp_path, monkeypatch, stop_at):
    config = smoke("tense")
    whole = trainer(config, [42, 52], tmp_path / "whole")
    table = whole.run(False, None)

    class Clock:  # the deadline passes after `stop_at` steps
        steps = 0

    first = trainer(config, [42, 52], tmp_path / "cut")
    original = first._train_step

    def counted():
        original()
        Clock.steps += 1

    first._train_step = counted
    monkeypatch.setattr(training.time, "monotonic", lambda: float(Clock.steps))
    part = first.run(False, deadline=float(stop_at))
    assert part["step"].max() <= stop_at < 20
    monkeypatch.undo()
    second = trainer(config, [42, 52], tmp_path / "cut")
    assert second.step == stop_at
    resumed = second.run(False, None)
    assert torch.equal(whole.stack.flat, second.stack.flat)
    pd.testing.assert_frame_equal(table, resumed, check_exact=True, check_dtype=False)
    for name in ("seed-42/metrics.csv", "seed-52/metrics.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_a_device_that_is_not_here_and_another_vocabulary_are_one_line():
    if not torch.cuda.is_available():
        with pytest.raises(GrokkitError, match="not available"):
            train(smoke(), [42], device="cuda")
    with pytest.raises(GrokkitError, match="vocabulary_size"):
        train(smoke(vocabulary_size=5), [42])


def test_official_files_at_hand_give_a_further_column(monkeypatch):
    """Official files are stood in for by generated ones; their ids are checked in test_data_official."""
    config = smoke("tense")
    corpus = training.load_corpus(config)
    tense = TASKS["tense"]
    monkeypatch.setitem(TASKS, "tense", dataclasses.replace(tense, read=lambda: corpus))
    table = train(config, [42], progress=False)
    # the same sentences: the same accuracy under both names
    assert (table["gen_official_accuracy"] == table["gen_accuracy"]).all()


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_lower_precisions_train_to_about_the_same_loss(precision):
    exact, other = run_steps(smoke(), [42, 52], 15), run_steps(smoke(precision=precision), [42, 52], 15)
    assert other.stack.flat.dtype == torch.float32  # master weights and moments stay in float32
    # bf16 has 8 bits of mantissa: half a percent on a mean loss of about 4 after 15 steps
    assert torch.allclose(exact.update.loss_sum, other.update.loss_sum, rtol=5e-3)


def test_too_little_room_is_one_line(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(GrokkitError, match="MB more for checkpoints, 0.0 MB are free"):
        train(smoke(), [42], tmp_path / "full", progress=False)


def test_official_data_can_be_trained_on(monkeypatch):
    """With the files stood in for; Dyck strings beyond max_tokens are left out of them too."""
    config = smoke("dyck", data_source="official", max_tokens=10)
    corpus = TASKS["dyck"].generate(0, {"train": 400, "val": 60, "gen": 60}, max_tokens=24)
    dyck = dataclasses.replace(TASKS["dyck"], read=lambda: corpus)
    monkeypatch.setitem(TASKS, "dyck", dyck)
    t = trainer(config, [42])
    assert t.batches.lengths.max() == 11 and 0 < len(t.batches.lengths) < 400
    assert (t.run(False, None)["data_source"] == "official").all()


class SlowDisk:
    """Time as it would pass if an evaluation took ten seconds and a whole save too."""

    def __init__(self, monkeypatch):
        self.now, self.saves = 0.0, []
        monkeypatch.setattr(stack_folders.time, "monotonic", lambda: self.now)
        save, measure = RunFolder.save, training.Trainer._measure

        def saved(folder, step, *given):
            self.now += 10
            self.saves.append(step)
            save(folder, step, *given)

        def measured(trainer):
            self.now += 10
            return measure(trainer)

        monkeypatch.setattr(RunFolder, "save", saved)
        monkeypatch.setattr(training.Trainer, "_measure", measured)


def test_saving_takes_a_twentieth_of_the_time_at_most(tmp_path, monkeypatch):
    """Where a save is slow, a whole one comes when twenty times its length have passed, half way, whose weights are
    kept for good, and at the end."""
    config = smoke("tense", steps=60, horizon=60, eval_every=2)
    disk = SlowDisk(monkeypatch)
    table = train(config, [42], tmp_path, progress=False)
    assert len(table) == 31
    assert disk.saves == [0, 30, 60]
    assert (tmp_path / "seed-42" / "weights-0000030.safetensors").is_file()
    assert 10 * len(disk.saves[1:-1]) <= 0.05 * disk.now


@pytest.mark.parametrize("kept", [None, 2])
def test_rows_beyond_the_checkpoint_are_measured_again(tmp_path, monkeypatch, kept):
    config = smoke("tense", eval_every=2)
    whole = train(config, [42, 52], tmp_path / "whole", progress=False)
    disk = SlowDisk(monkeypatch)
    cut = trainer(config, [42, 52], tmp_path / "cut", keep=kept)
    cut._evaluate()
    while cut.step < 9:
        cut._train_step()
        if cut._lacking():
            cut._evaluate()
    cut.folders.close()  # killed here
    shown = [pd.read_csv(tmp_path / f"cut/seed-{seed}/metrics.csv").step.max() for seed in (42, 52)]
    assert shown == [8, 8]
    monkeypatch.undo()
    again = trainer(config, [42, 52], tmp_path / "cut")
    assert again.step == (8 if kept is None else 0) and set(disk.saves) == ({0, 2, 4, 6, 8} if kept is None else {0})
    again._train_step(), again._train_step()
    again._save(), again.folders.close()
    table = train(config, [42, 52], tmp_path / "cut", progress=False)
    pd.testing.assert_frame_equal(table, whole, check_exact=True, check_dtype=False)
