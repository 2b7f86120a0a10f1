"""Batches as line indices into one token table that lies on the device. No loader, no copies of sentences."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from grokkit.data import Vocabulary, token_table
from grokkit.model.packing import Packed, Shape, pack
from grokkit.randomness import row_order


def lengths_of_lines(lines: Sequence[str]) -> np.ndarray:
    """Tokens of each line that something follows: BOS and its words, int64 [N]."""
    return np.array([line.count(" ") + 2 for line in lines])


def sorted_lengths(lengths: np.ndarray, seeds: Sequence[int], batch_size: int, steps: int) -> np.ndarray:
    """Of every batch of a training the lengths of its lines, the longest first: int16 or int64 [R, steps, B]."""
    kind = np.int16 if lengths.max() < 2**15 else np.int64
    sizes, epochs = np.empty((len(seeds), steps * batch_size), kind), -(-steps * batch_size // len(lengths))
    for r, seed in enumerate(seeds):
        for epoch in range(epochs):
            part = sizes[r, epoch * len(lengths) : (epoch + 1) * len(lengths)]
            part[:] = lengths[row_order(seed, epoch, len(lengths)).numpy()[: len(part)]]
    return -np.sort(-sizes.reshape(len(seeds), steps, batch_size), axis=2)


class Batches:
    """Batch t of run r is lines [t B, (t + 1) B) of r's endless series of epochs, each in an order of its own.

    A batch is a function of (seed of the run, t) alone (`row_order`), whatever ran before it. table: lines as
    BOS w1 .. wn EOS <pad> .., int16 [N, W]; lengths: tokens of each line that something follows (all but EOS),
    int64 [N], on the host.
    """

    def __init__(
        self, lines: list[str], vocab: Vocabulary, batch_size: int, heads: int, seeds: tuple[int, ...], device
    ):
        words, counts = token_table(lines, vocab)
        table = np.pad(words, ((0, 0), (1, 1)))
        table[:, 0] = vocab.bos
        table[np.arange(len(lines)), counts + 1] = vocab.eos
        self.lengths = counts + 1
        self.table = torch.from_numpy(table).to(device)
        self.device_lengths = torch.from_numpy(self.lengths).to(device)
        self.batch_size, self.heads, self.seeds = batch_size, heads, seeds
        self._orders: dict[tuple[int, int], np.ndarray] = {}  # (seed, epoch) -> permutation

    def of_run(self, seed: int, step: int) -> np.ndarray:
        """Line indices of one batch of one run, int64 [B]."""
        size = len(self.lengths)
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs = positions // size
        parts = [self._order(seed, int(epoch))[positions[epochs == epoch] % size] for epoch in np.unique(epochs)]
        return np.concatenate(parts)

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        if (seed, epoch) not in self._orders:
            self._orders.pop((seed, epoch - 2), None)
            self._orders[seed, epoch] = row_order(seed, epoch, len(self.lengths)).numpy()
        return self._orders[seed, epoch]

    def line_indices(self, step: int) -> np.ndarray:
        """Line indices of a batch of all runs, int64 [R, B], each run's longest line first."""
        indices = np.stack([self.of_run(seed, step) for seed in self.seeds])
        longest_first = np.argsort(-self.lengths[indices], axis=1, kind="stable")
        return np.take_along_axis(indices, longest_first, axis=1)

    def pack(self, line_indices: Tensor, shape: Shape) -> Packed:
        """Packs these lines, int64 [R, B], on the device."""
        return pack(self.table, line_indices, self.device_lengths[line_indices], shape, self.heads)
