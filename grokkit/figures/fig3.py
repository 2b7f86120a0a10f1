"""Figure 3: (a) how many seeds generalize at each depth; (b) weight norm, attention sparsity, t_score over training."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from grokkit.figures import style as s
from grokkit.report.outcomes import THRESHOLD, choose_depths, crossings, failed_runs, takes_results
from grokkit.report.published import TASK_NAMES
from grokkit.report.quantities import FIGURE_TASKS
from grokkit.report.statistics import wilson

MEASURES = {
    "weight_norm": "weight norm / layers",
    "attention_sparsity": "attention sparsity\n(negative entropy, nats)",
    "t_score": "tree-structuredness\n($t_{score}$)",
}
SHARES = (
    "Seeds whose generalization accuracy reaches 80 %, at some evaluation (the paper's criterion) and at the end: "
    "their share with 95 % Wilson intervals, and their number."
)


def _draw_share(axes: Axes, table: pd.DataFrame, task: str, legend: bool) -> None:
    """Bars per depth: share of seeds that are ever, and at the end, at or above 80 %, with Wilson
    intervals; above each bar the number of these seeds, below each depth the number of sound ones."""
    runs, bad = crossings(table[table.task == task]), failed_runs(table)
    cells = {depth: runs[runs.depth == depth] for depth in sorted(set(table[table.task == task].depth))}
    look = {"lw": 0.9, "capsize": 2, "fmt": "o", "ms": 3.5, "clip_on": False}
    words = {"ha": "center", "va": "bottom"}
    for place, (depth, cell) in enumerate(cells.items()):
        lost, n = ((bad.task == task) & (bad.depth == depth)).sum(), len(cell)
        for shift, column, face, hatch in ((-0.2, "ever", "white", "////"), (0.2, "final", s.SKY, None)):
            if n:
                k, at = int(cell[column].sum()), place + shift
                low, high = wilson(k, n)
                axes.bar(at, k / n, 0.38, facecolor=face, edgecolor=s.BLUE, hatch=hatch, lw=0.8)
                axes.errorbar(at, k / n, [[k / n - low], [high - k / n]], color=s.INK, mfc=face, **look)
                axes.text(at, 1.06, str(k), fontsize=6.5, color=s.INK, **words)
        if lost:
            axes.text(place, 1.16 if n else 0.5, f"× {lost} failed", fontsize=6, color=s.RED, **words)
    axes.set(xlim=(-0.6, len(cells) - 0.4), ylim=(0, 1.25), yticks=np.arange(0, 1.01, 0.2), xlabel="layers")
    axes.set_xticks(range(len(cells)), [f"{depth}\nn={len(cell)}" for depth, cell in cells.items()])
    axes.set_ylabel(f"share of seeds with gen ≥ {THRESHOLD:.0%}")
    if legend:
        faces = [Patch(fc="white", ec=s.BLUE, hatch="////"), Patch(fc=s.SKY, ec=s.BLUE)]
        names = ["at some evaluation", "at the end"]
        axes.legend(faces, names, loc="upper center", bbox_to_anchor=(0.5, -0.31), ncols=2)


def _legend(row: Sequence[Axes], x: float) -> None:
    """One legend for all panels of (b), on the line of the task's name: the depths, then the published curves."""
    entries = {text: handle for axes in row for handle, text in zip(*axes.get_legend_handles_labels())}
    if entries:
        place = {"loc": "lower left", "bbox_to_anchor": (x, 1.07), "borderaxespad": 0, "columnspacing": 1.2}
        legend = row[0].legend(entries.values(), entries.keys(), ncols=len(entries), handlelength=2.6, **place)
        legend.set_in_layout(False)  # it is wider than its panel, which must not push the columns apart


def _tasks(table: pd.DataFrame) -> list[str]:
    """The paper's, then those of one's own that the table has."""
    return [*FIGURE_TASKS["fig3b"], *(task for task in s.all_tasks(table) if task not in TASK_NAMES)]


def _figure(name: str, width: float, table: pd.DataFrame, parts: str, tasks: Sequence[str]) -> s.PaperFigure:
    """A row of panels for each task: the bars of (a), the three panels of (b), or both."""
    widths = [1.25] * ("a" in parts) + [1, 1, 1] * ("b" in parts)
    chosen = {task: choose_depths(table, task) for task in s.tasks_in(table, tasks)}
    cells = [
        (task, depth)
        for task, depths in chosen.items()
        for depth in (sorted(set(table[table.task == task].depth)) if "a" in parts else depths.roles())
    ]
    shown = "; ".join(f"{task}: smallest {d.small}, best {d.best}, deep {d.deep}" for task, d in chosen.items())
    texts = {"a": SHARES, "b": f"Means over training at three depths ({shown}). {s.CURVES}"}
    text = " ".join((f"({part}) " if len(parts) > 1 else "") + texts[part] for part in parts)
    with s.style():
        caption = f"{name}{text} {s.facts(table, cells, bootstrap='b' in parts)}"
        figure = s.new_figure(width, 2.6 * len(tasks), caption)
        grid = figure.subplots(len(tasks), len(widths), squeeze=False, gridspec_kw={"width_ratios": widths})
        for row, task in zip(grid, tasks):
            row[0].set_title(TASK_NAMES.get(task, task), loc="left", fontweight="bold", pad=12)
            if task not in chosen:
                for axes in row:
                    s.empty_panel(axes, f"no finished run of {task}")
                continue
            if "a" in parts:
                _draw_share(row[0], table, task, legend=task == list(chosen)[-1])
            if "b" in parts:
                for axes, (column, label) in zip(row[-3:], MEASURES.items()):
                    s.panel(axes, table, task, s.role_curves(chosen[task].roles(), column), label)
                _legend(row[-3:], 0.0 if "a" in parts else 0.75)
    return figure


@takes_results("preset", "data_source")
def fig3(table: pd.DataFrame) -> s.PaperFigure:
    """The complete Figure 3: question on top, tense below; (a) on the left, the three panels of (b) on the right."""
    return _figure("Figure 3. ", 11.5, table, "ab", _tasks(table))


@takes_results("preset", "data_source")
def fig3a(table: pd.DataFrame) -> s.PaperFigure:
    """Share of seeds that generalize, by depth: ever (the paper's criterion) and at the end."""
    return _figure("Figure 3a. ", 4.2, table, "a", _tasks(table))


@takes_results("preset", "data_source")
def depth(table: pd.DataFrame) -> s.PaperFigure:
    """Figure 3a for whatever tasks the table has, a user's own among them."""
    return _figure("", 4.2, table, "a", s.all_tasks(table))


@takes_results("preset", "data_source")
def fig3b(table: pd.DataFrame) -> s.PaperFigure:
    """Weight norm, attention sparsity and t_score over training at the small, best and deep depth."""
    return _figure("Figure 3b. ", 9.5, table, "b", _tasks(table))
