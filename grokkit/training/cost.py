"""What trainings will cost, said before they start: twenty steps and one small evaluation of each cell are timed."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch

from grokkit.config import Config, earlier_ends
from grokkit.data.loading import load_corpus
from grokkit.errors import GrokkitError
from grokkit.evaluation.analysis import analyse, analysis_sample
from grokkit.evaluation.evaluator import Evaluator
from grokkit.model.memory import release_memory
from grokkit.model.parameters import parameter_count
from grokkit.model.transformer import TransformerStack
from grokkit.printing import say
from grokkit.storage.run_folder import runs_of_cell
from grokkit.storage.stack_folders import planned_bytes
from grokkit.training.batches import Batches, lengths_of_lines
from grokkit.training.memory import runs_that_fit, stack_bytes
from grokkit.training.native.build import why_not
from grokkit.training.native.step import suits
from grokkit.training.progress import duration
from grokkit.training.step import TrainingStep

STEPS, PATIENCE = 20, 5.0
"""Steps that are timed, as far as they are made within so many seconds."""
TRAIN, LINES, SENTENCES = 2_000, 50, 10
"""Training lines, evaluated lines of each split, and analysed sentences, that are timed."""


@dataclass(frozen=True)
class Cost:
    """Of the `runs` that have not ended. memory: of what is trained at once; disk: of all checkpoints. [s], [bytes]."""

    runs: int
    seconds: float
    memory: int
    disk: int

    def __str__(self) -> str:
        disk = f", {size(self.disk)} on the disk" if self.disk else ""
        return f"about {duration(self.seconds)}, {size(self.memory)} of memory{disk}"


Training = tuple[Config, Sequence[int], Path | None]
"""A cell, its seeds, and the folder that it is kept in."""


def announce(trainings: Sequence[Training], device: torch.device, processes: int = 1, until: int | None = None) -> None:
    """Prints what these will cost; nothing where all have ended, or what is wrong is for training to say.

    until: where they are to stop, as in `gk.train`."""
    try:
        found = cost(trainings, device, processes, until)
    except (GrokkitError, torch.OutOfMemoryError):
        return
    if found:
        runs = sum(len(seeds) for _, seeds, _ in trainings)
        there = f" ({runs - found.runs} of them there)" if runs > found.runs else ""
        upto = "" if until is None else f" up to step {until:,}"
        how = f"{processes} processes" if processes > 1 else str(device)
        say(f"{runs} run{'s' * (runs > 1)}{there}{upto} on {how}: {found} (from {STEPS} steps and a small evaluation)")
        if earlier := earlier_ends({config.task: config.end(until) for config, *_ in trainings}, until):
            say(earlier)
        if any(suits(config, device) for config, *_ in trainings) and (lacking := why_not()):
            say(lacking)


def cost(
    trainings: Sequence[Training], device: torch.device, processes: int = 1, until: int | None = None
) -> Cost | None:
    """What is still to be paid for these trainings up to the step `until`; None where all have come so far.

    processes: they are trained side by side, one thread each. Raises GrokkitError for what cannot be trained.
    """
    timed: dict[Config, tuple[float, float, int]] = {}
    runs, each, memory, disk, threads = 0, list[float](), [0], 0, torch.get_num_threads()
    for config, seeds, out in trainings:
        end = config.end(until)
        left = [end - done for done in _steps_done(config, seeds, out) if done < end]
        if not left:
            continue
        if config not in timed:
            try:
                if processes > 1:
                    torch.set_num_threads(1)
                timed[config] = _timed(config, seeds, device)
            finally:
                torch.set_num_threads(threads)
                release_memory()  # what is free on the card decides how many runs are trained at once
        a_step, an_evaluation, bytes_at_once = timed[config]
        each.append(sum(steps * a_step + (steps / config.eval_every + 1) * an_evaluation for steps in left))
        memory.append(bytes_at_once)
        runs += len(left)
        disk += disk_of(config, len(left)) if out else 0
    if not each:
        return None
    return Cost(runs, max(sum(each) / processes, max(each)), sum(sorted(memory)[-processes:]), disk)


def disk_of(config: Config, runs: int) -> int:
    """Bytes of the checkpoints of so many runs."""
    return planned_bytes(config, runs, 12 * parameter_count(config))


def _steps_done(config: Config, seeds: Sequence[int], out: Path | None) -> list[int]:
    """Of each run the last step that is in its table; all of them for one that has failed."""
    done = dict.fromkeys(seeds, 0)
    for run in runs_of_cell(out, config.task, config.depth) if out else ():
        table = run.table() if run.seed in done else None
        if table is not None:
            last = table.iloc[-1]
            done[run.seed] = config.steps if last["status"] == "failed" else int(last["step"])
    return list(done.values())


def _timed(config: Config, seeds: Sequence[int], device: torch.device) -> tuple[float, float, int]:
    """Of one run its share of a step and of an evaluation [s], and the memory of a stack [bytes].

    Of the full size are model and batches; the splits, the sample and so the evaluation are small, and scaled. Memory
    of a CPU is what this very process has needed.
    """
    sizes = {f"{name}_size": min(getattr(config, f"{name}_size"), n) for name, n in _SMALL.items()}
    small = config.replace(analysis_sentences=min(config.analysis_sentences, SENTENCES), **sizes)
    corpus = load_corpus(small)
    if corpus.vocab.size != config.vocabulary_size:
        raise GrokkitError(f"the {config.task} corpus has other words than this config: build it with gk.preset")
    train = corpus["train"].lines[:TRAIN]
    runs = runs_that_fit(config, seeds, device)
    stack = TransformerStack(config, seeds[:runs], device)
    batches = Batches(train, corpus.vocab, config.batch_size, config.heads, stack.seeds, device)
    step = TrainingStep(stack, config, batches)
    begun, times = time.perf_counter(), list[float]()
    while len(times) < STEPS and (len(times) < 2 or time.perf_counter() - begun < PATIENCE):
        # a GPU records a shape of batch when it comes again, then replays it: few shapes, so that most are replayed
        number = len(times) % 4 if device.type == "cuda" else len(times)
        times.append(_seconds(partial(step.take, number), device))
    evaluator, sample = Evaluator(corpus, small, device), analysis_sample(corpus, small)
    with torch.no_grad():
        evaluation = _seconds(lambda: evaluator(stack), device) * _lines(config) / _lines(small)
        each = _seconds(lambda: analyse(stack, sample, corpus.vocab), device) / len(sample.sentences)
    evaluation += each * config.analysis_sentences
    memory = _peak_memory()
    if device.type == "cuda":
        lengths = lengths_of_lines(load_corpus(config)["train"].lines)
        memory = stack_bytes(config, seeds[:runs], lengths)
    return median(times) / runs, evaluation / runs, memory


_SMALL = {"train": TRAIN, "val": LINES, "gen": LINES}


def _lines(config: Config) -> int:
    return config.val_size + config.gen_size


def _seconds(do, device: torch.device) -> float:
    start = time.perf_counter()
    do()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _peak_memory() -> int:
    """What this process has held at most [bytes], 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def size(number: float) -> str:
    """Bytes in words."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{max(1, number / 1e6):.0f} MB"
