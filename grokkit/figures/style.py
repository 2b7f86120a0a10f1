"""What all figures share: theme, colours, captions, curves over seeds, marks for failed runs, and saving.

A depth has the same colour in every figure, from dark to light on viridis, which keeps its order with all common kinds
of colour blindness; a line's style says what is measured: val solid, gen dashed, a rule dotted.
"""

import io
import re
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import FuncFormatter

from grokkit.errors import GrokkitError
from grokkit.report.outcomes import counted, failed_runs, left_out, one_experiment, sound
from grokkit.report.published import LAST_STEP, PAPER_SCALE, TASK_NAMES, cell_label
from grokkit.storage.files import figures_root, write_atomically

ORANGE, BLUE, RED, PURPLE = "#E69F00", "#0072B2", "#D55E00", "#CC79A7"  # Okabe and Ito's
INK, GREY = "#222222", "#888888"
SOLID, DASHED = "-", (0, (3, 1.5))  # val, gen
SMALL, DPI = 8, 125  # points, nothing is smaller; dots an inch
STEPS = FuncFormatter(lambda value, _: steps_text(value))
CURVES = "Means over seeds with their 95 % bootstrap intervals, which are too narrow for fewer than 5 seeds."

_STYLE = {
    **dict.fromkeys(("font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"), SMALL),
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "font.sans-serif": ["DejaVu Sans"],  # matplotlib brings it: the same figure on every machine
    "pdf.fonttype": 42,
}


class PaperFigure(Figure):
    """A figure that belongs to no window system: a notebook shows it once, where it is the value of a cell, with the
    first sentence of its caption as alternative text."""

    caption = ""

    # ticks are made when they are drawn, so the style has to hold then, too
    def draw(self, renderer) -> None:
        with style():
            if engine := self.get_layout_engine():
                engine.execute(self)  # once more than matplotlib: other ticks fit into panels of another size
            super().draw(renderer)

    def savefig(self, *arguments, **options) -> None:
        with style():
            super().savefig(*arguments, **options)

    def __repr__(self) -> str:
        found = re.match(r"(Figure \w+\. |Table 1\. )?.*?\.(?= |$)", self.caption)
        return found[0] if found else "a figure"

    def _repr_png_(self) -> tuple[bytes, dict]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue(), {"alt": repr(self), "width": round(100 * self.get_figwidth())}


class Caption(str):
    """A text that a notebook shows as Markdown."""

    _repr_markdown_ = str.__str__


def caption(figure: PaperFigure) -> Caption:
    """What a figure shows, how its bands are computed, preset, n, and what was left out."""
    return Caption(figure.caption)


def style():
    """Context in which figures are made: seaborn's theme for papers, whatever a user's own settings are."""
    import seaborn  # late: it loads pyplot and scipy

    theme = seaborn.axes_style("ticks") | seaborn.plotting_context("paper", font_scale=0.9) | _STYLE
    return matplotlib.rc_context(matplotlib.rcParamsDefault | theme | {"backend": matplotlib.rcParams["backend"]})


def depth_color(depth: int) -> tuple:
    """The colour of a depth in all figures, the same from 10 layers on: far apart where the best depths lie, and
    without the palest end, which vanishes on white."""
    import seaborn

    place = np.interp(depth, [1, 4, 6, 10], [0, 0.35, 0.65, 0.9])
    return seaborn.color_palette("viridis", as_cmap=True)(place)


def new_figure(width: float, height: float, text: str, line: str = "") -> PaperFigure:
    """A figure of the given size [inches], higher by the `line` below its panels; `text` and line are its caption."""
    rows = textwrap.wrap(line, int(width * 16))
    below = 0.16 * len(rows) + 0.1
    figure = PaperFigure(figsize=(width, height + below))
    figure.caption = " ".join(f"{text} {line}".split())
    share = below / (height + below)
    figure.set_layout_engine("constrained", rect=(0, share, 1, 1 - share), w_pad=0.05, h_pad=0.06)
    figure.text(0.01, 0.06 / (height + below), "\n".join(rows), fontsize=SMALL, color=INK, va="bottom")
    return figure


def by_task(
    width: float, height: float, text: str, line: str, titles: Mapping[str, str], there: Collection[str],
    draw: Callable, widths: Sequence[float] = (1,), heights: Sequence[float] = (1,),
) -> PaperFigure:  # fmt: skip
    """A figure with panels for each task of `titles`, side by side, drawn by `draw(panel, ..., task)` where the task is
    `there`. text, line: see `new_figure`. Each task has len(widths) panels in each of len(heights) rows."""
    with style():
        figure = new_figure(width, height, text, line)
        fill(figure.add_gridspec(1, 1)[0], titles, there, draw, widths, heights)
    return figure


def fill(place: SubplotSpec, titles: Mapping[str, str], there: Collection[str], draw: Callable, widths, heights=(1,)):
    """The panels of `by_task`, in one place of a figure's grid."""
    columns = len(titles) * len(widths)
    ratios = {"width_ratios": [*widths] * len(titles), "height_ratios": heights}
    axes = place.subgridspec(len(heights), columns, **ratios).subplots(squeeze=False)
    for first, (task, title) in zip(range(0, columns, len(widths)), titles.items()):
        panels = axes[:, first : first + len(widths)].ravel()
        panels[0].set_title(title, loc="left", fontweight="bold", pad=10)  # crosses of failed runs stand below
        if task in there:
            draw(*panels, task)
        else:
            empty_panel(panels[0], f"no finished run of {task}")
            for panel in panels[1:]:
                empty_panel(panel)


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


def facts(table: pd.DataFrame, cells: Sequence[tuple[str, int]], again: pd.DataFrame | None = None) -> str:
    """The line in the picture: preset, data, seeds, and which runs of the cells (task, depth) shown are left out."""
    shown = table[pd.MultiIndex.from_frame(table[["task", "depth"]]).isin(list(cells))]
    runs = counted(shown).groupby(["task", "depth"]).seed.nunique()
    n = {cell: runs.get(cell, 0) for cell in cells}
    most = max(n.values(), key=list(n.values()).count)
    data, seeds = " and ".join(sorted(set(table.data_source))), "seed" if most == 1 else "seeds"
    changed = "".join(f" ({text})" for text in table.get("changes", pd.Series()).dropna().unique())
    text = f"Preset {(preset := one_experiment(table))}{changed}, data: {data}, n = {most} {seeds}"
    text += " for each task and depth" if len(set(n.values())) == 1 and len(n) > 1 else ""
    text += "".join(f"; {cell_label(*cell)}: n = {count}" for cell, count in n.items() if count != most)
    if again is not None:
        once = [cell_label(*cell) for cell in cells if cell not in set(zip(again.task, again.depth))]
        text += ", each trained twice" + (f" ({', '.join(once)}: once)" if once else "")
    ends = {(int(rows.step.max()), LAST_STEP[task]) for task, rows in shown.groupby("task") if task in LAST_STEP}
    openings = sorted(end for end in ends if end[0] < end[1] and preset in PAPER_SCALE)
    text += "".join(f"; an opening: the first {step:,} of {last:,} steps" for step, last in openings)
    lost = [
        f"{cell_label(row.task, row.depth)}, seed {row.seed} at step {steps_text(row.step)}"
        for row in pd.concat([failed_runs(one) for one in (table, again) if one is not None]).itertuples()
        if (row.task, row.depth) in n
    ]
    text += f". Failed runs, left out (×): {'; '.join(lost)}" if lost else ""
    away = "; ".join(left_out(shown).why)
    return f"{text}. Left out: {away}." if away else f"{text}."


def empty_panel(axes: Axes, text: str = "") -> None:
    """A panel that has nothing to show says why, or leaves that to the one beside it."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, transform=axes.transAxes)


def save(figure: Figure, preset: str, name: str) -> list[Path]:
    """Writes figures/local/<preset>/<name>.png and .pdf, each whole or not at all; the same figure gives the
    same bytes. The pictures of the record, in figures/<preset>/, are left alone.

    figures/ can be moved with the environment's GROKKIT_FIGURES.
    """
    if not (isinstance(preset, str) and isinstance(name, str)):
        raise GrokkitError(f"save(figure, {preset!r}, {name!r}): give the preset and a name as texts")
    undated = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
    paths = [figures_root() / "local" / preset / f"{name}.{kind}" for kind in undated]
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        for path, (kind, metadata) in zip(paths, undated.items()):
            write_atomically(path, partial(figure.savefig, format=kind, dpi=DPI, metadata=metadata))
    return paths
