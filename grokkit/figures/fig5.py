"""Figure 5: training loss of all depths; does it flatten before generalization comes?"""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.report.outcomes import crossings


def _colors(depths: Sequence[int]) -> dict[int, str]:
    """Dark to light with depth; viridis without its palest end, which vanishes on white."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(depths)))
    return {depth: matplotlib.colors.to_hex(shade) for depth, shade in zip(depths, shades)}


def _panel(axes, table: pd.DataFrame, task: str, colors: dict[int, str]) -> None:
    rows = table[(table.task == task) & (table.step > 0)]
    crossed = crossings(rows)
    sound = set(crossed.depth)
    for depth, color in colors.items():
        if depth not in sound:
            continue
        s.draw_runs(axes, rows, task, depth, "train_loss", color, "-", s.layers(depth))
        cell = crossed[(crossed.depth == depth) & crossed.ever]
        if len(cell):
            axes.plot(
                cell.first_step.median(),
                0.02,
                "^",
                color=color,
                ms=6,
                mec=s.INK,
                mew=0.4,
                zorder=5,
                transform=axes.get_xaxis_transform(),
            )
    s.mark_failures(axes, table, task, colors)
    axes.set_xscale("log")
    axes.set_ylabel("training loss (nats per token)")
    s.step_axis(axes)
    axes.legend(frameon=False)


def fig5(table: pd.DataFrame, tasks: Sequence[str] = ("question",)) -> s.PaperFigure:
    """Mean training loss of every depth over training, logarithmic in steps. Source: paper, Figure 5 and
    Appendix D.

    tasks: one panel each; the paper shows question.
    """
    s.one_experiment(table)
    there = s.tasks_in(table, tasks)
    if not there:
        raise GrokkitError(f"the table holds no run of {' or '.join(tasks)} that did not fail")
    depths = {task: sorted(set(table[table.task == task].depth)) for task in there}
    cells = [(task, depth) for task in there for depth in depths[task]]
    caption = (
        "Figure 5. Training loss by depth; each point is the mean over the steps since the evaluation "
        "before. Triangles: median step of the first generalization accuracy ≥ 80 % among the seeds that "
        f"reach it. Thick: mean; band: 95 % bootstrap interval; thin: seeds. "
        f"{s.seeds_text(table, cells)} {s.origin(table)}"
    )
    with s.style():
        figure = s.new_figure(4.8 * len(tasks), 3.3, caption)
        for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks):
            axes.set_title(s.TASK_NAMES[task], pad=10)
            if task in there:
                _panel(axes, table, task, _colors(depths[task]))
            else:
                s.empty_panel(axes, f"no finished run of {task}")
    return figure
