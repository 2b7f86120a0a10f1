"""Kind 3: a seed of a cell lives in one place, which says on which machines it was trained."""

import os
import re
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch
from mistaken.small import begin, folders_of, put, shown, steps_of, tiny

import grokkit as gk


@pytest.fixture
def another_machine():
    """Another number of threads, for as long as it is entered."""

    @contextmanager
    def entered():
        threads = torch.get_num_threads()
        torch.set_num_threads(threads + 1)
        try:
            yield threads + 1
        finally:
            torch.set_num_threads(threads)

    return entered


def test_the_record_names_all_environments(tmp_path, another_machine, monkeypatch, capsys):
    with another_machine() as threads:
        begin(gk.preset("smoke", "tense", 1), [42], tmp_path / "out")
    put(tmp_path / "out", "smoke", "tense", 1, 42)
    gk.sweep.run("smoke", ["tense"], [1], [42], progress=False)
    shown(capsys, "record", "--preset", "smoke")
    text = (Path(os.environ["GROKKIT_FIGURES"]) / "smoke/provenance.json").read_text()
    assert set(re.findall(r'"threads": (\d+)', text)) == {str(threads), str(threads - 1)}


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


@pytest.mark.parametrize("seeds", [[1], [2], [2, 1], [1, 2]])
def test_a_begun_stack_goes_on_however_its_seeds_are_asked_for(seeds, tmp_path):
    begin(tiny(), [1, 2], tmp_path)
    assert steps_of(tiny(), seeds, tmp_path)[0] == 2


def test_a_sweep_goes_on_with_one_run_of_a_begun_stack(tmp_path):
    begin(gk.preset("smoke", "tense", 1), [42, 52], tmp_path / "out")
    put(tmp_path / "out", "smoke", "tense", 1, 42, 52)
    gk.sweep.run("smoke", ["tense"], [1], [42], progress=False)
    assert len(folders_of(os.environ["GROKKIT_RUNS"], 42)) == 1
    assert set(gk.results("smoke", seeds=[42]).seed) == {42}
