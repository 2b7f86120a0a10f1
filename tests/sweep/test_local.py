"""Missing cells are trained, finished ones are not, and it does not matter in how many processes."""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.report.results import results
from grokkit.storage.files import cell_folder, run_folder
from grokkit.storage.lock import FolderLock
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


def test_two_processes_give_what_one_gives_and_go_on_after_a_job_that_failed(runs_root, monkeypatch):
    monkeypatch.setattr(sweep, "SMALL", 0)  # smoke is too small for processes otherwise
    broken = run_folder(cell_folder("smoke", "question", 1), 32)
    broken.mkdir(parents=True)
    (broken / "checkpoint-0000020.safetensors").write_bytes(b"cut")
    with pytest.raises(GrokkitError, match="question L1 seeds 32: .*checkpoint-0000020.* no other whole"):
        sweep.run("smoke", ["question"], [1], [32, 42, 52], workers=2, progress=False)
    assert plan("smoke", ["question"], [1], [42, 52]) == []
    for seed in (42, 52):
        alone = train(preset("smoke", "question", 1), [seed], progress=False)
        pd.testing.assert_frame_equal(results("smoke", seeds=seed)[alone.columns], alone, check_dtype=False)


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


@pytest.mark.parametrize("trained_there", [True, False])
def test_what_another_process_trains_is_waited_for(monkeypatch, capsys, trained_there):
    """Two sweeps over the same cells: whichever comes second ends well when all is there, and trains what is not."""
    cell, held = cell_folder("smoke", "question", 1), []
    held.append(FolderLock(run_folder(cell, 42)))
    held[0].acquire()
    waits = []

    def waited(seconds):
        waits.append(seconds)
        if len(waits) == 2:  # the other one ends
            held.pop().release()
            if trained_there:
                train(preset("smoke", "question", 1), [42], cell, progress=False)

    monkeypatch.setattr(sweep, "time", SimpleNamespace(sleep=waited, monotonic=time.monotonic))
    sweep.run("smoke", ["question"], [1], [42, 52], workers=1, progress=False)
    assert plan("smoke", ["question"], [1], [42, 52]) == [] and waits == [sweep.POLL] * 2
    assert "question L1 seeds 42: another process trains it" in capsys.readouterr().err


def test_nobody_is_waited_for_longer_than_there_is_time(monkeypatch):
    cell = cell_folder("smoke", "question", 1)
    held = FolderLock(run_folder(cell, 42))
    held.acquire()
    sweep.run("smoke", ["question"], [1], [42], workers=1, minutes=0.02, progress=False)
    held.release()
    assert [job.seeds for job in plan("smoke", ["question"], [1], [42])] == [(42,)]


def test_a_worker_a_card_and_each_card_once(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert sweep._cards() == ["3", "5"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert sweep._cards() == ["0", "1"]
    given = []
    monkeypatch.setattr(sweep, "pick_device", lambda name: torch.device("cuda", 0))
    monkeypatch.setattr(sweep, "SMALL", 0)
    monkeypatch.setattr(sweep, "_run_in_processes", lambda *some: given.append(some) or [])
    monkeypatch.setattr(sweep, "_run_here", lambda *some: given.append("one card") or [])
    for device, workers in ((None, None), (None, 9), (None, 1), ("cuda:1", None)):
        sweep.run("smoke", ["question"], [1, 2], [42, 52], device, workers, progress=False)
    jobs, count, _, _, cards, storage = given[0]
    assert [job.seeds for job in jobs] == [(42, 52)] * 2 and (count, cards, storage) == (2, ["0", "1"], None)
    assert given[1][1:] == given[0][1:] and given[2:] == ["one card"] * 2


def test_a_worker_sees_its_own_card_only():
    context = multiprocessing.get_context("spawn")
    cards = context.SimpleQueue()
    for card in ("3", "5"):
        cards.put(card)
    given = context.RawArray("q", 1), context.Event(), cards
    with ProcessPoolExecutor(2, context, sweep._start_worker, given) as pool:
        seen = list(pool.map(_seen, range(6)))
    assert {card for card, _ in seen} <= {"3", "5"} and len(set(seen)) == len({process for _, process in seen})


def _seen(number: int) -> tuple:
    time.sleep(0.2)
    return os.environ["CUDA_VISIBLE_DEVICES"], os.getpid()
