"""The numbers that a results table gives for each figure, with the claims about them: what `grokkit.report.verdict`
judges. Numbers are means over the runs that are counted, or shares of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.report import claims as c
from grokkit.report import outcomes
from grokkit.report.claims import Quantity
from grokkit.report.published import TASK_NAMES, incomparable, published
from grokkit.report.statistics import mean_sd
from grokkit.storage.table import RUN

SPLITS = {"train": "Train", "val": "In-domain val", "gen": "Generalization"}
HALF_ITEM = 5e-4  # an accuracy is a share of at least 1,000 items at paper scale: the finest difference is half an item


def _mean(name: str, task: str, depth: int, text: str, values: Sequence[float], **options) -> Quantity:
    n, value, sd = mean_sd(values)
    return Quantity(name, task, int(depth), text, "mean", value, sd, n, **options)


def _fig2(table: pd.DataFrame, runs: pd.DataFrame, task: str, depths: Sequence[int]) -> Iterator[Quantity]:
    for depth in depths:
        cell = runs[runs.depth == depth]
        steps = np.sort(table[(table.depth == depth) & (table.step > 0)].step.unique())
        grid = float(np.diff(steps).max()) if len(steps) > 1 else float(steps[0])
        for name, values, text, width, resolution in (
            ("gen_at_stop", cell.gen_at_stop, "generalization at early stopping", 1.0, HALF_ITEM),
            ("gen_at_end", cell.gen_at_end, "generalization at the end", 1.0, HALF_ITEM),
            ("gain", cell.gain, "generalization gained after early stopping", 2.0, HALF_ITEM),
            ("stop_step", cell.stop_step, "step of early stopping", math.nan, grid / 2),
            ("share_of_steps", cell.share, "share of evaluations with generalization >= .8", 1.0, 1 / len(steps)),
        ):
            yield _mean(name, task, depth, text, values, width=width, resolution=resolution)
        yield c.positive("claim_gain", task, depth, "generalization goes on improving after early stopping", cell.gain)


def _fig3a(table: pd.DataFrame, runs: pd.DataFrame, task: str, depths: Sequence[int]) -> Iterator[Quantity]:
    for depth, cell in runs.groupby("depth"):
        for column, when in (("ever", "at some evaluation"), ("final", "at the end")):
            text, share = f"share of seeds with generalization >= .8 {when}", float(cell[column].mean())
            yield Quantity(f"{column}_share", task, int(depth), text, "share", share, n=len(cell), width=1.0)
    yield c.inverted_u(runs, task)


def _rise(table: pd.DataFrame, column: str) -> pd.Series:
    """Last minus first measured value of every run that is counted."""
    runs = outcomes.counted(table).dropna(subset=[column]).sort_values("step").groupby(RUN)[column]
    return runs.last() - runs.first()


def _fig3b(table: pd.DataFrame, runs: pd.DataFrame, task: str, depths: Sequence[int]) -> Iterator[Quantity]:
    best = outcomes.depths_of(runs).best
    names = {"weight_norm": "weight norm / layers", "attention_sparsity": "attention sparsity (nats)"}
    for column, name in (names | {"t_score": "t_score"}).items():
        outcomes.require(table, column)
        ends = c.groups_of(runs, column)
        for depth in (depth for depth in depths if depth in ends):
            yield _mean(column, task, depth, f"{name} at the end", ends[depth])
        if ends and column != "t_score":
            text = f"{name.split(' (')[0]} grows during training"
            yield c.positive(f"claim_{column}_grows", task, None, text, _rise(table, column))
    scores = runs.dropna(subset=["t_score"])
    if len(scores):
        yield c.highest_t_score(scores, task, best)
        yield replace(c.seed_correlation(scores, task, best), evidence="")


def _fig4(table: pd.DataFrame, runs: pd.DataFrame, task: str, depths: Sequence[int]) -> Iterator[Quantity]:
    outcomes.require(table, "t_parseval")
    ends = c.groups_of(runs, "t_parseval")
    baselines, source = outcomes.parseval_baselines(table, task)
    right = baselines["right"]
    for depth in (depth for depth in depths if depth in ends):
        yield _mean("t_parseval", task, depth, "t_parseval at the end", ends[depth], width=1.0)
        text, note = "t_parseval is above right-branching", f"right-branching {right:.3f} {source}"
        yield c.positive("claim_above_right", task, depth, text, ends[depth] - right, note)
    if ends:
        text = "t_parseval rises during training"
        yield c.positive("claim_parseval_rises", task, None, text, _rise(table, "t_parseval"))


def _fig5(table: pd.DataFrame, runs: pd.DataFrame, task: str, depths: Sequence[int]) -> Iterator[Quantity]:
    losses, best = c.groups_of(runs, "loss"), outcomes.depths_of(runs).best
    for depth, values in losses.items():
        yield _mean("loss_level", task, depth, "training loss at the end (nats per token)", values)
    if len(losses) > 1:
        yield replace(c.loss_spread(losses, task), n=len(losses), evidence=c.UNDECIDED)  # the paper gives no number
    there = runs[runs.ever & (runs.depth == best)]
    text = "training loss is flat (within 5 % of its level) before generalization reaches .8, in steps"
    note = "" if len(there) else "no seed reaches .8"
    yield c.positive("claim_loss_first", task, best, text, there.first_step - there.flat_step, note)


FIGURES = {"fig2": _fig2, "fig3a": _fig3a, "fig3b": _fig3b, "fig4": _fig4, "fig5": _fig5}
FIGURE_TASKS = dict.fromkeys(FIGURES, ("question", "tense")) | {"fig2": ("dyck", "question", "tense")}


@outcomes.takes_results("preset")
def quantities_of(table: pd.DataFrame, figure: str, all_depths: bool = False) -> list[Quantity]:
    """The quantities of a figure ("fig2", "fig3a", "fig3b", "fig4", "fig5") on a results table.

    all_depths: at every depth, not only at those that the figure shows and the published ones.
    """
    if figure not in FIGURES:
        raise GrokkitError(f"no numbers belong to {figure!r}: use table1, {', '.join(FIGURES)} or fig3")
    preset, good, found = outcomes.one_experiment(table), outcomes.sound(table), []
    for task in FIGURE_TASKS[figure]:
        there = sorted(set(good[good.task == task].depth))
        if not there:
            continue
        rows, chosen = table[table.task == task], outcomes.choose_depths(table, task)
        shown = {chosen.best} if figure == "fig2" else set(chosen.roles())
        if not incomparable(preset, task):
            numbers = published(task=task)
            shown |= set(there) & set(numbers[numbers.figure == figure].depth.dropna().astype(int))
        found += FIGURES[figure](rows, outcomes.runs(rows), task, there if all_depths else sorted(shown))
    if not found:
        raise GrokkitError(
            f"the table holds no run that {figure} needs: tasks {', '.join(FIGURE_TASKS[figure])}, not"
            f" {', '.join(table.task.unique())}"
        )
    return found


def sizes(corpora: Mapping[str, Mapping]) -> pd.DataFrame:
    """Table 1: one row per (task, split): size, the published size, mean words a line.

    corpora: task -> Corpus. Raises for a task without published sizes.
    """
    if not corpora:
        raise GrokkitError("Table 1 needs at least one corpus, e.g. {'question': task.generate()}")
    unknown = [task for task in corpora if task not in TASK_NAMES]
    if unknown:
        raise GrokkitError(f"Table 1 has no task {unknown[0]!r}: use {', '.join(TASK_NAMES)}")
    rows = []
    for task in (task for task in TASK_NAMES if task in corpora):
        known = published("table1", task).set_index("quantity").value
        for split in SPLITS:
            lines = corpora[task][split].lines
            words = sum(len(line.split()) for line in lines) / len(lines) if len(lines) else math.nan
            rows.append((task, split, len(lines), int(known[f"{split}_size"]), words))
    return pd.DataFrame(rows, columns=["task", "split", "size", "published", "words"])
