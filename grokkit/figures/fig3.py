"""Figure 3: (a) how many seeds generalize at each depth; (b) weight norm, attention sparsity, t_score over training."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from grokkit.figures import style as s
from grokkit.report.outcomes import THRESHOLD, Depths, choose_depths, crossings, failed_runs, one_experiment
from grokkit.report.published import TASK_NAMES
from grokkit.report.quantities import FIGURE_TASKS
from grokkit.report.statistics import wilson

MEASURES = {
    "weight_norm": "weight norm / layers",
    "attention_sparsity": "attention sparsity\n(negative entropy, nats)",
    "t_score": "tree-structuredness\n($t_{score}$)",
}
SHARES = (
    "Share of seeds whose generalization accuracy reaches 80 %: at some evaluation (hatched, the paper's criterion) "
    "and at the end (filled), with 95 % Wilson intervals; above the bars the number of these seeds."
)


def draw_share(axes: Axes, table: pd.DataFrame, task: str, legend: bool = True) -> None:
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


def _measures(chosen: dict[str, Depths]) -> str:
    shown = "; ".join(f"{t}: smallest {c.small}, best {c.best}, deep {c.deep}" for t, c in chosen.items())
    return (
        "Weight norm (normalized by layers), attention sparsity and tree-structuredness over training at the "
        f"smallest depth, the best (highest mean generalization at the end) and a deep one ({shown}; deep is "
        f"the largest depth above the best at which some seed reaches 80 %, else the largest). {s.CURVES}"
    )


def _tasks(table: pd.DataFrame) -> list[str]:
    """The paper's, then those of one's own that the table has."""
    return [*FIGURE_TASKS["fig3b"], *(task for task in s.all_tasks(table) if task not in TASK_NAMES)]


def _prepare(
    table: pd.DataFrame, tasks: Sequence[str]
) -> tuple[dict[str, Depths], list[tuple[str, int]], list[tuple[str, int]]]:
    """The depths that (b) shows, by task; all cells (task, depth); those that (b) shows."""
    one_experiment(table)
    chosen = {task: choose_depths(table, task) for task in s.tasks_in(table, tasks)}
    every = [(task, depth) for task in chosen for depth in sorted(set(table[table.task == task].depth))]
    return chosen, every, [(task, depth) for task in chosen for depth in chosen[task].roles()]


def _rows(
    width: float, caption: str, table: pd.DataFrame, tasks: Sequence[str], parts: str, chosen: dict[str, Depths]
) -> s.PaperFigure:
    """A row of panels for each task."""
    widths = [1.25] * ("a" in parts) + [1, 1, 1] * ("b" in parts)
    with s.style():
        figure = s.new_figure(width, 2.6 * len(tasks), caption)
        grid = figure.subplots(len(tasks), len(widths), squeeze=False, gridspec_kw={"width_ratios": widths})
        for row, task in zip(grid, tasks):
            row[0].set_title(TASK_NAMES.get(task, task), loc="left", fontweight="bold", pad=12)
            if task not in chosen:
                for axes in row:
                    s.empty_panel(axes, f"no finished run of {task}")
                continue
            if "a" in parts:
                draw_share(row[0], table, task, legend=task == list(chosen)[-1])
            if "b" in parts:
                for axes, (column, label) in zip(row[-3:], MEASURES.items()):
                    s.panel(axes, table, task, s.role_curves(chosen[task].roles(), column), label)
                _legend(row[-3:], 0.0 if "a" in parts else 0.75)
    return figure


def fig3(table: pd.DataFrame) -> s.PaperFigure:
    """The complete Figure 3: question on top, tense below; (a) on the left, the three panels of (b) on the right."""
    chosen, every, shown = _prepare(table, tasks := _tasks(table))
    facts = s.facts(table, every, "t_score", shown)
    return _rows(11.5, f"Figure 3. (a, left) {SHARES} (b) {_measures(chosen)} {facts}", table, tasks, "ab", chosen)


def fig3a(table: pd.DataFrame) -> s.PaperFigure:
    """Share of seeds that generalize, by depth: ever (the paper's criterion) and at the end."""
    return _shares(table, _tasks(table), "Figure 3a. ")


def depth(table: pd.DataFrame) -> s.PaperFigure:
    """Figure 3a for whatever tasks the table has, a user's own among them."""
    return _shares(table, s.all_tasks(table))


def _shares(table: pd.DataFrame, tasks: Sequence[str], number: str = "") -> s.PaperFigure:
    chosen, every, _ = _prepare(table, tasks)
    return _rows(4.2, f"{number}{SHARES} {s.facts(table, every, bootstrap=False)}", table, tasks, "a", chosen)


def fig3b(table: pd.DataFrame) -> s.PaperFigure:
    """Weight norm, attention sparsity and t_score over training at the small, best and deep depth."""
    chosen, _, shown = _prepare(table, tasks := _tasks(table))
    return _rows(9.5, f"Figure 3b. {_measures(chosen)} {s.facts(table, shown, 't_score')}", table, tasks, "b", chosen)
