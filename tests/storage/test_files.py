"""Where files lie, and that they are written whole."""

from pathlib import Path

import pytest

from grokkit import places
from grokkit.errors import GrokkitError
from grokkit.storage import files


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    files.write_text(tmp_path / "a/b", "one")

    def broken(temporary: Path) -> None:
        temporary.write_text("tw")
        raise OSError(28, "No space left on device")

    with pytest.raises(GrokkitError, match="cannot write .*/a/b: No space left on device; make room"):
        files.write_atomically(tmp_path / "a/b", broken)
    assert [(path.name, path.read_text()) for path in (tmp_path / "a").iterdir()] == [("b", "one")]


def test_leftovers_of_a_killed_process_go(tmp_path):
    for name in (".metrics.csv.0a1b2c3d.tmp", ".tmpn9AfLI", ".lock", "metrics.csv"):  # the second: safetensors' own
        (tmp_path / name).touch()
    files.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "metrics.csv"]


def test_roots(tmp_path, monkeypatch):
    assert files.runs_root().name == "runs"  # conftest.py sets GROKKIT_RUNS
    monkeypatch.delenv("GROKKIT_RUNS"), monkeypatch.delenv("GROKKIT_FIGURES")
    checkout = tmp_path / "checkout"
    (checkout / "notebooks").mkdir(parents=True)
    (checkout / "pyproject.toml").write_text('[project]\nname = "grokkit"\n')
    monkeypatch.chdir(checkout / "notebooks")
    assert files.runs_root() == checkout / "runs"
    assert files.figures_root() == checkout / "figures"
    inner = checkout / "notebooks" / "other"
    inner.mkdir()
    (inner / "pyproject.toml").write_text('[project]\nname = "something"\n')
    monkeypatch.chdir(inner)
    assert places.repository_root() == checkout
    monkeypatch.chdir(tmp_path)  # no checkout above: that of the installed package, or here
    assert places.repository_root() in (tmp_path, *Path(files.__file__).parents)
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / "elsewhere"))
    assert files.runs_root() == tmp_path / "elsewhere"
