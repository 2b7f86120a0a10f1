"""Results: the tidy table of finished runs, what is missing, and the committed record.

Runs lie in runs/<preset>/<task>/L<depth>/seed-<n>/, the record of what was measured in figures/<preset>/ (results.csv,
provenance.json). This module knows tables only, never models.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from grokkit.config import Config, earlier_ends, last_evaluation
from grokkit.data import TASKS
from grokkit.errors import GrokkitError, warn
from grokkit.presets import PRESETS, Selection, config_of, preset_depths, preset_name, select
from grokkit.storage.files import figures_root, read_bytes, runs_root
from grokkit.storage.identity import refuse_other_config
from grokkit.storage.many_tables import tables_of
from grokkit.storage.run_folder import FoundRun, found_runs
from grokkit.storage.table import COLUMNS, KEYS, RUN, parse_table, refuse_two_configs
from grokkit.values import flag, one_of

Depths = int | str | Sequence[int] | Mapping[str, Sequence[int]] | None
SOURCES = ("runs", "record", "again", "controls")
"""Trained here; figures/<preset>/results.csv, the record; figures/<preset>/again.csv, a second training; and of a wrong
experiment, in the place of a preset, figures/controls/<name>.csv."""
STATES = ["finished", "failed", "running", "missing"]
_OF_FOLDERS = ["path", "finished", "end"]  # columns that are no results


def results(
    preset: str, tasks=None, depths: Depths = None, seeds=None, source: str = "runs", unfinished: bool = False,
    until: int | None = None,
) -> pd.DataFrame:  # fmt: skip
    """The tidy table of a preset, or of a changed one (as in smoke~1a2b3c), one row per (task, depth, seed, step).

    tasks, seeds: one or several, None for all; depths: likewise, or several per task, e.g. {"tense": [2, 4]}.
    source: "runs" (trained here, finished or failed ones; all that have started with unfinished=True), "record"
    (figures/<preset>/results.csv) or "again" (again.csv there). Runs that are asked for and not there, and those that
    have only begun, are left out, with a warning: see `missing`. until: the rows up to the last evaluation at or before
    this step, of the runs that have reached it. source "controls": the wrong experiment `preset` (docs/openings.md),
    under the name of the preset that it was to be.

    Raises GrokkitError when there is nothing at all, when a metric is missing, and when two folders disagree.
    """
    if source == "controls":
        known = sorted(path.stem for path in (figures_root() / "controls").glob("*.csv"))
        one_of("the wrong experiment", preset, known)
    else:
        preset = preset_name(preset)
    wanted, table, reached = _load(preset, tasks, depths, seeds, source, until)
    meant = table.finished.astype(bool) | flag("unfinished", unfinished)
    table = table if meant.all() else table[meant]  # no copy of a large table without need
    there = set(table[RUN].drop_duplicates().itertuples(index=False, name=None))
    begun = {run: step for run, step in reached.items() if run not in there}
    goal = "finished" if until is None else f"at step {until:,}"
    said = [f"begun, not {goal}: {', '.join(_cells(begun))}"] if begun else []
    if table.empty:
        place = _place(preset, source)
        if source != "runs" and not place.is_file():
            raise GrokkitError(f"no record {place}: use SOURCE=runs, or train with 'grokkit sweep'")
        raise GrokkitError(
            f"no finished run of preset {preset} that fits the question in {place}{''.join(f' ({s})' for s in said)}: "
            "train with 'grokkit sweep', or ask for other tasks, depths or seeds, or for fewer steps (until)"
        )
    if absent := ", ".join(_absent(reached, wanted)):
        said.insert(0, f"not there: {absent}")
    if said:
        warn(f"preset {preset}, {source}: left out is what is {'; '.join(said)}")
    if earlier := earlier_ends(dict(zip(table.task, table.end)), until):
        warn(earlier)
    return tidy(_merge(table))


def own_depths(table: pd.DataFrame) -> pd.DataFrame:
    """The rows at depths that the table's preset trains unasked; of a task that has none of them, all."""
    cells = zip(table.preset.str.partition("~")[0], table.task, table.depth)
    own = pd.Series([depth in preset_depths(name, task) for name, task, depth in cells], table.index, bool)
    return table[own | ~own.groupby(table.task).transform("any")]


def _cells(reached: Mapping[tuple, int]) -> Iterator[str]:
    """Runs in words, a cell at a time."""
    for (task, depth), cell in groupby(sorted(reached), lambda run: run[:2]):
        yield f"{task} L{depth} seeds {seeds_up_to({run[2]: reached[run] for run in cell})}"


def seeds_up_to(reached: Mapping[int, int]) -> str:
    """Seeds in words, and the step that each has reached.

    >>> seeds_up_to({42: 15_000, 52: 9_000, 62: 15_000})
    '42 62 to 15,000, 52 to 9,000'
    """
    steps = sorted(set(reached.values()), reverse=True)
    return ", ".join(f"{' '.join(str(seed) for seed in reached if reached[seed] == s)} to {s:,}" for s in steps)


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


def missing(preset: str, tasks=None, depths: Depths = None, seeds=None, source: str = "runs", until=None) -> list:
    """(task, depth, seed) of the runs that are neither finished nor failed; until: that have not come so far."""
    table = status(preset, tasks, depths, seeds, source, until)
    return [(row.task, row.depth, seed) for row in table.itertuples() for seed in (*row.running, *row.missing)]


def status(
    preset: str, tasks=None, depths: Depths = None, seeds=None, source: str = "runs", until: int | None = None
) -> pd.DataFrame:
    """One row a cell (task, depth) with lists of seeds: finished, failed, running, missing; and reached, steps.

    `running` have begun and not reached their last step, or `until`, but the steps in `reached`; whether a process
    still works on them cannot be seen here. Without tasks, depths or seeds, those found on disk are listed. Raises
    where two folders disagree.
    """
    preset = preset_name(preset)
    wanted, table, reached = _load(preset, tasks, depths, seeds, source, until, last=True)
    state = dict.fromkeys(reached, "running")
    for name, rows in (("finished", table[table.finished.astype(bool)]), ("failed", table[table.status == "failed"])):
        state |= dict.fromkeys(rows[RUN].itertuples(index=False, name=None), name)
    cells = []
    for task in dict.fromkeys([*TASKS, *(run[0] for run in state)]) if wanted.tasks is None else wanted.tasks:
        there, asked = [run[1:] for run in state if run[0] == task], wanted.depths_of(task)
        for depth in sorted({depth for depth, _ in there}) if asked is None else asked:
            cell: dict = {"task": task, "depth": int(depth), **{name: [] for name in (*STATES, "reached")}}
            for seed in sorted(seed for d, seed in there if d == depth) if wanted.seeds is None else wanted.seeds:
                cell[state.get((task, depth, seed), "missing")].append(int(seed))
            cell["reached"] = [reached[task, depth, seed] for seed in cell["running"]]
            cells.append(cell)
    return pd.DataFrame(cells, columns=["task", "depth", *STATES, "reached"])


def tidy(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns and rows in their order. A column at a time: one copy more is in memory, not three."""
    rest = [name for name in table.columns if name not in [*COLUMNS, "status", *_OF_FOLDERS]]
    order = table[KEYS].reset_index(drop=True).sort_values(KEYS).index
    columns = {name: table[name].array.take(order) for name in [*COLUMNS, *rest, "status"]}
    return pd.DataFrame(columns, copy=False)


def _place(preset: str, source: str) -> Path:
    """Where the results of a source lie: a folder of runs, or a table."""
    if one_of("source", source, SOURCES) == "runs":
        return runs_root() / preset
    names = {"record": f"{preset}/results.csv", "again": f"{preset}/again.csv", "controls": f"controls/{preset}.csv"}
    return figures_root() / names[source]


def _load(
    preset: str, tasks, depths: Depths, seeds, source: str, until: int | None, last: bool = False
) -> tuple[Selection, pd.DataFrame, dict[tuple, int]]:
    """What is meant; all its rows up to `until`, with the step where that `end`s and whether the run has `finished` so
    far, and of runs with `path`, no row if there are none; and the step that each run has reached."""
    path = _place(preset, source)
    if source == "runs":
        runs = found_runs(preset)
        wanted = select(tasks, depths, seeds, {run.task for run in runs})
        runs = [run for run in runs if wanted.has(*run[:3])]
        tables, reached = list(_load_runs(runs, preset, until, last)), {run[:3]: 0 for run in runs}
    else:
        whole = read_record(path) if path.is_file() else pd.DataFrame(columns=RUN)
        wanted = select(tasks, depths, seeds, set(whole.task))
        whole = whole[np.array([wanted.has(*run) for run in zip(whole.task, whole.depth, whole.seed)], bool)]
        tables, reached = [_up_to(cell, _end(cell, until)) for _, cell in whole.groupby(["task", "depth"])], {}
    if not tables:
        return wanted, pd.DataFrame(columns=[*COLUMNS, "status", *_OF_FOLDERS]), reached
    table = pd.concat(tables, ignore_index=True)
    refuse_two_configs(table, path)
    return wanted, table, reached | table.groupby(RUN).step.max().to_dict()


def _end(cell: pd.DataFrame, until: int | None) -> int:
    """Where the runs of a cell end in a table: where its preset says; at a constant rate, of a changed preset and of a
    task of one's own, where the longest one does."""
    preset, task, steps = cell.preset.iloc[0], cell.task.iloc[0], cell.step[cell.step > 0]
    config = PRESETS.get(preset, {}).get(task)
    if config and config.schedule == "linear":
        return config.end(until)
    return 0 if steps.empty else last_evaluation(task, int(steps.min()), int(steps.max()), until)


def _up_to(table: pd.DataFrame, end: int | np.ndarray) -> pd.DataFrame:
    """The rows of runs up to the step `end` of each, with whether it got there; a failed one has finished."""
    table = table.assign(end=end)
    table = table[table.step <= table.end]
    ended = (table.step == table.end) | (table.status == "failed")
    return table.assign(finished=ended.groupby([table[name] for name in RUN]).transform("any"))


def read_record(path: Path) -> pd.DataFrame:
    """The table in a file of figures/; of a changed preset under that one's name if it is a wrong experiment."""
    try:
        text = read_bytes(path).decode("utf-8-sig")  # as a spreadsheet saves it
    except UnicodeDecodeError as error:
        raise GrokkitError(f"{path} is no UTF-8 text: get it from git again") from error
    table = parse_table(text, path)
    if path.parent.name == "controls":
        table["preset"] = table.preset.str.partition("~")[0]
    return table


def _load_runs(runs: Iterable[FoundRun], preset: str, until: int | None, last: bool = False) -> Iterator[pd.DataFrame]:
    """The tables of runs, up to `until`; last: only their last rows. Raises GrokkitError for one that was trained with
    other values than its cell has."""
    cells: dict[tuple[str, int], Config] = {}
    like: dict[tuple[str, int], dict] = {}  # a config that has been found to be right, of most runs the very same
    for some in tables_of(runs, last):
        ends, table = [], some.rows
        if "identity" not in table and "identity" in some.descriptions[0]:  # of a version that did not write it there
            table["identity"] = np.array([found.get("identity") for found in some.descriptions], object)[some.owner]
        for name, values in zip(RUN, zip(*(run[:3] for run in some.runs))):
            if (wrong := table[name] != np.array(values)[some.owner]).any():
                path = some.runs[some.owner[wrong][0]].path
                raise GrokkitError(
                    f"{path}: metrics.csv says {name} = {table[name][wrong].unique().tolist()}: "
                    "move the folder to where it belongs"
                )
        for run, described in zip(some.runs, some.descriptions):
            key, config = run[:2], described["config"]
            cells[key] = cell = cells.get(key) or config_of(preset, *key, config, run.path)
            if config != like.get(key):
                refuse_other_config(run.path, config, cell)
                like[key] = config
            steps = cell.steps if run.task in PRESETS.get(preset, {}) else config["steps"]
            ends.append(last_evaluation(run.task, cell.eval_every, steps, until))
        if last and (table.step > np.array(ends)[some.owner]).any():  # trained further: what counts stands before
            yield from _load_runs(some.runs, preset, until)
            continue
        table["preset"] = preset  # an earlier version gave a changed one the preset's name
        table["path"] = np.array([str(run.path) for run in some.runs], object)[some.owner]  # not a text for each row
        yield _up_to(table, np.array(ends)[some.owner])


def _merge(table: pd.DataFrame) -> pd.DataFrame:
    """One row a key. Folders of format 2 may hold a run twice: a finished one hides one that is under way, and rows
    that both hold must be equal."""
    if not table.duplicated(KEYS).any():
        return table
    table = table[table.finished | ~table.groupby(RUN).finished.transform("any")]
    values = [name for name in table.columns if name not in _OF_FOLDERS]
    table = table.drop_duplicates(values)
    clash = table[table.duplicated(KEYS, keep=False)].sort_values(KEYS).head(2)
    if len(clash):
        differing = [name for name in values if clash[name].nunique(dropna=False) > 1]
        run = ", ".join(f"{name} {clash.iloc[0][name]}" for name in KEYS)
        raise GrokkitError(
            f"two different results for {run} ({', '.join(differing)}): {' and '.join(clash.path)}; "
            "move one of the folders elsewhere (GROKKIT_RUNS)"
        )
    return table
