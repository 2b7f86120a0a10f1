"""Openings: a training stops at an evaluation, as if it had ended there, and goes on from it to the bit."""

import os
import re
import signal

import pandas as pd
import pytest
import torch
from trainings import smoke

from grokkit import cli
from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.presets import PRESETS
from grokkit.report.results import missing, results, status
from grokkit.storage import checkpoint
from grokkit.storage.files import cell_folder, run_folder
from grokkit.sweep import collect, plan
from grokkit.training import cost
from grokkit.training.pretrained import load_stack
from grokkit.training.trainer import Trainer, train

CONFIG = smoke("tense")  # evaluated at 10 and 20


def files(out) -> list[bytes]:
    return [(run_folder(out, seed) / "metrics.csv").read_bytes() for seed in (42, 52)]


def tensors(out, step) -> list[torch.Tensor]:
    """All that the next step needs, of both runs, but the seconds."""
    found = [checkpoint.load(checkpoint.path_of(run_folder(out, seed), step))[0] for seed in (42, 52)]
    return [run[name] for run in found for name in sorted(run) if name != "seconds"]


def same(one, other) -> bool:
    return len(one) == len(other) > 4 and all(map(torch.equal, one, other))


def interrupt(progress):
    os.kill(os.getpid(), signal.SIGINT)


def test_an_opening_goes_on_to_what_a_straight_run_gives(tmp_path):
    """Stopped in the middle of it, too; keep: all checkpoints stay."""
    whole = train(CONFIG, [42, 52], tmp_path / "whole", "cpu", False, keep=None)
    opening = train(CONFIG, [42, 52], tmp_path / "cut", "cpu", False, keep=None, until=10)
    pd.testing.assert_frame_equal(opening, whole[whole.step <= 10].reset_index(drop=True), check_exact=True)
    with pytest.raises(KeyboardInterrupt, match="after step 1 of 10, saved"):
        train(CONFIG, [42, 52], tmp_path / "killed", "cpu", interrupt, keep=None, until=10)
    train(CONFIG, [42, 52], tmp_path / "killed", "cpu", False, keep=None, until=10)
    assert files(tmp_path / "killed") == files(tmp_path / "cut")
    assert same(tensors(tmp_path / "killed", 10), tensors(tmp_path / "cut", 10))
    assert same(tensors(tmp_path / "whole", 10), tensors(tmp_path / "cut", 10))
    pd.testing.assert_frame_equal(
        train(CONFIG, [42, 52], tmp_path / "cut", "cpu", False, keep=None), whole, check_dtype=False, check_exact=True
    )
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    assert same(tensors(tmp_path / "whole", 20), tensors(tmp_path / "cut", 20))


def test_what_has_come_so_far_is_not_trained_again(tmp_path, monkeypatch):
    """Each run up to there only; what is longer stays as it is."""
    train(CONFIG, [42], tmp_path, "cpu", False)
    train(CONFIG, [52], tmp_path, "cpu", False, until=10)
    before = files(tmp_path)
    monkeypatch.setattr(Trainer, "_train_step", None)  # would raise if called
    table = train(CONFIG, [42, 52], tmp_path, "cpu", False, until=10)
    assert table.groupby("seed").step.agg(list).to_dict() == {42: [0, 10], 52: [0, 10]}
    assert files(tmp_path) == before


@pytest.mark.parametrize("until", [9, 21, 0, -10, 10.5, "10", True])
def test_no_step_of_an_evaluation_is_refused_in_one_line(until, tmp_path):
    for door in (
        lambda: train(CONFIG, [42], tmp_path / "a", progress=False, until=until),
        lambda: collect("smoke", "tense", 1, 42, progress=False, until=until),
    ):
        with pytest.raises(GrokkitError, match="tense is evaluated every 10 steps up to 20.* from 10 to 20"):
            door()
    assert not (tmp_path / "a").exists()


def test_between_evaluations_it_is_the_one_before_and_is_said(capsys):
    train(CONFIG, [42], device="cpu", until=15)
    assert "until 15 is step 10 of tense" in capsys.readouterr().out
    with pytest.warns(UserWarning, match="until 19 is step 10 of tense"):
        table = collect("smoke", "tense", 1, 42, progress=False, until=19)
    assert table.step.tolist() == [0, 10]
    assert collect("smoke", "tense", 1, 42, progress=False, until=20).step.tolist() == [0, 10, 20]


def test_tasks_may_be_evaluated_at_other_steps(monkeypatch, capsys):
    """As at paper scale: 15,000 is 10,000 for Dyck."""
    assert [PRESETS["as-run"][task].end(15_000) for task in ("question", "tense", "dyck")] == [15_000, 15_000, 10_000]
    dyck = PRESETS["smoke"]["dyck"].replace(eval_every=4)
    monkeypatch.setitem(PRESETS, "smoke", PRESETS["smoke"] | {"dyck": dyck})
    with pytest.warns(UserWarning, match="until 10 is step 8 of dyck, the"):
        table = collect("smoke", ["dyck", "tense"], 1, 42, until=10)
    assert "until 10 is step 8 of dyck, the" in capsys.readouterr().out
    assert table.groupby("task").step.max().to_dict() == {"dyck": 8, "tense": 10}
    assert plan("smoke", ["dyck", "tense"], 1, 42, until=10) == []
    assert [job.config.task for job in plan("smoke", ["dyck", "tense"], 1, 42, until=12)] == ["dyck"]


def test_openings_are_told_from_finished_and_missing_runs(capsys):
    config = preset("smoke", "tense", 1)
    cell = cell_folder("smoke", "tense", 1)
    train(config, [42], cell, "cpu", False)
    train(config, [52], cell, "cpu", False, until=10)
    (row,) = status("smoke", "tense", 1, [42, 52, 62]).itertuples()
    assert (row.finished, row.running, row.reached, row.missing) == ([42], [52], [10], [62])
    assert cli.main("status --preset smoke --tasks tense --depths 1 --seeds 42,52,62".split()) == 0
    header, line = capsys.readouterr().out.splitlines()[-2:]
    assert header.split()[-4:] == ["finished", "failed", "opening", "missing"]
    assert re.sub(" +", " ", line).endswith(" 42 - 52 to 10 62")
    assert missing("smoke", "tense", 1, [42, 52, 62], until=10) == [("tense", 1, 62)]
    with pytest.warns(UserWarning, match="not at step 20: tense L1 seeds 52 to 10"):
        assert set(results("smoke", "tense", until=20).seed) == {42}
    with pytest.warns(UserWarning, match="not finished: tense L1 seeds 52 to 10"):
        assert set(results("smoke", "tense").seed) == {42}
    both = results("smoke", "tense", until=10)
    assert both.groupby("seed").step.max().to_dict() == {42: 10, 52: 10}
    assert load_stack("smoke", "tense", 1, 52, step=10).runs == 1
    with pytest.raises(GrokkitError, match="no weights of tense with 1 layers, seed 52, at the end"):
        load_stack("smoke", "tense", 1, 52)


def test_a_run_that_failed_on_the_way_has_ended(monkeypatch):
    """A failed run is a result; what fails later is no failure of the opening."""
    cell, config = cell_folder("smoke", "tense", 1), preset("smoke", "tense", 1)
    original = Trainer._train_step

    def step(self):
        original(self)
        if self.step == 13:
            with torch.no_grad():
                self.stack.weights["output.bias"][0].fill_(float("nan"))

    monkeypatch.setattr(Trainer, "_train_step", step)
    with pytest.warns(UserWarning, match="seed 42: its loss"):
        train(config, [42, 52], cell, "cpu", False)
    assert set(results("smoke", "tense", until=20).query("status == 'failed'").seed) == {42}
    assert set(results("smoke", "tense", until=10).status) == {"ok"}


def test_the_cost_is_that_of_the_steps_left(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cost, "_timed", lambda *given: (60.0, 0.0, 10**6))  # of a step, of an evaluation [s]; memory
    cpu, training = torch.device("cpu"), (CONFIG, [42, 52], tmp_path)
    assert cost.cost([training], cpu, until=10).seconds == 2 * 10 * 60
    train(CONFIG, [42], tmp_path, "cpu", False, until=10)
    assert cost.cost([training], cpu, until=10).seconds == 10 * 60
    cost.announce([training], cpu, 1, 10)
    assert "2 runs (1 of them there) up to step 10 on cpu: about 10 min" in capsys.readouterr().out
    assert cost.cost([training], cpu).seconds == (10 + 20) * 60
    assert cost.cost([(CONFIG, [42], tmp_path)], cpu, until=10) is None
    cost.announce([(preset("as-run", "tense", 2), [42], tmp_path / "as-run")], cpu, 1, None)
    assert "about 208 days" in capsys.readouterr().out  # 300,000 steps of a minute
