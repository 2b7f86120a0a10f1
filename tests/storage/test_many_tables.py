"""Tables that are read together are those that are read alone."""

import json

import pandas as pd
import pytest

from grokkit.errors import GrokkitError
from grokkit.presets import preset
from grokkit.report.results import results, status
from grokkit.storage import many_tables
from grokkit.storage.files import cell_folder, sha256
from grokkit.storage.many_tables import tables_of
from grokkit.storage.run_folder import found_runs
from grokkit.training.trainer import train


def write_table(run, text):
    """With its digests, as if it had been trained so."""
    described = json.loads((run.path / "run.json").read_text()) | {"metrics_sha256": [sha256(text)]}
    described.pop("sha256")
    vouched = described | {"sha256": sha256(json.dumps(described, sort_keys=True))}
    (run.path / "run.json").write_text(json.dumps(vouched))
    (run.path / "metrics.csv").write_text(text)


@pytest.fixture(params=[1, 2, 200])
def runs(request, monkeypatch):
    """Five of two tasks, whose columns differ, and which end at different steps; at once: one, two, all."""
    monkeypatch.setattr(many_tables, "AT_ONCE", request.param)
    for task, depth, seeds, until in (
        ("question", 1, [0, 1], None),
        ("dyck", 1, [0], None),
        ("question", 2, [5, 6], 10),
    ):
        train(preset("smoke", task, depth), seeds, cell_folder("smoke", task, depth), progress=False, until=until)
    return found_runs("smoke")


def test_each_run_has_its_own_rows(runs):
    found = {}
    for some in tables_of(runs):
        for r, run in enumerate(some.runs):
            found[run] = some.rows[some.owner == r].reset_index(drop=True)
            assert some.descriptions[r] == run.description()
    assert sorted(found) == runs
    for run, rows in found.items():
        pd.testing.assert_frame_equal(rows, run.table(), check_exact=True)
    for some in tables_of(runs, last=True):
        assert [*some.rows.seed] == [run.seed for run in some.runs]
        assert [*some.rows.step] == [found[run].step.max() for run in some.runs]


def test_a_damaged_one_among_many_is_named(runs):
    path = runs[1].path / "metrics.csv"
    text = path.read_text()
    path.write_text(text.replace("ok", "no"))
    with pytest.raises(GrokkitError, match=f"{path} is damaged"):
        list(tables_of(runs))
    write_table(runs[1], text.replace(",ok,", ",odd,"))  # its digest is right, and it is no table of results
    for last in (False, True):
        with pytest.raises(GrokkitError, match=f"{path}: status is something else than ok or failed"):
            list(tables_of(runs, last))
    with pytest.raises(GrokkitError, match=f"{path}: status"):
        status("smoke")


def test_a_run_in_the_place_of_another_is_named(runs):
    rows = runs[1].table()
    write_table(runs[1], rows.assign(seed=77).to_csv(index=False))
    with pytest.raises(GrokkitError, match=rf"{runs[1].path}: metrics.csv says seed = \[77\]"):
        results("smoke")
    with pytest.raises(GrokkitError, match=rf"{runs[1].path}: metrics.csv says seed = \[77\]"):
        status("smoke")


def test_a_run_that_was_trained_further_has_finished():
    config = preset("laptop", "question", 2)
    cell = cell_folder("laptop", "question", 2)
    rows = train(preset("smoke", "question", 2), [0], cell, progress=False)
    run = found_runs("laptop")[0]
    described = json.loads((run.path / "run.json").read_text())
    described["config"] = vars(config.replace(steps=9_000))
    (run.path / "run.json").write_text(json.dumps(described))
    for steps, failed, state in (
        ([0, 7_000, 9_000], None, "finished"),
        ([0, 3_500, 9_000], None, "running"),  # as by a table that lacks its rows
        ([0, 7_000, 9_000], 9_000, "finished"),  # it failed after what counts
        ([0, 3_500, 7_000], 7_000, "failed"),
    ):
        table = rows.assign(step=steps, preset="laptop", status=["failed" if s == failed else "ok" for s in steps])
        write_table(run, table.to_csv(index=False))
        found = status("laptop", "question", 2)
        assert [*found[state]] == [[0]], (steps, failed)
