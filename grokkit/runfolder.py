"""One folder a training: config.json, environment.json, analysis_sentences.txt, metrics.csv, checkpoints."""

import csv
import math
import shutil
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from grokkit.checkpoint import KEEP, refuse_other_config
from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.files import read_json, write_json, write_text
from grokkit.model import parameter_shapes
from grokkit.provenance import describe


class RunFolder:
    """The files of one stack. Opening a folder that belongs to another config or other seeds raises."""

    def __init__(self, path: Path, config: Config, seeds: tuple[int, ...], keep: int | None = KEEP):
        self.kept = keep or config.steps // config.eval_every + 1
        self.path = path
        self.config = config
        self.seeds = seeds

    def open(self, device, sentences: list[str]) -> None:
        """Makes the folder ready: checks config and seeds, disk space and write access."""
        described = self.path / "config.json"
        if described.exists():
            found = read_json(described)
            seeds = found.pop("seeds", None) if isinstance(found, dict) else None
            if seeds != list(self.seeds):
                raise GrokkitError(f"{self.path} holds seeds {seeds}, not {list(self.seeds)}: use another folder")
            refuse_other_config(described, found, self.config)
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GrokkitError(f"cannot write to {self.path}: {error.strerror}; set GROKKIT_RUNS") from error
        self._check_room()
        write_text(self.path / "analysis_sentences.txt", "\n".join(sentences) + "\n")
        self.write_environment(device, 0.0)
        write_json(described, asdict(self.config) | {"seeds": list(self.seeds)})

    def _check_room(self) -> None:
        """Raises GrokkitError when the planned checkpoints do not fit on the disk."""
        numbers = sum(math.prod(shape) for shape in parameter_shapes(self.config).values())
        planned = (self.kept + 1) * 3 * 4 * numbers * len(self.seeds)  # weights and two moments, 4 bytes each
        free = shutil.disk_usage(self.path).free
        if planned > free:
            raise GrokkitError(
                f"{self.path} needs about {planned / 1e9:.1f} GB for checkpoints, {free / 1e9:.1f} GB are free:"
                f" make room or set GROKKIT_RUNS to another disk"
            )

    def write_environment(self, device, seconds: float) -> None:
        """Versions, hardware and the seconds that training took so far."""
        write_json(self.path / "environment.json", describe(device) | {"seconds": round(seconds, 1)})

    def write_rows(self, rows: list[dict]) -> None:
        """The whole table, anew; it is small."""
        text = pd.DataFrame(rows).sort_values(["seed", "step"]).to_csv(index=False)
        write_text(self.path / "metrics.csv", text)

    def read_rows(self, up_to: int) -> list[dict]:
        """The rows of steps up to `up_to`, in the order in which they were measured."""
        path = self.path / "metrics.csv"
        try:
            with open(path, encoding="utf-8", newline="") as handle:
                rows = [{name: _value(name, text) for name, text in row.items()} for row in csv.DictReader(handle)]
        except (OSError, ValueError, KeyError) as error:
            raise GrokkitError(f"cannot read {path} ({error}): remove the folder to train afresh") from error
        order = {seed: r for r, seed in enumerate(self.seeds)}
        rows = [row for row in rows if row["step"] <= up_to]
        return sorted(rows, key=lambda row: (row["step"], order[row["seed"]]))


def _value(name: str, text: str) -> str | int | float:
    """A cell of the table as it was written, to the last bit (Python's float; pandas' depends on its version)."""
    if name in ("preset", "data_source", "task", "status"):
        return text
    if name in ("depth", "seed", "step"):
        return int(text)
    return float(text) if text else math.nan
