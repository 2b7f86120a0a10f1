"""Figure 2: accuracy in-domain and on the generalization set over training, early stopping against the end."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from grokkit.figures import style as s
from grokkit.report.outcomes import choose_depths, early_stopping, sound, takes_results
from grokkit.report.published import TASK_NAMES, layers
from grokkit.report.quantities import FIGURE_TASKS


@takes_results("preset", "data_source")
def fig2(table: pd.DataFrame) -> s.PaperFigure:
    """Three panels (Dyck, Question-Formation, Tense-Inflection), each at the depth with the highest mean
    generalization at the end.

    The orange line stands at the median step of early stopping and spans the means over seeds, each seed
    taken at its own first maximum of in-domain accuracy. Source: paper, Figure 2.
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
    shown = [f"{task} best of {good[good.task == task].depth.nunique()} depths" for task in chosen]
    caption = (
        f"{name}In-domain and generalization accuracy over training ({', '.join(shown)} by mean generalization). "
        f"{s.CURVES} Orange: gap at early stopping, mean over each seed's own, at the median step; blue: at the end. "
        + s.facts(table, list(chosen.items()))
    )

    def draw(axes: Axes, task: str) -> None:
        depth = chosen[task]
        curves = [
            s.Curve(depth, "val_accuracy", "in-domain (val)", s.INK),
            s.Curve(depth, "gen_accuracy", "generalization (gen)", s.GREEN, "--", "o"),
        ]
        s.panel(axes, table, task, curves, "accuracy")
        stops = early_stopping(table[(table.task == task) & (table.depth == depth)])
        stop, end, mean = float(stops.stop_step.median()), float(stops.end_step.max()), stops.mean(numeric_only=True)
        look = {"lw": 2.5, "marker": "_", "ms": 8, "mew": 2, "zorder": 5, "solid_capstyle": "butt"}
        for name, x, val, gen, color in (
            ("early stopping", stop, mean.val_at_stop, mean.gen_at_stop, s.ORANGE),
            ("end", end, mean.val_at_end, mean.gen_at_end, s.BLUE),
        ):
            label = f"{name} ({s.steps_text(x)}): val {val:.2f}, gen {gen:.2f}, gap {val - gen:.2f}"
            axes.plot([x, x], [gen, val], color=color, label=label, **look)
        axes.set(ylim=(-0.02, 1.03), xlim=(0, end * 1.03))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))

    return s.one_row(max(4.8, 9.5 / 3 * len(tasks)), 3.3, caption, titles, chosen, draw)
