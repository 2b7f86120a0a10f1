"""The published numbers: single figures with their source, in published.csv beside this file, and whole curves.

Columns: quantity, task, depth, step, figure, value, sd, n, definition, source. sd is the sample standard
deviation over seeds (n - 1). They are compared by `grokkit.report.verdict`; the whole curves, in curves.csv, by
`grokkit.report.openings`. The authors' curves were most likely trained as preset as-run describes. No numbers were
ever released for Figure 3a at other depths, for weight norms or for attention sparsity.
"""

from functools import cache
from pathlib import Path

import pandas as pd

TASK_NAMES = {"dyck": "Dyck", "question": "Question-Formation", "tense": "Tense-Inflection"}
"""The tasks of the paper as it names them, in the order of its Table 1."""

PAPER_SCALE = ("as-run", "as-written")
"""Presets whose numbers may be compared with the published ones. Every other preset is a smaller experiment."""

LAST_STEP = {"question": 300_000, "tense": 300_000, "dyck": 400_000}
"""Where the published plots end. Source: paper, Section 3."""


def incomparable(preset: str, task: str) -> str:
    """Why the accuracies of a preset on a task cannot be held against the published ones; "" if they can.

    >>> incomparable("as-run", "dyck"), incomparable("laptop", "tense")
    ('', 'preset laptop is a smaller experiment than the published one')
    """
    if "~" in preset:
        return f"preset {preset} is changed: another experiment than the published one"
    if preset not in PAPER_SCALE:
        return f"preset {preset} is a smaller experiment than the published one"
    if (preset, task) == ("as-written", "dyck"):
        return "as-written counts closing brackets at distance >= 10, the published curves count all"
    return ""


def layers(depth: int) -> str:
    """How many layers, in words: 1 layer, 6 layers."""
    return f"{depth} layer{'s' if depth != 1 else ''}"


def cell_label(task: str, depth: int | None = None) -> str:
    """How a cell is called: "tense, 4 layers"; without a depth, all depths of the task: "tense"."""
    return task if depth is None else f"{task}, {layers(depth)}"


@cache
def read(name: str) -> pd.DataFrame:
    """A table of this folder: "published", "curves" or "leave_out". Copy before you change it."""
    return pd.read_csv(Path(__file__).with_name(f"{name}.csv"))


def published(figure: str | None = None, task: str | None = None) -> pd.DataFrame:
    """The published numbers, of one figure ("table1", "fig2", "fig3a", "fig3b", "fig4") and task or all.

    >>> rows = published("table1", "dyck").set_index("quantity")
    >>> int(rows.value["train_size"]), rows.source["train_size"]
    (200000, 'paper, Table 1')
    """
    table = read("published")
    if figure:
        table = table[table.figure == figure]
    return table[table.task == task] if task else table


def published_curves(seeds: str = "all") -> pd.DataFrame:
    """The published curves: task, depth, step, metric, seeds, n, mean, sd, least, greatest, source; n runs a row.

    seeds: "all" runs that were released, 20 for the accuracies of questions and tense, or the 10 that the paper
    "plotted". metric: val_accuracy, gen_accuracy, t_score or t_parseval. Made by tests/helpers/derive_curves.py.

    >>> rows = published_curves("plotted").set_index(["task", "depth", "metric", "step"])
    >>> float(rows["mean"]["question", 6, "gen_accuracy", 300_000].round(4))
    0.9293
    """
    table = read("curves")
    return table[table.seeds.isin([seeds, "both"])]
