"""Memory: how much of a card a stack needs, so that one that does not fit is split; and how a CPU keeps its own."""

import ctypes
import math
import os
from collections.abc import Sequence

import numpy as np
import torch

from grokkit.config import Config
from grokkit.model.transformer import parameter_count

RESERVE = 0.15
"""Share of the free memory that is left alone: workspaces, recorded graphs, evaluation."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def stack_bytes(config: Config, runs: int, lengths: Sequence[int]) -> int:
    """About what training a stack takes on a card, bytes. lengths: tokens of the training lines.

    20 bytes a parameter (weights, gradients, two moments, and bf16 weights or gradients on their way); what a step
    keeps for the way back, for the longest line in company of ordinary ones: per row and layer the vectors before and
    after each part, per attention weight the weight before and after dropout, and its score on its way.
    """
    longest, mean = int(np.max(lengths)), float(np.mean(lengths))
    rows = longest + (config.batch_size - 1) * mean
    places = longest**2 + (config.batch_size - 1) * (2 * mean) ** 2
    per_row = config.depth * (16 * config.width + 4 * config.ffn_width) + 4 * (config.vocabulary_size + 2)
    weights = config.depth * config.heads * places
    return int(runs * (20 * parameter_count(config) + 4 * per_row * rows + 12 * weights))


def runs_that_fit(config: Config, wanted: int, lengths: Sequence[int], free: int) -> int:
    """The largest number of equal parts' runs, at most `wanted` and at least 1, that `free` bytes hold.

    Ten runs of which six fit are trained as five and five.
    """
    fit = int((1 - RESERVE) * free // stack_bytes(config, 1, lengths))
    parts = math.ceil(wanted / max(1, fit))
    return math.ceil(wanted / parts)


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a CUDA device."""
    return torch.cuda.mem_get_info(device)[0]


def keep_freed_memory() -> None:
    """Tells the C library to keep the memory that a step frees for the next one, where it can be told (glibc).

    By default it gives tens of megabytes back to the system after every step and asks for them again, page by page:
    a tenth to a fifth of a step of the paper's size. The process then holds the most that it ever needed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt:
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_MMAP_THRESHOLD, 2**25)  # the largest that it takes
