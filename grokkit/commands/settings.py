"""What a notebook or command works on unless told otherwise: preset, seeds, depths, source.

The environment variables GROKKIT_PRESET, GROKKIT_SEEDS, GROKKIT_DEPTHS and GROKKIT_SOURCE are the one switch
that papermill, nbval, make and a notebook opened by hand share. Lists are written `42 52` or `42,52`.
"""

import os

from grokkit.presets import PRESETS
from grokkit.values import one_of, whole_numbers

SOURCES = ("runs", "record")
"""Where results come from: runs on this machine (missing ones are trained), or the committed record."""


def default_preset() -> str:
    """$GROKKIT_PRESET, else "as-run" where torch sees a CUDA device and "laptop" where it does not."""
    if name := _variable("GROKKIT_PRESET"):
        return one_of("GROKKIT_PRESET", name, tuple(PRESETS))
    import torch  # late: the command line starts without it

    return "as-run" if torch.cuda.is_available() else "laptop"


def default_source() -> str:
    """$GROKKIT_SOURCE, else "runs"."""
    return one_of("GROKKIT_SOURCE", _variable("GROKKIT_SOURCE") or "runs", SOURCES)


def given_seeds() -> list[int] | None:
    """What $GROKKIT_SEEDS says; None where it is not set, which stands for all that belong to the preset."""
    return _given("GROKKIT_SEEDS", least=0)


def given_depths() -> list[int] | None:
    """What $GROKKIT_DEPTHS says; None where it is not set, which stands for all that belong to the preset."""
    return _given("GROKKIT_DEPTHS", least=1)


def _given(name: str, least: int) -> list[int] | None:
    text = _variable(name)
    return list(whole_numbers(name, text, least)) if text else None


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()
