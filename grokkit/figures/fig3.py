"""Figure 3: (a) how many seeds generalize at each depth; (b) weight norm, attention sparsity, t_score over
training."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.report.outcomes import THRESHOLD, Depths, choose_depths, crossings, failed_runs
from grokkit.report.statistics import wilson

TASKS = ("question", "tense")
MEASURES = {
    "weight_norm": "weight norm / layers",
    "attention_sparsity": "attention sparsity\n(negative entropy, nats)",
    "t_score": "tree-structuredness\n($t_{score}$)",
}
_MARKERS = {"smallest": "v", "best": "o", "deep": "^"}


def draw_share(axes: Axes, table: pd.DataFrame, task: str, legend: bool = True) -> None:
    """Bars per depth: share of seeds that are ever, and at the end, at or above 80 %, with Wilson
    intervals; above each bar the number of these seeds, below each depth the number of sound ones."""
    runs, bad = crossings(table[table.task == task]), failed_runs(table)
    depths = sorted(set(table[table.task == task].depth))
    cells = {depth: runs[runs.depth == depth] for depth in depths}
    look = {"lw": 0.9, "capsize": 2, "fmt": "o", "ms": 3.5, "clip_on": False}
    for place, (depth, cell) in enumerate(cells.items()):
        lost, n = ((bad.task == task) & (bad.depth == depth)).sum(), len(cell)
        for shift, column, face, hatch in ((-0.2, "ever", "white", "////"), (0.2, "final", s.SKY, None)):
            if n:
                k, at = int(cell[column].sum()), place + shift
                low, high = wilson(k, n)
                axes.bar(at, k / n, 0.38, facecolor=face, edgecolor=s.BLUE, hatch=hatch, lw=0.8)
                axes.errorbar(at, k / n, [[k / n - low], [high - k / n]], color=s.INK, mfc=face, **look)
                axes.text(at, 1.06, str(k), ha="center", va="bottom", fontsize=6.5, color=s.INK)
        if lost:
            words = {"ha": "center", "va": "bottom", "fontsize": 6, "color": s.RED}
            axes.text(place, 1.16 if n else 0.5, f"× {lost} failed", **words)
    axes.set(xlim=(-0.6, len(depths) - 0.4), ylim=(0, 1.25), yticks=np.arange(0, 1.01, 0.2), xlabel="layers")
    axes.set_xticks(range(len(depths)), [f"{depth}\nn={len(cell)}" for depth, cell in cells.items()])
    axes.set_ylabel(f"share of seeds with gen ≥ {THRESHOLD:.0%}")
    if legend:
        faces = [Patch(fc="white", ec=s.BLUE, hatch="////"), Patch(fc=s.SKY, ec=s.BLUE)]
        names, below = ["at some evaluation", "at the end"], (0.5, -0.31)
        axes.legend(faces, names, loc="upper center", bbox_to_anchor=below, ncols=2, frameon=False)


def draw_measure(axes: Axes, table: pd.DataFrame, task: str, column: str, depths: Depths) -> None:
    """One property of the models over training at the small, the best and the deep depth."""
    measured = 0
    for depth, role in depths.roles().items():
        color, line = s.ROLES[role]
        measured += s.draw_runs(axes, table, task, depth, column, color, line, f"{s.layers(depth)} ({role})")
    if not measured:
        s.empty_panel(axes, f"{column} was not measured")
        return
    for depth, role in depths.roles().items():
        s.draw_published(axes, table, task, depth, column, _MARKERS[role])
    s.mark_failures(axes, table, task, {depth: s.ROLES[role][0] for depth, role in depths.roles().items()})
    axes.set_ylabel(MEASURES[column])
    s.step_axis(axes)


def _legend(row: Sequence[Axes], x: float) -> None:
    """One legend for all panels of (b), on the line of the task's name: the depths, then the published
    curves."""
    entries = {text: handle for axes in row for handle, text in zip(*axes.get_legend_handles_labels())}
    if entries:
        legend = row[0].legend(
            entries.values(),
            entries.keys(),
            frameon=False,
            loc="lower left",
            ncols=len(entries),
            bbox_to_anchor=(x, 1.07),
            borderaxespad=0,
            columnspacing=1.2,
            handlelength=2.6,
        )
        legend.set_in_layout(False)  # it is wider than its panel, which must not push the columns apart


def _share_caption(table: pd.DataFrame, there: Sequence[str]) -> str:
    return (
        "Share of seeds whose generalization accuracy reaches 80 %: at some evaluation (hatched, the paper's "
        "criterion) and at the end (filled), with 95 % Wilson intervals; above the "
        "bars the number of these seeds."
    )


def _measure_caption(table: pd.DataFrame, there: Sequence[str], chosen: dict[str, Depths]) -> str:
    shown = "; ".join(f"{t}: smallest {c.small}, best {c.best}, deep {c.deep}" for t, c in chosen.items())
    return (
        "Weight norm (normalized by layers), attention sparsity and tree-structuredness over training at the "
        f"smallest depth, the best (highest mean generalization at the end) and a deep one ({shown}; deep is "
        "the largest depth above the best at which some seed reaches 80 %, else the largest). Thick: mean; "
        "band: 95 % bootstrap interval; thin: seeds."
    )


def _prepare(table: pd.DataFrame) -> tuple[list[str], dict[str, Depths], list[tuple[str, int]]]:
    s.one_experiment(table)
    there = s.tasks_in(table, TASKS)
    if not there:
        raise GrokkitError("the table holds no run of question or tense that did not fail")
    chosen = {task: choose_depths(table, task) for task in there}
    cells = [(task, depth) for task in there for depth in sorted(set(table[table.task == task].depth))]
    return there, chosen, cells


def _rows(figure: s.PaperFigure, table: pd.DataFrame, parts: str, chosen: dict[str, Depths]) -> None:
    widths = ([1.25] if "a" in parts else []) + ([1, 1, 1] if "b" in parts else [])
    grid = figure.subplots(2, len(widths), squeeze=False, gridspec_kw={"width_ratios": widths})
    for row, task in zip(grid, TASKS):
        row[0].set_title(s.TASK_NAMES[task], loc="left", fontweight="bold", pad=12)
        if task not in chosen:
            for axes in row:
                s.empty_panel(axes, f"no finished run of {task}")
            continue
        if "a" in parts:
            draw_share(row[0], table, task, legend=task == [t for t in TASKS if t in chosen][-1])
        for axes, column in zip(row[-3:] if "b" in parts else (), MEASURES):
            draw_measure(axes, table, task, column, chosen[task])
        if "b" in parts:
            _legend(row[-3:], 0.0 if "a" in parts else 0.75)


def fig3(table: pd.DataFrame) -> s.PaperFigure:
    """The complete Figure 3: question on top, tense below; (a) on the left, the three panels of (b) on the
    right."""
    there, chosen, cells = _prepare(table)
    caption = (
        f"Figure 3. (a, left) {_share_caption(table, there)} (b) {_measure_caption(table, there, chosen)} "
        f"{s.seeds_text(table, cells)} {s.origin(table, _published(table, chosen))}"
    )
    with s.style():
        figure = s.new_figure(11.5, 5.2, caption)
        _rows(figure, table, "ab", chosen)
    return figure


def fig3a(table: pd.DataFrame) -> s.PaperFigure:
    """Share of seeds that generalize, by depth: ever (the paper's criterion) and at the end."""
    there, chosen, cells = _prepare(table)
    caption = f"Figure 3a. {_share_caption(table, there)} {s.seeds_text(table, cells, False)} {s.origin(table)}"
    with s.style():
        figure = s.new_figure(4.2, 5.2, caption)
        _rows(figure, table, "a", chosen)
    return figure


def fig3b(table: pd.DataFrame) -> s.PaperFigure:
    """Weight norm, attention sparsity and t_score over training at the small, best and deep depth."""
    there, chosen, _ = _prepare(table)
    cells = [(task, depth) for task in there for depth in chosen[task].roles()]
    caption = (
        f"Figure 3b. {_measure_caption(table, there, chosen)} {s.seeds_text(table, cells)} "
        f"{s.origin(table, _published(table, chosen))}"
    )
    with s.style():
        figure = s.new_figure(9.5, 5.2, caption)
        _rows(figure, table, "b", chosen)
    return figure


def _published(table: pd.DataFrame, chosen: dict[str, Depths]) -> bool:
    return s.has_published(table, [(task, d) for task, c in chosen.items() for d in c.roles()], "t_score")
