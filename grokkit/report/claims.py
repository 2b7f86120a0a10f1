"""The claims of the paper, each tested on what became of the runs, at 5 %, two-sided, by permutations of seeds.

A claim comes out as supported, contradicted or undecided. Few seeds leave undecided: that is no failure.
`gk.verdict` and `gk.findings` show the same ones. Groups: depth -> one value a seed, in order of depth.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from grokkit.report import statistics as st
from grokkit.report.published import layers

ALPHA = 0.05
SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
Groups = Mapping[int, np.ndarray]


@dataclass(frozen=True)
class Quantity:
    """One row of a verdict or of findings before it is judged. depth is None for statements about several depths.

    kind: "mean" (value, sd over n runs), "share" (of n runs), "claim" (value is the tested effect, nan if
    there is no single one), "correlation". width: of the range of possible values, nan if unbounded.
    resolution: differences below it mean nothing, in units of the value. low, high: 95 % interval. least: the smallest
    p that so few seeds can give. note: what a verdict says besides, words: what findings say.
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
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    least: float = 0.0
    words: str = ""


def groups_of(runs: pd.DataFrame, column: str) -> dict[int, np.ndarray]:
    """Depth -> the values of a column that were measured."""
    measured = runs.dropna(subset=[column])
    return {int(depth): values.to_numpy(float) for depth, values in measured.groupby("depth")[column]}


def by_depth(groups: Groups, digits: str = ".2f") -> str:
    """The mean of each depth, in words: "2 layers 0.28, 4 layers 0.81"."""
    return ", ".join(f"{layers(depth)} {values.mean():{digits}}" for depth, values in groups.items())


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
    if not len(differences):
        return Quantity(name, task, depth, text, "claim", evidence=UNDECIDED, note=note, words=note)
    (n, value, sd), p, least = st.mean_sd(differences), st.sign_flip_test(differences), 2.0 ** (1 - len(differences))
    evidence, why = decide(value, p, least)
    low, high = st.mean_interval(differences)
    said = "; ".join(filter(None, [f"{why}, n = {n}", note]))
    test = {"evidence": evidence, "low": low, "high": high, "p": p, "least": least}
    return Quantity(name, task, depth, text, "claim", value, sd, n, note=said, words=note, **test)


def _between(claim: tuple, a: np.ndarray, b: np.ndarray, p: float, least: float, **rest) -> Quantity:
    """The claim (name, task, depth, text, kind) that the mean of group a is above that of group b, decided by p."""
    value, (low, high) = float(a.mean() - b.mean()), st.difference_interval(a, b)
    evidence, why = decide(value, min(1.0, p), least)
    found = Quantity(*claim, value=value, n=min(len(a), len(b)), evidence=evidence, note=why, low=low, high=high)
    return replace(found, p=min(1.0, p), least=least, **rest)


def higher(name: str, task: str, depth: int | None, text: str, a: np.ndarray, b: np.ndarray, words: str) -> Quantity:
    """The claim that group a is higher on average than group b, other seeds, by permutations."""
    claim = (name, task, depth, text, "claim")
    if not (len(a) and len(b)):
        return Quantity(*claim, evidence=UNDECIDED, words=words)
    return _between(claim, a, b, st.permutation_test(a, b), st.least_p(len(a), len(b)), words=words)


def _across_depths(found: Quantity, groups: Groups, best: str) -> Quantity:
    shape = ", ".join(f"{depth}: {values.mean():.2f}" for depth, values in groups.items())
    note, n = f"{found.note}, {best}; means by depth {shape}", min(map(len, groups.values()))
    return replace(found, note=note, n=n, words=f"means: {by_depth(groups)}")


def beside_ends(groups: Groups, task: str, what: str) -> list[Quantity]:
    """The claims that an inner depth is above the smallest depth, and above the largest one.

    Taken is the inner depth with the highest mean; p is multiplied by the number of inner depths, and corrected for the
    two comparisons by Holm. Without an inner depth there is one claim, that the larger depth is above the smaller one.
    """
    first, *inner, last = groups
    best = max(inner or [last], key=lambda depth: groups[depth].mean())
    ends, choices = ((first, last) if inner else (first,)), max(1, len(inner))
    alone = [st.permutation_test(groups[best], groups[end]) for end in ends]
    found = []
    for end, p, corrected in zip(ends, alone, st.holm([p * choices for p in alone]), strict=True):
        words = f"means: {by_depth({best: groups[best], end: groups[end]})}"
        if len(ends) * choices > 1:
            words += f"; p is corrected for {len(ends) * choices} comparisons, alone it is {p:.2g}"
        claim = (f"above_{end}", task, None, f"{layers(best)} {what} than {layers(end)}", "claim")
        least = st.least_p(len(groups[best]), len(groups[end])) * len(ends) * choices
        found.append(_between(claim, groups[best], groups[end], corrected, least, words=words))
    return found


def inverted_u(runs: pd.DataFrame, task: str) -> Quantity:
    """The claim that some depth in between generalizes better than both the smallest and the largest.

    An inner depth counts when it beats both ends, so its p-value is the larger of the two; the inner depth
    with the smallest one is taken, and p multiplied by the number of inner depths (Bonferroni). Likewise for
    the opposite, an end that beats all inner depths. value: mean of the best inner depth minus that of the
    better end. runs: depth and `last` of each run.
    """
    text = "inverted U, an intermediate depth generalizes best (mean at the end)"
    claim, groups = ("claim_inverted_u", task, None, text, "claim"), groups_of(runs, "last")
    if len(groups) < 3:
        few = f"needs at least 3 depths, there are {len(groups)}"
        return Quantity(*claim, evidence=UNDECIDED, note=few, words=few)
    means = {depth: values.mean() for depth, values in groups.items()}
    first, *inner, last = groups
    ends, best = (first, last), max(inner, key=means.__getitem__)
    top = max(ends, key=means.__getitem__)
    p_of = {(d, end): st.permutation_test(groups[d], groups[end]) for d in inner for end in ends}
    least = len(inner) * max(st.least_p(len(groups[best]), len(groups[end])) for end in ends)
    if means[best] > means[top]:
        p = min(max(p_of[d, end] for end in ends) for d in inner if means[d] > means[top]) * len(inner)
    else:
        p = max(p_of[d, top] for d in inner) * len(ends)
    return _across_depths(_between(claim, groups[best], groups[top], p, least), groups, f"best inner depth {best}")


def highest_t_score(scores: pd.DataFrame, task: str, best: int) -> Quantity:
    """The claim that t_score at the end is higher at the depth that generalizes best than at each other one."""
    text, groups = "t_score is highest at the depth that generalizes best", groups_of(scores, "t_score")
    claim = ("claim_t_score_best", task, None, text, "claim")
    others = {depth: values for depth, values in groups.items() if depth != best}
    if best not in groups or not others:
        few = "needs t_score at two depths or more"
        return Quantity(*claim, evidence=UNDECIDED, note=few, words=few)
    top = max(others, key=lambda depth: others[depth].mean())
    p_of = {depth: st.permutation_test(groups[best], values) for depth, values in others.items()}
    p = max(p_of.values()) if groups[best].mean() > groups[top].mean() else p_of[top] * len(others)
    least = max(st.least_p(len(groups[best]), len(values)) for values in others.values())
    return _across_depths(_between(claim, groups[best], groups[top], p, least), groups, f"best depth {best}")


def seed_correlation(scores: pd.DataFrame, task: str, best: int) -> Quantity:
    """Spearman correlation across seeds of t_score and generalization at the end, at the best depth."""
    text, both = "correlation across seeds of t_score and generalization", scores[scores.depth == best]
    claim, n = ("t_score_gen_spearman", task, best, text, "correlation"), len(both)
    if n < 4:
        return Quantity(*claim, n=n, note="needs at least 4 seeds", words="needs at least 4 seeds")
    r, low, high = st.spearman(both.t_score, both.gen_accuracy)
    note, p = f"95 % bootstrap interval {low:.2f} to {high:.2f}", st.spearman_test(both.t_score, both.gen_accuracy)
    return Quantity(*claim, value=r, n=n, width=2.0, note=note, low=low, high=high, p=p, evidence=decide(r, p, 0)[0])


def loss_spread(groups: Groups, task: str) -> Quantity:
    """How much the highest mean loss of a depth is above the lowest, as a share of it; p corrected for the pairs."""
    text = "training loss of the worst depth above the best one (relative)"
    low, high = (pick(groups.values(), key=np.mean) for pick in (min, max))
    pairs = math.comb(len(groups), 2)
    p, least = (test(high, low) * pairs for test in (st.permutation_test, lambda a, b: st.least_p(len(a), len(b))))
    found = _between(("loss_spread", task, None, text, "claim"), high, low, p, least)
    relative = {name: getattr(found, name) / low.mean() for name in ("low", "high")}
    note = "the paper calls the losses comparable and gives no number"
    words = f"{note}; means in nats per token: {by_depth(groups, '.4g')}"
    value = float(high.mean() / low.mean() - 1)
    return replace(found, value=value, note=note, words=words, **relative)
