"""The released files: download at a pinned commit, verify by git blob id, read."""

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from grokkit.errors import GrokkitError

HOST = "https://raw.githubusercontent.com/"
SENTENCES = HOST + "tommccoy1/rnn-hierarchical-biases/f34a87c4fe804cb288d0527daa9c251def0ae24e/data/"
BRACKETS = HOST + "MurtyShikhar/structural-grokking/9b892f63000fcb5d670a825982149fd6527287d5/data_utils/dyck_data/"
TIMEOUT = 60  # seconds without an answer

Line = TypeVar("Line")


class NotThere(GrokkitError):
    """A folder holds no released file of a task."""


@dataclass(frozen=True)
class OfficialFile:
    """A released file: the split that it holds, its name, its git blob id, where it is."""

    split: str
    name: str
    blob: str
    folder: str

    @property
    def url(self) -> str:
        return self.folder + self.name


def _of(folder: str, *rows: tuple[str, str, str]) -> tuple[OfficialFile, ...]:
    return tuple(OfficialFile(split, name, blob, folder) for split, name, blob in rows)


# Source: DEVIATIONS.md, D95. The Dyck file called test is the generalization set.
FILES = {
    "question": _of(
        SENTENCES,
        ("train", "question.train", "a3e63ea441226643b6fa7341ba8af22721019331"),
        ("val", "question.dev", "052004271fbf01dd0f02ad339d0d85fef77ddfc8"),
        ("gen", "question.gen", "adf8cd0b3fc13e92ed12f6bc536024374c1f7156"),
        ("test", "question.test", "9d999b4c135aeabde906df81bce08d96b07f2bf4"),
    ),
    "tense": _of(
        SENTENCES,
        ("train", "tense.train", "01a299dac719710f91bff6346f3218b4063d98e6"),
        ("val", "tense.dev", "1bf83b37ca8beaae30bcd767baef7a1adad877cf"),
        ("gen", "tense.gen", "23d0870c1bde430a65a2191e3661e1373f7966b2"),
        ("test", "tense.test", "f60aa32f94adf4dfc39fb481e036f7d1fe77b4c4"),
    ),
    "dyck": _of(
        BRACKETS,
        ("train", "k-20_d-10_train.txt", "cd03c41cb6be01ded297faa234bd917aa182666a"),
        ("val", "k-20_d-10_val.txt", "1f39cc1923e7e476304c406c66d9c8339f2aaf44"),
        ("gen", "k-20_d-10_test.txt", "7a820e7d8892c0e4987040c6e0dff726c9b7fb9e"),
    ),
}


def blob_id(data: bytes) -> str:
    """The id that git gives to a file with this content.

    >>> blob_id(b"")
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def cache_folder() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/grokkit, or ~/.cache/grokkit."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "grokkit"


def download(task: str, folder: str | Path | None = None) -> Path:
    """Fetch the released files of a task into `folder` (default: the user's cache), and return the folder.

    Files that are there already are only checked. Every file is checked against its blob id before it gets
    its name. GrokkitError, with the way to do it by hand, when the network does not answer, and for content
    that is not the released one.
    """
    target = cache_folder() if folder is None else Path(folder).expanduser()
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GrokkitError(f"cannot make the folder {target}: {error.strerror}; name another one") from None
    for file in _files(task):
        path = target / file.name
        if path.exists():
            _verified(path.read_bytes(), file, path)
        else:
            _store(_fetch(file, target), path)
    return target


def _files(task: str) -> tuple[OfficialFile, ...]:
    if task not in FILES:
        raise GrokkitError(f"there are official files of {', '.join(FILES)}, not of {task!r}")
    return FILES[task]


def _fetch(file: OfficialFile, target: Path) -> bytes:
    try:
        with urllib.request.urlopen(file.url, timeout=TIMEOUT) as answer:
            data = answer.read()
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise GrokkitError(
            f"cannot download {file.name} ({reason}): fetch {file.url} by hand and put it into {target}"
        ) from None
    return _verified(data, file, file.url)


def _store(data: bytes, path: Path) -> None:
    """Write under a temporary name, then rename: an interrupted download leaves no file under the official name."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise GrokkitError(f"cannot write {path}: {error.strerror}") from None


def _verified(data: bytes, file: OfficialFile, origin: str | Path) -> bytes:
    found = blob_id(data)
    if found != file.blob:
        raise GrokkitError(
            f"{origin} is not the released file (blob id {found}, expected {file.blob}): "
            "remove it, or read it with verify=False"
        )
    return data


def read_lines(
    task: str, parse: Callable[[str], Line], folder: str | Path | None = None, verify: bool = True
) -> dict[str, list[Line]]:
    """Split -> what `parse` makes of each line, for the official files of a task that are in `folder`.

    folder: by default the cache. verify: refuse a file whose blob id is not the released one's; False reads files
    of one's own under these names. GrokkitError if there is no such file, and with file and line number for a line
    that `parse` refuses with a GrokkitError.
    """
    folder = cache_folder() if folder is None else Path(folder).expanduser()
    splits = {}
    for file in _files(task):
        path = folder / file.name
        if not path.exists():
            continue
        data = path.read_bytes()
        if verify:
            _verified(data, file, path)
        splits[file.split] = _parsed(path, data, parse)
    if not splits:
        names = ", ".join(file.name for file in _files(task))
        raise NotThere(
            f"{folder} holds none of the official {task} files ({names}): name the folder that does, or get them"
            f" with grokkit.data.official.download({task!r})"
        )
    return splits


def _parsed(path: Path, data: bytes, parse: Callable[[str], Line]) -> list[Line]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise GrokkitError(f"{path} is no UTF-8 text") from None
    parsed = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            parsed.append(parse(line))
        except GrokkitError as error:
            raise GrokkitError(f"{path}, line {number}: {error}") from None
    return parsed
