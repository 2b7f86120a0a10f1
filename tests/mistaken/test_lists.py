"""Kind 2: one is a list of one; lists read alike everywhere (what is a list: tests/test_values.py); what is not there
is said."""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mistaken.small import begin, shown, texts, tiny, train, what_is_said
from synthetic import table as synthetic

import grokkit as gk
from grokkit.cli import main


@pytest.mark.parametrize(
    "wanted",
    [{"tasks": "tense"}, {"tasks": pd.Series(["tense"])}, {"depths": 1}, {"depths": "1"}, {"depths": {"tense": 1}},
     {"depths": {"tense": "1:2"}}, {"seeds": "42:62:10"}, {"seeds": {42, 52}},
     {"tasks": "tense", "depths": np.int64(1), "seeds": "42 52"}],
)  # fmt: skip
def test_results_take_one_as_a_list_of_one_and_read_lists(wanted, finished):
    assert gk.results("smoke", **wanted).equals(gk.results("smoke"))
    assert what_is_said(lambda: gk.results("smoke", **wanted)) == ""  # all is there


@pytest.mark.parametrize(
    "wanted, name",
    [({"seeds": [42, 999]}, "999"), ({"depths": [1, 9]}, "9"), ({"tasks": ["tense", "dyck"]}, "dyck"),
     ({"depths": {"tense": [1, 7]}}, "7")],
)  # fmt: skip
def test_what_was_asked_for_and_is_not_there_is_said(wanted, name, finished):
    """By a warning or an error; what is there may be given."""
    assert name in what_is_said(lambda: gk.results("smoke", **wanted))


def test_what_has_only_begun_is_said_whether_it_was_named_or_not(finished):
    begin(gk.preset("smoke", "tense", 1), [62], finished / "smoke/tense/L1")
    for wanted in ({}, {"seeds": [42, 62]}, {"tasks": "tense"}, {"depths": 1}, {"seeds": 62}):
        assert "begun, not finished: tense L1 seeds 62" in what_is_said(lambda some=wanted: gk.results("smoke", **some))
    assert set(gk.results("smoke", seeds=[42, 52]).seed) == {42, 52}
    assert what_is_said(lambda: gk.results("smoke", seeds=[42, 52])) == ""
    assert what_is_said(lambda: gk.results("smoke", unfinished=True)) == ""


def test_a_second_training_is_asked_for_as_again(finished, capsys):
    again = Path(os.environ["GROKKIT_FIGURES"]) / "smoke/again.csv"
    again.parent.mkdir(parents=True)
    with pytest.raises(gk.GrokkitError, match="no record .*again.csv"):
        gk.results("smoke", source="again")
    table = gk.results("smoke")
    table.to_csv(again, index=False)
    pd.testing.assert_frame_equal(gk.results("smoke", "tense", 1, "42,52", source="again"), table)
    assert gk.sweep.collect("smoke", "tense", seeds=42, source="again").seed.nunique() == 1
    assert "again: seeds that are" in shown(capsys, "status", "--preset", "smoke", "--source", "again")
    with pytest.raises(gk.GrokkitError, match="runs, record, again"):
        gk.results("smoke", source="twice")


def test_a_sweep_a_training_and_a_stack_take_one_or_a_text():
    table = gk.sweep.collect("smoke", "tense", 1, 42, progress=False)
    assert set(table.seed) == {42} and set(table.depth) == {1}
    assert gk.sweep.collect("smoke", "tense", "1", "42", progress=False).equals(table)
    assert set(train(tiny(steps=1), "42:62:10", minutes=0).seed) == {42, 52}
    assert gk.TransformerStack(tiny(), "42, 52").seeds == (42, 52)


@pytest.mark.parametrize("tasks", [["tense"], ("tense",), "tense,question"])
def test_figure_5_takes_one_task_or_several(tasks):
    drawn = texts(gk.figures.fig5(synthetic(depths=(2, 4), seeds=(42,)), tasks=tasks))
    assert "Tense" in drawn and ("Question" in drawn) == ("question" in tasks)


@pytest.mark.parametrize("seeds", ["42 52", "42,52", "42:62:10", "42, 52"])
def test_the_command_line_and_the_environment_read_lists_alike(seeds, finished, monkeypatch, capsys):
    command = ["status", "--preset", "smoke", "--tasks", "tense,question", "--depths", "1:3"]
    given = shown(capsys, *command, "--seeds", *seeds.split()).splitlines()[-4:]
    assert [line.split()[:2] for line in given] == [
        ["tense", "1"],
        ["tense", "2"],
        ["question", "1"],
        ["question", "2"],
    ]
    assert given[0].split() == ["tense", "1", "42", "52", "-", "-", "-"]
    monkeypatch.setenv("GROKKIT_SEEDS", seeds)
    monkeypatch.setenv("GROKKIT_DEPTHS", "1:3")
    assert shown(capsys, *command[:-2]).splitlines()[-4:] == given


def test_recording_says_what_is_not_there(finished, capsys):
    with warnings.catch_warnings(record=True) as caught:
        main(["record", "--preset", "smoke", "--tasks", "tense", "--depths", "1", "--seeds", "42", "999"])
    said = capsys.readouterr()
    assert "999" in " ".join([said.out, said.err, *(str(warning.message) for warning in caught)])


def test_one_figure_is_a_list_of_one():
    assert gk.reproduce.notebooks_of("fig3") == gk.reproduce.notebooks_of(["fig3"]) == ["04_depth", "05_internals"]
    assert gk.reproduce.notebooks_of("fig2,fig5") == ["03_structural_grokking", "07_training_loss"]
    for wrong in (None, 3, "fig9", ["fig2", "fig9"], []):
        with pytest.raises(gk.GrokkitError, match="figure .*choose one"):
            gk.reproduce.notebooks_of(wrong)


@pytest.mark.parametrize("seeds, depths", [(52, 1), ("[52]", "1")])
def test_papermill_may_give_a_notebook_one_number(seeds, depths, finished):
    """`papermill -p SEEDS 52` gives an int: all cells of a notebook, after its parameters."""
    notebook = json.loads((Path(__file__).parents[2] / "notebooks/02_one_run.ipynb").read_text())
    names: dict = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
        if "parameters" in cell["metadata"].get("tags", []):
            names.update({"PRESET": "smoke", "SEEDS": seeds, "DEPTHS": depths, "SOURCE": "runs"})
    assert set(names["table"].seed) == {52}


def test_one_sentence_is_a_list_of_one():
    stack, vocab, sentence = gk.TransformerStack(tiny(), [1]), gk.TASKS["tense"].vocab, "the newt slept"
    assert [chart.shape for chart in gk.trees.sci_charts(stack, sentence, vocab)] == [(1, 3, 3)]
    one, other = (gk.internals.attention_entropy(stack, given, vocab) for given in (sentence, [sentence]))
    assert one.equals(other)
