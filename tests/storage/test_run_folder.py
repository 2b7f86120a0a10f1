"""Run folders: files are restored or refused by name; full disks, read-only places, other formats."""

import os
import shutil
import subprocess
import warnings
from importlib import import_module

import pandas as pd
import pytest
import torch

from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.report.results import run_folder
from grokkit.storage import checkpoint
from grokkit.storage.digests import read_file, write_files
from grokkit.storage.run_folder import RunFolder
from grokkit.training.pretrained import load_stack
from grokkit.training.trainer import Trainer, train

results = import_module("grokkit.report.results").results  # the package's own name `results` is the function
CONFIG = preset("smoke", "tense", 1)
SMALL_FILES = ("config.json", "environment.json", "metrics.csv")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished folder; tests work on copies."""
    folder = tmp_path_factory.mktemp("finished") / "cell"
    train(CONFIG, [42, 52], folder, "cpu", progress=False)
    return folder


@pytest.fixture
def cell(finished):
    """A copy of it in the place where `results` looks."""
    folder = run_folder("smoke", "tense", 1, [42, 52])
    shutil.copytree(finished, folder)
    return folder


def trained(folder, config=CONFIG) -> pd.DataFrame:
    return train(config, [42, 52], folder, "cpu", progress=False)


def test_the_table_is_one_that_pandas_reads_as_it_is(cell):
    table = pd.read_csv(cell / "metrics.csv")
    assert table.seed.value_counts().to_dict() == {42: 3, 52: 3}
    pd.testing.assert_frame_equal(table, results("smoke"), check_dtype=False, check_like=True)  # columns in any order


def test_every_small_file_is_written_anew_when_it_was_removed(cell):
    before = {name: (cell / name).read_bytes() for name in SMALL_FILES}
    for name in (*SMALL_FILES, "digests.json"):
        (cell / name).unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is damaged: there is nothing to say
        trained(cell)
    assert {name: (cell / name).read_bytes() for name in SMALL_FILES} == before
    assert all(read_file(cell, name).encode() == before[name] for name in SMALL_FILES)  # by their digests


def test_a_changed_digit_is_no_result(cell):
    text = (cell / "metrics.csv").read_text()
    at = next(i for i in range(len(text) // 2, len(text)) if text[i].isdigit() and text[i - 1] == ".")
    (cell / "metrics.csv").write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
    with pytest.raises(GrokkitError, match="metrics.csv is damaged .* remove it and train this cell again"):
        results("smoke")
    with pytest.warns(UserWarning, match="metrics.csv is damaged .* written anew from the checkpoint"):
        trained(cell)
    assert (cell / "metrics.csv").read_text() == text


def test_a_finished_run_can_be_read_without_its_checkpoints(cell):
    table = results("smoke")
    for path in cell.glob("checkpoint-*"):
        path.unlink()
    pd.testing.assert_frame_equal(results("smoke"), table)
    again = Trainer(CONFIG, [42, 52], cell, "cpu")
    again._train_step = again._evaluate = None  # would raise if called
    pd.testing.assert_frame_equal(again.run(False, None)[table.columns], table, check_dtype=False)


def test_rows_without_digest_and_checkpoint_are_not_trusted(cell):
    for path in (*cell.glob("checkpoint-*"), cell / "digests.json"):
        path.unlink()
    with pytest.raises(GrokkitError, match="digests.json is missing, and there is no checkpoint to check"):
        trained(cell)
    with pytest.raises(GrokkitError, match="no finished run"):
        results("smoke")


def test_rows_without_a_state_to_go_on_from_are_not_written_over(tmp_path):
    longer = CONFIG.replace(steps=15)
    trainer = Trainer(longer, [42, 52], tmp_path, "cpu")
    for _ in range(10):
        if trainer.step in (0, 10):
            trainer._evaluate()
        trainer._train_step()
    trainer._evaluate()
    trainer.folder.close()
    before = (tmp_path / "metrics.csv").read_bytes()
    for path in tmp_path.glob("checkpoint-*"):
        path.unlink()
    with pytest.raises(GrokkitError, match="results up to step 10 but no checkpoint .* remove the folder"):
        trained(tmp_path, longer)
    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_a_lost_newest_checkpoint_costs_one_interval_and_no_row(cell):
    before, weights = (cell / "metrics.csv").read_bytes(), final_weights(cell)
    checkpoint.path_of(cell, 20).write_bytes(b"cut")
    with pytest.warns(UserWarning, match="checkpoint-0000020.* damaged .* the one before it is used"):
        trainer = Trainer(CONFIG, [42, 52], cell, "cpu")
    assert trainer.step == 10 and (cell / "metrics.csv").read_bytes() == before
    trainer.run(False, None)
    assert (cell / "metrics.csv").read_bytes() == before and torch.equal(final_weights(cell), weights)


def test_a_damaged_checkpoint_does_not_push_a_good_one_out(cell):
    checkpoint.path_of(cell, 20).write_bytes(b"cut")
    with pytest.warns(UserWarning):
        trainer = Trainer(CONFIG, [42, 52], cell, "cpu")
    trainer._train_step()
    trainer._save()
    trainer.folder.close()
    assert checkpoint.saved_steps(cell) == [10, 11, 20]


def test_a_folder_with_the_sentences_that_earlier_versions_wrote_is_read_and_goes_on(cell):
    table = results("smoke")
    write_files(cell, {"analysis_sentences.txt": "a\n"})
    pd.testing.assert_frame_equal(results("smoke"), table)
    checkpoint.path_of(cell, 20).unlink()
    trained(cell)
    pd.testing.assert_frame_equal(results("smoke"), table)


def final_weights(folder):
    return checkpoint.load(checkpoint.path_of(folder, 20))[0]["weights"]


# -- formats and configs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [1, 3])
def test_another_format_is_refused_by_name(cell, other):
    text = (cell / "config.json").read_text().replace('"format": 2', f'"format": {other}')
    (cell / "digests.json").unlink()
    (cell / "config.json").write_text(text)
    with pytest.raises(GrokkitError, match=f"run folder format {other}, this version reads 2"):
        trained(cell)
    assert (cell / "config.json").read_text() == text


def test_weights_of_a_version_with_another_config_are_refused_by_name(cell):
    tensors, labels = checkpoint.load(checkpoint.path_of(cell, 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "asdict", lambda config: vars(config) | {"gelu": True})
        checkpoint.save(cell, 20, tensors, CONFIG, [42, 52])
    with pytest.raises(GrokkitError, match="another version of grokkit, whose Config differs in gelu"):
        load_stack("smoke", "tense", 1, 42)
    with pytest.raises(GrokkitError, match="another config: gelu is True there, None here"):
        trained(cell)


def test_every_field_of_a_config_counts_and_nothing_else(cell):
    """Another value of any field is refused by its name; device, progress and minutes may differ."""
    others = {
        "preset": "laptop",
        "task": "question",
        "data_source": "official",
        "dyck_structure": "whole",
        "heads": 4,
        "width": 32,
        "tied": True,
        "dropout": 0.2,
        "schedule": "constant",
        "steps": 19,
        "beta1": 0.8,
        "beta2": 0.9,
        "metric": "paper",
        "precision": "bf16",
    }
    for name, value in vars(CONFIG).items():
        other = CONFIG.replace(**{name: others[name] if name in others else value + 1})
        with pytest.raises(GrokkitError, match=f"another config: {name} is [^;]*$"):
            RunFolder(cell, other, (42, 52)).open("cpu")
    train(CONFIG, [42, 52], cell, device=None, minutes=0, progress=lambda report: None)


# -- places that cannot be written ------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    """A disk of its own in memory, of 400 kB; `mount -o remount,ro` makes it read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_leaves_nothing_half_written_and_training_goes_on(disk, finished):
    trainer = Trainer(CONFIG, [42, 52], disk / "cell", "cpu")
    trainer._evaluate()
    while trainer.step < 10:
        trainer._train_step()
    ballast = disk / "ballast"  # somebody else fills the disk while we train
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - 8192))
    before = {path.name: path.read_bytes() for path in (disk / "cell").iterdir()}
    with pytest.raises(GrokkitError, match="cannot write .*checkpoint-0000010.*No space left .*; make room"):
        trainer._evaluate()
    trainer.folder.close()
    del before["owner.json"]
    assert {path.name: path.read_bytes() for path in (disk / "cell").iterdir()} == before
    with pytest.raises(GrokkitError, match="MB more for checkpoints, 0.0 MB are free: make room"):
        trained(disk / "cell")
    ballast.unlink()
    trained(disk / "cell")
    assert (disk / "cell" / "metrics.csv").read_bytes() == (finished / "metrics.csv").read_bytes()
    assert torch.equal(final_weights(disk / "cell"), final_weights(finished))


def test_planned_output_covers_what_is_written(disk):
    """A disk just too small is refused at the start; one that is large enough by the plan is never filled."""
    with pytest.raises(GrokkitError, match="needs about .* MB more for checkpoints"):
        train(CONFIG.replace(eval_every=1), [42, 52], disk / "many", "cpu", progress=False, keep=None)
    planned = []
    with pytest.MonkeyPatch.context() as patch:
        usage = shutil.disk_usage(disk)
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
        with pytest.raises(GrokkitError) as error:
            trained(disk / "cell")
        planned.append(float(str(error.value).split("about ")[1].split(" MB")[0]) * 1e6)
    shutil.rmtree(disk / "cell"), shutil.rmtree(disk / "many")
    trained(disk / "cell")
    used = sum(path.stat().st_size for path in (disk / "cell").iterdir())
    assert used < planned[0] < 3 * used  # one checkpoint more than stays, and rows generously


def test_a_read_only_place_is_said_and_its_results_are_read(disk, monkeypatch):
    monkeypatch.setenv("GROKKIT_RUNS", str(disk))
    folder = run_folder("smoke", "tense", 1, [42, 52])
    table = trained(folder)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert len(results("smoke")) == len(table)
    with pytest.raises(GrokkitError, match="cannot write to .*Read-only file system; set GROKKIT_RUNS"):
        trained(folder)
    with pytest.raises(GrokkitError, match="cannot write to .*Read-only file system; set GROKKIT_RUNS"):
        trained(disk / "other")
