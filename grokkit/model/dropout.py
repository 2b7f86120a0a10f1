"""Dropout whose decisions are a function of (seed of the run, step, site, position), and of nothing else.

A site is a place in the network where dropout is applied; sites are numbered in the order of the calls, which is the
order of the forward pass. Decisions do not depend on how a batch is padded: a run alone and the same run in a stack
draw the same.

Dimension letters: R runs, B batch, N rows, T tokens of a sentence, H heads, C channels.
"""

import functools
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from grokkit.model.packing import shape_of
from grokkit.randomness import derive_seed

BITS = 16
"""Random bits spent on one decision; probabilities have a resolution of 2**-16."""
AT_ONCE = 2**16
"""Decisions that the CPU draws in one call, at least: with fewer, small models would spend their time on calls."""
COMPILED_ON = ("cuda",)
"""Devices on which `times_hashed` is compiled to one kernel."""


def dropout_keys(seeds: Sequence[int], step: int) -> Int[Tensor, " R"]:
    """What the dropout of a step depends on beside sites and positions."""
    return torch.tensor([derive_seed(seed, "dropout", step) for seed in seeds])


def dropout_of_step(probability: float, keys: Int[Tensor, " R"], lengths: Int[Tensor, "R B"]) -> "Dropout":
    """The dropout of one training step: drawn on the CPU, elsewhere hashed, so that the host has no part in it.

    The two differ in their numbers, not in law. probability: the share of zeros; keys: `dropout_keys`, on the device;
    lengths: tokens of each sentence.
    """
    return Drawn(probability, keys, lengths) if keys.device.type == "cpu" else Hashed(probability, keys)


class Dropout:
    """Multiplies entries by 0, a share of them, or by 1 / (1 - share)."""

    def __init__(self, probability: float):
        self.threshold = round(probability * 2**BITS)  # from which number of 2**16 on an entry stays
        self.scale = 1 / (1 - self.threshold / 2**BITS)

    def rows(self, x: Float[Tensor, "R N C"]) -> Float[Tensor, "R N C"]:
        """x after dropout. What happens to rows without a token is left open."""
        raise NotImplementedError

    def attention(self, weights: Float[Tensor, "R B H T T"], first: int) -> Float[Tensor, "R B H T T"]:
        """The attention weights of some sentences, from number `first` on, after dropout, without gradient.

        A site is a layer; its first call has first = 0.
        """
        raise NotImplementedError


class Drawn(Dropout):
    """For tensors on the CPU: the decisions of each run are drawn one after the other."""

    def __init__(self, probability: float, keys: Int[Tensor, " R"], lengths: Int[Tensor, "R B"]):
        super().__init__(probability)
        self.streams = [Stream(self.threshold, self.scale, key) for key in keys.tolist()]
        self.counts = lengths.sum(1).tolist()  # rows of each run
        # each run's squares of attention weights as they are when it is alone: company must not change them
        self.groups = [shape_of(run[None]).groups for run in lengths.numpy()]

    def rows(self, x: Float[Tensor, "R N C"]) -> Float[Tensor, "R N C"]:
        rows, channels = x.shape[1:]
        # the decisions that come next serve rows without a token as well: no copy
        factors = [
            stream.take(count * channels, rows * channels).view(rows, channels)
            for stream, count in zip(self.streams, self.counts)
        ]
        return (x * _stacked(factors)).to(x.dtype)

    def attention(self, weights: Float[Tensor, "R B H T T"], first: int) -> Float[Tensor, "R B H T T"]:
        heads = weights.shape[2]
        if first == 0:
            self.squares = [
                [stream.take(n := size * heads * width**2, n).view(size, heads, width, width) for size, width in groups]
                for stream, groups in zip(self.streams, self.groups)
            ]
        return weights * _stacked([_cut(of_run, first, weights.shape[1:]) for of_run in self.squares])


class Stream:
    """The decisions of one run in one step, in the order in which they are asked for, from numpy's SFC64."""

    def __init__(self, threshold: int, scale: float, key: int):
        self.threshold, self.scale = threshold, scale
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


def _cut(groups: list[Tensor], first: int, shape: tuple[int, ...]) -> Tensor:
    """Factors [B, H, T, T] of sentences from number `first` on, cut out of a run's groups, with 0 around them."""
    squares, start = None, 0
    for group in groups:
        if start == first and group.shape == shape:
            return group
        low, high = max(first, start), min(first + shape[0], start + len(group))
        if low < high:
            width = min(shape[3], group.shape[3])
            squares = torch.zeros(shape) if squares is None else squares
            part = group[low - start : high - start, :, :width, :width]
            squares[low - first : high - first, :, :width, :width] = part
        start += len(group)
    return squares


def _stacked(tensors: list[Tensor]) -> Tensor:
    """torch.stack, without a copy of a single one."""
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)


class Hashed(Dropout):
    """For other devices: decisions are a hash of each entry's coordinates, with no state and nothing on the host.

    The coordinates are hashed one axis after the other, so padding changes no other entry's hash.
    """

    def __init__(self, probability: float, keys: Int[Tensor, " R"]):
        super().__init__(probability)
        self.keys = keys
        # tensors, since torch would compile anew for each number
        self.scale, self.site = (torch.full((), number, device=keys.device) for number in (self.scale, 0))
        self.hashes: dict[tuple[int, ...], Tensor] = {}  # of all coordinates but site and channel

    def rows(self, x: Float[Tensor, "R N C"]) -> Float[Tensor, "R N C"]:
        self.site = self.site + 1  # the gradient still needs the tensor of now
        flat, hashes = x.reshape(-1, x.shape[2]), self._hashes(x.shape[1:2])
        return TimesHashed.apply(flat, hashes, self.site, self.threshold, self.scale).view(x.shape)

    def attention(
        self, weights: Float[Tensor, "R B H T T"], first: int, site: Tensor | None = None
    ) -> Float[Tensor, "R B H T T"]:
        """As in the base class; with `site`, as it was there once more."""
        if site is None:
            site = self.site = self.site + (first == 0)
        flat = weights.reshape(-1, weights.shape[4])
        hashes = self._hashes(weights.shape[1:4], first)
        return times_hashed(flat, hashes, site, self.threshold, self.scale).view(weights.shape)

    def _hashes(self, sizes: Sequence[int], first: int = 0) -> Tensor:
        """Hashes of the run and of coordinates on axes of these sizes, int64, flat. first: where the first begins."""
        key = (*sizes, first)
        if key not in self.hashes:
            h = _mix(self.keys)
            for start, size in zip((1 + first, 1, 1), sizes):
                # flat before it is mixed: of views, torch would compile a program for each form of what they show
                h = _mix((h.unsqueeze(1) + torch.arange(start, start + size, device=h.device)).flatten())
            self.hashes[key] = h
        return self.hashes[key]


def compiled(function: Callable) -> Callable:
    """`function` of tensors, without gradient, compiled by torch to one kernel where the first is on `COMPILED_ON`.

    Elsewhere, and where compiling fails (which is said once), it is called as it is: the same numbers, only slower.
    torch compiles anew for every Python number, so numbers that change are better given as tensors.
    """
    best: Callable | None = None

    @functools.wraps(function)
    def call(first: Tensor, *arguments):
        nonlocal best
        if first.device.type not in COMPILED_ON or best is function:
            return function(first, *arguments)
        try:
            if best is None:
                best = torch.compile(function, dynamic=True)  # imports the compiler, a second that others need not wait
            # whether gradients or autocast are on would each be compiled apart
            with torch.no_grad(), torch.autocast(first.device.type, enabled=False):
                return best(first.detach(), *arguments)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a compiler, or the lack of one, comes up with
            if torch.cuda.is_current_stream_capturing():
                raise
            best = function
            warnings.warn(
                f"{function.__name__} could not be compiled ({type(error).__name__}) and runs unfused, several times"
                " as slow; the numbers stay the same",
                stacklevel=2,
            )
            return function(first, *arguments)

    return call


@compiled
def times_hashed(x: Tensor, hashes: Tensor, site: Tensor, threshold: int, scale: Tensor) -> Tensor:
    """x [M, C] after dropout, by the hashes of its rows, int64 [M], and of site, int64 [], and channel.

    One hash serves four channels. scale: float32 [].
    """
    channel = torch.arange(x.shape[1], device=x.device)
    h = _mix(_mix(hashes + site).unsqueeze(1) + (channel // 4 + 1))
    bits = (h >> BITS * (channel % 4)) & 2**BITS - 1
    return (x * torch.where(bits >= threshold, scale, 0.0)).to(x.dtype)


class TimesHashed(torch.autograd.Function):
    """`times_hashed`, and for the gradient the same again: the decisions are not kept, they are hashed anew."""

    @staticmethod
    def forward(ctx, x: Tensor, hashes: Tensor, *arguments) -> Tensor:
        ctx.save_for_backward(hashes)
        ctx.arguments = arguments
        return times_hashed(x, hashes, *arguments)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output: Tensor):
        return times_hashed(grad_output, *ctx.saved_tensors, *ctx.arguments), None, None, None, None


def _mix(x: Tensor) -> Tensor:
    """A bijective 64-bit integer hash on int64 (the finalizer of SplitMix64; products wrap around)."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        x = (x ^ (x >> shift & (1 << 64 - shift) - 1)) * factor
    return x ^ (x >> 31 & (1 << 33) - 1)
