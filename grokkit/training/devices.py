"""Devices: which one to take, recorded steps on CUDA, and how a CPU keeps the memory that it frees."""

import ctypes
import gc
import os
from collections.abc import Callable

import torch

from grokkit.errors import GrokkitError
from grokkit.model.packing import Shape

MOST_GRAPHS = 256
"""Shapes of batches that are recorded at most; question and tense have some dozens, Dyck a thousand."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def pick_device(name: str | None = None) -> torch.device:
    """CUDA where it is there, else the CPU; MPS only when asked for by name. Raises GrokkitError.

    A CUDA device has its number: what torch is asked about "cuda" it answers for the current one.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        said = " ".join(repr(name).split())
        raise GrokkitError(f"unknown device {said}: choose cpu, cuda or mps") from error
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device.type in there and not there[device.type]():
        raise GrokkitError(f"device {name!r} is not available here: leave it out to use what there is")
    if device.type != "cuda":
        return device
    number, count = torch.cuda.current_device() if device.index is None else device.index, torch.cuda.device_count()
    if number >= count:
        raise GrokkitError(f"device {name!r}: there are {count} here, cuda:0 to cuda:{count - 1}")
    return torch.device("cuda", number)


def prepare(device: torch.device, precision: str) -> None:
    """Gets a device ready for a training, whose peak of memory is its own.

    Raises GrokkitError where a GPU has a precision not in hardware: torch would emulate it, slower than float32.
    """
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    if precision != "float32" and device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability < (8, 0):
            raise GrokkitError(
                f"{torch.cuda.get_device_name(device)} has no {precision} (capability {capability[0]}.{capability[1]},"
                " 8.0 is needed): train in float32"
            )


class Graphs:
    """Steps on CUDA, recorded once for each shape of batch, so that a step costs the host one launch."""

    def __init__(self, device: torch.device):
        self.device = device
        self.of_shape: dict[Shape, torch.cuda.CUDAGraph | None] = {}  # None: seen, not recorded
        self.recorded, self.most = 0, MOST_GRAPHS
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def run(self, update: Callable[[Shape], None], shape: Shape, record: bool = True) -> None:
        """update(shape): as it is when a shape is new, recorded when it comes again, then replayed."""
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            again = record and shape in self.of_shape and self.of_shape[shape] is None
            if again and self.recorded < self.most:
                graph = torch.cuda.CUDAGraph()
                collects = gc.isenabled()
                gc.disable()  # to destroy an old graph while one is recorded makes the new one invalid
                try:
                    with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                        update(shape)
                finally:
                    if collects:
                        gc.enable()
                self.of_shape[shape] = graph
                self.recorded += 1
            graph = self.of_shape.setdefault(shape) if record else None
            if graph is None:
                update(shape)
            else:
                graph.replay()
        torch.cuda.current_stream(self.device).wait_stream(self.stream)


def keep_freed_memory() -> None:
    """Tells the C library to keep the memory that a step frees for the next one, where it can be told (glibc).

    By default it gives tens of megabytes back to the system after every step and asks for them again, page by page:
    a tenth to a fifth of a step of the paper's size. The process then holds the most that it ever needed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt:
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_MMAP_THRESHOLD, 2**25)  # the largest that it takes
