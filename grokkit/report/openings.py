"""Verdicts by step: runs at paper scale against the published curves, as far as both go.

A published curve has a value at each of its steps, and the schedule depends on the number of the step alone. So the
beginning of a run, its opening, can be judged long before its end. One value, a metric at one step, is inside where it
lies in a band around the published mean. One cell, a task and depth, passes where k of its m values are inside, and at
most 5 % of published runs that were left out and judged likewise had fewer. docs/openings.md has the formulas.
"""

import math

import numpy as np
import pandas as pd

from grokkit.report.outcomes import at_end, counted, takes_results
from grokkit.report.published import published_curves, read
from grokkit.report.statistics import prediction_half_width
from grokkit.storage.table import RUN

CURVE = ["task", "depth", "metric"]
LEAST_RUNS = 3  # published ones, fewer have no spread to speak of
MOST_LEFT_OUT = 3
SENTENCES = {
    ("question", "val_accuracy"): (399, 406),  # quest lines of 1,000
    ("question", "gen_accuracy"): (10_000, 10_000),
    ("tense", "val_accuracy"): (1_000, 1_000),
    ("tense", "gen_accuracy"): (10_000, math.inf),  # 2,000 drawn anew each time: in the spread of their runs already
    ("dyck", "val_accuracy"): (20_000, 784),  # strings, as the brackets of one string are not independent
    ("dyck", "gen_accuracy"): (20_000, 100),
}
"""Items of our set and of theirs behind an accuracy. Sources: Table 1, D37 to D39 and the grid of their values."""
_ROUNDING = 1e-6  # tables keep six digits
_FIGURES = {"fig2": "val_accuracy", "fig3b": "t_score", "fig4": "t_parseval"}  # a figure and a curve that it shows


def half_width(rows: pd.DataFrame) -> np.ndarray:
    """Half-width of the band in which the mean of n new runs is to lie, of each row.

    rows: task, metric, n and published, published_sd, published_n.
    """
    sets = [SENTENCES.get(key, (math.inf, math.inf)) for key in zip(rows.task, rows.metric)]
    ours, theirs = np.array(sets, dtype=float).reshape(-1, 2).T
    p = rows.published.to_numpy().clip(0, 1)
    error = np.sqrt(p * (1 - p) * (1 / ours + 1 / theirs))
    sd, n_reference, n = (rows[name].to_numpy() for name in ("published_sd", "published_n", "n"))
    return np.maximum(prediction_half_width(sd, n_reference, n, error), 1 / np.minimum(ours, theirs)) + _ROUNDING


@takes_results("preset")
def verdict_by_step(table: pd.DataFrame) -> pd.DataFrame:
    """Each value that a results table and the published curves both have: task, depth, metric, step, value, sd and n
    of the table, published, published_sd, published_n, low and high (the ends of the band) and inside.

    The preset is not looked at: whether the two may be compared is for the caller to know. Runs that failed, or
    ended before the others of their cell, are left out.
    """
    measured = [name for name in published_curves().metric.unique() if name in table]
    rows = counted(table).melt([*RUN, "step"], measured, "metric").dropna(subset="value")
    mine = rows.groupby([*CURVE, "step"]).value.agg(value="mean", sd="std", n="count").reset_index()
    theirs = published_curves().rename(columns={"mean": "published", "sd": "published_sd", "n": "published_n"})
    theirs = theirs.loc[theirs.published_n >= LEAST_RUNS, [*CURVE, "step", "published", "published_sd", "published_n"]]
    both = mine.merge(theirs, on=[*CURVE, "step"])
    half = half_width(both)
    inside = (both.value - both.published).abs() <= half
    top = np.where(both.metric == "t_score", math.inf, 1.0)  # all others are shares
    low, high = (both.published - half).clip(1 - top, top), (both.published + half).clip(1 - top, top)
    return both.assign(low=low, high=high, inside=inside)


@takes_results("preset")
def cells(table: pd.DataFrame, figure: str) -> pd.DataFrame:
    """One row a cell that the figure shows and that has published curves: task, depth, until, n, k, m, and of the
    published runs that were left out expected (mean of k) and least (its 5 % quantile); note.

    expected and least are nan, and the note says why, where the table lacks some of the published values.
    """
    values, left, found = verdict_by_step(table), read("leave_out"), []
    reached = at_end(table).groupby(["task", "depth"]).agg(step=("step", "first"), n=("seed", "size"))
    for (task, depth), rows in values.groupby(["task", "depth"]):
        if _FIGURES.get(figure) not in set(rows.metric):
            continue
        end, n = reached.loc[(task, depth)]
        rows = rows[rows.step <= end]
        known = left[(left.task == task) & (left.depth == depth) & (left.n == min(n, MOST_LEFT_OUT))]
        known = known[known.until <= end]
        if known.empty:
            continue
        least = known.iloc[-1]
        steps = {m: ", ".join(f"{step:,}" for step in part.step) for m, part in rows[~rows.inside].groupby("metric")}
        note = "outside: " + "; ".join(f"{metric} at {text}" for metric, text in steps.items()) if steps else ""
        number = least.expected, least.least
        if len(rows) != least.m or (rows.n != n).any():
            note = f"up to step {end:,} the table has {len(rows)} of {least.m} published values"
            number = math.nan, math.nan
        found.append((task, depth, int(least.until), int(n), int(rows.inside.sum()), len(rows), *number, note))
    return pd.DataFrame(found, columns=["task", "depth", "until", "n", "k", "m", "expected", "least", "note"])
