"""The training loop: R runs of one cell at once, evaluated on their live weights, resumable at any step."""

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from grokkit.config import Config, a_config
from grokkit.data.loading import load_corpus, official_corpus
from grokkit.errors import GrokkitError
from grokkit.evaluation.analysis import analyse, analysis_sample, branching_baselines
from grokkit.evaluation.evaluator import Evaluator
from grokkit.model.linear import matmul_precision
from grokkit.model.memory import with_less_room
from grokkit.model.transformer import TransformerStack
from grokkit.places import place
from grokkit.presets import PRESETS, changes
from grokkit.signals import BrokenOff, Stopped, StopRequest, deferred_signals
from grokkit.storage.checkpoint import KEEP
from grokkit.storage.files import sha256
from grokkit.storage.identity import Run
from grokkit.storage.stack_folders import StackFolders
from grokkit.storage.table import ALWAYS, COLUMNS
from grokkit.training.batches import Batches
from grokkit.training.cost import announce
from grokkit.training.devices import pick_device, prepare
from grokkit.training.flat_adamw import restore, saved
from grokkit.training.memory import runs_that_fit
from grokkit.training.progress import Progress, ProgressBar, deadline_in
from grokkit.training.stacks import AllFailed, train_stacks
from grokkit.training.step import TrainingStep
from grokkit.values import count, flag, whole_numbers


def train(
    config: Config,
    seeds: object,
    out: str | Path | None = None,
    device: str | None = None,
    progress: bool | Callable[[Progress], None] = True,
    minutes: float | None = None,
    keep: int | None = KEEP,
    until: int | None = None,
) -> pd.DataFrame:
    """Trains one run a seed and returns the tidy table, one row per run and evaluation.

    out: folder of the cell, in which each run has its own, seed-<n>; training goes on where it stopped there. Without
    it nothing is written. Runs are trained together as one stack; those that stand at different steps go on as
    several, one after the other. progress: what it will cost and a bar (lines where there is no terminal), nothing, or
    a function that is called with a `Progress` now and then. minutes: stop cleanly after so long; the table is then
    shorter, and a later call goes on. keep: how many of the newest checkpoints stay, None for one an evaluation.
    until: stop at the last evaluation at or before this step, an opening; a later call goes on from there.
    Raises GrokkitError for bad input and when every run has failed, `Stopped` (a KeyboardInterrupt) on Ctrl-C
    or SIGTERM, after saving; its `table` has what was measured.
    """
    config = a_config(config)
    deadline, keep, end = deadline_in(minutes), count("keep", keep), config.end(until)
    progress = progress if callable(progress) else flag("progress", progress)
    out = None if out is None else place(out, "out")
    chosen, runs = pick_device(device), whole_numbers("seeds", seeds)
    if progress is True:
        announce([(config, runs, out)], chosen, 1, until)

    def stack(some: Sequence[int]) -> pd.DataFrame:
        return Trainer(config, some, out, device, keep).run(progress, deadline, end)

    return train_stacks(config, runs, stack, lambda some: runs_that_fit(config, some, chosen, tell=True), end)


class Trainer:
    """The state of one training: the stack, its optimizer, the step, the rows so far.

    `step` updates have been made; the batch, the dropout and the rate of the next one follow from it.
    """

    def __init__(
        self, config: Config, seeds: Sequence[int], out: Path | None, device: str | None, keep: int | None = KEEP
    ):
        self.config, self.end, self.device = config, config.steps, pick_device(device)
        prepare(self.device, config.precision)
        self.stack = TransformerStack(config, seeds, self.device)
        self.corpus = load_corpus(config)
        if self.corpus.vocab.size != config.vocabulary_size:
            raise GrokkitError(
                f"vocabulary_size = {config.vocabulary_size}, but the {config.task} corpus has"
                f" {self.corpus.vocab.size} words: build the config with gk.preset"
            )
        lines, vocab = self.corpus["train"].lines, self.corpus.vocab
        self.batches = Batches(lines, vocab, config.batch_size, config.heads, self.stack.seeds, self.device)
        self.evaluator = Evaluator(self.corpus, config, self.device, official_corpus(config))
        self.sample = analysis_sample(self.corpus, config)
        # the same in every row: what Figure 4 compares t_parseval with, on this very sample
        self.baselines = branching_baselines(self.sample.gold_trees) if self.sample.gold_trees else {}
        self.update = TrainingStep(self.stack, config, self.batches)
        self.step = 0
        self.rows: list[dict] = []
        self.seconds = np.zeros(self.stack.runs)  # of each run its share
        splits = {name: sha256("\n".join(split.lines)) for name, split in self.corpus.items()}
        runs = [Run(config, seed, splits) for seed in self.stack.seeds]
        self.names = {"preset": config.preset, "identity": runs[0].identity}  # the seed is no part of it
        if config.preset not in PRESETS:
            self.names["changes"] = ", ".join(f"{name}={value}" for name, value in changes(config).items())
        self.folders: StackFolders | None = None
        if out is not None:
            self.folders = StackFolders(out, runs, keep)
            try:
                self._open(self.folders)
            except BaseException:  # a traceback that somebody keeps must not keep the locks
                self.folders.close()
                raise

    # -- the loop -------------------------------------------------------------------------------------------

    def run(self, progress: bool | Callable[[Progress], None], deadline: float | None, end: int = 0) -> pd.DataFrame:
        """Trains until the evaluation `end`, by default the last, the deadline or a signal; returns the table so far.

        Whatever ends it, the folders are free for other processes then, and of the memory only the weights are kept,
        by who keeps this object or an error's traceback. So it is called once.
        """
        self.end = end or self.config.steps
        try:
            return self._run(progress, deadline)
        finally:
            self.update.let_go()
            if self.folders:
                self.folders.close()

    def _run(self, progress: bool | Callable[[Progress], None], deadline: float | None) -> pd.DataFrame:
        self._raise_if_all_failed()
        report = progress if callable(progress) else ProgressBar() if progress else None
        told = -math.inf
        with deferred_signals() as stop:
            with contextlib.suppress(BrokenOff):
                if not self.rows or self._lacking():
                    self._evaluate(stop)
                while self.step < self.end and not stop and (deadline is None or time.monotonic() < deadline):
                    self._train_step()
                    if self._lacking():
                        self._evaluate(stop)
                    if report and (time.monotonic() - told > 0.1 or self.step == self.end):
                        told = time.monotonic()
                        report(self._progress())
            if stop or self.step < self.end:
                self._save()
        if isinstance(report, ProgressBar):
            report.close()
        if stop:
            where = f"saved in {self.folders.path}; the same call goes on from there" if self.folders else "not saved"
            where += "" if self.folders else "; what was measured is the `table` of this exception"
            raise Stopped(f"stopped after step {self.step} of {self.end}, {where}", stop.signal, self.table())
        return self.table()

    def _train_step(self) -> None:
        start = time.perf_counter()
        self.update.take(self.step)
        self.step += 1
        self._took(start)

    def _took(self, start: float) -> None:
        self.seconds += (time.perf_counter() - start) / self.stack.runs

    def _lacking(self) -> bool:
        """Whether a row is due at this step that a run does not have."""
        due = self.step % self.config.eval_every == 0 or self.step == self.config.steps
        return due and any(row["step"] < self.step for row in self.rows[-self.stack.runs :])

    def _evaluate(self, stop: StopRequest | None = None) -> None:
        """Saves if that is due, measures, adds one row to each run that has none of this step, and saves again.

        Raises BrokenOff when a signal comes while it measures; the next call then measures this step.
        """
        if self.folders and self.folders.due():
            self._save()
        start = time.perf_counter()
        with torch.no_grad(), (StopRequest() if stop is None else stop).breaks_off():
            measured = with_less_room(self.stack, self._measure)
        last = {row["seed"]: row["step"] for row in self.rows}
        lacking = [r for r, seed in enumerate(self.stack.seeds) if last.get(seed, -1) < self.step]
        steps_since = self.step - min(last.values(), default=0)
        losses = (self.update.loss_sum / steps_since).tolist() if steps_since else [np.nan] * self.stack.runs
        self._mark_broken(measured)
        failed_at = self.update.failed_at.tolist()
        failed_before = {row["seed"] for row in self.rows if row["status"] == "failed"}
        for r in lacking:  # all, or those that a kill between two runs' saves has left without their row
            seed, failed = self.stack.seeds[r], failed_at[r] >= 0
            row = {name: getattr(self.config, name) for name in ("preset", "data_source", "task", "depth")}
            row |= {"seed": seed, "step": self.step}
            values = {"train_loss": losses[r]} | {name: float(value[r]) for name, value in measured.items()}
            values |= self.baselines
            names = [*(name for name in COLUMNS if name in values), *(name for name in values if name not in COLUMNS)]
            row |= {name: np.nan if failed else values[name] for name in names}
            row |= {"status": "failed" if failed else "ok", "failed_at": failed_at[r] if failed else np.nan}
            row |= self.names
            self.rows.append(row)
            if failed and seed not in failed_before:
                warnings.warn(
                    f"run with seed {seed}: its loss, weights or metrics are not finite at step {failed_at[r]};"
                    f" the run counts as failed, the others go on",
                    stacklevel=2,
                )
        self.update.loss_sum.zero_()
        self._took(start)
        self._save(only_if_due=self.step < self.end and min(failed_at) < 0)
        self._raise_if_all_failed()

    def _measure(self) -> dict[str, np.ndarray]:
        with matmul_precision("float32"):  # whatever it is trained in
            return self.evaluator(self.stack) | analyse(self.stack, self.sample, self.corpus.vocab)

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
            raise AllFailed(
                f"every run has failed: the numbers of seed {self.stack.seeds[0]} are not finite at step"
                f" {failed_at[0]}. Lower learning_rate ({self.config.learning_rate}), in another folder:"
                " this one keeps the failure",
                self.table(),
            )

    def _progress(self) -> Progress:
        return Progress(self.config, self.step, self.end, float(self.seconds.sum()), self.rows[-self.stack.runs :])

    def table(self) -> pd.DataFrame:
        """The rows so far as a table, sorted by seed and step."""
        columns = None if self.rows else [*COLUMNS, "status"]  # stopped before the first row
        return pd.DataFrame(self.rows, columns=columns).sort_values(["seed", "step"], ignore_index=True)

    # -- the folders ----------------------------------------------------------------------------------------

    def _open(self, folders: StackFolders) -> None:
        bytes_of_a_run = 3 * 4 * self.stack.parameter_count()  # weights and two moments, 4 bytes each
        by = "native" if self.update.native else "torch"
        found = folders.open(self.device, bytes_of_a_run, {"training_step": by})
        if found is None:
            return
        self.step, tensors, self.rows = found
        self._measure_as_before()
        if not tensors:  # ended, and the checkpoints have been removed: the table is all there is
            failed_at = [row["failed_at"] for row in self.rows[-self.stack.runs :]]
            self.update.failed_at.copy_(torch.tensor(failed_at).nan_to_num(-1))
            return
        restore(self.stack, self.update.adamw, tensors)
        self.update.loss_sum.copy_(tensors["loss_sum"])
        self.update.failed_at.copy_(tensors["failed_at"])
        self.seconds = tensors["seconds"].numpy()

    def _measure_as_before(self) -> None:
        """The released files are measured beside in all rows or in none, wherever a run goes on."""
        for row in self.rows:  # an earlier version wrote no identity and another name, and the folder was compared
            row |= self.names
        before = "gen_official_accuracy" in self.rows[-1]
        if not before:
            self.evaluator.official = None
        elif self.evaluator.official is None and self.step < self.config.steps:
            raise GrokkitError(
                f"the rows so far have gen_official_accuracy, but the released {self.config.task} files are not to be"
                f" read now: get them with 'grokkit download {self.config.task}'"
            )

    def _save(self, only_if_due: bool = False) -> None:
        if not self.folders or not self.rows:
            return
        if only_if_due and not self.folders.due(self.rows):
            self.folders.save_tables(self.step, self.rows, self.seconds.tolist())
            return
        tensors = saved(self.stack, self.update.adamw) | {
            "loss_sum": self.update.loss_sum,
            "failed_at": self.update.failed_at,
            "seconds": torch.from_numpy(self.seconds),
        }
        self.folders.save(self.step, tensors, self.rows, self.seconds.tolist())
