"""Verdicts by step: the band against simulation, the published runs against themselves, planted wrong curves."""

import math

import derive_curves
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from shared import shared_path

from grokkit.errors import GrokkitError
from grokkit.presets import PAPER_SEEDS
from grokkit.report import openings
from grokkit.report.openings import half_width, verdict_by_step
from grokkit.report.published import published_curves
from grokkit.report.verdict import COLUMNS, NOT_COMPARABLE, OUTSIDE, PASS, verdict

KEYS = ["task", "depth", "seed", "step"]


def on_the_mean(task="question", depth=6, seeds=(42,), until=15_000) -> pd.DataFrame:
    """A results table at paper scale whose runs lie on the published mean at each step."""
    rows = published_curves().query("task == @task and depth == @depth and step <= @until")
    wide = rows.pivot(index="step", columns="metric", values="mean").reset_index()
    parts = [wide.assign(task=task, depth=depth, seed=seed) for seed in seeds]
    table = pd.concat(parts, ignore_index=True).assign(preset="as-run", data_source="generated", status="ok")
    return table.reindex(columns=[*table, "weight_norm", "attention_sparsity", "train_loss"], fill_value=1.0)


def released_table(task: str, depth: int, until: int) -> pd.DataFrame:
    """The plotted published runs as if this kit had trained them."""
    rows = derive_curves.released(shared_path("reference/published/accuracy.csv").parent)
    rows = rows[(rows.task == task) & (rows.depth == depth) & (rows.step <= until) & rows.seed.isin(PAPER_SEEDS)]
    wide = rows.pivot(index=KEYS, columns="metric", values="value").reset_index()
    return wide.assign(preset="as-run", data_source="official", status="ok")


def line(table: pd.DataFrame, figure: str = "fig2") -> pd.Series:
    """The row of the verdict about the whole curve."""
    rows = verdict(table, figure)
    rows = rows[rows.quantity.str.contains("inside the published band")]
    assert len(rows) == 1
    return rows.iloc[0]


def band(**values) -> float:
    row = {"task": "tense", "metric": "t_score", "n": 1, "published": 0.5, "published_sd": 0.1, "published_n": 10}
    return float(half_width(pd.DataFrame([row | values]))[0])


def test_the_band_is_the_prediction_interval_in_closed_form():
    assert band(n=3) == pytest.approx(scipy.stats.t.ppf(0.975, 9) * 0.1 * math.sqrt(1 / 3 + 1 / 10), abs=2e-6)
    drawn = 0.5 * 0.5 * (1 / 10_000 + 1 / 10_000)
    spread = 0.01**2 * (1 + 1 / 20)
    freedom = (spread + drawn) ** 2 / (spread**2 / 19)  # Welch and Satterthwaite
    wide = scipy.stats.t.ppf(0.975, freedom) * math.sqrt(spread + drawn)
    found = band(task="question", metric="gen_accuracy", published_sd=0.01, published_n=20)
    assert found == pytest.approx(wide, abs=2e-6)
    one = band(task="question", metric="val_accuracy", published=1.0, published_sd=0.0, published_n=20)
    assert one == pytest.approx(1 / 399, abs=2e-6)  # no spread: one sentence of ours
    assert band(task="tense", metric="gen_accuracy", published=0.0, published_sd=0.0) == pytest.approx(1e-4, abs=2e-6)


@pytest.mark.parametrize("sd,metric", [(0.2, "gen_accuracy"), (0.01, "val_accuracy"), (0.1, "t_score")])
@pytest.mark.parametrize("n", [1, 3])
def test_a_true_reproduction_lies_inside_95_times_of_100(sd, metric, n):
    """Runs from one distribution, measured on two test sets of questions; the published ones share theirs."""
    rng, mean, times, inside = np.random.default_rng(3), 0.7, 4_000, 0
    ours, theirs = openings.SENTENCES.get(("question", metric), (math.inf, math.inf))

    def measured(runs: int, sentences: float) -> np.ndarray:
        values = rng.normal(mean, sd, (times, runs))  # the luck of a set is the same for all runs
        return values + rng.normal(0, math.sqrt(mean * (1 - mean) / sentences), (times, 1))

    their, our = measured(20, theirs), measured(n, ours).mean(axis=1)
    frame = pd.DataFrame({"published": their.mean(axis=1), "published_sd": their.std(axis=1, ddof=1)})
    width = half_width(frame.assign(task="question", metric=metric, n=n, published_n=20))
    inside = (np.abs(our - frame.published) <= width).mean()
    assert inside == pytest.approx(0.95, abs=0.011)  # 4,000 draws: standard error .0034


def test_k_of_true_reproductions_is_what_is_expected():
    """k by simulation, with steps of a run that go together: its mean is .95 m, its spread that of whole runs."""
    rng, steps, runs = np.random.default_rng(5), 20, 400
    values = rng.normal(0, 1, (runs, 11, 1)) * 0.8 + rng.normal(0, 0.6, (runs, 11, steps))
    mean, sd = values[:, :10].mean(axis=1), values[:, :10].std(axis=1, ddof=1)
    frame = pd.DataFrame({"published": 0.0, "published_sd": sd.ravel(), "published_n": 10, "n": 1})
    width = half_width(frame.assign(task="tense", metric="t_score")).reshape(runs, steps)
    k = (np.abs(values[:, 10] - mean) <= width).sum(axis=1)
    assert k.mean() == pytest.approx(0.95 * steps, abs=0.45)
    assert np.quantile(k, 0.05) < scipy.stats.binom.ppf(0.05, steps, 0.95)  # so a binomial would be too strict


def test_the_tables_of_the_package_are_those_of_the_raw_curves():
    rows = derive_curves.released(shared_path("reference/published/accuracy.csv").parent)
    early = openings.read("leave_out").query("until <= 30_000")
    for made, stored in (
        (derive_curves.curves(rows), openings.read("curves")),
        (derive_curves.leave_out(rows[rows.step <= 30_000]), early),
    ):
        pd.testing.assert_frame_equal(*(t.reset_index(drop=True) for t in (made, stored)), rtol=1e-5, check_dtype=False)


@pytest.mark.parametrize("task,depth,metrics", [("question", 6, 4), ("tense", 4, 4), ("tense", 2, 2)])
def test_one_published_run_judged_by_all_others_by_hand(task, depth, metrics):
    """The stored counts for single runs, counted again run by run with scipy's t."""
    rows = derive_curves.released(shared_path("reference/published/accuracy.csv").parent)
    rows = rows[(rows.task == task) & (rows.depth == depth) & (rows.step <= 15_000)]
    counts = []
    for seed in PAPER_SEEDS:
        k = 0
        for (metric, _), cell in rows.groupby(["metric", "step"]):
            others = cell[cell.seed != seed].value
            sets = openings.SENTENCES.get((task, metric), (math.inf, math.inf))
            p, n = others.mean(), len(others)
            variance = others.var() * (1 + 1 / n) + max(0.0, p * (1 - p)) * sum(1 / size for size in sets)
            more = variance / (others.var() * (1 + 1 / n)) if variance else 1
            width = max(scipy.stats.t.ppf(0.975, (n - 1) * more**2) * math.sqrt(variance), 1 / min(sets)) + 1e-6
            k += abs(cell[cell.seed == seed].value.item() - p) <= width
        counts.append(k)
    stored = openings.read("leave_out").query("task == @task and depth == @depth and until == 15000 and n == 1")
    assert stored.m.item() == 5 * metrics
    assert stored.expected.item() == pytest.approx(np.mean(counts), abs=1e-4) and stored.least.item() == min(counts)
    assert 0.9 <= np.mean(counts) / (5 * metrics) <= 0.99


def test_runs_on_the_published_mean_pass_and_shifted_ones_do_not():
    table = on_the_mean(seeds=(42, 52))
    row = line(table)
    assert (row.verdict, row.yours, row.n) == (PASS, "20/20", 2) and "up to step 15,000" in row.quantity
    assert line(table, "fig3b").verdict == line(table, "fig4").verdict == PASS
    assert list(verdict(table, "fig2").columns) == COLUMNS
    wrong = line(table.assign(val_accuracy=0.9, t_score=table.t_score + 0.5))
    assert wrong.verdict == OUTSIDE and wrong.yours == "10/20"
    assert "t_score at 3,000, 6,000, 9,000, 12,000, 15,000" in wrong.note
    values = verdict_by_step(table.assign(val_accuracy=0.9))
    assert values[~values.inside].metric.tolist() == ["val_accuracy"] * 5
    assert (values.n == 2).all() and (values.low < values.published).all()
    assert values[values.metric != "t_score"][["low", "high"]].stack().between(0, 1).all()


@pytest.mark.parametrize("task,depth", [("question", 6), ("tense", 4)])
def test_published_runs_pass_and_at_double_speed_they_do_not(task, depth):
    runs = released_table(task, depth, 30_000)
    assert line(runs[runs.step <= 15_000]).verdict == line(runs).verdict == PASS
    fast = runs[runs.step % 6_000 == 0].assign(step=lambda rows: rows.step // 2)
    assert line(fast).verdict == OUTSIDE
    alone = pd.concat([openings.cells(run, "fig2") for _, run in fast.groupby("seed")])
    assert len(alone) == 10 and (alone.k < alone.least).sum() >= 9  # one question run passes


def test_a_run_that_ended_before_the_others_is_left_out_and_named():
    table = on_the_mean(seeds=(42, 52, 62))
    table = table[(table.seed != 52) | (table.step <= 9_000)]
    row = line(table)
    assert "up to step 15,000" in row.quantity and (row.yours, row.n) == ("20/20", 2)
    assert row.note == "question, 6 layers, seed 52 ended at step 9,000, not 15,000: left out"
    assert verdict_by_step(table).n.tolist() == [2] * 20
    with pytest.raises(GrokkitError, match="no common end .seed 42 at step 15,000, seed 52 at step 9,000."):
        verdict(table[table.seed != 62], "fig2")


def test_what_cannot_be_judged():
    table = on_the_mean()
    hole = line(table.assign(t_score=table.t_score.where(table.step != 6_000)))
    assert hole.verdict == NOT_COMPARABLE and "19 of 20 published values" in hole.note
    for other in (table.assign(preset="laptop"), table.assign(preset="as-run~1a2b3c"), table.assign(depth=8)):
        assert not verdict(other, "fig2").quantity.str.contains("inside the published band").any()
    dyck = on_the_mean("dyck", 6, until=20_000)
    assert line(dyck).yours == "5/5"  # t_score was published at 10,000 and 50,000
    assert not verdict(dyck.assign(preset="as-written"), "fig2").quantity.str.contains("inside the").any()
    failed = on_the_mean(seeds=(42, 52))
    failed.loc[(failed.seed == 52) & (failed.step == 15_000), "status"] = "failed"
    assert line(failed).n == 1
