"""Kind 3: a run is its config and its data, and says which; a seed of a cell lives in one place."""

import json
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mistaken.small import (
    TINY,
    begin,
    described,
    folders_of,
    put,
    run_files,
    set_options,
    shown,
    steps_of,
    texts,
    tiny,
    train,
    what_is_said,
)
from shared import shared_path
from synthetic import table as synthetic

import grokkit as gk
from grokkit.cli import main

CHANGED = re.compile(r"smoke~[0-9a-f]{6}")


def train_another(folder, seed=42) -> Path:
    """A run of smoke in all but its learning rate."""
    train(gk.preset("smoke", "tense", 1, learning_rate=0.5), [seed], folder)
    return folder


# -- a changed config bears no preset's name -----------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [tiny(), tiny().replace(learning_rate=0.5), replace(gk.preset("smoke", "tense", 1), **TINY), tiny(data_seed=1)],
    ids=["preset", "replace", "dataclasses.replace", "data_seed"],
)  # fmt: skip
def test_a_changed_config_is_named_so_in_its_table(config):
    names = set(train(config, [1], minutes=0).preset)
    assert len(names) == 1 and CHANGED.fullmatch(names.pop())


def test_different_changes_have_different_names_and_equal_ones_the_same():
    tables = [train(tiny(learning_rate=rate), [1], minutes=0) for rate in (0.5, 0.25, 0.5)]
    names = [table.preset.iloc[0] for table in tables]
    assert names[0] != names[1] and names[0] == names[2]


def test_what_is_changed_back_is_the_preset_again():
    config = gk.preset("smoke", "tense", 1, width=8).replace(width=gk.preset("smoke", "tense").width)
    assert set(train(config, [1], minutes=0).preset) == {"smoke"}


def test_another_depth_is_no_change():
    assert set(train(gk.preset("smoke", "tense", 3), [1], minutes=0).preset) == {"smoke"}


def test_a_changed_config_tells_what_was_changed():
    said = repr(tiny(learning_rate=0.5))
    assert CHANGED.search(said) and "learning_rate" in said


def test_a_verdict_takes_no_changed_config_for_its_preset():
    """as-run in name only: its numbers are not held against the paper's."""
    changes = TINY | dict(width=16, heads=2, ffn_width=16, batch_size=4, warmup_steps=2)
    table = train(gk.preset("as-run", "tense", 2, **changes), [1, 2, 3])
    verdict = gk.verdict(table, "fig2")
    assert set(verdict.verdict) == set(verdict.against_expected) == {"NOT COMPARABLE"}
    assert "as-run~" in what_is_said(lambda: gk.figures.fig2(table))


@pytest.mark.parametrize(
    "changes", [{"steps": 30, "horizon": 40}, {"data_path": "/elsewhere"}, {"learning_rate": np.float64(2e-3)}, {}]
)
def test_what_changes_no_run_changes_no_name(changes):
    """At a constant rate other steps change none, and under a falling one they do."""
    config = gk.preset("laptop", "tense", 4, **changes)
    assert config.preset == "laptop" and config.replace(depth=2).preset == "laptop"
    assert CHANGED.fullmatch(gk.preset("smoke", "tense", 1, steps=10).preset)


def test_no_name_makes_a_config_another_than_it_is():
    changed = tiny(learning_rate=0.5)
    assert replace(changed, preset="smoke") == changed and changed.replace(preset="smoke~000000") == changed
    assert replace(changed, preset="as-run").preset.startswith("as-run~")
    assert replace(gk.preset("smoke", "tense", 1), preset="smoke~000000").preset == "smoke"


def test_a_table_and_a_caption_name_what_was_changed():
    table = train(tiny(learning_rate=0.5, tied=True), [1])
    assert all("learning_rate=0.5" in text and "tied=True" in text for text in table.changes)
    assert "learning_rate=0.5" in texts(gk.figures.grokking(table))
    assert "changes" not in train(gk.preset("smoke", "tense", 1), [1], minutes=0)


@pytest.fixture
def changed_run(capsys) -> str:
    """The name under which the command line has put a changed run."""
    words = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--seeds", "7"]
    said = shown(capsys, *words, *set_options(learning_rate=0.5))
    (folder,) = run_files(os.environ["GROKKIT_RUNS"])
    name = folder.relative_to(os.environ["GROKKIT_RUNS"]).parts[0]
    assert CHANGED.fullmatch(name) and name in said and name == tiny(learning_rate=0.5).preset
    return name


def test_a_changed_config_is_asked_for_by_its_name(changed_run, capsys):
    table = gk.results(changed_run, "tense", 1, 7)
    assert set(table.preset) == {changed_run} and table.step.max() == 4
    assert gk.load_stack(changed_run, "tense", 1, 7).config == tiny(learning_rate=0.5)
    said = shown(capsys, "status", "--preset", changed_run, "--tasks", "tense", "--depths", "1", "--seeds", "7")
    assert re.search(r"tense +1 +7 ", said)
    shown(capsys, "record", "--preset", changed_run)
    pd.testing.assert_frame_equal(gk.results(changed_run, source="record"), table, rtol=1e-5)
    with pytest.raises(gk.GrokkitError, match="no finished run of preset smoke "):
        gk.results("smoke")


@pytest.mark.parametrize(
    "door",
    [
        lambda name: gk.preset(name, "tense"),
        lambda name: gk.sweep.run(name, "tense", 1, 7, progress=False),
    ],
    ids=["preset", "sweep"],
)
def test_a_name_alone_does_not_say_what_was_changed(door, changed_run):
    with pytest.raises(gk.GrokkitError, match=f"{changed_run}.*changed"):
        door(changed_run)


@pytest.mark.parametrize("name", ["smoke~00000", "smoke~00000g", "smoke~", "huge~000000", "~000000"])
def test_what_is_no_name_of_a_changed_config_is_refused(name):
    for door in (
        lambda: gk.results(name),
        lambda: gk.load_stack(name, "tense", 1, 42),
        lambda: gk.preset(name, "tense"),
    ):
        with pytest.raises(gk.GrokkitError, match=re.escape(f"{name!r}: choose one of as-run")):
            door()


def test_a_run_under_another_changes_name_is_refused(changed_run):
    runs = Path(os.environ["GROKKIT_RUNS"])
    (runs / changed_run).rename(runs / "smoke~000000")
    for door in (lambda: gk.results("smoke~000000"), lambda: gk.load_stack("smoke~000000", "tense", 1, 7)):
        with pytest.raises(gk.GrokkitError, match="learning_rate"):
            door()


def test_a_changed_run_of_an_earlier_version_goes_on_under_its_name(tmp_path, monkeypatch):
    """It was given the preset's name."""
    monkeypatch.setattr("grokkit.presets.name_of", lambda config: config.preset)
    begin(tiny(), [1], tmp_path)
    assert described(tmp_path)["config"]["preset"] == "smoke"
    monkeypatch.undo()
    assert steps_of(tiny(), [1], tmp_path)[0] == 2
    assert set(train(tiny(), [1], tmp_path).preset) == {tiny().preset} != {"smoke"}


# -- whatever opens, joins or judges compares ----------------------------------------------------------------


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
    assert main(["record", "--preset", "smoke"]) == 2
    assert "learning_rate" in capsys.readouterr().err


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


@pytest.fixture(scope="module")
def two_configs():
    made: dict = {}

    def tables(**change) -> pd.DataFrame:
        key = str(change)
        if key not in made:
            made[key] = joined(tiny("question"), tiny("question", **change))
        return made[key]

    return tables


def test_runs_of_one_config_are_a_cell():
    table = joined(tiny("question"), tiny("question"))
    assert table.seed.nunique() == 2 and gk.figures.fig2(table)


def test_rows_and_files_carry_the_identity(tmp_path):
    table = train(tiny(), [1, 2], tmp_path)
    assert table.identity.map(lambda text: bool(re.fullmatch("[0-9a-f]{16}", text))).all()
    assert table.identity.nunique() == 1  # the seed is no part of it
    for folder in run_files(tmp_path):
        assert json.loads((folder / "run.json").read_text())["identity"] == table.identity.iloc[0]


def test_an_identity_is_over_the_config_and_the_data(monkeypatch):
    def identity(config):
        return train(config, [1], minutes=0).identity.iloc[0]

    one = identity(tiny())
    assert identity(tiny()) == one
    assert identity(tiny(learning_rate=0.5)) != one
    assert identity(tiny(data_seed=1)) != one
    constant = identity(tiny(schedule="constant"))
    assert identity(tiny(schedule="constant", steps=8, horizon=50)) == constant


# -- the data ------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("split", ["train", "val", "gen"])
def test_a_run_does_not_go_on_with_other_data(split, lines, tmp_path):
    begin(tiny(), [1], tmp_path)
    lines.seed[split] = 1
    gk.TASKS["tense"] = replace(gk.TASKS["tense"], generate=lambda *given: lines.generate(*given))
    with pytest.raises(gk.GrokkitError, match=rf"(split|data).*\b{split}\b|\b{split}\b.*(split|data)"):
        train(tiny(), [1], tmp_path)


def test_a_finished_run_is_not_given_out_for_other_data(lines, tmp_path):
    before = train(tiny(), [1], tmp_path)
    lines.seed["train"] = 1
    gk.TASKS["tense"] = replace(gk.TASKS["tense"], generate=lambda *given: lines.generate(*given))
    with pytest.raises(gk.GrokkitError, match=r"(split|data).*\btrain\b|\btrain\b.*(split|data)"):
        train(tiny(), [1], tmp_path)
    assert pd.read_csv(run_files(tmp_path)[0] / "metrics.csv").step.tolist() == before.step.tolist()


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


# -- where it was trained ------------------------------------------------------------------------------------


@pytest.fixture
def another_machine():
    """Another number of threads, for as long as it is entered."""

    @contextmanager
    def entered():
        threads = torch.get_num_threads()
        torch.set_num_threads(threads + 1)
        try:
            yield threads + 1
        finally:
            torch.set_num_threads(threads)

    return entered


def test_a_run_names_all_environments_and_the_steps_of_each(tmp_path, another_machine):
    with another_machine() as threads:
        begin(tiny(), [1], tmp_path)
    train(tiny(), [1], tmp_path)
    found = [json.dumps(environment) for environment in described(tmp_path)["environments"]]
    assert [re.findall(r'"threads": (\d+)', text) for text in found] == [[str(threads)], [str(threads - 1)]]
    assert all("step" in text for text in found)


def test_the_same_environment_stands_once(tmp_path):
    begin(tiny(), [1], tmp_path)
    train(tiny(), [1], tmp_path)
    assert len(described(tmp_path)["environments"]) == 1


def test_the_record_names_all_environments(tmp_path, another_machine, monkeypatch, capsys):
    with another_machine() as threads:
        begin(gk.preset("smoke", "tense", 1), [42], tmp_path / "out")
    put(tmp_path / "out", "smoke", "tense", 1, 42)
    gk.sweep.run("smoke", ["tense"], [1], [42], progress=False)
    shown(capsys, "record", "--preset", "smoke")
    text = (Path(os.environ["GROKKIT_FIGURES"]) / "smoke/provenance.json").read_text()
    assert set(re.findall(r'"threads": (\d+)', text)) == {str(threads), str(threads - 1)}


# -- one seed, one place -------------------------------------------------------------------------------------


def test_a_seed_lives_in_one_folder_whatever_it_was_trained_beside(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    cell = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--seeds"]
    shown(capsys, *cell, "42")
    before = gk.results("smoke")
    shown(capsys, *cell, "42", "52")
    assert [len(folders_of(tmp_path, seed)) for seed in (42, 52)] == [1, 1]
    assert (tmp_path / "smoke/tense/L1/seed-42/metrics.csv").exists()
    both = gk.results("smoke")
    assert set(both.seed) == {42, 52}
    pd.testing.assert_frame_equal(both[both.seed == 42].reset_index(drop=True), before)


@pytest.mark.parametrize("seeds", [[1], [2], [2, 1], [1, 2]])
def test_a_begun_stack_goes_on_however_its_seeds_are_asked_for(seeds, tmp_path):
    begin(tiny(), [1, 2], tmp_path)
    assert steps_of(tiny(), seeds, tmp_path)[0] == 2


def test_runs_that_stand_at_different_steps_go_on_each_from_its_own(tmp_path):
    begin(tiny(), [1], tmp_path)
    table = train(tiny(), [1, 2, 3], tmp_path)
    assert table.groupby("seed").step.apply(list).to_dict() == {seed: [0, 2, 4] for seed in (1, 2, 3)}
    assert len(run_files(tmp_path)) == 3


def test_a_sweep_goes_on_with_one_run_of_a_begun_stack(tmp_path):
    begin(gk.preset("smoke", "tense", 1), [42, 52], tmp_path / "out")
    put(tmp_path / "out", "smoke", "tense", 1, 42, 52)
    gk.sweep.run("smoke", ["tense"], [1], [42], progress=False)
    assert len(folders_of(os.environ["GROKKIT_RUNS"], 42)) == 1
    assert set(gk.results("smoke", seeds=[42]).seed) == {42}


def test_a_run_of_a_stack_is_the_run_alone(tmp_path):
    """Up to the order of sums."""
    together, alone = train(tiny(), [1, 2], tmp_path / "a"), train(tiny(), [2], tmp_path / "b")
    both = [table[table.seed == 2].train_loss.dropna().to_numpy() for table in (together, alone)]
    assert both[0] == pytest.approx(both[1], rel=1e-4)


def test_two_rows_for_one_run_and_step_are_an_error_everywhere():
    table = synthetic(tasks=("tense",), depths=(2,))
    twice = pd.concat([table, table.assign(gen_accuracy=table.gen_accuracy / 2)])
    for door in (
        gk.outcomes.crossings,
        gk.outcomes.early_stopping,
        gk.outcomes.sound,
        gk.figures.fig5,
        gk.figures.fig2,
    ):
        with pytest.raises(gk.GrokkitError, match="rows"):
            door(twice)
