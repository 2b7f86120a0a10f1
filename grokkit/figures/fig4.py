"""Figure 4: how close the induced trees are to gold syntax over training, against branching baselines."""

import pandas as pd
from matplotlib.axes import Axes

from grokkit.figures import style as s
from grokkit.report.outcomes import Baselines, choose_depths, parseval_baselines
from grokkit.report.published import TASK_NAMES
from grokkit.report.quantities import FIGURE_TASKS

_LINES = {
    "right": ("right-branching", s.RED, (0, (5, 3)), 1.4),
    "left": ("left-branching", s.GREY, (0, (1, 2)), 1.0),
    "balanced": ("balanced", s.ORANGE, (0, (3, 2, 1, 2)), 1.0),
    "random": ("random", s.GREY, (0, (1, 5)), 1.0),
}


def _panel(axes: Axes, table: pd.DataFrame, task: str, roles: dict[int, str], lines: dict[str, float]) -> None:
    curves = s.role_curves(roles, "t_parseval")
    if not s.panel(axes, table, task, curves, "bracketing F1 ($t_{parseval}$)"):
        return
    for name, value in lines.items():
        label, color, dash, width = _LINES[name]
        axes.axhline(value, color=color, ls=dash, lw=width, label=f"{label} ({value:.3f})", zorder=3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)


def fig4(table: pd.DataFrame, baselines: Baselines = None) -> s.PaperFigure:
    """t_parseval over training for question and tense at the small, best and deep depth of Figure 3b.

    baselines: task -> {"right": F1, "left": F1, "balanced": F1, "random": F1}, see `parseval_baselines`.
    Source: paper, Figure 4, with right-branching in dashed red.
    """
    tasks = FIGURE_TASKS["fig4"]
    roles = {task: choose_depths(table, task).roles() for task in s.tasks_in(table, tasks)}
    lines = {task: parseval_baselines(table, task, baselines) for task in roles}
    cells = [(task, depth) for task in roles for depth in roles[task]]
    sources = sorted({source for _, source in lines.values()})
    caption = (
        "Figure 4. Bracketing F1 of the induced trees against gold trees over training, whole-sentence span "
        f"included. Branching baselines {' and '.join(sources)}. Depths as in Figure 3b. {s.CURVES} "
        + s.facts(table, cells, "t_parseval")
    )

    def draw(axes: Axes, task: str) -> None:
        _panel(axes, table, task, roles[task], lines[task][0])

    return s.one_row(7.5, 3.6, caption, {task: TASK_NAMES[task] for task in tasks}, roles, draw)
