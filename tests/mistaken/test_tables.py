"""Kind 4: every table that comes in is checked once, by one schema, in memory as from a file."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from mistaken.small import DOORS, one_line
from synthetic import table as synthetic

import grokkit as gk


def small() -> pd.DataFrame:
    return synthetic(tasks=("tense",), depths=(2, 4), seeds=(42, 52), every=1000)


def spoiled(column, value) -> pd.DataFrame:
    """One value is another."""
    table = small()
    table[column] = table[column].astype(object)
    table.loc[3, column] = value
    return table.infer_objects()


def scaled(column) -> pd.DataFrame:
    return small().assign(**{column: small()[column] * 100})


FAULTS = [  # a table, and what is said
    (lambda: pd.concat([small(), small()]), "several rows for task tense, depth 2, seed 42, step 0"),
    (lambda: pd.concat([small(), small().assign(gen_accuracy=0.5)]), "several rows"),
    (lambda: pd.concat([small(), small().assign(depth=6, preset="as-run")]), "mixes the presets as-run, laptop"),
    (lambda: small().assign(identity=lambda t: t.seed.map({42: "0f", 52: "1e"})), "seeds 42 and 52"),
    (lambda: pd.concat([small(), small().gen_accuracy], axis=1), "two columns gen_accuracy"),
    (lambda: small().iloc[:0], "empty"),
    (lambda: small().drop(columns="status"), "no column status"),
    (lambda: small().drop(columns="gen_accuracy"), "no column gen_accuracy"),
    (lambda: small().assign(preset=None), "preset is missing"),
    (lambda: small().assign(depth=0), "depth is outside 1 .. inf somewhere, e.g. 0"),
    (lambda: small().assign(depth=small().depth.map("L{}".format)), "depth is not a whole number"),
    (lambda: scaled("gen_accuracy"), "gen_accuracy is outside 0 .. 1"),
    (lambda: scaled("val_accuracy"), "val_accuracy is outside 0 .. 1"),
    (lambda: small().assign(gen_accuracy=small().gen_accuracy.map(str)), "gen_accuracy is not a number"),
    (lambda: small().assign(gen_accuracy=small().gen_accuracy > 0.5), "gen_accuracy is not a number"),
    (lambda: small().assign(gen_accuracy=1j), "gen_accuracy is not a number"),
    (lambda: small().assign(t_score=np.inf), "t_score is infinite"),
    (lambda: small().assign(mine=-np.inf), "mine is infinite"),
    *((lambda value=value: spoiled("status", value), "status") for value in ("crashed", "FAILED", np.nan)),
    *((lambda value=value: spoiled("seed", value), "seed is") for value in (np.nan, 1.5, "x")),
    *((lambda value=value: spoiled("step", value), "step is") for value in (np.nan, 2.5, -250)),
    *((lambda value=value: spoiled("task", value), "task is") for value in (np.nan, 7)),
    (lambda: spoiled("gen_accuracy", -0.1), "gen_accuracy is outside 0 .. 1"),
    (lambda: spoiled("val_accuracy", "n/a"), "val_accuracy is not a number"),
    (lambda: spoiled("train_loss", np.inf), "train_loss is infinite"),
    (lambda: spoiled("train_loss", -0.1), "train_loss is outside 0 .. inf"),
    (lambda: spoiled("gen_accuracy", np.nan), "gen_accuracy is missing for seed 42 at step 3000"),
    *((lambda given=given: given, "a table of results has one row")
      for given in (None, [], "results.csv", {"step": [1]}, np.zeros(3))),
    (pd.DataFrame, "no column task"),
]  # fmt: skip


@pytest.mark.parametrize("make, said", FAULTS)
def test_a_wrong_table_is_refused_by_its_column(make, said):
    with pytest.raises(gk.GrokkitError, match=said) as caught:
        gk.outcomes.crossings(make())
    assert "remove" not in one_line(caught.value)


@pytest.mark.parametrize("door", DOORS)
def test_every_door_asks_the_schema_once(door, monkeypatch):
    asked, check = [], gk.outcomes.check_table
    monkeypatch.setattr(gk.outcomes, "check_table", lambda *given, **more: asked.append(1) or check(*given, **more))
    DOORS[door](small())
    assert len(asked) == 1 or door == "findings fig2"  # it asks for columns that may be absent
    with pytest.raises(gk.GrokkitError, match="status is something else than ok or failed"):
        DOORS[door](spoiled("status", "crashed"))
    if "fig" in door:
        with pytest.raises(gk.GrokkitError, match="the table is a NoneType|need a results table"):
            DOORS[door](None)


def put_record(table: pd.DataFrame, **options) -> None:
    path = Path(os.environ["GROKKIT_FIGURES"]) / "laptop/results.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, **options)


def wandb_export() -> pd.DataFrame:
    """Like the authors' released curves: a step, and of each run the metric and its bounds."""
    runs = [f"tense-L{depth}-{seed} - {what}" for depth in range(2, 12) for seed in range(6)
            for what in ("acc", "acc__MIN", "acc__MAX")]  # fmt: skip
    return pd.DataFrame({"Step": range(0, 900, 300)} | {name: [0.1, 0.5, 0.9] for name in runs})


def test_a_wrong_record_is_never_told_to_be_removed_and_another_file_what_a_table_needs():
    for wrong, said in (
        (scaled("gen_accuracy"), "gen_accuracy"),
        (spoiled("val_accuracy", "n/a"), "val_accuracy"),
        (wandb_export(), "Weights & Biases.*each task, depth, seed and step, each with its status"),
    ):
        put_record(wrong)
        with pytest.raises(gk.GrokkitError, match=said) as caught:
            gk.results("laptop", source="record")
        assert "remove" not in one_line(caught.value) and "another version" not in str(caught.value)
    with pytest.raises(gk.GrokkitError, match="Weights & Biases"):
        gk.outcomes.crossings(wandb_export())


def test_a_record_saved_by_a_spreadsheet_is_read_with_columns_of_ones_own():
    """With a byte order mark and Windows line ends."""
    put_record(small().assign(remark="mine", group=1), encoding="utf-8-sig", lineterminator="\r\n")
    table = gk.results("laptop", source="record")
    assert len(table) == len(small()) and set(table.remark) == {"mine"} and set(table.group) == {1}


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.astype({"seed": float, "step": float, "depth": float}),  # as after a join
        lambda table: table.astype({"task": "category", "status": "category"}),
        lambda table: table.astype({"seed": "Int64", "gen_accuracy": "Float64", "task": "string"}),
        lambda table: table.sample(frac=1, random_state=0),
        lambda table: table.assign(remark="mine", group=1),
        lambda table: table.set_index(["task"], drop=False).rename_axis(None),
        lambda table: table.assign(t_parseval=np.nan),
    ],
    ids=["floats", "categories", "nullable", "shuffled", "own columns", "an index", "unmeasured"],
)
def test_a_right_table_is_taken_whatever_its_types_and_not_changed(change):
    table, changed = small(), change(small())
    before = changed.copy(deep=True)
    found = gk.outcomes.crossings(changed)
    pd.testing.assert_frame_equal(found, gk.outcomes.crossings(table), check_dtype=False, check_index_type=False)
    assert gk.verdict(changed, "fig2").value.equals(gk.verdict(table, "fig2").value)
    pd.testing.assert_frame_equal(changed, before)


@gk.outcomes.takes_results("preset")
def both(table, again=None):
    return len(gk.outcomes.crossings(again))


def test_a_second_table_is_checked_as_the_first_is():
    assert both(small(), small()) == both(small(), again=small()) == 4
    for call in (lambda wrong: both(small(), wrong), lambda wrong: both(small(), again=wrong)):
        with pytest.raises(gk.GrokkitError, match="the second table: status is something else than ok or failed"):
            call(spoiled("status", "crashed"))


def test_what_is_no_curve_is_not_drawn():
    axes = Figure().subplots()
    assert gk.figures.draw_runs(axes, small().assign(mine=1), "tense", 4, "mine", "k") == 2
    for change, said in (
        ({"mine": "a"}, "no column of numbers"),
        ({"mine": lambda t: t.step.where((t.seed == 42) | (t.step != 2000))}, "missing at some steps of seed 52"),
        ({"mine": np.inf}, "mine is infinite"),
        ({"yours": 1}, "no column mine"),
    ):
        with pytest.raises(gk.GrokkitError, match=said):
            gk.figures.draw_runs(axes, small().assign(**change), "tense", 4, "mine", "k")
