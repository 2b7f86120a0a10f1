"""The released files: download at a pinned commit, verify by git blob id, read."""

import codecs
import hashlib
import http.client
import os
import re
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from grokkit.errors import GrokkitError
from grokkit.places import place, read_bytes
from grokkit.values import one_of

HOST = "https://raw.githubusercontent.com/"
SENTENCES = HOST + "tommccoy1/rnn-hierarchical-biases/f34a87c4fe804cb288d0527daa9c251def0ae24e/data/"
BRACKETS = HOST + "MurtyShikhar/structural-grokking/9b892f63000fcb5d670a825982149fd6527287d5/data_utils/dyck_data/"
TIMEOUT = 60  # seconds without an answer

Line = TypeVar("Line")


class NotThere(GrokkitError):
    """There is no released file of a task, or a folder holds none."""


@dataclass(frozen=True)
class OfficialFile:
    """A released file: where it is, the split that it holds, its name, its git blob id."""

    folder: str
    split: str
    name: str
    blob: str

    @property
    def url(self) -> str:
        return self.folder + self.name


# Source: DEVIATIONS.md, D95. The Dyck file called test is the generalization set.
FILES = {
    "question": (
        OfficialFile(SENTENCES, "train", "question.train", "a3e63ea441226643b6fa7341ba8af22721019331"),
        OfficialFile(SENTENCES, "val", "question.dev", "052004271fbf01dd0f02ad339d0d85fef77ddfc8"),
        OfficialFile(SENTENCES, "gen", "question.gen", "adf8cd0b3fc13e92ed12f6bc536024374c1f7156"),
        OfficialFile(SENTENCES, "test", "question.test", "9d999b4c135aeabde906df81bce08d96b07f2bf4"),
    ),
    "tense": (
        OfficialFile(SENTENCES, "train", "tense.train", "01a299dac719710f91bff6346f3218b4063d98e6"),
        OfficialFile(SENTENCES, "val", "tense.dev", "1bf83b37ca8beaae30bcd767baef7a1adad877cf"),
        OfficialFile(SENTENCES, "gen", "tense.gen", "23d0870c1bde430a65a2191e3661e1373f7966b2"),
        OfficialFile(SENTENCES, "test", "tense.test", "f60aa32f94adf4dfc39fb481e036f7d1fe77b4c4"),
    ),
    "dyck": (
        OfficialFile(BRACKETS, "train", "k-20_d-10_train.txt", "cd03c41cb6be01ded297faa234bd917aa182666a"),
        OfficialFile(BRACKETS, "val", "k-20_d-10_val.txt", "1f39cc1923e7e476304c406c66d9c8339f2aaf44"),
        OfficialFile(BRACKETS, "gen", "k-20_d-10_test.txt", "7a820e7d8892c0e4987040c6e0dff726c9b7fb9e"),
    ),
    "dyck-10-10": (
        OfficialFile(BRACKETS, "train", "k-10_d-10_train.txt", "9a1d2fc63c2f7b6dad00951a8c7e6f8c1a28b85d"),
        OfficialFile(BRACKETS, "val", "k-10_d-10_val.txt", "bcebd5865ac100759bac44022a17809ae3bdc383"),
        OfficialFile(BRACKETS, "gen", "k-10_d-10_test.txt", "22c34932ac8d8bfd3ef849951526c2d53d808458"),
    ),
}
LARGEST = 2**25  # bytes: a larger file is none of these


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
    files = FILES[one_of("task with official files", task, tuple(FILES))]
    target = cache_folder() if folder is None else place(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            path = target / file.name
            if path.exists():
                _verified(path.read_bytes(), file, path)
                continue
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                temporary.write_bytes(_fetched(file, target))
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise GrokkitError(f"cannot write to {target} ({error.strerror}): name another folder") from None
    return target


def _fetched(file: OfficialFile, target: Path) -> bytes:
    try:
        with urllib.request.urlopen(file.url, timeout=TIMEOUT) as answer:
            return _verified(answer.read(), file, file.url)
    except (OSError, http.client.HTTPException) as error:
        raise GrokkitError(
            f"cannot download {file.name} ({getattr(error, 'reason', error)}): fetch {file.url} by hand and put it into"
            f" {target}"
        ) from None


def _verified(data: bytes, file: OfficialFile, origin: str | Path) -> bytes:
    found = _released(data)
    if found != file:
        what = f"blob id {blob_id(data)}, expected {file.blob}" if found is None else f"it is {found.name}"
        raise GrokkitError(
            f"{origin} is not the released file {file.name} ({what}): name another folder, or, if it is your own, read"
            " it with verify=False"
        )
    return data


def _released(data: bytes) -> OfficialFile | None:
    """The released file that has this content, with whatever line ends, and with a byte order mark or without."""
    blobs = {blob_id(data)}
    if b"\r" in data or data.startswith(codecs.BOM_UTF8):
        blobs.add(blob_id(b"\n".join(data.removeprefix(codecs.BOM_UTF8).splitlines()) + b"\n"))
    return next((file for files in FILES.values() for file in files if file.blob in blobs), None)


def read_lines(
    task: str,
    names: Mapping[str, str],
    parse: Callable[[str], Line],
    folder: str | Path | None = None,
    verify: bool = True,
) -> dict[str, list[Line]]:
    """Split -> what `parse` makes of each line, for the official files of a task that are in `folder`.

    They are known by their content, whatever they are called. names: name -> split of files that are taken for these;
    verify: refuse such a file whose content is another one's; False reads files of one's own under these names.
    folder: by default the cache. GrokkitError if there is no such file, and with file and line number for a line that
    `parse` refuses with a GrokkitError.
    """
    folder = cache_folder() if folder is None else place(folder)
    released = {file.split: file for file in FILES.get(task, ())}
    if verify and not released:
        raise NotThere(f"there are no released files of {task}: read your own, {', '.join(names)}, with verify=False")
    found: dict[str, tuple[Path, bytes]] = {}
    others = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        named = names.get(path.name)
        looked_into = named or (path.stat().st_size <= LARGEST and os.access(path, os.R_OK))
        if not path.is_file() or not looked_into:
            continue
        data = read_bytes(path)
        file = _released(data)
        split = file.split if file and file in released.values() else named
        if split is None:
            others.append(path.name if file is None else f"{path.name} (released as {file.name})")
            continue
        if file not in released.values() and (file or verify):
            _verified(data, released.get(split) or OfficialFile("", split, path.name, "none"), path)
        if split in found and found[split][1] != data:
            raise GrokkitError(f"both {found[split][0]} and {path.name} are the {task} split {split}: leave one there")
        found[split] = path, data
    if not found:
        there = f"; what it holds: {', '.join(others[:6])}" if others else ""
        raise NotThere(
            f"{folder} holds none of the official {task} files ({', '.join(names)}){there}: name the folder that does,"
            f" or get them with grokkit.data.official.download({task!r})"
        )
    return {split: _parsed(*found[split], parse) for split in dict.fromkeys(names.values()) if split in found}


def text_lines(path: Path, data: bytes) -> list[str]:
    """The lines of a text as editors leave it: UTF-8, with a byte order mark or without, and with any line ends.

    Empty lines at the end are left out. GrokkitError, which names the file, for another encoding.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise GrokkitError(f"{path} is no UTF-8 text: save it as UTF-8") from None
    return re.split("\r\n|\r|\n", text.rstrip("\x1a\r\n"))


def _parsed(path: Path, data: bytes, parse: Callable[[str], Line]) -> list[Line]:
    parsed: list[Line] = []
    for line in text_lines(path, data):
        try:
            parsed.append(parse(line))
        except GrokkitError as error:
            raise GrokkitError(f"{path}, line {len(parsed) + 1}: {error}") from None
    return parsed
