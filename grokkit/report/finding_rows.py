"""The rows of `gk.findings` figure by figure, from a table with a row a run (`outcomes.runs`)."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pandas as pd

from grokkit.report import claims as c
from grokkit.report import outcomes
from grokkit.report.published import layers
from grokkit.report.statistics import holm, mean_interval, per_seed, wilson
from grokkit.storage.table import RUN

MODIFIERS = {
    "rci": "an intransitive relative clause",
    "rct": "a transitive relative clause",
    "rco": "an object relative clause",
    "pp": "a prepositional phrase",
}
"""What stands on the subject, by the ending of gen_accuracy_<ending>."""
NORMS = {
    "weight_norm": "the weight norm divided by the layers",
    "weight_norm_sqrt": "the weight norm divided by the root of the layers",
}
T_SCORES = {
    "t_score": "with greedy trees",
    "t_score_exact": "with the best trees",
    "t_score_uniform_splits": "against random splits",
    "t_score_uniform_trees": "against all trees",
}
"""Four definitions of t_score, see columns.csv; the first is that of the figures."""


def _measured(runs: pd.DataFrame, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in runs and runs[name].notna().any()]


def _corrected(mine: c.Quantity, p: float, times: int) -> c.Quantity:
    """With p, corrected for so many comparisons, in place of that of one."""
    if math.isnan(mine.p) or times == 1:
        return mine
    p, least = min(1.0, p), mine.least * times
    words = f"{mine.words}; p is corrected for {times} comparisons, alone it is {mine.p:.2g}"
    return replace(mine, p=p, least=least, evidence=c.decide(mine.value, p, least)[0], words=words)


def _share(task: str, depth: int | None, text: str, values: pd.Series, words: str) -> c.Quantity:
    """The mean over seeds of a share of each, or of yes and no."""
    n, value = len(values), float(values.mean())
    if set(values) <= {0, 1}:
        low, high = wilson(int(values.sum()), n)
    else:
        low, high = (min(1.0, max(0.0, end)) for end in mean_interval(values.to_list()))
    return c.Quantity("", task, depth, text, "share", value, n=n, low=low, high=high, words=words)


def _mostly(task: str, text: str, yes: pd.Series, seed: pd.Series) -> c.Quantity:
    """The claim that something is so in more than half of the runs of a seed, on average. yes: of each run."""
    words, values = f"{yes.sum():.0f} of {len(yes)} runs, all depths counted", yes.astype(float).groupby(seed).mean()
    test = c.positive("", task, None, text, values - 0.5, words)
    if test.n == 0:
        return test
    return replace(_share(task, None, text, values, words), p=test.p, least=test.least, evidence=test.evidence)


def _fig2(runs: pd.DataFrame, table: pd.DataFrame, task: str) -> Iterator[c.Quantity]:
    seeds = per_seed(runs)
    depth = outcomes.depths_of(seeds).best
    at = seeds[seeds.depth == depth]
    for column, stop, since in (
        ("gain", "gen_at_stop", "after the first maximum of validation accuracy (early stopping)"),
        ("gain_from_saturation", "gen_at_saturation", "after validation accuracy first reaches .99"),
    ):
        good, words = at.dropna(subset=[column]), []
        if len(good):
            words.append(f"from {good[stop].mean():.2f} to {good.gen_at_end.mean():.2f}")
        if len(good) < len(at):
            words.append(f"{len(at) - len(good)} of {len(at)} seeds never reach it and are left out")
        yield c.positive("", task, depth, f"generalization accuracy rises {since}", good[column], "; ".join(words))
    held = at.val_held.dropna()
    if len(held):
        text = "share of the evaluations after the first validation accuracy of .99 that are at .99 or more"
        yield _share(task, depth, text, held, f"it is lower in {1 - held.mean():.0%} of them")
    if _measured(at, ["gen_full_sentence"]):
        whole = per_seed(runs[runs.depth == depth].dropna(subset=["gen_full_sentence"]))  # in trainings that have it
        first = bool(_measured(at, ["gen_first_word"]))
        scored, full = whole["gen_first_word" if first else "gen_accuracy"], whole.gen_full_sentence
        part = "the first word" if first else "the word that is scored"
        text = f"{part} is right more often than the whole answer (generalization set, at the end)"
        said = f"{scored.mean():.2f} of these words, {full.mean():.3f} of the whole answers"
        yield c.positive("", task, depth, text, (scored - full).dropna(), said)
    yield from _by_modifier(at, task, depth)


def _by_modifier(at: pd.DataFrame, task: str, depth: int) -> Iterator[c.Quantity]:
    """The easiest against the hardest of what stands on the subject, chosen by the means, so p is times the pairs."""
    kinds = {name: f"gen_accuracy_{name}" for name in MODIFIERS if _measured(at, [f"gen_accuracy_{name}"])}
    if len(kinds) > 1:
        hardest, *_, easiest = sorted(kinds, key=lambda name: at[kinds[name]].mean())
        text = f"answers are right more often with {MODIFIERS[easiest]} on the subject than with {MODIFIERS[hardest]}"
        words = "means: " + ", ".join(f"{MODIFIERS[name]} {at[column].mean():.2f}" for name, column in kinds.items())
        test = c.positive("", task, depth, text, (at[kinds[easiest]] - at[kinds[hardest]]).dropna(), words)
        pairs = math.comb(len(kinds), 2)
        yield _corrected(test, test.p * pairs, pairs)


def _trained(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs at depths at which every run reaches val .99; all of a task that has fewer than two such depths."""
    trained = runs.saturation_step.notna().groupby([runs.task, runs.depth]).transform("all")
    return runs[trained | (runs.depth.where(trained).groupby(runs.task).transform("nunique") < 2)]


def _twice(of: Callable[..., list[c.Quantity]], runs: pd.DataFrame, given) -> list[c.Quantity]:
    """of(means per seed, given) from the runs that are `_trained`; and from all of them, where that gives another
    value."""
    found, others = of(per_seed(_trained(runs)), given), runs.drop(_trained(runs).index)
    if others.empty:
        return found
    cells = [
        f"{layers(depth)} of {task}, where {cell.saturation_step.isna().sum()} of {len(cell)} runs never came to"
        f" validation .99{'' if cell.duplicated(RUN).any() or not runs.duplicated(RUN).any() else ', trained once'}"
        for (task, depth), cell in others.groupby(["task", "depth"])
    ]
    note, known = f"; with {' and '.join(cells)}", {mine.value for mine in found}
    more = [mine for mine in of(per_seed(runs), given) if mine.value not in known]
    return found + [replace(mine, text=mine.text + note) for mine in more]


def _beside_ends(seeds: pd.DataFrame, task: str) -> list[c.Quantity]:
    groups, found = c.groups_of(seeds, "last"), []
    if len(groups) > 1:
        found += c.beside_ends(groups, task, "generalize better at the end")
    if len(groups) > 2:
        text = "inverted U: a depth in between generalizes better at the end than both the smallest and the largest"
        found.append(replace(c.inverted_u(seeds, task), text=text))
    return found


def _fig3a(runs: pd.DataFrame, table: pd.DataFrame, task: str) -> Iterator[c.Quantity]:
    yield from _twice(_beside_ends, runs, task)
    seeds, best = per_seed(runs), outcomes.depths_of(per_seed(_trained(runs))).best
    for column, when in (("ever", "at some evaluation"), ("final", "at the end")):
        shares = c.groups_of(seeds, column)
        text = f"share of seeds with a generalization accuracy of .8 or more {when}"
        yield _share(task, best, text, pd.Series(shares[best]), "by depth: " + c.by_depth(shares))


def tasks_together(runs: pd.DataFrame, tasks: Sequence[str]) -> list[c.Quantity]:
    """The comparisons of Figure 3a with the mean of each seed over all tasks that have three depths or more."""
    return _twice(_together, runs, tasks)


def _together(seeds: pd.DataFrame, tasks: Sequence[str]) -> list[c.Quantity]:
    roles, choices = {}, 1
    for task in tasks:
        groups = c.groups_of(seeds[seeds.task == task], "last")
        if len(groups) > 2:
            first, *inner, last = groups
            roles[task] = (max(inner, key=lambda depth: groups[depth].mean()), first, last)
            choices *= len(inner)
    if len(roles) < 2:
        return []
    means = []
    for depths in zip(*roles.values(), strict=True):
        parts = [seeds[(seeds.task == task) & (seeds.depth == depth)] for task, depth in zip(roles, depths)]
        wide = pd.concat(parts).pivot(index="seed", columns="task", values="last").dropna()
        means.append(wide.mean(axis=1).to_numpy())
    between, *ends = means
    found = []
    for name, end in zip(("smallest", "largest"), ends, strict=True):
        text = f"the best depth in between generalizes better at the end than the {name} (mean over the tasks)"
        words = f"means: {between.mean():.2f} and {end.mean():.2f}" if len(between) and len(end) else "no common seed"
        found.append(c.higher("", " and ".join(roles), None, text, between, end, words))
    corrected = holm([mine.p * choices for mine in found])
    return [_corrected(mine, p, 2 * choices) for mine, p in zip(found, corrected, strict=True)]


def _largest_norm(seeds: pd.DataFrame, task: str, column: str) -> Iterator[c.Quantity]:
    """The claim that the smallest depth ends with the largest norm, over seeds that have all depths."""
    wide = seeds.pivot(index="seed", columns="depth", values=column).dropna()
    first, *others = wide
    top = max(others, key=lambda depth: wide[depth].mean())
    words = f"at the end {c.by_depth(c.groups_of(seeds, column), '.1f')}"
    before = c.groups_of(seeds, f"{column}_before") if f"{column}_before" in seeds else {}
    if before:
        largest = max(before, key=lambda depth: before[depth].mean())
        words += f"; before training it is largest at {layers(largest)}: {c.by_depth(before, '.1f')}"
    text = f"{NORMS[column]} is largest at {layers(first)} at the end"
    yield c.positive("", task, None, text, wide[first] - wide[top], words)


def _fig3b(runs: pd.DataFrame, table: pd.DataFrame, task: str) -> Iterator[c.Quantity]:
    if not _measured(runs, ["t_score"]):
        return
    seeds = per_seed(runs)
    several, best = seeds.depth.nunique() > 1, outcomes.depths_of(seeds).best
    if several:
        text = "t_score (how tree-like the computation is) is highest at the depth that generalizes best"
        yield replace(c.highest_t_score(seeds, task, best), text=text)
    text = "seeds with a higher t_score generalize better at the end (rank correlation)"
    yield replace(c.seed_correlation(per_seed(runs.dropna(subset=["t_score"])), task, best), text=text)
    for column in _measured(seeds, list(NORMS)) if several else ():
        yield from _largest_norm(seeds, task, column)
    names = _measured(seeds, list(T_SCORES))
    if len(names) > 1 and several:
        wide = seeds.pivot(index="seed", columns="depth", values=names).dropna()
        same = pd.DataFrame({name: wide[name].idxmax(axis=1) for name in names}).nunique(axis=1) == 1
        orders = {name: wide[name].mean().sort_values(ascending=False).index.astype(str) for name in names}
        listed = [f"{T_SCORES[name]} {', '.join(order)}" for name, order in orders.items()]
        alike = "alike" if len({tuple(order) for order in orders.values()}) == 1 else "differently"
        text = f"share of seeds in which {len(names)} definitions of t_score name the same depth as highest"
        words = f"the means order the depths {alike}, highest first: {'; '.join(listed)}"
        yield _share(task, None, text, same.astype(float), words)


def _fig4(runs: pd.DataFrame, table: pd.DataFrame, task: str) -> Iterator[c.Quantity]:
    if not _measured(runs, ["t_parseval"]):
        return
    baselines = outcomes.parseval_baselines(table, task)[0]
    others = {name: baselines[name] for name in ("balanced", "random") if name in baselines}
    for depth, values in c.groups_of(per_seed(runs), "t_parseval").items():
        tests = {name: c.positive("", task, depth, "", values - f1) for name, f1 in others.items()}
        beside = [f"{values.mean():.2f} against {baselines['right']:.2f}"]
        for (name, test), p in zip(tests.items(), holm([test.p for test in tests.values()]), strict=True):
            evidence = c.decide(test.value, p, test.least)[0]
            verb = {c.SUPPORTED: "above", c.CONTRADICTED: "below", c.UNDECIDED: "not told apart from"}[evidence]
            beside.append(f"{verb} {name} trees ({others[name]:.2f})")
        text = "induced trees are closer to the gold trees than right-branching ones (t_parseval, bracketing F1)"
        yield c.positive("", task, depth, text, values - baselines["right"], "; ".join(beside))
    good = runs.dropna(subset=["t_parseval"]).assign(good=runs.final.astype(bool))
    excess = good.t_parseval - good.groupby("depth").t_parseval.transform("mean")
    wide = good.assign(excess=excess).pivot_table(index="seed", columns="good", values="excess")
    both = wide.reindex(columns=[True, False]).dropna()
    text = (
        "of one seed, runs that end at .8 or more have better trees than the others (each less the mean of its depth)"
    )
    words = f"{good.good.sum()} of {len(good)} runs do; only seeds with runs of both kinds count"
    yield c.positive("", task, None, text, both[True] - both[False], words)


def _fig5(runs: pd.DataFrame, table: pd.DataFrame, task: str) -> Iterator[c.Quantity]:
    text = "in most runs validation accuracy reaches .99 before the training loss is flat (within 5 % of its level)"
    yield _mostly(task, text, runs.saturation_step < runs.flat_step, runs.seed)
    reach = runs[runs.ever.astype(bool) & runs.saturation_step.notna()]
    text = "most runs that generalize do it in the paper's order: loss flat, validation .99, generalization .8"
    order = (reach.flat_step < reach.saturation_step) & (reach.saturation_step < reach.first_step)
    yield _mostly(task, text, order, reach.seed)
    seeds = per_seed(runs.assign(wait=runs.first_step - runs.flat_step))
    best = outcomes.depths_of(seeds).best
    wait = seeds[seeds.depth == best].wait.dropna()
    text = "the training loss is flat before generalization accuracy reaches .8 (steps between)"
    words = f"{len(wait)} of {(seeds.depth == best).sum()} seeds reach .8"
    yield c.positive("", task, best, text, wait, words)
    losses = c.groups_of(seeds, "loss")
    if len(losses) > 1:
        text = "the depths end at different training losses (the highest above the lowest, relative)"
        yield replace(c.loss_spread(losses, task), text=text)


FIGURES = {"fig2": _fig2, "fig3a": _fig3a, "fig3b": _fig3b, "fig4": _fig4, "fig5": _fig5}
NEEDS = {"fig3b": "a value of t_score", "fig4": "a value of t_parseval"}
