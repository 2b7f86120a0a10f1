"""Random bracket strings, drawn and matched with arrays: the machinery under grokkit.data.dyck.

The walk: with an empty stack, end with 1/2, else open; from depth 1 to m - 1, open or close with 1/2 each;
at depth m, close. An end before 4 tokens are out is drawn again. The type of an opening bracket is uniform
over the k types. Source: DEVIATIONS.md, D10 to D12.
"""

import itertools
import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_TOKENS = 4


def words_of(kinds: int) -> list[str]:
    """All brackets: the opening ones by type, a to z, or aa, ab, ... of more than 26 types; then the closing ones.

    >>> words_of(2)
    ['(a', '(b', 'a)', 'b)']
    """
    width = next(width for width in itertools.count(1) if 26**width >= kinds)
    letters = itertools.product(string.ascii_lowercase, repeat=width)
    names = ["".join(name) for name in itertools.islice(letters, kinds)]
    return [f"({name}" for name in names] + [f"{name})" for name in names]


@dataclass(frozen=True)
class Strings:
    """Balanced strings laid end to end.

    opens [tokens]: whether the token opens a bracket; types [tokens]: the bracket type, 0 .. k - 1;
    lengths [strings]: tokens of each string.
    """

    opens: np.ndarray
    types: np.ndarray
    lengths: np.ndarray

    def lines(self, kinds: int) -> list[str]:
        """The strings as text."""
        words = np.array([f"{word} ".encode() for word in words_of(kinds)])
        text = words[self.types + np.where(self.opens, 0, kinds)].tobytes().decode()
        return [line[:-1] for line in _cut(text, np.cumsum(self.lengths) * words.itemsize)]

    def structures(self, kind: str) -> list[list[bytes]]:
        """Structures of each string: of its "components" or of the "whole". Byte 1 opens, byte 0 closes."""
        ends = np.cumsum(self.lengths)
        component_ends = np.flatnonzero(np.cumsum(np.where(self.opens, 1, -1)) == 0) + 1
        stops = ends if kind == "whole" else component_ends
        return _cut(_cut(self.opens.tobytes(), stops), np.searchsorted(stops, ends, side="right"))


def _cut(sequence: Sequence, ends: np.ndarray) -> list:
    """The pieces of a sequence that end at `ends`."""
    return [sequence[begin:end] for begin, end in itertools.pairwise([0, *ends.tolist()])]


def partners(opens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the opening brackets and, in the same order, of the closing brackets that match them.

    opens [tokens] is one balanced string or several laid end to end. Within one depth, opening and closing
    brackets take turns, so that sorting by depth puts each next to its partner.
    """
    depth = np.cumsum(np.where(opens, 1, -1))
    order = np.argsort(np.where(opens, depth, depth + 1), kind="stable")
    return order[0::2], order[1::2]


def _typed(rng: np.random.Generator, opens: np.ndarray, lengths: np.ndarray, kinds: int) -> Strings:
    types = np.zeros(len(opens), dtype=np.int32)
    types[opens] = rng.integers(kinds, size=int(opens.sum()))
    begin, end = partners(opens)
    types[end] = types[begin]
    return Strings(opens, types, lengths)


def draw(rng: np.random.Generator, count: int, kinds: int, max_depth: int, max_tokens: int = 0) -> Strings:
    """`count` strings of the walk; with `max_tokens` > 0, those of them that have no more tokens."""
    owners: list[np.ndarray] = []  # of each step, the strings that go on
    moves: list[np.ndarray] = []  # and whether they open a bracket
    alive, depth = np.arange(count), np.zeros(count, dtype=np.int32)
    while len(alive) and not (max_tokens and len(moves) > max_tokens):
        up = rng.integers(2, size=len(alive), dtype=np.uint8).astype(bool)
        if len(moves) >= MIN_TOKENS:
            goes_on = up | (depth > 0)
            alive, depth, up = alive[goes_on], depth[goes_on], up[goes_on]
        up = (up | (depth == 0)) & (depth < max_depth)
        depth = np.where(up, depth + 1, depth - 1)
        owners.append(alive)
        moves.append(up)
    owner, opens = np.concatenate(owners), np.concatenate(moves)
    order = np.argsort(owner, kind="stable")  # string after string
    order = order[~np.isin(owner[order], alive)]  # those are longer than max_tokens
    lengths = np.bincount(owner[order])
    return _typed(rng, opens[order], lengths[lengths > 0], kinds)


def draw_of_length(rng: np.random.Generator, count: int, length: int, kinds: int, max_depth: int) -> Strings:
    """`count` strings of the walk given that they have exactly `length` (even, at least 4) tokens."""
    rise = _rise_probabilities(length, max_depth)
    opens = np.zeros((count, length), dtype=bool)
    depth = np.zeros(count, dtype=np.int64)
    for step in range(length):
        opens[:, step] = rng.random(count) < rise[step, depth]
        depth += np.where(opens[:, step], 1, -1)
    return _typed(rng, opens.ravel(), np.full(count, length), kinds)


def _rise_probabilities(length: int, max_depth: int) -> np.ndarray:
    """P(open | step, depth, the string ends after `length` tokens), [length, max_depth + 1]."""
    rise = np.zeros((length, max_depth + 1))
    complete = np.zeros(max_depth + 2)  # P(ends after `length` tokens | depth); no string is at max_depth + 1
    complete[0] = 0.5
    for step in range(length - 1, -1, -1):
        prior = np.full(max_depth + 1, 0.5)
        prior[0] = 1.0 if step < MIN_TOKENS else 0.5  # the other half ends the string here, which is too early
        prior[max_depth] = 0.0
        up = prior * complete[1:]
        down = (1 - prior) * np.concatenate([[0.0], complete[:max_depth]])
        total = up + down
        rise[step] = np.divide(up, total, out=np.zeros_like(up), where=total > 0)
        complete = np.append(total, 0.0)
    return rise
