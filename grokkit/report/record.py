"""The record: finished runs become figures/<preset>/results.csv, with where the numbers come from beside it."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.report.results import Depths, results, tidy
from grokkit.report.verdict import write_expected
from grokkit.report.weights import record_weights
from grokkit.storage.files import figures_root, runs_root, write_json, write_text
from grokkit.storage.run_folder import found_runs
from grokkit.storage.table import COLUMNS, RUN, check_table

_SAME = tuple("commit training_step device processor cores threads system python torch numpy pandas".split())


def record(preset: str, tasks=None, depths: Depths = None, seeds=None) -> Path:
    """Writes the finished runs of a preset into figures/<preset>/; returns the folder.

    results.csv: the tidy table; provenance.json: hardware, versions, commits, and the seconds of each cell;
    expected.csv: what `gk.verdict` compares later runs of the preset with; weights/: of few of them. What is recorded
    is replaced.
    Raises GrokkitError where there is no finished run.
    """
    table = results(preset, tasks, depths, seeds)
    folder = write_record(preset, table, provenance(preset, table))
    write_expected(preset, table)
    record_weights(preset, table)
    return folder


def provenance(preset: str, table: pd.DataFrame) -> dict:
    """Environments in which the runs of a table were trained, and the seconds of each (task, depth)."""
    environments: list[dict] = []
    cells: dict[str, dict] = {}
    recorded = set(table[RUN].drop_duplicates().itertuples(index=False, name=None))
    for run in found_runs(preset):
        if (run.task, run.depth, run.seed) not in recorded:
            continue
        cell = cells.setdefault(f"{run.task} L{run.depth}", {"seeds": [], "seconds": 0.0})
        cell["seeds"] = sorted({*cell["seeds"], run.seed})
        for found in run.description()["environments"]:
            environment = {name: found.get(name) for name in _SAME}
            if environment not in environments:
                environments.append(environment)
            cell["seconds"] += found["seconds"]
            if "peak_memory_gb" in found:
                cell["peak_memory_gb"] = max(found["peak_memory_gb"], cell.get("peak_memory_gb", 0.0))
    if not environments:
        raise GrokkitError(f"no run folders of preset {preset} under {runs_root()}: nothing to record")
    for cell in cells.values():
        cell["seconds"] = round(cell["seconds"], 1)
    return {
        "preset": preset,
        "command": f"grokkit sweep --preset {preset}, then grokkit record --preset {preset}",
        "seconds_are": "training and evaluation of all runs of a cell, added up; runs share the machine's cores",
        "environments": environments,
        "cells": cells,
    }


def write_record(preset: str, table: pd.DataFrame, provenance: Mapping) -> Path:
    """Writes figures/<preset>/results.csv (sorted, 6 significant digits) and provenance.json; returns the folder.

    Each file is whole or not there. Raises when the table belongs to another preset or a metric is missing.
    """
    check_table(table, columns=COLUMNS)
    if set(table.preset) != {preset}:
        raise GrokkitError(f"the table belongs to preset {', '.join(sorted(set(table.preset)))}, not to {preset}")
    folder = figures_root() / preset
    write_text(folder / "results.csv", tidy(table).to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_json(folder / "provenance.json", dict(provenance))
    return folder
