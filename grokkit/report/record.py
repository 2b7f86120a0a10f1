"""The record: finished runs become figures/<preset>/results.csv, with where the numbers come from beside it."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.report.results import Depths, own_depths, read_record, results, tidy
from grokkit.report.verdict import write_expected
from grokkit.report.weights import record_weights
from grokkit.storage.files import figures_root, read_json, runs_root, write_json, write_text
from grokkit.storage.run_folder import found_runs
from grokkit.storage.table import COLUMNS, KEYS, RUN, check_table, parse_table

_SAME = tuple("commit training_step device processor cores threads system python torch numpy pandas".split())


def record(preset: str, tasks=None, depths: Depths = None, seeds=None, until: int | None = None) -> Path:
    """Adds the finished runs of a preset to figures/<preset>/; returns the folder.

    results.csv: the tidy table; provenance.json: hardware, versions, commits, and the seconds of each run;
    expected.csv: what `gk.verdict` compares later runs of the preset with; weights/: of few of them. until: the runs
    that have come so far, up to there; the last two are of finished runs alone, at the preset's own depths. Of a run
    that the record has already, the longer one stays.
    Raises GrokkitError where there is no finished run, and for a run that differs from the recorded one.
    """
    table = results(preset, tasks, depths, seeds, until=until)
    stays, known = _recorded(preset, table)
    go = pd.MultiIndex.from_frame(table[RUN]).isin(pd.MultiIndex.from_frame(stays[RUN]))
    folder = write_record(preset, pd.concat([stays, table[~go]]), provenance(preset, table[~go], known))
    if until is None:
        whole = own_depths(results(preset, source="record"))
        write_expected(preset, whole)
        record_weights(preset, whole)
    return folder


def _recorded(preset: str, table: pd.DataFrame) -> tuple[pd.DataFrame, dict]:
    """The rows of the recorded runs that the table does not have, or not as far; and the provenance that is there."""
    path = figures_root() / preset / "results.csv"
    if not path.is_file():
        return table[:0], {}
    old, new = read_record(path), parse_table(_text(table), "the table")
    both = old.merge(new, on=KEYS, suffixes=("", " now"))
    for name in old.columns.intersection(new.columns).difference(KEYS):
        one, other = both[name], both[f"{name} now"]
        differing = both[(one != other) & one.notna() & other.notna()]
        if len(differing):
            run = ", ".join(f"{key} {differing.iloc[0][key]}" for key in KEYS)
            raise GrokkitError(
                f"{path} has another {name} for {run} than the run has now, so nothing was recorded: record other"
                " seeds, or move the file away to record all anew"
            )
    ends = new.groupby(RUN).step.max().reindex(pd.MultiIndex.from_frame(old[RUN]), fill_value=-1)
    return old[old.groupby(RUN).step.transform("max") > ends.to_numpy()], read_json(path.with_name("provenance.json"))


def provenance(preset: str, table: pd.DataFrame, known: Mapping | None = None) -> dict:
    """Environments in which the runs of a table were trained; of each run their numbers in that list, its seconds, and
    the step that its rows go up to. known: provenance to be added to."""
    known = known or {}
    environments: list[dict] = list(known.get("environments", ()))
    cells: dict[str, dict] = {}
    until = table.groupby(RUN).step.max().to_dict()
    for run in found_runs(preset):
        if run[:3] not in until:
            continue
        new = {"environments": [], "seconds": 0.0, "until": int(until[run[:3]])}
        cell = cells.setdefault(f"{run.task} L{run.depth} seed {run.seed}", new)
        for found in run.description()["environments"]:
            environment = {name: found.get(name) for name in _SAME}
            if environment not in environments:
                environments.append(environment)
            cell["environments"].append(environments.index(environment))
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
        "seconds_are": "training and evaluation of the run, maybe beyond its rows here; runs share the machine's cores",
    } | dict(known) | {"environments": environments, "cells": known.get("cells", {}) | cells}  # fmt: skip


def write_record(preset: str, table: pd.DataFrame, provenance: Mapping) -> Path:
    """Writes figures/<preset>/results.csv (sorted, 6 significant digits) and provenance.json; returns the folder.

    Each file is whole or not there. Raises when the table belongs to another preset or a metric is missing.
    """
    check_table(table, columns=COLUMNS)
    if set(table.preset) != {preset}:
        raise GrokkitError(f"the table belongs to preset {', '.join(sorted(set(table.preset)))}, not to {preset}")
    folder = figures_root() / preset
    write_text(folder / "results.csv", _text(table))
    write_json(folder / "provenance.json", dict(provenance))
    return folder


def _text(table: pd.DataFrame) -> str:
    return tidy(table).to_csv(index=False, float_format="%.6g", lineterminator="\n")
