"""Missing runs are trained on this machine: a stack a cell, one process a GPU; on a CPU one process a core and run."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import MutableSequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing.synchronize import Event

import pandas as pd
import torch

from grokkit.errors import GrokkitError
from grokkit.presets import select
from grokkit.printing import say
from grokkit.report.results import Depths, missing, results
from grokkit.signals import Stopped, deferred_signals
from grokkit.storage.files import run_folder
from grokkit.storage.lock import Busy, is_busy
from grokkit.storage.provenance import usable_cores
from grokkit.sweep.jobs import Job, plan, whole_plan
from grokkit.sweep.shared import Shared, train_job
from grokkit.training.cost import announce
from grokkit.training.devices import pick_device
from grokkit.training.progress import Progress, ProgressBar, deadline_in, new_bar
from grokkit.values import count, flag

SMALL = 2_000
"""Layer-steps up to which processes are not worth their start, which takes seconds: the whole smoke preset."""


def run(
    preset_name: str, tasks=None, depths: Depths = None, seeds=None, device: str | None = None,
    workers: int | None = None, minutes: float | None = None, progress: bool = True, until: int | None = None,
    shard: str | None = None, storage: str | None = None,
) -> None:  # fmt: skip
    """Trains what is missing of these cells.

    workers: processes, on a CPU one a core by default, else one a GPU. minutes: stop cleanly after so long; a later
    call goes on. until: as in `gk.train`. shard: "k/n", only this part of the cells' runs, as in `plan`. storage: a
    folder or URL where machines share runs (see `sweep.shared`): they go on from the newest saves there. What another
    process trains is waited for. Raises GrokkitError that names every job that could not be finished, and `Stopped` (a
    KeyboardInterrupt) on Ctrl-C or SIGTERM, after the running jobs have saved.
    """
    deadline = deadline_in(minutes)
    workers, progress = count("workers", workers), flag("progress", progress)
    chosen = pick_device(device)
    on_cpu = chosen.type == "cpu"
    cards = _cards() if chosen.type == "cuda" and device in (None, "cuda") else [""]
    asked = preset_name, tasks, depths, seeds, not on_cpu, until, shard
    jobs = plan(*asked)
    if storage is not None:
        Shared(storage).bring(whole_plan(*asked[:4]))
        jobs = plan(*asked)
    workers = min(len(jobs), workers or usable_cores() if on_cpu else min(len(cards), workers or len(cards)))
    together = workers > 1 and sum(job.work for job in jobs) > SMALL
    if progress:
        announce([(job.config, job.seeds, job.out) for job in jobs], chosen, workers if together else 1, until)
    failures: list[tuple[Job, BaseException]] = []
    while jobs:
        if together:
            found = _run_in_processes(jobs, workers, deadline, progress, None if on_cpu else cards, storage)
        else:
            found = _run_here(jobs, device, deadline, progress, storage)
        others = [job for job, error in found if isinstance(error, Busy)]
        failures += [(job, error) for job, error in found if not isinstance(error, Busy)]
        jobs = _waited_for(others, deadline)
    if failures:
        raise GrokkitError("; ".join(f"{job}: {_reason(error)}" for job, error in failures))


def _run_here(
    jobs: list[Job], device, deadline: float | None, progress: bool, storage: str | None
) -> list[tuple[Job, BaseException]]:
    """Trains them one after the other; what could not be finished, and why."""
    failures: list[tuple[Job, BaseException]] = []
    report = ProgressBar() if progress else False
    for job in jobs:
        if deadline is not None and time.monotonic() >= deadline:
            break
        try:
            train_job(job, device, report, _minutes_left(deadline), storage)
        except GrokkitError as error:
            failures.append((job, error))
    return failures


def _waited_for(jobs: list[Job], deadline: float | None) -> list[Job]:
    """What is left of jobs that another process trains, once it has ended or been stopped there."""
    for job in jobs:
        say(f"{job}: another process trains it, and is waited for", error=True)
        while any(is_busy(run_folder(job.out, seed)) for seed in job.seeds):
            if deadline is not None and time.monotonic() >= deadline:
                return []
            time.sleep(POLL)
    left = []
    for job in jobs:
        c = job.config
        lacking = {seed for *_, seed in missing(c.preset, [c.task], [c.depth], list(job.seeds), until=job.until)}
        if lacking:
            left.append(replace(job, seeds=tuple(seed for seed in job.seeds if seed in lacking)))
    return left


def _cards() -> list[str]:
    """The GPUs of this process by the names that CUDA_VISIBLE_DEVICES takes."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()
    return given.split(",") if given else [str(number) for number in range(torch.cuda.device_count())]


def collect(
    preset_name: str, tasks=None, depths: Depths = None, seeds=None, source: str = "runs", progress: bool = True,
    until: int | None = None,
) -> pd.DataFrame:  # fmt: skip
    """The tidy table of these cells: finished runs are read, missing ones are trained first.

    source: "runs" does so; "record" reads the committed record and trains nothing. None stands for all that the
    preset trains, of the record for all that it holds (it may have more seeds than the preset trains unasked).
    until: only so far, see `gk.train`.
    """
    wanted = select(tasks, depths, seeds)
    if source == "runs":
        wanted = wanted.of_preset(preset_name)
        run(preset_name, wanted.tasks, wanted.depths, wanted.seeds, progress=progress, until=until)
    return results(preset_name, wanted.tasks, wanted.depths, wanted.seeds, source, until=until)


def _minutes_left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic()) / 60


POLL = 2
"""[s] between two looks at what another process trains."""
NO_GUARD = 78
"""Exit code of a worker whose script began to train when the worker read it."""
_reached: MutableSequence[int]
_stopping: Event


def _start_worker(reached, stopping, cards) -> None:
    """In each worker: one thread, a GPU of its own if there are any, Ctrl-C is left to the parent, which passes it on
    as SIGTERM, and no worker outlives its parent. reached: of each job, the layer-steps done; stopping: whether no
    further job is to begin; cards: the names of GPUs, each for one worker."""
    global _reached, _stopping
    _reached, _stopping = reached, stopping
    if cards is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = cards.get()  # nothing has asked for a GPU in this process so far
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_stop_with_parent, daemon=True).start()


def _stop_with_parent() -> None:
    multiprocessing.parent_process().join()  # type: ignore[union-attr]  # returns when it has ended, however it did
    os.kill(os.getpid(), signal.SIGTERM)  # a training saves first


def _work(number: int, job: Job, deadline: float | None, device: str, storage: str | None) -> None:
    """Trains one job in a worker. Stopped by a signal, it has saved; the parent knows why."""
    if _stopping.is_set():
        return

    def tell(progress: Progress) -> None:
        _reached[number] = progress.step * job.config.depth * len(job.seeds)

    try:
        train_job(job, device, tell, _minutes_left(deadline), storage)
    except Stopped:
        if not multiprocessing.parent_process().is_alive():  # type: ignore[union-attr]
            os._exit(1)  # nobody takes the result, and no further job is to begin


def _run_in_processes(
    jobs: list[Job], workers: int, deadline: float | None, progress: bool, cards: list[str] | None, storage: str | None
) -> list[tuple[Job, BaseException]]:
    """Trains them side by side, on CPU cores or a card each; what could not be finished, and why."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # we run as the script of our own parent
        raise SystemExit(NO_GUARD)
    context = multiprocessing.get_context("spawn")
    # without a lock of its own: a worker that is killed while it holds one would stop all others
    reached, stopping = context.RawArray("q", len(jobs)), context.Event()
    failures: list[tuple[Job, BaseException]] = []
    own = context.SimpleQueue()  # of each worker its card
    for card in cards or ():
        own.put(card)
    work = sum(job.work for job in jobs)
    bar = new_bar(total=work, unit="layer-step", disable=not progress, desc=f"{len(jobs)} runs")
    with (
        contextlib.closing(bar),
        deferred_signals() as stop,
        ProcessPoolExecutor(workers, context, _start_worker, (reached, stopping, own if cards else None)) as pool,
    ):
        device = "cpu" if cards is None else "cuda"
        futures = {pool.submit(_work, number, job, deadline, device, storage): job for number, job in enumerate(jobs)}
        waiting, children = set(futures), multiprocessing.active_children()
        try:
            while waiting and not stop:
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                bar.update(sum(reached) - bar.n)
                failures += [(futures[future], error) for future in done if (error := future.exception())]
        finally:
            if waiting:  # stopped, by a signal or an error: one job more may lie in the workers' queue
                stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                for child in multiprocessing.active_children():
                    child.terminate()
    if stop:
        raise Stopped("stopped; finished evaluations are saved, the same call goes on", stop.signal)
    if any(child.exitcode == NO_GUARD for child in children):
        raise GrokkitError(
            "this script trains in several processes, each of which runs the script first: put what it does below"
            " `if __name__ == '__main__':`, or give workers=1"
        )
    return failures


def _reason(error: BaseException) -> str:
    if isinstance(error, BrokenProcessPool):
        return "its process was killed (out of memory?); the same call goes on from the last checkpoint"
    return str(error)
