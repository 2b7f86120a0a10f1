"""`make render`: what is committed as the record makes it: executed notebooks, pictures, passages of README and docs.

Only this and `grokkit record` change them. Notebooks run from the record of `laptop`, so that a page on the web shows
what this kit measured; `make test` runs them again and compares.
"""

import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from grokkit.commands.notebooks import current_interpreter
from grokkit.commands.passages import PASSAGES
from grokkit.commands.reproduce import NOTEBOOKS
from grokkit.errors import GrokkitError
from grokkit.places import repository_root
from grokkit.printing import say
from grokkit.storage.files import write_text

SHOWN = {"GROKKIT_PRESET": "laptop", "GROKKIT_SOURCE": "record"}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
INSTALL = """import sys

if "google.colab" in sys.modules:  # on Colab, beside its own torch; elsewhere nothing
    !test -d /content/kit || git clone -q --depth 1 {public} /content/kit
    %pip install -q -e /content/kit
    sys.path.insert(0, "/content/kit")  # until the next start, which looks there by itself"""


def render() -> None:
    """Executes all notebooks from the record, and writes them, the record's pictures and the passages anew."""
    root = repository_root()
    if not (root / "notebooks").is_dir():
        raise GrokkitError(f"{root / 'notebooks'} is not there: call this in a clone of grokkit")
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures"
        shutil.copytree(root / "figures", figures, ignore=shutil.ignore_patterns("local"))
        for name in NOTEBOOKS["all"]:
            say(f"{name} ...")
            path = root / "notebooks" / f"{name}.ipynb"
            write_text(path, executed(path, SHOWN | {"GROKKIT_FIGURES": str(figures)}, address(root)))
        for picture in sorted((figures / "local" / SHOWN["GROKKIT_PRESET"]).iterdir()):
            shutil.copyfile(picture, root / "figures" / SHOWN["GROKKIT_PRESET"] / picture.name)
    for path in (root / "README.md", *sorted((root / "docs").glob("*.md"))):
        write_text(path, filled(path.read_text(encoding="utf-8"), PASSAGES))


def executed(path: Path, variables: Mapping[str, str], public: str = "") -> str:
    """The text of a notebook, run with these variables in the place of all of grokkit's, without what is chance in it.

    public: as in `addressed`. Raises GrokkitError where a cell warns: what a reader sees must be what was found.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    addressed(notebook, path.stem, public)
    others = {name: value for name, value in os.environ.items() if not name.startswith("GROKKIT_")}
    NotebookClient(
        notebook, kernel_manager_class=current_interpreter(), resources={"metadata": {"path": str(path.parent)}}
    ).execute(env=others | dict(variables), cleanup_kc=True)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({name: cell.metadata[name] for name in ("tags",) if name in cell.metadata})
        if cell.cell_type == "code":
            cell.outputs = list(_joined(cell.outputs))
            for output in cell.outputs:
                if alt := output.get("metadata", {}).get("image/png", {}).get("alt"):  # which the book reads there
                    cell.metadata["mystnb"] = {"image": {"alt": " ".join(alt.split())}}
                if output.get("name") == "stderr":
                    raise GrokkitError(f"{path.name}, cell {cell.execution_count}: {output.text.strip()}")
    return nbformat.writes(notebook) + "\n"


def addressed(notebook, name: str, public: str) -> None:
    """Gives a notebook what needs the repository's public address, or takes it away where that is "": the badge below
    the title that opens it on Colab, and the first cell, which installs the kit there and which the book leaves out."""
    import nbformat

    first = notebook.cells[0]
    title, _, rest = first.source.partition("\n")
    rest = re.sub(r"^\n\[!\[.*\n", "", rest)
    first.source = "\n".join([title, *badges(name, public), rest])
    notebook.cells = [cell for cell in notebook.cells if cell.get("id") != "colab"]
    if public:
        cell = nbformat.v4.new_code_cell(INSTALL.format(public=public), id="colab", metadata={"tags": ["remove-cell"]})
        notebook.cells.insert(1, cell)


def _joined(outputs: list) -> Iterator:
    """Outputs with consecutive stretches of one stream as one: how a kernel cuts them is chance."""
    last = None
    for output in outputs:
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
            continue
        last = output
        yield output


def address(root: Path) -> str:
    """The public address of the repository, from pyproject; "" while there is none."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {}).get("Repository", "").rstrip("/")


def badges(name: str, public: str) -> list[str]:
    """The lines below a notebook's title: open it on Colab.

    >>> badges("01_data", "")
    []
    """
    if not public.startswith("https://github.com/"):
        return []
    place = public.removeprefix("https://github.com/")
    link = f"https://colab.research.google.com/github/{place}/blob/main/notebooks/{name}.ipynb"
    return ["", f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({link})"]


def filled(text: str, passages: Mapping[str, Callable[[], str]]) -> str:
    """The text with each passage between its two marks written anew.

    >>> filled("a <!-- render: n -->old<!-- end --> b", {"n": lambda: "new"})
    'a <!-- render: n -->new<!-- end --> b'
    """

    def anew(found: re.Match) -> str:
        if found[2] not in passages:
            raise GrokkitError(f"no passage {found[2]}: there are {', '.join(passages)}")
        return found[1] + passages[found[2]]() + found[4]

    return re.sub(r"(<!-- render: ([\w-]+) -->)(.*?)(<!-- end -->)", anew, text, flags=re.DOTALL)
