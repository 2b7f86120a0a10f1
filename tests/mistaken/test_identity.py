"""Kind 3: a run is its config and its data: whatever opens, joins or judges runs compares both."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from mistaken.small import begin, folders_of, put, refused, run_files, steps_of, tiny, train
from shared import shared_path

import grokkit as gk


def train_another(folder, seed=42) -> Path:
    """A run of smoke in all but its learning rate."""
    train(gk.preset("smoke", "tense", 1, learning_rate=0.5), [seed], folder)
    return folder


@pytest.mark.parametrize(
    "door",
    [
        lambda: gk.results("smoke"),
        lambda: gk.results("smoke", ["tense"], [1], [42]),
        lambda: gk.load_stack("smoke", "tense", 1, 42),
        lambda: gk.sweep.run("smoke", ["tense"], [1], [42], progress=False),
        lambda: gk.sweep.collect("smoke", ["tense"], [1], [42], progress=False),
    ],
    ids=["results", "results of one", "load_stack", "sweep", "collect"],
)
def test_a_run_of_another_config_is_not_given_out_as_the_presets(door, tmp_path):
    put(train_another(tmp_path), "smoke", "tense", 1, 42)
    with pytest.raises(gk.GrokkitError, match="learning_rate") as caught:
        door()
    assert "remove" not in str(caught.value).lower()


def test_a_run_of_another_config_is_not_recorded(tmp_path, capsys):
    put(train_another(tmp_path), "smoke", "tense", 1, 42)
    assert "learning_rate" in refused(capsys, "record", "--preset", "smoke")


def test_a_checkpoint_of_another_config_is_no_run_of_the_preset(tmp_path, finished):
    """Only the weights were exchanged."""
    (place,) = folders_of(finished, 52)
    for path in train_another(tmp_path, 52).rglob("checkpoint-*"):
        shutil.copy(path, place)
    with pytest.raises(gk.GrokkitError, match="learning_rate"):
        gk.load_stack("smoke", "tense", 1, 52)


def test_a_table_of_another_run_is_no_table_of_this_one(tmp_path, finished):
    """Only metrics.csv was exchanged, all others are its own: the run says that it is not its table."""
    (place,) = folders_of(finished, 52)
    shutil.copy(run_files(train_another(tmp_path, 52))[0] / "metrics.csv", place)
    with pytest.raises(gk.GrokkitError, match="metrics.csv"):
        gk.results("smoke", seeds=[52])


def joined(*configs) -> pd.DataFrame:
    return pd.concat([train(config, [seed]) for seed, config in enumerate(configs)], ignore_index=True)


@pytest.fixture(scope="module")
def two_configs():
    made: dict = {}

    def tables(**change) -> pd.DataFrame:
        key = str(change)
        if key not in made:
            made[key] = joined(tiny("question"), tiny("question", **change))
        return made[key]

    return tables


@pytest.mark.parametrize(
    "door",
    [
        gk.figures.fig2,
        gk.figures.fig3a,
        gk.figures.fig5,
        lambda table: gk.verdict(table, "fig2"),
        lambda table: gk.outcomes.choose_depths(table, "question"),
        lambda table: gk.figures.grokking(table),
        lambda table: gk.findings(table, "fig2"),
    ],
    ids=["fig2", "fig3a", "fig5", "verdict", "choose_depths", "grokking", "findings"],
)
@pytest.mark.parametrize("change", [{"learning_rate": 0.5}, {"data_seed": 7}])
def test_runs_of_two_configs_are_no_cell(door, change, two_configs):
    with pytest.raises(gk.GrokkitError):
        door(two_configs(**change))


def test_runs_of_one_config_are_a_cell():
    table = joined(tiny("question"), tiny("question"))
    assert table.seed.nunique() == 2 and gk.figures.fig2(table)


def test_rows_and_files_carry_the_identity(tmp_path):
    table = train(tiny(), [1, 2], tmp_path)
    assert table.identity.map(lambda text: bool(re.fullmatch("[0-9a-f]{16}", text))).all()
    assert table.identity.nunique() == 1  # the seed is no part of it
    for folder in run_files(tmp_path):
        assert json.loads((folder / "run.json").read_text())["identity"] == table.identity.iloc[0]


class Lines:
    """A task whose data lie in a place that changes, as files do."""

    def __init__(self, monkeypatch):
        self.task, self.seed = gk.TASKS["tense"], {"train": 0, "val": 0, "gen": 0}
        monkeypatch.setitem(gk.TASKS, "tense", replace(self.task, generate=self.generate))

    def generate(self, seed=0, sizes=None):
        drawn = {name: self.task.generate(number, sizes) for name, number in self.seed.items()}
        return replace(drawn["train"], splits={name: corpus[name] for name, corpus in drawn.items()})


@pytest.fixture
def lines(monkeypatch):
    return Lines(monkeypatch)


@pytest.mark.parametrize("train_first", [begin, train], ids=["begun", "finished"])
@pytest.mark.parametrize("split", ["train", "val", "gen"])
def test_a_run_does_not_go_on_with_other_data_nor_is_it_given_out_for_them(train_first, split, lines, tmp_path):
    train_first(tiny(), [1], tmp_path)
    (folder,) = run_files(tmp_path)
    before = (folder / "metrics.csv").read_bytes()
    lines.seed[split] = 1
    with pytest.raises(gk.GrokkitError, match=rf"(split|data).*\b{split}\b|\b{split}\b.*(split|data)"):
        train(tiny(), [1], tmp_path)
    assert (folder / "metrics.csv").read_bytes() == before


def test_released_files_that_appear_on_the_way_leave_no_holes(tmp_path, monkeypatch):
    """They are measured beside, from the start or not at all: going on with them is refused, or does without."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    begin(tiny(), [1], tmp_path / "out")
    (tmp_path / "cache/grokkit").mkdir(parents=True)
    for name in ("tense.dev", "tense.gen"):
        shutil.copy(shared_path(f"reference/splits/{name}"), tmp_path / "cache/grokkit")
    try:
        table = train(tiny(), [1], tmp_path / "out")
    except gk.GrokkitError as error:
        assert re.search("official|released", str(error))
    else:
        official = [name for name in table if "official" in name]
        assert not table[official].isna().any(axis=None)


def test_a_run_goes_on_with_the_same_data_from_elsewhere(lines, tmp_path):
    begin(tiny(), [1], tmp_path)
    gk.TASKS["tense"] = replace(gk.TASKS["tense"], generate=lambda *given: lines.generate(*given))
    assert steps_of(tiny(), [1], tmp_path)[0] == 2


def test_a_corpus_is_not_remembered_by_the_function_that_made_it(lines):
    before = gk.load_corpus(tiny())["train"].lines
    lines.seed["train"] = 1
    after = gk.load_corpus(tiny())["train"].lines
    assert after != before and after == lines.generate(0, {"train": 40, "val": 20, "gen": 20})["train"].lines


def test_training_takes_what_a_task_gives_now(lines):
    one = train(tiny(), [1])
    lines.seed["train"] = 1
    assert train(tiny(), [1]).train_loss.tolist() != one.train_loss.tolist()
