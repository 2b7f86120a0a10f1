"""Finished runs become a record, with where they come from."""

import json
from pathlib import Path

import pandas as pd
import pytest
from report.test_openings import on_the_mean
from synthetic import run

import grokkit
from grokkit.errors import GrokkitError
from grokkit.presets import preset
from grokkit.report.record import record
from grokkit.report.results import own_depths, read_record, results
from grokkit.report.verdict import OUTSIDE, PASS, verdict
from grokkit.storage.files import cell_folder, figures_root, run_folder, write_text
from grokkit.storage.identity import Run
from grokkit.storage.run_folder import RunFolder
from grokkit.sweep import local as sweep


def test_record_round_trips(tmp_path, monkeypatch):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("GROKKIT_FIGURES", str(tmp_path / "figures"))
    with pytest.raises(GrokkitError, match="no finished run"):
        record("smoke")
    sweep.run("smoke", ["tense"], [1], [42, 52], workers=1, progress=False)
    folder = record("smoke", ["tense"], [1], [42, 52])
    runs, recorded = results("smoke"), results("smoke", source="record")
    # the record keeps six significant digits
    pd.testing.assert_frame_equal(runs, recorded, rtol=1e-5, check_dtype=False)
    provenance = json.loads((folder / "provenance.json").read_text())
    assert list(provenance["cells"]) == ["tense L1 seed 42", "tense L1 seed 52"]
    cell = provenance["cells"]["tense L1 seed 52"]
    assert cell["seconds"] > 0 and (cell["until"], cell["environments"]) == (20, [0])
    assert {"torch", "commit", "processor"} <= provenance["environments"][0].keys()
    assert (folder / "expected.csv").exists()


def put_rows(rows: pd.DataFrame, until: int, seed: int = 42) -> None:
    """The folder of a run of smoke that has these rows, up to a step."""
    depth = int(rows.depth.iloc[0])
    config = preset("smoke", "tense", depth)
    folder = RunFolder(run_folder(cell_folder("smoke", "tense", depth), seed), Run(config, seed, {"train": "0f"}))
    folder.path.mkdir(parents=True, exist_ok=True)
    environment = {"commit": "new", "device": "cpu", "seconds": 5.0, "steps": until}
    folder._write([environment], rows[rows.step <= until].assign(seed=seed).to_csv(index=False))


def recorded() -> pd.DataFrame:
    return read_record(figures_root() / "smoke" / "results.csv")


def test_a_record_takes_openings_and_loses_none_of_the_old():
    """Per run the longer one stays, with where it comes from; expectations are of finished runs alone."""
    rows = run("tense", 1, 42, end=20, every=10, preset="smoke")
    put_rows(rows, 20), put_rows(rows, 10, 52)
    with pytest.warns(UserWarning, match="not finished: tense L1 seeds 52 to 10"):
        folder = record("smoke")
    assert recorded().groupby("seed").step.max().to_dict() == {42: 20}
    expected = (folder / "expected.csv").read_bytes()
    put_rows(rows, 20, 62)
    record("smoke", until=15)
    assert recorded().groupby("seed").step.max().to_dict() == {42: 20, 52: 10, 62: 10}
    assert (folder / "expected.csv").read_bytes() == expected
    cells = json.loads((folder / "provenance.json").read_text())["cells"]
    assert {name: cell["until"] for name, cell in cells.items()} == {
        "tense L1 seed 42": 20, "tense L1 seed 52": 10, "tense L1 seed 62": 10,
    }  # fmt: skip
    put_rows(rows, 20, 52)
    record("smoke", seeds=52)
    assert recorded().groupby("seed").step.max().to_dict() == {42: 20, 52: 20, 62: 10}
    assert set(results("smoke", source="record", until=10).seed) == {42, 52, 62}
    with pytest.warns(UserWarning, match="record: left out is what is begun, not finished: tense L1 seeds 62 to 10"):
        assert set(results("smoke", source="record").seed) == {42, 52}
    before = (folder / "results.csv").read_bytes(), (folder / "provenance.json").read_bytes()
    record("smoke")
    assert recorded().groupby("seed").step.max().to_dict() == {42: 20, 52: 20, 62: 20}
    record("smoke", until=10)
    assert recorded().groupby("seed").step.max().to_dict() == {42: 20, 52: 20, 62: 20}
    assert before[0] != (folder / "results.csv").read_bytes()


def test_a_depth_beyond_those_of_the_preset_is_recorded_and_not_expected():
    for depth in (1, 3):
        put_rows(run("tense", depth, 42, end=20, every=10, preset="smoke"), 20)
    folder = record("smoke")
    assert set(recorded().depth) == {1, 3}
    expected = pd.read_csv(folder / "expected.csv")
    assert set(expected.depth.dropna()) == {1} and not (expected.quantity == "claim_inverted_u").any()
    own = recorded().assign(task="mine")  # of a task that has none of the preset's depths, all
    assert set(own_depths(own[own.depth == 3]).depth) == {3} and set(own_depths(own).depth) == {1}


def test_other_rows_of_a_recorded_run_are_refused_by_name():
    rows = run("tense", 1, 42, end=20, every=10, preset="smoke")
    put_rows(rows, 10)
    folder = record("smoke", until=10)
    before = (folder / "results.csv").read_bytes()
    put_rows(rows.assign(gen_accuracy=rows.gen_accuracy.where(rows.step != 10, 0.123)), 20)
    with pytest.raises(GrokkitError, match="another gen_accuracy for task tense, depth 1, seed 42, step 10 than"):
        record("smoke")
    assert (folder / "results.csv").read_bytes() == before


def test_where_the_recorded_runs_come_from_is_kept():
    rows = run("tense", 1, 42, end=20, every=10, preset="smoke")
    put_rows(rows, 10)
    folder = record("smoke", until=10)
    known = json.loads((folder / "provenance.json").read_text())
    known["environments"][0]["commit"], known["precision"] = "old", "float32"
    (folder / "provenance.json").write_text(json.dumps(known))
    put_rows(rows, 20, 52)
    record("smoke", seeds=52)
    found = json.loads((folder / "provenance.json").read_text())
    assert found["precision"] == "float32" and [e["commit"] for e in found["environments"]] == ["old", "new"]
    assert {name: cell["environments"] for name, cell in found["cells"].items()} == {
        "tense L1 seed 42": [0], "tense L1 seed 52": [1],
    }  # fmt: skip


def test_the_record_of_as_run_is_judged_by_step(monkeypatch):
    monkeypatch.setenv("GROKKIT_FIGURES", str(Path(grokkit.__file__).parents[1] / "figures"))
    table = results("as-run", source="record", until=15_000)
    assert set(zip(table.task, table.depth)) >= {("question", 6), ("tense", 4)} and table.step.max() == 15_000
    for figure in ("fig2", "fig3b", "fig4"):
        rows = verdict(table, figure)
        judged = rows[rows.quantity.str.contains("inside the published band")]
        assert {("question", 6), ("tense", 4)} <= set(zip(judged.task, judged.depth))
        assert judged.verdict.isin([PASS, OUTSIDE]).all()
        others = rows.drop(judged.index)
        assert (others.verdict == "NOT COMPARABLE").all() and others.note.str.contains("end at step 15,000").all()


def test_a_wrong_experiment_is_judged_as_what_it_was_to_be():
    """As a run folder has it: under the name of a changed preset."""
    right = on_the_mean().assign(preset="as-run~1a2b3c")
    write_text(figures_root() / "controls" / "right.csv", right.to_csv(index=False))
    wrong = right.assign(gen_accuracy=0.9, val_accuracy=0.5)
    write_text(figures_root() / "controls" / "wrong.csv", wrong.to_csv(index=False))
    for name, word in (("right", PASS), ("wrong", OUTSIDE)):
        table = results(name, source="controls", until=15_000)
        assert set(table.preset) == {"as-run"}
        rows = verdict(table, "fig2")
        assert rows[rows.quantity.str.contains("inside the published band")].verdict.tolist() == [word]
    with pytest.raises(GrokkitError, match="choose one of right, wrong"):
        results("other", source="controls", until=15_000)
