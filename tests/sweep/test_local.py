"""Missing cells are trained, finished ones are not, and it does not matter in how many processes."""

import pandas as pd
import pytest

from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.storage.files import cell_folder, run_folder
from grokkit.sweep import local as sweep
from grokkit.sweep import plan
from grokkit.training.trainer import train


@pytest.fixture(autouse=True)
def runs_root(tmp_path, monkeypatch):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    return tmp_path


def test_plan_has_one_job_a_cell_or_a_run():
    stacked = plan("smoke", ["question"], [1, 2], [42, 52])
    assert [(job.config.depth, job.seeds) for job in stacked] == [(2, (42, 52)), (1, (42, 52))]
    single = plan("smoke", ["question"], [1, 2], [42, 52], stacked=False)
    assert [(job.config.depth, job.seeds) for job in single] == [(2, (42,)), (2, (52,)), (1, (42,)), (1, (52,))]
    everything = plan("smoke")
    assert {job.config.task for job in everything} == {"question", "tense", "dyck"}


def test_two_processes_give_what_one_gives(runs_root, monkeypatch):
    monkeypatch.setattr(sweep, "SMALL", 0)  # smoke is too small for processes otherwise
    table = sweep.collect("smoke", ["question"], [1], [42, 52], progress=False)
    assert plan("smoke", ["question"], [1], [42, 52]) == []
    for seed in (42, 52):
        alone = train(preset("smoke", "question", 1), [seed], progress=False)
        ours = table[table.seed == seed].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours[alone.columns], alone, check_dtype=False)


def test_a_failing_job_is_named_and_the_others_finish(runs_root, monkeypatch):
    monkeypatch.setattr(sweep, "SMALL", 0)
    folder = run_folder(cell_folder("smoke", "question", 1), 52)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{")
    with pytest.raises(GrokkitError, match="run.json is damaged"):
        sweep.run("smoke", ["question"], [1], [42, 52], progress=False)


def test_runs_of_an_older_preset_do_not_count(runs_root):
    folder = run_folder(cell_folder("smoke", "question", 1), 42)
    train(preset("smoke", "question", 1, width=32), [42], folder.parent, progress=False)
    with pytest.raises(GrokkitError, match="width is 32 there, 16 here: keep them"):
        sweep.collect("smoke", ["question"], [1], [42], progress=False)


def test_unknown_names_are_one_line():
    with pytest.raises(GrokkitError, match="unknown preset"):
        sweep.collect("huge")
    with pytest.raises(GrokkitError, match="unknown task"):
        sweep.run("smoke", ["poetry"], [1], [42])


def test_one_process_too_goes_on_after_a_job_that_failed(runs_root):
    folder = run_folder(cell_folder("smoke", "question", 1), 42)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    with pytest.raises(GrokkitError, match="run.json is damaged"):  # already by the plan
        sweep.run("smoke", ["question"], [1], [42, 52], workers=1, progress=False)
    (folder / "run.json").unlink()
    (folder / "checkpoint-0000020.safetensors").write_bytes(b"cut")
    with pytest.raises(GrokkitError, match="question L1 seeds 42: .*checkpoint-0000020.* no other whole"):
        sweep.run("smoke", ["question"], [1], [42, 52], workers=1, progress=False)
    assert plan("smoke", ["question"], [1], [42, 52])[0].seeds == (42,)  # 52 has been trained


@pytest.mark.parametrize("minutes, workers", [(-1, None), (float("nan"), None), (None, 0)])
def test_senseless_numbers_are_refused(minutes, workers):
    with pytest.raises(GrokkitError, match="it must be a"):
        sweep.run("smoke", ["question"], [1], [42], minutes=minutes, workers=workers)
