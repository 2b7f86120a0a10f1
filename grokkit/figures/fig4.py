"""Figure 4: how close the induced trees are to gold syntax over training, against branching baselines."""

import pandas as pd
from matplotlib.axes import Axes

from grokkit.figures import style as s
from grokkit.figures.curves import mean_and_interval, panel, role_curves
from grokkit.report.outcomes import THRESHOLD, at_end, choose_depths, parseval_baselines, takes_results
from grokkit.report.published import TASK_NAMES
from grokkit.report.quantities import FIGURE_TASKS

_LINES = {
    "right": ("right-branching", s.RED, (0, (5, 3)), 1.4),
    "left": ("left-branching", s.GREY, (0, (1, 2)), 1.2),
    "balanced": ("balanced", s.ORANGE, (0, (3, 2, 1, 2)), 1.2),
    "random": ("random", s.GREY, (0, (1, 5)), 1.2),
}


@takes_results("preset", "data_source")
def fig4(table: pd.DataFrame) -> s.PaperFigure:
    """t_parseval for question and tense, beside the branching baselines of `parseval_baselines`: over training at the
    small, best and deep depth of Figure 3b, and at the end of every run, apart for those that generalize and those that
    do not. Source: paper, Figure 4, with right-branching in dashed red.
    """
    tasks = FIGURE_TASKS["fig4"]
    roles = {task: choose_depths(table, task).roles() for task in s.tasks_in(table, tasks)}
    sources = sorted({parseval_baselines(table, task)[1] for task in roles})
    text = (
        "Figure 4. Bracketing F1 of the induced trees against gold trees, over training and at the end. At the end, "
        f"every run is a point: filled where it generalizes (gen ≥ {THRESHOLD:g} there), a cross where it does not; "
        f"diamonds: their means. Horizontal lines: baselines {' and '.join(sources)}. {s.CURVES}"
    )

    def draw(curves: Axes, ends: Axes, task: str) -> None:
        shown = role_curves(roles[task], "t_parseval")
        if not panel(curves, table, task, shown, "bracketing F1 ($t_{parseval}$)"):
            s.empty_panel(ends)
            return
        _draw_ends(ends, at_end(table[table.task == task]).dropna(subset="t_parseval"))
        ends.sharey(curves)
        ends.tick_params(labelleft=False)
        for name, value in parseval_baselines(table, task)[0].items():
            label, color, dash, width = _LINES[name]
            curves.axhline(value, color=color, ls=dash, lw=width, zorder=3)
            ends.axhline(value, color=color, ls=dash, lw=width, label=f"{label} ({value:.3f})", zorder=3)
        curves.plot([], [], "o", color=s.INK, ms=4, label=f"run with gen ≥ {THRESHOLD:g} at the end")
        curves.plot([], [], "x", color=s.INK, ms=4, label="run with less")
        for axes in (curves, ends):
            axes.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.2))

    cells = [(task, depth) for task in roles for depth in sorted(set(table[table.task == task].depth))]
    titles = {task: TASK_NAMES[task] for task in tasks}
    return s.by_task(9.5, 3.8, text, s.facts(table, cells), titles, roles, draw, widths=(1.3, 1))


def _draw_ends(axes: Axes, ends: pd.DataFrame) -> None:
    """The last t_parseval of every run by depth; to the right those that generalize, to the left the others."""
    depths = sorted(set(ends.depth))
    for (depth, there), runs in ends.groupby(["depth", ends.gen_accuracy >= THRESHOLD]):
        x, color = depths.index(depth) + (0.2 if there else -0.2), s.depth_color(depth)
        look: dict = {"color": [color], "marker": "o" if there else "x", "linewidths": 1, "zorder": 4}
        axes.scatter([x + 0.12] * len(runs), runs.t_parseval, 14, **look)
        mean_and_interval(axes, x - 0.05, runs.t_parseval, color)
    axes.set(xticks=range(len(depths)), xticklabels=depths, xlim=(-0.6, len(depths) - 0.4), xlabel="layers, at the end")
