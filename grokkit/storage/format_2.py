"""Run folders of format 2: one a stack, seeds-42-52/, as grokkit wrote them until one run had one folder.

They are read where they lie, and never written. A run that is trained on gets a folder of its own first, from their
newest checkpoint; from then on that one counts. config.json, environment.json and metrics.csv stand beside
digests.json: of each file, the SHA-256 of its content and of the one before.
"""

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import pandas as pd
from torch import Tensor

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.storage import checkpoint
from grokkit.storage.checkpoint import Damaged, State
from grokkit.storage.files import parse_json, read_bytes, read_json, sha256
from grokkit.storage.identity import Run, refuse_other_config
from grokkit.storage.table import parse_table, table_text

CONFIG, ENVIRONMENT, TABLE, DIGESTS = "config.json", "environment.json", "metrics.csv", "digests.json"
CHECKPOINT = "grokkit-checkpoint-2"
_DEFAULTS = {field.name: field.default for field in fields(Config) if field.default is not MISSING}
"""Of the fields that a Config has got since."""


def holds(folder: Path) -> bool:
    """Whether a folder is of this format."""
    return (folder / CONFIG).is_file()


def runs_in(cell: Path) -> Iterator[tuple[int, Path]]:
    """Seed and folder of each run in the folders of this format that a cell's folder has."""
    for path in cell.glob("seeds-*"):
        seeds = path.name.split("-")[1:]
        if holds(path) and all(seed.isdigit() for seed in seeds):
            yield from ((int(seed), path) for seed in seeds)


def description(folder: Path) -> dict:
    """`config` and `environments` of each of the folder's runs; seconds are shared out."""
    config, seeds = _described(folder)
    environment = parse_json(_read(folder, ENVIRONMENT), folder / ENVIRONMENT)
    if not isinstance(environment.get("seconds"), int | float):
        raise _damaged(folder / ENVIRONMENT, "it does not say the seconds")
    return {"config": config, "environments": [_of_one(environment, seeds)]}


def table(folder: Path, seed: int) -> pd.DataFrame | None:
    """The rows of one run, None before the first."""
    if not (folder / TABLE).is_file() or not (folder / DIGESTS).is_file():
        return None
    return _rows_of(parse_table(_read(folder, TABLE), folder / TABLE), seed, folder)


def weights(path: Path, seed: int) -> tuple[dict, Tensor]:
    """The config and the weights [1, P] of one run in a checkpoint."""
    tensors, labels = checkpoint.load(path, CHECKPOINT)
    r = json.loads(labels["seeds"]).index(seed)
    return _DEFAULTS | json.loads(labels["config"]), tensors["weights"][r : r + 1]


def find(cell: Path, run: Run) -> State | None:
    """Where a run stands that is in a folder of this format in `cell`; None where there is none.

    Raises GrokkitError for another config.
    """
    folders = [path for seed, path in runs_in(cell) if seed == run.seed]
    if holds(cell) and run.seed in _described(cell)[1]:  # a folder that was given to `train` by name
        folders.append(cell)
    if not folders:
        return None
    # where several hold the run, the one that is furthest
    folder = max(folders, key=lambda path: max(checkpoint.saved_steps(path), default=-1))
    config, seeds = _described(folder)
    refuse_other_config(folder / CONFIG, config, run.config)
    if newest := checkpoint.load_newest(folder, CHECKPOINT):
        step, tensors, labels = newest
        rows = _rows_of(parse_table(labels["table"], checkpoint.path_of(folder, step)), run.seed, folder)
        environment = _of_one(json.loads(labels["environment"]), seeds) | {"steps": step}
        r = seeds.index(run.seed)
        tensors["seconds"] = (tensors["seconds"] / len(seeds)).expand(len(seeds))
        row = {name: tensor[r : r + 1].clone() for name, tensor in tensors.items()}
        return State(step, row, table_text(rows.to_dict("records")), [environment], seeds)
    if (found := table(folder, run.seed)) is None:
        return None
    text = table_text(found.to_dict("records"))
    return checkpoint.ended(folder, text, found.iloc[-1], run.config.steps, description(folder)["environments"])


def _rows_of(table: pd.DataFrame, seed: int, folder: Path) -> pd.DataFrame:
    rows = table[table.seed == seed].reset_index(drop=True)
    if rows.empty:
        raise _damaged(folder / TABLE, f"it has no rows of seed {seed}")
    return rows


def _of_one(environment: dict, seeds: list[int]) -> dict:
    """What an environment of a stack says of each of its runs."""
    return environment | {"seconds": round(environment["seconds"] / len(seeds), 3)}


def _described(folder: Path) -> tuple[dict, list[int]]:
    """Config and seeds."""
    path = folder / CONFIG
    found = parse_json(_read(folder, CONFIG), path)
    seeds, form = found.pop("seeds", None), found.pop("format", None)
    if form != 2:
        raise GrokkitError(
            f"{path} has run folder format {form!r}, this version reads 2 and 3: use the"
            " version of grokkit that wrote it, or train in another place (GROKKIT_RUNS)"
        )
    whole = isinstance(seeds, list) and all(type(seed) is int for seed in seeds) and type(found.get("steps")) is int
    if not whole or not seeds:
        raise _damaged(path, "it lacks steps or seeds")
    return _DEFAULTS | found, seeds


def _read(folder: Path, name: str) -> str:
    """The text of a file. GrokkitError, with the way out, where its digest is another."""
    data = read_bytes(folder / name)
    if (folder / DIGESTS).exists():
        found = read_json(folder / DIGESTS)  # `files`: of each, the digests that it may have
        own = sha256(json.dumps(files := found.get("files"), sort_keys=True))
        if not isinstance(files, dict) or found != {"files": files, "sha256": own}:
            raise _damaged(folder / DIGESTS, "it fails its own digest")
        if sha256(data) not in files.get(name, []):
            raise _damaged(folder / name, f"its digest is not the one in {DIGESTS}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _damaged(folder / name, "it is no UTF-8 text") from error


def _damaged(path: Path, why: str) -> Damaged:
    return Damaged(f"{path} is damaged ({why}): put a copy of it back, or move its folder away")
