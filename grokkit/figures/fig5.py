"""Figure 5: training loss of all depths; does it flatten before generalization comes?"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from grokkit.figures import style as s
from grokkit.figures.curves import Curve, panel
from grokkit.report.outcomes import milestones, takes_results
from grokkit.report.published import TASK_NAMES, layers
from grokkit.report.quantities import FIGURE_TASKS
from grokkit.values import names

_MARKS: dict[str, tuple[str, dict]] = {
    "loss_flat": (
        "loss flat (within 5 % of its end)",
        {"marker": "s", "s": 34, "facecolor": "none", "linewidths": 0.9},
    ),
    "val_99": ("first val ≥ .99", {"marker": "o", "s": 10}),
    "gen_80": ("first gen ≥ .8", {"marker": "^", "s": 22}),
}


@takes_results("preset", "data_source")
def fig5(table: pd.DataFrame, tasks: object = None) -> s.PaperFigure:
    """Mean training loss of every depth over training, logarithmic in steps; below, for every run the steps at which
    its loss is flat, val saturates, and gen first reaches .8. Source: paper, Figure 5 and Appendix D.

    tasks: one or several, a column each; None: question, which the paper shows, and tense, where the table has them.
    Raises GrokkitError for an unknown one.
    """
    if tasks is None:
        tasks = s.tasks_in(table, FIGURE_TASKS["fig5"])
    tasks = names("task", tasks, list(dict.fromkeys([*TASK_NAMES, *s.all_tasks(table)])))
    there = s.tasks_in(table, tasks)
    cells = [(task, depth) for task in there for depth in sorted(set(table[table.task == task].depth))]
    found = milestones(table[table.task.isin(there)])
    text = (
        "Figure 5. Training loss by depth, each value the mean since the evaluation before. Below, a row for every "
        "run: when its training loss is flat, when in-domain accuracy first reaches .99, and when generalization first "
        f"reaches .8. Which of the three comes first: {_firsts(found)}. {s.CURVES}"
    )

    def draw(losses: Axes, marks: Axes, task: str) -> None:
        rows = table[(table.task == task) & (table.step > 0)]
        curves = [Curve(depth, "train_loss", layers(depth)) for depth in sorted(set(rows.depth))]
        panel(losses, rows, task, curves, "training loss\n(nats per token)")
        losses.legend()
        losses.set_xlabel("")
        losses.tick_params(labelbottom=False)
        _draw_marks(marks, found[found.task == task])
        marks.sharex(losses)
        losses.set_xscale("log")
        losses.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        losses.xaxis.set_minor_formatter(NullFormatter())
        losses.xaxis.set_major_formatter(s.STEPS)
        marks.legend(loc="upper left", bbox_to_anchor=(0, -0.22), ncols=1)

    titles = {task: TASK_NAMES.get(task, task) for task in tasks}
    width = max(4.8, 9.5, 3.2 * len(tasks)) if len(tasks) > 1 else 4.8
    return s.by_task(width, 5.6, text, s.facts(table, cells), titles, there, draw, heights=(1, 1.2))


def _firsts(found: pd.DataFrame) -> str:
    """How often which milestone came first, in words, task by task."""
    words = {name: label for name, (label, _) in _MARKS.items()} | {"several": "several at once"}
    counts, n = found.groupby("task")["first"].value_counts(), found.groupby("task").size()
    return "; ".join(f"{task}, {words[name]} in {k} of {n[task]} runs" for (task, name), k in counts.items())


def _draw_marks(axes: Axes, found: pd.DataFrame) -> None:
    """A row for every run, from the least depth downwards, with its three marks."""
    found = found.sort_values(["depth", "seed"], ascending=False, ignore_index=True)
    y = found.index + 1.5 * found.depth.rank(method="dense", ascending=False)
    colors, steps = [s.depth_color(depth) for depth in found.depth], found[[*_MARKS]]
    axes.hlines(y, steps.min(axis=1), steps.max(axis=1), color=colors, lw=0.7, alpha=0.5, zorder=1)
    for name, (label, look) in _MARKS.items():
        axes.scatter(found[name], y, color=colors, **look)
        axes.scatter([], [], color=s.INK, label=label, **look)
    middles = y.groupby(found.depth).mean()
    axes.set_yticks(middles, [layers(depth) for depth in middles.index])
    axes.set(xlabel="training step", ylim=(y.min() - 1.5, y.max() + 1.5))
    axes.tick_params(axis="y", length=0)
