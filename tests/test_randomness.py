"""Stateless randomness: shares, independence of padding and of the other runs."""

import pytest
import torch

from grokkit import randomness
from grokkit.randomness import Dropout, derive_seed, row_order


def both_paths(monkeypatch, hashed: bool):
    """Sends CPU tensors through the path that other devices take."""
    if hashed:
        monkeypatch.setattr(Dropout, "_keep_cpu", lambda self, x, axes: self._keep_hashed(x))
        original = Dropout.__init__

        def init(self, probability, seeds, step, lengths, device):
            original(self, probability, seeds, step, lengths, device)
            keys = [derive_seed(seed, "dropout", step) for seed in seeds]
            self.keys = torch.tensor([key & 0xFFFFFFFF for key in keys])

        monkeypatch.setattr(Dropout, "__init__", init)


def test_seeds_differ_by_purpose():
    seeds = {derive_seed(s, p, n) for s in (0, 1, 42) for p in ("init", "order") for n in (0, 1, 11)}
    assert len(seeds) == 18 and all(0 <= seed < 2**63 for seed in seeds)


def test_row_order_is_a_permutation_of_its_own():
    assert sorted(row_order(42, 0, 100).tolist()) == list(range(100))
    assert row_order(42, 0, 100).tolist() != row_order(42, 1, 100).tolist()
    assert row_order(42, 3, 100).tolist() == row_order(42, 3, 100).tolist()


@pytest.mark.parametrize("hashed", [False, True])
def test_dropout_rate_and_scale(monkeypatch, hashed):
    both_paths(monkeypatch, hashed)
    x = torch.ones(2, 40, 50, 64)
    y = Dropout(0.1, (1, 2), 7, [50, 50], "cpu")(x, (2,))
    share = (y == 0).float().mean((1, 2, 3))
    # 128,000 decisions a run: the standard error is .00084; five of them
    assert torch.all((share - 0.1).abs() < 0.0042)
    assert torch.allclose(y[y != 0], torch.tensor(1 / 0.9), rtol=1e-3)
    # neighbours on every axis are uncorrelated (standard error .0028 a run)
    z = ((y == 0).float() - 0.1) / 0.3
    for axis in (1, 2, 3):
        n = z.shape[axis] - 1
        assert (z.narrow(axis, 0, n) * z.narrow(axis, 1, n)).mean().abs() < 0.014
    assert (z[0] * z[1]).mean().abs() < 0.014


@pytest.mark.parametrize("hashed", [False, True])
def test_dropout_ignores_padding_and_company(monkeypatch, hashed):
    both_paths(monkeypatch, hashed)
    x = torch.ones(2, 4, 9, 8)
    together = Dropout(0.1, (5, 6), 3, [7, 9], "cpu")
    alone = Dropout(0.1, (5,), 3, [7], "cpu")
    for _ in range(3):  # three places
        a, b = together(x, (2,)), alone(x[:1, :, :7], (2,))
        assert torch.equal(a[0, :, :7], b[0])
    weights = torch.ones(2, 4, 2, 9, 9)
    a, b = together(weights, (3, 4)), alone(weights[:1, :, :, :7, :7], (3, 4))
    assert torch.equal(a[0, :, :, :7, :7], b[0])


@pytest.mark.parametrize("hashed", [False, True])
def test_dropout_changes_with_step_and_place(monkeypatch, hashed):
    both_paths(monkeypatch, hashed)
    x = torch.ones(1, 4, 9, 8)
    one, again, other = (Dropout(0.1, (5,), step, [9], "cpu") for step in (3, 3, 4))
    first = one(x, (2,))
    assert torch.equal(first, again(x, (2,)))
    assert not torch.equal(first, other(x, (2,)))
    assert not torch.equal(first, one(x, (2,)))


def test_no_dropout_is_the_identity():
    x = torch.randn(1, 2, 3, 4)
    assert Dropout(0.0, (5,), 3, [3], "cpu")(x, (2,)) is x


def test_mix_is_a_bijection_on_a_sample():
    x = torch.arange(200_000)
    assert len(set(randomness._mix(x).tolist())) == 200_000
