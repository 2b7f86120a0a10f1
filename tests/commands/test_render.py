"""What `make render` writes into README and docs, and where it can."""

import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

import grokkit as gk
from grokkit.commands import render
from grokkit.commands.passages import PASSAGES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", ["README.md", "docs/results.md", "docs/openings.md"])
def test_passages_are_committed_as_the_record_makes_them(path, monkeypatch):
    monkeypatch.setenv("GROKKIT_FIGURES", str(ROOT / "figures"))
    text = (ROOT / path).read_text(encoding="utf-8")
    assert "<!-- render: " in text
    assert render.filled(text, PASSAGES) == text


def test_outside_of_a_clone_there_is_nothing_to_render(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "repository_root", lambda: tmp_path)
    with pytest.raises(gk.GrokkitError, match="call this in a clone of grokkit"):
        render.render()
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_where_the_address_is_known_a_notebook_begins_by_installing_the_kit_on_colab(path):
    notebook, public = nbformat.read(path, as_version=4), "https://github.com/some/kit"
    render.addressed(notebook, path.stem, "")
    plain = nbformat.writes(notebook)
    for _ in range(2):  # once, however often it is rendered
        render.addressed(notebook, path.stem, public)
    nbformat.validate(notebook)
    install, kit = [number for number, cell in enumerate(notebook.cells) if "import" in cell.source][:2]
    assert notebook.cells[install].id == "colab" and "import grokkit" in notebook.cells[kit].source
    assert [cell.source.count(public) for cell in notebook.cells] == [0, 1] + [0] * (len(notebook.cells) - 2)
    assert f"colab/github/some/kit/blob/main/notebooks/{path.name}" in notebook.cells[0].source.replace(
        "colab.research.google.com/github", "colab/github"
    )
    render.addressed(notebook, path.stem, "")
    assert nbformat.writes(notebook) == plain


@pytest.mark.parametrize("on_colab", [True, False])
def test_the_first_cell_installs_on_colab_and_nowhere_else(on_colab, monkeypatch):
    transform = pytest.importorskip("IPython.core.inputtransformer2").TransformerManager().transform_cell
    told, before = [], list(sys.path)
    shell = SimpleNamespace(system=told.append, run_line_magic=lambda *words: told.append(" ".join(words)))
    monkeypatch.setattr(sys, "path", list(before))
    if on_colab:
        monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    exec(transform(render.INSTALL.format(public="https://a/b")), {"get_ipython": lambda: shell})
    if not on_colab:
        assert (told, sys.path) == ([], before)
        return
    clone, install = told
    assert clone.endswith("git clone -q --depth 1 https://a/b /content/kit")
    assert install == "pip install -q -e /content/kit"  # no constraints: its torch stays
    assert sys.path == ["/content/kit", *before]
