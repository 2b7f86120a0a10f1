"""Stateless randomness: every random choice is a pure function of (seed, purpose, step).

No generator state is carried from step to step or shared between runs, so a run does not notice which other
runs train beside it, and a resumed run draws exactly what an uninterrupted one would have drawn.
"""

import hashlib
import math
from collections.abc import Sequence

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
    """A bijective 64-bit integer hash on int64 (the finalizer of SplitMix64; products wrap around)."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        x = (x ^ (x >> shift & (1 << 64 - shift) - 1)) * factor
    return x ^ (x >> 31 & (1 << 33) - 1)


def dropout_keys(seeds: Sequence[int], step: int) -> Tensor:
    """What the dropout of a step depends on beside places and positions: int64 [R]."""
    return torch.tensor([derive_seed(seed, "dropout", step) for seed in seeds])


class Dropout:
    """Dropout whose decisions depend on (seed of the run, step, place, position), and on nothing else.

    One object serves one training step. Places are numbered in the order of the calls, which is the order of
    the forward pass. Decisions do not depend on how a batch is padded: a run alone and the same run in a stack
    draw the same.

    On the CPU the bits come from numpy's SFC64, keyed by (seed, step); elsewhere from an integer hash of the
    element's coordinates, so that nothing is drawn on the host. The two differ in their numbers, not in law.

    probability: share of zeros; decisions have a resolution of 2**-16.
    keys: `dropout_keys`, on the device. lengths: int64 [R, B], tokens of each sentence, for the CPU.
    """

    def __init__(self, probability: float, keys: Tensor, lengths: Tensor):
        self.threshold = round(probability * 2**_BITS)
        self.scale = 1.0 / (1.0 - self.threshold / 2**_BITS)
        self.place = 0
        self.keys = keys
        self.on_cpu = keys.device.type == "cpu"
        if self.on_cpu:
            self.streams = [np.random.SFC64(key) for key in keys.tolist()]
            self.sentences = lengths.shape[1]
            self.counts = lengths.sum(1).tolist()  # rows of each run
            self.longest = lengths.amax(1).tolist()

    def rows(self, x: Tensor) -> Tensor:
        """x [R, N, C] with a share of its entries zeroed and the rest scaled up."""
        self.place += 1
        if not self.on_cpu:
            return x * self._keep_hashed(x.shape)
        keep = torch.empty(x.shape)
        for run, count in enumerate(self.counts):
            torch.mul(self._draw(run, count, x.shape[2]), self.scale, out=keep[run, :count])
            keep[run, count:] = 0
        return x * keep

    def attention(self, runs: int, heads: int, first: int, count: int, length: int) -> Tensor:
        """What attention weights [R, b, H, T, T] of the b sentences from number `first` on are multiplied by.

        A place is a layer; its first call has first = 0.
        """
        self.place += first == 0
        shape = (runs, count, heads, length, length)
        if not self.on_cpu:
            return self._keep_hashed(shape, first)
        if first == 0:  # for all sentences, as squares of the run's longest, which other runs do not change
            self.squares = [self._draw(run, self.sentences, heads, n, n) for run, n in enumerate(self.longest)]
        keep = torch.zeros(shape)
        for run, square in enumerate(self.squares):
            n = min(length, square.shape[-1])
            part = square[first : first + count, :, :n, :n]
            torch.mul(part, self.scale, out=keep[run, :, :, :n, :n])
        return keep

    def _draw(self, run: int, *shape: int) -> Tensor:
        """Decisions of a run, uint8 of this shape: 1 stays, 0 goes."""
        count = math.prod(shape)
        bits = self.streams[run].random_raw(-(-count * _BITS // 64)).view(np.uint16)[:count]
        return torch.from_numpy((bits >= self.threshold).view(np.uint8)).view(shape)

    def _keep_hashed(self, shape: Sequence[int], first: int = 0) -> Tensor:
        """The coordinates are hashed one axis after the other, so padding changes no other element's hash.

        One hash serves four neighbours on the last axis. first: where the numbers of the second axis begin.
        """
        sizes = [*shape[1:-1], -(-shape[-1] * _BITS // 64)]
        h = _mix(self.keys + self.place).view(-1, *[1] * len(sizes))
        for axis, size in enumerate(sizes):
            index = torch.arange(size, device=h.device) + (first if axis == 0 else 0)
            h = _mix(h + (index + 1).view(-1, *[1] * (len(sizes) - 1 - axis)))
        bits = h.view(torch.int16)[..., : shape[-1]]
        return (bits >= self.threshold - 2 ** (_BITS - 1)) * self.scale
