"""Kind 11: own data are part of a run, which goes on with them and with no others, at every door."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mistaken.agreement import agreement, config_of, write
from mistaken.small import begin, described, one_line, refused, run_files, shown, steps_of, train

import grokkit as gk

ROOT = Path(__file__).resolve().parents[2]


def test_a_moved_file_is_no_other_data(path, tmp_path):
    begin(config_of(gk.task_from_files(path)), [1], tmp_path / "runs")
    moved = path.rename(tmp_path / "moved.tsv")
    assert steps_of(config_of(gk.task_from_files(moved, name="agree")), [1], tmp_path / "runs")[0] == 2


def test_a_run_does_not_go_on_where_its_file_changed(path, tmp_path):
    """Its config carries the digest of the file."""
    begin(config_of(gk.task_from_files(path)), [1], tmp_path / "runs")
    data = path.read_bytes()
    ids = [hashlib.sha256(data).hexdigest(), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()]
    assert any(digest[:12] in str(described(tmp_path / "runs")) for digest in ids)
    table = agreement()
    lines = table.index[table.split == "gen"]
    table.loc[lines[0], "target"] = table.loc[lines[-1], "target"]
    with pytest.raises(gk.GrokkitError, match=r"\bgen\b|agree\.tsv"):
        train(config_of(gk.task_from_files(write(path, table))), [1], tmp_path / "runs")


def test_a_file_that_changes_after_it_was_read_is_not_trained_unnoticed(path):
    config = config_of(gk.task_from_files(path))
    write(path, agreement().iloc[::-1])
    try:
        assert gk.load_corpus(config)["val"].sources == agreement()[agreement().split == "val"].source.tolist()
    except gk.GrokkitError as error:
        assert "agree" in one_line(error)


def test_another_process_rebuilds_the_task_or_refuses_it(path, tmp_path):
    """A worker, or the next day: the run says where its data lie and what they were."""
    out = tmp_path / "runs"
    begin(config_of(gk.task_from_files(path)), [1], out)
    script = (
        "import json, sys, grokkit as gk\nfrom pathlib import Path\nfrom grokkit.config import Config\n"
        "described = json.loads(next(Path(sys.argv[1]).rglob('run.json')).read_text())\n"
        "table = gk.train(Config(**described['config']), [1], out=sys.argv[1], progress=False)\n"
        "print(table.step.tolist())\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, str(out)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    rebuilt = answer.stdout.strip() == "[0, 2, 4]"
    assert rebuilt or re.search("GrokkitError: .*agree", answer.stderr), answer.stderr[-500:]


@pytest.fixture
def next_day(path):
    """Two runs were trained, one of which has only begun; the task is not registered any more."""
    gk.sweep.run("smoke", gk.task_from_files(path).name, 1, 42, progress=False)
    begin(gk.preset("smoke", "agree", 1), [52], Path(os.environ["GROKKIT_RUNS"]) / "smoke/agree/L1")
    del gk.TASKS["agree"]


def test_runs_on_own_data_are_known_by_their_folder(next_day, capsys):
    with pytest.warns(UserWarning, match="begun.*agree L1 seeds 52"):
        assert set(gk.results("smoke", "agree", 1).seed) == {42}
    said = shown(capsys, "status", "--preset", "smoke", "--tasks", "agree", "--depths", "1")
    assert said.splitlines()[-1].split() == ["agree", "1", "42", "-", "52", "to", "0", "-"]
    config = gk.load_stack("smoke", "agree", 1, 42).config
    assert gk.load_corpus(config)["val"].sources == agreement()[agreement().split == "val"].source.tolist()
    shown(capsys, "record", "--preset", "smoke", "--tasks", "agree", "--seeds", "42")
    assert set(gk.results("smoke", "agree", source="record").seed) == {42}


def test_what_only_the_data_can_tell_asks_for_them(next_day):
    for door in (lambda: gk.preset("smoke", "agree", 1), lambda: gk.sweep.run("smoke", "agree", progress=False),
                 lambda: gk.results("smoke", "agreement")):  # fmt: skip
        with pytest.raises(gk.GrokkitError, match="unknown task 'agree.*task_from_files.*--data"):
            door()


def test_runs_on_other_data_are_not_given_out(next_day, path):
    table = agreement()
    table.loc[0, "target"] = table.loc[1, "target"]
    gk.task_from_files(write(path, table))
    for door in (lambda: gk.results("smoke", "agree"), lambda: gk.load_stack("smoke", "agree", 1, 42)):
        with pytest.raises(gk.GrokkitError, match=r"the data in .*agree\.tsv are others"):
            door()


@pytest.mark.parametrize("folder", ["${HOME}", "a$b"])
def test_signs_in_a_path_that_was_resolved_mean_nothing(folder, own_tasks, tmp_path, monkeypatch):
    """Of a folder in which one stands; they are read where a path is typed, and there alone."""
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    monkeypatch.setenv("GROKKIT_RUNS", "runs")
    write(Path("agree.tsv"))
    gk.task_from_files("agree.tsv")
    begin(gk.preset("smoke", "agree", 1), [42], "runs/smoke/agree/L1")
    del gk.TASKS["agree"]
    gk.results("smoke", "agree", unfinished=True)
    assert steps_of(gk.Config(**described("runs")["config"]), [42], "runs/smoke/agree/L1")[0] == 2
    assert [found.parent.name for found in tmp_path.rglob("agree.tsv")] == [folder]
    assert run_files(tmp_path) == run_files(tmp_path / folder / "runs") != []


def test_the_command_line_takes_own_data(path, capsys):
    cell = ["--preset", "smoke", "--data", str(path)]
    shown(capsys, "train", *cell, "--depth", "1", "--seeds", "42")
    said = shown(capsys, "status", *cell, "--depths", "1", "--seeds", "42", "52")
    assert said.splitlines()[-1].split() == ["agree", "1", "42", "-", "-", "52"]
    shown(capsys, "sweep", *cell, "--depths", "1", "--seeds", "52")
    assert set(gk.results("smoke", "agree").seed) == {42, 52}
    assert gk.load_stack("smoke", "agree", 1, 42).config.task == "agree"
    shown(capsys, "record", *cell, "--seeds", "42")
    assert set(gk.results("smoke", "agree", source="record").seed) == {42}
    assert "notebooks" in refused(capsys, "reproduce", "fig2", "--data", str(path))
