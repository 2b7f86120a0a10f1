"""Training on a GPU: like the CPU, to the bit like itself, recorded or not."""

import warnings

import pandas as pd
import pytest
import torch
from trainings import run_steps, smoke, trainer

from grokkit.model.dropout import Hashed, dropout_keys
from grokkit.training.trainer import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def recorded(t) -> int:
    return t.update.graphs.recorded


def test_cuda_trains_like_the_cpu_without_dropout():
    config = smoke(dropout=0.0, steps=60, horizon=60)
    cpu, gpu = (run_steps(config, [42, 52], 40, device) for device in ("cpu", "cuda"))
    assert torch.allclose(cpu.stack.flat, gpu.stack.flat.cpu(), atol=2e-4)
    assert recorded(gpu)  # some shapes came again


@pytest.mark.parametrize("task", ["question", "dyck"])
def test_cuda_replayed_steps_equal_plain_ones(task, monkeypatch):
    """Recorded graphs, with dropout, against the same program run without them; and a second time, to the bit."""
    config = smoke(task, steps=200, horizon=200)
    one, again = (run_steps(config, [42, 52], 150, "cuda") for _ in range(2))
    assert torch.equal(one.stack.flat, again.stack.flat)
    monkeypatch.setattr("grokkit.training.devices.MOST_GRAPHS", 0)
    plain = run_steps(config, [42, 52], 150, "cuda")
    assert recorded(one) and not recorded(plain)
    assert torch.equal(one.stack.flat, plain.stack.flat)
    assert torch.equal(one.update.loss_sum, plain.update.loss_sum)


def test_cuda_stop_and_resume_equals_uninterrupted(tmp_path):
    config = smoke()
    whole = train(config, [42, 52], tmp_path / "whole", "cuda", progress=False)
    cut = trainer(config, [42, 52], tmp_path / "cut", "cuda")
    cut._evaluate()
    for _ in range(7):
        cut._train_step()
    cut._save()
    cut.folders.close()
    pd.testing.assert_frame_equal(whole, train(config, [42, 52], tmp_path / "cut", "cuda", progress=False))


def test_cuda_dropout_is_compiled_and_equals_the_formula():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*could not be compiled")
        x = torch.randn(2, 40, 64, device="cuda")
        keys = dropout_keys((5, 6), 3)
        there, here = Hashed(0.1, keys.cuda()), Hashed(0.1, keys)
        for _ in range(3):
            assert torch.equal(there.rows(x).cpu(), here.rows(x.cpu()))
        weights = torch.rand(2, 3, 4, 10, 10, device="cuda")
        assert torch.equal(there.attention(weights, 0).cpu(), here.attention(weights.cpu(), 0))
