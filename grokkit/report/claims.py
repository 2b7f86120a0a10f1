"""The claims of the paper, each tested on a results table at 5 %, two-sided, by permutations of runs.

A claim comes out as supported, contradicted or undecided. Few seeds leave undecided: that is no failure.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grokkit.report.outcomes import at_end, require
from grokkit.report.statistics import correlation, least_p, mean_sd, permutation_test, sign_flip_test

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


def positive(
    name: str, task: str, depth: int | None, text: str, differences: Iterable[float], note: str = ""
) -> Quantity:
    """The claim that paired differences are positive on average."""
    differences = list(differences)
    if not differences:
        return Quantity(name, task, depth, text, "claim", evidence=UNDECIDED, note=note or "no run")
    n, value, sd = mean_sd(differences)
    evidence, why = decide(value, sign_flip_test(differences), 2.0 ** (1 - n))
    note = "; ".join(filter(None, [f"{why}, n = {n}", note]))
    return Quantity(name, task, depth, text, "claim", value, sd, n, evidence=evidence, note=note)


def _by_depth(rows: pd.DataFrame, column: str) -> dict[int, np.ndarray]:
    return {int(depth): cell[column].to_numpy() for depth, cell in rows.groupby("depth")}


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
    better end.
    """
    text = "inverted U, an intermediate depth generalizes best (mean at the end)"
    claim = ("claim_inverted_u", task, None, text, "claim")
    groups = _by_depth(runs, "last")
    if len(groups) < 3:
        note = f"needs at least 3 depths, there are {len(groups)}"
        return Quantity(*claim, evidence=UNDECIDED, note=note)
    means = {depth: values.mean() for depth, values in groups.items()}
    first, *inner, last = groups
    ends, best = (first, last), max(inner, key=means.get)
    value = means[best] - max(means[end] for end in ends)
    pairs = {(d, end): permutation_test(groups[d], groups[end]) for d in inner for end in ends}
    least = len(inner) * max(least_p(len(groups[best]), len(groups[end])) for end in ends)
    if value > 0:
        over = [d for d in inner if all(means[d] > means[end] for end in ends)]
        p = min(max(pairs[d, end] for end in ends) for d in over) * len(inner)
    else:
        top = max(ends, key=means.get)
        p = max(pairs[d, top] for d in inner) * len(ends)
    return _across_depths(claim, groups, value, p, least, f"best inner depth {best}")


def highest_t_score(scores: pd.DataFrame, task: str, best: int) -> Quantity:
    """The claim that t_score at the end is higher at the depth that generalizes best than at each other one."""
    text = "t_score is highest at the depth that generalizes best"
    claim = ("claim_t_score_best", task, None, text, "claim")
    groups = _by_depth(scores, "t_score")
    others = {depth: values for depth, values in groups.items() if depth != best}
    if best not in groups or not others:
        return Quantity(*claim, evidence=UNDECIDED, note="needs t_score at two depths or more")
    top = max(others, key=lambda depth: others[depth].mean())
    value = groups[best].mean() - others[top].mean()
    tests = {depth: permutation_test(groups[best], values) for depth, values in others.items()}
    p = max(tests.values()) if value > 0 else tests[top] * len(others)
    least = max(least_p(len(groups[best]), len(values)) for values in others.values())
    return _across_depths(claim, groups, value, p, least, f"best depth {best}")


def seed_correlation(rows: pd.DataFrame, task: str, best: int) -> Quantity:
    """Spearman correlation across seeds of t_score and generalization at the end, at the best depth."""
    text = "correlation across seeds of t_score and generalization"
    claim = ("t_score_gen_spearman", task, best, text, "correlation")
    require(rows, "t_score", "gen_accuracy")
    both = at_end(rows[rows.depth == best]).dropna(subset=["t_score", "gen_accuracy"])
    if len(both) < 4:
        return Quantity(*claim, n=len(both), note="needs at least 4 seeds")
    r, low, high = correlation(both.t_score, both.gen_accuracy, "spearman")
    note = f"95 % bootstrap interval {low:.2f} to {high:.2f}"
    return Quantity(*claim, value=r, n=len(both), width=2.0, note=note)
