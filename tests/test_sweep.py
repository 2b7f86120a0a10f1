"""Missing cells are trained, finished ones are not, and it does not matter in how many processes."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pandas as pd
import pytest

from grokkit import sweep
from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.results import run_folder
from grokkit.training import train


@pytest.fixture(autouse=True)
def runs_root(tmp_path, monkeypatch):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    return tmp_path


def test_plan_has_one_job_a_cell_or_a_run():
    stacked = sweep.plan("smoke", ["question"], [1, 2], [42, 52])
    assert [(job.config.depth, job.seeds) for job in stacked] == [(2, (42, 52)), (1, (42, 52))]
    single = sweep.plan("smoke", ["question"], [1, 2], [42, 52], stacked=False)
    assert [(job.config.depth, job.seeds) for job in single] == [(2, (42,)), (2, (52,)), (1, (42,)), (1, (52,))]
    everything = sweep.plan("smoke")
    assert {job.config.task for job in everything} == {"question", "tense", "dyck"}


def test_two_processes_give_what_one_gives(runs_root, monkeypatch):
    monkeypatch.setattr(sweep, "SMALL", 0)  # smoke is too small for processes otherwise
    table = sweep.collect("smoke", ["question"], [1], [42, 52], progress=False)
    assert sweep.plan("smoke", ["question"], [1], [42, 52]) == []
    for seed in (42, 52):
        alone = train(preset("smoke", "question", 1), [seed], progress=False)
        ours = table[table.seed == seed].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours[alone.columns], alone, check_dtype=False)


def test_a_failing_job_is_named_and_the_others_finish(runs_root, monkeypatch):
    monkeypatch.setattr(sweep, "SMALL", 0)
    folder = run_folder("smoke", "question", 1, [52])
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{")
    with pytest.raises(GrokkitError, match="config.json"):
        sweep.run("smoke", ["question"], [1], [42, 52], progress=False)


def test_runs_of_an_older_preset_do_not_count(runs_root):
    folder = run_folder("smoke", "question", 1, [42])
    train(preset("smoke", "question", 1, width=32), [42], folder, progress=False)
    with pytest.raises(GrokkitError, match="width is 32 there, 16 here. Remove its folder"):
        sweep.collect("smoke", ["question"], [1], [42], progress=False)


def test_unknown_names_are_one_line():
    with pytest.raises(GrokkitError, match="unknown preset"):
        sweep.collect("huge")
    with pytest.raises(GrokkitError, match="unknown task"):
        sweep.run("smoke", ["poetry"], [1], [42])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_saves_and_goes_on(runs_root, number):
    script = textwrap.dedent(f"""
        from grokkit import preset, train
        config = preset("smoke", "question", 1, steps=3000, horizon=3000, eval_every=50)
        train(config, [42], r"{runs_root / 'cell'}", progress=False)
    """)
    child = subprocess.Popen([sys.executable, "-c", script], env=os.environ | {"OMP_NUM_THREADS": "1"},
                             stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if len(list((runs_root / "cell").glob("checkpoint-*"))) > 1:  # the first one is of step 0
            break
        time.sleep(0.1)
    child.send_signal(number)
    _, message = child.communicate(timeout=60)
    assert child.returncode != 0 and "the same call goes on from there" in message
    config = preset("smoke", "question", 1, steps=3000, horizon=3000, eval_every=50)
    from grokkit.training import Trainer

    resumed = Trainer(config, [42], runs_root / "cell", "cpu")
    assert 0 < resumed.step < 3000
