"""The kit's step beside what somebody else would take, timed in turn: `make bench`; with JAX: `make bench-peers`.

All begin with the same weights and take the same batches. Before they are timed, their losses are compared, without
dropout. Then every way makes the updates of these batches again, round after round, always in the same order; a ratio
is one of two times of the same round. With one thread a time is processor time, which others on the machine disturb
less; with more it is what a clock shows.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import pandas as pd
import torch
from peers import Compiled, Eager, Kit

from grokkit.config import Config, preset
from grokkit.data.loading import load_corpus
from grokkit.errors import GrokkitError
from grokkit.model.transformer import TransformerStack
from grokkit.storage.files import figures_root, write_json, write_text
from grokkit.storage.provenance import describe
from grokkit.training.batches import Batches
from grokkit.training.devices import keep_freed_memory

CPU = torch.device("cpu")
CLOSE = 1e-5
"""Nats a token by which the losses of a way may leave those of the kit's step in torch."""
WITH_JAX = importlib.util.find_spec("jax") is not None
CONFIGS = [*(preset("laptop", task, 4) for task in ("question", "tense", "dyck")), preset("as-run", "question", 6)]
CELLS = {f"{c.preset}-{c.task}-{runs}": (c, runs) for c in CONFIGS for runs in ((1, 10) if c.width < 512 else (1,))}
"""Ten runs of as-run in all these ways would need some 15 GB."""
UPDATES = {("laptop", 1): (16, 25), ("laptop", 10): (8, 9), ("as-run", 1): (6, 7)}
"""Updates of a round, and rounds."""
CELL = ["preset", "task", "depth", "dropout", "runs", "threads", "rounds", "updates"]


def ways(config: Config, runs: int) -> dict[str, object]:
    """Every way to train these runs that there is here, at step 0."""
    corpus, stack = load_corpus(config), TransformerStack(config, range(42, 42 + 10 * runs, 10))
    batches = Batches(corpus["train"].lines, corpus.vocab, config.batch_size, config.heads, stack.seeds, CPU)
    native, found = Kit(stack, batches, True), {}
    if native.update.native:
        found["kit, C++"] = native
    found |= {"kit, torch": Kit(stack, batches, False), "torch.nn": Eager(stack, batches)}
    found["torch.compile"] = Compiled(stack, batches)
    if WITH_JAX:
        from peers_jax import Jax

        found["JAX" if runs == 1 else "JAX, lax.map"] = Jax(stack, batches)
        if runs > 1:
            found["JAX, vmap"] = Jax(stack, batches, side_by_side=True)
    return found


def taken(way, updates: int) -> np.ndarray:
    """The losses before each update, [updates, R]; waits for the last."""
    return np.array([np.asarray(losses) for losses in [way.take(step) for step in range(updates)]]).reshape(updates, -1)


def apart(found: dict[str, object], updates: int) -> dict[str, float]:
    """By how much the losses of each way leave those of the kit's step in torch at most, over these updates.

    Raises GrokkitError where that is more than rounding: then the two do not train the same.
    """
    losses = {name: taken(way, updates) for name, way in found.items()}
    far = {name: float(abs(of - losses["kit, torch"]).max()) for name, of in losses.items()}
    if wrong := {name: distance for name, distance in far.items() if not distance <= CLOSE}:
        raise GrokkitError(f"not the same training as the kit's, losses apart: {wrong}")
    return far


def rounds_of(found: dict[str, object], updates: int, rounds: int) -> pd.DataFrame:
    """Seconds of an update, a column a way and a row a round."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter

    def timed(way) -> float:
        start = clock()
        taken(way, updates)
        return (clock() - start) / updates

    return pd.DataFrame([{name: timed(way) for name, way in found.items()} for _ in range(rounds)])


def table(times: pd.DataFrame, far: dict[str, float]) -> pd.DataFrame:
    """A row a way: milliseconds of an update, and the first way's time over its own."""
    over, spread = times.rdiv(times.iloc[:, 0], axis=0), {"": "median", "_min": "min", "_max": "max"}
    columns = {f"ms{end}": 1e3 * times.agg(of) for end, of in spread.items()}
    columns |= {f"kit_over_it{end}": over.agg(of) for end, of in spread.items()}
    return pd.DataFrame(columns).assign(losses_apart=far).rename_axis("way").reset_index()


def measure(name: str) -> pd.DataFrame:
    """The table of one cell, in this process."""
    config, runs = CELLS[name]
    if config.preset == "laptop":  # as a sweep trains
        torch.set_num_threads(1)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # JAX takes as many threads as it sees cores
    keep_freed_memory()
    updates, rounds = UPDATES[config.preset, runs]
    found = ways(config.replace(dropout=0.0), runs)
    far = apart(found, updates)
    if config.dropout:
        found.clear()
        found = ways(config, runs)
        rounds_of(found, updates, 1)
    named = config.preset, config.task, config.depth, config.dropout, runs, torch.get_num_threads(), rounds, updates
    return table(rounds_of(found, updates, rounds), far).assign(**dict(zip(CELL, named)))


def write(found: pd.DataFrame) -> None:
    """Adds the rows of a cell to figures/bench/peers.csv, in the place of what was there of it."""
    path = figures_root() / "bench" / "peers.csv"
    before = [pd.read_csv(path)] if path.exists() else []
    rows = pd.concat([*before, found]).drop_duplicates(["way", *CELL[:5]], keep="last")
    write_text(path, rows.to_csv(index=False, float_format="%.4g"))
    about = describe(CPU) | {name: version(name) for name in ("jax", "jaxlib")}
    write_json(
        path.with_suffix(".json"), {name: said for name, said in about.items() if name not in ("cores", "threads")}
    )
    print(f"written to {path}")


def main(cells: list[str]) -> None:
    """Measures these cells, each in a process of its own; a single one in this. Written is what has JAX in it."""
    if len(cells) > 1:
        for name in cells:
            subprocess.run([sys.executable, __file__, name], check=True)
        return
    print(f"{cells[0]}, runs: {CELLS[cells[0]][1]}", flush=True)
    found = measure(cells[0])
    print(found.drop(columns=CELL).to_string(index=False, float_format=lambda x: f"{x:,.3g}"), flush=True)
    if WITH_JAX:
        write(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The kit's step beside torch.nn, torch.compile and JAX.")
    parser.add_argument("cells", nargs="*", default=list(CELLS), help=", ".join(CELLS))
    main(parser.parse_args().cells)
