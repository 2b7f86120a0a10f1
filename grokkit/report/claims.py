"""The claims of the paper, each tested on a results table at 5 %, two-sided, by permutations of runs.

A claim comes out as supported, contradicted or undecided. Few seeds leave undecided: that is no failure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from grokkit.report.outcomes import RUN, final
from grokkit.report.statistics import correlation, least_p, mean_sd, permutation_test, sign_flip_test

ALPHA = 0.05
SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"


@dataclass(frozen=True)
class Measure:
    """One row of a verdict before it is judged. depth is None for statements about several depths.

    kind: "mean" (value, sd over n runs), "share" (of n runs), "claim" (value is the tested effect, nan if
    there is no single one), "correlation". width: of the range of possible values, nan if unbounded.
    resolution: differences below it mean nothing, in units of the value.
    """

    quantity: str
    task: str
    depth: int | None
    text: str
    kind: str
    value: float
    sd: float = math.nan
    n: int = 0
    width: float = math.nan
    resolution: float = 0.0
    evidence: str = ""
    note: str = ""


def where(task: str, depth: int) -> str:
    return f"{task}, {depth} layer{'s' if depth != 1 else ''}"


def weigh(effect: float, p: float, least: float) -> tuple[str, str]:
    """Evidence and the reason. least: the smallest p that so few runs can give.

    >>> weigh(0.4, 0.002, 0.002), weigh(0.4, 0.25, 0.25)[0]
    (('supported', 'p = 0.002'), 'undecided')
    """
    if least >= ALPHA:
        return UNDECIDED, f"too few seeds: p = {p:.2g}, and a test of so few can give {least:.2g} at least"
    if p >= ALPHA:
        return UNDECIDED, f"p = {p:.2g}"
    return (SUPPORTED if effect > 0 else CONTRADICTED), f"p = {p:.2g}"


def positive(
    quantity: str,
    task: str,
    text: str,
    differences: Sequence[float],
    note: str = "",
    depth: int | None = None,
) -> Measure:
    """The claim that paired differences are positive on average."""
    differences = list(differences)
    if not differences:
        return Measure(quantity, task, depth, text, "claim", math.nan, evidence=UNDECIDED, note=note or "no run")
    n, value, sd = mean_sd(differences)
    evidence, why = weigh(value, sign_flip_test(differences), 2.0 ** (1 - n))
    return Measure(
        quantity,
        task,
        depth,
        text,
        "claim",
        value,
        sd,
        n,
        evidence=evidence,
        note="; ".join(filter(None, [f"{why}, n = {n}", note])),
    )


def inverted_u(runs: pd.DataFrame, task: str) -> Measure:
    """The claim that some depth in between generalizes better than both the smallest and the largest.

    An inner depth counts when it beats both ends, so its p-value is the larger of the two; the inner depth
    with the smallest one is taken, and p multiplied by the number of inner depths (Bonferroni). Likewise for
    the opposite, an end that beats all inner depths. value: mean of the best inner depth minus that of the
    better end.
    """
    text = f"{task}: inverted U, an intermediate depth generalizes best (mean at the end)"
    claim = partial(Measure, "claim_inverted_u", task, None, text, "claim")
    groups = {int(depth): cell["last"].to_numpy() for depth, cell in runs.groupby("depth")}
    depths = sorted(groups)
    if len(depths) < 3:
        return claim(
            math.nan,
            evidence=UNDECIDED,
            note=f"needs at least 3 depths, there are {len(depths)}",
        )
    ends, inner = (depths[0], depths[-1]), depths[1:-1]
    means = {depth: values.mean() for depth, values in groups.items()}
    best = max(inner, key=lambda depth: means[depth])
    value = means[best] - max(means[end] for end in ends)
    pairs = {(d, e): permutation_test(groups[d], groups[e]) for d in inner for e in ends}
    least = len(inner) * max(least_p(len(groups[best]), len(groups[end])) for end in ends)
    if value > 0:
        over = [d for d in inner if all(means[d] > means[e] for e in ends)]
        p = min(max(pairs[d, e] for e in ends) for d in over) * len(inner)
    else:
        top = max(ends, key=lambda end: means[end])
        p = max(pairs[d, top] for d in inner) * 2
    evidence, why = weigh(value, min(1.0, p), least)
    shape = ", ".join(f"{depth}: {means[depth]:.2f}" for depth in depths)
    return claim(
        float(value),
        n=min(map(len, groups.values())),
        evidence=evidence,
        note=f"{why}, best inner depth {best}; means by depth {shape}",
    )


def highest_t_score(scores: pd.DataFrame, task: str, best: int) -> Measure:
    text = f"{task}: t_score is highest at the depth that generalizes best"
    claim = partial(Measure, "claim_t_score_best", task, None, text, "claim")
    groups = {int(depth): cell.t_score.to_numpy() for depth, cell in scores.groupby("depth")}
    others = {depth: values for depth, values in groups.items() if depth != best}
    if best not in groups or not others:
        return claim(
            math.nan,
            evidence=UNDECIDED,
            note="needs t_score at two depths or more",
        )
    top = max(others, key=lambda depth: others[depth].mean())
    value = float(groups[best].mean() - others[top].mean())
    tests = {depth: permutation_test(groups[best], values) for depth, values in others.items()}
    p = max(tests.values()) if value > 0 else min(1.0, tests[top] * len(others))
    least = max(least_p(len(groups[best]), len(values)) for values in others.values())
    evidence, why = weigh(value, p, least)
    shape = ", ".join(f"{depth}: {groups[depth].mean():.2f}" for depth in sorted(groups))
    return claim(
        value,
        n=min(map(len, groups.values())),
        evidence=evidence,
        note=f"{why}, best depth {best}; means by depth {shape}",
    )


def seed_correlation(rows: pd.DataFrame, task: str, best: int) -> Measure:
    """Spearman correlation across seeds of t_score and generalization at the end, at the best depth."""
    text = f"{where(task, best)}: correlation across seeds of t_score and generalization"
    cell = rows[rows.depth == best]
    both = final(cell, "t_score").merge(final(cell, "gen_accuracy"), on=[*RUN, "step"]).dropna()
    if len(both) < 4:
        return Measure(
            "t_score_gen_spearman",
            task,
            best,
            text,
            "correlation",
            math.nan,
            n=len(both),
            note="needs at least 4 seeds",
        )
    r, low, high = correlation(both.t_score, both.gen_accuracy, "spearman")
    return Measure(
        "t_score_gen_spearman",
        task,
        best,
        text,
        "correlation",
        r,
        n=len(both),
        width=2.0,
        note=f"95 % bootstrap interval {low:.2f} to {high:.2f}",
    )
