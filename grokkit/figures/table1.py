"""Table 1: the sizes of the data sets, measured, beside the published ones."""

from collections.abc import Mapping

from grokkit.figures import style as s
from grokkit.report.published import TASK_NAMES
from grokkit.report.quantities import SPLITS, sizes

HEADS = ["Dataset", *SPLITS.values(), "V", "Data"]
WIDTHS = [0.22, 0.2, 0.2, 0.2, 0.06, 0.12]


def table1(corpora: Mapping[str, Mapping]) -> s.PaperFigure:
    """The sizes of the given corpora as a table, measured and published, with mean lengths. Source: paper, Table 1."""
    cells, differing = [], []
    for task, rows in sizes(corpora).groupby("task", sort=False):
        counts = [
            f"{row.size:,}\n(paper: {row.published:,})\n{row.words:.1f} words a line" for row in rows.itertuples()
        ]
        cells.append([TASK_NAMES[task], *counts, str(corpora[task].vocab.size), corpora[task].source])
        differing += [(len(cells), 1 + i) for i, row in enumerate(rows.itertuples()) if row.size != row.published]
    text = (
        "Table 1. Sentences (for Dyck: strings) in each split, measured, and in brackets as published. Words a line: "
        "mean, label and both sentences of a pair counted. V: words of the vocabulary with padding."
    )
    line = f"In brackets: the published sizes{'; red where they differ' if differing else ', which agree'}."
    with s.style():
        figure = s.new_figure(8.2, 0.5 + 0.56 * len(cells), text, line)
        axes = figure.subplots()
        axes.axis("off")
        drawn = axes.table(cells, colLabels=HEADS, cellLoc="center", bbox=(0, 0, 1, 1), colWidths=WIDTHS)
        drawn.auto_set_font_size(False)
        drawn.set_fontsize(s.SMALL)
        for (row, column), cell in drawn.get_celld().items():
            cell.visible_edges = "TB" if row == 0 else "B"
            cell.set_linewidth(0.6)
            if row == 0:
                cell.set_text_props(fontweight="bold")
            elif (row, column) in differing:
                cell.set_text_props(color=s.RED)
    return figure
