"""Kind 3: a changed config bears no preset's name, but one of its own, by which it is asked for."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mistaken.small import TINY, begin, described, run_files, set_options, shown, steps_of, texts, tiny, train

import grokkit as gk

CHANGED = re.compile(r"smoke~[0-9a-f]{6}")


def test_a_changed_config_has_a_name_of_its_own():
    """Different changes have different ones, the same change made in any way the same."""
    configs = [tiny(), tiny(learning_rate=0.5), tiny(learning_rate=0.25), tiny(data_seed=1)]
    configs.append(gk.preset("smoke", "tense", 1, steps=10))  # under a falling rate other steps are a change
    assert all(CHANGED.fullmatch(config.preset) for config in configs)
    assert len({config.preset for config in configs}) == 5
    assert replace(gk.preset("smoke", "tense", 1), **TINY).preset == tiny().preset
    assert tiny().replace(learning_rate=0.5).preset == tiny(learning_rate=0.5).preset


@pytest.mark.parametrize(
    "changes", [{"steps": 30, "horizon": 40}, {"data_path": "/elsewhere"}, {"learning_rate": np.float64(2e-3)}, {}]
)
def test_what_changes_no_run_changes_no_name(changes):
    """At a constant rate other steps change none."""
    config = gk.preset("laptop", "tense", 4, **changes)
    for same in (config, config.replace(depth=2), config.replace(width=8).replace(width=config.width)):
        assert same.preset == "laptop"


def test_no_name_makes_a_config_another_than_it_is():
    changed = tiny(learning_rate=0.5)
    assert replace(changed, preset="smoke") == changed and changed.replace(preset="smoke~000000") == changed
    assert replace(changed, preset="as-run").preset.startswith("as-run~")
    assert replace(gk.preset("smoke", "tense", 1), preset="smoke~000000").preset == "smoke"


def test_a_config_a_table_and_a_caption_name_what_was_changed():
    config = tiny(learning_rate=0.5, tied=True)
    assert CHANGED.search(repr(config)) and "learning_rate=0.5" in repr(config)
    table = train(config, [1])
    assert set(table.preset) == {config.preset}
    assert all("learning_rate=0.5" in text and "tied=True" in text for text in table.changes)
    assert "learning_rate=0.5" in texts(gk.figures.grokking(table))
    assert "changes" not in train(gk.preset("smoke", "tense", 1), [1], minutes=0)


def test_a_verdict_takes_no_changed_config_for_its_preset():
    """as-run in name only: its numbers are not held against the paper's."""
    changes = TINY | dict(width=16, heads=2, ffn_width=16, batch_size=4, warmup_steps=2)
    table = train(gk.preset("as-run", "tense", 2, **changes), [1, 2, 3])
    verdict = gk.verdict(table, "fig2")
    assert set(verdict.verdict) == set(verdict.against_expected) == {"NOT COMPARABLE"}
    assert "as-run~" in texts(gk.figures.fig2(table))


def test_a_changed_config_is_asked_for_by_its_name(capsys):
    words = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--seeds", "7"]
    said = shown(capsys, *words, *set_options(learning_rate=0.5))
    runs, name = Path(os.environ["GROKKIT_RUNS"]), tiny(learning_rate=0.5).preset
    assert name in said and run_files(runs) == run_files(runs / name) != []
    table = gk.results(name, "tense", 1, 7)
    assert set(table.preset) == {name} and table.step.max() == 4
    assert gk.load_stack(name, "tense", 1, 7).config == tiny(learning_rate=0.5)
    said = shown(capsys, "status", "--preset", name, "--tasks", "tense", "--depths", "1", "--seeds", "7")
    assert re.search(r"tense +1 +7 ", said)
    shown(capsys, "record", "--preset", name)
    pd.testing.assert_frame_equal(gk.results(name, source="record"), table, rtol=1e-5)
    with pytest.raises(gk.GrokkitError, match="no finished run of preset smoke "):
        gk.results("smoke")
    for door in (lambda: gk.preset(name, "tense"), lambda: gk.sweep.run(name, "tense", 1, 7, progress=False)):
        with pytest.raises(gk.GrokkitError, match=f"{name}.*changed"):  # the name alone does not say to what
            door()
    (runs / name).rename(runs / "smoke~000000")
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
