"""Values as people give them: numbers by what they are worth, texts of a command line, one or several of them."""

import math
from collections.abc import Iterable, Sequence
from numbers import Real

from grokkit.errors import GrokkitError

TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def plain(value: object) -> object:
    """`value`, where it is a single value of numpy, pandas or torch as Python's own."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def number(value: object) -> int | float | None:
    """`value` as a plain int or float; None where it is no number, as texts, truth values, nan and infinities are.

    >>> number(52.0), number(0.5), number("52"), number(True)
    (52, 0.5, None, None)
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    if isinstance(value, int):
        return int(value)
    value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value


def whole_number(value: object) -> int | None:
    """`value` as an int if it is a whole number, else None.

    >>> whole_number(4.0), whole_number(4.5), whole_number(False)
    (4, None, None)
    """
    found = number(value)
    return found if isinstance(found, int) else None


def count(name: str, value: object) -> int | None:
    """`value` as a whole number of 1 or more, or None, which stands for no limit. Raises GrokkitError."""
    found = whole_number(value)
    if value is not None and (found is None or found < 1):
        raise GrokkitError(f"{name} = {value!r}: it must be a whole number of 1 or more, or None")
    return found


def parse(name: str, text: str, kind: type) -> bool | int | float | str:
    """The value of this kind (bool, int, float or str) that a text stands for, as on a command line.

    >>> parse("tied", "off", bool), parse("width", "32", int), parse("learning_rate", "1e-3", float)
    (False, 32, 0.001)

    Raises GrokkitError where the text stands for no such value.
    """
    text = text.strip()
    if kind is bool:
        if text.lower() not in TRUTHS:
            raise GrokkitError(f"{name} = {text!r}: write true or false")
        return TRUTHS[text.lower()]
    try:
        found = text if kind is str else number(float(text) if kind is float else _whole(text))
    except ValueError:
        found = None
    if found is None:
        raise GrokkitError(f"{name} = {text!r}: write a {'whole ' if kind is int else ''}number")
    return found


def whole_numbers(name: str, given: object, least: int = 0) -> tuple[int, ...]:
    """The different whole numbers, each at least `least`, that are given: one, a sequence, or a text of them.

    A text has them between blanks or commas; start:stop:step stands for a series without its stop, as in Python.

    >>> whole_numbers("seeds", "42, 52 62"), whole_numbers("seeds", 42.0), whole_numbers("seeds", "42:72:10")
    ((42, 52, 62), (42,), (42, 52, 62))

    Raises GrokkitError for anything else, for none at all and for one that comes twice.
    """
    found: list[int | None] = []
    for item in _items(given):
        found += _series(item) if isinstance(item, str) else [whole_number(item)]
    if None in found:
        raise GrokkitError(f"{name} = {given!r}: write whole numbers, as in '42 52 62'")
    if not found or min(found) < least or max(found) >= 10**18 or len(set(found)) < len(found):
        raise GrokkitError(
            f"{name} = {given!r}: give at least one number, none below {least}, none twice, none of more than 18 digits"
        )
    return tuple(found)


def one_whole_number(name: str, given: object, least: int = 0) -> int:
    """The only whole number that is given, in one of the ways of `whole_numbers`. Raises GrokkitError for several."""
    found = whole_numbers(name, given, least)
    if len(found) > 1:
        raise GrokkitError(f"{name} = {given!r}: give one number")
    return found[0]


def flag(name: str, value: object) -> bool:
    """`value`, if it is True or False. Raises GrokkitError: whatever else it is, it would count as one of them."""
    if type(found := plain(value)) is not bool:
        raise GrokkitError(f"{name} = {value!r}: it must be True or False")
    return found


def names(what: str, given: object, known: Sequence[str]) -> tuple[str, ...]:
    """The names that are given, one, a sequence, or a text of them, each of which must be known.

    >>> names("task", "tense", ["question", "tense"]), names("task", "tense,question", ["question", "tense"])
    (('tense',), ('tense', 'question'))

    Raises GrokkitError that names the first unknown one and the choices, and for none at all.
    """
    found = _items(given)
    for name in found:
        if not isinstance(name, str) or name not in known:
            raise GrokkitError(f"unknown {what} {name!r}: choose one of {', '.join(known)}")
    if not found:
        raise GrokkitError(f"no {what} is named: choose one or more of {', '.join(known)}")
    return tuple(dict.fromkeys(found))


def one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    """`value`, if it is allowed; GrokkitError with the choices if not."""
    if not isinstance(value, str) or value not in allowed:
        raise GrokkitError(f"{name} = {value!r}: choose one of {', '.join(allowed)}")
    return value


def _items(given: object) -> list:
    if isinstance(given, str):
        return given.strip("[]() ").replace(",", " ").split()
    if isinstance(given, Iterable) and not isinstance(given, bytes) and getattr(given, "ndim", 1) > 0:
        return list(given)
    return [given]


def _whole(text: str) -> int | None:
    try:
        return int(text)  # exact, however many digits
    except ValueError:
        return whole_number(float(text))


def _series(text: str) -> list[int | None]:
    try:
        parts = [_whole(part) for part in text.split(":")]
        if len(parts) == 1 or None in parts:
            return parts if len(parts) == 1 else [None]
        return list(range(*parts)) if len(parts) <= 3 and len(range(*parts)) <= 10_000 else [None]
    except (ValueError, OverflowError):  # no number, or a step of 0
        return [None]
