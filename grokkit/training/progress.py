"""How far a training is, and an honest estimate of the rest."""

import math
import os
import sys
import time
from dataclasses import dataclass

import tqdm
import tqdm.auto

from grokkit.config import Config
from grokkit.printing import Unfailing


@dataclass(frozen=True)
class Progress:
    """One report of a training. rows: the last row of the table, of each run of the stack."""

    config: Config
    step: int
    seconds: float
    rows: list[dict]

    def mean(self, column: str) -> float:
        """Over the runs that have a number there."""
        values = [row[column] for row in self.rows if not math.isnan(row[column])]
        return sum(values) / len(values) if values else math.nan


def new_bar(**options) -> tqdm.std.tqdm:
    """A tqdm bar: a widget in a notebook; plain text where GROKKIT_PROGRESS is "text", as under make."""
    kind = tqdm.tqdm if os.environ.get("GROKKIT_PROGRESS") == "text" else tqdm.auto.tqdm
    return kind(file=Unfailing(sys.stderr), **options)


class ProgressBar:
    """A bar with steps per second, the time left, and the last loss and accuracies."""

    def __init__(self, config: Config, step: int):
        self.bar = new_bar(total=config.steps, initial=step, desc=f"{config.task} L{config.depth}", unit="step")
        self._shown = 0.0

    def __call__(self, progress: Progress) -> None:
        self.bar.update(progress.step - self.bar.n)
        if time.monotonic() - self._shown > 1:
            self._shown = time.monotonic()
            loss, val, gen = map(progress.mean, ("train_loss", "val_accuracy", "gen_accuracy"))
            self.bar.set_postfix_str(f"loss {loss:.3f} val {val:.2f} gen {gen:.2f}", refresh=False)

    def close(self) -> None:
        self.bar.close()
