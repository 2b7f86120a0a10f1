"""Files that are either whole or not there: written to a temporary name, flushed, then renamed."""

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path

from grokkit.errors import GrokkitError


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
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
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`text` into `path`, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode()))


def as_json(content) -> str:
    """`content` as indented JSON."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def write_json(path: Path, content) -> None:
    """`content` as indented JSON into `path`, whole or not at all."""
    write_text(path, as_json(content))


def read_bytes(path: Path) -> bytes:
    """The content of a file; raises GrokkitError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise GrokkitError(f"cannot read {path}: {error.strerror or error}") from error


def read_json(path: Path) -> dict:
    """The table in a JSON file; raises GrokkitError where it is missing or broken."""
    return parse_json(read_bytes(path), path)


def parse_json(text: str | bytes, path: Path) -> dict:
    """The table in a JSON text that was read from `path`; raises GrokkitError where it is broken."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GrokkitError(f"{path} is not valid JSON ({error}): remove it to start afresh") from error
    if not isinstance(content, dict):
        raise GrokkitError(f"{path} holds no JSON table of names and values: remove it to start afresh")
    return content
