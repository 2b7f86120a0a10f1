"""Which runs are missing, as jobs: one a cell on a GPU, one a run on a CPU."""

from dataclasses import dataclass
from pathlib import Path

from grokkit.config import Config
from grokkit.presets import preset, select
from grokkit.report.results import Depths, missing
from grokkit.storage.files import cell_folder
from grokkit.storage.identity import refuse_other_config
from grokkit.storage.run_folder import found_runs


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
    preset_name: str, tasks=None, depths: Depths = None, seeds=None, stacked: bool = True, until=None
) -> list[Job]:
    """The jobs that are missing for these cells, the longest first.

    tasks, depths, seeds, until: as in `gk.results`; None stands for those that the preset trains. stacked: one job a
    cell with all its missing seeds (GPU), or one job a seed (CPU, where a stack gains nothing and single runs share the
    cores evenly). Raises GrokkitError where a run of these cells was trained with other values than the preset has now.
    """
    wanted = select(tasks, depths, seeds).of_preset(preset_name)
    cells = {(t, d): preset(preset_name, t, d) for t in wanted.tasks or () for d in wanted.depths_of(t) or ()}
    for run in found_runs(preset_name):
        if (run.task, run.depth) in cells:
            refuse_other_config(run.path, run.description()["config"], cells[run.task, run.depth])
    lacking: dict[tuple[str, int], list[int]] = {}
    for task, depth, seed in missing(preset_name, wanted.tasks, wanted.depths, wanted.seeds, until=until):
        lacking.setdefault((task, depth), []).append(seed)
    jobs = []
    for cell, some in lacking.items():
        in_order = [seed for seed in wanted.seeds or () if seed in some]
        jobs += [
            Job(cells[cell], tuple(group), until) for group in ([in_order] if stacked else [[s] for s in in_order])
        ]
    return sorted(jobs, key=lambda job: -job.work)
