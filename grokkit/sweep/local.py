"""Cells that are missing are trained: one stack a cell on a GPU, one process a core and run on a CPU."""

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from grokkit.config import DEPTHS, SEEDS, Config, preset
from grokkit.errors import GrokkitError
from grokkit.report.results import Depths, depths_of, missing, results, run_folder, run_folders
from grokkit.signals import Stopped, deferred_signals
from grokkit.storage.checkpoint import refuse_other_config, saved_steps
from grokkit.storage.digests import described
from grokkit.storage.provenance import usable_cores
from grokkit.training.devices import free_bytes, runs_that_fit, stack_bytes
from grokkit.training.progress import Progress, new_bar
from grokkit.training.trainer import deadline_in, load_corpus, pick_device, train

SMALL = 2_000
"""Layer-steps up to which processes are not worth their start, which takes seconds: the whole smoke preset."""


@dataclass(frozen=True)
class Job:
    """One stack to train."""

    config: Config
    seeds: tuple[int, ...]

    @property
    def out(self) -> Path:
        """Its folder."""
        return run_folder(self.config.preset, self.config.task, self.config.depth, self.seeds)

    @property
    def work(self) -> int:
        """Steps times layers times runs: what the time of a job grows with, within a preset."""
        return self.config.steps * self.config.depth * len(self.seeds)

    def __str__(self) -> str:
        return f"{self.config.task} L{self.config.depth} seeds {' '.join(map(str, self.seeds))}"


def plan(
    preset_name: str,
    tasks: Sequence[str] | None = None,
    depths: Depths = None,
    seeds: Sequence[int] | None = None,
    stacked: bool = True,
) -> list[Job]:
    """The jobs that are missing for these cells, the longest first.

    stacked: one job a cell with all its missing seeds (GPU), or one job a seed (CPU, where a stack gains
    nothing and single runs share the cores evenly).
    """
    tasks, depths, seeds = _defaults(preset_name, tasks, depths, seeds)
    cells: dict[tuple[str, int], list[int]] = {}
    for task, depth, seed in missing(preset_name, tasks, depths, seeds):
        cells.setdefault((task, depth), []).append(seed)
    for task in tasks:
        for depth in depths_of(depths, task):
            _refuse_stale_runs(preset(preset_name, task, depth))
    jobs = []
    for (task, depth), lacking in cells.items():
        config, wanted = preset(preset_name, task, depth), [seed for seed in seeds if seed in lacking]
        begun = _begun(config, wanted)
        rest = [seed for seed in wanted if not any(seed in group for group in begun)]
        for group in begun + ([rest] if stacked and rest else [[seed] for seed in rest]):
            jobs.append(Job(config, tuple(group)))
    return sorted(jobs, key=lambda job: -job.work)


def _begun(config: Config, wanted: Sequence[int]) -> list[tuple[int, ...]]:
    """The stacks of this cell that can go on from a checkpoint, as long as all their runs are wanted."""
    groups: list[tuple[int, ...]] = []
    left = set(wanted)
    for task, depth, seeds, path in run_folders(config.preset):
        if (task, depth) == (config.task, config.depth) and set(seeds) <= left and saved_steps(path):
            groups.append(seeds)
            left -= set(seeds)
    return groups


def _parts(job: Job, device: torch.device) -> list[Job]:
    """The job, or where its stack does not fit on the card, several of fewer runs; says so."""
    if device.type != "cuda" or saved_steps(job.out):
        return [job]
    lengths = [line.count(" ") + 2 for line in load_corpus(job.config)["train"].lines]
    free, count = free_bytes(device), len(job.seeds)
    size = runs_that_fit(job.config, count, lengths, free)
    if size == count:
        return [job]
    print(
        f"{job}: {count} runs need about {stack_bytes(job.config, count, lengths) / 1e9:.1f} GB, {free / 1e9:.1f} GB"
        f" are free on the card: trained {size} at a time",
        flush=True,
    )
    return [Job(job.config, job.seeds[start : start + size]) for start in range(0, count, size)]


def _refuse_stale_runs(config: Config) -> None:
    """Raises GrokkitError where a folder of this cell was trained with other values than the preset has now."""
    cell = run_folder(config.preset, config.task, config.depth, [0]).parent
    for path in sorted(cell.glob("seeds-*/config.json")):
        found = described(path.parent)
        del found["seeds"], found["format"]
        refuse_other_config(path, found, config)


def run(
    preset_name: str,
    tasks: Sequence[str] | None = None,
    depths: Depths = None,
    seeds: Sequence[int] | None = None,
    device: str | None = None,
    workers: int | None = None,
    minutes: float | None = None,
    progress: bool = True,
) -> None:
    """Trains what is missing of these cells.

    workers: processes on a CPU, one a core by default. minutes: stop cleanly after so long; a later call goes
    on. Raises GrokkitError that names every job that could not be finished, and `Stopped` (a
    KeyboardInterrupt) on Ctrl-C or SIGTERM, after the running jobs have saved.
    """
    deadline = deadline_in(minutes)
    if workers is not None and workers < 1:
        raise GrokkitError(f"workers = {workers}: it must be a whole number of 1 or more")
    chosen = pick_device(device)
    on_cpu = chosen.type == "cpu"
    jobs = plan(preset_name, tasks, depths, seeds, stacked=not on_cpu)
    workers = min(len(jobs), workers or usable_cores()) if on_cpu else 1
    if workers > 1 and sum(job.work for job in jobs) > SMALL:
        return _run_in_processes(jobs, workers, deadline, progress)
    failures: list[tuple[Job, BaseException]] = []
    # parted one after the other: what is free on the card shows when the job before is done
    for job in (part for job in jobs for part in _parts(job, chosen)):
        if deadline is not None and time.monotonic() >= deadline:
            break
        try:
            train(job.config, job.seeds, job.out, device, progress, _minutes_left(deadline))
        except GrokkitError as error:
            failures.append((job, error))
    _raise_failures(failures)


def collect(
    preset_name: str,
    tasks: Sequence[str] | None = None,
    depths: Depths = None,
    seeds: Sequence[int] | None = None,
    source: str = "runs",
    progress: bool = True,
) -> pd.DataFrame:
    """The tidy table of these cells: finished runs are read, missing ones are trained first.

    source: "runs" does so; "record" reads the committed record and trains nothing. None stands for all that the
    preset trains, of the record for all that it holds (it may have more seeds than the preset trains unasked).
    """
    if source == "runs":
        tasks, depths, seeds = _defaults(preset_name, tasks, depths, seeds)
        run(preset_name, tasks, depths, seeds, progress=progress)
    return results(preset_name, tasks, depths, seeds, source)


def _defaults(preset_name: str, tasks, depths: Depths, seeds) -> tuple[list[str], Depths, list[int]]:
    if preset_name not in DEPTHS:
        raise GrokkitError(f"unknown preset {preset_name!r}: choose one of {', '.join(DEPTHS)}")
    by_task = DEPTHS[preset_name]
    return (
        list(by_task if tasks is None else tasks),
        by_task if depths is None else depths,
        list(SEEDS[preset_name] if seeds is None else seeds),
    )


def _minutes_left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic()) / 60


class _Reporter:
    """Sends a job's progress to the parent, about twice a second."""

    def __init__(self, number: int):
        self.number = number
        self.sent = 0.0

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self.sent > 0.5 or progress.step == progress.config.steps:
            self.sent = time.monotonic()
            _messages.put((self.number, progress))


def _start_worker(messages, stop) -> None:
    """In each worker: one thread, Ctrl-C is left to the parent, which passes it on as SIGTERM, and no worker
    outlives its parent."""
    global _messages, _stop
    _messages, _stop = messages, stop
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_stop_with_parent, daemon=True).start()


def _stop_with_parent() -> None:
    multiprocessing.parent_process().join()  # returns when it has ended, however it did
    os.kill(os.getpid(), signal.SIGTERM)  # a training saves first


def _work(number: int, job: Job, deadline: float | None) -> None:
    """Trains one job in a worker. Stopped by a signal, it has saved; the parent knows why."""
    if _stop.is_set():
        return
    try:
        train(job.config, job.seeds, job.out, "cpu", _Reporter(number), _minutes_left(deadline))
    except Stopped:
        if not multiprocessing.parent_process().is_alive():
            os._exit(1)  # nobody takes the result, and no further job is to begin


def _run_in_processes(jobs: list[Job], workers: int, deadline: float | None, progress: bool) -> None:
    context = multiprocessing.get_context("spawn")
    messages, stopping = context.Queue(), context.Event()
    bar = new_bar(
        total=sum(job.work for job in jobs),
        unit="layer-step",
        unit_scale=True,
        disable=not progress,
        desc=f"{len(jobs)} runs",
        smoothing=0.02,
    )
    reached = [0] * len(jobs)
    failures: list[tuple[Job, BaseException]] = []
    with (
        deferred_signals() as stop,
        ProcessPoolExecutor(workers, context, _start_worker, (messages, stopping)) as pool,
    ):
        futures: dict[Future, int] = {
            pool.submit(_work, number, job, deadline): number for number, job in enumerate(jobs)
        }
        waiting = set(futures)
        try:
            while waiting and not stop:
                finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                _show(messages, jobs, reached, bar)
                for future in finished:
                    if future.exception() is not None:
                        failures.append((jobs[futures[future]], future.exception()))
        finally:
            if waiting:  # stopped, by a signal or an error: one job more may lie in the workers' queue
                stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                for child in multiprocessing.active_children():
                    child.terminate()
            bar.close()
    if stop:
        raise Stopped("stopped; finished evaluations are saved, the same call goes on", stop.signal)
    _raise_failures(failures)


def _raise_failures(failures: list[tuple[Job, BaseException]]) -> None:
    if failures:
        raise GrokkitError("; ".join(f"{job}: {_reason(error)}" for job, error in failures))


def _reason(error: BaseException) -> str:
    if isinstance(error, BrokenProcessPool):
        return "its process was killed (out of memory?); the same call goes on from the last checkpoint"
    return str(error)


def _show(messages, jobs: list[Job], reached: list[int], bar) -> None:
    """Takes the reports that have come and moves the bar."""
    latest = None
    while True:
        try:
            number, latest = messages.get_nowait()
        except queue.Empty:
            break
        reached[number] = latest.step * latest.config.depth * len(jobs[number].seeds)
    bar.update(sum(reached) - bar.n)
    if latest is not None:
        bar.set_postfix_str(
            f"{latest.config.task} L{latest.config.depth} step {latest.step}/{latest.config.steps}"
            f" val {latest.mean('val_accuracy'):.2f} gen {latest.mean('gen_accuracy'):.2f}"
        )
