"""Devices: which one to take, recorded steps on CUDA, and memory: what a stack needs, and how a CPU keeps its own."""

import ctypes
import math
import os
from collections.abc import Callable, Sequence

import numpy as np
import torch

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.model.packing import Shape
from grokkit.model.parameters import parameter_count

MOST_GRAPHS = 400
"""Shapes of batches that are recorded at most; question and tense have some dozens, Dyck hundreds."""
RESERVE = 0.15
"""Share of the free memory that is left alone: workspaces, recorded graphs, evaluation."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def pick_device(name: str | None = None) -> torch.device:
    """CUDA where it is there, else the CPU; MPS only when asked for by name. Raises GrokkitError.

    A CUDA device has its number: what torch asks about "cuda" is answered for the current one, streams and memory alike.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise GrokkitError(f"unknown device {name!r}: choose cpu, cuda or mps") from error
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device.type in there and not there[device.type]():
        raise GrokkitError(f"device {name!r} is not available here: leave it out to use what there is")
    if device.type != "cuda":
        return device
    number, count = torch.cuda.current_device() if device.index is None else device.index, torch.cuda.device_count()
    if number >= count:
        raise GrokkitError(f"device {name!r}: there are {count} here, cuda:0 to cuda:{count - 1}")
    return torch.device("cuda", number)


class Graphs:
    """Steps on CUDA, recorded once for each shape of batch, so that a step costs the host one launch."""

    def __init__(self, device: torch.device):
        self.device = device
        self.of_shape: dict[Shape, torch.cuda.CUDAGraph | None] = {}  # None: seen, not recorded
        self.recorded = 0
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def run(self, update: Callable[[Shape], None], shape: Shape) -> None:
        """update(shape): as it is when a shape is new, recorded when it comes again, then replayed."""
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            if shape in self.of_shape and self.of_shape[shape] is None and self.recorded < MOST_GRAPHS:
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                    update(shape)
                self.of_shape[shape] = graph
                self.recorded += 1
            graph = self.of_shape.setdefault(shape)
            if graph is None:
                update(shape)
            else:
                graph.replay()
        torch.cuda.current_stream(self.device).wait_stream(self.stream)


def stack_bytes(config: Config, runs: int, lengths: Sequence[int]) -> int:
    """About what training a stack takes on a card, bytes. lengths: tokens of the training lines.

    20 bytes a parameter (weights, gradients, two moments, and temporary bf16 weights or gradients); and what a step
    keeps for its backward pass, for a batch of the longest line and ordinary ones: per row and layer the vectors before
    and after each part, per attention weight the weight before and after dropout, and its score.
    """
    longest, mean = int(np.max(lengths)), float(np.mean(lengths))
    rows = longest + (config.batch_size - 1) * mean
    squares = longest**2 + (config.batch_size - 1) * (2 * mean) ** 2
    per_row = config.depth * (16 * config.width + 4 * config.ffn_width) + 4 * (config.vocabulary_size + 2)
    weights = config.depth * config.heads * squares
    return int(runs * (20 * parameter_count(config) + 4 * per_row * rows + 12 * weights))


def runs_that_fit(config: Config, wanted: int, lengths: Sequence[int], free: int) -> int:
    """How many runs to train at once, at most `wanted` and at least 1, so that `free` bytes hold them.

    The parts are equal: ten runs of which six fit are trained as five and five.
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
