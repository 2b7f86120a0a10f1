"""Table 1: the sizes of the data sets, measured, beside the published ones."""

from collections.abc import Mapping

import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.report.published import published

SPLITS = {"train": "Train", "val": "In-domain val", "gen": "Generalization"}


def sizes(corpora: Mapping[str, Mapping]) -> pd.DataFrame:
    """One row per (task, split): size, the published size, mean words a line.

    corpora: task -> Corpus. Raises for a task without published sizes and for a corpus without one of the
    splits.
    """
    if not corpora:
        raise GrokkitError("Table 1 needs at least one corpus, e.g. {'question': task.generate()}")
    unknown = [task for task in corpora if task not in s.TASK_NAMES]
    if unknown:
        raise GrokkitError(f"Table 1 has no task {unknown[0]!r}: use {', '.join(s.TASK_NAMES)}")
    rows = []
    for task in sorted(corpora, key=list(s.TASK_NAMES).index):
        corpus = corpora[task]
        known = published("table1", task).set_index("quantity").value
        for split in SPLITS:
            lines = corpus[split].lines
            words = sum(map(len, map(str.split, lines))) / len(lines) if len(lines) else float("nan")
            rows.append((task, split, len(lines), int(known[f"{split}_size"]), words))
    return pd.DataFrame(rows, columns=["task", "split", "size", "published", "words"])


def table1(corpora: Mapping[str, Mapping]) -> s.PaperFigure:
    """The sizes of the given corpora as a table: measured / published, and the mean length. Source: paper,
    Table 1."""
    measured = sizes(corpora)
    heads = ["Dataset", *(name for name in SPLITS.values()), "Words a line\n(train / val / gen)", "V", "Data"]
    cells, differing = [], []
    for task, rows in measured.groupby("task", sort=False):
        corpus = corpora[task]
        by = rows.set_index("split")
        lengths = " / ".join(f"{by.words[split]:.1f}" for split in SPLITS)
        cells.append(
            [
                s.TASK_NAMES[task],
                *(f"{by['size'][x]:,}\n(paper: {by.published[x]:,})" for x in SPLITS),
                lengths,
                str(corpus.vocab.size),
                corpus.source,
            ]
        )
        differing += [(len(cells), 1 + i) for i, x in enumerate(SPLITS) if by["size"][x] != by.published[x]]
    caption = (
        "Table 1. Number of sentences (for Dyck: strings) in each split, measured on the corpora themselves, "
        "and in brackets the published number"
        + (" (red where they differ)" if differing else "; they agree")
        + ". Words a line: mean over the split, label and both sentences of a pair counted. "
        "V: words of the vocabulary with padding."
    )
    with s.style():
        figure = s.new_figure(8.2, 0.5 + 0.42 * len(cells), caption)
        axes = figure.subplots()
        axes.axis("off")
        drawn = axes.table(
            cells,
            colLabels=heads,
            cellLoc="center",
            bbox=(0, 0, 1, 1),
            colWidths=[0.19, 0.16, 0.16, 0.16, 0.19, 0.05, 0.11],
        )
        drawn.auto_set_font_size(False)
        drawn.set_fontsize(8)
        for (row, column), cell in drawn.get_celld().items():
            cell.visible_edges = "TB" if row == 0 else "B"
            cell.set_linewidth(0.6)
            if row == 0:
                cell.set_text_props(fontweight="bold")
            elif (row, column) in differing:
                cell.set_text_props(color=s.RED)
    return figure
