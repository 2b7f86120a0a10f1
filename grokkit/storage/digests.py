"""The small files of a run folder, and digests.json, which vouches for them: a changed digit is never a result.

digests.json maps the name of each file to the SHA-256 of its new content and of the one before. It is written
before the file: whoever is killed in between leaves the one before, which is whole and is accepted.
This module knows files only, neither models nor tables.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from grokkit.errors import GrokkitError
from grokkit.storage.files import parse_json, read_bytes, read_json, write_json, write_text

FORMAT = 2
"""The format of a run folder, said in config.json."""
CONFIG, ENVIRONMENT, TABLE, DIGESTS = "config.json", "environment.json", "metrics.csv", "digests.json"


def write_files(folder: Path, contents: Mapping[str, str]) -> None:
    """Writes files of a run folder with their digests; it can be read at every moment in between."""
    try:
        known = _digests(folder)
    except GrokkitError:  # not there yet, or damaged: what it says is not needed
        known = {}
    for name, text in contents.items():
        path = folder / name
        there = _sha256(read_bytes(path)) if path.exists() else None
        good = [there] if there in known.get(name, ()) else []
        known[name] = list(dict.fromkeys([_sha256(text.encode()), *good]))
    write_json(folder / DIGESTS, {"files": known, "sha256": _of_table(known)})
    for name, text in contents.items():
        write_text(folder / name, text)


def read_file(folder: Path, name: str) -> str:
    """The text of a file of a run folder. GrokkitError, with the way out, where its digest is another."""
    for attempt in (1, 2, 3):  # a training may write a new table, and its digest, between our two looks
        accepted = _digests(folder).get(name, []) if (folder / DIGESTS).exists() else None
        data = read_bytes(folder / name)
        if accepted is None or _sha256(data) in accepted:
            try:
                return data.decode()
            except UnicodeDecodeError as error:
                raise damaged(folder / name, "it is no UTF-8 text") from error
    raise damaged(folder / name, f"its digest is not the one in {DIGESTS}")


def described(folder: Path) -> dict:
    """What config.json says: the fields of the Config, `seeds`, `format`.

    Raises GrokkitError where it is damaged, and for a folder of a format that this version does not read.
    """
    path = folder / CONFIG
    text = read_file(folder, CONFIG)
    found = parse_json(text, path)
    if found.get("format") != FORMAT:
        raise GrokkitError(
            f"{path} has run folder format {found.get('format')!r}, this version reads {FORMAT}: use the"
            " version of grokkit that wrote it, or train in another place (GROKKIT_RUNS)"
        )
    whole = type(found.get("steps")) is int and isinstance(found.get("seeds"), list)
    if not whole or not all(type(seed) is int for seed in found["seeds"]):
        raise damaged(path, "it lacks steps or seeds")
    return found


def is_started(folder: Path) -> bool:
    """Whether there is a table to read: a folder that lacks one of its files counts as under way."""
    return all((folder / name).is_file() for name in (CONFIG, TABLE, DIGESTS))


def damaged(path: Path, why: str) -> GrokkitError:
    """The error for a damaged file, with the way out."""
    return GrokkitError(
        f"{path} is damaged ({why}): remove it and train this cell again ('grokkit train'), which"
        " writes it anew from the checkpoint"
    )


def _digests(folder: Path) -> dict[str, list[str]]:
    """File name -> the digests that its content may have, the newest first."""
    path = folder / DIGESTS
    found = read_json(path)
    files = found.get("files")
    if not isinstance(files, dict) or found.get("sha256") != _of_table(files) or len(found) != 2:
        raise damaged(path, "it fails its own digest")
    return files


def _of_table(files: object) -> str:
    return _sha256(json.dumps(files, sort_keys=True).encode())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
