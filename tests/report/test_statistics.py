"""Intervals and tests against closed forms, scipy and enumeration."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from shared import shared_path

from grokkit.errors import GrokkitError
from grokkit.report import statistics


@pytest.mark.parametrize("function", [statistics.mean_sd, statistics.bootstrap_mean, statistics.sign_flip_test])
@pytest.mark.parametrize("values,words", [([1.0, np.nan], "missing"), ([], "at least 1")])  # an error, not a zero
def test_nonsense_is_refused(function, values, words):
    with pytest.raises(GrokkitError, match=words):
        function(values)


def test_intervals_and_corrections_are_scipys():
    rng = np.random.default_rng(3)
    a, b = rng.normal(1, 1, 9), rng.normal(0, 3, 5)
    known = scipy.stats.ttest_1samp(a, 0).confidence_interval(0.95)
    assert statistics.mean_interval(a) == pytest.approx((known.low, known.high))
    known = scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert statistics.difference_interval(a, b) == pytest.approx((known.low, known.high))
    assert statistics.difference_interval([1.0, 1.0], [0.5, 0.5]) == (0.5, 0.5)
    assert np.isnan([*statistics.mean_interval([1.0]), *statistics.difference_interval([1.0], [2.0, 3.0])]).all()
    assert statistics.holm([0.01, 0.04, 0.03, 0.6]) == pytest.approx([0.04, 0.09, 0.09, 0.6])


def test_the_test_of_a_rank_correlation_is_by_all_pairings():
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 1.0, 4.0, 3.0, 6.0, 5.5]
    r = abs(scipy.stats.spearmanr(x, y).statistic)
    every = [abs(scipy.stats.spearmanr(x, pairing).statistic) for pairing in itertools.permutations(y)]
    exact = np.mean(np.array(every) >= r - 1e-9)
    assert statistics.spearman_test(x, y) == pytest.approx(exact, abs=0.006)  # 20,000 draws: four standard errors
    assert statistics.spearman_test(x, [1.0] * 6) == 1.0


def test_prediction_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    reference, new = rng.normal(size=(20_000, 10)), rng.normal(size=(20_000, 3)).mean(axis=1)
    unit = statistics.prediction_half_width(1.0, 10, 3)
    inside = np.abs(new - reference.mean(axis=1)) <= unit * reference.std(axis=1, ddof=1)
    # the standard error of the simulated coverage is .0015; four of them
    assert inside.mean() == pytest.approx(0.95, abs=0.006)


def test_bootstrap_of_a_mean():
    values = np.random.default_rng(0).normal(3, 2, 30)
    low, high = statistics.bootstrap_mean(values)
    assert (low, high) == statistics.bootstrap_mean(values)
    z = 1.96 * values.std() / np.sqrt(30)  # what the percentile bootstrap tends to
    assert (float(low), float(high)) == pytest.approx((values.mean() - z, values.mean() + z), abs=0.1 * z)


def test_bootstrap_of_curves_resamples_whole_runs():
    curves = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [5.0, 10.0, 15.0]])
    low, high = statistics.bootstrap_mean(curves)
    assert low.shape == (3,)
    np.testing.assert_allclose(low, low[0] * np.array([1, 2, 3]))  # a run is scaled, so is the band
    assert np.isnan(statistics.bootstrap_mean(curves[:1])[0]).all()


def test_bootstrap_of_few_runs_is_enumeration():
    values = [0.0, 1.0, 5.0]
    means = np.array([np.mean(pick) for pick in itertools.product(values, repeat=3)])
    low, high = statistics.bootstrap_mean(values)
    assert (float(low), float(high)) == pytest.approx(tuple(np.quantile(means.repeat(1000), [0.025, 0.975])))


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
    signs = np.array(list(itertools.product([-1, 1], repeat=5)))
    known = (np.abs(signs @ d) >= abs(d.sum()) - 1e-12).mean()
    assert statistics.sign_flip_test(d) == pytest.approx(known)
    assert statistics.sign_flip_test([1.0] * 10) == 2 / 1024
    many = np.random.default_rng(0).normal(0.3, 1, 40)
    known = scipy.stats.ttest_1samp(many, 0).pvalue
    assert statistics.sign_flip_test(many) == pytest.approx(known, abs=0.01)


@given(st.lists(st.integers(0, 4), min_size=3, max_size=12), st.randoms(use_true_random=False))
def test_spearman_is_pearson_of_ranks_in_any_order(x, random):
    y = [value + random.randint(0, 3) for value in x]
    r, low, high = statistics.spearman(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan([r, low, high]).all()
    else:
        assert r == pytest.approx(np.corrcoef(pd.Series(x).rank(), pd.Series(y).rank())[0, 1], abs=1e-9)
        assert r == pytest.approx(statistics.spearman(x[::-1], y[::-1])[0])
        assert -1 <= low <= high <= 1


def test_spearman_interval():
    rng = np.random.default_rng(3)
    x = rng.normal(size=60)
    r, low, high = statistics.spearman(x, x + rng.normal(size=60))
    z, half = np.arctanh(r), 1.96 / np.sqrt(57)
    assert (low, high) == pytest.approx((np.tanh(z - half), np.tanh(z + half)), abs=0.08)


def test_t_score_differences_of_the_published_curves():
    trees = pd.read_csv(shared_path("reference/published/trees.csv"))
    ends = trees[(trees.task == "question") & (trees.step == 300_000)]
    groups = {depth: cell.t_score.to_numpy() for depth, cell in ends.groupby("depth")}
    for other in (2, 10):  # differences of about one standard error
        assert statistics.permutation_test(groups[6], groups[other]) > 0.2
        t_test = scipy.stats.ttest_ind(groups[6], groups[other]).pvalue
        assert statistics.permutation_test(groups[6], groups[other]) == pytest.approx(t_test, abs=0.02)
