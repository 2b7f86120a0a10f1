"""Folders of format 2, as commit 5e4f63e left them in format_2/: read in place, recorded, and gone on with."""

import json
import shutil
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.presets import PRESETS
from grokkit.report.record import record
from grokkit.report.results import missing, results, status
from grokkit.storage import checkpoint
from grokkit.storage.files import cell_folder, run_folder, runs_root
from grokkit.storage.run_folder import read_description
from grokkit.sweep import plan
from grokkit.training.flat_adamw import restore
from grokkit.training.pretrained import load_stack
from grokkit.training.trainer import Trainer, train

SMALL = {"width": 4, "heads": 2, "ffn_width": 4}
QUESTION, TENSE = preset("smoke", "question", 1, **SMALL), preset("smoke", "tense", 1, **SMALL)


@pytest.fixture(autouse=True)
def cells(monkeypatch):
    """question: two runs, stopped after step 13 of 20; tense: two finished ones. The paths of the two stacks.

    The preset smoke is what it was then."""
    monkeypatch.setitem(PRESETS, "smoke", PRESETS["smoke"] | {"question": QUESTION, "tense": TENSE})
    for name in ("QUESTION", "TENSE"):  # then they are no changed ones
        monkeypatch.setitem(globals(), name, globals()[name].replace())
    shutil.copytree(Path(__file__).with_name("format_2"), runs_root())
    return [cell_folder("smoke", task, 1) / "seeds-42-52" for task in ("question", "tense")]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def test_they_are_read_and_recorded_where_they_lie(cells):
    before = [contents(cell) for cell in cells]
    table = results("smoke", unfinished=True)
    for cell, task in zip(cells, ("question", "tense")):
        own = table[table.task == task].dropna(axis=1, how="all").reset_index(drop=True)
        there = pd.read_csv(cell / "metrics.csv").dropna(axis=1, how="all")
        pd.testing.assert_frame_equal(own, there, check_dtype=False, check_like=True)
    assert set(results("smoke").task) == {"tense"}
    cells_now = status("smoke", ["question", "tense"]).set_index("task")
    assert cells_now.running["question"] == [42, 52] == cells_now.finished["tense"]
    assert missing("smoke", "tense", 1, [42, 52, 62]) == [("tense", 1, 62)]
    found = json.loads((record("smoke") / "provenance.json").read_text())
    seconds = json.loads((cells[1] / "environment.json").read_text())["seconds"]
    each = {"environments": [0], "seconds": pytest.approx(seconds / 2, abs=0.051), "until": 20}
    assert found["cells"] == {"tense L1 seed 42": each, "tense L1 seed 52": each}
    assert [e["commit"][:7] for e in found["environments"]] == ["5e4f63e"]
    weights = load_file(checkpoint.path_of(cells[1], 20))["weights"]
    assert torch.equal(load_stack("smoke", "tense", 1, 52).flat, weights[1:])
    assert [contents(cell) for cell in cells] == before


def test_openings_in_them_are_recorded_up_to_a_step(cells):
    """question was stopped after step 13 of 20; what goes on in a folder of its own is recorded over it."""
    folder = record("smoke", until=10)
    recorded = results("smoke", source="record", until=10)
    assert recorded.groupby(["task", "seed"]).step.max().tolist() == [10] * 4
    train(QUESTION, [52], cells[0].parent, "cpu", progress=False)
    record("smoke", "question", 1, 52)
    assert results("smoke", source="record").groupby(["task", "seed"]).step.max().to_dict() == {("question", 52): 20}
    pd.testing.assert_frame_equal(
        results("smoke", source="record", until=10)[recorded.columns], recorded, check_dtype=False
    )
    found = json.loads((folder / "provenance.json").read_text())
    (old, new), cell = found["environments"], found["cells"]["question L1 seed 52"]
    assert old["commit"][:7] == "5e4f63e" != new["commit"][:7] and cell["environments"] == [0, 1]
    assert found["cells"]["question L1 seed 42"]["until"] == 10


def test_a_training_goes_on_in_folders_of_its_own_and_nothing_is_lost_or_read_twice(cells):
    """It equals, to the bit, one that goes on from the very state in the old checkpoint and never touches a disk."""
    old, cell = contents(cells[0]), cells[0].parent
    rows = pd.read_csv(cells[0] / "metrics.csv")
    tensors = load_file(checkpoint.path_of(cells[0], 13))
    unsaved = Trainer(QUESTION, [42, 52], None, "cpu")
    restore(unsaved.stack, unsaved.update.adamw, tensors)
    unsaved.update.loss_sum.copy_(tensors["loss_sum"])
    unsaved.step, unsaved.rows = 13, rows.sort_values("step", kind="stable").to_dict("records")
    unsaved.run(False, None)
    ours = Trainer(QUESTION, [42, 52], cell, "cpu")
    assert ours.step == 13
    for seed in (42, 52):
        assert checkpoint.saved_steps(run_folder(cell, seed)) == [13]
    assert len(results("smoke", "question", unfinished=True)) == len(rows)
    table = ours.run(False, None)
    assert torch.equal(ours.stack.flat, unsaved.stack.flat)
    pd.testing.assert_frame_equal(table, unsaved.table().assign(**unsaved.names), check_exact=True, check_dtype=False)
    assert contents(cells[0]) == old
    assert len(results("smoke", "question")) == 6
    first, last = read_description(run_folder(cell, 42))["environments"]
    assert (first["commit"][:7], first["steps"], last["steps"]) == ("5e4f63e", 13, 7)


def test_one_run_of_a_stack_goes_on_alone_and_the_other_can_still_be_read(cells):
    cell = cells[0].parent
    train(QUESTION, [52], cell, "cpu", progress=False)
    assert not run_folder(cell, 42).exists()
    table = results("smoke", "question", unfinished=True)
    assert table.groupby("seed").step.max().to_dict() == {42: 10, 52: 20}
    train(QUESTION, [42, 52], cell, "cpu", progress=False)
    assert results("smoke", "question").groupby("seed").step.max().to_dict() == {42: 20, 52: 20}


def test_a_finished_run_without_checkpoints_is_not_trained_again(cells, monkeypatch):
    table = results("smoke", "tense")
    checkpoint.path_of(cells[1], 20).unlink()
    monkeypatch.setattr(Trainer, "_train_step", None)  # would raise if called
    again = train(TENSE, [42, 52], cells[1].parent, "cpu", progress=False)
    pd.testing.assert_frame_equal(again[table.columns], table, check_dtype=False)
    pd.testing.assert_frame_equal(results("smoke", "tense")[table.columns], table)


def test_a_folder_that_was_given_by_name_goes_on(cells, tmp_path):
    shutil.copytree(cells[0], tmp_path / "mine")
    trainer = Trainer(QUESTION, [42, 52], tmp_path / "mine", "cpu")
    trainer.folders.close()
    assert trainer.step == 13 and run_folder(tmp_path / "mine", 52).is_dir()


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "digests.json"])
def test_damage_and_another_config_are_refused(cells, name, monkeypatch):
    with pytest.raises(GrokkitError, match="seeds-42-52/config.json belongs to another config: width is 4 there, 16"):
        train(preset("smoke", "tense", 1, width=16), [42], cells[1].parent, "cpu", progress=False)
    with monkeypatch.context() as smoke_of_today:
        smoke_of_today.setitem(PRESETS["smoke"], "tense", TENSE.replace(ffn_width=16))
        with pytest.raises(GrokkitError, match="seeds-42-52 belongs to another config: ffn_width is 4 there, 16 here"):
            plan("smoke", ["tense"], [1])
    text = (cells[1] / name).read_text()
    at = text.index("0", len(text) // 2)
    (cells[1] / name).write_text(text[:at] + "1" + text[at + 1 :])
    with pytest.raises(GrokkitError, match=f"seeds-42-52/{name} is damaged .* put a copy of it back, or move"):
        results("smoke")


def test_the_same_run_in_two_folders(cells):
    """Equal rows count once, a finished run hides one that is under way, different ones are refused."""
    table = results("smoke", "tense")
    other = cells[1].with_name("seeds-42")
    shutil.copytree(cells[1], other)
    pd.testing.assert_frame_equal(results("smoke", "tense"), table)
    changed = pd.read_csv(other / "metrics.csv")
    changed.loc[changed.step == 10, "t_score"] = 0.0
    (other / "digests.json").unlink()
    changed.to_csv(other / "metrics.csv", index=False)
    format_2 = import_module("grokkit.storage.format_2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(format_2, "_read", lambda folder, name: (folder / name).read_text())
        (other / "digests.json").write_text("{}")
        with pytest.raises(GrokkitError, match=r"two different results for task tense, .* step 10 \(t_score\)"):
            results("smoke")
        changed[changed.step < 20].to_csv(other / "metrics.csv", index=False)
        pd.testing.assert_frame_equal(results("smoke", "tense"), table)
