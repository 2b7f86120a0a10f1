"""Kind 3: a changed config bears no preset's name, but one of its own, by which it is asked for."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mistaken.small import (
    TINY,
    begin,
    described,
    run_files,
    set_options,
    shown,
    steps_of,
    texts,
    tiny,
    train,
    what_is_said,
)

import grokkit as gk

CHANGED = re.compile(r"smoke~[0-9a-f]{6}")


@pytest.mark.parametrize(
    "config",
    [tiny(), tiny().replace(learning_rate=0.5), replace(gk.preset("smoke", "tense", 1), **TINY), tiny(data_seed=1)],
    ids=["preset", "replace", "dataclasses.replace", "data_seed"],
)  # fmt: skip
def test_a_changed_config_is_named_so_in_its_table(config):
    names = set(train(config, [1], minutes=0).preset)
    assert len(names) == 1 and CHANGED.fullmatch(names.pop())


def test_different_changes_have_different_names_and_equal_ones_the_same():
    one, other, again = (tiny(learning_rate=rate).preset for rate in (0.5, 0.25, 0.5))
    assert one == again != other


@pytest.mark.parametrize(
    "changes", [{"steps": 30, "horizon": 40}, {"data_path": "/elsewhere"}, {"learning_rate": np.float64(2e-3)}, {}]
)
def test_what_changes_no_run_changes_no_name(changes):
    """At a constant rate other steps change none, and under a falling one they do."""
    config = gk.preset("laptop", "tense", 4, **changes)
    for same in (config, config.replace(depth=2), config.replace(width=8).replace(width=config.width)):
        assert same.preset == "laptop"
    assert CHANGED.fullmatch(gk.preset("smoke", "tense", 1, steps=10).preset)


def test_no_name_makes_a_config_another_than_it_is():
    changed = tiny(learning_rate=0.5)
    assert replace(changed, preset="smoke") == changed and changed.replace(preset="smoke~000000") == changed
    assert replace(changed, preset="as-run").preset.startswith("as-run~")
    assert replace(gk.preset("smoke", "tense", 1), preset="smoke~000000").preset == "smoke"


def test_a_config_a_table_and_a_caption_name_what_was_changed():
    config = tiny(learning_rate=0.5, tied=True)
    assert CHANGED.search(repr(config)) and "learning_rate=0.5" in repr(config)
    table = train(config, [1])
    assert all("learning_rate=0.5" in text and "tied=True" in text for text in table.changes)
    assert "learning_rate=0.5" in texts(gk.figures.grokking(table))
    assert "changes" not in train(gk.preset("smoke", "tense", 1), [1], minutes=0)


def test_a_verdict_takes_no_changed_config_for_its_preset():
    """as-run in name only: its numbers are not held against the paper's."""
    changes = TINY | dict(width=16, heads=2, ffn_width=16, batch_size=4, warmup_steps=2)
    table = train(gk.preset("as-run", "tense", 2, **changes), [1, 2, 3])
    verdict = gk.verdict(table, "fig2")
    assert set(verdict.verdict) == set(verdict.against_expected) == {"NOT COMPARABLE"}
    assert "as-run~" in what_is_said(lambda: gk.figures.fig2(table))


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
