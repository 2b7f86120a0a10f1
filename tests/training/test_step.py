"""When a step is run as it is, recorded, and replayed: with a stand-in for CUDA, which this logic does not need."""

from contextlib import contextmanager, nullcontext

import pytest
import torch

from grokkit.config import preset
from grokkit.training import step as module
from grokkit.training.trainer import Trainer


class Recorded:
    """Stands in for torch.cuda.CUDAGraph: what was asked for while it recorded is done when it is replayed."""

    made: list = []

    def __init__(self):
        self.shapes = []
        self.replays = 0
        Recorded.made.append(self)

    def replay(self):
        self.replays += 1
        for shape in self.shapes:
            self.update(shape)


@pytest.fixture
def stand_in(monkeypatch):
    """Makes a trainer on the CPU take the CUDA way; returns the function that does so."""
    Recorded.made = []
    recording: list[Recorded] = []

    @contextmanager
    def graph(recorded, pool, stream):
        recording.append(recorded)
        yield
        recording.pop()

    class Stream:
        def wait_stream(self, other):
            pass

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Recorded)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)

    def convert(trainer):
        step = trainer.update
        plain = step._update

        def update(shape):
            if recording:
                recording[-1].shapes.append(shape)
                recording[-1].update = plain
            else:
                plain(shape)

        step.on_cuda, step.stream, step._update = True, Stream(), update
        return trainer

    return convert


@pytest.mark.parametrize("most", [400, 3])
def test_replayed_steps_are_the_steps(stand_in, monkeypatch, most):
    """40 steps with dropout: every shape is run once as it is, then recorded, then replayed; nothing changes."""
    monkeypatch.setattr(module, "MOST_GRAPHS", most)
    config = preset("smoke", "question", 2, steps=40, horizon=40)
    plain, replayed = (Trainer(config, [42, 52], None, "cpu") for _ in range(2))
    stand_in(replayed)
    for _ in range(40):
        plain._train_step()
        replayed._train_step()
    # the shapes are rounded up, so sums are taken in another order
    assert torch.allclose(plain.stack.flat, replayed.stack.flat, atol=1e-3)
    assert torch.allclose(plain.update.losses, replayed.update.losses, rtol=1e-4)
    graphs = replayed.update.graphs
    recorded = [graph for graph in graphs.values() if graph]
    assert set(Recorded.made) == set(recorded) and all(len(graph.shapes) == 1 for graph in recorded)
    if most == 3:
        assert len(recorded) == 3
    else:
        # every step but the first of each shape was a replay
        assert sum(graph.replays for graph in recorded) == 40 - len(graphs)
        assert len(graphs) < 20
