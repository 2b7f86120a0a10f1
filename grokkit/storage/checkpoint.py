"""Checkpoints: save with a digest, verify, resume.

A checkpoint is one safetensors file: tensors plus a table of strings, no code. Its digest covers both. Its
strings hold the results table of its step too, so that state and table can never part.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.storage.files import write_atomically

FORMAT = "grokkit-checkpoint-2"
KEEP = 2  # the newest checkpoints that stay on disk


class Damaged(GrokkitError):
    """A checkpoint that is cut or altered."""


def _damaged(path: Path, why: str) -> Damaged:
    """The error, with the way out."""
    return Damaged(
        f"{path} is damaged ({why}): remove it and train this cell again ('grokkit train'), which goes on"
        " from the checkpoint before"
    )


def _digest(tensors: Mapping[str, Tensor], labels: Mapping[str, str]) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors and over the labels."""
    digest = hashlib.sha256(json.dumps(dict(labels), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy())
    return digest.hexdigest()


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"checkpoint-{step:07d}.safetensors"


def saved_steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint file, oldest first."""
    names = (re.fullmatch(r"checkpoint-(\d+)\.safetensors", path.name) for path in folder.glob("checkpoint-*"))
    return sorted(int(match[1]) for match in names if match)


def save(
    folder: Path,
    step: int,
    tensors: dict[str, Tensor],
    config: Config,
    seeds,
    keep: int | None = KEEP,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Writes checkpoint `step` and then removes all but the newest `keep` (None: keeps all).

    texts: what else belongs to this step, by name; `load` gives it back among the labels.
    Raises GrokkitError if it cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    labels = {
        "format": FORMAT,
        "config": json.dumps(asdict(config), sort_keys=True),
        "seeds": json.dumps(list(seeds)),
        "step": str(step),
        **(texts or {}),
    }
    labels["sha256"] = _digest(tensors, labels)

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, temporary, metadata=labels)
        except SafetensorError as error:
            raise OSError(str(error)) from error

    write_atomically(path_of(folder, step), write)
    prune(folder, step, keep)


def prune(folder: Path, step: int, keep: int | None) -> None:
    """Removes all but the newest `keep` checkpoints of the steps up to `step`; None keeps all.

    A later one can only be a damaged one that was passed over: it must not take a good one's place.
    """
    for old in [there for there in saved_steps(folder) if there <= step][:-keep] if keep else []:
        path_of(folder, old).unlink(missing_ok=True)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and labels of one checkpoint, verified; raises GrokkitError if the file is cut or altered."""
    try:
        with safe_open(path, framework="pt") as handle:
            labels = dict(handle.metadata() or {})
            # copied: the file's own pages would crash the process if somebody cut the file later
            tensors = {name: handle.get_tensor(name).clone() for name in handle.keys()}
        whole = labels.pop("sha256", None) == _digest(tensors, labels)
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise _damaged(path, f"it cannot be read as a checkpoint: {error}") from error
    if not whole:
        raise _damaged(path, "it fails its digest")
    if labels.get("format") != FORMAT:
        raise GrokkitError(
            f"{path} has format {labels.get('format')!r}, this version reads {FORMAT}: use the"
            " version of grokkit that wrote it, or train in another place (GROKKIT_RUNS)"
        )
    return tensors, labels


def load_latest(folder: Path, config: Config, seeds) -> tuple[int, dict[str, Tensor], dict[str, str]] | None:
    """Step, tensors and labels of the newest checkpoint in `folder` that is whole; None where there is no file.

    A damaged file is passed over with a warning that names it. Raises GrokkitError where all are damaged, and
    for a checkpoint of another config or other seeds, naming what differs.
    """
    steps = saved_steps(folder)
    for number, step in enumerate(reversed(steps), start=1):
        path = path_of(folder, step)
        try:
            tensors, labels = load(path)
        except Damaged as error:
            if number == len(steps):
                raise GrokkitError(
                    f"{path} is damaged, and there is no other whole checkpoint in {folder}: put a copy of one"
                    " there, or remove the folder to train from the start"
                ) from error
            warnings.warn(f"{error}; the one before it is used", stacklevel=2)
            continue
        refuse_other_config(path, json.loads(labels["config"]), config)
        if json.loads(labels["seeds"]) != list(seeds):
            raise GrokkitError(f"{path} holds seeds {labels['seeds']}, not {list(seeds)}: use another folder")
        if int(labels["step"]) != step:
            raise GrokkitError(f"{path} holds step {labels['step']}: give the file its own name back")
        return step, tensors, labels
    return None


def refuse_other_config(path: Path, found: dict, config: Config) -> None:
    """Raises GrokkitError naming each field in which `found` (a config as a dict) differs from `config`.

    A Config holds all that decides a result and nothing else: device, progress and minutes are no fields of it.
    """
    wanted = asdict(config)
    differing = [
        f"{name} is {found.get(name)!r} there, {wanted.get(name)!r} here" for name in config.differing_fields(found)
    ]
    if differing:
        raise GrokkitError(
            f"{path} belongs to another config: {'; '.join(differing)}. Remove its folder, or train in another one"
            f" (GROKKIT_RUNS)"
        )
