"""Chains of small operations as one kernel, on CUDA."""

import functools
import warnings
from collections.abc import Callable

import torch


def fused(function: Callable) -> Callable:
    """`function` of tensors, compiled to one kernel by torch.compile when its first argument is on CUDA.

    Elsewhere, and where compiling fails (which is said once), it is called as it is: the same numbers, only slower.
    """
    best: Callable | None = None

    @functools.wraps(function)
    def call(first: torch.Tensor, *arguments):
        nonlocal best
        if first.device.type != "cuda":
            return function(first, *arguments)
        if best is None:
            best = torch.compile(function, dynamic=True)  # imports the compiler, a second that others need not wait
        try:
            return best(first, *arguments)
        except Exception as error:  # whatever a compiler, or the lack of one, comes up with
            if best is function or torch.cuda.is_current_stream_capturing():
                raise
            best = function
            warnings.warn(
                f"{function.__name__} could not be compiled ({type(error).__name__}) and runs unfused, several times"
                " as slow; the numbers stay the same", stacklevel=2,
            )
            return function(first, *arguments)

    return call
