"""The training loop: R runs of one cell at once, evaluated on their live weights, resumable at any step."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from grokkit.config import Config
from grokkit.data.loading import load_corpus, official_corpus
from grokkit.errors import GrokkitError
from grokkit.evaluation.analysis import analyse, analysis_sample, branching_baselines
from grokkit.evaluation.evaluator import Evaluator
from grokkit.model.transformer import TransformerStack
from grokkit.signals import Stopped, deferred_signals
from grokkit.storage import checkpoint
from grokkit.storage.run_folder import RunFolder
from grokkit.storage.table import ALWAYS, COLUMNS
from grokkit.training.batches import Batches
from grokkit.training.devices import keep_freed_memory, pick_device
from grokkit.training.flat_adamw import restore, saved
from grokkit.training.progress import Progress, ProgressBar
from grokkit.training.step import TrainingStep


def train(
    config: Config,
    seeds: Sequence[int],
    out: str | Path | None = None,
    device: str | None = None,
    progress: bool | Callable[[Progress], None] = True,
    minutes: float | None = None,
    keep: int | None = checkpoint.KEEP,
) -> pd.DataFrame:
    """Trains one run a seed and returns the tidy table, one row per run and evaluation.

    out: folder for the table and the checkpoints; training goes on where it stopped there. Without it nothing
    is written. progress: a bar, nothing, or a function that is called with a `Progress` now and then.
    minutes: stop cleanly after so long; the table is then shorter, and a later call goes on. keep: how many of
    the newest checkpoints stay, None for one an evaluation.
    Raises GrokkitError for bad input and when every run has failed, `Stopped` (a KeyboardInterrupt) on Ctrl-C
    or SIGTERM, after saving.
    """
    deadline = deadline_in(minutes)
    return Trainer(config, seeds, out, device, keep).run(progress, deadline)


def deadline_in(minutes: float | None) -> float | None:
    """The moment, on the clock of time.monotonic, that lies so many minutes ahead. Raises GrokkitError."""
    if minutes is not None and not minutes >= 0:
        raise GrokkitError(f"minutes = {minutes}: it must be a number of 0 or more")
    return None if minutes is None else time.monotonic() + 60 * minutes


class Trainer:
    """The state of one training: the stack, its optimizer, the step, the rows so far.

    `step` updates have been made; the batch, the dropout and the rate of the next one follow from it.
    """

    def __init__(
        self,
        config: Config,
        seeds: Sequence[int],
        out: str | Path | None,
        device: str | None,
        keep: int | None = checkpoint.KEEP,
    ):
        self.config = config
        self.device = pick_device(device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.stack = TransformerStack(config, seeds, self.device)
        self.folder = RunFolder(Path(out), config, self.stack.seeds, keep) if out is not None else None
        self.corpus = load_corpus(config)
        if self.corpus.vocab.size != config.vocabulary_size:
            raise GrokkitError(
                f"vocabulary_size = {config.vocabulary_size}, but the {config.task} corpus has"
                f" {self.corpus.vocab.size} words: build the config with gk.preset"
            )
        self.batches = Batches(
            self.corpus["train"].lines,
            self.corpus.vocab,
            config.batch_size,
            config.heads,
            self.stack.seeds,
            self.device,
        )
        self.evaluator = Evaluator(self.corpus, config, self.device, official_corpus(config))
        self.sample = analysis_sample(self.corpus, config)
        # the same in every row: what Figure 4 compares t_parseval with, on this very sample
        self.baselines = branching_baselines(self.sample.gold_trees) if self.sample.gold_trees else {}
        self.update = TrainingStep(self.stack, config, self.batches)
        self.step = 0
        self.rows: list[dict] = []
        self.seconds = 0.0
        if self.folder:
            try:
                self._open()
            except BaseException:  # a traceback that somebody keeps must not keep the lock
                self.folder.close()
                raise

    # -- the loop -------------------------------------------------------------------------------------------

    def run(self, progress: bool | Callable[[Progress], None], deadline: float | None) -> pd.DataFrame:
        """Trains until the last step, the deadline or a signal; returns the table so far.

        Whatever ends it, the folder is free for another process then.
        """
        try:
            return self._run(progress, deadline)
        finally:
            if self.folder:
                self.folder.close()

    def _run(self, progress: bool | Callable[[Progress], None], deadline: float | None) -> pd.DataFrame:
        self._raise_if_all_failed()
        report = progress if callable(progress) else ProgressBar(self.config, self.step) if progress else None
        told = -math.inf
        with deferred_signals() as stop:
            if not self.rows:
                self._evaluate()
            while self.step < self.config.steps and not stop and (deadline is None or time.monotonic() < deadline):
                self._train_step()
                if self.step % self.config.eval_every == 0 or self.step == self.config.steps:
                    self._evaluate()
                if report and (time.monotonic() - told > 0.1 or self.step == self.config.steps):
                    told = time.monotonic()
                    report(self._progress())
            if stop or self.step < self.config.steps:
                self._save()
        if isinstance(report, ProgressBar):
            report.close()
        if stop:
            where = f"saved in {self.folder.path}; the same call goes on from there" if self.folder else "not saved"
            raise Stopped(f"stopped after step {self.step} of {self.config.steps}, {where}", stop.signal)
        return self.table()

    def _train_step(self) -> None:
        start = time.perf_counter()
        self.update.take(self.step)
        self.step += 1
        self.seconds += time.perf_counter() - start

    def _evaluate(self) -> None:
        """Adds one row a run, and saves."""
        start = time.perf_counter()
        with torch.no_grad():
            measured = self.evaluator(self.stack) | analyse(
                self.stack, self.sample.sentences, self.sample.gold_trees, self.corpus.vocab
            )
        steps_since = self.step - (self.rows[-1]["step"] if self.rows else 0)
        losses = (self.update.loss_sum / steps_since).tolist() if steps_since else [np.nan] * self.stack.runs
        self._mark_broken(measured)
        failed_at = self.update.failed_at.tolist()
        failed_before = {row["seed"] for row in self.rows if row["status"] == "failed"}
        for r, seed in enumerate(self.stack.seeds):
            failed = failed_at[r] >= 0
            values = {"train_loss": losses[r]} | {name: float(value[r]) for name, value in measured.items()}
            values |= self.baselines
            names = [*(name for name in COLUMNS if name in values), *(name for name in values if name not in COLUMNS)]
            self.rows.append(
                self._key(seed)
                | {name: np.nan if failed else values[name] for name in names}
                | {"status": "failed" if failed else "ok", "failed_at": failed_at[r] if failed else np.nan}
            )
            if failed and seed not in failed_before:
                warnings.warn(
                    f"run with seed {seed}: its loss, weights or metrics are not finite at step {failed_at[r]};"
                    f" the run counts as failed, the others go on",
                    stacklevel=2,
                )
        self.update.loss_sum.zero_()
        self.seconds += time.perf_counter() - start
        self._save()
        self._raise_if_all_failed()

    def _mark_broken(self, measured: dict[str, np.ndarray]) -> None:
        """Marks runs whose numbers have broken although their losses were finite: weights, or what is measured.

        An arg max over nan is a number, so that an accuracy of broken weights would look like one.
        """
        broken = ~torch.isfinite(self.stack.flat).all(1).cpu().numpy()
        for name, values in measured.items():
            values = np.asarray(values, dtype=float)
            broken |= ~np.isfinite(values) if name in ALWAYS else np.isinf(values)
        failed_at = self.update.failed_at
        failed_at[torch.from_numpy(broken).to(self.device) & (failed_at < 0)] = self.step

    def _raise_if_all_failed(self) -> None:
        """They count as failed and are not trained again: a failed run is a result, it is not drawn again."""
        failed_at = self.update.failed_at.tolist()
        if min(failed_at) >= 0:
            raise GrokkitError(
                f"every run has failed: the numbers of seed {self.stack.seeds[0]} are not finite at step"
                f" {failed_at[0]}. Lower learning_rate ({self.config.learning_rate}), in another folder:"
                " this one keeps the failure"
            )

    def _key(self, seed: int) -> dict:
        c = self.config
        return {
            "preset": c.preset,
            "data_source": c.data_source,
            "task": c.task,
            "depth": c.depth,
            "seed": seed,
            "step": self.step,
        }

    def _progress(self) -> Progress:
        return Progress(self.config, self.step, self.seconds, self.rows[-self.stack.runs :])

    def table(self) -> pd.DataFrame:
        """The rows so far as a table, sorted by seed and step."""
        return pd.DataFrame(self.rows).sort_values(["seed", "step"], ignore_index=True)

    # -- the folder -----------------------------------------------------------------------------------------

    def _open(self) -> None:
        found = self.folder.open(self.device)
        if found is None:
            return
        self.step, tensors, self.rows = found
        if not tensors:  # finished, and its checkpoints have been removed: the table is all there is
            return
        restore(self.stack, self.update.adamw, tensors)
        self.update.loss_sum.copy_(tensors["loss_sum"])
        self.update.failed_at.copy_(tensors["failed_at"])
        self.seconds = float(tensors["seconds"])

    def _save(self) -> None:
        if not self.folder:
            return
        tensors = saved(self.stack, self.update.adamw) | {
            "loss_sum": self.update.loss_sum,
            "failed_at": self.update.failed_at,
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
        }
        self.folder.save(self.step, tensors, self.rows, self.seconds)
