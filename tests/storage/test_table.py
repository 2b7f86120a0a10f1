"""The table: every bit comes back, and every column stands in the dictionary. Wrong ones: mistaken/test_tables.py."""

import math
import runpy
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import run

from grokkit.config import preset
from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.storage.table import check_table, dictionary, parse_rows, parse_table, table_text
from grokkit.training.trainer import train

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = st.floats(allow_infinity=False) | st.sampled_from([math.nan, 0.1 + 0.2, 5e-324, -0.0])


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6), st.sampled_from(["p", "NA", "1e5", 'a,"b"\n']))
def test_the_table_keeps_every_bit_of_every_number_and_every_name(values, name):
    first = run("tense", 1, 7, end=250).iloc[1].to_dict() | {"preset": name, "step": 0}
    rows = [first | {"step": 10 * n, "t_score": one, "mine": other} for n, (one, other) in enumerate(values)]
    back = parse_rows(table_text(rows), "here")
    assert [list(map(repr, row.values())) for row in back] == [list(map(repr, row.values())) for row in rows]
    assert table_text(back) == table_text(rows)


def test_every_recorded_column_stands_in_the_dictionary_and_keeps_to_it():
    for path in (ROOT / "figures").glob("*/results.csv"):
        assert set(parse_table(path.read_text(), path).columns) <= set(dictionary())
    assert all(row["meaning"] and row["source"] for row in dictionary().values())
    assert {row["kind"] for row in dictionary().values()} == {"text", "whole number", "number"}
    for path in {row["source"] for row in dictionary().values() if row["source"].startswith("grokkit/")}:
        assert (ROOT / path).exists(), path
    text = (ROOT / "docs/columns.md").read_text()
    assert text == runpy.run_path(ROOT / "docs/columns.py")["page"]()  # `make format` writes it
    assert not [name for name in dictionary() if name not in text]


@pytest.mark.parametrize("task", ["question", "tense", "dyck"])
def test_every_measured_column_stands_in_the_dictionary_and_keeps_to_it(task):
    assert task in TASKS
    table = train(preset("smoke", task, 2), [42], device="cpu", progress=False)
    assert set(check_table(table, "here").columns) <= set(dictionary())


def test_texts_that_are_no_table_are_refused():
    text = run("tense", 2, 42, end=1000).to_csv(index=False)
    check_table(parse_table(text, "here"), "here")
    for wrong, said in (
        (text.splitlines()[0] + "\n", "has no row"),
        ('preset,"data\n', "cannot read here"),
        ("", "cannot read here"),
    ):
        with pytest.raises(GrokkitError, match=said):
            parse_table(wrong, "here")
    pd.testing.assert_frame_equal(parse_table(text, "here"), run("tense", 2, 42, end=1000), check_dtype=False)
