"""The tidy table of results, one row per (task, depth, seed, step): its columns, what a whole one is, and its text.

Every column stands in columns.csv beside this file, with its kind, unit, bounds, meaning and source. A task of one's
own may bring further ones, which are numbers.
"""

import csv
import io
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from grokkit.errors import GrokkitError

RUN = ["task", "depth", "seed"]
KEYS = [*RUN, "step"]
COLUMNS = [
    "preset",
    "data_source",
    "task",
    "depth",
    "seed",
    "step",
    "train_loss",
    "val_accuracy",
    "gen_accuracy",
    "weight_norm",
    "attention_sparsity",
    "t_score",
    "t_parseval",
]
"""The leading columns of every table; further ones follow, `status` ("ok" or "failed") is always there."""

ALWAYS = ["val_accuracy", "gen_accuracy", "weight_norm", "train_loss"]
"""Measured in every row of a run that did not fail, train_loss from the first step on. What needs an analysis
sample may be left out by a Config (attention_sparsity, t_score), and Dyck has no t_parseval."""


@cache
def dictionary() -> dict[str, dict[str, str]]:
    """columns.csv: a column's name -> its kind (text, whole number or number), unit, low, high, meaning, source."""
    with open(Path(__file__).with_name("columns.csv"), newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def _kind(column: str) -> str:
    return dictionary()[column]["kind"] if column in dictionary() else "number"


def validate_table(table: pd.DataFrame, source: object) -> pd.DataFrame:
    """The table that came from `source`, if it is one of results: whole columns of the right kinds and within their
    bounds, one row a run and step, and nothing missing where the run did not fail. Raises GrokkitError otherwise."""
    absent = [name for name in [*COLUMNS, "status"] if name not in table.columns]
    if absent:
        raise GrokkitError(
            f"{source} lacks the column {', '.join(absent)}: it was written by another version; "
            "train again, or move it away"
        )
    if table.empty:
        raise GrokkitError(f"{source} has no row: train again, or move it away")
    for name in table.columns:
        wrong = _wrong(table[name], name)
        if wrong:
            raise GrokkitError(f"{source}: {name} is {wrong}: train again, or move it away")
    if table.duplicated(KEYS).any():
        raise GrokkitError(f"{source} holds several rows for the same task, depth, seed and step")
    refuse_two_configs(table, source)
    fine = table[table.status != "failed"]
    for name in ALWAYS:
        holes = fine[fine[name].isna() & ((fine.step > 0) | (name != "train_loss"))]
        if len(holes):
            row = holes.iloc[0]
            raise GrokkitError(
                f"{source}: {name} is missing for seed {row.seed} at step {row.step}, "
                "although the run did not fail; train it again"
            )
    return table


def refuse_two_configs(table: pd.DataFrame, source: object = "the table") -> None:
    """Raises GrokkitError where runs of one task and depth were trained with two configs or on two data sets.

    A table without the column identity, of an earlier version, cannot tell.
    """
    if "identity" not in table:
        return
    several = table.groupby(["task", "depth"]).identity.nunique()
    for task, depth in several[several > 1].index:
        rows = table[(table.task == task) & (table.depth == depth)].dropna(subset="identity")
        seeds = rows.groupby("identity").seed.first()
        raise GrokkitError(
            f"{source} joins runs of {task} with {depth} layers that were trained with different configs or data"
            f" (their identity differs, e.g. of seeds {' and '.join(map(str, seeds))}): take one after the other"
        )


def _wrong(values: pd.Series, name: str) -> str:
    """What is wrong with the values of a column; "" where nothing is."""
    kind, rule = _kind(name), dictionary().get(name, {})
    if name == "status" and not values.isin(["ok", "failed"]).all():
        return "something else than ok or failed"
    if kind == "text":
        return ""
    if kind == "whole number" and not pd.api.types.is_integer_dtype(values):
        return "not a whole number everywhere"
    if values.dtype == bool or not pd.api.types.is_numeric_dtype(values):
        return "not a number everywhere"
    numbers = values.to_numpy(float)
    if np.isinf(numbers).any():
        return "infinite somewhere"
    low, high = float(rule.get("low") or "-inf"), float(rule.get("high") or "inf")
    if ((numbers < low) | (numbers > high)).any():
        return f"outside {low:g} .. {high:g} somewhere"
    return ""


def parse_table(text: str, source: object) -> pd.DataFrame:
    """The table in a CSV text that was read from `source`, to the last bit. GrokkitError if it is none of results."""
    try:
        # first as words: numbers to the last bit whatever the version of pandas, and "NA" is a name like others
        words = pd.read_csv(io.StringIO(text), index_col=False, dtype=str, keep_default_na=False, na_values=[""])
    except (ValueError, OverflowError) as error:  # pandas' parser errors are ValueErrors
        raise GrokkitError(f"cannot read {source} ({error}): train again, or move it away") from error
    columns = {}
    for name in words.columns:
        kind = _kind(name)
        try:
            columns[name] = words[name] if kind == "text" else words[name].astype(float if kind == "number" else int)
        except (ValueError, OverflowError) as error:
            raise GrokkitError(f"{source}: {name} is not a {kind} everywhere: train again, or move it away") from error
    return validate_table(pd.DataFrame(columns), source)


def table_text(rows: list[dict]) -> str:
    """The rows of one run as metrics.csv has them, sorted by step."""
    return pd.DataFrame(rows).sort_values("step").to_csv(index=False, lineterminator="\n")


def parse_rows(text: str, source: object) -> list[dict]:
    """The rows of one run's table in the order of their steps. GrokkitError for a text of another form."""
    return parse_table(text, source).sort_values("step").to_dict("records")
