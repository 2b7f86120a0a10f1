"""Two finished runs of smoke, trained once: tense with one layer, seeds 42 and 52."""

import os
import shutil
from pathlib import Path

import pytest
from mistaken.agreement import write

import grokkit as gk


@pytest.fixture(scope="session")
def _trained(tmp_path_factory):
    before, folder = os.environ.get("GROKKIT_RUNS"), tmp_path_factory.mktemp("trained")
    os.environ["GROKKIT_RUNS"] = str(folder)
    try:
        gk.sweep.run("smoke", ["tense"], [1], [42, 52], progress=False)
    finally:
        os.environ.pop("GROKKIT_RUNS") if before is None else os.environ.update(GROKKIT_RUNS=before)
    return folder


@pytest.fixture
def finished(_trained) -> Path:
    """GROKKIT_RUNS with these two runs in it."""
    place = Path(os.environ["GROKKIT_RUNS"])
    shutil.copytree(_trained, place)
    return place


@pytest.fixture
def own_tasks(monkeypatch):
    """gk.TASKS as it was, after tasks were added to it."""
    before = dict(gk.TASKS)
    yield gk.TASKS
    gk.TASKS.clear()
    gk.TASKS.update(before)


@pytest.fixture
def path(tmp_path, own_tasks) -> Path:
    """A file of own data."""
    return write(tmp_path / "agree.tsv")
