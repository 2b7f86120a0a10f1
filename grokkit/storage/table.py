"""The tidy table of results, one row per (task, depth, seed, step): its columns, what a whole one is, and its text.

Every column stands in columns.csv beside this file, with its kind, unit, bounds, meaning and source. A task of one's
own, and a user, may bring further ones.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from grokkit.errors import GrokkitError

RUN = ["task", "depth", "seed"]
KEYS = [*RUN, "step"]
COLUMNS = ["preset", "data_source", *KEYS, "train_loss", "val_accuracy", "gen_accuracy", "weight_norm"]
COLUMNS += ["attention_sparsity", "t_score", "t_parseval"]
"""The leading columns of every table; further ones follow, `status` ("ok" or "failed") is always there."""

ALWAYS = ["val_accuracy", "gen_accuracy", "weight_norm", "train_loss"]
"""Measured in every row of a run that did not fail, train_loss from the first step on. What needs an analysis
sample may be left out by a Config (attention_sparsity, t_score), and Dyck has no t_parseval."""


@cache
def dictionary() -> dict[str, dict[str, str]]:
    """columns.csv: a column's name -> its kind (text, whole number or number), unit, low, high, meaning, source."""
    with open(Path(__file__).with_name("columns.csv"), newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


NEEDS = (
    "a table of results has one row for each task, depth, seed and step, each with its status (ok or failed), and "
    "the columns that docs/columns.md lists"
)


def check_table(table: pd.DataFrame, source: object = "the table", columns: Sequence[str] = ()) -> pd.DataFrame:
    """The one schema: the table from `source` with whole numbers as such and rows counted from 0, if it is one of
    results and has the `columns`. Columns that columns.csv does not know may hold anything but infinite numbers.

    Raises GrokkitError for a value of another kind or out of bounds, a run's step in two rows, several presets, a cell
    of two configs or data sets, and a measure of `ALWAYS` that is missing where the run did not fail.
    """
    if not isinstance(table, pd.DataFrame):
        raise GrokkitError(f"{source} is a {type(table).__name__}: {NEEDS}")
    if any(str(name).endswith("__MIN") for name in table.columns) and not set(KEYS) <= set(table.columns):
        raise GrokkitError(
            f"{source} is an export of curves from Weights & Biases, a column for each run, its __MIN and its __MAX, "
            f"to be turned into rows: {NEEDS}"
        )
    absent = [name for name in dict.fromkeys([*KEYS, "status", *columns]) if name not in table.columns]
    if absent:
        raise GrokkitError(f"{source} has no column {', '.join(absent)}: {NEEDS}")
    if not table.columns.is_unique:
        raise GrokkitError(f"{source} has two columns {table.columns[table.columns.duplicated()][0]}: {NEEDS}")
    if table.empty:
        raise GrokkitError(f"{source} is empty, it has no row: train the runs first, or read the record")
    table = pd.DataFrame({name: _checked(table[name].reset_index(drop=True), source) for name in table.columns})
    presets = sorted(set(table.get("preset", ())))
    if len(presets) > 1:
        raise GrokkitError(f"{source} mixes the presets {', '.join(presets)}: select one")
    twice = table.duplicated(KEYS)
    if twice.any():
        row = table[twice].iloc[0]
        raise GrokkitError(
            f"{source} has several rows for {', '.join(f'{name} {row[name]}' for name in KEYS)}: {NEEDS}"
        )
    refuse_two_configs(table, source)
    fine = table[table.status != "failed"]
    for name in set(ALWAYS) & set(table.columns):
        holes = fine[fine[name].isna() & ((fine.step > 0) | (name != "train_loss"))]
        if len(holes):
            row = holes.iloc[0]
            raise GrokkitError(
                f"{source}: {name} is missing for seed {row.seed} at step {row.step} ({row.task}, depth {row.depth}), "
                "although the run did not fail"
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


def _checked(values: pd.Series, source: object) -> pd.Series:
    """A column as its line of columns.csv says. Raises GrokkitError where it is something else."""
    rule = dictionary().get(str(values.name), {"kind": "", "low": "", "high": ""})
    values, wrong = (_texts if rule["kind"] == "text" else _numbers)(values, rule)
    if wrong:
        kind, low, high = rule["kind"] or "finite number", rule["low"], rule["high"]
        bounds = f" from {low} to {high}" if high else f" of at least {low}" * bool(low)
        needed = "ok or failed" if values.name == "status" else f"a {kind}{bounds}"
        raise GrokkitError(f"{source}: {values.name} is {wrong}: it needs {needed} (docs/columns.md)")
    return values


def _texts(values: pd.Series, rule: Mapping[str, str]) -> tuple[pd.Series, str]:
    """The texts, and what is wrong with them: only identity, which came later, may be missing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if values.name != "identity" and values.isna().any():
        return values, "missing somewhere"
    if pd.api.types.infer_dtype(values) not in ("string", "empty"):
        return values, "not a text everywhere"
    odd = values[~values.isin(["ok", "failed"]) & (values.name == "status")]
    return values, f"something else than ok or failed ({odd.iloc[0]})" if len(odd) else ""


def _numbers(values: pd.Series, rule: Mapping[str, str]) -> tuple[pd.Series, str]:
    """The numbers, and what is wrong with them."""
    if values.dtype == object:
        values = values.astype(float) if values.isna().all() else values.infer_objects()
    kind = rule["kind"]
    if values.dtype.kind not in "iuf":
        return values, f"not a {kind} everywhere" if kind else ""
    numbers = values.to_numpy(float, na_value=np.nan)
    if kind == "whole number":
        if not (np.isfinite(numbers) & (numbers == np.floor(numbers)) & (abs(numbers) < 2.0**63)).all():
            return values, "not a whole number everywhere"
        values = values.astype("int64")
    elif not isinstance(values.dtype, np.dtype):
        values = pd.Series(numbers, name=values.name)
    if np.isinf(numbers).any():
        return values, "infinite somewhere"
    low, high = float(rule["low"] or "-inf"), float(rule["high"] or "inf")
    outside = numbers[(numbers < low) | (numbers > high)]
    percent = " (percentages are divided by 100)" if len(outside) and high == 1 < outside[0] <= 100 else ""
    return values, f"outside {low:g} .. {high:g} somewhere, e.g. {outside[0]:g}{percent}" if len(outside) else ""


def parse_table(text: str, source: object) -> pd.DataFrame:
    """The table in a CSV text that was read from `source`, to the last bit. GrokkitError if it is none of results."""
    try:
        # first as words: numbers to the last bit whatever the version of pandas, and "NA" is a name like others
        words = pd.read_csv(io.StringIO(text), index_col=False, dtype=str, keep_default_na=False, na_values=[""])
    except (ValueError, OverflowError) as error:  # pandas' parser errors are ValueErrors
        raise GrokkitError(f"cannot read {source} ({error}): train again, or move it away") from error
    return check_table(pd.DataFrame({name: _parsed(words[name]) for name in words.columns}), source, COLUMNS)


def _parsed(words: pd.Series) -> pd.Series:
    """The words of a column as numbers where it is one of numbers, or where nothing is known of it and they are."""
    kind = dictionary().get(words.name, {"kind": ""})["kind"]
    for dtype in {"text": (), "whole number": (int, float)}.get(kind, (float,)):
        with suppress(ValueError, OverflowError):
            return words.astype(dtype)
    return words


def table_text(rows: list[dict]) -> str:
    """The rows of one run as metrics.csv has them, sorted by step."""
    return pd.DataFrame(rows).sort_values("step").to_csv(index=False, lineterminator="\n")


def parse_rows(text: str, source: object) -> list[dict]:
    """The rows of one run's table in the order of their steps. GrokkitError for a text of another form."""
    return parse_table(text, source).sort_values("step").to_dict("records")
