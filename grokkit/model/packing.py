"""Batches without padding: the tokens of all sentences as rows side by side, and where attention finds them.

Everything that a transformer does to one token at a time runs on rows; attention alone needs sentences, which it
gets by one gather, and gives back by another. Sentences of a batch come longest first, in groups of similar length,
so that one long sentence does not set the width of all. What the sentences are is on the device; the sizes of
tensors (`Shape`) are known on the host, so nothing waits.

Dimension letters: R runs, B batch, N rows, T tokens of a sentence in its group, D model width, H heads,
L lines, W tokens of the longest.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

PAD = 0
FEWEST_SLOTS = 32
"""Of a sentence where shapes are few."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a packed batch. rows: N; groups: (sentences, slots of each) of each group, longest first.

    Every run has a row, and every sentence a slot, that holds no token: what is read there is thrown away, and
    gradients that come back from there are 0.
    """

    rows: int
    groups: tuple[tuple[int, int], ...]


def shape_of(lengths: np.ndarray, few: bool = False) -> Shape:
    """The smallest Shape for runs with these sentence lengths, int [R, B], each run's longest first.

    A group ends where sentences are half as long as its first. Rows are rounded up by at most a sixteenth, since
    oneDNN prepares its products for each number of rows. few: each sentence has a power of two of slots, and many rows
    are rounded up by at most a quarter, so that the same shapes come again and again, those of Dyck too.

    >>> shape_of(np.array([[9, 8, 3], [7, 7, 4]]))
    Shape(rows=21, groups=((2, 10), (1, 5)))
    """
    longest, rows = lengths.max(axis=0), int(lengths.sum(axis=1).max()) + 1
    if few:
        slots = [max(FEWEST_SLOTS, 1 << int(length).bit_length()) for length in longest]
        groups = tuple((slots.count(width), width) for width in dict.fromkeys(slots))
        return Shape(_round_up(rows, 4 if rows < 2**8 else 3), groups)
    starts = [0]
    for b, length in enumerate(longest):
        if 2 * length <= longest[starts[-1]]:
            starts.append(b)
    ends = [*starts[1:], len(longest)]
    widths = [int(longest[start]) + 1 for start in starts]
    return Shape(_round_up(rows, 5), tuple((b - a, width) for a, b, width in zip(starts, ends, widths)))


def _round_up(size: int, bits: int) -> int:
    """The next number with so many leading bits."""
    unit = 1 << max(0, size.bit_length() - bits)
    return -(-size // unit) * unit


@dataclass(frozen=True)
class Packed:
    """A batch of all runs as rows, and the indices that lead from rows to sentences and back.

    targets: the token that follows, PAD in rows without a token. lengths: tokens of each sentence, longest first.
    to_sentences: for vectors [R N 3 H, D / H] of query, key and value to [3, R, b, H, T, D / H], one group of b
    sentences after the other; to_rows: for what attention gives, [R, b, H, T, D / H] group after group, to
    [R N H, D / H]. Each is two indices for index_select: the one for the forward pass, and the one that takes
    gradients back.
    """

    shape: Shape
    heads: int
    inputs: Int[Tensor, "R N"]
    targets: Int[Tensor, "R N"]
    positions: Int[Tensor, "R N"]
    lengths: Int[Tensor, "R B"]
    to_sentences: tuple[Tensor, Tensor]
    to_rows: tuple[Tensor, Tensor]


def pack(
    table: Int[Tensor, "L W"], line_indices: Int[Tensor, "R B"], lengths: Int[Tensor, "R B"], shape: Shape, heads: int
) -> Packed:
    """Packs lines of a table, each BOS w1 .. wn EOS <pad> ..; all on the device.

    lengths: tokens of the chosen lines that something follows (BOS and words), each run's longest first; shape: theirs.
    """
    R, B, N, device = *lengths.shape, shape.rows, table.device
    ends = lengths.cumsum(1)
    starts = ends - lengths
    row = torch.arange(N, device=device)
    sentence = (row[:, None] >= ends[:, None, :]).sum(-1)  # [R, N], B in rows without a token
    real, sentence = sentence < B, sentence.clamp(max=B - 1)
    positions = torch.where(real, row - starts.gather(1, sentence), 0)
    token = line_indices.gather(1, sentence) * table.shape[1] + positions  # where it stands in the table
    inputs, targets = (torch.where(real, table.flatten()[token + k], PAD).long() for k in (0, 1))

    first_row = torch.arange(R, device=device)[:, None, None] * N  # of each run
    rows_of_slots, b = [], 0  # of each group, the row that each slot of attention reads, [R, b, 1, T]
    for sentences, width in shape.groups:
        slot, group = torch.arange(width, device=device), slice(b, b + sentences)
        filled = slot < lengths[:, group, None]
        rows = first_row + torch.where(filled, starts[:, group, None] + slot, N - 1)
        rows_of_slots.append(rows.unsqueeze(2))
        b += sentences
    head = torch.arange(heads, device=device)[:, None]
    qkv = torch.arange(3, device=device)[:, None, None, None, None]
    vectors_of_slots = torch.cat([((rows * 3 + qkv) * heads + head).flatten() for rows in rows_of_slots])
    values_of_slots = torch.cat([(rows * heads + head).flatten() for rows in rows_of_slots])
    # the last slot of each run's longest sentence holds no token; rows that no slot reads look there
    sentences, width = shape.groups[0]
    empty = torch.arange(R, device=device)[:, None] * (sentences * heads * width) + width - 1
    to_sentences = vectors_of_slots, _inverse(vectors_of_slots, empty.expand(-1, N * 3 * heads))
    to_rows = _inverse(values_of_slots, empty.expand(-1, N * heads)), values_of_slots
    return Packed(shape, heads, inputs, targets, positions, lengths, to_sentences, to_rows)


def _inverse(index: Tensor, default: Tensor) -> Tensor:
    """Where each entry is found in `index`; `default` (any shape) for those that are not there."""
    return default.flatten().scatter(0, index, torch.arange(len(index), device=index.device))
