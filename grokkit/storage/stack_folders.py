"""The folders of the runs of one stack: a stack is made of runs that stand at one step."""

import math
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.storage.checkpoint import KEEP, State
from grokkit.storage.files import run_folder
from grokkit.storage.identity import Run
from grokkit.storage.provenance import describe
from grokkit.storage.run_folder import TABLE, RunFolder
from grokkit.storage.table import parse_rows
from grokkit.storage.weights import moments

QUICK, SHARE = 1.0, 20
"""[s] A save that takes longer comes when so many times its length have passed: it takes 5 % of the time at most."""
ROW_BYTES = 800  # of one row of the table, generously; it is in metrics.csv and in each checkpoint


class StandApart(GrokkitError):
    """Runs that stand at different steps, so that no stack can be made of all; `stacks`: their seeds, together where
    they can be, those that have come furthest first."""

    def __init__(self, out: Path, places: Mapping[int, tuple[int, bool]]):
        self.stacks = [
            [seed for seed in places if places[seed] == place] for place in sorted(set(places.values()), reverse=True)
        ]
        steps = ", ".join(f"seed {seed} at {step}" for seed, (step, _) in places.items())
        super().__init__(f"the runs in {out} stand at different steps ({steps}): train them as gk.train does, apart")


def planned_bytes(config: Config, runs: int, state_bytes: int, keep: int | None = KEEP) -> int:
    """What some runs take on the disk; state_bytes: of the tensors of one run."""
    evaluations = -(-config.steps // config.eval_every) + 1
    kept, rows = min(keep or evaluations, evaluations), ROW_BYTES * evaluations
    # weights, moments, the table in each; of one run a new one is written before an old one goes; weights of two steps
    return (kept * runs + 1) * (state_bytes + rows) + (rows + 2 * state_bytes // 3) * runs


class StackFolders:
    """out/seed-<n>/ of each run, with their locks; what is saved and found is that of the stack, one row a run."""

    def __init__(self, out: Path, runs: Iterable[Run], keep: int | None = KEEP):
        self.path, self.keep = out, keep
        self.folders = [RunFolder(run_folder(out, run.seed), run, keep) for run in runs]
        self.seeds = [folder.run.seed for folder in self.folders]
        self.took, self.saved_at = 0.0, -math.inf  # the last save [s], and when it ended

    def open(
        self, device, state_bytes: int, remarks: Mapping[str, str]
    ) -> tuple[int, dict[str, Tensor], list[dict]] | None:
        """Makes the folders this process's own and ready; step, tensors and rows to go on from, None at the start.

        state_bytes: of the tensors of one run; remarks: what run.json says of this environment besides. The tensors are
        empty for runs that have ended and whose checkpoints have been removed. Raises `StandApart`; GrokkitError for
        what `RunFolder.find` refuses, and for a place that is too small or cannot be written.
        """
        try:
            states = self._at_one_step([folder.find() for folder in self.folders])
            if not states or states[0].step < self.folders[0].run.config.steps:
                self._check_room(state_bytes)
            environment = {**describe(device), **remarks}
            for r, folder in enumerate(self.folders):
                folder.restore(states[r] if states else None, environment, device)
        except BaseException:
            self.close()
            raise
        if not states:
            return None
        tensors = {name: torch.cat([state.tensors[name] for state in states]) for name in states[0].tensors}
        rows = [parse_rows(state.table, folder.path / TABLE) for folder, state in zip(self.folders, states)]
        return states[0].step, tensors, sorted((row for run in rows for row in run), key=lambda row: row["step"])

    def _at_one_step(self, found: Sequence[State | None]) -> list[State]:
        """The states of all runs at one step; empty at the start. Raises `StandApart` where there is none."""
        places = {
            seed: (state.step, bool(state.tensors)) if state else (0, True) for seed, state in zip(self.seeds, found)
        }
        known = [state for state in found if state]
        if len(set(places.values())) == 1:  # at step 0 some may lack their first row: all measure it once more
            return known if len(known) == len(found) else []
        if len(known) == len(found) and len({tuple(state.stack) for state in known}) == 1:
            # they were saved by one process, which was killed between two of them, or one's newest checkpoint is lost
            step = min(state.step for state in known)
            back = [state if state.step == step else f.find_at(step) for f, state in zip(self.folders, known)]
            whole = [state for state in back if state and state.tensors]
            if len(whole) == len(back):
                return whole
        raise StandApart(self.path, places)

    def due(self, rows: list[dict] | None = None) -> bool:
        """Whether a whole save is worth its time; always where each evaluation's checkpoint is to be kept, and where
        the last of `rows` belongs to a step whose weights a run keeps for good."""
        steps = self.folders[0].run.config.steps
        if any(own and own[-1]["step"] in moments(own, steps) for own in self._of_each(rows or [])):
            return True
        return self.took < QUICK or self.keep is None or time.monotonic() - self.saved_at >= SHARE * self.took

    def _of_each(self, rows: list[dict]) -> list[list[dict]]:
        return [[row for row in rows if row["seed"] == seed] for seed in self.seeds]

    def save_tables(self, step: int, rows: list[dict], seconds: Sequence[float]) -> None:
        """Only the files that are read from outside: whoever goes on measures these rows again."""
        for folder, own, spent in zip(self.folders, self._of_each(rows), seconds):
            folder.save_table(step, own, spent)

    def save(self, step: int, tensors: Mapping[str, Tensor], rows: list[dict], seconds: Sequence[float]) -> None:
        """Of each run a checkpoint, then the files that are read from outside. seconds: of each run so far."""
        begun = time.monotonic()
        tensors = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        for r, (folder, own) in enumerate(zip(self.folders, self._of_each(rows))):
            row = {name: tensor[r : r + 1] for name, tensor in tensors.items()}
            folder.save(step, row, own, seconds[r], self.seeds)
        self.saved_at = time.monotonic()
        self.took = self.saved_at - begun

    def close(self) -> None:
        """Lets other processes have the folders."""
        for folder in self.folders:
            folder.close()

    def _check_room(self, state_bytes: int) -> None:
        """Raises GrokkitError when what is still to be written does not fit on the disk."""
        there = sum(path.stat().st_size for f in self.folders for path in f.path.glob("*.safetensors"))
        planned = planned_bytes(self.folders[0].run.config, len(self.folders), state_bytes, self.keep) - there
        free = shutil.disk_usage(self.folders[0].path).free
        if planned > free:
            raise GrokkitError(
                f"{self.path} needs about {planned / 1e6:,.1f} MB more for checkpoints, {free / 1e6:,.1f} MB"
                f" are free: make room or set GROKKIT_RUNS to another disk"
            )
