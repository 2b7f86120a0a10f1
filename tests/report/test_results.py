"""Reading run folders: what is finished, what is missing, what must not be mixed; and the record."""

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from synthetic import run

from grokkit.config import preset as preset_of
from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.presets import PRESETS
from grokkit.report.record import write_record
from grokkit.storage import files
from grokkit.storage.files import cell_folder, run_folder
from grokkit.storage.identity import Run
from grokkit.storage.run_folder import RunFolder
from grokkit.storage.table import COLUMNS, KEYS, RUN

results = import_module("grokkit.report.results")  # the package's own name `results` is the function


def put(task="tense", depth=4, seeds=(42, 52), steps=5000, until=None, preset="laptop", change=None, **config):
    """Run folders as training leaves them; `until`: the last step there; `change`: a function of the table."""
    rows = pd.concat([run(task, depth, seed, end=steps, preset=preset) for seed in seeds])
    rows = rows if until is None else rows[rows.step <= until]
    rows = rows if change is None else change(rows.reset_index(drop=True))
    cell = cell_folder(preset, task, depth)
    for seed in seeds:
        described = Run(preset_of(preset, task, depth, steps=steps, **config), seed, {"train": "0f"})
        folder = RunFolder(run_folder(cell, seed), described)
        own = rows[rows.seed == seed] if "seed" in rows else rows
        folder.path.mkdir(parents=True, exist_ok=True)
        folder._write([], own.to_csv(index=False))
    return cell


def fail(rows):
    """The run of seed 52 fails half-way."""
    rows = rows[(rows.seed != 52) | (rows.step <= 2500)].copy()
    last = (rows.seed == 52) & (rows.step == 2500)
    rows.loc[last, ["train_loss", "gen_accuracy", "val_accuracy", "weight_norm"]] = np.nan
    rows.loc[last, "status"] = "failed"
    return rows


@pytest.fixture(autouse=True)
def laptop_ends_with_these_tables(monkeypatch):
    ending = {task: config.replace(steps=5000) for task, config in PRESETS["laptop"].items()}
    monkeypatch.setitem(PRESETS, "laptop", ending)


def test_runs_are_put_together_in_order():
    put(depth=4, seeds=(62,))
    put(depth=4, seeds=(42, 52))
    put("question", 2, (42,))
    table = results.results("laptop")
    assert list(table.columns[:13]) == COLUMNS and table.columns[-1] == "status"
    assert not {"path", "finished"} & set(table.columns)
    assert table[RUN].drop_duplicates().values.tolist() == [
        ["question", 2, 42], ["tense", 4, 42], ["tense", 4, 52], ["tense", 4, 62],
    ]  # fmt: skip
    assert table.equals(table.sort_values(KEYS, ignore_index=True))
    expected = run("tense", 4, 52)
    kept = table[(table.task == "tense") & (table.seed == 52)].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[COLUMNS], expected[COLUMNS], rtol=1e-12)


def test_selection():
    put(depth=2), put(depth=4), put("question", 2)
    assert set(results.results("laptop", tasks=["tense"]).task) == {"tense"}
    assert set(results.results("laptop", depths=[2]).depth) == {2}
    by_task = results.results("laptop", depths={"tense": [4], "question": [2]})
    assert set(zip(by_task.task, by_task.depth)) == {("tense", 4), ("question", 2)}
    assert set(results.results("laptop", seeds=[52]).seed) == {52}
    for nothing in ({"tasks": ["dyck"]}, {"depths": [7]}, {"seeds": [1]}, {"depths": {"dyck": [2]}}):
        with pytest.raises(GrokkitError, match="no finished run of preset laptop"):
            results.results("laptop", **nothing)


def test_unfinished_and_failed_runs():
    put(depth=4, until=2000)
    put(depth=2, change=fail)
    run_folder(cell_folder("laptop", "tense", 6), 42).mkdir(parents=True)  # no training has begun in it
    assert set(results.results("laptop").depth) == {2}
    assert set(results.results("laptop", unfinished=True).depth) == {2, 4}
    wanted = dict(tasks=["tense"], depths=[2, 4, 6], seeds=[42, 52, 62])
    assert results.missing("laptop", **wanted) == [
        ("tense", 2, 62), ("tense", 4, 42), ("tense", 4, 52), ("tense", 4, 62),
        ("tense", 6, 42), ("tense", 6, 52), ("tense", 6, 62),
    ]  # fmt: skip
    cells = results.status("laptop", **wanted).set_index("depth")
    assert (cells.finished[2], cells.failed[2], cells.missing[2]) == ([42], [52], [62])
    assert (cells.running[4], cells.missing[4]) == ([42, 52], [62])
    assert cells.missing[6] == [42, 52, 62]
    found = results.status("laptop")
    assert found[["task", "depth"]].values.tolist() == [["tense", 2], ["tense", 4]]


def test_status_without_any_run():
    assert results.missing("laptop", ["tense"], {"tense": [2]}, [42]) == [("tense", 2, 42)]
    assert results.status("laptop").empty and results.status("laptop", source="record").empty


def test_status_has_every_task_there_is(monkeypatch):
    monkeypatch.setitem(TASKS, "agree", TASKS["tense"])
    wanted = results.status("laptop", depths=[2], seeds=[42])
    assert wanted.task.tolist() == ["question", "tense", "dyck", "agree"]


def test_runs_that_were_trained_differently_are_not_mixed():
    put(seeds=(42,), width=64)
    put(seeds=(52,), width=64)
    assert len(set(results.results("laptop").seed)) == 2
    put(seeds=(62,), width=128)
    with pytest.raises(GrokkitError, match="width is 128 there, 64 here"):
        results.results("laptop")


@pytest.mark.parametrize("column", ["t_score", "status", "gen_accuracy", "seed"])
def test_a_missing_column_raises(column):
    folder = put(seeds=(42,), change=lambda rows: rows.drop(columns=column))
    with pytest.raises(GrokkitError, match=f"has no column {column}") as error:
        results.results("laptop")
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("column", ["val_accuracy", "gen_accuracy", "weight_norm", "train_loss"])
def test_a_missing_value_raises(column):
    def hole(rows):
        rows.loc[(rows.seed == 52) & (rows.step == 1000), column] = np.nan
        return rows

    put(change=hole)
    with pytest.raises(GrokkitError, match=f"{column} is missing for seed 52 at step 1000"):
        results.results("laptop")


def test_broken_and_misplaced_folders():
    cell = put()
    folder = run_folder(cell, 42)
    described = Run(preset_of("laptop", "tense", 4, steps=5000), 42, {"train": "0f"})
    RunFolder(folder, described)._write([], 'preset,"data\n')
    with pytest.raises(GrokkitError, match="cannot read .*metrics.csv"):
        results.results("laptop")
    moved = cell_folder("laptop", "question", 4)
    moved.parent.mkdir(parents=True)
    put(depth=2).rename(moved)
    with pytest.raises(GrokkitError, match="says task = "):
        results.results("laptop", tasks=["question"])


def test_record_round_trip():
    put(), put("question", 2), put("dyck", 3)
    table = results.results("laptop")
    folder = write_record("laptop", table.sample(frac=1, random_state=0), {"seconds": 12.5})
    assert folder == files.figures_root() / "laptop"
    assert sorted(path.name for path in folder.iterdir()) == ["provenance.json", "results.csv"]
    record = results.results("laptop", source="record")
    assert list(record.columns) == list(table.columns)
    pd.testing.assert_frame_equal(record, table, rtol=5e-6)  # six significant digits
    assert "0.33333333" not in (folder / "results.csv").read_text()
    before = (folder / "results.csv").read_bytes()
    write_record("laptop", record, {})
    assert (folder / "results.csv").read_bytes() == before
    assert results.missing("laptop", ["dyck"], [3], [42, 62], source="record") == [("dyck", 3, 62)]
    assert set(results.results("laptop", tasks=["dyck"], source="record").task) == {"dyck"}


def test_record_refuses_what_it_should():
    put()
    table = results.results("laptop")
    with pytest.raises(GrokkitError, match="belongs to preset laptop, not to as-run"):
        write_record("as-run", table, {})
    with pytest.raises(GrokkitError, match="several rows"):
        write_record("laptop", pd.concat([table, table]), {})
    assert not (files.figures_root() / "laptop").exists()
    with pytest.raises(GrokkitError, match="no record"):
        results.results("laptop", source="record")
    for function in (results.results, results.status):
        with pytest.raises(GrokkitError, match="source = 'web': choose one of runs, record"):
            function("laptop", source="web")
