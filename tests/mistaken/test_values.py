"""Kind 1: a value is what its field says, at every door but Config's own (tests/test_values.py, tests/test_config.py)
and the command line's (tests/test_cli.py)."""

import numpy as np
import pandas as pd
import pytest
import torch
from mistaken.small import one_line, run_files, tiny, train
from synthetic import table as synthetic

import grokkit as gk


@pytest.mark.parametrize("one", [1.0, np.int64(1), np.float32(1), torch.tensor(1), pd.Series([1]).iloc[0]], ids=repr)
def test_a_number_is_taken_by_value_at_every_door(one, finished):
    before = run_files(finished)
    gk.sweep.run("smoke", "tense", one, 52 * one, progress=False)
    assert run_files(finished) == before  # no folder of another name
    assert gk.results("smoke", "tense", one, 52 * one).equals(gk.results("smoke", "tense", 1, 52))
    assert gk.load_stack("smoke", "tense", one, 52 * one).seeds == (52,)
    assert set(train(tiny(steps=1), one, minutes=0).seed) == {1}
    assert gk.TransformerStack(tiny(), [42, 52]).run(one).seeds == (52,)
    task, sizes = gk.TASKS["tense"], {"train": 50, "val": 5, "gen": 20}
    corpus = task.generate(1, sizes)
    assert task.generate(one, {name: n * one for name, n in sizes.items()}) == corpus
    assert gk.trees.right_branching(4 * one) == gk.trees.right_branching(4)
    shown, same = (gk.figures.fig1({"tense": corpus}, item).texts[0].get_text() for item in (one, 1))
    assert shown == same


def sweep(**options):
    gk.sweep.run("smoke", ["tense"], [1], [42], **{"progress": False} | options)


UNKNOWN_TASK = "^unknown task .*: choose one of .*question"
UNKNOWN_PRESET = ": choose one of as-run"
TRUTH = "True or False"
NAMES = [["smoke"], {"smoke"}, {}, np.array(["smoke", "laptop"]), pd.Series(["smoke"]), b"x"]
DOORS = [  # what is said, a function, and what it refuses
    ("seed", lambda value: gk.TransformerStack(tiny(), value), [True, [42, False], None, [], [42, 42], [[42]]]),
    ("seed", lambda value: train(tiny(), value), [[4.5], "many"]),
    ("seed", lambda value: gk.results("smoke", seeds=value), [[True], ["many"]]),
    ("^seed = ", lambda value: gk.load_stack("smoke", "tense", 1, value), ["42 52", [42, 52], "42:62:10", b"42", []]),
    ("depth", lambda value: gk.results("smoke", depths=value), [True, [1.5], {"tense": False}]),
    ("task", lambda value: gk.results("smoke", tasks=value), [4]),
    ("^r = ", lambda value: gk.TransformerStack(tiny(), [42, 52]).run(value), [2, -1, None, True, "one"]),
    ("sizes", lambda value: gk.TASKS["tense"].generate(0, value), [4, "train", [300], pd.Series([300])]),
    ("size", lambda value: gk.TASKS["tense"].generate(0, {"train": value}), [None]),
    ("workers", lambda value: sweep(workers=value), [True, 1.5, 0, "two"]),
    ("minutes", lambda value: sweep(minutes=value), [True, "5m", np.nan, -1]),
    ("words", gk.trees.right_branching, [True, 2.5, "3", None]),
    ("keep", lambda value: train(tiny(), [1], keep=value), [-1, 0, True, False, 1.5, "2", np.nan, -(2**70)]),
    ("out = ", lambda value: train(tiny(), [1], value), ["", " ", "a\0b", 3, ["out"]]),
    (f"^root = .*{TRUTH}", lambda value: gk.trees.parseval((0, 1), (0, 1), root=value),
     ["no", "False", 0, 1, None, np.nan, [], [True], pd.Series([True])]),
    (f"^unfinished = .*{TRUTH}", lambda value: gk.results("smoke", unfinished=value), ["no"]),
    (f"^progress = .*{TRUTH}", lambda value: train(tiny(), [1], progress=value), ["no", 0]),
    (f"^progress = .*{TRUTH}", lambda value: sweep(progress=value), ["no", 0]),
    ("^unknown preset" + ".*" + UNKNOWN_PRESET, lambda value: gk.preset(value, "tense"), NAMES),
    ("^unknown preset" + ".*" + UNKNOWN_PRESET, gk.results, ["huge", {}]),
    ("^unknown preset" + ".*" + UNKNOWN_PRESET, lambda value: gk.sweep.plan(value, "tense"), ["huge", {}]),
    ("^unknown preset" + ".*" + UNKNOWN_PRESET, lambda value: gk.load_stack(value, "tense", 1, 42), ["huge", {}]),
    ("'smoke~.*'" + UNKNOWN_PRESET, lambda value: gk.preset(value, "tense"), ["smoke~00000", "smoke~00000g", "smoke~"]),
    ("'.*~000000'" + UNKNOWN_PRESET, gk.results, ["huge~000000", "~000000"]),
    ("'.*~000000'" + UNKNOWN_PRESET, lambda value: gk.load_stack(value, "tense", 1, 42), ["huge~000000"]),
    (UNKNOWN_TASK, lambda value: gk.preset("smoke", value), NAMES),
    (UNKNOWN_TASK, lambda value: gk.results("smoke", value), ["poetry", ["tense", "poetry"]]),
    (UNKNOWN_TASK, lambda value: gk.results("smoke", depths=value), [{"poetry": [1]}]),
    (UNKNOWN_TASK, lambda value: gk.sweep.run("smoke", value, progress=False), ["poetry"]),
    (UNKNOWN_TASK, lambda value: gk.sweep.collect("smoke", value, progress=False), [["poetry"]]),
    (UNKNOWN_TASK, lambda value: gk.load_stack("smoke", value, 1, 42), ["poetry"]),
    (UNKNOWN_TASK, lambda value: gk.figures.fig5(synthetic(), value), ["poetry", ["question", "poetry"]]),
    ("name one task", lambda value: gk.outcomes.choose_depths(synthetic(), value), [["tense"]]),
    ("split", lambda value: gk.wrong_answers(gk.TransformerStack(tiny(), [1]), "tense", value), [None]),
    ("preset", lambda value: gk.figures.save(gk.figures.fig5(synthetic(depths=(2, 4)), "tense"), value, "x"), [4]),
    ("^figure = .*choose one of", lambda value: gk.verdict(synthetic(), value),
     [["fig2"], None, 2, pd.Series(["fig2"]), "fig1"]),
    ("^unknown preset.*choose one of", lambda value: gk.verdict({}, "table1", value), [["fig2"], 2, "fig1"]),
    ("^config = .*gk.preset", lambda value: train(value, [1]), ["smoke", None, 4, {"width": 8}, pd.Series([1, 2])]),
    ("^config = .*gk.preset", gk.load_corpus, ["smoke", pd.Series([1, 2])]),
    ("unknown device", lambda value: train(tiny(), [1], device=value),
     [4.0, True, ["cpu"], pd.Series(["cpu", "cpu"]), "nonsense", "cpu cuda"]),
    ("unknown device", lambda value: gk.load_stack("smoke", "tense", 1, 42, device=value), [4.0, "nonsense"]),
    ("device", lambda value: gk.TransformerStack(tiny(), [1], device=value), [4.0]),
]  # fmt: skip


@pytest.mark.parametrize("said, door, value", [(said, door, value) for said, door, values in DOORS for value in values])
def test_what_is_no_value_is_refused_in_one_line(said, door, value, finished):
    with pytest.raises(gk.GrokkitError, match=said) as caught:
        door(value)
    assert "grokkit sweep" not in one_line(caught.value)  # nothing is to be trained


def test_what_is_no_count_of_checkpoints_removes_none(tmp_path):
    train(tiny(), [1], tmp_path, keep=None)
    before = sorted(tmp_path.rglob("checkpoint-*"))
    with pytest.raises(gk.GrokkitError, match="keep"):
        train(tiny(), [1], tmp_path, keep=0)
    assert sorted(tmp_path.rglob("checkpoint-*")) == before and len(before) == 3


@pytest.mark.parametrize("keep, left", [(2.0, 2), (np.int64(1), 1)])
def test_so_many_checkpoints_are_kept(keep, left, tmp_path):
    train(tiny(), [1], tmp_path, keep=keep)
    assert len(list(tmp_path.rglob("checkpoint-*"))) == left
