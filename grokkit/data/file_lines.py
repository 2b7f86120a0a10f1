"""The lines of a user's own files: a TSV file with named columns, or a folder in the format of McCoy et al. (2020).

Text is read as people's editors leave it. What is wrong raises GrokkitError with file and line.
"""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from grokkit.data.official import text_lines
from grokkit.errors import GrokkitError

NEEDED = ("split", "source", "label", "target")
SPLITS = {"train": "train", "val": "val", "dev": "val", "gen": "gen", "test": "test"}
"""What a split, or the end of a file's name, may be called -> the split; test is read and not used."""
MEASURES = ("accuracy", "full_sentence", "first_word", "scored_word", "official_accuracy", "hierarchical")
"""Names that no rival rule can have, since a column of the results, or the right rule, has them."""


class Line(NamedTuple):
    """A line of a file by its columns; `where` names file and line for messages."""

    where: str
    cells: dict[str, str]


def files_in(folder: Path, wanted: str | None) -> tuple[str, dict[str, list[Path]]]:
    """The name of a folder's data set, and its files by split, in McCoy's format."""
    sets: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(folder.iterdir()):
        stem, _, end = path.name.rpartition(".")
        kind = SPLITS.get("gen" if re.fullmatch(r"gen_\w+", end) else end)
        if stem and kind and path.is_file():
            sets.setdefault(stem, {}).setdefault(kind, []).append(path)
    if not sets:
        raise GrokkitError(
            f"{folder} holds no NAME.train, NAME.val or .dev, NAME.gen: name a folder that does, or a file"
        )
    if len(sets) > 1 and wanted not in sets:
        raise GrokkitError(f"{folder} holds the data sets {', '.join(sets)}: say which one with name=")
    name = wanted if wanted in sets else next(iter(sets))
    files = sets[name]
    gens = files.get("gen", [])
    files["gen"] = [path for path in gens if path.suffix == ".gen"] or gens  # parts of one's own kind, as .gen_rc_o
    for split in ("train", "val", "gen"):
        if not files.get(split):
            raise GrokkitError(f"{folder} has no file {name}.{split}{' (or .dev)' if split == 'val' else ''}")
        if split != "gen" and len(files[split]) > 1:
            raise GrokkitError(f"{folder} has both {' and '.join(path.name for path in files[split])}: remove one")
    return wanted or name, {split: files[split] for split in ("train", "val", "gen", "test") if split in files}


def _lines(path: Path, data: bytes) -> Iterator[tuple[str, str]]:
    """(place, text) of each line that is not empty; umlauts are one character, as which some editors write two."""
    for number, line in enumerate(text_lines(path, data), start=1):
        if line.strip():
            yield f"{path}, line {number}", unicodedata.normalize("NFC", line)


def pairs(path: Path, data: bytes, split: str) -> Iterator[Line]:
    """Lines of McCoy's format."""
    for where, line in _lines(path, data):
        sides = line.split("\t")
        words = sides[0].split()
        if len(sides) != 2 or len(words) < 2 or not sides[1].strip():
            raise GrokkitError(f"{where}: write source, label, a tab and the target, not {line!r}")
        cells = {"split": split, "source": " ".join(words[:-1]), "label": words[-1], "target": plain(sides[1])}
        yield Line(where, cells)


def rows(path: Path, data: bytes) -> Iterator[Line]:
    """Lines of a TSV file, checked."""
    lines = _lines(path, data)
    head = [name.strip() for name in next(lines, ("", ""))[1].split("\t")]
    absent = [name for name in NEEDED if name not in head]
    if absent or len(set(head)) < len(head) or "" in head:
        raise GrokkitError(
            f"{path}: its first line must name its columns, each once, {', '.join(NEEDED)} among them; it has"
            f" {', '.join(head)} and lacks {', '.join(absent) or 'none'}."
            " Of files in McCoy's format, name the folder"
        )
    for name in head:
        if name in ("whole", "first", *MEASURES):
            raise GrokkitError(f"{path}: no column can have the name {name}, which means something else: rename it")
    for where, line in lines:
        cells = [plain(_unquoted(cell)) for cell in line.split("\t")]
        if len(cells) != len(head):
            raise GrokkitError(f"{where}: {len(cells)} columns, but the first line names {len(head)}")
        row = dict(zip(head, cells))
        for name, cell in row.items():
            if not cell:
                raise GrokkitError(f"{where}: {name} is empty")
        if row["split"] not in SPLITS:
            raise GrokkitError(f"{where}: split is {row['split']!r}: write one of {', '.join(SPLITS)}")
        if " " in row["label"]:
            raise GrokkitError(f"{where}: label is {row['label']!r}: write one word")
        yield Line(where, row | {"split": SPLITS[row["split"]]})


def plain(text: str) -> str:
    """The text with one blank between words."""
    return " ".join(text.split())


def _unquoted(cell: str) -> str:
    """A cell as it was before a CSV writer put it into quotes, because it has quotes inside."""
    quoted = re.fullmatch(r'"((?:[^"]|"")*)"', cell)
    return quoted[1].replace('""', '"') if quoted and '""' in quoted[1] else cell
