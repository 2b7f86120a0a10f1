"""Figure 4: how close the induced trees are to gold syntax over training, against branching baselines."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.outcomes import Depths, choose_depths
from grokkit.published import right_branching

PREFIX = "t_parseval_"
BASELINES = {"right": "right-branching", "left": "left-branching", "balanced": "balanced", "random": "random"}
_LINES = {"right": (s.RED, (0, (5, 3)), 1.4), "left": (s.GREY, (0, (1, 2)), 1.0),
          "balanced": (s.ORANGE, (0, (3, 2, 1, 2)), 1.0), "random": (s.GREY, (0, (1, 5)), 1.0)}


def parseval_baselines(
    table: pd.DataFrame, task: str, given: Mapping[str, Mapping[str, float]] | None = None
) -> tuple[dict[str, float], str]:
    """F1 of the branching baselines of a task, by name, and where they come from.

    given: task -> {"right": .66, "left": ...}. Otherwise constant columns t_parseval_right, _left, _balanced,
    _random of the table, otherwise the published right-branching value (of the published sample).
    """
    if given and task in given:
        unknown = set(given[task]) - set(BASELINES)
        if unknown:
            raise GrokkitError(f"unknown baseline {sorted(unknown)[0]!r}: use {', '.join(BASELINES)}")
        return dict(given[task]), "of the analysed sentences"
    rows = table[table.task == task]
    found = {}
    for name in BASELINES:
        if PREFIX + name in rows and rows[PREFIX + name].notna().any():
            values = rows[PREFIX + name].dropna().unique()
            if len(values) > 1:
                raise GrokkitError(f"column {PREFIX + name} holds several values for {task}: a baseline is one number")
            found[name] = float(values[0])
    return (found, "of the analysed sentences") if found else ({"right": right_branching(task)}, "of the published sample")


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
        axes.axhline(value, color=color, ls=dash, lw=width, label=f"{BASELINES[name]} ({value:.3f})", zorder=3)
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
    drawn = table.preset.iloc[0] in s.PAPER_SCALE and any(len(s.published_curve(*c, "t_parseval")) for c in cells)
    sources = sorted({source for _, source in lines.values()})
    caption = (
        "Figure 4. Bracketing F1 of the induced trees against gold trees over training, whole-sentence span included. "
        f"Branching baselines {' and '.join(sources)}. Depths as in Figure 3b. Thick: mean; band: 95 % bootstrap "
        f"interval; thin: seeds. {s.seeds_text(table, cells)} {s.origin(table, drawn)}"
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
