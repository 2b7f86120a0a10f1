"""Writes docs/columns.md, the columns of a results table for readers, from grokkit/storage/columns.csv: run by
`make format`."""

from pathlib import Path

from grokkit.storage.table import dictionary

HEAD = """# The columns of a results table

A results table has one row for each task, depth, seed and step, and a status in each. Its runs are of one preset, and
those of a task and depth of one config and one data set. In a run that did not fail, `val_accuracy`, `gen_accuracy`,
`weight_norm` and, from the first step on, `train_loss` have a value in every row; the other measures may be empty.
Columns of one's own may stand beside these.

Every table that comes in, from a file or from memory, is checked against this list. A share is a number from 0 to 1,
not a percentage. `make format` writes this page from `grokkit/storage/columns.csv`.

| column | kind | bounds | meaning | source |
|---|---|---|---|---|
"""


def page() -> str:
    """The text of docs/columns.md."""
    lines = []
    for name, row in dictionary().items():
        kind = row["kind"] + (f", {row['unit']}" if row["unit"] else "")
        bounds = " to ".join(filter(None, [row["low"], row["high"]])) + (
            " up" if row["low"] and not row["high"] else ""
        )
        lines.append(f"| `{name}` | {kind} | {bounds} | {row['meaning']} | {row['source']} |\n")
    return HEAD + "".join(lines)


if __name__ == "__main__":
    Path(__file__).with_name("columns.md").write_text(page(), encoding="utf-8")
