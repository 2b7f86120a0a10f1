"""Figure 4: how close the induced trees are to gold syntax over training, against branching baselines."""

import pandas as pd
from matplotlib.axes import Axes

from grokkit.figures import style as s
from grokkit.report.outcomes import choose_depths, parseval_baselines, takes_results
from grokkit.report.published import TASK_NAMES
from grokkit.report.quantities import FIGURE_TASKS

_LINES = {
    "right": ("right-branching", s.RED, (0, (5, 3)), 1.4),
    "left": ("left-branching", s.GREY, (0, (1, 2)), 1.0),
    "balanced": ("balanced", s.ORANGE, (0, (3, 2, 1, 2)), 1.0),
    "random": ("random", s.GREY, (0, (1, 5)), 1.0),
}


@takes_results("preset", "data_source")
def fig4(table: pd.DataFrame) -> s.PaperFigure:
    """t_parseval over training for question and tense at the small, best and deep depth of Figure 3b, beside the
    branching baselines of `parseval_baselines`. Source: paper, Figure 4, with right-branching in dashed red.
    """
    tasks = FIGURE_TASKS["fig4"]
    roles = {task: choose_depths(table, task).roles() for task in s.tasks_in(table, tasks)}
    sources = sorted({parseval_baselines(table, task)[1] for task in roles})
    caption = (
        f"Figure 4. Bracketing F1 of the induced trees against gold trees. Baselines {' and '.join(sources)}. "
        f"{s.CURVES} {s.facts(table, [(task, depth) for task in roles for depth in roles[task]])}"
    )

    def draw(axes: Axes, task: str) -> None:
        curves = s.role_curves(roles[task], "t_parseval")
        if not s.panel(axes, table, task, curves, "bracketing F1 ($t_{parseval}$)"):
            return
        for name, value in parseval_baselines(table, task)[0].items():
            label, color, dash, width = _LINES[name]
            axes.axhline(value, color=color, ls=dash, lw=width, label=f"{label} ({value:.3f})", zorder=3)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)

    return s.one_row(7.5, 3.6, caption, {task: TASK_NAMES[task] for task in tasks}, roles, draw)
