"""The record: finished runs become figures/<preset>/results.csv, with where the numbers come from beside it."""

from collections.abc import Sequence
from pathlib import Path

from grokkit.errors import GrokkitError
from grokkit.report.results import Depths, results, run_folder, runs_root, write_record
from grokkit.report.verdict import write_expected
from grokkit.storage.digests import ENVIRONMENT, read_file
from grokkit.storage.files import parse_json

_SAME = ("commit", "device", "processor", "cores", "threads", "system", "python", "torch", "numpy", "pandas")


def record(
    preset: str, tasks: Sequence[str] | None = None, depths: Depths = None, seeds: Sequence[int] | None = None
) -> Path:
    """Writes the finished runs of a preset into figures/<preset>/; returns the folder.

    results.csv: the tidy table; provenance.json: hardware, versions, commits, and the seconds of each cell;
    expected.csv: what `gk.verdict` compares later runs of the preset with. What is recorded is replaced.
    Raises GrokkitError where there is no finished run.
    """
    table = results(preset, tasks, depths, seeds)
    folder = write_record(preset, table, provenance(preset, table))
    write_expected(preset, table)
    return folder


def provenance(preset: str, table) -> dict:
    """Environments in which the runs of a table were trained, and the seconds of each (task, depth)."""
    environments: list[dict] = []
    cells: dict[str, dict] = {}
    for task, depth in sorted(set(zip(table["task"], table["depth"]))):
        seeds = set(table.loc[(table["task"] == task) & (table["depth"] == depth), "seed"])
        cell = cells.setdefault(f"{task} L{depth}", {"seeds": sorted(map(int, seeds)), "seconds": 0.0})
        for path in sorted(run_folder(preset, task, depth, [0]).parent.glob("seeds-*")):
            if not seeds & {int(seed) for seed in path.name.split("-")[1:]}:
                continue
            found = parse_json(read_file(path, ENVIRONMENT), path / ENVIRONMENT)
            if not isinstance(found.get("seconds"), int | float):
                raise GrokkitError(f"{path / ENVIRONMENT} does not say the seconds: remove it and train the cell again")
            environment = {name: found.get(name) for name in _SAME}
            if environment not in environments:
                environments.append(environment)
            cell["seconds"] = round(cell["seconds"] + found["seconds"], 1)
            if "peak_memory_gb" in found:
                cell["peak_memory_gb"] = max(found["peak_memory_gb"], cell.get("peak_memory_gb", 0.0))
    if not environments:
        raise GrokkitError(f"no run folders of preset {preset} under {runs_root()}: nothing to record")
    return {
        "preset": preset,
        "command": f"grokkit sweep --preset {preset}, then grokkit record --preset {preset}",
        "seconds_are": "training and evaluation of all runs of a cell, added up; runs share the machine's cores",
        "environments": environments,
        "cells": cells,
    }
