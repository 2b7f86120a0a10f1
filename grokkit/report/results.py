"""Results: the tidy table of finished runs, what is missing, and the committed record.

Runs lie in runs/<preset>/<task>/L<depth>/seeds-<a>-<b>.../ (config.json, metrics.csv, each with its digest),
the record of what was measured in figures/<preset>/ (results.csv, provenance.json). This module knows tables
only, never models.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.storage.digests import TABLE, described, is_started, read_file
from grokkit.storage.files import read_bytes, write_json, write_text
from grokkit.storage.table import COLUMNS, KEYS, RUN, checked, parse_table

TASKS = ("question", "tense", "dyck")
Depths = Sequence[int] | Mapping[str, Sequence[int]] | None


def repository_root() -> Path:
    """The checkout of grokkit: the nearest folder upwards that has its pyproject.toml, else the current
    folder.

    Notebooks run in notebooks/, the command line anywhere; an editable install finds its checkout from
    outside too.
    """
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        project = folder / "pyproject.toml"
        if project.is_file() and "grokkit" in project.read_text(encoding="utf-8", errors="replace"):
            return folder
    return here


def _root(variable: str, default: str) -> Path:
    given = os.environ.get(variable)
    return Path(given).expanduser() if given else repository_root() / default


def runs_root() -> Path:
    """Where runs are kept: the environment's GROKKIT_RUNS, or runs/ in the checkout."""
    return _root("GROKKIT_RUNS", "runs")


def figures_root() -> Path:
    """Where the record is kept: the environment's GROKKIT_FIGURES, or figures/ in the checkout."""
    return _root("GROKKIT_FIGURES", "figures")


def run_folder(preset: str, task: str, depth: int, seeds: Iterable[int]) -> Path:
    """The folder of one stack of runs."""
    return runs_root() / preset / task / f"L{depth}" / ("seeds-" + "-".join(map(str, seeds)))


def run_folders(preset: str) -> list[tuple[str, int, tuple[int, ...], Path]]:
    """(task, depth, seeds, path) of every stack of a preset that has a folder."""
    found = []
    for path in sorted((runs_root() / preset).glob("*/L*/seeds-*")):
        depth, seeds = path.parent.name[1:], path.name.split("-")[1:]
        if path.is_dir() and depth.isdigit() and all(seed.isdigit() for seed in seeds):
            found.append((path.parents[1].name, int(depth), tuple(map(int, seeds)), path))
    return found


def _read_record(path: Path) -> pd.DataFrame:
    try:
        text = read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise GrokkitError(f"{path} is no UTF-8 text: get it from git again") from error
    return parse_table(text, path)


def _read_run(preset: str, task: str, depth: int, seeds: tuple[int, ...], path: Path) -> pd.DataFrame:
    """Rows of one folder with `folder` and `finished`, one truth value a run."""
    steps = described(path)["steps"]
    table = parse_table(read_file(path, TABLE), path / TABLE)
    for name, value in (("preset", preset), ("task", task), ("depth", depth)):
        if not (table[name] == value).all():
            raise GrokkitError(
                f"{path}: metrics.csv says {name} = {table[name].unique().tolist()}: "
                "move the folder to where it belongs"
            )
    if not set(table.seed) <= set(seeds):
        raise GrokkitError(f"{path}: metrics.csv holds seeds that its folder does not name: {sorted(set(table.seed))}")
    by_run = table.groupby("seed")
    done = (by_run.step.max() >= steps) | by_run.status.agg(lambda column: (column == "failed").any())
    return table.assign(folder=str(path), finished=table.seed.map(done))


def _merge(table: pd.DataFrame) -> pd.DataFrame:
    """One row a key. Rows that several folders hold must be equal; a finished run hides one that is under
    way."""
    finished = table.groupby(RUN).finished.transform("any")
    table = table[table.finished | ~finished]
    values = [name for name in table.columns if name not in ("folder", "finished")]
    table = table.drop_duplicates(values)
    clash = table[table.duplicated(KEYS, keep=False)].sort_values(KEYS)
    if len(clash):
        one, other = clash.iloc[0], clash.iloc[1]
        names = [
            name for name in values if one[name] != other[name] and not (pd.isna(one[name]) and pd.isna(other[name]))
        ]
        run = ", ".join(f"{name} {one[name]}" for name in KEYS)
        raise GrokkitError(
            f"two different results for {run} ({', '.join(names)}): {one.folder} and {other.folder}; "
            "remove one of the folders"
        )
    return table


def _check_configs(folders: list[tuple[str, int, Path]]) -> None:
    """Runs of one cell must have been trained alike, but for their seeds."""
    first: dict[tuple[str, int], tuple[Path, dict]] = {}
    for task, depth, path in folders:
        config = described(path)
        other, known = first.setdefault((task, depth), (path, config))
        names = sorted(
            name
            for name in config.keys() | known.keys()
            if name not in ("seeds", "format") and config.get(name) != known.get(name)
        )
        if names:
            raise GrokkitError(
                f"{other} and {path} were trained differently ({', '.join(names)}): remove one, "
                "or keep them under different GROKKIT_RUNS"
            )


def depths_of(depths: Depths, task: str) -> Sequence[int] | None:
    """The depths that are meant for one task; None for all."""
    return depths.get(task, ()) if isinstance(depths, Mapping) else depths


def _wanted(table: pd.DataFrame, tasks, depths: Depths, seeds) -> pd.DataFrame:
    keep = pd.Series(True, index=table.index)
    if tasks is not None:
        keep &= table.task.isin(list(tasks))
    if depths is not None:
        keep &= pd.Series(
            [depth in (depths_of(depths, task) or ()) for task, depth in zip(table.task, table.depth)],
            index=table.index,
            dtype=bool,
        )
    if seeds is not None:
        keep &= table.seed.isin(list(seeds))
    return table[keep]


def _tidy(table: pd.DataFrame) -> pd.DataFrame:
    rest = [name for name in table.columns if name not in [*COLUMNS, "status", "folder", "finished"]]
    return table[[*COLUMNS, *rest, "status"]].sort_values(KEYS, ignore_index=True).copy()


def _load_runs(preset: str, tasks, depths: Depths, seeds) -> pd.DataFrame | None:
    tables, used = [], []
    for task, depth, names, path in run_folders(preset):
        allowed = depths_of(depths, task)
        if (
            not is_started(path)
            or (tasks is not None and task not in tasks)
            or (allowed is not None and depth not in allowed)
        ):
            continue
        table = _wanted(_read_run(preset, task, depth, names, path), None, None, seeds)
        if len(table):
            tables.append(table)
            used.append((task, depth, path))
    if not tables:
        return None
    finished = {folder for table in tables for folder in table.folder[table.finished]}
    _check_configs([entry for entry in used if str(entry[2]) in finished])
    return pd.concat(tables, ignore_index=True)


def results(
    preset: str, tasks=None, depths: Depths = None, seeds=None, source: str = "runs", unfinished: bool = False
) -> pd.DataFrame:
    """The tidy table of a preset, one row per (task, depth, seed, step), sorted.

    tasks, seeds: sequences, None for all; depths: a sequence, or one per task, e.g. {"tense": [2, 4]}.
    source: "runs" (trained here, finished or failed ones; all that have started with unfinished=True) or
    "record" (figures/<preset>/results.csv). Runs that are asked for and not there are left out: see
    `missing`.

    Raises GrokkitError when there is nothing at all, when a metric is missing, and when two folders disagree.
    """
    if source == "record":
        path = figures_root() / preset / "results.csv"
        if not path.is_file():
            raise GrokkitError(f"no record {path}: use SOURCE=runs, or train with 'grokkit sweep'")
        table = _wanted(_read_record(path), tasks, depths, seeds)
    elif source == "runs":
        table = _load_runs(preset, tasks, depths, seeds)
        if table is not None and not unfinished:
            table = table[table.finished]
        if table is not None and len(table):
            table = _merge(table)
    else:
        raise GrokkitError(f"unknown source {source!r}: use 'runs' or 'record'")
    if table is None or table.empty:
        place = runs_root() / preset if source == "runs" else path
        raise GrokkitError(
            f"no finished run of preset {preset} that fits the question in {place}: "
            "train with 'grokkit sweep', or ask for other tasks, depths or seeds"
        )
    return _tidy(table)


def missing(
    preset: str, tasks: Iterable[str], depths: Depths, seeds: Iterable[int], source: str = "runs"
) -> list[tuple[str, int, int]]:
    """(task, depth, seed) of the runs that are neither finished nor failed."""
    table = status(preset, tasks, depths, seeds, source)
    return [(row.task, row.depth, seed) for row in table.itertuples() for seed in (*row.running, *row.missing)]


def status(
    preset: str,
    tasks: Iterable[str] | None = None,
    depths: Depths = None,
    seeds: Iterable[int] | None = None,
    source: str = "runs",
) -> pd.DataFrame:
    """One row a cell (task, depth) with lists of seeds: finished, failed, running, missing.

    `running` have begun and not reached their last step; whether a process still works on them cannot be seen
    here. Without tasks, depths or seeds, those found on disk are listed. Raises where two folders disagree.
    """
    if source not in ("runs", "record"):
        raise GrokkitError(f"unknown source {source!r}: use 'runs' or 'record'")
    tasks, seeds = tasks if tasks is None else list(tasks), seeds if seeds is None else list(seeds)
    if source == "record":
        path = figures_root() / preset / "results.csv"
        table = _wanted(_read_record(path), tasks, depths, seeds).assign(finished=True) if path.is_file() else None
        begun = []
    else:
        table = _load_runs(preset, tasks, depths, seeds)
        begun = [
            (t, d, seed)
            for t, d, names, path in run_folders(preset)
            if (path / "config.json").is_file()
            for seed in names
        ]
    if table is None:
        table = pd.DataFrame(columns=["task", "depth", "seed", "status", "finished"])
    runs = {key: (bool(rows.finished.any()), bool((rows.status == "failed").any())) for key, rows in table.groupby(RUN)}
    known = set(runs) | set(begun)
    rows = []
    for task in TASKS if tasks is None else tasks:
        wanted = depths_of(depths, task)
        for depth in sorted({d for t, d, _ in known if t == task}) if wanted is None else wanted:
            group = {"finished": [], "failed": [], "running": [], "missing": []}
            for seed in sorted({s for t, d, s in known if (t, d) == (task, depth)}) if seeds is None else seeds:
                done, failed = runs.get((task, depth, seed), (False, False))
                begin = (task, depth, seed) in known
                name = "failed" if failed else "finished" if done else "running" if begin else "missing"
                group[name].append(int(seed))
            rows.append({"task": task, "depth": int(depth), **group})
    return pd.DataFrame(rows, columns=["task", "depth", "finished", "failed", "running", "missing"])


def write_record(preset: str, table: pd.DataFrame, provenance: Mapping) -> Path:
    """Writes figures/<preset>/results.csv (sorted, 6 significant digits) and provenance.json; returns the
    folder.

    Each file is whole or not there. Raises when the table belongs to another preset or a metric is missing.
    """
    checked(table, "the table")
    if table.empty or set(table.preset) != {preset}:
        raise GrokkitError(
            f"the table belongs to preset {', '.join(sorted(set(table.preset))) or 'none'}, not to {preset}"
        )
    folder = figures_root() / preset
    try:
        json.dumps(dict(provenance))
    except TypeError as error:
        raise GrokkitError(f"provenance must be plain numbers, texts, lists and tables: {error}") from error
    write_text(folder / "results.csv", _tidy(table).to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_json(folder / "provenance.json", dict(provenance))
    return folder
