"""Checkpoints of one run: save with a digest, verify, resume.

A checkpoint is one safetensors file: tensors plus a table of strings, no code. Its digest covers both. Its
strings hold the results table of its step too, so that state and table can never part.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from grokkit.errors import GrokkitError
from grokkit.storage.files import write_atomically
from grokkit.storage.identity import Run

FORMAT = "grokkit-checkpoint-3"
KEEP = 2  # the newest checkpoints that stay on disk


class Damaged(GrokkitError):
    """A file of a run that is cut or altered."""


@dataclass
class State:
    """Where a run stands: all that its next step needs, and what was measured so far."""

    step: int
    tensors: dict[str, Tensor]  # one row each, that of the run
    table: str  # metrics.csv
    environments: list[dict]
    stack: list[int]  # the seeds that were trained together when this was saved


def ended(folder: Path, table: str, last: Mapping, steps: int, environments: list[dict]) -> State | None:
    """The state of a run that has ended and has no checkpoints; None where nothing was trained yet.

    last: of its rows. Raises GrokkitError for an unfinished one: there is no state to go on from, and its rows are not
    ours to write over.
    """
    if last["step"] == 0:
        return None
    if last["step"] < steps and last["status"] != "failed":
        raise GrokkitError(
            f"{folder} holds results up to step {last['step']} but no checkpoint to go on from: put one back,"
            " or move the folder away to train from the start"
        )
    return State(int(last["step"]), {}, table, environments, [])


def digest(tensors: Mapping[str, Tensor], labels: Mapping[str, str]) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors and over the labels."""
    found = hashlib.sha256(json.dumps(dict(labels), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.numpy().data)
    return found.hexdigest()


def write_tensors(path: Path, tensors: Mapping[str, Tensor], labels: Mapping[str, str]) -> None:
    """A safetensors file, whole or not at all. Raises GrokkitError if it cannot be written."""

    def write(temporary: Path) -> None:
        try:
            save_file(dict(tensors), temporary, metadata=dict(labels))
        except SafetensorError as error:
            raise OSError(str(error)) from error

    write_atomically(path, write)


def path_of(folder: Path, step: int, kind: str = "checkpoint") -> Path:
    """Where the checkpoint of a step lies, or its "weights" alone."""
    return folder / f"{kind}-{step:07d}.safetensors"


def saved_steps(folder: Path, kind: str = "checkpoint") -> list[int]:
    """The steps that have a checkpoint file, or one of "weights" alone, oldest first."""
    names = (re.fullmatch(kind + r"-(\d+)\.safetensors", path.name) for path in folder.glob(f"{kind}-*"))
    return sorted(int(match[1]) for match in names if match)


def save(
    folder: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    run: Run,
    texts: Mapping[str, str] | None = None,
    keep: int | None = KEEP,
) -> None:
    """Writes checkpoint `step` and then removes all but the newest `keep` (None: keeps all).

    texts: what else belongs to this step, by name; `load` gives it back among the labels.
    Raises GrokkitError if it cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    labels = {"format": FORMAT, "run": json.dumps(run.described()), "step": str(step), **(texts or {})}
    labels["sha256"] = digest(tensors, labels)
    write_tensors(path_of(folder, step), tensors, labels)
    prune(folder, step, keep)


def prune(folder: Path, step: int, keep: int | None) -> None:
    """Removes all but the newest `keep` checkpoints of the steps up to `step`; None keeps all.

    A later one is damaged and was passed over, or its run went back to be trained beside others: it must not take a
    good one's place.
    """
    for old in [there for there in saved_steps(folder) if there <= step][:-keep] if keep else []:
        path_of(folder, old).unlink(missing_ok=True)


def load(path: Path, form: str = FORMAT) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and labels of one checkpoint, verified; raises GrokkitError if the file is cut or altered."""
    way_out = "move it away and train this cell again ('grokkit train'), which goes on from the checkpoint before"
    try:
        with safe_open(path, framework="pt") as handle:
            labels = dict(handle.metadata() or {})
            # copied: the file's own pages would crash the process if somebody cut the file later
            tensors = {name: handle.get_tensor(name).clone() for name in handle.keys()}
        whole = labels.pop("sha256", None) == digest(tensors, labels)
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise Damaged(f"{path} is damaged (it cannot be read as a checkpoint: {error}): {way_out}") from error
    if not whole:
        raise Damaged(f"{path} is damaged (it fails its digest): {way_out}")
    if labels.get("format") != form:
        raise GrokkitError(
            f"{path} has format {labels.get('format')!r}, this version reads {form}: use the"
            " version of grokkit that wrote it, or train in another place (GROKKIT_RUNS)"
        )
    if int(labels["step"]) != int(path.stem.split("-")[1]):
        raise GrokkitError(f"{path} holds step {labels['step']}: give the file its own name back")
    return tensors, labels


def load_newest(folder: Path, form: str = FORMAT) -> tuple[int, dict[str, Tensor], dict[str, str]] | None:
    """Step, tensors and labels of the newest checkpoint in `folder` that is whole; None where there is no file.

    A damaged file is passed over with a warning that names it. Raises GrokkitError where all are damaged.
    """
    steps = saved_steps(folder)
    for number, step in enumerate(reversed(steps), start=1):
        path = path_of(folder, step)
        try:
            return step, *load(path, form)
        except Damaged as error:
            if number == len(steps):
                raise GrokkitError(
                    f"{path} is damaged, and there is no other whole checkpoint in {folder}: put a copy of one"
                    " there, or move the folder away to train from the start"
                ) from error
            warnings.warn(f"{error}; the one before it is used", stacklevel=2)
    return None
