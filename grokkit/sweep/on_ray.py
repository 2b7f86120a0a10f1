"""Missing runs are trained on a Ray cluster: a task a job. Ray places the tasks and tries again what a lost node held.

One actor a storage and preset hands the tasks to Ray. It outlives its driver: one that is started anew, or beside, asks
the same actor and waits for the same tasks. A task trains in a folder of its own on its node's disk; what counts is in
the storage, see `sweep.shared`.
"""

import os
import re
import socket
import tempfile
from dataclasses import replace
from typing import Any

from grokkit.errors import GrokkitError
from grokkit.signals import Stopped
from grokkit.storage.files import sha256
from grokkit.sweep.jobs import Job, plan, whole_plan
from grokkit.sweep.shared import Shared, runs_of, train_job
from grokkit.training.progress import new_bar
from grokkit.training.stacks import AllFailed

RETRIES = 100
"""How often Ray may try a task again whose node or process has gone. A training that failed is a result, and is not."""
STOPPED = "stopped"


def ray_at(address: str | None, cpus: float, gpus: float) -> Any:
    """Ray, connected to the cluster at this address. Raises GrokkitError where there is none, or no node so large."""
    try:
        import ray
        import ray.util.scheduling_strategies  # and no mere folder of this name
    except ImportError as error:
        raise GrokkitError("--engine ray: Ray is not installed: pip install 'grokkit[ray]'") from error
    if not ray.is_initialized():
        try:
            if given := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address or ""):
                socket.create_connection(
                    (given[1], int(given[2])), timeout=10
                ).close()  # Ray itself would wait for long
            ray.init(address or "auto", log_to_driver=False, logging_level="error")
        except Exception as error:  # ConnectionError, ValueError, RuntimeError: it depends on the address
            reason = str(error).splitlines()[0]
            raise GrokkitError(
                f"no Ray cluster at {address or 'auto'} ({reason}): start one with 'ray start'"
            ) from error
    for option, name, asked in (("cpus", "CPU", cpus), ("gpus", "GPU", gpus)):
        most = max((node["Resources"].get(name, 0) for node in ray.nodes() if node["Alive"]), default=0)
        if asked > most:
            raise GrokkitError(f"--{option} {asked:g}: the largest node of the cluster has {most:g}")
    return ray


def jobs_of(asked: tuple, gpus: float, seeds_per_stack: int | None) -> list[Job]:
    """What is missing, in stacks of so many seeds: unless told otherwise one on a CPU, all of a cell on a GPU."""
    preset, tasks, depths, seeds, until = asked
    size = seeds_per_stack or (None if gpus else 1)
    jobs = plan(preset, tasks, depths, seeds, size != 1, until)
    return [
        replace(job, seeds=job.seeds[start : start + (size or len(job.seeds))])
        for job in jobs
        for start in range(0, len(job.seeds), size or len(job.seeds))
    ]


def run_on_ray(
    preset: str, tasks=None, depths=None, seeds=None, storage: str | None = None, address: str | None = None,
    cpus: float = 1, gpus: float = 0, seeds_per_stack: int | None = None, until: int | None = None,
    progress: bool = True,
) -> None:  # fmt: skip
    """Trains what is missing of these cells on a Ray cluster, and brings the tables here.

    storage: a folder or URL that every node reaches. cpus, gpus: of each task, fractions allowed. Raises GrokkitError
    for bad input before anything is trained and, at the end, that names every job that could not be finished.
    """
    if not storage:
        raise GrokkitError("--engine ray needs --storage URL: a folder or URL that every node reaches")
    if cpus < 0 or gpus < 0 or (seeds_per_stack is not None and seeds_per_stack < 1):
        raise GrokkitError("--cpus and --gpus must be 0 or more, --seeds-per-stack 1 or more")
    ray = ray_at(address, cpus, gpus)
    shared, everything = Shared(storage), whole_plan(preset, tasks, depths, seeds)
    failures: dict[tuple, str] = {}
    while True:
        shared.bring(everything)
        jobs = jobs_of((preset, tasks, depths, seeds, until), gpus, seeds_per_stack)
        jobs = [job for job in jobs if key_of(job) not in failures]
        if not jobs:
            break
        failures |= _round(ray, shared.url, preset, jobs, cpus, gpus, progress)
    if failures:
        raise GrokkitError("; ".join(failures.values()))


def _round(ray, url: str, preset: str, jobs: list[Job], cpus, gpus, progress: bool) -> dict[tuple, str]:
    """Has these jobs trained; why some could not be. What was lost together with the actor is for the next round."""
    failures: dict[tuple, str] = {}
    bar = new_bar(total=sum(len(job.seeds) for job in jobs), unit="run", desc="Ray", disable=not progress)
    hand = _hand_of(ray, url, preset)
    try:
        refs = dict(zip((ref for [ref] in ray.get([hand.task.remote(job, cpus, gpus) for job in jobs])), jobs))
        waiting = list(refs)
        while waiting:
            (ref,), waiting = ray.wait(waiting)
            try:
                reason = ray.get(ref)
            except (
                ray.exceptions.RayTaskError,
                ray.exceptions.WorkerCrashedError,
                ray.exceptions.NodeDiedError,
            ) as error:
                reason = str(error).strip().splitlines()[-1]
            if reason and reason != STOPPED:
                failures[key_of(refs[ref])] = f"{refs[ref]}: {reason}"
            bar.update(len(refs[ref].seeds))
        if not ray.get(hand.under_way.remote()):
            ray.kill(hand)
    except ray.exceptions.RayError:  # the actor's node has gone, or another driver has ended it
        pass
    except KeyboardInterrupt:
        ray.get(hand.stop.remote())  # they save, and put up what they saved
        raise
    finally:
        bar.close()
    return failures


def _hand_of(ray, url: str, preset: str):
    """The actor that hands out the tasks of this storage and preset, whoever started it, on the driver's node."""
    near = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=True
    )
    options = dict(name=f"grokkit-{sha256(url + preset)[:16]}", namespace="grokkit", lifetime="detached", num_cpus=0)
    return ray.remote(_Hand).options(get_if_exists=True, scheduling_strategy=near, **options).remote(url)


class _Hand:
    """Of each job that is under way its task: a job that is asked for twice is one task."""

    def __init__(self, url: str):
        self.url, self.tasks = url, dict[tuple, Any]()

    def task(self, job: Job, cpus: float, gpus: float) -> list:
        """The reference of the job's task, in a list, so that Ray does not hand over its result."""
        import ray

        self.under_way()
        if key_of(job) not in self.tasks:
            task = ray.remote(_train).options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
            self.tasks[key_of(job)] = task.remote(job, self.url, cpus, gpus)
        return [self.tasks[key_of(job)]]

    def under_way(self) -> int:
        """How many tasks have not ended."""
        import ray

        refs = list(self.tasks.values())
        waiting = set(ray.wait(refs, num_returns=len(refs), timeout=0)[1]) if refs else set()
        self.tasks = {key: ref for key, ref in self.tasks.items() if ref in waiting}
        return len(waiting)

    def stop(self) -> None:
        """Has all tasks save and end."""
        import ray

        for ref in self.tasks.values():
            ray.cancel(ref)
        ray.wait(list(self.tasks.values()), num_returns=len(self.tasks), timeout=60) if self.tasks else None


def _train(job: Job, url: str, cpus: float, gpus: float) -> str:
    """Trains a job on a node; "" or why it could not be finished."""
    import torch

    with tempfile.TemporaryDirectory(prefix="grokkit-") as folder:
        os.environ["GROKKIT_RUNS"] = folder
        torch.set_num_threads(max(1, int(cpus)))
        try:
            train_job(job, "cuda" if gpus else "cpu", False, None, url)
        except AllFailed:
            return ""  # a result, as every run of it is
        except GrokkitError as error:
            return str(error)
        except Stopped:
            return STOPPED
    return ""


def key_of(job: Job) -> tuple:
    """What makes two jobs the same, on all machines."""
    return (*runs_of(job), job.until)
