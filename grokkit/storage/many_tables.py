"""The tables of many runs, read and checked some hundreds at a time: a table alone takes 30 ms, among others 1 ms."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.storage import format_2
from grokkit.storage.run_folder import TABLE, FoundRun, read_table
from grokkit.storage.table import parse_table

AT_ONCE = 200


class Tables(NamedTuple):
    """Some runs, what run.json says of each, the rows of all, and of each row the number of its run."""

    runs: list[FoundRun]
    descriptions: list[dict]
    rows: pd.DataFrame
    owner: np.ndarray


def tables_of(runs: Iterable[FoundRun], last: bool = False) -> Iterator[Tables]:
    """The tables of these runs that have any, those of equal columns together. last: only the last row of each.

    Raises GrokkitError for a damaged one, and for one that is none of results.
    """
    waiting: dict[str, list[tuple[FoundRun, dict, str]]] = {}
    for run in runs:
        if format_2.holds(run.path):
            if (table := run.table()) is not None:
                yield Tables([run], [run.description()], table, np.zeros(len(table), int))
        elif (run.path / TABLE).is_file():
            described, text = read_table(run.path)
            header = text.partition("\n")[0]
            waiting.setdefault(header, []).append((run, described, text))
            if len(waiting[header]) == AT_ONCE:
                yield _parsed(header, waiting.pop(header), last)
    for header, some in waiting.items():
        yield _parsed(header, some, last)


def _parsed(header: str, some: list[tuple[FoundRun, dict, str]], last: bool) -> Tables:
    found, described, texts = map(list, zip(*some))
    bodies = [text[len(header) + 1 :] for text in texts]
    if last:
        bodies = [body[:-1].rpartition("\n")[2] + "\n" for body in bodies]
    lengths = [body.count("\n") for body in bodies]
    try:
        table = parse_table(f"{header}\n{''.join(bodies)}", found[0].path.parents[2])
    except GrokkitError:  # one after the other: of which is it true, or only of all together
        tables = [parse_table(text, run.path / TABLE) for run, text in zip(found, texts)]
        table, lengths = pd.concat(tables, ignore_index=True), list(map(len, tables))
    return Tables(found, described, table, np.repeat(np.arange(len(found)), lengths))
