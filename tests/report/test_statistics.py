"""Intervals and tests against closed forms, scipy, enumeration; outcomes against the published curves."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from shared import shared_path
from synthetic import run, table

from grokkit.errors import GrokkitError
from grokkit.report import outcomes, statistics

PLOTTED = list(range(42, 142, 10))


@pytest.mark.parametrize("k,n", [(0, 3), (1, 3), (9, 10), (10, 10), (13, 20), (0, 1)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_is_scipys(k, n, level):
    known = scipy.stats.binomtest(k, n).proportion_ci(level, method="wilson")
    assert statistics.wilson(k, n, level) == pytest.approx((known.low, known.high), abs=1e-12)


def test_wilson_refuses_nonsense():
    for k, n in ((0, 0), (4, 3), (-1, 3)):
        with pytest.raises(GrokkitError, match="wilson"):
            statistics.wilson(k, n)


@pytest.mark.parametrize("df", [1, 2, 3.7, 9, 19, 200])
@pytest.mark.parametrize("p", [0.025, 0.5, 0.75, 0.975, 0.995])
def test_student_quantile_is_scipys(df, p):
    # 200-point Gauss-Legendre: rounding apart, the integrand is smooth but for df below 2
    assert statistics.student_quantile(p, df) == pytest.approx(scipy.stats.t.ppf(p, df), rel=1e-6, abs=1e-9)


def test_prediction_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    reference, new = rng.normal(size=(20_000, 10)), rng.normal(size=(20_000, 3)).mean(axis=1)
    unit = statistics.prediction_half_width(1.0, 10, 3, 0.95)
    inside = np.abs(new - reference.mean(axis=1)) <= unit * reference.std(axis=1, ddof=1)
    # the standard error of the simulated coverage is .0015; four of them
    assert inside.mean() == pytest.approx(0.95, abs=0.006)


def test_bootstrap_of_a_mean():
    values = np.random.default_rng(0).normal(3, 2, 30)
    low, high = statistics.bootstrap_mean(values)
    assert (low, high) == statistics.bootstrap_mean(values)
    z = 1.96 * values.std() / np.sqrt(30)  # what the percentile bootstrap tends to
    assert (float(low), float(high)) == pytest.approx((values.mean() - z, values.mean() + z), abs=0.1 * z)
    assert statistics.bootstrap_mean(values, seed=1)[0] != low


def test_bootstrap_of_curves_resamples_whole_runs():
    curves = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [5.0, 10.0, 15.0]])
    low, high = statistics.bootstrap_mean(curves)
    assert low.shape == (3,)
    np.testing.assert_allclose(low, low[0] * np.array([1, 2, 3]))  # a run is scaled, so is the band
    assert np.isnan(statistics.bootstrap_mean(curves[:1])[0]).all()


def test_bootstrap_of_few_runs_is_enumeration():
    values = [0.0, 1.0, 5.0]
    means = np.array([np.mean(pick) for pick in np.array(np.meshgrid(*[values] * 3)).reshape(3, -1).T])
    low, high = statistics.bootstrap_mean(values, resamples=50_000)
    assert (float(low), float(high)) == pytest.approx(tuple(np.quantile(means.repeat(1000), [0.025, 0.975])))


def test_missing_values_are_an_error_not_a_zero():
    for function in (statistics.mean_sd, statistics.bootstrap_mean, statistics.sign_flip_test):
        with pytest.raises(GrokkitError, match="missing"):
            function([1.0, np.nan])
        with pytest.raises(GrokkitError, match="at least 1"):
            function([])


@pytest.mark.parametrize("n,m", [(3, 3), (4, 6), (7, 8)])
def test_permutation_test_is_scipys(n, m):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.7, 1, n), rng.normal(0, 1, m)
    known = scipy.stats.permutation_test(
        (a, b), lambda x, y: abs(x.mean() - y.mean()), alternative="greater", n_resamples=np.inf
    )
    assert statistics.permutation_test(a, b) == pytest.approx(known.pvalue, abs=1e-12)
    assert statistics.permutation_test(a, b) == pytest.approx(statistics.permutation_test(b, a))


def test_permutation_test_least_values():
    for n, m in ((3, 3), (2, 4), (10, 10)):
        p = statistics.permutation_test(range(n), range(100, 100 + m))
        assert p == pytest.approx(statistics.least_p(n, m))
    assert statistics.permutation_test([1.0] * 5, [1.0] * 5) == 1.0


def test_random_permutations_where_there_are_too_many():
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.5, 1, 20), rng.normal(0, 1, 20)
    known = scipy.stats.ttest_ind(a, b).pvalue
    # 20,000 draws: standard error below .003; the t test itself differs by about as much
    assert statistics.permutation_test(a, b) == pytest.approx(known, abs=0.015)
    assert statistics.permutation_test(a, b) == statistics.permutation_test(a, b)


def test_sign_flips_by_enumeration():
    d = np.array([0.3, -0.1, 0.7, 0.2, 0.05])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1).T
    known = (np.abs(signs @ d) >= abs(d.sum()) - 1e-12).mean()
    assert statistics.sign_flip_test(d) == pytest.approx(known)
    assert statistics.sign_flip_test([1.0] * 10) == 2 / 1024
    many = np.random.default_rng(0).normal(0.3, 1, 40)
    known = scipy.stats.ttest_1samp(many, 0).pvalue
    assert statistics.sign_flip_test(many) == pytest.approx(known, abs=0.01)


@given(st.integers(0, 10), st.integers(0, 12))
def test_fisher_is_scipys(k1, k2):
    known = scipy.stats.fisher_exact([[k1, 10 - k1], [k2, 12 - k2]]).pvalue
    assert statistics.fisher_exact(k1, 10, k2, 12) == pytest.approx(known, rel=1e-9)


@given(st.lists(st.integers(0, 4), min_size=3, max_size=12), st.randoms(use_true_random=False))
def test_correlations_are_scipys(x, random):
    y = [value + random.randint(0, 3) for value in x]
    for method, known in (("pearson", scipy.stats.pearsonr), ("spearman", scipy.stats.spearmanr)):
        r, low, high = statistics.correlation(x, y, method, resamples=50)
        if len(set(x)) == 1 or len(set(y)) == 1:
            assert np.isnan(r)
        else:
            assert r == pytest.approx(known(x, y)[0], abs=1e-9)


def test_correlation_interval_and_errors():
    rng = np.random.default_rng(3)
    x = rng.normal(size=60)
    y = x + rng.normal(size=60)
    r, low, high = statistics.correlation(x, y)
    z, half = np.arctanh(r), 1.96 / np.sqrt(57)
    assert (low, high) == pytest.approx((np.tanh(z - half), np.tanh(z + half)), abs=0.08)
    with pytest.raises(GrokkitError, match="kendall"):
        statistics.correlation(x, y, "kendall")
    with pytest.raises(GrokkitError, match="pairs"):
        statistics.correlation(x, y[:-1])


# -- outcomes ----------------------------------------------------------------------------------------------


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
    assert (stop.stop_step, stop.gen_at_stop, stop.saturation_step, stop.gen_at_saturation) == (
        20,
        0.2,
        10,
        0.1,
    )
    assert (stop.end_step, stop.gain) == (40, pytest.approx(0.4))


def test_loss_saturation():
    rows = _one([0] * 9).assign(train_loss=[np.nan, 9, 3, 1.06, 1.05, 1.02, 1, 1, 1])
    out = outcomes.loss_saturation(rows).iloc[0]
    assert (out.loss, out.step) == (1.0, 40)


def test_failed_runs_are_left_out_and_named():
    t = table(tasks=("tense",), depths=(2, 4), fail=[("tense", 4, 52)])
    assert outcomes.failed_runs(t).to_dict("records") == [{"task": "tense", "depth": 4, "seed": 52, "step": 2500}]
    broken = outcomes.failed_runs(t.assign(failed_at=np.where(t.status == "failed", 2311.0, np.nan)))
    assert broken.step.tolist() == [2311]
    assert len(outcomes.crossings(t)) == 5 and len(outcomes.curve(t, "tense", 4, "gen_accuracy").columns) == 2


def test_missing_metrics_raise():
    t = table(tasks=("tense",), depths=(4,))
    hole = t.assign(gen_accuracy=t.gen_accuracy.where(t.step != 1000))
    for function in (outcomes.crossings, outcomes.early_stopping):
        with pytest.raises(GrokkitError, match="missing"):
            function(hole)
        with pytest.raises(GrokkitError, match="no column gen_accuracy"):
            function(t.drop(columns="gen_accuracy"))
        with pytest.raises(GrokkitError, match="empty"):
            function(t.iloc[:0])


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
    given = {"question": {"right": 0.3}}
    assert outcomes.parseval_baselines(measured, "question", given)[0] == {"right": 0.3}
    with pytest.raises(GrokkitError, match="upwards"):
        outcomes.parseval_baselines(t, "question", {"question": {"upwards": 0.3}})
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


def test_t_score_differences_of_the_published_curves():
    trees = pd.read_csv(shared_path("reference/published/trees.csv"))
    ends = trees[(trees.task == "question") & (trees.step == 300_000)]
    groups = {depth: cell.t_score.to_numpy() for depth, cell in ends.groupby("depth")}
    for other in (2, 10):  # differences of about one standard error
        assert statistics.permutation_test(groups[6], groups[other]) > 0.2
        t_test = scipy.stats.ttest_ind(groups[6], groups[other]).pvalue
        assert statistics.permutation_test(groups[6], groups[other]) == pytest.approx(t_test, abs=0.02)


def test_ranks_do_not_depend_on_order():
    values = np.array([3.0, 1.0, 3.0, 2.0])
    ranks = statistics._ranks(values)
    for order in permutations(range(4)):
        np.testing.assert_array_equal(statistics._ranks(values[list(order)]), ranks[list(order)])
