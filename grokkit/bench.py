"""How fast the kit is, against floors measured in the same process: `make bench`.

A floor is the larger of two times: the arithmetic that cannot be avoided at the measured rate of one large matrix
product, and the bytes that must move at the measured rate of one large copy. Nothing runs much faster than that.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence

import pandas as pd
import torch

from grokkit.analysis import analyse
from grokkit.config import DEPTHS, Config, preset
from grokkit.data import TASKS
from grokkit.files import write_json, write_text
from grokkit.provenance import describe
from grokkit.results import figures_root
from grokkit.training import Trainer, pick_device

BYTES_A_PARAMETER = 36
"""Least traffic of one training step, per parameter, in float32: weights read in forward and backward (8), gradient
written and read (8), AdamW reads weight and both moments and writes them back (24), less the shared reads."""


def best_seconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The median time of one call, after one warm-up; waits for the device."""
    def timed() -> float:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    timed()
    return sorted(timed() for _ in range(repeats))[repeats // 2]


def ceilings(device: torch.device) -> tuple[float, float]:
    """Measured rates: float32 arithmetic in FLOP/s of a matrix product, and bytes/s (read and written) of a copy."""
    n = 8192 if device.type == "cuda" else 1536
    a, b = torch.randn(n, n, device=device), torch.randn(n, n, device=device)
    flops = 2 * n**3 / best_seconds(lambda: a @ b, device, 5)
    source = torch.randn((2**30 if device.type == "cuda" else 2**25), device=device)
    target = torch.empty_like(source)
    return flops, 8 * source.numel() / best_seconds(lambda: target.copy_(source), device, 5)


def step_floor(config: Config, runs: int, tokens: float, rates: tuple[float, float], parameters: int) -> float:
    """Seconds below which a training step of `runs` runs cannot go. tokens: real tokens of one run's batch."""
    embedding = (config.vocabulary_size + 2) * config.width
    arithmetic = 6 * (parameters - embedding) * tokens * runs
    return max(arithmetic / rates[0], BYTES_A_PARAMETER * parameters * runs / rates[1])


def training_rows(config: Config, runs: int, device: torch.device, rates, repeats: int) -> list[dict]:
    """Training step, evaluation and analysis of one stack."""
    trainer = Trainer(config, range(42, 42 + 10 * runs, 10), None, str(device))
    tokens = float(trainer.batches.lengths.mean()) * config.batch_size
    floor = step_floor(config, runs, tokens, rates, trainer.stack.parameter_count())
    name = f"{config.preset} {config.task} L{config.depth}, dropout {config.dropout:g}, {runs} run{'s' * (runs > 1)}"
    rows = [row(f"training step, {name}", best_seconds(trainer._train_step, device, repeats), floor)]
    with torch.no_grad():
        rows.append(row(f"evaluation, {name}", best_seconds(lambda: trainer.evaluator(trainer.stack), device, 1)))
        sample, count = trainer.sample, min(200, len(trainer.sample.sentences))
        trees = sample.gold_trees[:count] if sample.gold_trees else None
        rows.append(row(f"analysis of {count} sentences, {name}", best_seconds(
            lambda: analyse(trainer.stack, sample.sentences[:count], trees, trainer.corpus.vocab), device, 1)))
    return rows


def row(what: str, seconds: float, floor: float = math.nan) -> dict:
    """One line of the table, times in milliseconds."""
    return {"what": what, "ms": 1e3 * seconds, "floor_ms": 1e3 * floor, "ratio": seconds / floor}


def measure(device: torch.device, quick: bool) -> pd.DataFrame:
    """All rows for a device; `quick` measures the smoke preset only."""
    rates = ceilings(device)
    rows = [row(f"ceiling: {rates[0] / 1e9:,.0f} GFLOP/s float32, {rates[1] / 1e9:,.1f} GB/s", math.nan)]
    if quick:
        cells = [(preset("smoke", "question", 2), 2)]
    elif device.type == "cuda":
        cells = [(preset("as-run", "question", depth), 10) for depth in DEPTHS["as-run"]["question"]]
    else:
        cells = [(preset("laptop", "tense", 4), 1), (preset("laptop", "tense", 4, dropout=0.1), 1),
                 (preset("laptop", "tense", 4), 3), (preset("as-run", "question", 6, gen_size=100, val_size=100), 1)]
    for config, runs in cells:
        rows += training_rows(config, runs, device, rates, repeats=5 if quick else 21)
        if device.type == "cuda":
            rows[-1]["what"] += f", peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
            torch.cuda.reset_peak_memory_stats()
    for task in TASKS.values():
        sizes = {"train": 300, "val": 40, "gen": 40} if quick else None
        rows.append(row(f"data: {task.name}, {'small' if quick else 'Table 1 sizes'}",
                        best_seconds(lambda: task.generate(1, sizes), torch.device("cpu"), 1)))
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """`grokkit bench`: prints the table and writes it to figures/bench/<device>.csv and .json."""
    parser = argparse.ArgumentParser(prog="grokkit bench", description="Speed against the floors.")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where it is there)")
    parser.add_argument("--quick", action="store_true", help="the smoke preset only, nothing is written")
    options = parser.parse_args(arguments)
    device = pick_device(options.device)
    table = measure(device, options.quick)
    print(table.to_string(index=False, float_format=lambda x: f"{x:,.2f}", na_rep="-"))
    if not options.quick:
        folder = figures_root() / "bench"
        write_text(folder / f"{device.type}.csv", table.to_csv(index=False, float_format="%.4g"))
        write_json(folder / f"{device.type}.json", describe(device))
        print(f"written to {folder}")
    return 0
