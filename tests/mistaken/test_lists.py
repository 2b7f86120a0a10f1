"""Kind 2: one is a list of one; lists read alike everywhere; what is not there is said."""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mistaken.small import begin, folders_of, refused, shown, texts, tiny, train, what_is_said
from synthetic import table as synthetic

import grokkit as gk
from grokkit.cli import main

BOTH = [
    "42 52",
    "42,52",
    "42, 52",
    "[42, 52]",
    "42:62:10",
    (42, 52),
    np.array([42, 52]),
    pd.Series([42, 52]),
    {42, 52},
    range(42, 62, 10),
]


@pytest.mark.parametrize("seeds", BOTH)
def test_results_read_lists_of_seeds_alike(seeds, finished):
    assert sorted(set(gk.results("smoke", seeds=seeds).seed)) == [42, 52]


@pytest.mark.parametrize(
    "wanted",
    [{"tasks": "tense"}, {"depths": 1}, {"depths": "1"}, {"depths": {"tense": 1}}, {"depths": {"tense": "1:2"}},
     {"tasks": "tense", "depths": np.int64(1), "seeds": "42 52"}, {"tasks": pd.Series(["tense"])}],
)  # fmt: skip
def test_results_take_one_as_a_list_of_one(wanted, finished):
    assert len(gk.results("smoke", **wanted)) == len(gk.results("smoke"))


def test_results_take_one_seed(finished):
    for seed in (42, "42", [42]):
        assert set(gk.results("smoke", seeds=seed).seed) == {42}


@pytest.mark.parametrize(
    "wanted, name",
    [({"seeds": [42, 999]}, "999"), ({"depths": [1, 9]}, "9"), ({"tasks": ["tense", "dyck"]}, "dyck"),
     ({"depths": {"tense": [1, 7]}}, "7")],
)  # fmt: skip
def test_what_was_asked_for_and_is_not_there_is_said(wanted, name, finished):
    """By a warning or an error; what is there may be given."""
    assert name in what_is_said(lambda: gk.results("smoke", **wanted))


@pytest.mark.parametrize("wanted", [{}, {"seeds": [42, 62]}, {"tasks": "tense"}, {"depths": 1}, {"seeds": 62}])
def test_what_has_only_begun_is_said_whether_it_was_named_or_not(wanted, finished):
    begin(gk.preset("smoke", "tense", 1), [62], finished / "smoke/tense/L1")
    assert "begun, not finished: tense L1 seeds 62" in what_is_said(lambda: gk.results("smoke", **wanted))
    assert what_is_said(lambda: gk.results("smoke", seeds=[42, 52])) == ""
    assert what_is_said(lambda: gk.results("smoke", unfinished=True)) == ""


def test_a_second_training_is_asked_for_as_again(finished, monkeypatch, capsys):
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


@pytest.mark.parametrize("wanted", [{}, {"seeds": [42]}, {"tasks": ["tense"], "depths": [1], "seeds": [42, 52]}])
def test_nothing_is_said_where_all_is_there(wanted, finished):
    assert what_is_said(lambda: gk.results("smoke", **wanted)) == ""


@pytest.mark.parametrize(
    "door",
    [
        lambda: gk.results("smoke", tasks="poetry"),
        lambda: gk.results("smoke", tasks=["tense", "poetry"]),
        lambda: gk.results("smoke", depths={"poetry": [1]}),
        lambda: gk.sweep.run("smoke", tasks="poetry", progress=False),
        lambda: gk.sweep.collect("smoke", tasks=["poetry"], progress=False),
        lambda: gk.figures.fig5(synthetic(), tasks="poetry"),
        lambda: gk.figures.fig5(synthetic(), tasks=["question", "poetry"]),
        lambda: gk.load_stack("smoke", "poetry", 1, 42),
    ],
)
def test_unknown_names_are_refused_by_name(door, finished):
    with pytest.raises(gk.GrokkitError, match="poetry") as caught:
        door()
    assert "question" in str(caught.value)  # and the choices are named
    assert "grokkit sweep" not in str(caught.value)


@pytest.mark.parametrize("door", [lambda: gk.results("huge"), lambda: gk.load_stack("huge", "tense", 1, 42)])
def test_an_unknown_preset_is_refused_by_name(door, finished):
    with pytest.raises(gk.GrokkitError, match="huge") as caught:
        door()
    assert "grokkit sweep" not in str(caught.value)


def test_a_sweep_takes_one_task_depth_and_seed():
    table = gk.sweep.collect("smoke", "tense", 1, 42, progress=False)
    assert set(table.seed) == {42} and set(table.depth) == {1}
    assert gk.sweep.collect("smoke", "tense", "1", "42", progress=False).equals(table)


@pytest.mark.parametrize("seeds", [42, "42", np.int64(42)])
def test_a_training_takes_one_seed(seeds):
    assert set(train(tiny(steps=1), seeds).seed) == {42}


@pytest.mark.parametrize("seeds", BOTH[:5])
def test_a_training_and_a_stack_read_lists_alike(seeds):
    assert gk.TransformerStack(tiny(), seeds).seeds == (42, 52)


def test_a_training_reads_a_text_of_seeds():
    assert set(train(tiny(steps=1), "42:62:10").seed) == {42, 52}


@pytest.mark.parametrize("tasks", ["tense", ["tense"], ("tense",), "tense,question"])
def test_figure_5_takes_one_task_or_several(tasks):
    drawn = texts(gk.figures.fig5(synthetic(depths=(2, 4), seeds=(42,)), tasks=tasks))
    assert "Tense" in drawn and ("Question" in drawn) == ("question" in tasks)


@pytest.mark.parametrize("seeds", ["42 52", "42,52", "42:62:10", "42, 52"])
def test_the_command_line_reads_lists_alike(seeds, finished, capsys):
    said = shown(capsys, "status", "--preset", "smoke", "--tasks", "tense", "--depths", "1", "--seeds", *seeds.split())
    assert said.splitlines()[-1].split() == ["tense", "1", "42", "52", "-", "-", "-"]


def test_the_command_line_reads_tasks_and_depths_like_seeds(finished, capsys):
    wanted = ["status", "--preset", "smoke", "--tasks", "tense,question", "--depths", "1:3", "--seeds", "42"]
    rows = [line.split()[:2] for line in shown(capsys, *wanted).splitlines()[-4:]]
    assert rows == [["tense", "1"], ["tense", "2"], ["question", "1"], ["question", "2"]]


@pytest.mark.parametrize("seeds", ["42 52", "42,52", "42:62:10"])
def test_the_environment_is_read_like_the_command_line(seeds, finished, monkeypatch, capsys):
    monkeypatch.setenv("GROKKIT_SEEDS", seeds)
    monkeypatch.setenv("GROKKIT_DEPTHS", "1:2")
    said = shown(capsys, "status", "--preset", "smoke", "--tasks", "tense")
    assert said.splitlines()[-1].split() == ["tense", "1", "42", "52", "-", "-", "-"]


def test_training_on_the_command_line_reads_a_series(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    train_them = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--minutes", "0"]
    shown(capsys, *train_them, "--seeds", "42:62:10")
    assert folders_of(tmp_path, 42) and folders_of(tmp_path, 52)


def test_an_unknown_task_on_the_command_line_is_named(capsys):
    assert "'poetry'" in refused(capsys, "record", "--preset", "smoke", "--tasks", "poetry")
    assert "'poetry'" in refused(capsys, "sweep", "--preset", "smoke", "--tasks", "tense,poetry")


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


@pytest.mark.parametrize("seeds, depths", [(52, 1), ("52", "1"), ("[52]", [1])])
def test_papermill_may_give_a_notebook_one_number(seeds, depths, finished, monkeypatch):
    """`papermill -p SEEDS 52` gives an int: all cells of a notebook, after its parameters."""
    notebook = json.loads((Path(__file__).parents[2] / "notebooks/02_one_run.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    given = {"PRESET": "smoke", "SEEDS": seeds, "DEPTHS": depths, "SOURCE": "runs"}
    names: dict = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
        if "parameters" in cell["metadata"].get("tags", []):
            names.update(given)
    assert set(names["table"].seed) == {52}


@pytest.mark.parametrize("door", ["charts", "entropy"])
def test_one_sentence_is_a_list_of_one(door):
    stack, vocab, sentence = gk.TransformerStack(tiny(), [1]), gk.TASKS["tense"].vocab, "the newt slept"
    if door == "charts":
        assert [chart.shape for chart in gk.trees.sci_charts(stack, sentence, vocab)] == [(1, 3, 3)]
    else:
        one, other = (gk.internals.attention_entropy(stack, given, vocab) for given in (sentence, [sentence]))
        assert one.equals(other)
