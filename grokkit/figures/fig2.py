"""Figure 2: accuracy in-domain and on the generalization set over training, early stopping against the end."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from grokkit.figures import style as s
from grokkit.figures.curves import Curve, panel
from grokkit.report.outcomes import choose_depths, early_stopping, sound, takes_results
from grokkit.report.published import TASK_NAMES, layers
from grokkit.report.quantities import FIGURE_TASKS

_STOPS = {  # name in a table of early stopping -> words, colour, width: two at the same step are both seen
    "saturation": ("first val ≥ .99", s.PURPLE, 5),
    "stop": ("first maximum of val", s.ORANGE, 2.5),
    "end": ("end", s.INK, 2.5),
}


@takes_results("preset", "data_source")
def fig2(table: pd.DataFrame) -> s.PaperFigure:
    """Three panels (Dyck, Question-Formation, Tense-Inflection), each at the depth with the highest mean
    generalization at the end.

    Both readings of early stopping and the end are upright lines: at the median step over seeds, from the mean
    generalization there up to the mean in-domain accuracy, each seed taken at its own step. Source: paper, Figure 2.
    """
    return _figure("Figure 2. ", table, FIGURE_TASKS["fig2"])


@takes_results("preset", "data_source")
def grokking(table: pd.DataFrame) -> s.PaperFigure:
    """Figure 2 for whatever tasks the table has, a user's own among them."""
    return _figure("", table, s.all_tasks(table))


def _figure(name: str, table: pd.DataFrame, tasks: Sequence[str]) -> s.PaperFigure:
    good = sound(table)
    chosen = {task: choose_depths(table, task).best for task in s.tasks_in(table, tasks)}
    titles = {task: TASK_NAMES.get(task, task) for task in tasks}
    titles |= {task: f"{titles[task]}, {layers(depth)}" for task, depth in chosen.items()}
    depths = {task: good[good.task == task].depth.nunique() for task in chosen}
    shown = [f"{task} best of {count} depths" for task, count in depths.items() if count > 1]
    by = f"By mean generalization at the end: {', '.join(shown)}. " if shown else ""
    text = (
        f"{name}In-domain and generalization accuracy over training. {by}"
        "Upright lines stand at the median step over seeds and span the mean gap between the accuracies, each seed "
        f"taken at its own step. Thin: the first three seeds. {s.CURVES}"
    )

    def draw(axes: Axes, task: str) -> None:
        depth = chosen[task]
        curves = [
            Curve(depth, "val_accuracy", "in-domain (val)"),
            Curve(depth, "gen_accuracy", "generalization (gen)", s.DASHED),
        ]
        panel(axes, table, task, curves, "accuracy", thin=3)
        stops = early_stopping(table[(table.task == task) & (table.depth == depth)])
        look = {"marker": "_", "ms": 8, "mew": 2, "zorder": 5, "solid_capstyle": "butt"}
        for at, (when, color, width) in _STOPS.items():
            there = stops.dropna(subset=f"{at}_step")
            if there.empty:
                continue
            x, gen, val = there[f"{at}_step"].median(), there[f"gen_at_{at}"].mean(), there[f"val_at_{at}"].mean()
            few = "" if len(there) == len(stops) else f", {len(there)} of {len(stops)} seeds"
            label = f"{when} ({s.steps_text(x)}{few}): gen {gen:.2f}"
            axes.plot([x, x], [gen, val], color=color, lw=width, label=label, **look)
        axes.set(ylim=(-0.02, 1.03), xlim=(0, stops.end_step.max() * 1.03))
        axes.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.22))

    line = s.facts(table, list(chosen.items()))
    return s.by_task(max(4.8, 9.5 / 3 * len(tasks)), 3.6, text, line, titles, chosen, draw)
