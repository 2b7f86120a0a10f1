"""Runs in stacks: together as far as they stand at one step and the memory holds them, else one after the other."""

from collections.abc import Callable, Sequence

import pandas as pd
import torch

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.model.memory import release_memory
from grokkit.printing import say
from grokkit.signals import Stopped
from grokkit.storage.stack_folders import StandApart


class AllFailed(GrokkitError):
    """Every run of a stack has failed; `table` is what was measured."""

    def __init__(self, message: str, table: pd.DataFrame):
        super().__init__(message)
        self.table = table


def train_stacks(
    config: Config,
    seeds: Sequence[int],
    train: Callable[[Sequence[int]], pd.DataFrame],
    that_fit: Callable[[Sequence[int]], int],
    end: int,
) -> pd.DataFrame:
    """The tables of all runs as one, up to the step `end`. train: trains a stack; that_fit: how many of these at once.

    A stack for which the memory of a GPU does not suffice is halved; its halves go on from its last checkpoint. Raises
    GrokkitError where one run alone is too large, where the GPU has failed otherwise, and when every run has failed.
    """
    waiting, tables, failures = [tuple(seeds)], list[pd.DataFrame](), list[AllFailed]()
    while waiting:
        some = waiting.pop(0)
        trouble = None
        try:
            release_memory()
            if (size := that_fit(some)) < len(some):
                waiting[:0] = [some[start : start + size] for start in range(0, len(some), size)]
                continue
            tables.append(train(some))
        except StandApart as apart:
            waiting[:0] = [tuple(stack) for stack in apart.stacks]
        except AllFailed as error:
            failures.append(error)
            tables.append(error.table)
        except Stopped as stopped:
            stopped.table = _joined([*tables, stopped.table], end)
            raise
        except RuntimeError as error:
            trouble = error_of_gpu(error)
            if trouble is None:
                raise
        if trouble is not None:  # outside of `except`, whose error keeps the trainer and all its memory
            half = -(-len(some) // 2)
            if not isinstance(trouble, OutOfMemory) or len(some) == 1:
                raise trouble
            waiting[:0] = [some[:half], some[half:]]
            say(f"{config.task} L{config.depth}: {trouble.reason}: trained {half} at a time from here on", error=True)
    if len(failures) == len(tables):
        raise failures[0]
    return _joined(tables, end)


def _joined(tables: list[pd.DataFrame], end: int) -> pd.DataFrame:
    return pd.concat(tables).query("step <= @end").sort_values(["seed", "step"], ignore_index=True)


class OutOfMemory(GrokkitError):
    """The memory of a GPU does not suffice; `reason` is what torch said."""

    def __init__(self, reason: str):
        self.reason = reason
        super().__init__(
            f"{reason}: end what else uses the card (nvidia-smi tells), or take a larger one. What was saved is kept,"
            " the same call goes on from there"
        )


def error_of_gpu(error: RuntimeError) -> GrokkitError | None:
    """What a user is told of an error that torch raised; None for one that has nothing to do with a GPU."""
    first = (str(error) or repr(error)).splitlines()[0].rstrip(".")
    if isinstance(error, torch.OutOfMemoryError) or "CUDA error: out of memory" in first or "ALLOC_FAILED" in first:
        return OutOfMemory(first.partition(". ")[0])
    if "CUDA" in first or isinstance(error, getattr(torch, "AcceleratorError", ())):
        return GrokkitError(
            f"the GPU has failed ({first}) and is lost to this process: start it anew (in a notebook: restart the"
            " kernel) and call again, which goes on from the last checkpoint"
        )
    return None
