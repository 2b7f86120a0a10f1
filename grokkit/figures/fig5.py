"""Figure 5: training loss of all depths; does it flatten before generalization comes?"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from grokkit.figures import style as s
from grokkit.report.outcomes import crossings, takes_results
from grokkit.report.published import TASK_NAMES, layers
from grokkit.values import names


@takes_results("preset", "data_source")
def fig5(table: pd.DataFrame, tasks: object = "question") -> s.PaperFigure:
    """Mean training loss of every depth over training, logarithmic in steps. Source: paper, Figure 5 and Appendix D.

    tasks: one or several, a panel each; the paper shows question. Raises GrokkitError for an unknown one.
    """
    tasks = names("task", tasks, tuple(dict.fromkeys([*TASK_NAMES, *s.all_tasks(table)])))
    there = s.tasks_in(table, tasks)
    cells = [(task, depth) for task in there for depth in sorted(set(table[table.task == task].depth))]
    caption = (
        "Figure 5. Training loss by depth, means since the evaluation before. Triangles: median step of the first "
        f"generalization accuracy ≥ 80 % among the seeds that reach it. {s.CURVES} {s.facts(table, cells)}"
    )

    def draw(axes: Axes, task: str) -> None:
        rows = table[(table.task == task) & (table.step > 0)]
        depths = sorted(set(rows.depth))
        colors = dict(zip(depths, s.gradient(len(depths)), strict=True))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        curves = [s.Curve(depth, "train_loss", layers(depth), color) for depth, color in colors.items()]
        s.panel(axes, rows, task, curves, "training loss (nats per token)")
        crossed = crossings(rows)
        for depth, first_steps in crossed[crossed.ever].groupby("depth").first_step:
            look = {"color": colors[depth], "ms": 6, "mec": s.INK, "mew": 0.4, "zorder": 5}
            axes.plot(first_steps.median(), 0.02, "^", transform=axes.get_xaxis_transform(), **look)
        axes.legend()

    titles = {task: TASK_NAMES.get(task, task) for task in tasks}
    return s.one_row(4.8 * len(tasks), 3.3, caption, titles, there, draw)
