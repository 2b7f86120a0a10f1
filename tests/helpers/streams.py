"""Streams of a GPU, without one: who waits for whom, while everything happens at once on the CPU.

Every operation counts as one of the current stream of one device. A race is an operation on memory that another stream
has written, or that writes what another stream has read, where it need not have waited for that. What a stream has
waited for is a clock: of each stream the number of its operations.
"""

from collections import Counter, defaultdict
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Stream:
    def __init__(self, device=None):
        self.card, self.clock = card(device), Counter()

    def wait_stream(self, other: "Stream") -> None:
        self.clock |= other.clock  # the larger of each


def card(device=None) -> int:
    """The number of a device; as torch has it, without one the first."""
    return (torch.device("cuda" if device is None else device)).index or 0


class Streams(TorchDispatchMode):
    """Within the block operations are noted, as those of the card with this number; `races` has what was found."""

    def __init__(self, number: int, patch):
        super().__init__()
        self.number, self.races = number, list[str]()
        self.currents: dict[int, Stream] = defaultdict(Stream)
        self.host, self.wrote, self.read = Counter(), {}, defaultdict(dict)
        for name, value in {"Stream": Stream, "current_stream": self.current, "stream": self.used}.items():
            patch.setattr(torch.cuda, name, value)

    def current(self, device=None) -> Stream:
        return self.currents[card(device)]

    @contextmanager
    def used(self, stream: Stream):
        before, self.currents[stream.card] = self.currents[stream.card], stream
        yield
        self.currents[stream.card] = before

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        stream, kwargs = self.currents[self.number], kwargs or {}
        stream.clock |= self.host
        stream.clock[stream] += 1
        out = func(*args, **kwargs)
        written = {
            address(tensor)
            for rule, value in zip(func._schema.arguments, [*args, *[None] * len(func._schema.arguments)])
            if rule.alias_info is not None and rule.alias_info.is_write
            for tensor in tree_leaves(kwargs.get(rule.name, value))
        }
        given = set(map(address, tree_leaves((args, kwargs)))) - {0}
        for place in given:
            self._touch(place, stream, place in written, str(func))
        for place in set(map(address, tree_leaves(out))) - given:  # fresh memory
            self.wrote[place], self.read[place] = (stream, stream.clock[stream]), {}
        if func is torch.ops.aten._local_scalar_dense.default:
            self.host |= stream.clock
        return out

    def _touch(self, place: int, stream: Stream, writes: bool, name: str) -> None:
        before = [self.wrote[place]] if place in self.wrote else []
        before += self.read[place].items() if writes else []
        self.races += [f"{name} need not wait" for other, when in before if stream.clock[other] < when]
        if writes:
            self.wrote[place], self.read[place] = (stream, stream.clock[stream]), {}
        else:
            self.read[place][stream] = stream.clock[stream]


def address(value) -> int:
    """Of a tensor's memory; 0 of what is none."""
    return value.untyped_storage().data_ptr() if isinstance(value, torch.Tensor) else 0
