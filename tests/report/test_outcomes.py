"""Outcomes of runs: made-up runs with a known answer, the published curves, and the notebooks that show them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from shared import shared_path
from synthetic import run, table

from grokkit.errors import GrokkitError
from grokkit.report import outcomes

PLOTTED = list(range(42, 142, 10))
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def _one(values, val=None, every=10):
    step = np.arange(len(values)) * every
    return pd.DataFrame({
        "preset": "laptop", "data_source": "generated", "task": "tense", "depth": 4, "seed": 42, "step": step,
        "train_loss": 1.0, "gen_accuracy": values, "val_accuracy": 1.0 if val is None else val,
        "status": "ok",
    })  # fmt: skip


def test_crossings_tell_ever_from_final():
    cell = outcomes.crossings(_one([0.9, 0.1, 0.8, 0.9, 0.3])).iloc[0]
    assert (cell.ever, cell.final, cell.share, cell.first_step) == (True, False, 0.5, 20)
    assert (cell.highest, cell["last"]) == (0.9, 0.3)
    never = outcomes.crossings(_one([0.9, 0.1, 0.2])).iloc[0]  # step 0 is before training
    assert not never.ever and np.isnan(never.first_step)


def test_early_stopping_takes_the_first_maximum():
    stop = outcomes.early_stopping(_one([0, 0.1, 0.2, 0.7, 0.6], [0, 0.99, 1, 1, 0.5])).iloc[0]
    assert (stop.stop_step, stop.gen_at_stop) == (20, 0.2)
    assert (stop.saturation_step, stop.val_at_saturation, stop.gen_at_saturation) == (10, 0.99, 0.1)
    assert (stop.end_step, stop.gain) == (40, pytest.approx(0.4))


def test_loss_saturation():
    rows = _one([0] * 9).assign(train_loss=[np.nan, 9, 3, 1.06, 1.05, 1.02, 1, 1, 1])
    out = outcomes.loss_saturation(rows).iloc[0]
    assert (out.loss, out.step) == (1.0, 40)


def test_milestones_and_which_comes_first():
    rows = _one([0, 0.1, 0.7, 0.9, 0.5], [0, 0.5, 0.99, 1, 1]).assign(train_loss=[np.nan, 3, 1.04, 1, 1])
    found = outcomes.milestones(rows).iloc[0]
    assert (found.loss_flat, found.val_99, found.gen_80, found["first"]) == (20, 20, 30, "several")
    never = outcomes.milestones(rows.assign(gen_accuracy=0.1, val_accuracy=0.5)).iloc[0]
    assert never["first"] == "loss_flat" and np.isnan(never.gen_80)


def test_seed_means_take_the_trainings_of_a_seed_together():
    first, second = (
        pd.concat([_one([0, one]), _one([0, other]).assign(seed=52)]) for one, other in ((0.2, 1), (0.4, 0))
    )
    assert outcomes.seed_means(first).gen_accuracy.tolist() == [0.2, 1]
    assert outcomes.seed_means(first, second).gen_accuracy.tolist() == pytest.approx([0.3, 0.5])
    assert outcomes.seed_means(first, second[second.seed == 42]).gen_accuracy.tolist() == pytest.approx([0.3, 1])


def test_failed_runs_are_left_out_and_named():
    t = table(tasks=("tense",), depths=(2, 4), fail=[("tense", 4, 52)])
    assert outcomes.failed_runs(t).to_dict("records") == [{"task": "tense", "depth": 4, "seed": 52, "step": 2500}]
    broken = outcomes.failed_runs(t.assign(failed_at=np.where(t.status == "failed", 2311.0, np.nan)))
    assert broken.step.tolist() == [2311]
    assert len(outcomes.crossings(t)) == 5


def test_missing_metrics_raise():
    t = table(tasks=("tense",), depths=(4,)).drop(columns="gen_accuracy")
    for function in (outcomes.crossings, outcomes.early_stopping):
        with pytest.raises(GrokkitError, match="no column gen_accuracy"):
            function(t)


def two_ends():
    """Tasks that end at different steps, one of them in a failed run."""
    parts = [run("question", 1, seed, end=3000) for seed in (42, 52)]
    parts += [run("tense", 2, seed, end=end) for seed, end in ((42, 5000), (52, 5000), (62, 6000))]
    t = pd.concat(parts, ignore_index=True)
    return t.assign(status=np.where((t.seed == 62) & (t.step == 6000), "failed", "ok"))


def test_the_end_is_one_step_of_each_cell():
    ends = outcomes.at_end(two_ends().sample(frac=1, random_state=0))
    assert list(zip(ends.task, ends.seed, ends.step)) == [
        ("question", 42, 3000), ("question", 52, 3000), ("tense", 42, 5000), ("tense", 52, 5000)
    ]  # fmt: skip


def test_depth_choice():
    t = table(tasks=("question",))
    assert outcomes.choose_depths(t, "question") == outcomes.Depths(1, 4, 6)
    reaching = pd.concat([t, run("question", 5, 72, gen_end=0.99)])  # one seed at 5 layers reaches 80 %
    assert outcomes.choose_depths(reaching, "question").deep == 5
    only = outcomes.choose_depths(t[t.depth == 4], "question")
    assert only.roles() == {4: "best"}
    assert outcomes.choose_depths(t, "question").roles() == {1: "smallest", 4: "best", 6: "deep"}


def test_branching_baselines_and_where_they_come_from():
    t = table(tasks=("question",), depths=(4,))
    assert outcomes.parseval_baselines(t, "question") == ({"right": 0.66277}, "of the published sample")
    measured = t.assign(t_parseval_right=0.61, t_parseval_balanced=0.5)
    assert outcomes.parseval_baselines(measured, "question")[0] == {"right": 0.61, "balanced": 0.5}
    with pytest.raises(GrokkitError, match="several"):
        outcomes.parseval_baselines(t.assign(t_parseval_right=t.seed / 100), "question")


def _published(task, steps=300_000):
    curves = pd.read_csv(shared_path("reference/published/accuracy.csv")).dropna()
    return curves[(curves.task == task) & (curves.step <= steps)].assign(status="ok")


@pytest.mark.parametrize(
    "task,ever,final,stop,oscillation", [("question", 20, 13, 0.073, 0.193), ("tense", 19, 15, 0.547, 0.112)]
)
def test_outcomes_of_the_published_curves(task, ever, final, stop, oscillation):
    """The figures that were found by reading the curves, to the digits given there."""
    curves = _published(task)
    runs = outcomes.crossings(curves)
    assert (runs.ever.sum(), runs.final.sum()) == (ever, final)
    assert (runs.highest - runs["last"]).mean() == pytest.approx(oscillation, abs=5e-4)
    plotted = outcomes.early_stopping(curves[curves.seed.isin(PLOTTED)])
    assert plotted.gen_at_stop.mean() == pytest.approx(stop, abs=5e-4)
