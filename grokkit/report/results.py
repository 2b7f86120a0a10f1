"""Results: the tidy table of finished runs, what is missing, and the committed record.

Runs lie in runs/<preset>/<task>/L<depth>/seed-<n>/, the record of what was measured in figures/<preset>/ (results.csv,
provenance.json). This module knows tables only, never models.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from grokkit.config import Config, differing_fields
from grokkit.data import TASKS
from grokkit.errors import GrokkitError, warn
from grokkit.presets import PRESETS, Selection, select
from grokkit.presets import preset as preset_of
from grokkit.storage.files import figures_root, read_bytes, runs_root
from grokkit.storage.identity import refuse_other_config
from grokkit.storage.run_folder import FoundRun, found_runs
from grokkit.storage.table import COLUMNS, KEYS, RUN, parse_table, refuse_two_configs
from grokkit.values import names, one_of

Depths = int | Sequence[int] | Mapping[str, Sequence[int]] | None
STATES = ["finished", "failed", "running", "missing"]
_OF_FOLDERS = ["path", "finished"]  # columns that are no results


def results(
    preset: str, tasks=None, depths: Depths = None, seeds=None, source: str = "runs", unfinished: bool = False
) -> pd.DataFrame:
    """The tidy table of a preset, one row per (task, depth, seed, step), sorted.

    tasks, seeds: one or several, None for all; depths: likewise, or several per task, e.g. {"tense": [2, 4]}.
    source: "runs" (trained here, finished or failed ones; all that have started with unfinished=True) or
    "record" (figures/<preset>/results.csv). Runs that are asked for and not there are left out, with a warning: see
    `missing`.

    Raises GrokkitError when there is nothing at all, when a metric is missing, and when two folders disagree.
    """
    (preset,), wanted = names("preset", [preset], tuple(PRESETS)), select(tasks, depths, seeds)
    table = _load(preset, wanted, source)
    table = table[table.finished.astype(bool) | unfinished]
    if table.empty:
        place = runs_root() / preset if source == "runs" else _record_path(preset)
        if source == "record" and not place.is_file():
            raise GrokkitError(f"no record {place}: use SOURCE=runs, or train with 'grokkit sweep'")
        raise GrokkitError(
            f"no finished run of preset {preset} that fits the question in {place}: "
            "train with 'grokkit sweep', or ask for other tasks, depths or seeds"
        )
    if absent := ", ".join(_absent(table, wanted)):
        warn(f"preset {preset}, {source}: not there, so left out: {absent}")
    return tidy(_merge(table))


def _absent(table: pd.DataFrame, wanted: Selection) -> Iterator[str]:
    """What is asked for by name and has no row."""
    there = set(table[RUN].itertuples(index=False, name=None))
    named = wanted.depths if isinstance(wanted.depths, Mapping) else sorted(set(table.task))
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
    wanted, state = select(tasks, depths, seeds), {}
    table = _load(preset, wanted, source)
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


def _record_path(preset: str) -> Path:
    return figures_root() / preset / "results.csv"


def _load(preset: str, wanted: Selection, source: str) -> pd.DataFrame:
    """All rows of the runs that are meant, with `finished`, and of runs with `path`; no row if there are none."""
    if one_of("source", source, ("runs", "record")) == "runs":
        tables = _load_runs([run for run in found_runs(preset) if wanted.has(run.task, run.depth, run.seed)], preset)
    else:
        path = _record_path(preset)
        table = _read_record(path) if path.is_file() else None
        tables = [] if table is None else [table[_fits(table, wanted)].assign(finished=True)]
    if not tables:
        return pd.DataFrame(columns=[*COLUMNS, "status", *_OF_FOLDERS])
    table = pd.concat(tables, ignore_index=True)
    refuse_two_configs(table, runs_root() / preset if source == "runs" else _record_path(preset))
    return table


def _read_record(path: Path) -> pd.DataFrame:
    try:
        text = read_bytes(path).decode("utf-8-sig")  # as a spreadsheet saves it
    except UnicodeDecodeError as error:
        raise GrokkitError(f"{path} is no UTF-8 text: get it from git again") from error
    return parse_table(text, path)


def _fits(table: pd.DataFrame, wanted: Selection) -> list[bool]:
    return [wanted.has(*run) for run in zip(table.task, table.depth, table.seed)]


def _load_runs(runs: Iterable[FoundRun], preset: str) -> list[pd.DataFrame]:
    """The table of each run. Raises GrokkitError for one that was trained with other values than its preset has, and
    where finished runs of one cell were trained differently."""
    tables: list[pd.DataFrame] = []
    first: dict[tuple[str, int], tuple[Path, dict]] = {}
    cells: dict[tuple[str, int], Config] = {}
    for run in runs:
        table = run.table()
        if table is None:
            continue
        described = run.description()
        config = described["config"]
        if "identity" not in table and "identity" in described:  # of a version that did not write it into the rows
            table["identity"] = described["identity"]
        for name, value in (("preset", preset), ("task", run.task), ("depth", run.depth), ("seed", run.seed)):
            if not (table[name] == value).all():
                raise GrokkitError(
                    f"{run.path}: metrics.csv says {name} = {table[name].unique().tolist()}: "
                    "move the folder to where it belongs"
                )
        if run.task in PRESETS[preset]:
            cell = cells.setdefault((run.task, run.depth), preset_of(preset, run.task, run.depth))
            refuse_other_config(run.path, config, cell)
            config = config | {"steps": cell.steps, "horizon": cell.horizon}  # other ones at a constant rate
        finished = bool(table.step.max() >= config["steps"] or (table.status == "failed").any())
        tables.append(table.assign(path=str(run.path), finished=finished))
        if not finished:
            continue
        other, known = first.setdefault((run.task, run.depth), (run.path, config))
        differing = differing_fields(config, known)
        if differing:
            raise GrokkitError(
                f"{other} and {run.path} were trained differently ({', '.join(differing)}): "
                "keep them under different GROKKIT_RUNS"
            )
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
