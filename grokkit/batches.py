"""Batches as row indices into one token table that lies on the device. No loader, no copies of sentences."""

import numpy as np
import torch
from torch import Tensor

from grokkit.data import Vocabulary, token_table
from grokkit.randomness import row_order


def framed(lines: list[str], vocab: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Lines as rows BOS w1 .. wn EOS <pad> ..: int16 [N, T + 2], and their lengths with both marks, int64 [N]."""
    words, lengths = token_table(lines, vocab)
    table = np.zeros((words.shape[0], words.shape[1] + 2), dtype=np.int16)
    table[:, 0] = vocab.bos
    table[:, 1:-1] = words
    table[np.arange(len(lines)), lengths + 1] = vocab.eos
    return table, lengths + 2


class Batches:
    """Batch t of run r is rows [t B, (t + 1) B) of r's endless series of epochs, each in an order of its own.

    A batch is a function of (seed of the run, t) alone (`row_order`), whatever ran before it.
    """

    def __init__(self, lines: list[str], vocab: Vocabulary, batch_size: int, seeds: tuple[int, ...], device):
        table, self.lengths = framed(lines, vocab)
        self.table = torch.from_numpy(table).to(device)
        self.batch_size = batch_size
        self.seeds = seeds
        self._orders: dict[tuple[int, int], np.ndarray] = {}  # (seed, epoch) -> permutation

    def rows(self, seed: int, step: int) -> np.ndarray:
        """Row numbers of one batch of one run, int64 [B]."""
        size = len(self.lengths)
        where = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs = where // size
        return np.concatenate(
            [self._order(seed, int(epoch))[where[epochs == epoch] % size] for epoch in np.unique(epochs)]
        )

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        if (seed, epoch) not in self._orders:
            self._orders.pop((seed, epoch - 2), None)
            self._orders[seed, epoch] = row_order(seed, epoch, len(self.lengths)).numpy()
        return self._orders[seed, epoch]

    def __call__(self, step: int) -> tuple[Tensor, list[int]]:
        """Tokens with both marks, int64 [R, B, T], T the longest row in the stack's batch; and each run's longest.

        The lengths are known on the host, so nothing waits for the device.
        """
        rows = np.stack([self.rows(seed, step) for seed in self.seeds])
        longest = self.lengths[rows].max(axis=1)
        index = torch.from_numpy(rows).to(self.table.device, non_blocking=True)
        return self.table[:, : longest.max()][index].long(), longest.tolist()
