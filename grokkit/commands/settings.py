"""What a notebook or command works on unless told otherwise: preset, seeds, depths, source.

The environment variables GROKKIT_PRESET, GROKKIT_SEEDS, GROKKIT_DEPTHS and GROKKIT_SOURCE are the one switch
that papermill, nbval, make and a notebook opened by hand share. Lists are written `42 52` or `42,52`.
"""

import ast
import os
from collections.abc import Iterable

from grokkit.config import DEPTHS, PRESETS, SEEDS
from grokkit.errors import GrokkitError

SOURCES = ("runs", "record")
"""Where results come from: runs on this machine (missing ones are trained), or the committed record."""


def default_preset() -> str:
    """$GROKKIT_PRESET, else "as-run" where torch sees a CUDA device and "laptop" where it does not."""
    if name := _variable("GROKKIT_PRESET"):
        return checked("GROKKIT_PRESET", name, PRESETS)
    import torch  # late: the command line starts without it

    return "as-run" if torch.cuda.is_available() else "laptop"


def default_seeds(preset: str) -> list[int]:
    """$GROKKIT_SEEDS, else the seeds that the preset trains."""
    return given_seeds() or list(SEEDS[checked("preset", preset, PRESETS)])


def default_depths(preset: str, task: str) -> list[int]:
    """$GROKKIT_DEPTHS, else the depths that the preset trains for the task."""
    by_task = DEPTHS[checked("preset", preset, PRESETS)]
    return given_depths() or list(by_task[checked("task", task, by_task)])


def default_source() -> str:
    """$GROKKIT_SOURCE, else "runs"."""
    return checked("GROKKIT_SOURCE", _variable("GROKKIT_SOURCE") or "runs", SOURCES)


def given_seeds() -> list[int] | None:
    """What $GROKKIT_SEEDS says; None where it is not set, which stands for all that belong to the preset."""
    return _given("GROKKIT_SEEDS", least=0)


def given_depths() -> list[int] | None:
    """What $GROKKIT_DEPTHS says; None where it is not set, which stands for all that belong to the preset."""
    return _given("GROKKIT_DEPTHS", least=1)


def _given(name: str, least: int) -> list[int] | None:
    text = _variable(name)
    return whole_numbers(name, text, least) if text else None


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()


def checked(name: str, value: str, allowed: Iterable[str]) -> str:
    """`value`, if it is allowed; GrokkitError with the choices if not."""
    if value not in allowed:
        raise GrokkitError(f"{name} = {value!r}: choose one of {', '.join(allowed)}")
    return value


def whole_numbers(name: str, text: str, least: int) -> list[int]:
    """The different whole numbers, each at least `least`, that a text lists with blanks or commas.

    >>> whole_numbers("SEEDS", "42, 52 62", least=0)
    [42, 52, 62]

    GrokkitError for anything else, for an empty list and for a number that comes twice.
    """
    words = text.strip("[]() ").replace(",", " ").split()
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        raise GrokkitError(f"{name} = {text!r}: write whole numbers, as in '42 52 62'") from None
    if not numbers or min(numbers) < least or max(numbers) >= 10**18 or len(set(numbers)) < len(numbers):
        raise GrokkitError(
            f"{name} = {text!r}: give at least one number, none below {least}, none twice, none of more than 18 digits"
        )
    return numbers


def literal(text: str) -> object:
    """What a text says as a Python literal, else the text itself.

    >>> literal("32"), literal("constant")
    (32, 'constant')
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # whatever ast makes of odd texts
        return text
