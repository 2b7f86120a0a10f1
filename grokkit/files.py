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
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise GrokkitError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`text` into `path`, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content) -> None:
    """`content` as indented JSON into `path`, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def read_json(path: Path):
    """The content of a JSON file; raises GrokkitError where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GrokkitError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise GrokkitError(f"{path} is not valid JSON ({error}): remove it to start afresh") from error
