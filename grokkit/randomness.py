"""Stateless randomness: every random choice is a pure function of (seed, purpose, step).

No generator state is carried from step to step or shared between runs, so a run does not notice which other
runs train beside it, and a resumed run draws exactly what an uninterrupted one would have drawn.
"""

import hashlib

import torch
from torch import Tensor


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
