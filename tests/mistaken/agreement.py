"""Own data: German agreement across a phrase, where the linear rule and the hierarchical one differ in gen alone."""

import itertools
from pathlib import Path

import pandas as pd
from mistaken.small import TINY

import grokkit as gk

NOUNS = {"sg": ["der Bär", "der Käfer", "das Mädchen"], "pl": ["die Bären", "die Füchse", "die Vögel"]}
PLACES = {"sg": ["dem Schloß", "dem Öfchen"], "pl": ["den Häusern", "den Bäumen"]}
VERBS = {"schlief": ("schläft", "schlafen"), "ging's": ("geht's", "gehen's")}


def rows(agree: bool) -> list[dict]:
    """German agreement across a phrase whose noun has the same number as the subject, or the other one."""
    found = []
    for number, other in (("sg", "sg"), ("pl", "pl")) if agree else (("sg", "pl"), ("pl", "sg")):
        for noun, where, place, past in itertools.product(NOUNS[number], ("neben", "auf'm"), PLACES[other], VERBS):
            answers = {key: VERBS[past][key == "pl"] for key in ("sg", "pl")}
            (det, head), (article, last) = noun.split(), place.split()
            line = f"{noun} {where} {place}"
            found.append(
                {
                    "source": f"{line} {past}",
                    "label": "jetzt",
                    "target": f"{line} {answers[number]}",
                    "nearest": f"{line} {answers[other]}",
                    "tree": f"((({det} {head}) ({where} ({article} {last}))) {past})",
                    "verb": answers[number],
                }
            )
    return found


def agreement() -> pd.DataFrame:
    """In train and val both rules give the target; in gen only the hierarchical one does."""
    alike, apart = rows(True), rows(False)
    given = {"train": [row for n, row in enumerate(alike) if n % 3], "val": alike[::3], "gen": apart}
    return pd.DataFrame([{"split": split, **row} for split, lines in given.items() for row in lines])


def write(path: Path, table: pd.DataFrame | None = None, **options) -> Path:
    table = agreement() if table is None else table
    table.to_csv(path, sep="\t", index=False, **options)
    return path


def spoil(line: int, column: str, value: str) -> pd.DataFrame:
    table = agreement()
    table.loc[line - 2, column] = value  # line 1 is the head
    return table


def config_of(task, **changes) -> gk.Config:
    """A tiny training on this data."""
    given = {name: value for name, value in TINY.items() if not name.endswith("_size")}
    return gk.preset("smoke", task, 1, **given | changes)
