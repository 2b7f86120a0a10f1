"""One run, one folder: run.json, metrics.csv, the last checkpoints, weights of two steps. See `stack_folders` for those
of a stack.

A checkpoint holds all that the next step needs, the table included. run.json (what the run is, where it was trained)
and metrics.csv are copies to read: they are written anew from it where they are missing, damaged, or behind because
the process was killed in between. run.json vouches for itself and for metrics.csv: a changed digit is never a result.

It has the SHA-256 of the new metrics.csv and of the one before, and is written before the table: whoever is killed in
between leaves the one before, which is whole and is accepted. So a reader at any moment finds a whole table.
"""

import contextlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from grokkit.errors import GrokkitError
from grokkit.storage import checkpoint, format_2, weights
from grokkit.storage.checkpoint import Damaged, State
from grokkit.storage.files import parse_json, read_bytes, remove_leftovers, runs_root, sha256, write_json, write_text
from grokkit.storage.identity import Run, refuse_other_run
from grokkit.storage.lock import FolderLock
from grokkit.storage.table import parse_rows, parse_table, table_text

FORMAT = 3
"""The format of a run folder, said in run.json."""
DESCRIPTION, TABLE = "run.json", "metrics.csv"
SPENT = ("steps", "seconds", "peak_memory_gb")
"""What an environment, in which a run was trained, says beside versions and hardware."""


# -- reading from outside ---------------------------------------------------------------------------------


class FoundRun(NamedTuple):
    """A run that has begun, and the folder that holds it."""

    task: str
    depth: int
    seed: int
    path: Path

    def description(self) -> dict:
        """`config` as a dict, and `environments`: of each, versions and hardware, the steps and seconds it did."""
        if format_2.holds(self.path):
            return format_2.description(self.path)
        return read_description(self.path)

    def table(self) -> pd.DataFrame | None:
        """The rows so far, None before the first."""
        if format_2.holds(self.path):
            return format_2.table(self.path, self.seed)
        return parse_table(read_table(self.path)[1], self.path / TABLE) if (self.path / TABLE).is_file() else None

    def steps(self) -> list[int]:
        """The steps whose weights are there, oldest first."""
        return sorted({*checkpoint.saved_steps(self.path), *weights.saved_steps(self.path)})

    def weights(self, step: int) -> tuple[dict, Tensor]:
        """The run as its files describe it, with `config`, and its weights [1, P] at one of `steps`."""
        path = checkpoint.path_of(self.path, step)
        if format_2.holds(self.path):
            config, found = format_2.weights(path, self.seed)
            return {"config": config, "identity": ""}, found
        if path.exists():
            tensors, labels = checkpoint.load(path)
            saved, found = json.loads(labels["run"]), tensors["weights"]
        else:
            path = weights.path_of(self.path, step)
            saved, found = weights.load(path)
        described = read_description(self.path)
        other_data = saved["config"] == described["config"] and saved["identity"] != described["identity"]
        if other_data or saved["seed"] != self.seed:
            raise GrokkitError(f"{path} is of another seed or other data than {DESCRIPTION}: put its own one back")
        return saved, found


def found_runs(preset: str) -> list[FoundRun]:
    """Every run of a preset that has begun, by task, depth and seed."""
    found = []
    for cell in (runs_root() / preset).glob("*/L*"):
        if cell.name[1:].isdigit():
            found += runs_of_cell(cell, cell.parent.name, int(cell.name[1:]))
    return sorted(found)


def runs_of_cell(cell: Path, task: str, depth: int) -> list[FoundRun]:
    """Every run in the folder of a cell that has begun."""
    paths = [path for path in cell.glob("seed-*") if path.name[5:].isdigit() and (path / DESCRIPTION).is_file()]
    own = {int(path.name[5:]): path for path in paths}
    # those of the earlier format's folders that have not left them
    earlier = [(seed, path) for seed, path in format_2.runs_in(cell) if seed not in own]
    return [FoundRun(task, depth, seed, path) for seed, path in [*own.items(), *earlier]]


def read_description(folder: Path) -> dict:
    """What run.json says. GrokkitError where it is damaged, and for a format that this version does not read."""
    path = folder / DESCRIPTION
    try:
        found = parse_json(read_bytes(path), path)
    except GrokkitError as error:
        raise damaged(path, str(error).split(": move it away")[0]) from error
    if found.pop("sha256", None) != sha256(json.dumps(found, sort_keys=True)):
        raise damaged(path, "it fails its digest")
    if found.get("format") != FORMAT:
        raise GrokkitError(
            f"{path} has run folder format {found.get('format')!r}, this version reads {FORMAT}: use the"
            " version of grokkit that wrote it, or train in another place (GROKKIT_RUNS)"
        )
    return found


def read_table(folder: Path) -> tuple[dict, str]:
    """What run.json says, and the text of metrics.csv. GrokkitError, with the way out, where the digest is another."""
    for _ in range(3):  # a training may write a new table, and its digest, between our two looks
        described = read_description(folder)
        data = read_bytes(folder / TABLE)
        if sha256(data) in described["metrics_sha256"]:
            return described, data.decode(errors="replace")
    raise damaged(folder / TABLE, f"its digest is not the one in {DESCRIPTION}")


def damaged(path: Path, why: str) -> Damaged:
    """The error for a damaged file, with the way out."""
    return Damaged(
        f"{path} is damaged ({why}): move it away and train this cell again ('grokkit train'), which"
        " writes it anew from the checkpoint"
    )


# -- training ---------------------------------------------------------------------------------------------


class RunFolder:
    """The files of one run, and their lock. Opening a folder that holds another run raises GrokkitError."""

    def __init__(self, path: Path, run: Run, keep: int | None = checkpoint.KEEP):
        self.path, self.run, self.keep = path, run, keep
        self.lock = FolderLock(path)
        self.before: list[dict] = []  # environments in which the run was trained
        self.environment: dict = {}  # and the present one
        self.device = torch.device("cpu")
        self.ahead = -1  # the last step of a table that has gone further than its checkpoint

    def find(self) -> State | None:
        """Makes the folder this process's own; where its run stands, None at the start. Writes no file of the run.

        Its tensors are empty for a run that has ended and whose checkpoints have been removed. Raises GrokkitError
        where another process works on it, for another run, and for a damaged file that nothing can replace.
        """
        self.lock.acquire()
        remove_leftovers(self.path)
        try:
            if (self.path / DESCRIPTION).exists():
                refuse_other_run(self.path / DESCRIPTION, read_description(self.path), self.run)
        except Damaged:
            if not checkpoint.saved_steps(self.path):
                raise
        if newest := checkpoint.load_newest(self.path):
            return self._state(*newest)
        if not (self.path / TABLE).exists():
            return format_2.find(self.path.parent, self.run)
        if not (self.path / DESCRIPTION).exists():
            raise GrokkitError(
                f"{self.path / DESCRIPTION} is missing, and there is no checkpoint to check {TABLE} by: put one of"
                " them back, or move the folder away to train from the start"
            )
        described, text = read_table(self.path)
        last = parse_rows(text, self.path / TABLE)[-1]
        return checkpoint.ended(self.path, text, last, self.run.config.steps, described["environments"])

    def find_at(self, step: int) -> State | None:
        """The run as it stood at an earlier step; None where that checkpoint is not there any more, or damaged."""
        try:
            return self._state(step, *checkpoint.load(checkpoint.path_of(self.path, step)))
        except Damaged:
            return None

    def _state(self, step: int, tensors: dict[str, Tensor], labels: dict[str, str]) -> State:
        refuse_other_run(checkpoint.path_of(self.path, step), json.loads(labels["run"]), self.run)
        return State(step, tensors, labels["table"], json.loads(labels["environments"]), json.loads(labels["stack"]))

    def restore(self, state: State | None, environment: Mapping, device="cpu") -> None:
        """Gets ready to train on from `state` in this environment: writes what is missing, damaged or behind.

        A table that is ahead stays: its newer checkpoint was lost, or the run goes back to be trained beside others.
        """
        self.environment, self.device = dict(environment), torch.device(device)
        if state is None:
            if not (self.path / DESCRIPTION).exists():
                self._write([], None)
            return
        self.before = state.environments
        last = {name: value for name, value in (self.before or [{}])[-1].items() if name not in SPENT}
        if last == self.environment:
            self.before = self.before[:-1]  # it goes on
        if state.tensors and not checkpoint.saved_steps(self.path):  # from a folder of the earlier format
            self._save(state)
        try:
            there = read_table(self.path)[1]
        except GrokkitError as error:
            there = None
            if isinstance(error, Damaged) and (self.path / TABLE).exists() and (self.path / DESCRIPTION).exists():
                why = str(error).split(": move it away")[0]
                warnings.warn(f"{why}: it is written anew from the checkpoint", stacklevel=2)
        self.ahead = parse_rows(there, self.path / TABLE)[-1]["step"] if there is not None else -1
        if there is None or (there != state.table and self.ahead <= state.step):
            self._write(state.environments, state.table)
        checkpoint.prune(self.path, state.step, self.keep)

    def save(
        self, step: int, tensors: Mapping[str, Tensor], rows: list[dict], seconds: float, stack: list[int]
    ) -> None:
        """A checkpoint, then the files that are read from outside. GrokkitError if it cannot be written.

        seconds: that the run has taken so far; stack: the seeds that are trained together.
        """
        self.lock.check()
        if step in weights.moments(rows, self.run.config.steps):
            weights.save(weights.path_of(self.path, step), self.run.described(), step, tensors["weights"])
        state = State(step, dict(tensors), table_text(rows), self._environments(step, seconds), stack)
        self._save(state)
        self._write(state.environments, state.table)

    def save_table(self, step: int, rows: list[dict], seconds: float) -> None:
        """The files that are read from outside, without a checkpoint; those of before that are ahead stay."""
        self.lock.check()
        if step > self.ahead:
            self._write(self._environments(step, seconds), table_text(rows))

    def close(self) -> None:
        """Lets other processes have the folder."""
        self.lock.release()

    def _save(self, state: State) -> None:
        lists = {"environments": json.dumps(state.environments), "stack": json.dumps(state.stack)}
        texts = {"table": state.table, **lists}
        checkpoint.save(self.path, state.step, state.tensors, self.run, texts, self.keep)

    def _environments(self, step: int, seconds: float) -> list[dict]:
        """Those before, and the present one with what it did: all steps and seconds that are not theirs."""
        spent = {
            "steps": step - sum(known["steps"] for known in self.before),
            "seconds": round(seconds - sum(known["seconds"] for known in self.before), 3),
        }
        if self.device.type == "cuda":
            spent["peak_memory_gb"] = round(torch.cuda.max_memory_allocated(self.device) / 1e9, 2)
        return [*self.before, self.environment | spent]

    def _write(self, environments: list[dict], table: str | None) -> None:
        """run.json, then metrics.csv; both can be read at every moment in between."""
        accepted = [] if table is None else [sha256(table)]
        with contextlib.suppress(GrokkitError):  # not there yet, or damaged: nobody is to read it
            accepted.append(sha256(read_table(self.path)[1]))
        content = self.run.described() | {
            "format": FORMAT,
            "environments": environments,
            "metrics_sha256": list(dict.fromkeys(accepted)),
        }
        write_json(self.path / DESCRIPTION, content | {"sha256": sha256(json.dumps(content, sort_keys=True))})
        if table is not None:
            write_text(self.path / TABLE, table)
