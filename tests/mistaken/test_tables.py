"""Kind 4: every table that comes in is checked once, by one schema, in memory as from a file."""

import csv
import os
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from mistaken.small import one_line, texts, tiny, train
from synthetic import table as synthetic

import grokkit as gk

PACKAGE = Path(gk.__file__).parent
DOORS = {
    "crossings": gk.outcomes.crossings,
    "early_stopping": gk.outcomes.early_stopping,
    "loss_saturation": gk.outcomes.loss_saturation,
    "at_end": lambda table: gk.outcomes.at_end(table),
    "choose_depths": lambda table: gk.outcomes.choose_depths(table, "tense"),
    "verdict": lambda table: gk.verdict(table, "fig2"),
    "fig2": gk.figures.fig2,
    "fig3a": gk.figures.fig3a,
    "fig3b": gk.figures.fig3b,
    "fig4": gk.figures.fig4,
    "fig5": lambda table: gk.figures.fig5(table, ["tense"]),
    "grokking": lambda table: gk.figures.grokking(table),
    "depth": lambda table: gk.figures.depth(table),
}


if hasattr(gk, "findings"):
    DOORS["findings"] = lambda table: gk.findings(table, "fig2")


def small() -> pd.DataFrame:
    return synthetic(tasks=("tense",), depths=(2, 4), seeds=(42, 52), every=1000)


def spoiled(column, value, row=3) -> pd.DataFrame:
    """One value is another."""
    table = small()
    table[column] = table[column].astype(object)
    table.loc[row, column] = value
    return table.infer_objects()


FAULTS = {
    "doubled": (lambda: pd.concat([small(), small()]), "rows"),
    "doubled, differing": (lambda: pd.concat([small(), small().assign(gen_accuracy=0.5)]), "rows"),
    "crashed": (lambda: spoiled("status", "crashed"), "status"),
    "FAILED": (lambda: spoiled("status", "FAILED"), "status"),
    "no status": (lambda: spoiled("status", np.nan), "status"),
    "no column status": (lambda: small().drop(columns="status"), "status"),
    "percent": (lambda: small().assign(gen_accuracy=small().gen_accuracy * 100), "gen_accuracy"),
    "percent of val": (lambda: small().assign(val_accuracy=small().val_accuracy * 100), "val_accuracy"),
    "below 0": (lambda: spoiled("gen_accuracy", -0.1), "gen_accuracy"),
    "seed nan": (lambda: spoiled("seed", np.nan), "seed"),
    "step nan": (lambda: spoiled("step", np.nan), "step"),
    "task nan": (lambda: spoiled("task", np.nan), "task"),
    "depth text": (lambda: small().assign(depth=small().depth.map("L{}".format)), "depth"),
    "step 2.5": (lambda: spoiled("step", 2.5), "step"),
    "step below 0": (lambda: spoiled("step", -250), "step"),
    "texts": (lambda: small().assign(gen_accuracy=small().gen_accuracy.map(str)), "gen_accuracy"),
    "text in one row": (lambda: spoiled("val_accuracy", "n/a"), "val_accuracy"),
    "truth values": (lambda: small().assign(gen_accuracy=small().gen_accuracy > 0.5), "gen_accuracy"),
    "infinite": (lambda: spoiled("train_loss", np.inf), "train_loss"),
    "hole": (lambda: spoiled("gen_accuracy", np.nan), "gen_accuracy"),
    "empty": (lambda: small().iloc[:0], "empty"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("door", ["crossings", "verdict", "fig2"])
def test_a_wrong_table_is_refused_by_its_column(door, fault):
    make, column = FAULTS[fault]
    with pytest.raises(gk.GrokkitError, match=column) as caught:
        DOORS[door](make())
    assert "remove" not in one_line(caught.value)


@pytest.mark.parametrize("fault", ["doubled", "crashed", "percent", "seed nan", "texts"])
@pytest.mark.parametrize("door", [name for name in DOORS if name not in ("crossings", "verdict", "fig2")])
def test_every_door_asks_the_same_schema(door, fault):
    make, column = FAULTS[fault]
    with pytest.raises(gk.GrokkitError, match=column):
        DOORS[door](make())


@pytest.mark.parametrize("nothing", [None, [], "results.csv", {"step": [1]}, np.zeros(3), pd.DataFrame()])
@pytest.mark.parametrize("door", ["crossings", "verdict", "fig5", "fig4"])
def test_what_is_no_table_is_refused(door, nothing):
    with pytest.raises(gk.GrokkitError):
        DOORS[door](nothing)


def wandb_export() -> pd.DataFrame:
    """Like the authors' released curves: 181 columns, a step and one a run, metric and its bounds."""
    runs = [
        f"tense-L{depth}-{seed} - {what}"
        for depth in range(2, 12)
        for seed in range(6)
        for what in ("acc", "acc__MIN", "acc__MAX")
    ]
    return pd.DataFrame({"Step": range(0, 900, 300)} | {name: [0.1, 0.5, 0.9] for name in runs})


@pytest.mark.parametrize("door", ["crossings", "verdict", "fig2", "fig5", "at_end", "grokking"])
def test_a_table_of_another_kind_is_told_what_a_table_needs(door):
    table = wandb_export()
    assert table.shape[1] == 181
    with pytest.raises(gk.GrokkitError) as caught:
        DOORS[door](table)
    said = one_line(caught.value)
    assert all(name in said for name in ("task", "depth", "seed", "step", "status"))
    assert "remove" not in said and "version" not in said


def put_record(table: pd.DataFrame, **options) -> Path:
    path = Path(os.environ["GROKKIT_FIGURES"]) / "laptop/results.csv"
    path.parent.mkdir(parents=True)
    table.to_csv(path, index=False, **options)
    return path


@pytest.mark.parametrize("fault", ["doubled", "crashed", "percent", "seed nan", "text in one row", "no column status"])
def test_a_wrong_record_is_never_told_to_be_removed(fault):
    make, column = FAULTS[fault]
    put_record(make())
    with pytest.raises(gk.GrokkitError, match=column) as caught:
        gk.results("laptop", source="record")
    assert "remove" not in one_line(caught.value)


def test_another_file_in_the_records_place_is_told_what_a_table_needs():
    put_record(wandb_export())
    with pytest.raises(gk.GrokkitError, match="task") as caught:
        gk.results("laptop", source="record")
    assert "remove" not in one_line(caught.value) and "another version" not in str(caught.value)


def test_a_record_saved_by_a_spreadsheet_is_read():
    """With a byte order mark and Windows line ends."""
    put_record(small(), encoding="utf-8-sig", lineterminator="\r\n")
    assert len(gk.results("laptop", source="record")) == len(small())


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
def test_a_right_table_is_taken_whatever_its_types(change):
    table = small()
    for door in (gk.outcomes.crossings, gk.outcomes.early_stopping):
        pd.testing.assert_frame_equal(door(change(table)), door(table), check_dtype=False, check_index_type=False)
    assert gk.verdict(change(table), "fig2").value.equals(gk.verdict(table, "fig2").value)
    assert texts(gk.figures.fig5(change(table), ["tense"])) == texts(gk.figures.fig5(table, ["tense"]))


def test_a_table_is_not_changed_by_being_looked_at():
    table = small()
    before = table.copy(deep=True)
    gk.outcomes.crossings(table), gk.verdict(table, "fig2"), gk.figures.fig5(table, ["tense"])
    pd.testing.assert_frame_equal(table, before)


# -- the data dictionary -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def columns() -> pd.DataFrame:
    return pd.read_csv(PACKAGE / "storage/columns.csv").set_index("name")


def test_the_dictionary_says_kind_unit_bounds_meaning_and_source(columns):
    assert columns.index.is_unique
    assert {"kind", "unit", "meaning", "source"} <= set(columns)
    assert any("bound" in name or name == "low" for name in columns)
    assert columns.meaning.notna().all() and columns.kind.notna().all()


def test_every_column_of_the_record_is_in_the_dictionary(columns):
    for path in sorted((PACKAGE.parent / "figures").glob("*/results.csv")):
        with open(path, newline="") as handle:
            assert set(next(csv.reader(handle))) <= set(columns.index)


@pytest.mark.parametrize("task", ["question", "tense", "dyck"])
def test_every_column_of_a_training_is_in_the_dictionary(task, columns):
    assert set(train(tiny(task, steps=1), [1])) <= set(columns.index)


def test_all_columns_are_documented_for_readers(columns):
    text = (PACKAGE.parent / "docs/columns.md").read_text()
    assert not [name for name in columns.index if name not in text]
    assert text == runpy.run_path(PACKAGE.parent / "docs/columns.py")["page"]()  # `make format` writes it


# -- further places of the kind -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: pd.concat([small(), small().assign(depth=6, preset="as-run")]), "mixes the presets as-run, laptop"),
        (lambda: small().assign(identity=lambda t: t.seed.map({42: "0f", 52: "1e"})), "seeds 42 and 52"),
        (lambda: pd.concat([small(), small().gen_accuracy], axis=1), "two columns gen_accuracy"),
        (lambda: spoiled("task", 7), "task is not a text everywhere"),
        (lambda: small().assign(depth=0), "depth is outside 1 .. inf somewhere, e.g. 0"),
        (lambda: small().assign(t_score=np.inf), "t_score is infinite"),
        (lambda: small().assign(gen_accuracy=1j), "gen_accuracy is not a number"),
        (lambda: small().assign(preset=None), "preset is missing"),
    ],
)
@pytest.mark.parametrize("door", ["early_stopping", "verdict", "fig2"])
def test_further_wrong_tables_are_refused(door, make, said):
    with pytest.raises(gk.GrokkitError, match=said):
        DOORS[door](make())


def test_a_table_is_checked_once_a_call(monkeypatch):
    asked = []
    check = gk.outcomes.check_table
    monkeypatch.setattr(
        gk.outcomes, "check_table", lambda *given, **options: asked.append(1) or check(*given, **options)
    )
    for door in ("crossings", "verdict", "fig2", "fig3a", "fig3b", "fig4", "fig5"):
        asked.clear()
        DOORS[door](small())
        assert len(asked) == 1, door


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


def test_texts_in_columns_of_ones_own_come_back_from_a_record():
    put_record(small().assign(remark="mine", group=1, preset="laptop"))
    table = gk.results("laptop", source="record")
    assert set(table.remark) == {"mine"} and set(table.group) == {1}
