"""Dropout: shares, independence of padding and of the other runs."""

import shutil
import warnings

import pytest
import torch
from trainings import run_steps, smoke

from grokkit.model import dropout as module
from grokkit.model.dropout import Drawn, Dropout, Hashed, compiled, dropout_keys, dropout_of_step

BOTH = pytest.mark.parametrize("hashed", [False, True])


def dropout(seeds, step, lengths, hashed: bool, probability=0.1) -> Dropout:
    """hashed: sends CPU tensors through the path that other devices take."""
    keys = dropout_keys(seeds, step)
    return Hashed(probability, keys) if hashed else dropout_of_step(probability, keys, torch.tensor(lengths))


def attention(made: Dropout, runs, heads, first, count, length) -> torch.Tensor:
    """The factors alone."""
    return made.attention(torch.ones(runs, count, heads, length, length), first)


@BOTH
def test_dropout_rate_and_scale(hashed):
    made = dropout((1, 2), 7, [[50] * 40] * 2, hashed)
    assert isinstance(made, Hashed if hashed else Drawn)
    for y in (made.rows(torch.ones(2, 2000, 64)), attention(made, 2, 4, 0, 40, 50)):
        share = (y == 0).float().flatten(1).mean(1)
        # at least 128,000 decisions a run: the standard error is at most .00084; five of them
        assert torch.all((share - 0.1).abs() < 0.0042)
        assert torch.allclose(y[y != 0], torch.tensor(1 / 0.9), rtol=1e-3)
        # neighbours on every axis are uncorrelated (standard error at most .0028 a run; of 3 heads, .0033)
        z = ((y == 0).float() - 0.1) / 0.3
        for axis in range(1, y.dim()):
            n = z.shape[axis] - 1
            assert (z.narrow(axis, 0, n) * z.narrow(axis, 1, n)).mean().abs() < 0.014
        assert (z[0] * z[1]).mean().abs() < 0.014


@BOTH
def test_dropout_ignores_padding_and_company(hashed, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 64)  # so that draws are made in the middle of what is asked for
    together = dropout((5, 6), 3, [[7, 4, 2], [9, 8, 2]], hashed)
    alone = dropout((5,), 3, [[7, 4, 2]], hashed)
    for _ in range(3):  # three sites of each kind
        a, b = together.rows(torch.ones(2, 20, 8)), alone.rows(torch.ones(1, 14, 8))
        assert torch.equal(a[0, :13], b[0, :13])
        # two groups of sentences in company, one alone
        front, back = attention(together, 2, 2, 0, 2, 10), attention(together, 2, 2, 2, 1, 3)
        whole = attention(alone, 1, 2, 0, 3, 8)
        assert torch.equal(front[0, :, :, :7, :7], whole[0, :2, :, :7, :7])
        assert torch.equal(back[0, :, :, :2, :2], whole[0, 2:, :, :2, :2])


@BOTH
def test_dropout_changes_with_step_and_site(hashed):
    x = torch.ones(1, 36, 8)
    one, again, other = (dropout((5,), step, [[9] * 4], hashed) for step in (3, 3, 4))
    first = one.rows(x)
    assert torch.equal(first, again.rows(x))
    assert not torch.equal(first, other.rows(x))
    assert not torch.equal(first, one.rows(x))
    layer = attention(one, 1, 2, 0, 4, 9)
    assert torch.equal(layer, (again.rows(x), attention(again, 1, 2, 0, 4, 9))[1])
    assert not torch.equal(layer, attention(one, 1, 2, 0, 4, 9))


@BOTH
def test_the_gradient_sees_the_same_decisions(hashed):
    x = torch.randn(2, 14, 8, dtype=torch.float64, requires_grad=True)
    made, again = (dropout((5, 6), 3, [[7, 4, 2], [9, 2, 2]], hashed) for _ in range(2))
    towards = torch.randn(2, 14, 8, dtype=torch.float64)
    y = made.rows(x)
    (gradient,) = torch.autograd.grad((y * towards).sum(), x)
    factors = again.rows(torch.ones_like(x))
    torch.testing.assert_close(y, x * factors)
    torch.testing.assert_close(gradient, towards * factors)


def test_mix_is_the_finalizer_of_splitmix64():
    """Against Python's integers."""

    def plain(z):
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    x = torch.cat([torch.arange(20_000), torch.tensor([-1, -(2**63), 2**63 - 1, -123456789])])
    assert [value % 2**64 for value in module._mix(x).tolist()] == [plain(value % 2**64) for value in x.tolist()]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "error:.*could not be compiled")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_compiled_the_decisions_are_the_same(monkeypatch):
    """As CUDA runs it, by the compiler's other back end: the same training to the bit, by one program for all shapes
    (torch gives up after eight)."""
    cells = [(task, seeds) for task in ("question", "dyck") for seeds in ([1], [1, 2, 3])]
    monkeypatch.setattr(
        "grokkit.training.step.dropout_of_step", lambda probability, keys, lengths: Hashed(probability, keys)
    )

    def trained() -> list[torch.Tensor]:
        return [run_steps(smoke(task, dropout=0.1), seeds, 12).stack.flat for task, seeds in cells]

    plain = trained()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    monkeypatch.setattr(module, "COMPILED_ON", ("cpu",))
    for cell, expected, found in zip(cells, plain, trained()):
        assert torch.equal(found, expected), cell
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize("late", [False, True])
def test_what_cannot_be_compiled_runs_as_it_is(monkeypatch, late):
    """With a compiler that fails, at once or at the first call."""

    def broken(*arguments):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(module, "COMPILED_ON", ("cpu",))
    monkeypatch.setattr(torch, "compile", (lambda function, dynamic: broken) if late else broken)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    doubled = compiled(lambda x, factor: ("done", factor))
    with pytest.warns(UserWarning, match="could not be compiled"):
        assert doubled(torch.ones(1), 2) == ("done", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert doubled(torch.ones(1), 3) == ("done", 3)
