"""Figure 3: (a) generalization at each depth, seed by seed; (b) weight norm, attention sparsity, t_score."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.figures.curves import mean_and_interval, panel, role_curves
from grokkit.report import outcomes as o
from grokkit.report.published import TASK_NAMES, layers
from grokkit.report.quantities import FIGURE_TASKS
from grokkit.report.statistics import spearman, wilson
from grokkit.storage.table import check_table

MEASURES = {
    "weight_norm": "weight norm / layers",
    "attention_sparsity": "attention sparsity\n(negative entropy, nats)",
    "t_score": "tree-structuredness ($t_{score}$)",
}
_MARKERS = {"o": "a run", "^": "its second training"}
_A = (
    f"Generalization accuracy at the end of training by depth. Every point is a run, the line is at {o.THRESHOLD:g}; "
    f"points are hollow at a depth where some run never reaches val {o.SATURATED:g}. Small panel: share of seeds with "
    f"{o.THRESHOLD:g} or more at some evaluation (ever, the paper's criterion) and at the end, with 95 % Wilson "
    "intervals."
)
_B = (
    "Weight norm, attention sparsity and tree-structuredness over training and, at every depth, at the end. "
    "Curves: {}. Last column: t_score against generalization at the end, a point a seed, with "
    "Spearman's rank correlation at the best depth and its 95 % bootstrap interval."
)


def _draw_a(strip: Axes, shares: Axes, task: str, tables: Sequence[pd.DataFrame]) -> None:
    """Generalization at the end of every run with the means over seeds, and shares of seeds, by depth."""
    rows = [table[table.task == task] for table in tables]
    depths = sorted(set(rows[0].depth))
    _draw_strip(strip, rows, depths)
    _draw_shares(shares, [o.crossings(table) for table in rows], depths)
    for axes in (strip, shares):
        axes.set(xlim=(-0.5, len(depths) - 0.5), ylim=(-0.03, 1.1), yticks=np.arange(0, 1.01, 0.2))
        axes.set(xlabel="layers", xticks=range(len(depths)), xticklabels=depths)
        axes.legend(loc="upper left", bbox_to_anchor=(-0.12, -0.18), handletextpad=0.1)


def _draw_strip(axes: Axes, rows: Sequence[pd.DataFrame], depths: Sequence[int]) -> None:
    """Each seed has a place of its own, where its trainings stand one above the other; to the right is the mean."""
    ends, means, failed = [*map(o.at_end, rows)], o.seed_means(*rows), o.failed_runs(rows[0]).depth
    stops = pd.concat(map(o.early_stopping, rows))
    untrained = set(stops[stops.saturation_step.isna()].depth)
    middles = {}
    for depth, cell in means.groupby("depth"):
        place, color = depths.index(depth), s.depth_color(depth)
        spread = dict(zip(cell.seed, place + np.linspace(-0.4, 0.15, len(cell))))
        look = {"s": 14, "color": color, "facecolor": "none" if depth in untrained else color, "zorder": 3}
        for marker, runs in zip(_MARKERS, ends):
            here = runs[runs.depth == depth]
            axes.scatter(here.seed.map(spread), here.gen_accuracy, marker=marker, **look)
        middles[place + 0.3] = mean_and_interval(axes, place + 0.3, cell.gen_accuracy, s.INK)
    axes.plot(middles.keys(), middles.values(), color=s.GREY, lw=0.8, zorder=1)
    for depth, lost in failed.value_counts().items():
        look = {"fontsize": s.SMALL, "color": s.RED, "ha": "center"}
        axes.text(depths.index(depth), 1.04, f"× {lost} failed", **look)
    for marker, label in [*_MARKERS.items()][: len(rows)]:
        axes.scatter([], [], 14, color=s.INK, marker=marker, label=label)
    if untrained:
        axes.scatter(
            [], [], 14, color=s.INK, facecolor="none", label=f"a depth where not all reach val {o.SATURATED:g}"
        )
    axes.plot([], [], "D", color=s.INK, ms=5, mec="white", label="mean over seeds")
    axes.axhline(o.THRESHOLD, color=s.GREY, lw=0.8, ls=(0, (4, 3)))
    axes.set_ylabel("generalization accuracy at the end")


def _draw_shares(axes: Axes, runs: Sequence[pd.DataFrame], depths: Sequence[int]) -> None:
    """Shares of seeds with Wilson intervals, left ever (open), right at the end; each training has its marker."""
    for shift, marker, found in zip((0, 0.15), _MARKERS, runs):
        for depth, cell in found.groupby("depth"):
            color = s.depth_color(depth)
            for column, face, side in (("ever", "white", -0.25), ("final", color, 0.1)):
                x, k, n = depths.index(depth) + side + shift, int(cell[column].sum()), len(cell)
                axes.plot([x, x], wilson(k, n), color=color, lw=1)
                axes.plot(x, k / n, marker, color=color, mfc=face, ms=4, zorder=4)
    for face, label in (("white", "ever"), (s.INK, "at the end")):
        axes.plot([], [], "o", color=s.INK, mfc=face, ms=4, label=label)
    axes.set_ylabel(f"share of seeds with gen ≥ {o.THRESHOLD:g}")


def _draw_b(*panels_and_task, table: pd.DataFrame) -> None:
    """The three measures over training, each with its last values at all depths; t_score against generalization."""
    *panels, against, task = panels_and_task
    chosen, ends = o.choose_depths(table, task), o.at_end(table[table.task == task])
    depths = sorted(set(ends.depth))
    for curves, last, (column, label) in zip(panels[::2], panels[1::2], MEASURES.items()):
        if not panel(curves, table, task, role_curves(chosen.roles(), column), label):
            s.empty_panel(last)
            continue
        for depth, cell in ends.dropna(subset=column).groupby("depth"):
            mean_and_interval(last, depths.index(depth), cell[column], s.depth_color(depth))
        last.sharey(curves)
        last.tick_params(left=False, labelleft=False)
        last.spines["left"].set_visible(False)
        last.set(xlim=(-0.5, len(depths) - 0.5), xticks=range(len(depths)), xticklabels=depths, xlabel="layers")
    _draw_correlation(against, ends.dropna(subset="t_score"), chosen.best)
    entries = {text: handle for axes in panels for handle, text in zip(*axes.get_legend_handles_labels())}
    look = {"borderaxespad": 0, "columnspacing": 1, "handlelength": 1.6, "ncols": len(entries)}
    legend = panels[0].legend(entries.values(), entries.keys(), loc="lower left", bbox_to_anchor=(1.5, 1.06), **look)
    legend.set_in_layout(False)  # it is wider than its panel, which must not push the columns apart


def _draw_correlation(axes: Axes, ends: pd.DataFrame, best: int) -> None:
    """t_score against generalization at the end, a point a run, and Spearman's correlation at the best depth."""
    if ends.empty:
        return s.empty_panel(axes)
    axes.scatter(ends.t_score, ends.gen_accuracy, 12, color=[s.depth_color(depth) for depth in ends.depth])
    cell = ends[ends.depth == best]
    if len(cell) > 3:
        r, low, high = spearman(cell.t_score, cell.gen_accuracy)
        text = f"{layers(best)}: r = {r:+.2f}\n[{low:+.2f}, {high:+.2f}]"
        axes.text(0.02, 1.42, text, va="top", transform=axes.get_yaxis_transform())
    axes.set(xlabel="$t_{score}$ at the end", ylabel="gen at the end", ylim=(-0.03, 1.45), yticks=(0, 0.5, 1))


def _tasks(table: pd.DataFrame) -> list[str]:
    """The paper's, then those of one's own that the table has."""
    return [*FIGURE_TASKS["fig3b"], *(task for task in s.all_tasks(table) if task not in TASK_NAMES)]


def _figure(name: str, table: pd.DataFrame, parts: str, tasks: Sequence[str], again: pd.DataFrame | None = None):
    """(a) with two tasks in a row, below it (b) with a row for each task; or one of them."""
    preset = o.one_experiment(table)
    if again is not None and (other := o.one_experiment(check_table(again, "the second training"))) != preset:
        raise GrokkitError(f"the second training is of preset {other}, the first of {preset}")
    there = s.tasks_in(table, tasks)
    cells = [(task, depth) for task in there for depth in sorted(set(table[table.task == task].depth))]
    chosen = {task: o.choose_depths(table, task) for task in there}
    roles = {task: [f"{role} {depth}" for depth, role in depths.roles().items()] for task, depths in chosen.items()}
    shown = "; ".join(f"{task}: {', '.join(named)}" for task, named in roles.items())
    mark = {part: f"({part}) " if len(parts) > 1 else "" for part in parts}
    texts = {"a": _A, "b": _B.format(shown)}
    text = " ".join([name, *(mark[part] + texts[part] for part in parts), s.CURVES])
    pairs = [tasks[first : first + 2] for first in range(0, len(tasks), 2)] if "a" in parts else []
    heights = [3.2] * len(pairs) + [2.4] * (len(tasks) if "b" in parts else 0)
    draw_a = partial(_draw_a, tables=[table] if again is None else [table, again])
    draw_b = partial(_draw_b, table=table)
    with s.style():
        figure = s.new_figure(9.5, sum(heights), text, s.facts(table, cells, again))
        rows = iter(figure.add_gridspec(len(heights), 1, height_ratios=heights))
        for pair, row in zip(pairs, rows):
            s.fill(row, {task: mark["a"] + TASK_NAMES.get(task, task) for task in pair}, there, draw_a, (2.2, 1))
        for task, row in zip(tasks, rows):
            titles = {task: mark["b"] + TASK_NAMES.get(task, task)}
            s.fill(row, titles, there, draw_b, (2.5, 1.35, 2.5, 1.35, 2.5, 1.35, 2.6))
    return figure


@o.takes_results("preset", "data_source")
def fig3(table: pd.DataFrame, again: pd.DataFrame | None = None) -> s.PaperFigure:
    """The complete Figure 3: (a) on top, below it (b). again: see `fig3a`."""
    return _figure("Figure 3.", table, "ab", _tasks(table), again)


@o.takes_results("preset", "data_source")
def fig3a(table: pd.DataFrame, again: pd.DataFrame | None = None) -> s.PaperFigure:
    """Generalization at the end by depth, seed by seed, with means over seeds; and the share of seeds that generalize,
    ever (the paper's criterion) and at the end.

    again: the table of a second training of the same runs; a seed counts once, with the mean of its two trainings.
    """
    return _figure("Figure 3a.", table, "a", _tasks(table), again)


@o.takes_results("preset", "data_source")
def depth(table: pd.DataFrame, again: pd.DataFrame | None = None) -> s.PaperFigure:
    """Figure 3a for whatever tasks the table has, a user's own among them."""
    return _figure("", table, "a", s.all_tasks(table), again)


@o.takes_results("preset", "data_source")
def fig3b(table: pd.DataFrame) -> s.PaperFigure:
    """Weight norm, attention sparsity and t_score over training at the small, best and deep depth, their last values at
    all depths, and t_score against generalization."""
    return _figure("Figure 3b.", table, "b", _tasks(table))
