"""Shares of items: what every metric of a task comes down to."""

import numpy as np


def share(hits: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """The share of items that are hits, per run: bool [R, N] -> float64 [R].

    among: bool [N], the items that count; all by default. NaN where no item counts, never 0.

    >>> share(np.array([[True, False, True], [False, False, True]]), np.array([True, True, False]))
    array([0.5, 0. ])
    """
    counted = hits if among is None else hits[:, among]
    if counted.shape[1] == 0:
        return np.full(len(hits), np.nan)
    return counted.sum(axis=1) / counted.shape[1]
