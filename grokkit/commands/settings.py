"""What a notebook or command works on unless told otherwise: preset, seeds, depths, source, last step.

The environment variables GROKKIT_PRESET, GROKKIT_SEEDS, GROKKIT_DEPTHS, GROKKIT_SOURCE and GROKKIT_UNTIL are the one
switch that papermill, nbval, make and a notebook opened by hand share. Lists are written `42 52` or `42,52`.
"""

import os

import pandas as pd

from grokkit.presets import PRESETS, select
from grokkit.presets import preset as preset_of
from grokkit.report.results import SOURCES, results
from grokkit.storage.files import figures_root
from grokkit.values import one_of, parse, whole_numbers


def default_preset() -> str:
    """$GROKKIT_PRESET, else "laptop", on every device."""
    return one_of("GROKKIT_PRESET", _variable("GROKKIT_PRESET") or "laptop", tuple(PRESETS))


def default_seeds(preset: str, given: object = None) -> list[int]:
    """The seeds that are given, one or several, else $GROKKIT_SEEDS, else those that the preset trains."""
    return list(select(seeds=given_seeds() if given is None else given).of_preset(preset).seeds or ())


def first_depth(preset: str, task: str, given: object = None) -> int:
    """The first of the depths that are given, one or several, else the one of Figure 2."""
    return preset_of(preset, task).depth if given is None else whole_numbers("depths", given, 1)[0]


def default_source() -> str:
    """$GROKKIT_SOURCE, else "runs"."""
    return one_of("GROKKIT_SOURCE", _variable("GROKKIT_SOURCE") or "runs", SOURCES)


def given_seeds() -> list[int] | None:
    """What $GROKKIT_SEEDS says; None where it is not set, which stands for all that belong to the preset."""
    return _given("GROKKIT_SEEDS", least=0)


def given_depths() -> list[int] | None:
    """What $GROKKIT_DEPTHS says; None where it is not set, which stands for all that belong to the preset."""
    return _given("GROKKIT_DEPTHS", least=1)


def given_until() -> int | None:
    """The step that $GROKKIT_UNTIL says; None where it is not set, which stands for the end."""
    text = _variable("GROKKIT_UNTIL")
    return int(parse("GROKKIT_UNTIL", text, int)) if text else None


def second_training(preset: str, source: str, tasks=None, depths=None, seeds=None) -> pd.DataFrame | None:
    """The record's second training of these cells, where results come from the record and it has one; else None.

    Figures and findings take it beside the first: the seed is the unit of both.
    """
    there = source == "record" and (figures_root() / preset / "again.csv").is_file()
    return results(preset, tasks, depths, seeds, source="again") if there else None


def _given(name: str, least: int) -> list[int] | None:
    text = _variable(name)
    return list(whole_numbers(name, text, least)) if text else None


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()
