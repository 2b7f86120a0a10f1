"""Brings notebooks into the form in which they are committed.

    python tests/helpers/strip_notebooks.py [--execute] [NOTEBOOK ...]

Cells that nbval compares (first line `# NBVAL_CHECK_OUTPUT`) keep their execution count and what they
printed; all others lose both, so that no picture, progress bar or path is committed. --execute: run them
first, at the smoke preset with runs and figures in a folder that is removed; do so when a change alters what
a compared cell prints.
"""

import argparse
import os
import tempfile
from pathlib import Path

import nbformat

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
MARK = "# NBVAL_CHECK_OUTPUT"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def compared(cell) -> bool:
    """Whether nbval --nbval-lax compares the output of a cell."""
    return cell.cell_type == "code" and cell.source.startswith(MARK)


def strip(notebook) -> None:
    """In place: removes outputs and counts of cells that are not compared, stderr, and editors' metadata."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code" and not compared(cell):
            cell.execution_count, cell.outputs = None, []
        elif cell.cell_type == "code":
            cell.outputs = joined(out for out in cell.outputs if out.get("name") != "stderr")


def joined(outputs) -> list:
    """Outputs with consecutive stretches of one stream as one: how a kernel cuts them is chance."""
    result = []
    for out in outputs:
        if result and out.output_type == "stream" == result[-1].output_type and out.name == result[-1].name:
            result[-1].text += out.text
        else:
            result.append(out)
    return result


def execute(notebook, folder: Path) -> None:
    """Runs all cells in place, at the smoke preset, with runs and figures in `folder`."""
    from nbclient import NotebookClient

    chosen = {
        "GROKKIT_PRESET": "smoke",
        "GROKKIT_RUNS": str(folder / "runs"),
        "GROKKIT_FIGURES": str(folder / "figures"),
        "MPLBACKEND": "Agg",
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("GROKKIT_")}
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}).execute(
        env=others | chosen, cleanup_kc=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--execute", action="store_true", help="run the notebooks first, at the smoke preset")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for path in options.notebooks or sorted(FOLDER.glob("*.ipynb")):
            before = path.read_text(encoding="utf-8")
            notebook = nbformat.reads(before, as_version=4)
            if options.execute:
                execute(notebook, Path(folder))
            strip(notebook)
            after = nbformat.writes(notebook) + "\n"
            if after != before:
                path.write_text(after, encoding="utf-8")
            print(f"{path.name}: {'written' if after != before else 'unchanged'}", flush=True)


if __name__ == "__main__":
    main()
