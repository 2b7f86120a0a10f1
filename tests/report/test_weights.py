"""Weights in the record: which, that they come back, and what is said where they do not."""

import json
import shutil

import pytest
import torch
from synthetic import table

from grokkit.errors import GrokkitError
from grokkit.report import weights
from grokkit.report.record import record
from grokkit.storage import checkpoint
from grokkit.storage.files import cell_folder, figures_root, runs_root
from grokkit.sweep import local as sweep
from grokkit.training.pretrained import load_stack, saved_steps


def test_which_weights_are_wanted():
    """Val of these runs saturates at 10 % of 5,000 steps; those of the middle depth, 4, end at .8 or more, but one."""
    made = table(("question", "dyck"), (2, 4, 6), ends={2: 0.5, 4: 0.9, 6: 0.4}, seeds=(42, 52, 62))
    made.loc[(made.task == "question") & (made.depth == 4) & (made.seed == 42), "gen_accuracy"] = 0.1
    wanted = list(dict.fromkeys((*run, step) for run, step in weights.wanted_weights(made)))
    moments = [500, 2500, 5000]
    assert wanted[:6] == [(task, 4, 42, step) for task in ("dyck", "question") for step in moments]
    assert wanted[6:] == [("question", 4, 52, 5000), ("question", 2, 42, 5000), ("question", 6, 42, 5000)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROKKIT_RUNS", str(root / "runs"))
        sweep.run("smoke", ["tense", "dyck"], {"tense": [1, 2], "dyck": [1]}, [42, 52], workers=1, progress=False)
    return root / "runs"


@pytest.fixture
def recorded(trained):
    shutil.copytree(trained, runs_root())
    return record("smoke") / "weights"


def test_the_record_gives_the_weights_of_the_runs(recorded):
    index = json.loads((recorded / "index.json").read_text())["weights"]
    there = {(entry["task"], entry["depth"], entry["seed"], entry["step"]) for entry in index}
    # smoke runs never saturate; of 20 steps the half is 10
    assert there == {
        ("tense", 2, 42, 10),
        ("tense", 2, 42, 20),
        ("tense", 1, 42, 20),
        ("dyck", 1, 42, 10),
        ("dyck", 1, 42, 20),
    }
    for cell in there:
        task, depth, seed, step = cell
        ours, theirs = (
            load_stack(task=task, preset="smoke", depth=depth, seed=seed, step=step, source=source)
            for source in ("runs", "record")
        )
        assert torch.equal(ours.flat, theirs.flat)
    assert torch.equal(load_stack("smoke", "tense", 2, 42, "record").flat, load_stack("smoke", "tense", 2, 42).flat)
    assert saved_steps("smoke", "tense", 2, 42, "record") == [10, 20] == saved_steps("smoke", "tense", 2, 42)[-2:]
    assert saved_steps("smoke", "tense", 1, 42, "record") == [20] and saved_steps("smoke", "question", 1, 42) == []
    before = {path.name: path.read_bytes() for path in recorded.iterdir()}
    record("smoke")
    assert {path.name: path.read_bytes() for path in recorded.iterdir()} == before


def test_what_is_not_there_is_said_with_what_is(recorded):
    with pytest.raises(GrokkitError, match="step 15 in the record .* L1 seed 42 step 20, L2 seed 42 step 10 20 "):
        load_stack("smoke", "tense", 2, 42, "record", step=15)
    with pytest.raises(GrokkitError, match="seed 62, at the end in the runs .* L2 seed 52 step 10 20 "):
        load_stack("smoke", "tense", 2, 62)
    with pytest.raises(GrokkitError, match="question .* there are: none"):
        load_stack("smoke", "question", 2, 42, "record")


def test_a_run_keeps_the_weights_of_its_moments_when_the_checkpoint_has_gone(recorded):
    folder = cell_folder("smoke", "tense", 2) / "seed-42"
    before = load_stack("smoke", "tense", 2, 42, step=10).flat
    checkpoint.path_of(folder, 10).unlink()
    assert torch.equal(load_stack("smoke", "tense", 2, 42, step=10).flat, before)
    (path,) = folder.glob("weights-*")
    path.unlink()  # then the record takes the nearest, and says which
    record("smoke")
    assert [
        entry["step"] for entry in json.loads((recorded / "index.json").read_text())["weights"] if entry["depth"] == 2
    ] == [20]
    assert len(list(recorded.glob("*.safetensors"))) == 4


def test_weights_of_a_run_whose_folder_has_gone_stay(recorded):
    before = {path.name: path.read_bytes() for path in recorded.iterdir()}
    shutil.rmtree(cell_folder("smoke", "tense", 2))
    record("smoke")
    assert {path.name: path.read_bytes() for path in recorded.iterdir()} == before


@pytest.mark.parametrize("damage", ["cut", "flip", "exchanged"])
def test_a_damaged_file_is_refused(recorded, damage):
    path = recorded / "tense-L2-seed-42-step-20.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    other = (recorded / "tense-L2-seed-42-step-10.safetensors").read_bytes()
    path.write_bytes({"cut": content[:-7], "flip": bytes(content), "exchanged": other}[damage])
    with pytest.raises(GrokkitError, match="step-20.safetensors is damaged .*: get it from git again"):
        load_stack("smoke", "tense", 2, 42, "record")
    assert load_stack("smoke", "tense", 2, 42, "record", step=10)


def test_what_is_too_much_is_left_out(recorded, monkeypatch):
    monkeypatch.setattr(weights, "MOST_BYTES", 60_000)
    record("smoke")
    index = json.loads((figures_root() / "smoke/weights/index.json").read_text())["weights"]
    assert [entry["file"] for entry in index] == sorted(path.name for path in recorded.glob("*.safetensors"))
    assert {entry["depth"] for entry in index if entry["task"] == "tense"} == {2}
