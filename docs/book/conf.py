"""The book: README, docs and notebooks as HTML, as they are committed. `make book` writes it to build/book/.

Sphinx reads the repository's root, so that links between pages are those that work on the web. Nothing is executed and
nothing is fetched from elsewhere.
"""

from pathlib import Path

from pygments.lexers.special import TextLexer

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
CHAPTERS = [
    "use",
    "results",
    "openings",
    "DEVIATIONS",
    "own_data",
    "laptop",
    "speed",
    "gpu",
    "many_machines",
    "what_survives",
    "columns",
    "architecture",
]

project, author = "grokkit", "The grokkit authors"
extensions = ["myst_nb"]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "notebooks/*.ipynb"]
html_theme = "furo"
html_title = "grokkit"
html_copy_source = html_show_sourcelink = html_show_copyright = html_show_sphinx = False
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_ipywidgets_js: dict = {}  # the committed notebooks have no widgets; their scripts would come from elsewhere
nb_mime_priority_overrides = [("html", "image/png", 0), ("html", "text/html", 10)]

CONTENTS = """
```{{toctree}}
:hidden:
:caption: Notebooks

{notebooks}
```
```{{toctree}}
:hidden:
:caption: Chapters

{chapters}
CONTRIBUTING
CHANGELOG
```
"""
INDEX = '<!doctype html><meta http-equiv="refresh" content="0; url=README.html"><title>grokkit</title>\n'


def setup(app) -> None:
    """Adds the table of contents to the first page, which the web shows without one."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", _add_contents)
    app.connect("build-finished", _add_index)


def _add_contents(app, name: str, source: list[str]) -> None:
    if name == root_doc:
        there = {path.stem for path in (ROOT / "docs").glob("*.md")}
        chapters = [*(name for name in CHAPTERS if name in there), *sorted(there - set(CHAPTERS))]
        notebooks = "\n".join(f"notebooks/{notebook}" for notebook in NOTEBOOKS)
        source[0] += CONTENTS.format(notebooks=notebooks, chapters="\n".join(f"docs/{name}" for name in chapters))


def _add_index(app, error: Exception | None) -> None:
    if error is None:
        (Path(app.outdir) / "index.html").write_text(INDEX, encoding="utf-8")
