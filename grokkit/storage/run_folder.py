"""One folder a training: config.json, environment.json, metrics.csv, digests.json, checkpoints.

A checkpoint holds all that the next step needs, the table included; the other files are copies to read, and are
written anew from it where they are missing, damaged, or behind because the process was killed in between.
"""

import shutil
import warnings
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.model.transformer import parameter_count
from grokkit.storage import checkpoint
from grokkit.storage.checkpoint import KEEP
from grokkit.storage.digests import (
    CONFIG,
    DIGESTS,
    ENVIRONMENT,
    FORMAT,
    TABLE,
    described,
    read_file,
    write_files,
)
from grokkit.storage.files import as_json, remove_leftovers
from grokkit.storage.lock import Ownership
from grokkit.storage.provenance import describe
from grokkit.storage.table import parse_rows, table_text

ROW_BYTES = 800  # of one row of the table, generously; it is in metrics.csv and in each checkpoint


class RunFolder:
    """The files of one stack, and their lock. Opening a folder of another config or of other seeds raises."""

    def __init__(self, path: Path, config: Config, seeds: tuple[int, ...], keep: int | None = KEEP):
        self.path = path
        self.config = config
        self.seeds = seeds
        self.keep = keep
        self.owner = Ownership(path)
        self.environment: dict = {}

    # -- opening --------------------------------------------------------------------------------------------

    def open(self, device) -> tuple[int, dict[str, Tensor], list[dict]] | None:
        """Makes the folder this process's own and ready; step, tensors and rows to go on from, None at the
        start.

        tensors are empty for a finished run whose checkpoints have been removed. Raises GrokkitError where
        another process works on it, for another config or other seeds, a damaged file that nothing can replace,
        and a place that is too small or cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GrokkitError(f"cannot write to {self.path}: {error.strerror}; set GROKKIT_RUNS") from error
        self.owner.acquire()
        try:
            return self._open(device)
        except BaseException:
            self.owner.release()
            raise

    def _open(self, device) -> tuple[int, dict[str, Tensor], list[dict]] | None:
        remove_leftovers(self.path)
        if (self.path / CONFIG).exists():
            found = described(self.path)
            seeds = found.pop("seeds")
            if seeds != list(self.seeds):
                raise GrokkitError(f"{self.path} holds seeds {seeds}, not {list(self.seeds)}: use another folder")
            del found["format"]
            checkpoint.refuse_other_config(self.path / CONFIG, found, self.config)
        self.environment = describe(device)
        files = {CONFIG: as_json(asdict(self.config) | {"seeds": list(self.seeds), "format": FORMAT})}
        latest = checkpoint.load_latest(self.path, self.config, self.seeds)
        if latest is None:
            rows = self._rows_alone()
            if rows:
                return rows[-1]["step"], {}, rows
            self._check_room()
            self._restore(files | {ENVIRONMENT: self._environment_text(0.0)}, silent=True)
            return None
        step, tensors, labels = latest
        if step < self.config.steps:
            self._check_room()
        if not self._is_ahead(step):  # a newer checkpoint was lost, the table was not
            files[TABLE] = labels["table"]
        self._restore(files | {ENVIRONMENT: labels["environment"]})
        checkpoint.prune(self.path, step, self.keep)
        return step, tensors, parse_rows(labels["table"], self.seeds)

    def _restore(self, contents: dict[str, str], silent: bool = False) -> None:
        """Writes the files whose content is not this one, and says so of those that are damaged."""
        wrong = {}
        vouched = (self.path / DIGESTS).exists()
        for name, text in contents.items():
            try:
                if read_file(self.path, name) == text and vouched:
                    continue
            except GrokkitError as error:
                if (self.path / name).exists() and not silent:
                    why = str(error).split(": remove it")[0]
                    warnings.warn(f"{why}: {name} is written anew from the checkpoint", stacklevel=2)
            wrong[name] = text
        if wrong:
            write_files(self.path, wrong)

    def _is_ahead(self, step: int) -> bool:
        """Whether the table on disk is whole and goes beyond `step`, since only a newer checkpoint was lost."""
        try:
            rows = self._rows_on_disk()
        except GrokkitError:
            return False
        return bool(rows) and rows[-1]["step"] > step

    def _rows_alone(self) -> list[dict]:
        """The rows of a finished run without checkpoints; none where nothing was trained yet.

        Raises GrokkitError for an unfinished one: there is no state to go on from, and its rows are not ours to
        write over. Likewise for rows that have lost their digest: there is nothing to check them by.
        """
        if not (self.path / TABLE).exists():
            return []
        if not (self.path / DIGESTS).exists():
            raise GrokkitError(
                f"{self.path / DIGESTS} is missing, and there is no checkpoint to check {TABLE} by: put one of"
                " them back, or remove the folder to train from the start"
            )
        rows = self._rows_on_disk()
        last = rows[-1]["step"] if rows else 0
        if last and last < self.config.steps and any(row["status"] != "failed" for row in rows[-len(self.seeds) :]):
            raise GrokkitError(
                f"{self.path} holds results up to step {last} but no checkpoint to go on from: put one back, or"
                " remove the folder to train from the start"
            )
        return rows if last else []

    def _rows_on_disk(self) -> list[dict]:
        return parse_rows(read_file(self.path, TABLE), self.seeds, self.path / TABLE)

    def _check_room(self) -> None:
        """Raises GrokkitError when what is still to be written does not fit on the disk."""
        evaluations = -(-self.config.steps // self.config.eval_every) + 1
        kept = min(self.keep or evaluations, evaluations)
        rows = ROW_BYTES * evaluations * len(self.seeds)
        one = 3 * 4 * parameter_count(self.config) * len(self.seeds) + rows  # weights and two moments, 4 bytes each
        there = sum(path.stat().st_size for path in self.path.glob("checkpoint-*.safetensors"))
        planned = (kept + 1) * one + rows - there  # a new one is written before an old one goes
        free = shutil.disk_usage(self.path).free
        if planned > free:
            raise GrokkitError(
                f"{self.path} needs about {planned / 1e6:,.1f} MB more for checkpoints, {free / 1e6:,.1f} MB"
                f" are free: make room or set GROKKIT_RUNS to another disk"
            )

    # -- writing --------------------------------------------------------------------------------------------

    def save(self, step: int, tensors: dict[str, Tensor], rows: list[dict], seconds: float) -> None:
        """A checkpoint, then the files that are read from outside. GrokkitError if it cannot be written."""
        self.owner.check()
        table, environment = table_text(rows), self._environment_text(seconds)
        texts = {"table": table, "environment": environment}
        checkpoint.save(self.path, step, tensors, self.config, self.seeds, self.keep, texts)
        write_files(self.path, {TABLE: table, ENVIRONMENT: environment})

    def close(self) -> None:
        """Lets other processes have the folder."""
        self.owner.release()

    def _environment_text(self, seconds: float) -> str:
        """Versions, hardware, the seconds that training took so far, and on a card the most memory that it took."""
        taken = {}
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            taken["peak_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        return as_json(self.environment | {"seconds": round(seconds, 1)} | taken)
