"""Values are what they are worth: numbers by value, texts by one parser, one or several alike."""

import numpy as np
import pandas as pd
import pytest
import torch

from grokkit.config import parsed
from grokkit.errors import GrokkitError
from grokkit.presets import Selection, preset, select
from grokkit.values import whole_numbers


@pytest.mark.parametrize(
    "four", [4, 4.0, np.int64(4), np.float32(4), np.array(4), pd.Series([4]).iloc[0], torch.tensor(4)]
)
def test_a_whole_number_is_taken_by_value(four):
    config = preset("smoke", "tense", depth=four)
    assert config == preset("smoke", "tense", depth=4) and type(config.depth) is int
    assert select(depths=four, seeds=[four]) == Selection(None, (4,), (4,))


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("tied", "off", False), ("tied", "No", False), ("tied", "0", False), ("tied", "false", False),
        ("tied", "on", True), ("tied", "Yes", True), ("tied", "1", True), ("tied", "TRUE", True),
        ("width", "32", 32), ("width", "32.0", 32),
        ("learning_rate", "1e-3", 1e-3), ("dropout", "0", 0.0), ("schedule", "constant", "constant"),
    ],
)  # fmt: skip
def test_a_text_stands_for_the_value_of_its_field(name, text, value):
    found = parsed(name, text)
    assert getattr(preset("smoke", "tense").replace(**{name: found}), name) == value


@pytest.mark.parametrize(
    "name, text", [("tied", "maybe"), ("tied", ""), ("width", "wide"), ("dropout", "None"), ("colour", "red")]
)
def test_a_text_that_stands_for_nothing_is_refused(name, text):
    with pytest.raises(GrokkitError, match=name):
        parsed(name, text)


@pytest.mark.parametrize("given", [(42, 52), [42.0, 52], "42 52", "42,52", "42, 52", "[42, 52]", "42:62:10",
                                   np.array([42, 52]), ["42", 52], pd.Series([42, 52]), range(42, 62, 10),
                                   torch.tensor([42, 52]), {42, 52}])  # fmt: skip
def test_lists_read_alike_everywhere(given):
    assert whole_numbers("seeds", given) == (42, 52)


@pytest.mark.parametrize(
    "given",
    [
        "",
        [],
        "42 42",
        "-1",
        "4.5",
        True,
        [True],
        None,
        "a",
        "1:2:0",
        "1:2:3:4",
        "5:1",
        1e30,
        [[42]],
        np.nan,
        "1:99999999",
    ],
)
def test_what_is_no_list_of_whole_numbers_is_refused(given):
    with pytest.raises(GrokkitError) as caught:
        whole_numbers("seeds", given)
    assert "\n" not in str(caught.value)


def test_a_selection_says_which_runs_are_meant():
    some = select("tense,dyck", {"tense": 4}, 42)
    assert some.has("tense", 4, 42) and not some.has("tense", 2, 42) and not some.has("dyck", 4, 42)
    assert select().has("dyck", 9, 9) and select().of_preset("smoke") == select(None, None, "42 52").of_preset("smoke")
    with pytest.raises(GrokkitError, match="unknown task 'poetry': choose one of question, tense, dyck"):
        select(["tense", "poetry"])
