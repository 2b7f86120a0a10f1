"""Settings: the environment is read, wrong values are refused by the variable's name."""

import pytest

from grokkit.commands import settings
from grokkit.errors import GrokkitError


@pytest.mark.parametrize(
    "name, value, ask",
    [
        ("GROKKIT_PRESET", "huge", settings.default_preset),
        ("GROKKIT_SEEDS", "42 42", settings.given_seeds),
        ("GROKKIT_SEEDS", "9" * 19, settings.given_seeds),
        ("GROKKIT_SEEDS", "-1", settings.given_seeds),
        ("GROKKIT_SEEDS", ",", settings.given_seeds),
        ("GROKKIT_DEPTHS", "0", settings.given_depths),
        ("GROKKIT_SOURCE", "memory", settings.default_source),
        ("GROKKIT_UNTIL", "soon", settings.given_until),
    ],
)
def test_wrong_values_are_refused(name, value, ask, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(GrokkitError, match=name):
        ask()


def test_the_environment_is_read(monkeypatch):
    def everything():
        return settings.given_seeds(), settings.given_depths(), settings.default_source(), settings.given_until()

    assert everything() == (None, None, "runs", None)
    for name, value in (("PRESET", "smoke"), ("SEEDS", "1,2"), ("DEPTHS", "[3]"), ("SOURCE", "record"), ("UNTIL", "9")):
        monkeypatch.setenv(f"GROKKIT_{name}", value)
    assert settings.default_preset() == "smoke"
    assert everything() == ([1, 2], [3], "record", 9)
