"""Kind 3: a run is its config and its data: whatever opens, joins or judges runs compares both. It lives in one place,
which says on which machines it was trained."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from mistaken.small import begin, folders_of, put, refused, run_files, shown, steps_of, tiny, train
from shared import shared_path

import grokkit as gk


def train_another(folder, seed=42) -> Path:
    """A run of smoke in all but its learning rate."""
    train(gk.preset("smoke", "tense", 1, learning_rate=0.5), [seed], folder)
    return folder


def test_a_run_of_another_config_is_not_given_out_as_the_presets(tmp_path, capsys):
    put(train_another(tmp_path), "smoke", "tense", 1)
    for door in (
        lambda: gk.results("smoke"),
        lambda: gk.results("smoke", ["tense"], [1], [42]),
        lambda: gk.load_stack("smoke", "tense", 1, 42),
        lambda: gk.sweep.run("smoke", ["tense"], [1], [42], progress=False),
        lambda: gk.sweep.collect("smoke", ["tense"], [1], [42], progress=False),
    ):
        with pytest.raises(gk.GrokkitError, match="learning_rate"):
            door()
    assert "learning_rate" in refused(capsys, "record", "--preset", "smoke")


def test_files_of_another_run_are_none_of_this_one(tmp_path, finished):
    """Only the weights were exchanged; only the table was."""
    (place,) = folders_of(finished, 52)
    (other,) = run_files(train_another(tmp_path, 52))
    for path in other.glob("checkpoint-*"):
        shutil.copy(path, place)
    with pytest.raises(gk.GrokkitError, match="learning_rate"):
        gk.load_stack("smoke", "tense", 1, 52)
    shutil.copy(other / "metrics.csv", place)
    with pytest.raises(gk.GrokkitError, match="metrics.csv"):
        gk.results("smoke", seeds=[52])


def test_rows_and_files_carry_the_identity(tmp_path):
    """It is of the config, not of the seed: a cell of two configs is refused by it (test_tables.py)."""
    table = train(tiny(), [1, 2], tmp_path)
    (found,) = set(table.identity)
    assert re.fullmatch("[0-9a-f]{16}", found)
    assert {json.loads((folder / "run.json").read_text())["identity"] for folder in run_files(tmp_path)} == {found}
    assert set(train(tiny(learning_rate=0.5), [1], minutes=0).identity) != {found}
    assert set(train(tiny(data_seed=7), [1], minutes=0).identity) != {found}


# -- data -----------------------------------------------------------------------------------------------------


class Lines:
    """A task whose data lie in a place that changes, as files do."""

    def __init__(self, monkeypatch):
        self.task, self.seed = gk.TASKS["tense"], {"train": 0, "val": 0, "gen": 0}
        monkeypatch.setitem(gk.TASKS, "tense", replace(self.task, generate=self.generate))

    def generate(self, seed=0, sizes=None):
        drawn = {name: self.task.generate(number, sizes) for name, number in self.seed.items()}
        return replace(drawn["train"], splits={name: corpus[name] for name, corpus in drawn.items()})


@pytest.fixture
def lines(monkeypatch):
    return Lines(monkeypatch)


@pytest.mark.parametrize("split, train_first", [("train", begin), ("val", begin), ("gen", train)])
def test_a_run_does_not_go_on_with_other_data_nor_is_it_given_out_for_them(split, train_first, lines, tmp_path):
    train_first(tiny(), [1], tmp_path)
    (folder,) = run_files(tmp_path)
    before = (folder / "metrics.csv").read_bytes()
    lines.seed[split] = 1
    with pytest.raises(gk.GrokkitError, match=rf"(split|data).*\b{split}\b|\b{split}\b.*(split|data)"):
        train(tiny(), [1], tmp_path)
    assert (folder / "metrics.csv").read_bytes() == before
    lines.seed[split] = 0  # the same data from elsewhere
    gk.TASKS["tense"] = replace(gk.TASKS["tense"], generate=lambda *given: lines.generate(*given))
    assert steps_of(tiny(), [1], tmp_path)[:1] == ([2] if train_first is begin else [])


def test_a_corpus_is_not_remembered_by_the_function_that_made_it(lines):
    before, losses = gk.load_corpus(tiny())["train"].lines, train(tiny(), [1]).train_loss.tolist()
    lines.seed["train"] = 1
    after = gk.load_corpus(tiny())["train"].lines
    assert after != before and after == lines.generate(0, {"train": 40, "val": 20, "gen": 20})["train"].lines
    assert train(tiny(), [1]).train_loss.tolist() != losses


def test_released_files_that_appear_on_the_way_leave_no_holes(tmp_path, monkeypatch):
    """They are measured beside, from the start or not at all: going on with them is refused, or does without."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    begin(tiny(), [1], tmp_path / "out")
    (tmp_path / "cache/grokkit").mkdir(parents=True)
    for name in ("tense.dev", "tense.gen"):
        shutil.copy(shared_path(f"reference/splits/{name}"), tmp_path / "cache/grokkit")
    try:
        table = train(tiny(), [1], tmp_path / "out")
    except gk.GrokkitError as error:
        assert re.search("official|released", str(error))
    else:
        official = [name for name in table if "official" in name]
        assert not table[official].isna().any(axis=None)


# -- one place ------------------------------------------------------------------------------------------------


def test_the_record_names_all_environments(tmp_path, capsys):
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)  # another machine
    try:
        begin(gk.preset("smoke", "tense", 1), [42], tmp_path / "out")
    finally:
        torch.set_num_threads(threads)
    put(tmp_path / "out", "smoke", "tense", 1)
    gk.sweep.run("smoke", ["tense"], [1], [42], progress=False)
    shown(capsys, "record", "--preset", "smoke")
    text = (Path(os.environ["GROKKIT_FIGURES"]) / "smoke/provenance.json").read_text()
    assert set(re.findall(r'"threads": (\d+)', text)) == {str(threads), str(threads + 1)}


def test_a_seed_lives_in_one_folder_whatever_it_was_trained_beside(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    cell = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--seeds"]
    shown(capsys, *cell, "42")
    before = gk.results("smoke")
    shown(capsys, *cell, "42", "52")
    assert [len(folders_of(tmp_path, seed)) for seed in (42, 52)] == [1, 1]
    assert (tmp_path / "smoke/tense/L1/seed-42/metrics.csv").exists()
    both = gk.results("smoke")
    assert set(both.seed) == {42, 52}
    pd.testing.assert_frame_equal(both[both.seed == 42].reset_index(drop=True), before)


def test_a_sweep_goes_on_with_one_run_of_a_begun_stack(tmp_path):
    begin(gk.preset("smoke", "tense", 1), [42, 52], tmp_path / "out")
    put(tmp_path / "out", "smoke", "tense", 1)
    gk.sweep.run("smoke", ["tense"], [1], [42], progress=False)
    assert len(folders_of(os.environ["GROKKIT_RUNS"], 42)) == 1
    assert set(gk.results("smoke", seeds=[42]).seed) == {42}
