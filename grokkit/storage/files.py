"""Where files lie, and how they are written: whole or not at all, to a temporary name, flushed, then renamed.

Runs lie in runs/<preset>/<task>/L<depth>/seed-<n>/, the record of what was measured in figures/<preset>/.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from grokkit.errors import GrokkitError
from grokkit.places import read_bytes, root

# where runs are kept, the record, and executed notebooks: what the environment says, else a folder of the checkout
runs_root = partial(root, "GROKKIT_RUNS", "runs")
figures_root = partial(root, "GROKKIT_FIGURES", "figures")
build_root = partial(root, "GROKKIT_BUILD", "build")


def cell_folder(preset: str, task: str, depth: int) -> Path:
    """The folder of a cell, in which each of its runs has one: see `run_folder`."""
    return runs_root() / preset / task / f"L{depth}"


def run_folder(cell: Path, seed: int) -> Path:
    """The folder of one run."""
    return cell / f"seed-{seed}"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary path in the same folder, flushes it to the disk and renames it to `path`.

    Raises GrokkitError when the place cannot be written; nothing half-written stays behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            with open(temporary, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise GrokkitError(
            f"cannot write {path}: {error.strerror or error}; make room or choose another place, and call"
            " again: what was there is as it was"
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files of a process that was killed while it wrote: for the folder's only writer."""
    for path in [*folder.glob(".*.tmp"), *folder.glob(".tmp*")]:  # the second kind is that of safetensors
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`text` into `path`, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode()))


def write_json(path: Path, content) -> None:
    """`content` as indented JSON into `path`, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def sha256(content: str | bytes) -> str:
    """The SHA-256 of a content, 64 hex digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def read_json(path: Path) -> dict:
    """The table in a JSON file; raises GrokkitError where it is missing or broken."""
    return parse_json(read_bytes(path), path)


def parse_json(text: str | bytes, path: Path) -> dict:
    """The table in a JSON text that was read from `path`; raises GrokkitError where it is broken."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GrokkitError(f"{path} is not valid JSON ({error}): move it away") from error
    if not isinstance(content, dict):
        raise GrokkitError(f"{path} holds no JSON table of names and values: move it away")
    return content
