"""Forward passes over many token rows that begin alike: every different beginning is computed once.

What a causal model makes of a token depends on the tokens before it only. So rows of tokens are merged into a
tree of prefixes, which is cut into passes of one width; in a pass a token attends to its own prefix, whatever
else stands in the pass.

Dimension letters: R runs, N rows, K tokens of the longest row, P prefixes, B passes, T tokens of a pass.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from grokkit.model.memory import room

FLOATS_AT_ONCE = {"cpu": 2**20}
"""Floats of the largest tensor of a forward pass. On a CPU few, so that they stay in its caches; elsewhere many, so
that there is work, but so that a dozen such tensors fit into a quarter of the `room`."""
WIDTH = 64
"""Tokens of a pass. In a wider one, attention looks at more tokens in vain; in a narrower one, prefixes that other
passes have computed already take up more of the room."""


class Passes(NamedTuple):
    """Some forward passes, and what they compute that no earlier one has.

    mask: True where a token (row) attends to another (column). new: the slots, of the flattened [B * T], where the
    prefixes numbered `prefixes` end.
    """

    tokens: Int[Tensor, "B T"]
    positions: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T T"]
    new: Int[Tensor, " new"]
    prefixes: slice


class PrefixTree:
    """Every different prefix of token rows, numbered depth first: 0 .. `count` - 1.

    rows: each begins with BOS and is padded behind with -1. starts: the position of the token after BOS (which has
    0); rows with different starts have no prefix in common, not even BOS.
    numbers: int64 [N, K], the number of the prefix that ends with each token; -1 on padding.
    """

    def __init__(self, rows: Int[np.ndarray, "N K"], starts: Int[np.ndarray, " N"]):
        order = np.lexsort((*rows.T[::-1], starts))
        rows, starts = rows[order], starts[order]
        new = np.ones(rows.shape, dtype=bool)  # other than in the row before, here or further left
        new[1:] = (rows[1:] != rows[:-1]) | (starts[1:] != starts[:-1])[:, None]
        new = np.logical_or.accumulate(new, axis=1) & (rows >= 0)
        self._row, self._column = new.nonzero()
        self.count = len(self._row)
        numbers = np.full(rows.shape, -1)
        numbers[new] = np.arange(self.count)
        # a prefix that is not new is the latest one of its length
        self._numbers = np.where(rows >= 0, np.maximum.accumulate(numbers, axis=0), -1)
        self.numbers = np.empty_like(numbers)
        self.numbers[order] = self._numbers
        self._tokens = rows[self._row, self._column]
        self._positions = np.where(self._column, starts[self._row] + self._column - 1, 0)

    def passes(self, width: int, at_once: int, device) -> Iterator[Passes]:
        """All prefixes in passes of `width` tokens (at least K), `at_once` of them at a time.

        Each pass begins with the shorter prefixes of its first new one, which an earlier pass has computed.
        """
        begins = [0]
        while (end := begins[-1] + width - self._column[begins[-1]]) < self.count:
            begins.append(int(end))
        for start in range(0, len(begins), at_once):
            end = begins[start + at_once] if start + at_once < len(begins) else self.count
            yield self._passes(np.array(begins[start : start + at_once]), end, width, device)

    def _passes(self, begins: np.ndarray, end: int, width: int, device) -> Passes:
        """Passes whose first new prefixes are `begins`; the last one's last is `end` - 1."""
        depth = np.arange(self._numbers.shape[1])
        known = self._column[begins][:, None]  # so many tokens stand before the first new one
        slot = np.arange(width)
        prefixes = np.minimum(begins[:, None] + slot - known, self.count - 1)  # repeated where no more are left
        before = np.pad(self._paths(begins), [(0, 0), (0, width - len(depth))])
        prefixes = np.where(slot < known, before, prefixes)
        # in which slots of the pass the prefixes of a prefix are: among the new ones, or before them
        paths = self._paths(prefixes)  # [B, T, K]
        slots = paths - begins[:, None, None] + known[:, :, None]
        slots = np.where(paths >= begins[:, None, None], slots, depth)
        slots = np.where(paths >= 0, slots, slots[..., :1])
        mask = torch.zeros(len(begins), width, width, dtype=torch.bool, device=device)
        mask.scatter_(2, torch.from_numpy(slots).to(device), True)
        new = np.flatnonzero(slot >= known)[: end - begins[0]]
        arrays = self._tokens[prefixes], self._positions[prefixes], new
        tokens, positions, new = (torch.from_numpy(array).to(device) for array in arrays)
        return Passes(tokens, positions, mask, new, slice(int(begins[0]), end))

    def _paths(self, prefixes: np.ndarray) -> np.ndarray:
        """The prefixes of prefixes [...], BOS first and themselves last, int64 [..., K]; -1 behind."""
        depth = np.arange(self._numbers.shape[1])
        return np.where(depth <= self._column[prefixes, None], self._numbers[self._row[prefixes]], -1)


def rows_at_once(stack, tokens: int) -> int:
    """How many rows of so many tokens a forward pass may take within the bound on memory."""
    config = stack.config
    widest = max(config.ffn_width, 3 * config.width, config.heads * tokens)
    return max(1, floats_at_once(stack) // (stack.runs * tokens * widest))


def floats_at_once(stack) -> int:
    """The bound on memory, on the device of a stack."""
    return FLOATS_AT_ONCE.get(stack.device.type) or room(stack) // 48


def by_width(lengths: Int[np.ndarray, " N"]) -> Iterator[tuple[np.ndarray, int]]:
    """Groups rows of `lengths` tokens by the width of their passes: (which: int [n], a multiple of WIDTH).

    Passes have room for two rows, so that few begin in the middle of one; for long rows that costs more, in
    attention to all those tokens, than it saves.
    """
    widths = WIDTH * np.ceil(np.where(lengths <= WIDTH, 2, 1) * lengths / WIDTH).astype(np.int64)
    for width in np.unique(widths):
        yield np.flatnonzero(widths == width), int(width)
