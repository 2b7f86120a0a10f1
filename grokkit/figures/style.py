"""What all figures share: theme, curves over seeds, panels, captions, marks for failed runs, and saving.

Colours are Okabe and Ito's, told apart with all common kinds of colour blindness; line styles differ as well.
"""

import io
import re
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from grokkit.errors import GrokkitError
from grokkit.report.outcomes import counted, failed_runs, left_out, one_experiment, require, sound
from grokkit.report.published import TASK_NAMES, cell_label, incomparable, layers, published
from grokkit.report.statistics import bootstrap_mean
from grokkit.storage.files import figures_root, write_atomically

ORANGE, SKY, GREEN, BLUE, RED, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
INK, GREY = "#222222", "#888888"
ROLES = {"smallest": (PURPLE, ":", "v"), "best": (BLUE, "-", "o"), "deep": (GREEN, "-.", "^")}
FEW = 5  # below this many seeds the bootstrap interval is too narrow, which captions say
Cells = Sequence[tuple[str, int]]  # (task, depth)
CURVES = "Thick: mean; band: 95 % bootstrap interval; thin: seeds."

_STYLE = {
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "font.sans-serif": ["DejaVu Sans"],  # matplotlib brings it: the same figure on every machine
    "pdf.fonttype": 42,
}


class PaperFigure(Figure):
    """A figure that belongs to no window system: a notebook shows it once, where it is the value of a cell."""

    # ticks are made when they are drawn, so the style has to hold then, too
    def draw(self, renderer) -> None:
        with style():
            super().draw(renderer)

    def savefig(self, *arguments, **options) -> None:
        with style():
            super().savefig(*arguments, **options)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def style():
    """Context in which figures are made: seaborn's theme for papers, whatever a user's own settings are."""
    import seaborn  # late: it loads pyplot and scipy

    theme = seaborn.axes_style("ticks") | seaborn.plotting_context("paper", font_scale=0.8) | _STYLE
    return matplotlib.rc_context(matplotlib.rcParamsDefault | theme | {"backend": matplotlib.rcParams["backend"]})


def gradient(count: int) -> list[tuple]:
    """Colours for `count` depths, from dark to light, without the palest end, which vanishes on white."""
    import seaborn

    return [*map(seaborn.color_palette("viridis", as_cmap=True), np.linspace(0, 0.85, count))]


def new_figure(width: float, height: float, caption: str) -> PaperFigure:
    """A figure of the given size [inches] with the caption below the panels; the height grows by the caption."""
    caption = re.sub(r"n = (\d)", "n\u00a0=\u00a0\\1", caption)  # kept on one line
    lines = [line for part in caption.split("\n") for line in textwrap.wrap(part, int(width * 19))]
    below = 0.14 * len(lines) + 0.12
    figure = PaperFigure(figsize=(width, height + below))
    share = below / (height + below)
    figure.set_layout_engine("constrained", rect=(0, share, 1, 1 - share), w_pad=0.06, h_pad=0.06)
    figure.text(0.01, 0.06 / (height + below), "\n".join(lines), fontsize=7, color=INK, va="bottom", linespacing=1.25)
    return figure


def one_row(
    width: float, height: float, caption: str, titles: Mapping[str, str], there: Collection[str], draw: Callable
) -> PaperFigure:
    """A figure with a panel for each task of `titles`, drawn by `draw(axes, task)`; empty for a task not `there`."""
    with style():
        figure = new_figure(width, height, caption)
        for axes, (task, title) in zip(figure.subplots(1, len(titles), squeeze=False)[0], titles.items()):
            axes.set_title(title, pad=10)
            if task in there:
                draw(axes, task)
            else:
                empty_panel(axes, f"no finished run of {task}")
    return figure


def steps_text(step: float) -> str:
    """A number of steps as people say it.

    >>> [steps_text(step) for step in (0, 250, 1500, 300000)]
    ['0', '250', '1.5k', '300k']
    """
    return f"{step / 1000:g}k" if abs(step) >= 1000 else f"{step:g}"


def tasks_in(table: pd.DataFrame, tasks: Sequence[str]) -> list[str]:
    """Those of `tasks` that have a sound run, in order. Raises where there is none."""
    there = set(sound(table).task)
    found = [task for task in tasks if task in there]
    if not found:
        raise GrokkitError(f"the table holds no run of {' or '.join(tasks)} that did not fail")
    return found


def all_tasks(table: pd.DataFrame) -> list[str]:
    """The tasks of a table: the paper's in its order, then those of one's own."""
    there = table.task.unique()
    return [*(task for task in TASK_NAMES if task in there), *(task for task in there if task not in TASK_NAMES)]


def facts(table: pd.DataFrame, cells: Cells, bootstrap: bool = True) -> str:
    """The end of a caption: seeds and failed runs of the cells (task, depth) shown, preset and data.

    bootstrap: whether to warn about the bootstraps of few seeds.
    """
    shown = table[pd.MultiIndex.from_frame(table[["task", "depth"]]).isin(list(cells))]
    runs = counted(shown).groupby(["task", "depth"]).seed.nunique()
    n = {cell: runs.get(cell, 0) for cell in cells}
    most = max(n.values(), key=list(n.values()).count)
    text = f"n = {most} seeds for each task and depth"
    others = [f"{cell_label(*cell)}: n = {count}" for cell, count in n.items() if count != most]
    if others:
        text = f"n = {most} seeds, but {'; '.join(others)}"
    lost = [
        f"{cell_label(row.task, row.depth)}, seed {row.seed} at step {steps_text(row.step)}"
        for row in failed_runs(table).itertuples()
        if (row.task, row.depth) in n
    ]
    if lost:
        text += f". Failed runs, left out of means and shares, marked ×: {'; '.join(lost)}"
    if away := "; ".join(left_out(shown).why):
        text += f". Left out: {away}"
    if bootstrap and any(1 < count < FEW for count in n.values()):
        text += f". With fewer than {FEW} seeds a bootstrap interval is narrower than it should be"
    changed = "".join(f" ({text})" for text in table.get("changes", pd.Series()).dropna().unique())
    return f"{text}. Preset {one_experiment(table)}{changed}, data: {' and '.join(sorted(set(table.data_source)))}."


def draw_runs(
    axes: Axes, table: pd.DataFrame, task: str, depth: int, column: str,
    color: str, linestyle: str = "-", label: str | None = None,
) -> int:  # fmt: skip
    """Every seed that is counted as a thin line, their mean, and from 3 seeds on its 95 % bootstrap band, at the steps
    that the column was measured at. Returns n, which is 0 where it was not measured.

    `table` is the tidy table; `column` any of its numeric columns. Raises where some of the seeds lack a value.
    """
    good = sound(table)
    require(good, column)
    cell = good[(good.task == task) & (good.depth == depth)]
    if cell.empty:
        raise GrokkitError(f"no run of {task} with {layers(depth)} that did not fail")
    cell = counted(cell)
    if not pd.api.types.is_numeric_dtype(cell[column]):
        raise GrokkitError(f"{column} is no column of numbers: draw another one")
    values = cell.pivot(index="step", columns="seed", values=column).sort_index().dropna(how="all")
    if values.empty:
        return 0
    if len(holes := values.columns[values.isna().any()]):
        raise GrokkitError(
            f"{column} of {cell_label(task, depth)} is missing at some steps of seed {holes[0]} that others have"
        )
    array = values.to_numpy(float).T  # [R, N]
    faint = 0.35 if array.size < 400 else 0.18  # ten long runs would otherwise hide the mean
    axes.plot(values.index, array.T, color=color, lw=0.5, alpha=faint, zorder=1)
    if len(array) >= 3:
        axes.fill_between(values.index, *bootstrap_mean(array), color=color, alpha=0.15, lw=0, zorder=2)
    axes.plot(values.index, array.mean(axis=0), color=color, ls=linestyle, lw=1.6, label=label, zorder=4)
    return len(array)


@dataclass(frozen=True)
class Curve:
    """What one column looks like at one depth; `marker` of its published curve, "" where none is drawn."""

    depth: int
    column: str
    label: str
    color: str
    linestyle: str = "-"
    marker: str = ""


def role_curves(roles: Mapping[int, str], column: str) -> list[Curve]:
    """The curves of a column at the smallest, the best and the deep depth."""
    return [Curve(depth, column, f"{layers(depth)} ({role})", *ROLES[role]) for depth, role in roles.items()]


def panel(axes: Axes, table: pd.DataFrame, task: str, curves: Sequence[Curve], ylabel: str) -> bool:
    """Curves over training steps; in grey the published mean curves, at paper scale only, where the axes mean the
    same; and a cross above the panel at the step where a run failed, which has no value, not even 0. False, and a
    panel that says so, where nothing was measured."""
    there, n = set(sound(table[table.task == task]).depth), 0  # of the other depths, all runs have failed
    for c in curves:
        if c.depth in there:
            n += draw_runs(axes, table, task, c.depth, c.column, c.color, c.linestyle, c.label)
    if not n:
        empty_panel(axes, f"{curves[0].column} was not measured")
        return False
    known, look = published("curve", task), {"color": GREY, "ls": (0, (4, 3)), "lw": 1.1, "ms": 3, "zorder": 3}
    for c in curves if not incomparable(one_experiment(table), task) else ():
        points = known[(known.depth == c.depth) & (known.quantity == c.column)].sort_values("step")
        if c.marker and len(points):
            axes.plot(points.step, points.value, label=f"published, {layers(c.depth)}", marker=c.marker, **look)
    colors, bad = {c.depth: c.color for c in reversed(curves)}, failed_runs(table)  # of a depth, the first curve's
    for row in bad[(bad.task == task) & bad.depth.isin(list(colors))].itertuples():
        cross = {"color": colors[row.depth], "ms": 5, "mew": 1.4, "clip_on": False}
        axes.plot(row.step, 1.02, "x", transform=axes.get_xaxis_transform(), **cross)
    axes.set(xlabel="training step", ylabel=ylabel)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: steps_text(value)))
    return True


def empty_panel(axes: Axes, text: str) -> None:
    """A panel that has nothing to show says so."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, transform=axes.transAxes)


def save(figure: Figure, preset: str, name: str) -> list[Path]:
    """Writes figures/local/<preset>/<name>.png and .pdf, each whole or not at all; the same figure gives the
    same bytes. The pictures of the record, in figures/<preset>/, are left alone.

    figures/ can be moved with the environment's GROKKIT_FIGURES.
    """
    undated = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
    paths = [figures_root() / "local" / preset / f"{name}.{kind}" for kind in undated]
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        for path, (kind, metadata) in zip(paths, undated.items()):
            write_atomically(path, partial(figure.savefig, format=kind, dpi=200, metadata=metadata))
    return paths
