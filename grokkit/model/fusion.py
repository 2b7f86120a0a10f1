"""Chains of small operations as one kernel, on CUDA."""

import functools
import warnings
from collections.abc import Callable

import torch

DEVICES = ("cuda",)


def fused(function: Callable) -> Callable:
    """`function` of tensors, without gradient, compiled to one kernel by torch.compile when the first is on CUDA.

    Elsewhere, and where compiling fails (which is said once), it is called as it is: the same numbers, only slower.
    torch compiles anew for every Python number, so numbers that change are better given as tensors.
    """
    best: Callable | None = None

    @functools.wraps(function)
    def call(first: torch.Tensor, *arguments):
        nonlocal best
        if first.device.type not in DEVICES or best is function:
            return function(first, *arguments)
        try:
            if best is None:
                best = torch.compile(function, dynamic=True)  # imports the compiler, a second that others need not wait
            # whether gradients or autocast are on would each be compiled apart
            with torch.no_grad(), torch.autocast(first.device.type, enabled=False):
                return best(first.detach(), *arguments)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a compiler, or the lack of one, comes up with
            if torch.cuda.is_current_stream_capturing():
                raise
            best = function
            warnings.warn(
                f"{function.__name__} could not be compiled ({type(error).__name__}) and runs unfused, several times"
                " as slow; the numbers stay the same",
                stacklevel=2,
            )
            return function(first, *arguments)

    return call
