"""Findings against scipy and by hand; effects that are planted are found, none are found where there are none."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from synthetic import table

import grokkit as gk
from grokkit.errors import GrokkitError
from grokkit.report import findings as of_findings

SEEDS = tuple(range(42, 142, 10))
FIGURES = ("fig2", "fig3a", "fig3b", "fig4", "fig5")


def row(found: pd.DataFrame, *words: str) -> pd.Series:
    rows = found[[all(word in claim for word in words) for claim in found.claim]]
    assert len(rows) == 1, (words, found.claim.tolist())
    return rows.iloc[0]


def runs_with(values, task="question", **columns) -> pd.DataFrame:
    """Runs of two evaluations, val_accuracy 1 in both. values: depth -> gen_accuracy at the end, one a seed."""
    parts = []
    for depth, ends in values.items():
        seeds = np.arange(len(ends))
        for step, gen in ((100, np.full(len(ends), 0.1)), (200, np.asarray(ends, float))):
            rest = {name: np.asarray(given[depth], float) for name, given in columns.items()}
            fixed = {"preset": "laptop", "task": task, "depth": depth, "step": step, "status": "ok", "train_loss": 1.0}
            parts.append(pd.DataFrame({"seed": seeds, "gen_accuracy": gen, "val_accuracy": 1.0, **fixed, **rest}))
    return pd.concat(parts, ignore_index=True)


def drawn(rng, *means, n=6, sd=0.05):
    return {2 * i + 2: np.clip(mean + sd * rng.normal(size=n), 0, 1) for i, mean in enumerate(means)}


# -- against scipy --------------------------------------------------------------------------------------------


def test_depths_are_compared_seed_by_seed_and_corrected():
    values = drawn(np.random.default_rng(0), 0.4, 0.6, 0.55)
    found = gk.findings(runs_with(values), "fig3a")
    alone = {}
    for end in (2, 6):
        one = row(found, "question: 4 layers generalize", f"than {end} layers")
        known = scipy.stats.ttest_ind(values[4], values[end], equal_var=False).confidence_interval(0.95)
        assert (one.low, one.high) == pytest.approx((known.low, known.high))
        assert one.value == pytest.approx(values[4].mean() - values[end].mean())
        test = scipy.stats.permutation_test(
            (values[4], values[end]), lambda x, y: abs(x.mean() - y.mean()), alternative="greater", n_resamples=np.inf
        )
        alone[end] = (test.pvalue, one.p)
    small, large = sorted(alone.values())
    assert small[1] == pytest.approx(2 * small[0]) and large[1] == pytest.approx(max(2 * small[0], large[0]))
    assert row(found, "inverted U").p == pytest.approx(large[0])
    share = row(found, "at some evaluation")
    hits = int((values[4] >= 0.8).sum())
    known = scipy.stats.binomtest(hits, 6).proportion_ci(0.95, "wilson")
    assert (share.value, share.low, share.high) == pytest.approx((hits / 6, known.low, known.high))


def test_a_second_training_is_averaged_within_seeds_first():
    rng = np.random.default_rng(1)
    first, second = drawn(rng, 0.5, 0.6, n=8, sd=0.1), drawn(rng, 0.5, 0.6, n=8, sd=0.1)
    both = gk.findings(runs_with(first), "fig2", again=runs_with(second))
    means = (first[4] + second[4]) / 2 - 0.1
    one = row(both, "early stopping")
    known = scipy.stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (one.value, one.low, one.high) == pytest.approx((means.mean(), known.low, known.high))
    test = scipy.stats.permutation_test((means,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert one.p == pytest.approx(test.pvalue) and one.n == 8 and "two trainings" in one.unit
    # the same training twice is no further evidence
    columns = ["claim", "value", "low", "high", "n", "p", "conclusion"]
    for name in ("fig2", "fig3a", "fig5"):
        once, twice = gk.findings(runs_with(first), name), gk.findings(runs_with(first), name, again=runs_with(first))
        words = once.conclusion.str.replace(r"\d+ of \d+ runs", "runs", regex=True)  # these are counted
        assert words.tolist() == twice.conclusion.str.replace(r"\d+ of \d+ runs", "runs", regex=True).tolist()
        pd.testing.assert_frame_equal(once[columns[:-1]], twice[columns[:-1]])
    # what one training alone has measured is not compared with means over both
    whole = runs_with(first).assign(gen_full_sentence=lambda t: t.gen_accuracy - 0.05)
    assert row(gk.findings(whole, "fig2", again=runs_with(second)), "whole answer").value == pytest.approx(0.05)


# -- whether effects are found ----------------------------------------------------------------------------------

TABLES = 100


def experiments(*means, n=8, rise=0.0, tables=TABLES):
    """Experiments as tasks of one table: three depths, generalization early and at the end, t_score."""
    rng, parts = np.random.default_rng(11), []
    for i in range(tables):
        ends, scores = drawn(rng, *means, n=n), drawn(rng, *means, n=n)
        one = runs_with(ends, f"t{i:03}", t_score=scores)
        early = one.step == 100
        one.loc[early, "gen_accuracy"] = (
            one[~early].gen_accuracy.to_numpy() - rise + 0.05 * rng.normal(size=early.sum())
        )
        parts.append(one)
    return pd.concat(parts, ignore_index=True)


def found_in(frame: pd.DataFrame, words: str) -> np.ndarray:
    rows = frame[frame.claim.str.contains(words, regex=False) & ~frame.claim.str.contains("t000 and")]
    assert len(rows) >= TABLES
    return (~rows.conclusion.str.startswith("undecided")).to_numpy()


def test_where_there_is_nothing_it_is_called_undecided():
    """At 5 %, of 100 tables at most 13 come out by chance: more has a probability below .1 %."""
    nothing = experiments(0.5, 0.5, 0.5)
    rises = found_in(gk.findings(nothing, "fig2"), "early stopping")
    assert 1 <= rises.sum() <= 13  # nor is the test dead: none has one of .6 %
    depths = gk.findings(nothing, "fig3a")
    either = found_in(depths, "generalize better at the end than").reshape(TABLES, 2).any(axis=1)
    assert 1 <= either.sum() <= 13 and found_in(depths, "inverted U").sum() <= 13
    scores = gk.findings(nothing, "fig3b")
    assert 1 <= found_in(scores, "rank correlation").sum() <= 13
    assert found_in(scores, "t_score (how").sum() <= 13


def test_what_is_planted_is_found():
    frame = experiments(0.4, 0.6, 0.4, rise=0.1, tables=30)
    depths, scores = gk.findings(frame, "fig3a"), gk.findings(frame, "fig3b")
    for rows, words in (
        (gk.findings(frame, "fig2"), "early stopping"),
        (depths, "than 2 layers"),
        (depths, "than 6 layers"),
        (depths, "inverted U"),
        (scores, "t_score (how"),
    ):
        there = rows[rows.claim.str.contains(words, regex=False)]
        assert (there.conclusion.str.startswith("holds")).mean() > 0.9, words
    upside = gk.findings(experiments(0.6, 0.4, 0.6, tables=30), "fig3a")
    assert upside[upside.claim.str.contains("inverted U")].conclusion.str.startswith("the opposite holds").mean() > 0.9


# -- rows by hand -----------------------------------------------------------------------------------------------


def test_both_readings_of_early_stopping():
    """val .99 at step 100 and 1 at step 200: the first reading stops at 200, the second at 100."""
    rows = []
    for seed in range(6):
        for step, val, gen in ((100, 0.99, 0.2), (200, 1.0, 0.3), (300, 0.98, 0.5), (400, 1.0, 0.9 - seed / 100)):
            rows.append({"seed": seed, "step": step, "val_accuracy": val, "gen_accuracy": gen})
    frame = pd.DataFrame(rows).assign(preset="laptop", task="mine", depth=4, status="ok", train_loss=1.0)
    frame = frame.assign(gen_full_sentence=0.25, gen_accuracy_rci=0.9, gen_accuracy_rco=0.4)
    found = gk.findings(frame, "fig2")
    assert row(found, "early stopping").value == pytest.approx(0.875 - 0.3)
    assert row(found, "first reaches .99").value == pytest.approx(0.875 - 0.2)
    assert row(found, "share of the evaluations").value == pytest.approx(2 / 3)
    assert row(found, "whole answer").value == pytest.approx(0.875 - 0.25)
    clause = row(found, "an intransitive relative clause", "than with an object")
    assert clause.value == pytest.approx(0.5) and clause.p == pytest.approx(2 / 2**6)
    assert set(found.conclusion.str.split(";").str[0]) == {"holds", "it is lower in 33% of them"}
    missing = gk.findings(frame.assign(val_accuracy=frame.val_accuracy.where(frame.seed > 0, 0.5)), "fig2")
    assert "1 of 6 seeds never reach it" in row(missing, "first reaches .99").conclusion


def test_order_of_loss_validation_and_generalization():
    steps = np.arange(0, 1100, 100)
    rows = []
    for seed, (flat, full, grok) in enumerate([(300, 200, 500)] * 6 + [(200, 300, 500), (200, 300, 2000)]):
        loss = np.where(steps >= flat, 1.0, 2.0)
        rows.append(
            pd.DataFrame({"seed": seed, "step": steps, "train_loss": loss, "val_accuracy": (steps >= full) * 1.0})
        )
        rows[-1]["gen_accuracy"] = np.where(steps >= grok, 0.9, 0.1)
    frame = pd.concat(rows).assign(preset="laptop", task="question", depth=4, status="ok")
    found = gk.findings(frame, "fig5")
    first = row(found, "in most runs validation accuracy")
    assert first.value == 6 / 8 and "6 of 8 runs" in first.conclusion
    assert first.p == pytest.approx(scipy.stats.binomtest(6, 8).pvalue)
    order = row(found, "the paper's order")
    assert order.value == pytest.approx(1 / 7) and order.n == 7 and "1 of 7 runs" in order.conclusion
    wait = row(found, "steps between")
    assert wait.value == pytest.approx((6 * 200 + 300) / 7) and "7 of 8 seeds" in wait.conclusion


def test_a_depth_that_not_every_run_learns_is_left_out_first_then_counted():
    rng = np.random.default_rng(3)
    values, other = drawn(rng, 0.3, 0.8, 0.4, 0.7), drawn(rng, 0.3, 0.8, 0.4)
    frame = pd.concat([runs_with(values, "tense"), runs_with(other)], ignore_index=True)
    three = frame[frame.depth < 8]
    frame.loc[(frame.depth == 8) & (frame.seed == 1), "val_accuracy"] = 0.8
    both = gk.findings(frame, "fig3a", again=three)
    known = gk.findings(three, "fig3a", again=three).set_index("claim")
    counted = both[both.claim.str.contains("; with ")]
    rest = both.drop(counted.index).set_index("claim")
    of_shares = rest.index.str.contains("share of")
    pd.testing.assert_frame_equal(rest[~of_shares], known[~of_shares])  # as if it were not there
    assert rest[of_shares].conclusion.str.contains("8 layers").sum() == 2
    note = "; with 8 layers of tense, where 1 of 6 runs never came to validation .99, trained once"
    assert counted.claim.str.endswith(note).all() and not counted.claim.str.contains("smallest \\(mean").any()
    decline = row(counted, "4 layers generalize", "than 8 layers")
    assert decline.value == pytest.approx(values[4].mean() - values[8].mean())
    assert row(counted, "inverted U").value == pytest.approx(decline.value)
    assert row(counted, "question and tense", "than the largest").value == pytest.approx(
        (decline.value + other[4].mean() - other[6].mean()) / 2
    )
    never = frame.assign(val_accuracy=0.8)  # where fewer than two depths are learned whole, all are taken
    assert not gk.findings(never, "fig3a").claim.str.contains("; with ").any()


def test_some_of_the_rows_are_shown_like_all():
    found = gk.findings(runs_with(drawn(np.random.default_rng(0), 0.4, 0.6)), "fig3a")
    html = found[found.p.notna()]._repr_html_()
    assert html.count("<tr") == 2 and "6\xa0seeds" in html and "claim" in found[:0]._repr_html_()


def test_norms_and_definitions_of_t_score():
    values = {2: [0.1] * 6, 4: [0.9] * 6, 6: [0.2] * 6}
    noise = np.linspace(0, 0.05, 6)
    norm = {depth: 10 / depth + noise * depth for depth in values}
    scores = {2: 0.1 + noise, 4: 0.3 + noise[::-1], 6: 0.2 + noise}
    frame = runs_with(values, weight_norm=norm, t_score=scores, t_score_exact={d: -s for d, s in scores.items()})
    before = frame[frame.step == 100].assign(step=0, weight_norm=lambda t: t.depth * 1.0, train_loss=np.nan)
    found = gk.findings(pd.concat([before, frame]), "fig3b")
    one = row(found, "divided by the layers")
    assert one.value == pytest.approx((norm[2] - norm[4]).mean()) and one.conclusion.startswith("holds")
    assert "before training it is largest at 6 layers" in one.conclusion
    same = row(found, "name the same depth")
    assert same.value == 0 and "differently" in same.conclusion
    assert row(found, "rank correlation").n == 6 and "is highest" in row(found, "how tree-like").claim


def test_trees_of_runs_that_generalize_beside_those_of_the_same_seed():
    f1 = {2: [0.5] * 6, 4: np.linspace(0.7, 0.75, 6)}
    frame = runs_with({2: [0.1] * 6, 4: [0.9] * 6}, "tense", t_parseval=f1)
    frame = frame.assign(t_parseval_right=0.6, t_parseval_random=0.4)
    found = gk.findings(frame, "fig4")
    low, high = row(found, "tense, 2 layers"), row(found, "tense, 4 layers")
    assert low.value == pytest.approx(-0.1) and low.conclusion.startswith("the opposite holds")
    assert high.value == pytest.approx(0.125) and "above random trees (0.40)" in high.conclusion
    beside = row(found, "runs that end at .8")
    assert beside.n == 6 and beside.value == pytest.approx(0)  # depth is no reason
    mixed = runs_with({4: [0.9] * 3 + [0.1] * 3, 6: [0.1] * 3 + [0.9] * 3}, "tense", t_parseval=f1 | {6: f1[4]})
    mixed["t_parseval"] += 0.1 * (mixed.gen_accuracy > 0.5)
    beside = row(gk.findings(mixed[mixed.step == 200].assign(t_parseval_right=0.6), "fig4"), "runs that end at .8")
    assert beside.value == pytest.approx(0.1) and beside.n == 6


def test_findings_and_verdict_are_one_computation():
    rows = table(tasks=("question", "tense"), depths=(2, 4, 6), seeds=SEEDS, every=500)
    for name, words, other in (
        ("fig2", "early stopping", "goes on improving"),
        ("fig3a", "inverted U", "inverted U"),
        ("fig3b", "how tree-like", "t_score is highest"),
        ("fig4", "4 layers: induced trees", "4 layers: t_parseval is above right"),
        ("fig5", "steps between", "is flat (within 5"),
    ):
        mine = row(gk.findings(rows, name), "tense", words)
        judged = gk.verdict(rows, name)
        about = judged.quantity.str.contains("tense") & judged.quantity.str.contains(other, regex=False)
        judged = judged[about].iloc[0]
        assert mine.value == judged.value and f"p = {mine.p:.2g}" in judged.note, name


# -- whole tables -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("seeds", [(42,), (42, 52, 62)])
def test_every_table_has_findings_in_words(name, seeds):
    rows = table(seeds=seeds, every=500, fail=[("tense", 4, 42)] if len(seeds) > 1 else ())
    found = gk.findings(rows, name)
    assert list(found.columns) == of_findings.COLUMNS and found.conclusion.str.len().gt(0).all()
    tested = found[found.p.notna()]
    assert tested.conclusion.str.startswith("undecided: ").all()  # three seeds decide nothing
    assert tested.conclusion.str.contains("too few").all()
    lost = found[found.claim.str.startswith("tense, 4 layers")]
    assert len(seeds) == 1 or lost.conclusion.str.contains("1 failed run left out").all()
    assert not found.claim.str.startswith("dyck").any() or name == "fig2"


def test_a_task_of_ones_own_and_what_is_refused():
    own = table(tasks=("tense",), every=500).assign(task="mine")
    for name in ("fig2", "fig3a", "fig3b", "fig5"):
        assert gk.findings(own, name).claim.str.startswith("mine").all()
    nothing = own.assign(t_score=math.nan, t_parseval=math.nan)
    two = own.assign(identity=np.where(own.seed == 42, "a" * 16, "b" * 16))
    for call, words in (
        (lambda: gk.findings(nothing, "fig3b"), "fig3b shows: a value of t_score"),
        (lambda: gk.findings(nothing, "fig4"), "a value of t_parseval"),
        (lambda: gk.findings(own, "fig6"), "no findings belong to 'fig6'"),
        (lambda: gk.findings({}, "fig2"), "need a results table"),
        (lambda: gk.findings(own, "fig1"), "take corpora"),
        (lambda: gk.findings({"mine": None}, "fig1"), "mine has no rules"),
        (lambda: gk.findings(pd.concat([own, own.assign(preset="smoke")]), "fig2"), "mixes the presets"),
        (lambda: gk.findings(own, "fig2", again=own.assign(preset="smoke")), "another preset"),
        (lambda: gk.findings(two, "fig2"), "different configs"),
        (lambda: gk.findings(two[two.seed == 42], "fig2", again=two[two.seed == 52]), "different configs"),
    ):
        with pytest.raises(GrokkitError, match=words):
            call()
