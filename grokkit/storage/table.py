"""The tidy table of results, one row per (task, depth, seed, step): its columns, what a whole one is, and its text."""

import io

import numpy as np
import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.storage.digests import TABLE

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

TEXTS = ("preset", "data_source", "task", "status")
NUMBERED = ("depth", "seed", "step")
"""Columns of words, and of whole numbers; all others are measured."""


def checked(table: pd.DataFrame, where: object) -> pd.DataFrame:
    """The table, if it is one of results: whole columns of the right kinds. Raises GrokkitError otherwise."""
    absent = [name for name in [*COLUMNS, "status"] if name not in table.columns]
    if absent:
        raise GrokkitError(
            f"{where} lacks the column {', '.join(absent)}: it was written by another version; "
            "train again, or remove it"
        )
    for name in NUMBERED:
        if len(table) and not pd.api.types.is_integer_dtype(table[name]):
            raise GrokkitError(f"{where}: {name} is not a whole number everywhere: train again, or remove it")
    measured = [name for name in table.columns if name not in TEXTS]
    for name in measured:
        if len(table) and (table[name].dtype == bool or not pd.api.types.is_numeric_dtype(table[name])):
            raise GrokkitError(f"{where}: {name} is not a number everywhere: train again, or remove it")
        if np.isinf(table[name].to_numpy(float)).any():
            raise GrokkitError(f"{where}: {name} is infinite somewhere: train again, or remove it")
    if not table.status.isin(["ok", "failed"]).all():
        raise GrokkitError(f"{where}: status is something else than ok or failed: train again, or remove it")
    for name in ("val_accuracy", "gen_accuracy"):
        if not table[name].dropna().between(0, 1).all():
            raise GrokkitError(f"{where}: {name} is outside 0 .. 1 somewhere: train again, or remove it")
    if table.duplicated(KEYS).any():
        raise GrokkitError(f"{where} holds several rows for the same task, depth, seed and step")
    fine = table[table.status != "failed"]
    for name in ALWAYS:
        holes = fine[fine[name].isna() & ((fine.step > 0) | (name != "train_loss"))]
        if len(holes):
            row = holes.iloc[0]
            raise GrokkitError(
                f"{where}: {name} is missing for seed {row.seed} at step {row.step}, "
                "although the run did not fail; train it again"
            )
    return table


def parse_table(text: str, where: object) -> pd.DataFrame:
    """The table in a CSV text that was read from `where`. Raises GrokkitError where it is none of results."""
    try:
        # one block: pandas warns of fragments otherwise
        table = pd.read_csv(io.StringIO(text), index_col=False).copy()
    except (ValueError, OverflowError) as error:  # pandas' parser errors are ValueErrors
        raise GrokkitError(f"cannot read {where} ({error}): train again, or remove it") from error
    return checked(table, where)


def table_text(rows: list[dict]) -> str:
    """The rows as metrics.csv has them, sorted by seed and step."""
    return pd.DataFrame(rows).sort_values(["seed", "step"]).to_csv(index=False, lineterminator="\n")


def parse_rows(text: str, seeds: tuple[int, ...], where: object = TABLE) -> list[dict]:
    """The rows of a table in the order in which they were measured. GrokkitError for a text of another form."""
    order = {seed: r for r, seed in enumerate(seeds)}
    try:
        # first as words: numbers to the last bit, whatever the version of pandas, and "NA" is a name like others
        words = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_values=[""])
        kinds = {name: int if name in NUMBERED else float for name in words.columns if name not in TEXTS}
        rows = words.astype(kinds).to_dict("records")
        return sorted(rows, key=lambda row: (row["step"], order[row["seed"]]))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise GrokkitError(f"{where} is no table of results ({error}): remove the folder to train afresh") from error
