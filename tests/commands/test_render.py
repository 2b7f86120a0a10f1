"""What `make render` writes into README and docs, and where it can."""

from pathlib import Path

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
