"""Weights alone, without what training needs beside: a run as it stood at some steps, in its folder and in the record.

A run keeps those of two steps for good, `moments`; those of its last steps are in its checkpoints. The record has few
of them, in figures/<preset>/weights/, with index.json: preset, task, depth, seed, step, file, sha256 and identity.
A file is safetensors, one table [1, P], with the run as JSON and a digest over both.
"""

import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from grokkit.storage import checkpoint
from grokkit.storage.checkpoint import Damaged, digest, write_tensors
from grokkit.storage.files import figures_root, read_bytes, read_json, sha256

SATURATED = 0.99
"""In-domain accuracy that counts as saturated."""
INDEX = "index.json"


def moments(rows: list[dict], steps: int) -> set[int]:
    """The steps so far whose weights a run keeps: the first of saturated val_accuracy, and half way to `steps`.

    >>> moments([{"step": step, "val_accuracy": step / 10} for step in (0, 4, 8, 12)], 12)
    {8, 12}
    """
    saturated = [row["step"] for row in rows if row["step"] and row["val_accuracy"] >= SATURATED]
    half = [row["step"] for row in rows if 2 * row["step"] >= steps]
    return {*saturated[:1], *half[:1]}


path_of = partial(checkpoint.path_of, kind="weights")
saved_steps = partial(checkpoint.saved_steps, kind="weights")


def save(path: Path, run: dict, step: int, weights: Tensor) -> None:
    """Writes the weights [1, P] of a run (as `Run.described` gives it) at a step; equal ones give equal bytes."""
    tensors = {"weights": weights.detach().cpu().contiguous()}
    said = {"run": run, "step": step}
    said["sha256"] = _digest(tensors, said)
    # one text: several are written in any order
    write_tensors(path, tensors, {"weights of": json.dumps(said, sort_keys=True)})


def load(path: Path, way_out: str = "move it away") -> tuple[dict, Tensor]:
    """The run and its weights [1, P]. Raises GrokkitError for a file that is cut or altered."""
    try:
        with safe_open(path, framework="pt") as handle:
            said = json.loads((handle.metadata() or {})["weights of"])
            tensors = {"weights": handle.get_tensor("weights").clone()}
        whole = said.pop("sha256") == _digest(tensors, said)
        found = said["run"], tensors["weights"]
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(f"{path} is damaged (it cannot be read as weights: {error}): {way_out}") from error
    if not whole:
        raise Damaged(f"{path} is damaged (it fails its digest): {way_out}")
    return found


def _digest(tensors: dict[str, Tensor], said: dict) -> str:
    return digest(tensors, {"weights of": json.dumps(said, sort_keys=True)})


# -- the record -------------------------------------------------------------------------------------------


class RecordedRun(NamedTuple):
    """A run of which the record has weights, in the folder `path`. entries: step -> what index.json says of it."""

    task: str
    depth: int
    seed: int
    path: Path
    entries: dict[int, dict]

    def steps(self) -> list[int]:
        """The steps whose weights are there."""
        return sorted(self.entries)

    def weights(self, step: int) -> tuple[dict, Tensor]:
        """The run as its file describes it, and its weights [1, P] at a step. Raises GrokkitError for another file."""
        entry = self.entries[step]
        path, way_out = self.path / entry["file"], "get it from git again"
        if sha256(read_bytes(path)) != entry["sha256"]:
            raise Damaged(f"{path} is damaged (its digest is not the one in {INDEX}): {way_out}")
        return load(path, way_out)


def recorded_folder(preset: str) -> Path:
    """Where the record of a preset has its weights."""
    return figures_root() / preset / "weights"


def recorded_runs(preset: str) -> list[RecordedRun]:
    """The runs of which the record has weights."""
    folder = recorded_folder(preset)
    if not (folder / INDEX).is_file():
        return []
    found: dict[tuple, RecordedRun] = {}
    try:
        for entry in read_json(folder / INDEX)["weights"]:
            key = entry["task"], entry["depth"], entry["seed"]
            found.setdefault(key, RecordedRun(*key, folder, {})).entries[entry["step"]] = entry
    except (KeyError, TypeError) as error:
        raise Damaged(f"{folder / INDEX} is damaged (it lacks {error}): get it from git again") from error
    return sorted(found.values(), key=lambda run: run[:3])
