"""Curves over training steps: means and bands over seeds, the published ones beside them, marks for failed runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from grokkit.errors import GrokkitError
from grokkit.figures.style import GREY, SOLID, STEPS, depth_color, empty_panel
from grokkit.report.openings import LEAST_RUNS, half_width
from grokkit.report.outcomes import counted, failed_runs, one_experiment, require, sound
from grokkit.report.published import cell_label, incomparable, layers, published_curves
from grokkit.report.statistics import bootstrap_mean


def mean_and_interval(axes: Axes, x: float, values: Sequence[float], color) -> float:
    """The mean over seeds as a point with its 95 % interval, which one seed has not; returns the mean."""
    mean = float(np.mean(values))
    axes.plot([x, x], bootstrap_mean(values), color=color, lw=1.4, zorder=6, solid_capstyle="butt")
    axes.plot(x, mean, "D", color=color, ms=5, mec="white", mew=0.7, zorder=7)
    return mean


def draw_runs(
    axes: Axes, table: pd.DataFrame, task: str, depth: int, column: str,
    color, linestyle="-", label: str | None = None, thin: int = 0,
) -> int:  # fmt: skip
    """The mean over the seeds that are counted and, from 3 seeds on, its 95 % bootstrap band, at the steps that the
    column was measured at. Returns n, which is 0 where it was not measured.

    `column`: any numeric one of the tidy table. thin: how many seeds are drawn besides, as thin lines; all of them
    where there is no band. Raises where some of the seeds lack a value.
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
    if len(array) >= 3:
        axes.fill_between(values.index, *bootstrap_mean(array), color=color, alpha=0.18, lw=0, zorder=2)
    seeds = array[: thin if len(array) >= 3 else None]
    axes.plot(values.index, seeds.T, color=color, ls=linestyle, lw=0.6, alpha=0.5, zorder=1)
    axes.plot(values.index, array.mean(axis=0), color=color, ls=linestyle, lw=1.8, label=label, zorder=4)
    return len(array)


@dataclass(frozen=True)
class Curve:
    """What one column looks like at one depth."""

    depth: int
    column: str
    label: str
    linestyle: str | tuple = SOLID


def role_curves(roles: Mapping[int, str], column: str) -> list[Curve]:
    """The curves of a column at the smallest, the best and the deep depth."""
    best = {"best": " (best)"}
    return [Curve(d, column, layers(d) + best.get(role, "")) for d, role in roles.items()]


def panel(axes: Axes, table: pd.DataFrame, task: str, curves: Sequence[Curve], ylabel: str, thin: int = 0) -> bool:
    """Curves over training steps, beside them published ones; and a cross above the panel at the step where a run
    failed, which has no value, not even 0. False, and a panel that says so, where nothing was measured. thin: see
    `draw_runs`."""
    there, n = set(sound(table[table.task == task]).depth), 0  # of the other depths, all runs have failed
    for c in curves:
        if c.depth in there:
            n += draw_runs(axes, table, task, c.depth, c.column, depth_color(c.depth), c.linestyle, c.label, thin)
    if not n:
        empty_panel(axes, f"{curves[0].column}\nwas not measured")
        return False
    draw_published(axes, one_experiment(table), task, curves, table[table.task == task].step.max())
    bad = failed_runs(table)
    for row in bad[(bad.task == task) & bad.depth.isin([c.depth for c in curves])].itertuples():
        cross: dict = {"color": depth_color(row.depth), "ms": 5, "mew": 1.4, "clip_on": False}
        axes.plot(row.step, 1.02, "x", transform=axes.get_xaxis_transform(), **cross)
    axes.set(xlabel="training step", ylabel=ylabel)
    axes.xaxis.set_major_formatter(STEPS)
    return True


def draw_published(axes: Axes, preset: str, task: str, curves: Sequence[Curve], until: float) -> None:
    """In grey, at the depths and columns of `curves` and up to step `until`: the published means, and the band in which
    one further run lies 95 times of 100. At paper scale only, where the axes mean the same."""
    known = published_curves().rename(columns={"mean": "published", "sd": "published_sd", "n": "published_n"})
    known = known[(known.task == task) & (known.step <= until) & (known.published_n >= LEAST_RUNS)]
    for c, marker in zip(curves, "o^vs") if not incomparable(preset, task) else ():
        rows = known[(known.depth == c.depth) & (known.metric == c.column)].sort_values("step").assign(n=1)
        if rows.empty:
            continue
        half = half_width(rows)
        look: dict = {"color": GREY, "ls": c.linestyle, "lw": 1.1, "ms": 3, "zorder": 3}
        axes.fill_between(rows.step, rows.published - half, rows.published + half, color=GREY, alpha=0.15, lw=0)
        label, every = f"published, {c.label.split(' (')[0]}", max(1, len(rows) // 8)
        axes.plot(rows.step, rows.published, label=label, marker=marker, markevery=every, **look)
