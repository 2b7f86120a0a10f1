"""Figure 2: accuracy in-domain and on the generalization set over training, early stopping against the
end."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.report.outcomes import choose_depths, early_stopping, sound


def _gap(axes: Axes, x: float, val: float, gen: float, color: str, label: str) -> None:
    axes.plot(
        [x, x],
        [gen, val],
        color=color,
        lw=2.5,
        marker="_",
        ms=8,
        mew=2,
        zorder=5,
        solid_capstyle="butt",
        label=f"{label}: val {val:.2f}, gen {gen:.2f}, gap {val - gen:.2f}",
    )


def _panel(axes: Axes, table: pd.DataFrame, task: str, depth: int) -> None:
    cell = table[(table.task == task) & (table.depth == depth)]
    s.draw_runs(axes, table, task, depth, "val_accuracy", s.INK, "-", "in-domain (val)")
    s.draw_runs(axes, table, task, depth, "gen_accuracy", s.GREEN, "--", "generalization (gen)")
    s.draw_published(axes, table, task, depth, "gen_accuracy")
    stops = early_stopping(cell)
    at, end = float(stops.stop_step.median()), float(stops.end_step.max())
    _gap(
        axes,
        at,
        stops.val_at_stop.mean(),
        stops.gen_at_stop.mean(),
        s.ORANGE,
        f"early stopping ({s.steps_text(at)})",
    )
    _gap(axes, end, stops.val_at_end.mean(), stops.gen_at_end.mean(), s.BLUE, f"end ({s.steps_text(end)})")
    s.mark_failures(axes, table, task, {depth: s.INK})
    axes.set(ylim=(-0.02, 1.03), xlim=(0, end * 1.03), ylabel="accuracy")
    s.step_axis(axes)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)


def fig2(table: pd.DataFrame, depths: Mapping[str, int] | None = None) -> s.PaperFigure:
    """Three panels (Dyck, Question-Formation, Tense-Inflection), each at one depth.

    depths: task -> depth; by default the depth with the highest mean generalization at the end.
    The orange line stands at the median step of early stopping and spans the means over seeds, each seed
    taken at its own first maximum of in-domain accuracy. Source: paper, Figure 2.
    """
    s.one_experiment(table)
    tasks = ("dyck", "question", "tense")
    there = s.tasks_in(table, tasks)
    if not there:
        raise GrokkitError("the table holds no run of dyck, question or tense that did not fail")
    chosen = {task: (depths or {}).get(task) or choose_depths(table, task).best for task in there}
    measured = sound(table).groupby("task").depth.nunique()
    how = "; ".join(
        f"{task}: {s.layers(chosen[task])}"
        + (
            f", best of {measured[task]} depths by mean generalization"
            if task not in (depths or {}) and measured[task] > 1
            else ""
        )
        for task in there
    )
    with s.style():
        figure = s.new_figure(9.5, 3.3, _caption(table, chosen, how))
        for axes, task in zip(figure.subplots(1, 3), tasks):
            axes.set_title(s.TASK_NAMES[task] + (f", {s.layers(chosen[task])}" if task in chosen else ""), pad=10)
            if task in chosen:
                _panel(axes, table, task, chosen[task])
            else:
                s.empty_panel(axes, f"no finished run of {task}")
    return figure


def _caption(table: pd.DataFrame, chosen: dict[str, int], how: str) -> str:
    cells = list(chosen.items())
    return (
        f"Figure 2. In-domain and generalization accuracy over training ({how}). Thick: mean over seeds; "
        "band: 95 % bootstrap interval of the mean; thin: seeds. Orange: gap where early stopping on "
        "in-domain accuracy ends, mean over seeds at each seed's own first maximum, drawn at the median "
        f"step; blue: gap at the end. {s.seeds_text(table, cells)} "
        + s.origin(table, s.has_published(table, cells, "gen_accuracy"))
    )
