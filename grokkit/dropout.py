"""Dropout whose decisions are a function of (seed of the run, step, place, position), and of nothing else.

Places are numbered in the order of the calls, which is the order of the forward pass. Decisions do not depend on how
a batch is padded: a run alone and the same run in a stack draw the same.

Dimension letters: R runs, B batch, N rows, T places of a sentence, H heads, C channels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from grokkit.packing import shape_of
from grokkit.randomness import derive_seed

BITS = 16
"""Random bits spent on one decision; probabilities have a resolution of 2**-16."""
AT_ONCE = 2**16
"""Decisions that are drawn at once on the CPU, or more: small models would else spend their time on calls."""


def dropout_keys(seeds: Sequence[int], step: int) -> Tensor:
    """What the dropout of a step depends on beside places and positions: int64 [R]."""
    return torch.tensor([derive_seed(seed, "dropout", step) for seed in seeds])


class Dropout:
    """The dropout of one training step: factors, 0 for a share of the entries and 1 / (1 - share) for the others.

    On the CPU they are drawn (`Drawn`), elsewhere they are hashed from the coordinates (`Hashed`), so that the host
    has no part in it. The two differ in their numbers, not in law.

    probability: the share; keys: `dropout_keys`, on the device; lengths: int64 [R, B], tokens of each sentence.
    """

    def __init__(self, probability: float, keys: Tensor, lengths: Tensor):
        on_cpu = keys.device.type == "cpu"
        self.factors = Drawn(probability, keys, lengths) if on_cpu else Hashed(probability, keys)

    def rows(self, x: Tensor) -> Tensor:
        """x [R, N, C] times its factors. Those of rows without a token may be anything."""
        return x * self.factors.rows(*x.shape)

    def attention(self, runs: int, heads: int, first: int, count: int, length: int) -> Tensor:
        """Factors of the attention weights of `count` sentences from number `first` on: [R, count, H, T, T].

        A place is a layer; its first call has first = 0.
        """
        return self.factors.attention(runs, heads, first, count, length)


def _threshold_and_scale(probability: float) -> tuple[int, float]:
    """From which number of 2**16 on an entry stays, and by what it is multiplied then."""
    threshold = round(probability * 2**BITS)
    return threshold, 1 / (1 - threshold / 2**BITS)


class Stream:
    """The decisions of one run in one step, in the order in which they are asked for, from numpy's SFC64."""

    def __init__(self, probability: float, key: int):
        self.threshold, self.scale = _threshold_and_scale(probability)
        self.bits = np.random.SFC64(key)
        self.ready = np.empty(0, np.float32)

    def take(self, count: int, shown: int) -> Tensor:
        """The next `count` decisions as factors, and behind them some of those that come next: float32 [shown]."""
        rest = self.ready
        missing = shown - len(rest)
        if missing > 0:
            bits = self.bits.random_raw(-(-max(missing, AT_ONCE) * BITS // 64)).view(np.uint16)
            self.ready = np.empty(len(rest) + len(bits), np.float32)
            self.ready[: len(rest)] = rest
            np.multiply(bits >= self.threshold, self.scale, out=self.ready[len(rest) :], dtype=np.float32)
        factors, self.ready = self.ready[:shown], self.ready[count:]
        return torch.from_numpy(factors)


class Drawn:
    """Factors for tensors on the CPU: each run's own, drawn one after the other."""

    def __init__(self, probability: float, keys: Tensor, lengths: Tensor):
        self.streams = [Stream(probability, key) for key in keys.tolist()]
        self.counts = lengths.sum(1).tolist()  # rows of each run
        # each run's squares of attention weights as they are when it is alone: company must not change them
        self.groups = [shape_of(run[None]).groups for run in lengths.numpy()]

    def rows(self, runs: int, rows: int, channels: int) -> Tensor:
        # the decisions that come next serve rows without a token as well: no copy
        return _stacked([
            stream.take(count * channels, rows * channels).view(rows, channels)
            for stream, count in zip(self.streams, self.counts)
        ])

    def attention(self, runs: int, heads: int, first: int, count: int, length: int) -> Tensor:
        if first == 0:
            self.squares = [
                [stream.take(n := size * heads * width**2, n).view(size, heads, width, width) for size, width in groups]
                for stream, groups in zip(self.streams, self.groups)
            ]
        return _stacked([_squares(mine, first, (count, heads, length, length)) for mine in self.squares])


def _squares(groups: list[Tensor], first: int, shape: tuple[int, ...]) -> Tensor:
    """Squares [b, H, T, T] of sentences from number `first` on, cut out of a run's groups, with 0 around them."""
    squares, start = None, 0
    for group in groups:
        if start == first and group.shape == shape:
            return group
        low, high, width = max(first, start), min(first + shape[0], start + len(group)), min(shape[3], group.shape[3])
        if low < high:
            squares = torch.zeros(shape) if squares is None else squares
            squares[low - first : high - first, :, :width, :width] = group[low - start : high - start, :, :width, :width]
        start += len(group)
    return squares


def _stacked(tensors: list[Tensor]) -> Tensor:
    """torch.stack, without a copy of a single one."""
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)


class Hashed:
    """Factors from a hash of each element's coordinates, with no state and nothing on the host.

    The coordinates are hashed one axis after the other, so padding changes no other element's hash. One hash serves
    four neighbours on the last axis.
    """

    def __init__(self, probability: float, keys: Tensor):
        self.threshold, self.scale = _threshold_and_scale(probability)
        self.keys = keys
        self.place = 0

    def rows(self, runs: int, rows: int, channels: int) -> Tensor:
        self.place += 1
        return self._factors((rows, channels))

    def attention(self, runs: int, heads: int, first: int, count: int, length: int) -> Tensor:
        self.place += first == 0
        return self._factors((count, heads, length, length), first)

    def _factors(self, shape: Sequence[int], first: int = 0) -> Tensor:
        """Factors [R, *shape]. first: where the numbers of the first axis of `shape` begin."""
        sizes = [*shape[:-1], -(-shape[-1] * BITS // 64)]
        h = _mix(self.keys + self.place).view(-1, *[1] * len(sizes))
        for axis, size in enumerate(sizes):
            index = torch.arange(size, device=h.device) + (first if axis == 0 else 0)
            h = _mix(h + (index + 1).view(-1, *[1] * (len(sizes) - 1 - axis)))
        bits = h.view(torch.int16)[..., : shape[-1]]
        return (bits >= self.threshold - 2 ** (BITS - 1)) * self.scale


def _mix(x: Tensor) -> Tensor:
    """A bijective 64-bit integer hash on int64 (the finalizer of SplitMix64; products wrap around)."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        x = (x ^ (x >> shift & (1 << 64 - shift) - 1)) * factor
    return x ^ (x >> 31 & (1 << 33) - 1)
