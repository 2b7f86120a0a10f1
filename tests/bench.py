"""How fast the kit is, beside floors and beside the plain way, all measured in the same process: `make bench`.

A floor is the larger of two times: the arithmetic that cannot be avoided at the measured rate of one large matrix
product, and the bytes that must move at the measured rate of one large copy. Nothing runs much faster than that.
The plain way is what everybody writes first: `torch.nn.TransformerEncoder`, one seed, padded batches, AdamW; in the
rows on dropout, the same step without it. The two are timed in turn, so that their ratio holds where the machine's
speed drifts.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import pandas as pd
import torch
from peers import Eager

from grokkit.config import DEPTHS, Config, preset
from grokkit.data import TASKS, Vocabulary
from grokkit.errors import GrokkitError
from grokkit.evaluation.analysis import tree_scores
from grokkit.model.linear import matmul_precision, product
from grokkit.model.memory import release_memory
from grokkit.model.transformer import TransformerStack
from grokkit.storage.files import figures_root, write_json, write_text
from grokkit.storage.provenance import describe
from grokkit.training.trainer import Trainer, pick_device
from grokkit.trees import sci_charts
from grokkit.trees.charts import encode_all, suffix_trees

BYTES_A_PARAMETER = 36
"""Least traffic of one training step, per parameter, in float32: weights read in forward and backward (8), gradient
written and read (8), AdamW reads weight and both moments and writes them back (24), less the shared reads."""
SEEDS = range(42, 142, 10)


def seconds(device: torch.device, repeats: int, *works: Callable[[], object]) -> list[float]:
    """The median time of each work, called in turn, after one warm-up each; waits for the device."""

    def timed(work) -> float:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    for work in works:
        timed(work)
    return np.median([[timed(work) for work in works] for _ in range(repeats)], axis=0).tolist()


Rates = tuple[float, float, float]


def ceilings(device: torch.device, precision: str) -> Rates:
    """Measured rates: arithmetic in FLOP/s of the fastest product of two large matrices, bytes/s (read and written) of
    a copy, and FLOP/s of torch's own product."""
    n = 8192 if device.type == "cuda" else 1536
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(n, n, device=device, dtype=kind), torch.randn(n, n, device=device, dtype=kind)
    source = torch.randn((2**30 if device.type == "cuda" else 2**25), device=device)
    target = torch.empty_like(source)
    with torch.no_grad(), matmul_precision(precision):
        works = lambda: a @ b, lambda: product(a[None], b[None]), lambda: target.copy_(source)
        plain, ours, copy = seconds(device, 7, *works)
    return 2 * n**3 / min(plain, ours), 8 * source.numel() / copy, 2 * n**3 / plain


def row(what: str, time: float, floor: float = math.nan, plain: float = math.nan) -> dict:
    """One line of the table, times in milliseconds."""
    beside_floor = {"floor_ms": 1e3 * floor, "over_floor": time / floor}
    return {"what": what, "ms": 1e3 * time} | beside_floor | {"plain_ms": 1e3 * plain, "over_plain": time / plain}


def name_of(config: Config, runs: int) -> str:
    """What a line of the table is about."""
    threads = ", 1 thread" * (torch.get_num_threads() == 1)
    cell = f"{config.preset} {config.task} L{config.depth}, {config.precision}, dropout {config.dropout:g}"
    return f"{cell}, {runs} run{'s' * (runs > 1)}{threads}"


def training_rows(config: Config, runs: int, device: torch.device, repeats: int, rates: Rates) -> Iterator[dict]:
    """A training step of a stack, beside the plain loop for one run (times the number of runs); for a laptop run
    with dropout also the same step in turn with and without it."""
    trainer = Trainer(config, SEEDS[:runs], None, str(device))
    for _ in range(3 if device.type == "cpu" else 60):  # shapes are recorded when they come again
        trainer._train_step()
    peak = peak_of(device, trainer._train_step)
    plain, steps = Eager(trainer.stack.run(0), trainer.batches), count()
    ours, theirs = seconds(device, repeats, trainer._train_step, lambda: plain.take(next(steps)))
    parameters = trainer.stack.parameter_count()
    tokens = float(trainer.batches.lengths.mean()) * config.batch_size * runs
    dense = parameters - trainer.stack.weights["embedding"][0].numel()
    floor = max(6 * dense * tokens / rates[0], BYTES_A_PARAMETER * parameters * runs / rates[1])
    yield row(f"training step, {name_of(config, runs)}{peak}", ours, floor, runs * theirs)
    if config.preset.startswith("laptop") and config.dropout:
        without = Trainer(config.replace(dropout=0.0), SEEDS[:runs], None, str(device))
        ours, plain = seconds(device, 10 * repeats, trainer._train_step, without._train_step)
        yield row(f"dropout beside none: {name_of(config, runs)}", ours, plain=plain)


def peak_of(device: torch.device, step: Callable[[], object]) -> str:
    """What a GPU holds during some steps at most, and what torch keeps of it, as a text; nothing elsewhere."""
    if device.type != "cuda":
        return ""
    torch.cuda.reset_peak_memory_stats(device)
    for _ in range(8):
        step()
    held, kept = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
    return f", peak {held / 1e9:.1f} GB, {kept / 1e9:.1f} GB reserved"


def measuring_rows(config: Config, runs: int, device: torch.device, rates: Rates) -> Iterator[dict]:
    """Evaluation of all splits, and charts and trees of the analysis sample, of an untrained stack."""
    trainer = Trainer(config, SEEDS[:runs], None, str(device))
    stack, sample, vocab = trainer.stack, trainer.sample, trainer.corpus.vocab
    layers = sum(weight[0].numel() for name, weight in stack.weights.items() if name.startswith("layers."))

    def trees():
        tree_scores(sci_charts(stack, sample.sentences, vocab), sample.gold_masks)

    with torch.no_grad():
        evaluation, analysis = (seconds(device, 1, work)[0] for work in (lambda: trainer.evaluator(stack), trees))
    tokens = sum(tree.count for *_, tree in suffix_trees(encode_all(sample.sentences, vocab), vocab.bos))
    floor = 2 * layers * tokens * runs / rates[0]
    yield row(f"evaluation of all splits, {name_of(config, runs)}", evaluation)
    yield row(f"charts and trees of {len(sample.sentences):,} sentences, {name_of(config, runs)}", analysis, floor)


def growth_rows(config: Config, device: torch.device) -> Iterator[dict]:
    """Charts of sentences of 5 to 40 words that share none: n passes of n / 2 words, so time grows with n^2."""
    vocab = Vocabulary(f"w{i}" for i in range(5000))
    stack = TransformerStack(config.replace(vocabulary_size=vocab.size), SEEDS[:1], device)
    rng = np.random.default_rng(0)
    for n in (5, 10, 20, 40):
        sentences = [" ".join(rng.choice(vocab.words[1:], n)) for _ in range(20)]
        (time,) = seconds(device, 3, lambda: sci_charts(stack, sentences, vocab))
        yield row(f"charts of a sentence of {n} words, {name_of(config, 1)}", time / len(sentences))


def cells(device: torch.device, quick: bool) -> tuple[list, list]:
    """(config, runs) of the steps, and of the evaluations and charts, the last of which is also the one that grows."""
    if quick:
        smoke = [(preset("smoke", "question", 2), 2)]
        return smoke, smoke
    if device.type == "cuda":
        steps = [
            (preset("as-run", "question", depth, precision=precision), runs)
            for precision in ("float32", "tf32", "bf16")
            for depth in DEPTHS["as-run"]["question"]
            for runs in ((1, 10) if depth == 6 else (10,))
        ]
        steps += [(preset("as-run", task, depth), 10) for task, depth in (("tense", 4), ("dyck", 6))]
        return steps, [(preset("as-run", "question", 6), runs) for runs in (1, 10)]
    tasks = ("question", "tense", "dyck")
    steps = [(preset("laptop", task, 4, dropout=dropout), 1) for task in tasks for dropout in (0.0, 0.1)]
    steps += [(preset("laptop", "tense", 4), 3)]
    steps += [(preset("as-run", "question", 6, precision=precision), 1) for precision in ("float32", "bf16")]
    return steps, [(preset("laptop", "tense", 4), 1), (preset("as-run", "question", 6), 1)]


def tried(what: str, rows: Iterator[dict]) -> Iterator[dict]:
    """These rows; one that says why where the device cannot: the others are measured all the same."""
    failed = ""
    try:
        yield from rows
    except (GrokkitError, torch.OutOfMemoryError) as error:
        failed = str(error).splitlines()[0]
    if failed:
        yield row(f"{what}: not measured ({failed})", math.nan)
    release_memory()


def measure(device: torch.device, quick: bool) -> Iterator[dict]:
    """All rows for a device, as they come; `quick` measures the smoke preset only."""
    rates: dict[str, Rates] = {}  # measured before all else: they take gigabytes
    for precision in ("float32", "tf32", "bf16") if device.type == "cuda" else ("float32", "bf16"):
        rates[precision] = fastest, copy, torchs = ceilings(device, precision)
        release_memory()
        said = f"{fastest / 1e9:,.0f} GFLOP/s {precision} (torch.mm {torchs / 1e9:,.0f}), {copy / 1e9:,.1f} GB/s"
        yield row(f"ceiling: {said}", math.nan)
    steps, measured = cells(device, quick)
    threads = torch.get_num_threads()
    for config, runs in steps:
        if config.preset.startswith("laptop"):
            torch.set_num_threads(1)  # as a sweep trains: one process and one thread a run
        rows = training_rows(config, runs, device, 5 if quick else 31, rates[config.precision])
        yield from tried(f"training step, {name_of(config, runs)}", rows)
        torch.set_num_threads(threads)
    for config, runs in measured:
        yield from tried(f"evaluation, {name_of(config, runs)}", measuring_rows(config, runs, device, rates["float32"]))
    yield from tried("charts", growth_rows(measured[-1][0], device))
    for task in TASKS.values():
        sizes = {"train": 300, "val": 40, "gen": 40} if quick else None
        (time,) = seconds(torch.device("cpu"), 1, lambda: task.generate(1, sizes))
        yield row(f"data: {task.name}, {'small' if quick else 'Table 1 sizes'}", time)


def main(device: str | None = None, quick: bool = False) -> None:
    """Prints the table and, unless `quick`, writes it to figures/bench/<device>.csv and .json, each row as it comes."""
    where, rows, folder = pick_device(device), [], figures_root() / "bench"
    if not quick:
        write_json(folder / f"{where.type}.json", describe(where))
    for found in measure(where, quick):
        rows.append(found)
        print(f"{found['what']}: {found['ms']:,.2f} ms", flush=True)
        if not quick:
            write_text(folder / f"{where.type}.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.4g"))
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda x: f"{x:,.2f}", na_rep="-"))
    if not quick:
        print(f"written to {folder}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Speed, against floors and the plain way.")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where it is there)")
    parser.add_argument("--quick", action="store_true", help="the smoke preset only, nothing is written")
    main(**vars(parser.parse_args()))
