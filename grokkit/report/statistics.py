"""Intervals and tests over seeds: scipy's, but for bootstraps and permutations, which draw the same at every call.

A run is one seed of one (task, depth). Runs are the unit of resampling throughout: evaluations of the same
run at different steps are not independent observations. Letters in shapes: R runs, N steps.
scipy is imported inside the functions: it takes longer to load than all the rest.
"""

import math
import warnings
from collections.abc import Sequence
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.storage.table import RUN

LEVEL = 0.95  # of every interval
ENDS = [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]
RESAMPLES = 4000  # percentile ends of a 95 % interval then vary by about 1 % of its width
DRAWS = 20_000  # random ones otherwise: a p-value of .05 is then known to about .0015
EXACT_LIMIT = 200_000  # rearrangements up to which all are enumerated, e.g. 10 against 10 runs


def per_seed(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a task, depth and seed: the means over trainings, which share data and initial weights."""
    return runs.groupby(RUN, as_index=False).mean(numeric_only=True)


def _finite(values: Sequence[float], what: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if not np.isfinite(array).all():
        raise GrokkitError(f"{what} got a missing value: leave failed runs out before asking for statistics")
    if not len(array):
        raise GrokkitError(f"{what} needs at least 1 run, got none")
    return array


def mean_sd(values: Sequence[float]) -> tuple[int, float, float]:
    """Number, mean and sample standard deviation (n - 1; nan for a single run).

    >>> mean_sd([1.0, 2.0, 3.0])
    (3, 2.0, 1.0)
    """
    array = _finite(values, "mean_sd")
    return len(array), float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else math.nan


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of a fraction. Unlike mean ± 2 se it has a width at 0/n and n/n.

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927) 209.

    >>> [round(end, 3) for end in wilson(10, 10)]
    [0.722, 1.0]
    """
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def fisher_exact(k1: int, n1: int, k2: int, n2: int) -> float:
    """Two-sided p-value for equal success probabilities, k1 of n1 against k2 of n2 (hypergeometric).

    >>> round(fisher_exact(10, 10, 5, 10), 4)
    0.0325
    """
    from scipy import stats

    return float(stats.fisher_exact([[k1, n1 - k1], [k2, n2 - k2]]).pvalue)


def prediction_half_width(
    sd: float | np.ndarray, n_reference: int | np.ndarray, n: int | np.ndarray, error: float | np.ndarray = 0.0
):
    """Half-width of the interval in which the mean of n new runs falls with probability LEVEL, when they
    come from the same normal distribution as n_reference runs (at least 2) with sample standard deviation sd.

    error: standard deviation of what differs between the two groups as a whole, as their test sentences do; it is
    known, so the degrees of freedom are those of Welch and Satterthwaite. All may be arrays of one shape.
    It does not depend on the spread of the new runs: a noisier experiment is not judged more leniently.

    >>> round(float(prediction_half_width(0.1, 10, 3)), 4), round(float(prediction_half_width(0.0, 10, 3, 0.1)), 4)
    (0.1489, 0.196)
    """
    from scipy.special import stdtrit  # quantile of Student's t

    spread = sd**2 * (1 / n + 1 / n_reference)
    freedom = (n_reference - 1) * (1 + error**2 / np.maximum(spread, 1e-30)) ** 2
    return stdtrit(np.minimum(freedom, 1e9), ENDS[1]) * np.sqrt(spread + error**2)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's interval of the mean over seeds, which covers as often as it says with ten of them; nan for one.

    >>> [round(end, 3) for end in mean_interval([1.0, 2.0, 3.0])]
    [-0.484, 4.484]
    """
    n, mean, sd = mean_sd(values)
    half = float(prediction_half_width(sd, n, math.inf))  # type: ignore[arg-type]
    return mean - half, mean + half


def difference_interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Welch's interval of the mean of a minus that of b, two independent groups; nan where one of them is one seed."""
    from scipy.special import stdtrit

    (n, mean_a, sd_a), (m, mean_b, sd_b) = mean_sd(a), mean_sd(b)
    v, w = sd_a**2 / n, sd_b**2 / m
    freedom = (v + w) ** 2 / (v**2 / (n - 1) + w**2 / (m - 1)) if v + w > 0 else 1.0
    half = float(stdtrit(freedom, ENDS[1])) * math.sqrt(v + w)
    return mean_a - mean_b - half, mean_a - mean_b + half


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number. Source: Holm, Scand. J. Stat. 6 (1979) 65.

    >>> holm([0.04, 0.01])
    [0.04, 0.02]
    """
    order = np.argsort(p_values)
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected.tolist()


def _resampled(runs: int) -> np.ndarray:
    return np.random.default_rng([0, runs]).integers(0, runs, size=(RESAMPLES, runs))


def bootstrap_mean(values: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap interval of the mean over runs.

    values: [R] or [R, N]; the same resampled runs are used for all N steps, so a band follows whole runs.
    Returns the lower and upper ends, shape [] or [N]; a single run has no interval (nan).
    With fewer than about 5 runs the interval is too narrow (3 runs have only 10 different resamples).
    """
    array = _finite(values, "bootstrap_mean")
    runs = len(array)
    if runs == 1:
        return np.full(array.shape[1:], np.nan), np.full(array.shape[1:], np.nan)
    picks = _resampled(runs)
    share = np.stack([(picks == run).sum(axis=1) for run in range(runs)], axis=1) / runs  # [RESAMPLES, R]
    low, high = np.quantile(share @ array, ENDS, axis=0)
    return low, high


def spearman(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Rank correlation across runs, and its percentile bootstrap interval over pairs: (r, low, high).

    nan where x or y does not vary; resamples without variation are left out.
    """
    x, y = _finite(x, "spearman"), _finite(y, "spearman")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan, math.nan, math.nan
    from scipy.stats import pearsonr, rankdata

    def of_ranks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return pearsonr(rankdata(x, axis=-1), rankdata(y, axis=-1), axis=-1).statistic

    picks = _resampled(len(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's, about resamples that do not vary: they are nan
        low, high = np.nanquantile(of_ranks(x[picks], y[picks]), ENDS)
    return float(of_ranks(x, y)), float(low), float(high)


# -- permutations of runs: scipy's permutation_test gives the same p-values in 28 times the time --------------------


def _p_value(statistics: np.ndarray, observed: float, exact: bool) -> float:
    # rearrangements that tie with the observed one up to rounding count as at least as extreme
    hits = int((np.abs(statistics) >= abs(observed) - 1e-12 * max(1.0, abs(observed))).sum())
    return hits / len(statistics) if exact else (hits + 1) / (len(statistics) + 1)


@cache
def _choices(total: int, n: int) -> np.ndarray:
    """All ways to choose n of `total` positions, [ways, n]."""
    return np.array(list(combinations(range(total), n)), dtype=np.int8)


def least_p(n1: int, n2: int) -> float:
    """The smallest p-value that `permutation_test` can give for groups of n1 and n2 runs.

    >>> least_p(3, 3)
    0.1
    """
    return (2 if n1 == n2 else 1) / math.comb(n1 + n2, n1)


def permutation_test(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p-value for equal means of two independent groups of runs, e.g. two depths.

    Exact where there are at most EXACT_LIMIT ways to deal the runs into the groups, else DRAWS of them.

    >>> permutation_test([1, 2, 3], [4, 5, 6])
    0.1
    """
    a, b = _finite(a, "permutation_test"), _finite(b, "permutation_test")
    pool, n = np.concatenate([a, b]), len(a)
    exact = math.comb(len(pool), n) <= EXACT_LIMIT
    if exact:
        chosen = _choices(len(pool), n)
    else:
        chosen = np.argsort(np.random.default_rng([0, n, len(b)]).random((DRAWS, len(pool))), axis=1)[:, :n]
    sums = pool[chosen].sum(axis=1)
    return _p_value(sums / n - (pool.sum() - sums) / len(b), a.mean() - b.mean(), exact)


def sign_flip_test(differences: Sequence[float]) -> float:
    """Two-sided p-value for a mean of zero of paired differences, by flipping their signs.

    Exact up to 17 runs. 5 runs cannot get below .0625, 6 not below .03125.

    >>> sign_flip_test([1, 2, 3])
    0.25
    """
    d = _finite(differences, "sign_flip_test")
    exact = 2 ** len(d) <= EXACT_LIMIT
    if exact:
        signs = 1 - 2 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1)
    else:
        signs = np.random.default_rng([0, len(d)]).choice([-1, 1], size=(DRAWS, len(d)))
    return _p_value(signs @ d / len(d), d.mean(), exact)


def spearman_test(x: Sequence[float], y: Sequence[float]) -> float:
    """Two-sided p-value for no rank correlation across seeds, by DRAWS random pairings."""
    from scipy.stats import rankdata

    a, b = (rankdata(values) - (len(values) + 1) / 2 for values in (_finite(x, "spearman"), _finite(y, "spearman")))
    pairings = np.random.default_rng([0, len(a)]).permuted(np.tile(a, (DRAWS, 1)), axis=1)
    return _p_value(pairings @ b, float(a @ b), exact=False)
