"""Kind 1: a value is what its field says, at every door but Config's own (tests/test_values.py)."""

import numpy as np
import pandas as pd
import pytest
import torch
from mistaken.small import described, refused, run_files, set_options, shown, tiny, train
from synthetic import table as synthetic

import grokkit as gk
from grokkit.cli import main

TRAIN = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--seeds", "1"]


@pytest.mark.parametrize(
    "text, value",
    [("off", False), ("No", False), ("0", False), ("false", False), ("on", True), ("TRUE", True), ("1", True)],
)  # fmt: skip
def test_a_truth_value_is_read_as_people_write_it_on_the_command_line(text, value, tmp_path, capsys):
    shown(capsys, *TRAIN, "--minutes", "0", "--out", str(tmp_path / "out"), *set_options(tied=text))
    assert described(tmp_path / "out")["config"]["tied"] is value


@pytest.mark.parametrize(
    "change",
    ["tied=maybe", "tied=", "tied=None", "tied=2", "dropout=off", "dropout=False", "dropout=None", "width=wide",
     "width=16.5", "width=None", "width=True", "learning_rate=nan", "learning_rate=[1]", "schedule=1", "colour=red",
     "task=question", "preset=laptop", "seed=1"],
)  # fmt: skip
def test_what_a_field_is_not_is_refused_on_the_command_line(change, tmp_path, capsys):
    said = refused(capsys, *TRAIN, "--out", str(tmp_path / "out"), "--set", change)
    assert change.split("=")[0] in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("twice", [("width=8", "width=16"), ("tied=on", "tied=on")])
def test_the_same_field_given_twice_is_refused(twice, tmp_path, capsys):
    said = refused(capsys, *TRAIN, "--out", str(tmp_path / "out"), "--set", twice[0], "--set", twice[1])
    assert twice[0].split("=")[0] in said


def test_a_depth_given_twice_is_refused(tmp_path, capsys):
    """--depth and --set depth= are the same field."""
    assert "depth" in refused(capsys, *TRAIN, "--out", str(tmp_path / "out"), "--set", "depth=2")


def test_numbers_are_taken_by_value_on_the_command_line(tmp_path, capsys):
    out = str(tmp_path / "out")
    command = ["train", "--preset", "smoke", "--task", "tense", "--depth", "2.0", "--seeds", "1.0", "--minutes", "0"]
    shown(capsys, *command, "--out", out, *set_options(width="8.0", learning_rate="1"))
    config = described(out)["config"]
    assert [config[name] for name in ("depth", "width", "learning_rate")] == [2, 8, 1.0]
    assert type(config["depth"]) is int


@pytest.mark.parametrize("words", [["--depth", "True"], ["--depth", "4.5"], ["--depth", "0"], ["--seeds", "True"],
                                   ["--minutes", "nan"], ["--minutes", "-1"], ["--minutes", "soon"]])  # fmt: skip
def test_no_number_is_refused_on_the_command_line(words, tmp_path, capsys):
    name, value = words
    command = ["train", "--preset", "smoke", "--task", "tense", "--out", str(tmp_path / "out"), *set_options()]
    refused(capsys, *command, name, value)
    assert not run_files(tmp_path)


@pytest.mark.parametrize(
    "words",
    [["PRESET", "huge"], ["SOURCE", "memory"], ["SEEDS", "4.5"], ["SEEDS", "True"], ["SEEDS", "['a']"],
     ["DEPTHS", "None"], ["DEPTHS", "0"]],
)  # fmt: skip
def test_a_parameter_of_a_notebook_is_what_its_name_says(words, capsys):
    assert words[0] in refused(capsys, "reproduce", "run", "-p", *words)


def test_seeds_are_a_number_before_anything_is_named_or_trained():
    gk.sweep.run("smoke", ["tense"], [np.int64(1)], [52.0], progress=False)
    assert set(gk.results("smoke", seeds=[52]).seed) == {52}
    for seed in (52, 52.0, np.int64(52), np.float32(52), pd.Series([52]).iloc[0]):
        assert gk.load_stack("smoke", "tense", 1.0, seed).seeds == (52,)


@pytest.mark.parametrize(
    "seeds", [True, [True], [42, False], None, [None], [4.5], [-1], ["a"], [np.nan], [[42]], "many", [], [42, 42]]
)
def test_what_is_no_seed_starts_no_stack(seeds):
    for door in (lambda: gk.TransformerStack(tiny(), seeds), lambda: train(tiny(), seeds)):
        with pytest.raises(gk.GrokkitError, match="seed"):
            door()


@pytest.mark.parametrize("seeds", ["42", 42, 42.0, [42], np.array([42.0]), torch.tensor(42), ("42",)])
def test_a_stack_takes_its_seeds_by_value(seeds):
    assert gk.TransformerStack(tiny(), seeds).seeds == (42,)


@pytest.mark.parametrize("wanted", [{"depths": True}, {"depths": [1.5]}, {"seeds": [True]}, {"seeds": ["many"]},
                                    {"tasks": 4}, {"depths": {"tense": False}}])  # fmt: skip
def test_results_refuse_what_is_no_depth_seed_or_task(wanted, finished):
    with pytest.raises(gk.GrokkitError, match=next(iter(wanted))[:-1]):
        gk.results("smoke", **wanted)


def test_results_take_numbers_by_value(finished):
    table = gk.results("smoke", ["tense"], [1], [42])
    assert gk.results("smoke", ["tense"], [np.float64(1)], pd.Series([42.0])).equals(table)


@pytest.mark.parametrize("ten", [10.0, np.int64(10), np.float32(10), pd.Series([10]).iloc[0]])
def test_sizes_and_seeds_of_a_corpus_are_taken_by_value(ten):
    task = gk.TASKS["tense"]
    assert task.generate(ten, {"train": ten, "val": 5, "gen": 5})["train"].lines == (
        task.generate(10, {"train": 10, "val": 5, "gen": 5})["train"].lines
    )


@pytest.mark.parametrize(
    "wrong", [{"seed": True}, {"seed": 0.5}, {"sizes": {"train": True}}, {"sizes": {"train": None}}]
)
def test_a_corpus_refuses_what_is_no_size_and_no_seed(wrong):
    with pytest.raises(gk.GrokkitError):
        gk.TASKS["tense"].generate(**wrong)


@pytest.mark.parametrize("name, value", [("workers", True), ("workers", 1.5), ("workers", 0), ("workers", "two"),
                                         ("minutes", True), ("minutes", "5m"), ("minutes", np.nan)])  # fmt: skip
def test_workers_and_minutes_are_numbers(name, value):
    with pytest.raises(gk.GrokkitError, match=name):
        gk.sweep.run("smoke", ["tense"], [1], [42], progress=False, **{name: value})


def test_words_of_a_tree_are_counted_by_value():
    assert gk.trees.right_branching(np.int64(4)) == gk.trees.right_branching(4.0) == gk.trees.right_branching(4)
    for wrong in (True, 2.5, "3", None):
        with pytest.raises(gk.GrokkitError):
            gk.trees.right_branching(wrong)


NO_TRUTH = ["no", "False", 0, 1, None, np.nan, [], [True], pd.Series([True])]


@pytest.mark.parametrize("value", NO_TRUTH, ids=repr)
@pytest.mark.parametrize(
    "name, door",
    [
        ("unfinished", lambda value: gk.results("smoke", unfinished=value)),
        ("root", lambda value: gk.trees.parseval((0, 1), (0, 1), root=value)),
        ("progress", lambda value: train(tiny(), [1], progress=value)),
        ("progress", lambda value: gk.sweep.run("smoke", "tense", 1, 42, progress=value)),
    ],
)
def test_what_is_no_truth_value_counts_as_none(name, door, value, finished):
    with pytest.raises(gk.GrokkitError, match=f"^{name} = .*True or False"):
        door(value)


@pytest.mark.parametrize("value", [["smoke"], {"smoke"}, {}, np.array(["smoke", "laptop"]), pd.Series(["smoke"]), b"x"],
                         ids=repr)  # fmt: skip
@pytest.mark.parametrize("door", [gk.preset, gk.results, gk.sweep.plan, lambda name, _: gk.load_stack(name, _, 1, 42),
                                  lambda task, _: gk.preset("smoke", task)])  # fmt: skip
def test_what_is_no_name_is_refused_in_one_line(door, value):
    with pytest.raises(gk.GrokkitError, match="^unknown (preset|task) .*: choose one of") as caught:
        door(value, "tense")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["smoke", None, 4, {"width": 8}, pd.Series([1, 2])], ids=repr)
@pytest.mark.parametrize("door", [lambda config: train(config, [1]), gk.load_corpus])
def test_what_is_no_config_is_refused_in_one_line(door, value):
    with pytest.raises(gk.GrokkitError, match="^config = .*gk.preset") as caught:
        door(value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", [4.0, True, ["cpu"], pd.Series(["cpu", "cpu"]), "nonsense", "cpu cuda"], ids=repr)
@pytest.mark.parametrize("door", [lambda device: train(tiny(), [1], device=device),
                                  lambda device: gk.load_stack("smoke", "tense", 1, 42, device=device)])  # fmt: skip
def test_what_is_no_device_is_refused_in_one_line(door, device, finished):
    with pytest.raises(gk.GrokkitError, match="unknown device") as caught:
        door(device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seeds", ["42 52", [42, 52], "42:62:10", b"42", [], True])
def test_one_run_is_loaded_for_one_seed(seeds, finished):
    with pytest.raises(gk.GrokkitError, match="^seed = "):
        gk.load_stack("smoke", "tense", 1, seeds)


@pytest.mark.parametrize("one", [1, 1.0, "1", np.int64(1), [1]])
def test_a_run_of_a_stack_and_an_item_of_figure_1_are_counted_by_value(one):
    stack = gk.TransformerStack(tiny(), [42, 52])
    assert stack.run(one).seeds == (52,)
    corpora = {"tense": gk.TASKS["tense"].generate(0, {"train": 500, "val": 1, "gen": 100})}
    assert gk.figures.fig1(corpora, one).texts[0].get_text() == gk.figures.fig1(corpora, 1).texts[0].get_text()
    for wrong in (2, -1, None, True, "one"):
        with pytest.raises(gk.GrokkitError, match="^r = "):
            stack.run(wrong)


@pytest.mark.parametrize("sizes", [4, "train", [300], pd.Series([300])], ids=repr)
def test_what_is_no_mapping_is_no_sizes(sizes):
    with pytest.raises(gk.GrokkitError, match="^sizes = "):
        gk.TASKS["tense"].generate(0, sizes)


def test_nothing_that_was_right_is_refused(tmp_path):
    assert main([*TRAIN, "--minutes", "0", "--out", str(tmp_path), *set_options(schedule="constant", dropout="0")]) == 0


@pytest.mark.parametrize("value", [["fig2"], None, 2, pd.Series(["fig2"]), "fig1"], ids=repr)
def test_a_verdict_is_on_a_figure_and_a_preset_that_there_are(value):
    for said, door in (("figure = ", lambda: gk.verdict(synthetic(), value)),
                       ("unknown preset", lambda: gk.verdict({}, "table1", value))):  # fmt: skip
        if value is not None or said == "figure = ":
            with pytest.raises(gk.GrokkitError, match=f"^{said}.*choose one of"):
                door()


def test_what_is_no_task_preset_split_or_device_is_refused_in_one_line():
    table = synthetic(tasks=("tense",), depths=(2,))
    stack = gk.TransformerStack(tiny(), [1])
    for door in (
        lambda: gk.outcomes.choose_depths(table, ["tense"]),
        lambda: gk.figures.save(gk.figures.fig5(table, "tense"), 4, "x"),
        lambda: gk.wrong_answers(stack, "tense", None),
        lambda: gk.TransformerStack(tiny(), [1], device=4.0),
    ):
        with pytest.raises(gk.GrokkitError) as caught:
            door()
        assert "\n" not in str(caught.value)
