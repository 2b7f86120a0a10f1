"""How far a training is, and an honest estimate of the rest."""

import os
import time
from dataclasses import dataclass

import tqdm
import tqdm.auto

from grokkit.config import Config


@dataclass(frozen=True)
class Progress:
    """One report of a training: means over the runs of the stack."""

    config: Config
    step: int
    seconds: float
    train_loss: float
    val_accuracy: float
    gen_accuracy: float


def new_bar(**options) -> tqdm.std.tqdm:
    """A tqdm bar: a widget in a notebook; plain text where GROKKIT_PROGRESS is "text", as under make."""
    kind = tqdm.tqdm if os.environ.get("GROKKIT_PROGRESS") == "text" else tqdm.auto.tqdm
    return kind(**options)


class ProgressBar:
    """A bar with steps per second, the time left, and the last loss and accuracies."""

    def __init__(self, config: Config, step: int):
        self.bar = new_bar(total=config.steps, initial=step, desc=f"{config.task} L{config.depth}", unit="step")
        self._shown = 0.0

    def __call__(self, progress: Progress) -> None:
        self.bar.update(progress.step - self.bar.n)
        if time.monotonic() - self._shown > 1:
            self._shown = time.monotonic()
            self.bar.set_postfix_str(
                f"loss {progress.train_loss:.3f} val {progress.val_accuracy:.2f} gen {progress.gen_accuracy:.2f}",
                refresh=False,
            )

    def close(self) -> None:
        self.bar.close()
