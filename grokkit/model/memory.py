"""Memory of a device: what is free, and how much of it one piece of an evaluation may hold."""

import gc

import torch

AT_ONCE = 2**31
"""Bytes that a piece of an evaluation may hold at most where that is not the CPU: enough for a GPU to have work."""
LEAST = 2**24
"""Bytes below which evaluations do not go: a single long sentence of a deep stack would not fit in less."""


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a CUDA device, with what torch keeps and does not use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def room(stack) -> int:
    """Bytes for a piece of an evaluation of this stack: half of what is free, at most `stack.bytes_at_once`."""
    free = free_bytes(stack.device) if stack.device.type == "cuda" else 2 * AT_ONCE
    return max(LEAST, min(free // 2, stack.bytes_at_once))


def with_less_room(stack, measure):
    """measure(); as often as the memory of the device does not suffice, again with half the room, which stays so."""
    while True:
        try:
            return measure()
        except torch.OutOfMemoryError:
            if stack.bytes_at_once <= LEAST:
                raise
        stack.bytes_at_once //= 2  # outside of `except`, whose error keeps what was being measured
        release_memory()


def release_memory() -> None:
    """What nobody uses any more is let go, so that the card shows what is free."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        gc.collect()  # the first optimizer of a process is in a cycle with frames of torch's own import
        torch.cuda.empty_cache()
