"""Figure 4: how close the induced trees are to gold syntax over training, against branching baselines."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.report.outcomes import Depths, choose_depths, parseval_baselines

NAMES = {"right": "right-branching", "left": "left-branching", "balanced": "balanced", "random": "random"}
_LINES = {
    "right": (s.RED, (0, (5, 3)), 1.4),
    "left": (s.GREY, (0, (1, 2)), 1.0),
    "balanced": (s.ORANGE, (0, (3, 2, 1, 2)), 1.0),
    "random": (s.GREY, (0, (1, 5)), 1.0),
}


def _panel(axes: Axes, table: pd.DataFrame, task: str, depths: Depths, lines: dict[str, float]) -> None:
    n = sum(
        s.draw_runs(axes, table, task, depth, "t_parseval", *s.ROLES[role], f"{s.layers(depth)} ({role})")
        for depth, role in depths.roles().items()
    )
    if not n:
        s.empty_panel(axes, "t_parseval was not measured")
        return
    for (depth, _), marker in zip(depths.roles().items(), "vo^"):
        s.draw_published(axes, table, task, depth, "t_parseval", marker)
    for name, value in lines.items():
        color, dash, width = _LINES[name]
        axes.axhline(value, color=color, ls=dash, lw=width, label=f"{NAMES[name]} ({value:.3f})", zorder=3)
    s.mark_failures(axes, table, task, {depth: s.ROLES[role][0] for depth, role in depths.roles().items()})
    axes.set_ylabel("bracketing F1 ($t_{parseval}$)")
    s.step_axis(axes)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False)


def fig4(table: pd.DataFrame, baselines: Mapping[str, Mapping[str, float]] | None = None) -> s.PaperFigure:
    """t_parseval over training for question and tense at the small, best and deep depth of Figure 3b.

    baselines: task -> {"right": F1, "left": F1, "balanced": F1, "random": F1}, see `parseval_baselines`.
    Source: paper, Figure 4, with right-branching in dashed red.
    """
    s.one_experiment(table)
    tasks = ("question", "tense")
    there = s.tasks_in(table, tasks)
    if not there:
        raise GrokkitError("the table holds no run of question or tense that did not fail")
    chosen = {task: choose_depths(table, task) for task in there}
    lines = {task: parseval_baselines(table, task, baselines) for task in there}
    cells = [(task, depth) for task in there for depth in chosen[task].roles()]
    sources = sorted({source for _, source in lines.values()})
    caption = (
        "Figure 4. Bracketing F1 of the induced trees against gold trees over training, whole-sentence span "
        f"included. Branching baselines {' and '.join(sources)}. Depths as in Figure 3b. Thick: mean; band: "
        f"95 % bootstrap interval; thin: seeds. {s.seeds_text(table, cells)} "
        + s.origin(table, s.has_published(table, cells, "t_parseval"))
    )
    with s.style():
        figure = s.new_figure(7.5, 3.6, caption)
        for axes, task in zip(figure.subplots(1, 2), tasks):
            axes.set_title(s.TASK_NAMES[task], pad=10)
            if task in chosen:
                _panel(axes, table, task, chosen[task], lines[task][0])
            else:
                s.empty_panel(axes, f"no finished run of {task}")
    return figure
