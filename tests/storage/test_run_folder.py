"""Run folders: files are restored or refused by name; full disks, read-only places, other formats."""

import json
import os
import shutil
import subprocess
import warnings
from importlib import import_module

import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.storage import checkpoint, identity, provenance, stack_folders
from grokkit.storage.files import cell_folder, sha256, write_json
from grokkit.storage.identity import Run
from grokkit.storage.run_folder import RunFolder, read_description, read_table
from grokkit.training.pretrained import load_stack
from grokkit.training.trainer import Trainer, train

results = import_module("grokkit.report.results").results  # the package's own name `results` is the function
CONFIG = preset("smoke", "tense", 1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished cell; tests work on copies."""
    folder = tmp_path_factory.mktemp("finished") / "cell"
    trained(folder)
    return folder


@pytest.fixture
def cell(finished):
    """A copy of it in the place where `results` looks."""
    folder = cell_folder("smoke", "tense", 1)
    shutil.copytree(finished, folder)
    return folder


def trained(folder, config=CONFIG) -> pd.DataFrame:
    return train(config, [42, 52], folder, "cpu", progress=False)


def small_files(cell) -> dict[str, str]:
    """What the files to read say, but for the digest of the table before, which a restored file does not know."""
    tables = {str(path): path.read_text() for path in cell.glob("*/metrics.csv")}
    described = [read_description(path.parent) for path in sorted(cell.glob("*/run.json"))]
    return tables | {"described": [found | {"metrics_sha256": found["metrics_sha256"][0]} for found in described]}


def final_weights(cell):
    return [checkpoint.load(checkpoint.path_of(cell / f"seed-{seed}", 20))[0]["weights"] for seed in (42, 52)]


def test_the_table_is_one_that_pandas_reads_as_it_is(cell):
    table = pd.concat([pd.read_csv(cell / f"seed-{seed}/metrics.csv") for seed in (42, 52)], ignore_index=True)
    assert table.seed.value_counts().to_dict() == {42: 3, 52: 3}
    pd.testing.assert_frame_equal(table, results("smoke"), check_dtype=False, check_like=True)  # columns in any order


def test_run_json_says_what_was_trained_where(cell):
    found = read_description(cell / "seed-52")
    assert found["config"] == vars(CONFIG) and (found["seed"], found["format"]) == (52, 3)
    (environment,) = found["environments"]
    assert environment["steps"] == 20 and environment["seconds"] > 0 and environment["torch"] == torch.__version__
    assert found["metrics_sha256"][0] == sha256((cell / "seed-52/metrics.csv").read_bytes())
    train(CONFIG, [42, 52], cell, device=None, minutes=0, progress=lambda report: None)  # they are no part of a run


def test_each_environment_has_its_own_steps_and_seconds(tmp_path, monkeypatch):
    here = provenance.describe("cpu")
    for commit, minutes in (("one", 0), ("one", None), ("two", None)):
        monkeypatch.setattr(stack_folders, "describe", lambda device, commit=commit: here | {"commit": commit})
        if commit == "two":
            checkpoint.path_of(tmp_path / "seed-42", 20).unlink()
        train(CONFIG, [42], tmp_path, "cpu", progress=False, minutes=minutes)
    found = read_description(tmp_path / "seed-42")["environments"]
    assert [(e["commit"], e["steps"]) for e in found] == [("one", 10), ("two", 10)]
    total = checkpoint.load(checkpoint.path_of(tmp_path / "seed-42", 20))[0]["seconds"].item()
    assert sum(e["seconds"] for e in found) == pytest.approx(total, abs=0.002)


def test_every_small_file_is_written_anew_when_it_was_removed(cell):
    before = small_files(cell)
    for path in [*cell.glob("*/metrics.csv"), *cell.glob("*/run.json")]:
        path.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is damaged: there is nothing to say
        trained(cell)
    assert small_files(cell) == before
    assert read_table(cell / "seed-42")[1] == (cell / "seed-42/metrics.csv").read_text()


def test_a_changed_digit_is_no_result(cell):
    path = cell / "seed-52/metrics.csv"
    text = path.read_text()
    at = next(i for i in range(len(text) // 2, len(text)) if text[i].isdigit() and text[i - 1] == ".")
    path.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
    with pytest.raises(GrokkitError, match="seed-52/metrics.csv is damaged .* move it away and train this cell again"):
        results("smoke")
    with pytest.warns(UserWarning, match="seed-52/metrics.csv is damaged .* written anew from the checkpoint"):
        trained(cell)
    assert path.read_text() == text


def test_a_finished_run_can_be_read_without_its_checkpoints(cell):
    table = results("smoke")
    for path in cell.glob("seed-42/checkpoint-*"):
        path.unlink()
    pd.testing.assert_frame_equal(results("smoke"), table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_train_step", None)  # would raise if called
        pd.testing.assert_frame_equal(trained(cell)[table.columns], table, check_dtype=False)


def test_rows_without_digest_and_checkpoint_are_not_trusted(cell):
    for path in (*cell.glob("*/checkpoint-*"), *cell.glob("*/run.json")):
        path.unlink()
    with pytest.raises(GrokkitError, match="run.json is missing, and there is no checkpoint to check"):
        trained(cell)
    with pytest.raises(GrokkitError, match="no finished run"):
        results("smoke")


def test_rows_without_a_state_to_go_on_from_are_not_written_over(cell):
    for path in cell.glob("seed-42/checkpoint-*"):
        path.unlink()
    path = cell / "seed-42/metrics.csv"
    text = "".join(path.read_text().splitlines(keepends=True)[:3])
    path.write_text(text)
    found = read_description(path.parent) | {"metrics_sha256": [sha256(text)]}
    write_json(path.with_name("run.json"), found | {"sha256": sha256(json.dumps(found, sort_keys=True))})
    with pytest.raises(GrokkitError, match="results up to step 10 but no checkpoint .* move the folder away"):
        trained(cell)
    assert path.read_text() == text


def test_a_lost_newest_checkpoint_costs_one_interval_and_no_row(cell):
    """Of one run of the stack: both go back, since they were trained together, and nothing changes by a bit."""
    before, weights = small_files(cell), final_weights(cell)
    checkpoint.path_of(cell / "seed-52", 20).write_bytes(b"cut")
    with pytest.warns(UserWarning, match="seed-52/checkpoint-0000020.* damaged .* the one before it is used"):
        trainer = Trainer(CONFIG, [42, 52], cell, "cpu")
    assert trainer.step == 10
    assert {name: text for name, text in small_files(cell).items() if name != "described"}.items() <= before.items()
    table = trainer.run(False, None)
    assert all(map(torch.equal, final_weights(cell), weights))
    pd.testing.assert_frame_equal(table[results("smoke").columns], results("smoke"), check_dtype=False)
    assert all((cell / name).read_text() == before[str(cell / name)] for name in ("seed-42/metrics.csv",))


def test_a_damaged_checkpoint_does_not_push_a_good_one_out(cell):
    checkpoint.path_of(cell / "seed-42", 20).write_bytes(b"cut")
    with pytest.warns(UserWarning):
        trainer = Trainer(CONFIG, [42, 52], cell, "cpu")
    trainer._train_step()
    trainer._save()
    trainer.folders.close()
    assert checkpoint.saved_steps(cell / "seed-42") == [10, 11, 20]


# -- formats ----------------------------------------------------------------------------------------------


def test_a_format_of_the_future_is_refused_by_name(cell):
    path = cell / "seed-42/run.json"
    found = read_description(path.parent) | {"format": 4}
    write_json(path, found | {"sha256": sha256(json.dumps(found, sort_keys=True))})
    before = path.read_bytes()
    with pytest.raises(GrokkitError, match="run folder format 4, this version reads 3"):
        trained(cell)
    assert path.read_bytes() == before


def test_weights_of_a_version_with_another_config_are_refused_by_name(cell):
    tensors, _ = checkpoint.load(checkpoint.path_of(cell / "seed-42", 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "asdict", lambda config: vars(config) | {"gelu": True})
        splits = read_description(cell / "seed-42")["splits"]
        texts = {"table": "", "environments": "[]", "stack": "[]"}
        checkpoint.save(cell / "seed-42", 20, tensors, Run(CONFIG, 42, splits), texts)
    with pytest.raises(GrokkitError, match="another version of grokkit, whose Config differs in gelu"):
        load_stack("smoke", "tense", 1, 42)
    with pytest.raises(GrokkitError, match="another config: gelu is True there, None here"):
        trained(cell)


# -- places that cannot be written ------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    """A disk of its own in memory, of 480 kB; `mount -o remount,ro` makes it read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=480k", "tmpfs", str(folder)]
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
    before = {path: path.read_bytes() for path in (disk / "cell").glob("*/[cmr]*")}
    with pytest.raises(GrokkitError, match="cannot write .*checkpoint-0000010.*No space left .*; make room"):
        trainer._evaluate()
    trainer.folders.close()
    assert {path: path.read_bytes() for path in (disk / "cell").glob("*/[cmr]*")} == before
    assert not list((disk / "cell").glob("*/.*.tmp"))
    with pytest.raises(GrokkitError, match="MB more for checkpoints, 0.0 MB are free: make room"):
        trained(disk / "cell")
    ballast.unlink()
    trained(disk / "cell")
    for name in ("seed-42/metrics.csv", "seed-52/metrics.csv"):
        assert (disk / "cell" / name).read_bytes() == (finished / name).read_bytes()
    assert all(map(torch.equal, final_weights(disk / "cell"), final_weights(finished)))


def test_planned_output_covers_what_is_written(disk):
    """A disk just too small is refused at the start; one that is large enough by the plan is never filled."""
    with pytest.raises(GrokkitError, match="needs about .* MB more for checkpoints"):
        train(CONFIG.replace(eval_every=1), [42, 52], disk / "many", "cpu", progress=False, keep=None)
    with pytest.MonkeyPatch.context() as patch:
        usage = shutil.disk_usage(disk)
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
        with pytest.raises(GrokkitError) as error:
            trained(disk / "cell")
    planned = float(str(error.value).split("about ")[1].split(" MB")[0]) * 1e6
    shutil.rmtree(disk / "cell"), shutil.rmtree(disk / "many")
    trained(disk / "cell")
    used = sum(path.stat().st_size for path in (disk / "cell").rglob("*.*"))
    assert used < planned < 3 * used  # one checkpoint more than stays, and rows generously


def test_a_read_only_place_is_said_and_its_results_are_read(disk, monkeypatch):
    monkeypatch.setenv("GROKKIT_RUNS", str(disk))
    folder = cell_folder("smoke", "tense", 1)
    table = trained(folder)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert len(results("smoke")) == len(table)
    for place in (folder, disk / "other"):
        with pytest.raises(GrokkitError, match="cannot write to .*Read-only file system; set GROKKIT_RUNS"):
            trained(place)


# -- what vouches for the table ---------------------------------------------------------------------------


@settings(max_examples=12)
@given(first=st.text(st.characters(codec="utf-8")), second=st.text(st.characters(codec="utf-8")), data=st.data())
def test_what_was_written_is_read_and_another_text_is_not(first, second, data, tmp_path_factory):
    """The table before the new one is accepted too: a reader may come between run.json and metrics.csv."""
    folder = RunFolder(tmp_path_factory.mktemp("run"), Run(CONFIG, 42, {}))
    for text in (first, second):
        folder._write([], text)
        assert read_table(folder.path)[1].encode() == text.encode()
    (folder.path / "metrics.csv").write_bytes(first.encode())
    assert read_table(folder.path)[1].encode() == first.encode()
    other = data.draw(st.text(st.characters(codec="utf-8")))
    assume(other not in (first, second))
    (folder.path / "metrics.csv").write_bytes(other.encode())
    with pytest.raises(GrokkitError, match="metrics.csv is damaged"):
        read_table(folder.path)


def test_the_peak_of_memory_is_that_of_the_runs_own_device(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device=None: asked.append(device) or 3e9)
    folder = RunFolder(tmp_path, Run(CONFIG, 42, {}))
    folder.restore(None, {"torch": "2"}, "cuda:1")
    assert folder._environments(1, 1.0)[0]["peak_memory_gb"] == 3 and asked == [torch.device("cuda", 1)]
