"""How far a training is, when it is to stop, and an honest estimate of the rest."""

import math
import os
import sys
import time
from dataclasses import dataclass, field

import tqdm
import tqdm.auto

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.printing import Unfailing, say
from grokkit.values import number

SILENCE = 30
"""[s] Without a terminal a line is written after so long, where no evaluation has written one."""


@dataclass(frozen=True)
class Progress:
    """One report of a training that ends at step `end`. rows: the last row of the table, of each run of the stack."""

    config: Config
    step: int
    end: int
    seconds: float
    rows: list[dict] = field(repr=False)

    def mean(self, column: str) -> float:
        """Over the runs that have a number there."""
        values = [row[column] for row in self.rows if not math.isnan(row[column])]
        return sum(values) / len(values) if values else math.nan


class Lines:
    """In the place of a bar where nobody watches it grow, as in a log: a line now and then."""

    def __init__(self, total: int, unit: str, desc: str, initial: int = 0, disable: bool = False):
        self.total, self.unit, self.desc, self.n, self.disable = total, unit, desc, initial, disable
        self.start, self.told = (time.monotonic(), initial), time.monotonic()

    def update(self, n: int, text: str = "", now: bool = False) -> None:
        """n more are done; now: write a line even if the last one is not long ago."""
        self.n += n
        moment = time.monotonic()
        if self.disable or not (now or moment - self.told > SILENCE):
            return
        self.told = moment
        done = self.n - self.start[1]
        left = f", {duration((moment - self.start[0]) / done * (self.total - self.n))} left" if done else ""
        say(f"{self.desc}: {self.n}/{self.total} {self.unit}s{left}{text and ', ' + text}", error=True)

    def close(self) -> None:
        """As a bar has it."""


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> [duration(seconds) for seconds in (2.4, 100, 5000, 200_000, 900_000)]
    ['2 s', '2 min', '83 min', '56 hours', '10 days']
    """
    for unit, size, most in (("s", 1, 90), ("min", 60, 90), ("hours", 3600, 72)):
        if seconds < most * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def deadline_in(minutes: float | None) -> float | None:
    """The moment, on the clock of time.monotonic, that lies so many minutes ahead. Raises GrokkitError."""
    found = number(minutes)
    if minutes is not None and (found is None or found < 0):
        raise GrokkitError(f"minutes = {minutes}: it must be a number of 0 or more")
    return None if found is None else time.monotonic() + 60 * found


def new_bar(**options) -> tqdm.std.tqdm | Lines:
    """A tqdm bar: a widget in a notebook, text in a terminal; `Lines` elsewhere.

    GROKKIT_PROGRESS says it for a notebook that nobody sees: "text" under make in a terminal, else "lines".
    """
    given = os.environ.get("GROKKIT_PROGRESS")
    in_notebook = type(sys.stderr).__module__.startswith("ipykernel")
    if given == "lines" or not (given == "text" or in_notebook or sys.stderr.isatty()):
        return Lines(**options)
    kind = tqdm.tqdm if given == "text" else tqdm.auto.tqdm
    return kind(file=Unfailing(sys.stderr), unit_scale=options["total"] > 10**6, smoothing=0.02, **options)


class ProgressBar:
    """A bar, or lines, with steps per second, the time left, and the last loss and accuracies; begun when it is first
    called."""

    def __init__(self) -> None:
        self.bar: tqdm.std.tqdm | Lines | None = None

    def __call__(self, progress: Progress) -> None:
        config, evaluated = progress.config, progress.rows[0]["step"]
        if self.bar is None:
            desc = f"{config.task} L{config.depth}"
            self.bar = new_bar(total=progress.end, initial=progress.step, desc=desc, unit="step")
            self._shown, self._evaluated = 0.0, -1 if evaluated == progress.step else evaluated
        more = progress.step - self.bar.n
        loss, val, gen = map(progress.mean, ("train_loss", "val_accuracy", "gen_accuracy"))
        text = f"loss {loss:.3f} val {val:.2f} gen {gen:.2f}"
        if isinstance(self.bar, Lines):
            self.bar.update(more, text, now=evaluated != self._evaluated)
            self._evaluated = evaluated
        else:
            self.bar.update(more)
            if time.monotonic() - self._shown > 1:
                self._shown = time.monotonic()
                self.bar.set_postfix_str(text, refresh=False)

    def close(self) -> None:
        if self.bar:
            self.bar.close()
        self.bar = None
