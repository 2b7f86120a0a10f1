"""Which runs are missing, as jobs: one a cell on a GPU, one a run on a CPU."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.presets import preset, select
from grokkit.report.results import Depths, missing
from grokkit.storage.files import cell_folder
from grokkit.storage.identity import refuse_other_config
from grokkit.storage.run_folder import found_runs

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """Runs of one cell to train together; those that stand at different steps are trained one after the other."""

    config: Config
    seeds: tuple[int, ...]
    until: int | None = None

    @property
    def out(self) -> Path:
        """The folder of its cell."""
        return cell_folder(self.config.preset, self.config.task, self.config.depth)

    @property
    def work(self) -> int:
        """Steps times layers times runs: what the time of a job grows with, within a preset."""
        return self.config.end(self.until) * self.config.depth * len(self.seeds)

    def __str__(self) -> str:
        return f"{self.config.task} L{self.config.depth} seeds {' '.join(map(str, self.seeds))}"


def plan(
    preset_name: str, tasks=None, depths: Depths = None, seeds=None, stacked: bool = True, until=None,
    shard: str | None = None,
) -> list[Job]:  # fmt: skip
    """The jobs that are missing for these cells, the longest first.

    tasks, depths, seeds, until: as in `gk.results`; None stands for those that the preset trains. stacked: one job a
    cell with all its missing seeds (GPU), or one job a seed (CPU, where a stack gains nothing and single runs share the
    cores evenly). shard: only this `part` of all these runs, whether they are missing or not. Raises GrokkitError where
    a run of these cells was trained with other values than the preset has now.
    """
    wanted = select(tasks, depths, seeds).of_preset(preset_name)
    runs = whole_plan(preset_name, tasks, depths, seeds, until)
    cells = {(run.config.task, run.config.depth): run.config for run in runs}
    runs = part(shard, runs, [run.work for run in runs])
    lacking = set(missing(preset_name, wanted.tasks, wanted.depths, wanted.seeds, until=until))
    for cell, found in {run[:2]: run for run in found_runs(preset_name)}.items():  # the others are like it
        if cell in cells:
            refuse_other_config(found.path, found.description()["config"], cells[cell])
    jobs: dict[tuple, Job] = {}
    for run in runs:
        key = run.config.task, run.config.depth, *run.seeds
        if key in lacking:
            key = key[:2] if stacked else key
            jobs[key] = replace(run, seeds=jobs[key].seeds + run.seeds) if key in jobs else run
    return sorted(jobs.values(), key=lambda job: -job.work)


def whole_plan(preset_name: str, tasks=None, depths: Depths = None, seeds=None, until=None) -> list[Job]:
    """One job for each run of these cells, whether it is missing or not."""
    wanted = select(tasks, depths, seeds).of_preset(preset_name)
    cells = [preset(preset_name, task, d) for task in wanted.tasks or () for d in wanted.depths_of(task) or ()]
    return [Job(config, (seed,), until) for config in cells for seed in wanted.seeds or ()]


def part(shard: str | None, runs: Sequence[T], work: Sequence[int]) -> list[T]:
    """The part k of n that the text `shard` ("k/n") names; None stands for all. work: of each run.

    The runs are cut in their order, so that those of a cell stay together: a part has the n-th part of the work, give
    or take one run. Raises GrokkitError for what is no such text.

    >>> [part(f"{k}/2", "abcd", [3, 1, 1, 1]) for k in (1, 2)]
    [['a'], ['b', 'c', 'd']]
    """
    if shard is None:
        return list(runs)
    given = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", str(shard))
    k, n = map(int, given.groups()) if given else (0, 0)
    if not 1 <= k <= n:
        raise GrokkitError(f"shard = {shard!r}: write k/n, the part k of n parts, from 1/n to n/n")
    ends = list(accumulate(work, initial=0))
    return [run for run, begin, end in zip(runs, ends, ends[1:]) if (begin + end) * n // (2 * ends[-1]) == k - 1]
