"""What training a stack takes on a card, known before it starts, and how many runs are trained at once.

The largest batch of a training may come after hours: batches follow from the seeds, so all of them are looked at.

Dimension letters: R runs, B batch, S steps.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from grokkit.config import Config
from grokkit.data.loading import load_corpus
from grokkit.model.memory import AT_ONCE, free_bytes
from grokkit.model.packing import Shape, shape_of
from grokkit.model.parameters import parameter_count
from grokkit.printing import say
from grokkit.training.batches import lengths_of_lines, sorted_lengths

RESERVE = 0.1
"""Share of the free memory that is left alone: workspaces, recorded graphs themselves, what the allocator splits."""
RECORDED = 2**31
"""Bytes up to which a step is recorded: a larger one keeps the device busy as it is, and would hold its memory."""
CANDIDATES = 200
"""Steps whose shape is looked at, of those with the most rows and squares."""


def step_bytes(config: Config, runs: int, shape: Shape) -> int:
    """What an update of a stack holds beside weights, gradients and moments, for a batch of this shape.

    Kept for the backward pass: of each row and layer the vectors before and after each part, of each slot query, key,
    value and what it reads, of each attention weight the weight; and two such tables of the layer that goes back.
    """
    c, slots = config, sum(sentences * width for sentences, width in shape.groups)
    squares = [sentences * width**2 for sentences, width in shape.groups]
    vectors = 6 if runs == 1 else 8  # the layer norms of several runs are scaled by an operation of their own
    rows = shape.rows * (c.depth * (vectors * c.width + 2 * c.ffn_width) + 4 * (c.vocabulary_size + 2))
    weights = c.heads * (c.depth * sum(squares) + 2 * max(squares))
    return 4 * runs * (rows + c.depth * 4 * c.width * slots + weights)


def shape_on_gpu(config: Config, lengths: np.ndarray) -> tuple[Shape, bool]:
    """The shape that a batch has on a GPU, for lengths [R, B], and whether its step is recorded."""
    shape = shape_of(lengths, few=True)
    if step_bytes(config, len(lengths), shape) <= RECORDED:
        return shape, True
    return shape_of(lengths), False


def largest_steps(config: Config, seeds: Sequence[int], lengths: np.ndarray) -> tuple[int, int]:
    """Bytes of the largest step that is recorded, and of all steps. lengths: of all training lines, int [N]."""
    sizes = sorted_lengths(lengths, seeds, config.batch_size, config.steps)  # [R, S, B]
    rows, longest = sizes.sum(axis=2).max(axis=0), sizes.max(axis=0).astype(np.int64)
    bulk = (8 * config.width + 2 * config.ffn_width) * rows + config.heads * (longest**2).sum(axis=1)
    largest = {True: 0, False: 0}
    for number, step in enumerate(np.argsort(-bulk)):
        shape, recorded = shape_on_gpu(config, sizes[:, step])
        largest[recorded] = max(largest[recorded], step_bytes(config, len(seeds), shape))
        if largest[True] and number > CANDIDATES:
            break
    return largest[True], max(largest.values())


def stack_bytes(config: Config, seeds: Sequence[int], lengths: np.ndarray) -> int:
    """What training a stack holds at most on a card.

    Weights, gradients and two moments; the recorded steps, whose memory stays taken; and the larger of a step that is
    not recorded and a piece of an evaluation, which makes do with less where less is left.
    """
    kept = (18 if config.precision == "bf16" else 16) * parameter_count(config)
    recorded, step = largest_steps(config, seeds, lengths)
    table = 2 * len(lengths) * (int(lengths.max()) + 1)
    return int(len(seeds) * kept + table + 1.2 * recorded + max(step, AT_ONCE))


def runs_that_fit(config: Config, seeds: Sequence[int], device: torch.device, tell: bool = False) -> int:
    """How many of these runs to train at once, at least 1, so that what is free on the card holds them.

    The parts are equal: ten runs of which six fit are trained as five and five. On a CPU they are trained as given.
    """
    if device.type != "cuda":
        return len(seeds)
    lengths, free, size, all_of_them = lengths_of_lines(load_corpus(config)["train"].lines), free_bytes(device), 0, 0
    for parts in range(1, len(seeds) + 1):
        if (smaller := math.ceil(len(seeds) / parts)) == size:
            continue
        size, needed = smaller, stack_bytes(config, seeds[:smaller], lengths)
        all_of_them = all_of_them or needed
        if needed <= (1 - RESERVE) * free:
            break
    if tell and size < len(seeds):
        say(
            f"{config.task} L{config.depth}: {len(seeds)} runs need about {all_of_them / 1e9:.1f} GB,"
            f" {free / 1e9:.1f} GB are free on the card: trained {size} at a time"
        )
    return size
