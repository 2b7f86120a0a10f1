"""Results: the tidy table of finished runs, what is missing, and the committed record.

Runs lie in runs/<preset>/<task>/L<depth>/seed-<n>/, the record of what was measured in figures/<preset>/ (results.csv,
provenance.json). This module knows tables only, never models.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd

from grokkit.config import Config
from grokkit.data import TASKS
from grokkit.errors import GrokkitError, warn
from grokkit.presets import PRESETS, Selection, config_of, preset_name, select
from grokkit.storage.files import figures_root, read_bytes, runs_root
from grokkit.storage.identity import refuse_other_config
from grokkit.storage.run_folder import FoundRun, found_runs
from grokkit.storage.table import COLUMNS, KEYS, RUN, parse_table, refuse_two_configs
from grokkit.values import flag, one_of

Depths = int | str | Sequence[int] | Mapping[str, Sequence[int]] | None
SOURCES = ("runs", "record", "again")
"""Trained here; figures/<preset>/results.csv, the record; figures/<preset>/again.csv, a second training."""
STATES = ["finished", "failed", "running", "missing"]
_OF_FOLDERS = ["path", "finished"]  # columns that are no results


def results(
    preset: str, tasks=None, depths: Depths = None, seeds=None, source: str = "runs", unfinished: bool = False
) -> pd.DataFrame:
    """The tidy table of a preset, or of a changed one (as in smoke~1a2b3c), one row per (task, depth, seed, step).

    tasks, seeds: one or several, None for all; depths: likewise, or several per task, e.g. {"tense": [2, 4]}.
    source: "runs" (trained here, finished or failed ones; all that have started with unfinished=True), "record"
    (figures/<preset>/results.csv) or "again" (again.csv there). Runs that are asked for and not there, and those that
    have only begun, are left out, with a warning: see `missing`.

    Raises GrokkitError when there is nothing at all, when a metric is missing, and when two folders disagree.
    """
    preset = preset_name(preset)
    wanted, table = _load(preset, tasks, depths, seeds, source)
    table = table[table.finished.astype(bool) | flag("unfinished", unfinished)]
    there, begun = set(table[RUN].itertuples(index=False, name=None)), set()
    if source == "runs":
        begun = {run[:3] for run in found_runs(preset) if wanted.has(*run[:3])} - there
    said = [f"begun, not finished: {', '.join(_cells(begun))}"] if begun else []
    if table.empty:
        place = _place(preset, source)
        if source != "runs" and not place.is_file():
            raise GrokkitError(f"no record {place}: use SOURCE=runs, or train with 'grokkit sweep'")
        raise GrokkitError(
            f"no finished run of preset {preset} that fits the question in {place}{''.join(f' ({s})' for s in said)}: "
            "train with 'grokkit sweep', or ask for other tasks, depths or seeds"
        )
    if absent := ", ".join(_absent(there | begun, wanted)):
        said.insert(0, f"not there: {absent}")
    if said:
        warn(f"preset {preset}, {source}: left out is what is {'; '.join(said)}")
    return tidy(_merge(table))


def _cells(runs: Iterable[tuple]) -> Iterator[str]:
    """Runs in words, a cell at a time."""
    for (task, depth), cell in groupby(sorted(runs), lambda run: run[:2]):
        yield f"{task} L{depth} seeds {' '.join(str(seed) for _, _, seed in cell)}"


def _absent(there: Collection[tuple], wanted: Selection) -> Iterator[str]:
    """What is asked for by name and is not there."""
    named = wanted.depths if isinstance(wanted.depths, Mapping) else sorted({task for task, *_ in there})
    for task in named if wanted.tasks is None else wanted.tasks:
        depths = wanted.depths_of(task)
        found = {depth for name, depth, _ in there if name == task}
        if not found and depths != ():
            yield task
            continue
        for depth in sorted(found) if depths is None else depths:
            seeds = [str(seed) for seed in wanted.seeds or () if (task, depth, seed) not in there]
            if depth not in found or seeds:
                yield f"{task} L{depth}" + (f" seeds {' '.join(seeds)}" if seeds else "")


def missing(preset: str, tasks=None, depths: Depths = None, seeds=None, source: str = "runs") -> list:
    """(task, depth, seed) of the runs that are neither finished nor failed."""
    table = status(preset, tasks, depths, seeds, source)
    return [(row.task, row.depth, seed) for row in table.itertuples() for seed in (*row.running, *row.missing)]


def status(preset: str, tasks=None, depths: Depths = None, seeds=None, source: str = "runs") -> pd.DataFrame:
    """One row a cell (task, depth) with lists of seeds: finished, failed, running, missing.

    `running` have begun and not reached their last step; whether a process still works on them cannot be seen
    here. Without tasks, depths or seeds, those found on disk are listed. Raises where two folders disagree.
    """
    preset, state = preset_name(preset), {}
    wanted, table = _load(preset, tasks, depths, seeds, source)
    if source == "runs":
        state = {(run.task, run.depth, run.seed): "running" for run in found_runs(preset)}
    for key, rows in table.groupby(RUN):
        ended = "finished" if rows.finished.any() else "running"
        state[key] = "failed" if (rows.status == "failed").any() else ended
    known, cells = pd.DataFrame(list(state), columns=RUN), []
    for task in dict.fromkeys([*TASKS, *known.task]) if wanted.tasks is None else wanted.tasks:
        there, asked = known[known.task == task], wanted.depths_of(task)
        for depth in sorted(set(there.depth)) if asked is None else asked:
            cell: dict = {"task": task, "depth": int(depth), **{name: [] for name in STATES}}
            for seed in sorted(set(there[there.depth == depth].seed)) if wanted.seeds is None else wanted.seeds:
                cell[state.get((task, depth, seed), "missing")].append(int(seed))
            cells.append(cell)
    return pd.DataFrame(cells, columns=["task", "depth", *STATES])


def tidy(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns and rows in their order."""
    rest = [name for name in table.columns if name not in [*COLUMNS, "status", *_OF_FOLDERS]]
    return table[[*COLUMNS, *rest, "status"]].sort_values(KEYS, ignore_index=True).copy()


def _place(preset: str, source: str) -> Path:
    """Where the results of a source lie: a folder of runs, or a table."""
    if one_of("source", source, SOURCES) == "runs":
        return runs_root() / preset
    return figures_root() / preset / ("results.csv" if source == "record" else "again.csv")


def _load(preset: str, tasks, depths: Depths, seeds, source: str) -> tuple[Selection, pd.DataFrame]:
    """What is meant, and all rows of it, with `finished`, and of runs with `path`; no row if there are none."""
    path = _place(preset, source)
    if source == "runs":
        runs = found_runs(preset)
        wanted = select(tasks, depths, seeds, {run.task for run in runs})
        tables = _load_runs([run for run in runs if wanted.has(run.task, run.depth, run.seed)], preset)
    else:
        whole = [_read_record(path)] if path.is_file() else []
        wanted = select(tasks, depths, seeds, {task for table in whole for task in table.task})
        tables = [table[_fits(table, wanted)].assign(finished=True) for table in whole]
    if not tables:
        return wanted, pd.DataFrame(columns=[*COLUMNS, "status", *_OF_FOLDERS])
    table = pd.concat(tables, ignore_index=True)
    refuse_two_configs(table, path)
    return wanted, table


def _read_record(path: Path) -> pd.DataFrame:
    try:
        text = read_bytes(path).decode("utf-8-sig")  # as a spreadsheet saves it
    except UnicodeDecodeError as error:
        raise GrokkitError(f"{path} is no UTF-8 text: get it from git again") from error
    return parse_table(text, path)


def _fits(table: pd.DataFrame, wanted: Selection) -> list[bool]:
    return [wanted.has(*run) for run in zip(table.task, table.depth, table.seed)]


def _load_runs(runs: Iterable[FoundRun], preset: str) -> list[pd.DataFrame]:
    """The table of each run. Raises GrokkitError for one that was trained with other values than its cell has."""
    tables: list[pd.DataFrame] = []
    cells: dict[tuple[str, int], Config] = {}
    for run in runs:
        table = run.table()
        if table is None:
            continue
        described = run.description()
        config = described["config"]
        if "identity" not in table and "identity" in described:  # of a version that did not write it into the rows
            table["identity"] = described["identity"]
        for name, value in zip(RUN, (run.task, run.depth, run.seed)):
            if not (table[name] == value).all():
                raise GrokkitError(
                    f"{run.path}: metrics.csv says {name} = {table[name].unique().tolist()}: "
                    "move the folder to where it belongs"
                )
        key = run.task, run.depth
        cells[key] = cell = cells.get(key) or config_of(preset, *key, config, run.path)
        refuse_other_config(run.path, config, cell)
        table["preset"] = preset  # an earlier version gave a changed one the preset's name
        steps = cell.steps if run.task in PRESETS.get(preset, {}) else config["steps"]
        finished = bool(table.step.max() >= steps or (table.status == "failed").any())
        tables.append(table.assign(path=str(run.path), finished=finished))
    return tables


def _merge(table: pd.DataFrame) -> pd.DataFrame:
    """One row a key. Folders of format 2 may hold a run twice: a finished one hides one that is under way, and rows
    that both hold must be equal."""
    finished = table.groupby(RUN).finished.transform("any")
    table = table[table.finished | ~finished]
    values = [name for name in table.columns if name not in _OF_FOLDERS]
    table = table.drop_duplicates(values)
    clash = table[table.duplicated(KEYS, keep=False)].sort_values(KEYS)
    if len(clash):
        one, other = clash.iloc[0], clash.iloc[1]
        differing = [
            name for name in values if one[name] != other[name] and not (pd.isna(one[name]) and pd.isna(other[name]))
        ]
        run = ", ".join(f"{name} {one[name]}" for name in KEYS)
        raise GrokkitError(
            f"two different results for {run} ({', '.join(differing)}): {one.path} and {other.path}; "
            "move one of the folders elsewhere (GROKKIT_RUNS)"
        )
    return table
