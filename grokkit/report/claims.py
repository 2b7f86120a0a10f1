"""The claims of the paper, each tested on a results table at 5 %, two-sided, by permutations of runs.

A claim comes out as supported, contradicted or undecided. Few seeds leave undecided: that is no failure.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grokkit.report.statistics import least_p, mean_sd, permutation_test, sign_flip_test, spearman

ALPHA = 0.05
SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"


@dataclass(frozen=True)
class Quantity:
    """One row of a verdict before it is judged. depth is None for statements about several depths.

    kind: "mean" (value, sd over n runs), "share" (of n runs), "claim" (value is the tested effect, nan if
    there is no single one), "correlation". width: of the range of possible values, nan if unbounded.
    resolution: differences below it mean nothing, in units of the value.
    """

    name: str
    task: str
    depth: int | None
    text: str
    kind: str
    value: float = math.nan
    sd: float = math.nan
    n: int = 0
    width: float = math.nan
    resolution: float = 0.0
    evidence: str = ""
    note: str = ""


def decide(effect: float, p: float, least: float) -> tuple[str, str]:
    """Evidence and the reason. least: the smallest p that so few runs can give.

    >>> decide(0.4, 0.002, 0.002), decide(0.4, 0.25, 0.25)[0]
    (('supported', 'p = 0.002'), 'undecided')
    """
    if least >= ALPHA:
        return UNDECIDED, f"too few seeds: p = {p:.2g}, and a test of so few can give {least:.2g} at least"
    if p >= ALPHA:
        return UNDECIDED, f"p = {p:.2g}"
    return (SUPPORTED if effect > 0 else CONTRADICTED), f"p = {p:.2g}"


def positive(name: str, task: str, depth: int | None, text: str, differences: pd.Series, note: str = "") -> Quantity:
    """The claim that paired differences are positive on average. note: what to say besides, or why there are none."""
    if differences.empty:
        return Quantity(name, task, depth, text, "claim", evidence=UNDECIDED, note=note)
    n, value, sd = mean_sd(differences)
    evidence, why = decide(value, sign_flip_test(differences), 2.0 ** (1 - n))
    note = "; ".join(filter(None, [f"{why}, n = {n}", note]))
    return Quantity(name, task, depth, text, "claim", value, sd, n, evidence=evidence, note=note)


def _across_depths(
    claim: tuple, groups: Mapping[int, np.ndarray], value: float, p: float, least: float, best: str
) -> Quantity:
    """A claim about all depths (name, task, depth, text, kind), decided; the note says the mean of each."""
    evidence, why = decide(value, min(1.0, p), least)
    shape = ", ".join(f"{depth}: {values.mean():.2f}" for depth, values in groups.items())
    note, n = f"{why}, {best}; means by depth {shape}", min(map(len, groups.values()))
    return Quantity(*claim, value=float(value), n=n, evidence=evidence, note=note)


def inverted_u(runs: pd.DataFrame, task: str) -> Quantity:
    """The claim that some depth in between generalizes better than both the smallest and the largest.

    An inner depth counts when it beats both ends, so its p-value is the larger of the two; the inner depth
    with the smallest one is taken, and p multiplied by the number of inner depths (Bonferroni). Likewise for
    the opposite, an end that beats all inner depths. value: mean of the best inner depth minus that of the
    better end. runs: depth and `last` of each run.
    """
    text = "inverted U, an intermediate depth generalizes best (mean at the end)"
    claim = ("claim_inverted_u", task, None, text, "claim")
    groups = {int(depth): values.to_numpy() for depth, values in runs.groupby("depth")["last"]}
    if len(groups) < 3:
        return Quantity(*claim, evidence=UNDECIDED, note=f"needs at least 3 depths, there are {len(groups)}")
    means = {depth: values.mean() for depth, values in groups.items()}
    first, *inner, last = groups
    ends, best = (first, last), max(inner, key=means.__getitem__)
    top = max(ends, key=means.__getitem__)
    value = means[best] - means[top]
    p_of = {(d, end): permutation_test(groups[d], groups[end]) for d in inner for end in ends}
    least = len(inner) * max(least_p(len(groups[best]), len(groups[end])) for end in ends)
    if value > 0:
        p = min(max(p_of[d, end] for end in ends) for d in inner if means[d] > means[top]) * len(inner)
    else:
        p = max(p_of[d, top] for d in inner) * len(ends)
    return _across_depths(claim, groups, value, p, least, f"best inner depth {best}")


def highest_t_score(scores: pd.DataFrame, task: str, best: int) -> Quantity:
    """The claim that t_score at the end is higher at the depth that generalizes best than at each other one."""
    claim = ("claim_t_score_best", task, None, "t_score is highest at the depth that generalizes best", "claim")
    groups = {int(depth): values.to_numpy() for depth, values in scores.groupby("depth").t_score}
    others = {depth: values for depth, values in groups.items() if depth != best}
    if best not in groups or not others:
        return Quantity(*claim, evidence=UNDECIDED, note="needs t_score at two depths or more")
    top = max(others, key=lambda depth: others[depth].mean())
    value = groups[best].mean() - others[top].mean()
    p_of = {depth: permutation_test(groups[best], values) for depth, values in others.items()}
    p = max(p_of.values()) if value > 0 else p_of[top] * len(others)
    least = max(least_p(len(groups[best]), len(values)) for values in others.values())
    return _across_depths(claim, groups, value, p, least, f"best depth {best}")


def seed_correlation(scores: pd.DataFrame, task: str, best: int) -> Quantity:
    """Spearman correlation across seeds of t_score and generalization at the end, at the best depth."""
    text, both = "correlation across seeds of t_score and generalization", scores[scores.depth == best]
    claim = ("t_score_gen_spearman", task, best, text, "correlation")
    if len(both) < 4:
        return Quantity(*claim, n=len(both), note="needs at least 4 seeds")
    r, low, high = spearman(both.t_score, both.gen_accuracy)
    note = f"95 % bootstrap interval {low:.2f} to {high:.2f}"
    return Quantity(*claim, value=r, n=len(both), width=2.0, note=note)
