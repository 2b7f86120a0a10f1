"""What the kit is timed beside trains the same: its losses are the kit's, and where they are not it is not timed."""

from functools import partial
from importlib.util import find_spec

import bench_peers
import numpy as np
import pandas as pd
import peers
import pytest
import torch
from torch_model import PlainTraining

from grokkit.errors import GrokkitError
from grokkit.presets import preset

CONFIG = preset("smoke", "question", 2, width=32, heads=2, ffn_width=48, dropout=0.0, warmup_steps=50, clip_norm=0.5)
JAX = {1: {"JAX"}, 3: {"JAX, lax.map", "JAX, vmap"}} if find_spec("jax") else {1: set(), 3: set()}
PEERS = {"torch.nn", "torch.compile"}
UPDATES = 8


@pytest.fixture(autouse=True)
def compiled_in_no_time(monkeypatch):
    """torch.compile reads the model as it does in the benchmark, but has no code made of it."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


@pytest.mark.parametrize("runs", [1, 3])
def test_every_way_has_the_losses_of_float64(runs):
    found = bench_peers.ways(CONFIG, runs)
    assert set(found) - {"kit, C++"} == {"kit, torch"} | PEERS | JAX[runs]
    kit = found["kit, torch"].update
    plain = [PlainTraining(kit.stack, run, kit.batches) for run in range(runs)]
    exact = np.array([[run.take(step) for run in plain] for step in range(UPDATES)])
    for name, way in found.items():
        assert bench_peers.taken(way, UPDATES) == pytest.approx(exact, abs=2e-6), name
    assert set(bench_peers.apart(found, 2)) == set(found)


@pytest.mark.parametrize(
    "changes", [{"heads": 1}, {"learning_rate": 1e-3}, {"clip_norm": 10.0}, {"beta1": 0.8}, {"epsilon": 1e-4}]
)
def test_what_trains_otherwise_is_not_timed(changes):
    same, other = bench_peers.ways(CONFIG, 1)["kit, torch"], bench_peers.ways(CONFIG.replace(**changes), 1)
    with pytest.raises(GrokkitError, match="not the same training as the kit's") as refused:
        bench_peers.apart(other | {"kit, torch": same}, UPDATES)
    assert all(f"'{name}'" in str(refused.value) for name in PEERS | JAX[1])


def test_every_way_has_dropout():
    without, dropped = (bench_peers.ways(CONFIG.replace(dropout=share), 3) for share in (0.0, 0.4))
    for name in PEERS | JAX[3]:
        first, second = bench_peers.taken(without[name], 1), bench_peers.taken(dropped[name], 1)
        assert (abs(first - second) > 1e-3).all() and (abs(first - second) < 1).all(), name


def test_lengths_are_multiples_where_lines_are_so_long():
    batches = bench_peers.ways(CONFIG, 1)["torch.nn"].batches
    longest = int(batches.lengths.max())
    for line, length in enumerate(batches.lengths[:50]):
        found = peers.padded(batches, np.array([line]), 4)
        assert found.shape == (1, min(-(-length // 4) * 4, longest) + 1)
        assert int((found != 0).sum()) == length + 1


def test_ratios_are_of_times_in_one_round():
    calls = []

    class Way:
        def __init__(self, name):
            self.name = name

        def take(self, step):
            calls.append((self.name, step))
            return [0.0]

    times = bench_peers.rounds_of({"a": Way("a"), "b": Way("b")}, 2, 3)
    assert calls == [("a", 0), ("a", 1), ("b", 0), ("b", 1)] * 3 and times.shape == (3, 2)
    times = pd.DataFrame({"kit": [0.001, 0.004, 0.006], "other": [0.002, 0.016, 0.006]})
    line = bench_peers.table(times, {"kit": 0.0, "other": 1e-6}).set_index("way").loc["other"]
    assert (line.ms, line.ms_min, line.ms_max) == pytest.approx((6, 2, 16))
    assert (line.kit_over_it, line.kit_over_it_min, line.kit_over_it_max) == pytest.approx((0.5, 0.25, 1))
