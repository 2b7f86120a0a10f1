"""Batches without padding: the tokens of all sentences as rows side by side, and where attention finds them.

Everything that a transformer does to one token at a time runs on rows; attention alone needs sentences, which it
gets by one gather, and gives back by another. Sentences of a batch come longest first, in groups of similar length,
so that one long sentence does not set the width of all. What the sentences are is on the device; the sizes of
tensors (`Shape`) are known on the host, so nothing waits.

Dimension letters: R runs, B batch, N rows, T places of a sentence in its group, D width, H heads.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

PAD = 0


@dataclass(frozen=True)
class Shape:
    """The sizes of a packed batch. rows: N; groups: (sentences, places) of each group, longest first.

    Every run has a row, and every sentence a place, that holds no token: what is read there is thrown away, and
    gradients that come back from there are 0.
    """

    rows: int
    groups: tuple[tuple[int, int], ...]


def shape_of(lengths: np.ndarray, few: bool = False) -> Shape:
    """The smallest Shape for runs with these sentence lengths, int [R, B], each run's longest first.

    A group ends where sentences are half as long as its first. Rows are rounded up by at most a sixteenth, since
    oneDNN prepares its products for each number of rows. few: rows are rounded up by at most an eighth and places by
    at most a quarter, so that the same shapes come again and again.

    >>> shape_of(np.array([[9, 8, 3], [7, 7, 4]]))
    Shape(rows=21, groups=((2, 10), (1, 5)))
    """
    longest = lengths.max(axis=0)
    starts = [0]
    for b, length in enumerate(longest):
        if 2 * length <= longest[starts[-1]]:
            starts.append(b)
    ends = [*starts[1:], len(longest)]

    def up(size: int, bits: int) -> int:
        unit = 1 << max(0, size.bit_length() - bits)
        return -(-size // unit) * unit

    widths = [int(longest[start]) + 1 for start in starts]
    groups = tuple((end - start, up(width, 3) if few else width) for start, end, width in zip(starts, ends, widths))
    return Shape(up(int(lengths.sum(axis=1).max()) + 1, 4 if few else 5), groups)


@dataclass(frozen=True)
class Packed:
    """A batch of all runs as rows, and the indices that lead from rows to sentences and back.

    inputs, targets, positions: int64 [R, N]; targets is the token that follows, PAD in rows without a token.
    lengths: int64 [R, B], tokens of each sentence, longest first.
    to_sentences: takes vectors [R N 3 H, D / H] of query, key and value to [3, R, b, H, T, D / H], one group after
    the other; to_rows: takes what attention gives, [R, b, H, T, D / H] group after group, to [R N H, D / H].
    Each is a pair: where to read from on the way, and on the way back.
    """

    shape: Shape
    inputs: Tensor
    targets: Tensor
    positions: Tensor
    lengths: Tensor
    to_sentences: tuple[Tensor, Tensor]
    to_rows: tuple[Tensor, Tensor]


def pack(table: Tensor, rows: Tensor, lengths: Tensor, shape: Shape, heads: int) -> Packed:
    """Packs sentences; all on the device.

    table: int [M, W], lines as BOS w1 .. wn EOS <pad> ..; rows: int64 [R, B], which lines; lengths: int64 [R, B],
    their tokens that something follows (BOS and words), each run's longest first; shape: of these lengths.
    """
    runs, batch = rows.shape
    device, count = table.device, shape.rows
    ends = lengths.cumsum(1)
    starts = ends - lengths
    row = torch.arange(count, device=device)
    sentence = (row[:, None] >= ends[:, None, :]).sum(-1)  # [R, N], B where there is no token
    real = sentence < batch
    sentence = sentence.clamp(max=batch - 1)
    positions = torch.where(real, row - starts.gather(1, sentence), 0)
    cells = rows.gather(1, sentence) * table.shape[1] + positions
    inputs = torch.where(real, table.flatten()[cells], PAD).long()
    targets = torch.where(real, table.flatten()[cells + 1], PAD).long()

    run = torch.arange(runs, device=device)[:, None, None]
    head = torch.arange(heads, device=device)[:, None]
    part = torch.arange(3, device=device)[:, None, None, None, None]
    places, first = [], 0  # row of each place, [R, b, 1, T]
    for sentences, width in shape.groups:
        mine, place = slice(first, first + sentences), torch.arange(width, device=device)
        filled = place < lengths[:, mine, None]
        places.append((torch.where(filled, starts[:, mine, None] + place, count - 1) + run * count).unsqueeze(2))
        first += sentences
    of_parts = torch.cat([((place * 3 + part) * heads + head).flatten() for place in places])
    of_values = torch.cat([(place * heads + head).flatten() for place in places])
    # the last place of each run's longest sentence holds no token; rows that no place reads look there
    empty = run[:, :, 0] * (shape.groups[0][0] * heads * shape.groups[0][1]) + shape.groups[0][1] - 1  # [R, 1]
    return Packed(
        shape,
        inputs,
        targets,
        positions,
        lengths,
        (of_parts, _inverse(of_parts, empty.expand(-1, count * 3 * heads))),
        (_inverse(of_values, empty.expand(-1, count * heads)), of_values),
    )


def _inverse(index: Tensor, default: Tensor) -> Tensor:
    """Where each entry is found in `index`; `default` (any shape) for those that are not there."""
    return default.flatten().scatter(0, index, torch.arange(len(index), device=index.device))
