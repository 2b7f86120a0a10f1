"""Verdicts: published numbers against themselves, meaningful tolerances, small presets, expectations."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from shared import shared_path
from synthetic import table

from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.report import outcomes
from grokkit.report.claims import Quantity, inverted_u
from grokkit.report.published import LAST_STEP, PAPER_SCALE, published
from grokkit.report.verdict import COLUMNS, NOT_COMPARABLE, OUTSIDE, PASS, expected, judge, verdict, write_expected
from grokkit.storage.files import figures_root, write_text

SEEDS = tuple(range(42, 142, 10))
NAMES = ("fig2", "fig3", "fig4", "fig5")


def paper_like(**options):
    """A table at paper scale in which everything is as the paper claims."""
    every = {"end": 300_000, "every": 15_000, "preset": "as-run", "seeds": SEEDS}
    return table(tasks=("question", "tense"), depths=(2, 4, 6, 10), ends={6: 0.4, 10: 0.3}, **(every | options))


def row(rows: pd.DataFrame, words: str) -> pd.Series:
    found = rows[rows.quantity.str.contains(words, regex=False)]
    assert len(found) == 1, (words, found.quantity.tolist())
    return found.iloc[0]


# -- the published numbers ---------------------------------------------------------------------------------


def published_table() -> pd.DataFrame:
    """The authors' raw curves as a results table of the plotted seeds."""
    accuracy = pd.read_csv(shared_path("reference/published/accuracy.csv")).dropna()
    trees = pd.read_csv(shared_path("reference/published/trees.csv"))
    both = accuracy.merge(trees, how="left", on=["task", "depth", "seed", "step"])
    both = both[both.step <= both.task.map(LAST_STEP)].assign(preset="as-run", data_source="official", status="ok")
    return both.assign(weight_norm=1.0, attention_sparsity=-1.0, train_loss=1.0)


def one_by_one(function, cell: pd.DataFrame) -> pd.DataFrame:
    """Each run at its own end: two of the published runs of Dyck were logged up to 390,000, the others to 400,000."""
    return pd.concat([function(run) for _, run in cell.groupby("seed")])


def test_published_numbers_are_those_of_the_curves():
    """Every single figure in published.csv, computed again from the raw curves, to the digits given."""
    both = published_table()
    trees = pd.read_csv(shared_path("reference/published/trees.csv"))
    for entry in published().itertuples():
        if entry.figure == "table1" or entry.quantity == "right_branching":
            continue
        seeds = 20 if entry.quantity.endswith("_20_seeds") else 10
        source = trees if entry.quantity in ("t_score", "t_parseval") else both
        cell = source[(source.task == entry.task) & (source.depth == entry.depth)]
        cell = cell if seeds == 20 else cell[cell.seed.isin(SEEDS)]
        quantity = entry.quantity.removesuffix("_20_seeds")
        if quantity == "t_score_gen_spearman":
            ends = both[(both.task == entry.task) & (both.depth == entry.depth) & (both.step == 300_000)]
            ends = ends[ends.seed.isin(SEEDS)]
            assert scipy.stats.spearmanr(ends.t_score, ends.gen_accuracy)[0] == pytest.approx(entry.value, abs=5e-3)
            continue
        if quantity in cell:
            values = cell[cell.step == entry.step][quantity]
        elif quantity in ("ever_share", "final_share", "share_of_steps"):
            values = one_by_one(outcomes.crossings, cell)[quantity.split("_")[0]].astype(float)
        else:
            values = one_by_one(outcomes.early_stopping, cell)[quantity]
        digits = 1e-4 * max(1, abs(entry.value))
        assert values.mean() == pytest.approx(entry.value, abs=1.1 * digits), entry
        assert len(values) == entry.n
        if not math.isnan(entry.sd):
            assert values.std() == pytest.approx(entry.sd, rel=6e-3, abs=1e-9), entry


def test_published_numbers_agree_with_themselves():
    """The authors' curves as if this kit had measured them: nothing may be OUTSIDE, and the tests of the
    paper's claims come out as they do on its own numbers."""
    both = published_table()
    both = both[both.seed.isin(SEEDS)]
    rows = verdict(both, "fig2")
    assert set(rows.verdict) == {PASS, NOT_COMPARABLE}
    assert row(rows, "question, 6 layers: generalization goes on improving").verdict == PASS
    assert row(rows, "tense, 4 layers: generalization goes on improving").verdict == PASS
    end = rows[rows.quantity.str.startswith("question, 6 layers: generalization at the end")]
    assert end.published.tolist() == [0.9293, 0.8042] and (end.value.round(4) == 0.9293).all()
    rows = verdict(both, "fig4")
    assert row(rows, "question, 6 layers: t_parseval at the end").verdict == PASS
    # matching right-branching, as the paper's own numbers for question do, is neither above nor below it
    assert row(rows, "question, 6 layers: t_parseval is above").verdict == NOT_COMPARABLE
    assert row(rows, "tense, 4 layers: t_parseval is above").verdict == PASS


def test_published_table_is_well_formed():
    rows = published()
    assert rows.quantity.notna().all() and rows.definition.notna().all() and rows.source.notna().all()
    assert not rows.duplicated(["figure", "quantity", "task", "depth", "step"]).any()
    assert PAPER_SCALE == ("as-run", "as-written")


# -- judging -----------------------------------------------------------------------------------------------


def mean(value, n=10, **options):
    return Quantity("q", "question", 6, "", "mean", value, 0.1, n, **({"width": 1.0} | options))


def test_the_tolerance_of_a_mean_is_a_prediction_interval():
    tolerance, word, _ = judge(mean(0.9), 0.93, 0.1, 10)
    assert tolerance == pytest.approx(scipy.stats.t.ppf(0.975, 9) * 0.1 * math.sqrt(0.2))
    assert word == PASS
    assert judge(mean(0.93 - 1.01 * tolerance), 0.93, 0.1, 10)[1] == OUTSIDE
    assert judge(mean(0.93 + 0.99 * tolerance), 0.93, 0.1, 10)[1] == PASS
    noisier = Quantity("q", "question", 6, "", "mean", 0.93 - 1.01 * tolerance, 99.0, 10, width=1.0)
    assert judge(noisier, 0.93, 0.1, 10)[1] == OUTSIDE  # one's own spread buys nothing
    assert judge(mean(0.9, n=3), 0.93, 0.1, 10)[0] > tolerance


@pytest.mark.parametrize(
    "mine,reference,words",
    [
        (mean(0.5), (0.55, 0.6, 10), "accepts too much"),
        (mean(0.5, width=math.nan), (0.2, 0.6, 10), "accepts too much"),  # without bounds: zero would pass
        (mean(0.0), (0.93, 0.1, 10), OUTSIDE),
        (mean(0.9996, resolution=5e-4), (1.0, 0.0, 10), PASS),  # identical reference runs leave the resolution
        (mean(0.999, resolution=5e-4), (1.0, 0.0, 10), OUTSIDE),
        (mean(0.9), (0.9, math.nan, 10), "no spread"),
        (mean(0.9), (0.9, 0.1, 2), "no spread"),
        (mean(0.9), (math.nan, 0.1, 10), "no reference number"),
        (mean(math.nan), (0.9, 0.1, 10), NOT_COMPARABLE),
    ],
)
def test_means_against_references(mine, reference, words):
    tolerance, word, why = judge(mine, *reference)
    assert (word in (PASS, OUTSIDE)) is (words in (PASS, OUTSIDE)) and words in f"{word}: {why}"
    assert mine.resolution == 0 or tolerance == mine.resolution


@pytest.mark.parametrize("n", [1, 3, 10])
def test_shares_are_judged_by_fishers_test(n):
    words = []
    for k in range(n + 1):
        share = Quantity("ever_share", "question", 6, "", "share", k / n, n=n, width=1.0)
        words.append(judge(share, 1.0, math.nan, 10)[1])
        p = scipy.stats.fisher_exact([[k, n - k], [10, 0]]).pvalue
        assert words[-1] == (NOT_COMPARABLE if n == 1 else PASS if p >= 0.05 else OUTSIDE)
    assert words[-1] == PASS or n == 1


def runs_at(*means, n=10, noise=0.1, rng):
    """Last values of n runs at 2, 4, 6 ... layers."""
    parts = [pd.DataFrame({"depth": 2 * i + 2, "last": m + noise * rng.normal(size=n)}) for i, m in enumerate(means)]
    return pd.concat(parts)


@pytest.mark.parametrize(
    "means,options,evidence",
    [
        ((0.2, 0.8, 0.9, 0.3), {}, "supported"),
        ((0.2, 0.5, 0.6, 0.95), {}, "contradicted"),
        ((0.95, 0.5, 0.6, 0.2), {}, "contradicted"),
        ((0.2, 0.8, 0.8, 0.8), {}, "undecided"),
        ((0.2, 0.9, 0.3), {"n": 3}, "undecided"),  # p cannot be below .1
        ((0.5, 0.5, 0.5), {"noise": 0.0}, "undecided"),
    ],
)
def test_inverted_u(means, options, evidence):
    assert inverted_u(runs_at(*means, **options, rng=np.random.default_rng(0)), "question").evidence == evidence


def test_inverted_u_is_rarely_found_where_there_is_none():
    rng = np.random.default_rng(7)
    assert "at least 3 depths" in inverted_u(runs_at(0.2, 0.9, rng=rng), "q").note
    claims = [inverted_u(runs_at(0, 0, 0, 0, n=6, noise=1.0, rng=rng), "q") for _ in range(100)]
    # 5 % of 100 at most; 11 has probability below 1 % even if it were exactly 5 %
    assert sum(claim.evidence == "supported" for claim in claims) <= 11


# -- whole tables ------------------------------------------------------------------------------------------


def test_claims_at_paper_scale():
    t = paper_like()
    assert row(verdict(t, "fig3a"), "tense: inverted U").verdict == PASS
    assert row(verdict(t, "fig3b"), "tense: t_score is highest").verdict == PASS
    rows = verdict(t, "fig5")
    assert row(rows, "tense, 4 layers: training loss is flat").verdict == PASS
    assert row(rows, "tense: training loss of the worst depth").verdict == NOT_COMPARABLE
    upside = t.assign(gen_accuracy=1 - t.gen_accuracy)
    assert row(verdict(upside, "fig2"), "tense, 4 layers: generalization goes on improving").verdict == OUTSIDE
    rows = verdict(t, "fig3")
    assert set(rows.figure) == {"fig3a", "fig3b"} and len(rows) == sum(len(verdict(t, f)) for f in ("fig3a", "fig3b"))


@pytest.mark.parametrize("name", NAMES)
def test_small_presets_are_never_compared_with_the_paper(name):
    rows = verdict(table(every=500), name)
    assert list(rows.columns) == COLUMNS and len(rows)
    assert set(rows.verdict) == {NOT_COMPARABLE}
    assert rows.note.str.contains("smaller experiment").all()
    assert not rows.quantity.str.contains("20 published seeds").any()


def test_other_reasons_not_to_compare():
    short = paper_like(end=150_000)
    rows = verdict(short, "fig2")
    assert set(rows.verdict) == {NOT_COMPARABLE} and rows.note.str.contains("150,000").all()
    dyck = table(tasks=("dyck",), end=400_000, every=20_000, preset="as-written")
    assert verdict(dyck, "fig2").note.str.contains("distance").all()
    few = row(verdict(paper_like(seeds=(42, 52)), "fig3a"), "tense: inverted U")
    assert few.verdict == NOT_COMPARABLE and "too few seeds" in few.note
    one = verdict(paper_like(seeds=(42,)), "fig2")
    assert row(one, "tense, 4 layers: generalization goes on improving").verdict == NOT_COMPARABLE
    assert row(one, "tense, 4 layers: step of early stopping").n == 1


def test_expectations():
    assert expected("laptop").empty
    t = table(seeds=SEEDS, every=500)
    before = verdict(t, "fig2")
    assert set(before.against_expected) == {NOT_COMPARABLE} and before.expected.isna().all()
    path = write_expected("laptop", t)
    assert path == figures_root() / "laptop" / "expected.csv"
    for name in NAMES:
        rows = verdict(t, name)
        assert set(rows.verdict) == {NOT_COMPARABLE}
        assert set(rows.against_expected) <= {PASS, NOT_COMPARABLE}
        assert (rows.against_expected == PASS).any(), name
    rows = verdict(t[t.seed.isin([42, 52, 62])], "fig2")
    assert (rows.against_expected == PASS).all()
    zero = verdict(t.assign(gen_accuracy=0.0), "fig2")  # no tolerance accepts nothing at all
    assert row(zero, "dyck, 4 layers: generalization at the end").against_expected == OUTSIDE
    # a depth that is not the best of the record is there, too
    assert len(expected("laptop").query("figure == 'fig2' and task == 'tense'").depth.unique()) == 5
    only = verdict(t[t.depth == 2], "fig2")
    assert row(only, "tense, 2 layers: generalization at the end").against_expected == PASS
    opening = t[t.step <= 4_000]
    assert PASS in set(verdict(opening, "fig2").against_expected)  # nobody knows where the runs that are expected ended
    write_text(path.with_name("results.csv"), t.to_csv(index=False))
    rows = verdict(opening, "fig2")
    assert set(rows.against_expected) == {NOT_COMPARABLE}
    assert rows.note.str.contains("expectation: the runs end at step 4,000, those expected at 5,000").all()
    assert PASS in set(verdict(t, "fig2").against_expected)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(GrokkitError, match="must have the columns"):
        verdict(t, "fig2")


def test_failed_runs_are_left_out_and_said():
    rows = verdict(paper_like(fail=[("tense", 4, 52)]), "fig2")
    entry = row(rows, "tense, 4 layers: generalization at early stopping (all 20")
    assert entry.n == 9 and "1 failed run left out" in entry.note
    assert "failed" not in row(rows, "question, 6 layers: step of early stopping").note


def test_missing_metrics_raise():
    t = paper_like(every=30_000)
    for bad, name, words in (
        (t.drop(columns="t_parseval"), "fig4", "no column t_parseval"),
        (t, "fig1", "figure = 'fig1': choose one of table1"),
        (t.assign(task="my " + t.task), "fig2", "no run that fig2 needs"),
        ({}, "fig2", "the table is a dict: a table of results has one row"),
    ):
        with pytest.raises(GrokkitError, match=words):
            verdict(bad, name)
    assert verdict(t.assign(t_score=np.nan), "fig3b").quantity.str.contains("weight norm").any()


def test_table1():
    corpora = {name: task.generate(0, {"train": 300, "val": 20, "gen": 20}) for name, task in TASKS.items()}
    rows = verdict(corpora, "table1")
    assert len(rows) == 9 and set(rows.verdict) == {OUTSIDE} and list(rows.columns) == COLUMNS
    assert set(verdict(corpora, "table1", preset="laptop").verdict) == {NOT_COMPARABLE}
    size = row(rows, "question: sentences in train")
    assert (size.value, size.published, size.yours) == (300, 100_000, "300 (generated)")
