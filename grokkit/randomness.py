"""Stateless randomness: every random choice is a pure function of (seed, purpose, step).

No generator state is carried from step to step or shared between runs, so a run does not notice which other
runs train beside it, and a resumed run draws exactly what an uninterrupted one would have drawn.
"""

import hashlib

import numpy as np
import torch
from torch import Tensor

_BITS = 16  # random bits spent on one dropout decision


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that depends on `seed` and on every word of `purpose`.

    >>> derive_seed(42, "init", "embedding") == derive_seed(42, "init", "embedding")
    True
    >>> derive_seed(42, "order", 0) == derive_seed(42, "order", 1)
    False
    """
    text = "/".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator seeded by `derive_seed`; for draws that are made once (initialization, order of data)."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def row_order(seed: int, epoch: int, rows: int) -> Tensor:
    """The order in which run `seed` sees the training rows in `epoch`: a permutation, int64 [rows]."""
    return torch.randperm(rows, generator=generator(seed, "order", epoch))


def _mix(x: Tensor) -> Tensor:
    """A bijective 32-bit integer hash, on int64 tensors that hold 32-bit values (constants: "lowbias32")."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return x ^ (x >> 16)


class Dropout:
    """Dropout whose decisions depend on (seed of the run, step, place, position), and on nothing else.

    One object serves one training step. `places` are numbered in the order of the calls, which is the order of
    the forward pass. The decisions of a sentence do not depend on how far the batch is padded: a run alone and
    the same run in a stack draw the same.

    On the CPU the bits come from numpy's SFC64, keyed by (seed, step); elsewhere from an integer hash of the
    element's coordinates, so that nothing is drawn on the host. The two differ in their numbers, not in law.

    probability: share of zeros; decisions have a resolution of 2**-16.
    lengths: int64 [R], the longest row (in tokens) that each run has in this batch.
    """

    def __init__(self, probability: float, seeds: tuple[int, ...], step: int, lengths: list[int], device):
        self.threshold = round(probability * 2**_BITS)
        self.scale = 1.0 / (1.0 - self.threshold / 2**_BITS)
        self.lengths = lengths
        self.device = torch.device(device)
        self.place = 0
        keys = [derive_seed(seed, "dropout", step) for seed in seeds]
        if self.device.type == "cpu":
            self.streams = [np.random.SFC64(key) for key in keys]
        else:
            self.keys = torch.tensor([key & 0xFFFFFFFF for key in keys], device=self.device)

    def __call__(self, x: Tensor, token_axes: tuple[int, ...]) -> Tensor:
        """x [R, ...] with a share of its entries zeroed and the rest scaled up.

        token_axes: the axes of x that run over tokens, which padding makes longer.
        """
        if self.threshold == 0:
            return x
        keep = self._keep_cpu(x, token_axes) if self.device.type == "cpu" else self._keep_hashed(x)
        self.place += 1
        return x * keep

    def _keep_cpu(self, x: Tensor, token_axes: tuple[int, ...]) -> Tensor:
        padded = any(length < x.shape[token_axes[0]] for length in self.lengths)
        keep = torch.zeros(x.shape) if padded else torch.empty(x.shape)
        for run, (stream, length) in enumerate(zip(self.streams, self.lengths)):
            view = keep[run]
            for axis in token_axes:
                view = view.narrow(axis - 1, 0, length)
            count = view.numel()
            bits = stream.random_raw(-(-count * _BITS // 64)).view(np.uint16)[:count]
            kept = torch.from_numpy((bits >= self.threshold).view(np.uint8))
            view.copy_(kept.view(view.shape))
        return keep.mul_(self.scale)

    def _keep_hashed(self, x: Tensor) -> Tensor:
        """The coordinates are hashed one axis after the other, so padding changes no other element's hash."""
        h = _mix(self.keys ^ _mix(torch.full_like(self.keys, self.place + 1)))
        h = h.view(-1, *[1] * (x.dim() - 1))
        for axis in range(1, x.dim()):
            index = torch.arange(x.shape[axis], device=x.device).view(-1, *[1] * (x.dim() - 1 - axis))
            h = _mix(h + index * 0x9E3779B9 & 0xFFFFFFFF)
        return (h >> (32 - _BITS) >= self.threshold).to(x.dtype) * self.scale
