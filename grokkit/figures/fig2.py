"""Figure 2: accuracy in-domain and on the generalization set over training, early stopping against the end."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from grokkit.figures import style as s
from grokkit.report.outcomes import choose_depths, early_stopping, sound
from grokkit.report.published import TASK_NAMES, layers
from grokkit.report.quantities import FIGURE_TASKS


def _gap(axes: Axes, x: float, val: float, gen: float, color: str, label: str) -> None:
    """A thick line from generalization up to in-domain accuracy at step x."""
    label = f"{label} ({s.steps_text(x)}): val {val:.2f}, gen {gen:.2f}, gap {val - gen:.2f}"
    look = {"lw": 2.5, "marker": "_", "ms": 8, "mew": 2, "zorder": 5, "solid_capstyle": "butt"}
    axes.plot([x, x], [gen, val], color=color, label=label, **look)


def _panel(axes: Axes, table: pd.DataFrame, task: str, depth: int) -> None:
    curves = [
        s.Curve(depth, "val_accuracy", "in-domain (val)", s.INK),
        s.Curve(depth, "gen_accuracy", "generalization (gen)", s.GREEN, "--", "o"),
    ]
    s.panel(axes, table, task, curves, "accuracy")
    stops = early_stopping(table[(table.task == task) & (table.depth == depth)])
    stop, end, mean = float(stops.stop_step.median()), float(stops.end_step.max()), stops.mean(numeric_only=True)
    _gap(axes, stop, mean.val_at_stop, mean.gen_at_stop, s.ORANGE, "early stopping")
    _gap(axes, end, mean.val_at_end, mean.gen_at_end, s.BLUE, "end")
    axes.set(ylim=(-0.02, 1.03), xlim=(0, end * 1.03))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))


def fig2(table: pd.DataFrame, depths: Mapping[str, int] | None = None) -> s.PaperFigure:
    """Three panels (Dyck, Question-Formation, Tense-Inflection), each at one depth.

    depths: task -> depth; by default the depth with the highest mean generalization at the end.
    The orange line stands at the median step of early stopping and spans the means over seeds, each seed
    taken at its own first maximum of in-domain accuracy. Source: paper, Figure 2.
    """
    return _figure(table, FIGURE_TASKS["fig2"], depths, "Figure 2. ")


def grokking(table: pd.DataFrame, depths: Mapping[str, int] | None = None) -> s.PaperFigure:
    """Figure 2 for whatever tasks the table has, a user's own among them."""
    return _figure(table, s.all_tasks(table), depths)


def _figure(
    table: pd.DataFrame, tasks: Sequence[str], depths: Mapping[str, int] | None, number: str = ""
) -> s.PaperFigure:
    given = depths or {}
    chosen = {task: given.get(task) or choose_depths(table, task).best for task in s.tasks_in(table, tasks)}
    measured = sound(table).groupby("task").depth.nunique()
    shown, titles = [], {task: TASK_NAMES.get(task, task) for task in tasks}
    for task, depth in chosen.items():
        titles[task] += f", {layers(depth)}"
        best = f", best of {measured[task]} depths by mean generalization"
        shown.append(f"{task}: {layers(depth)}" + (best if task not in given and measured[task] > 1 else ""))
    caption = (
        f"{number}In-domain and generalization accuracy over training ({'; '.join(shown)}). Thick: mean over seeds; "
        "band: 95 % bootstrap interval of the mean; thin: seeds. Orange: gap where early stopping on "
        "in-domain accuracy ends, mean over seeds at each seed's own first maximum, drawn at the median "
        f"step; blue: gap at the end. {s.facts(table, list(chosen.items()), 'gen_accuracy')}"
    )
    return s.one_row(
        max(4.8, 9.5 / 3 * len(tasks)),
        3.3,
        caption,
        titles,
        chosen,
        lambda axes, task: _panel(axes, table, task, chosen[task]),
    )
