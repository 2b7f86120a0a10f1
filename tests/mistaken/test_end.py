"""Kind 5: "at the end" is one step; n is what was counted; what was left out is named."""

import re

import pandas as pd
import pytest
from mistaken.small import DOORS, begin, put, texts, what_is_said
from synthetic import run, table

import grokkit as gk

SEEDS = (42, 52, 62)


def cell(until=None, every=None, seed=62) -> pd.DataFrame:
    """Three runs of tense with 4 layers; that of `seed` ends at `until`, or is measured each `every` steps only."""
    whole = table(tasks=("tense",), depths=(4,), seeds=SEEDS)
    mine = whole.seed == seed
    if until is not None:
        whole = whole[~mine | (whole.step <= until)]
    if every is not None:
        whole = whole[~mine | (whole.step % every == 0)]
    return whole.reset_index(drop=True)


def names(said: str, seed: int) -> bool:
    """Whether a text names a seed; 0.62 is none."""
    return re.search(rf"(?<![.\d]){seed}(?![.\d]*\d)", said) is not None


@pytest.mark.parametrize("door", DOORS)
def test_a_run_that_ended_before_the_others_is_named_with_its_step(door):
    """In a note, a caption, a warning, or by refusing; and nothing is said where all end at one step."""
    said = what_is_said(lambda: DOORS[door](cell(until=2500)))
    assert names(said, 62) and ("2500" in said or "2,500" in said or "2.5k" in said)
    said = what_is_said(lambda: DOORS[door](cell()))
    assert not names(said, 62) and "2.5k" not in said


@pytest.mark.parametrize("door", ["fig2", "fig5", "fig3b", "grokking"])
def test_a_run_that_was_measured_at_other_steps_is_named(door):
    """A curve of the common points alone is not a mean of what was measured."""
    assert names(what_is_said(lambda: DOORS[door](cell(every=500))), 62)


@pytest.mark.parametrize("name", ["fig2", "fig3", "fig4"])
def test_a_verdict_counts_the_runs_that_ended_together(name):
    whole = cell()
    right = gk.verdict(whole[whole.seed != 62], name).set_index("quantity")
    with pytest.warns(UserWarning, match="seed 62 ended at step 2,500, not 5,000"):
        found = gk.verdict(cell(until=2500), name).set_index("quantity")
    pd.testing.assert_frame_equal(found[["value", "n"]], right[["value", "n"]])
    assert found.note.str.contains("seed 62 ended at step 2,500, not 5,000: left out").all()


def test_what_was_left_out_is_said_once_a_call():
    with pytest.warns(UserWarning) as caught:
        said = texts(gk.figures.fig2(cell(until=2500)))
    assert [str(warning.message) for warning in caught] == [
        "left out: tense, 4 layers, seed 62 ended at step 2,500, not 5,000"
    ]
    assert "n = 2 seeds" in said.replace("\u00a0", " ")


def test_the_end_is_that_of_the_longest_runs_of_a_cell_and_one_alone_is_none():
    """Only the runs of one cell are held together; a failed run is no short one."""
    given = pd.concat([table(tasks=("tense",), depths=(2,)), table(tasks=("tense",), depths=(4,), end=7500)])
    found = gk.outcomes.at_end(given)
    assert set(zip(found.depth, found.step)) == {(2, 5000), (4, 7500)} and len(found) == 6
    given = cell(until=2500)
    with pytest.raises(gk.GrokkitError, match="seed 42 at step 5,000, seed 52 at step 2,500, seed 62 at step 2,500"):
        gk.outcomes.at_end(given[(given.seed != 52) | (given.step <= 2500)])
    assert len(gk.outcomes.at_end(table(tasks=("tense",), depths=(4,), fail=[("tense", 4, 62)]))) == 2


def test_runs_measured_at_steps_that_nowhere_meet_are_not_drawn_as_one():
    parts = [run("tense", 4, 42, end=4000, every=250), run("tense", 4, 62, end=4000, every=250)]
    parts[1] = parts[1][parts[1].step > 0].assign(step=lambda rows: rows.step - 100)
    said = what_is_said(lambda: gk.figures.fig5(pd.concat(parts, ignore_index=True), ["tense"]))
    assert names(said, 62) or names(said, 42)


def test_only_the_cells_that_are_asked_about_matter():
    """Runs of question that have no common end are no obstacle to tense."""
    question = pd.concat([run("question", 2, 42, end=5000), run("question", 2, 52, end=4000)])
    given = pd.concat([cell(), question], ignore_index=True)
    assert "n = 3 seeds" in texts(gk.figures.fig5(given, ["tense"])).replace("\u00a0", " ")
    assert gk.outcomes.choose_depths(given, "tense").best == 4
    for door in (gk.outcomes.crossings, lambda table: gk.outcomes.choose_depths(table, "question")):
        with pytest.raises(gk.GrokkitError, match="question, 2 layers .*seed 42 at step 5,000, seed 52 at step 4,000"):
            door(given)


def test_runs_measured_at_steps_of_their_own_are_counted_at_their_end_and_not_drawn():
    """As the published curves of Dyck, of which evaluations were lost: no two runs have the same steps."""
    given = pd.concat([run("tense", 4, seed).drop(index=[at]) for seed, at in zip(SEEDS, (3, 4, 5))], ignore_index=True)
    assert len(gk.outcomes.at_end(given)) == len(gk.outcomes.crossings(given)) == 3
    with pytest.raises(gk.GrokkitError, match="val_accuracy of tense, 4 layers is missing at some steps of seed 42"):
        gk.figures.fig2(given)


def test_results_do_not_hand_out_a_cell_that_ends_at_different_steps(finished, tmp_path):
    """A begun run beside finished ones: left out, and said where it was asked for. `until` gives what all reached."""
    begin(gk.preset("smoke", "tense", 1), [62], tmp_path)
    put(tmp_path, "smoke", "tense", 1)
    assert set(gk.results("smoke", ["tense"], [1], [42, 52]).seed) == {42, 52}
    assert names(what_is_said(lambda: gk.results("smoke", ["tense"], [1], [42, 62])), 62)
    table = gk.results("smoke", ["tense"], [1], [42, 52], until=10)
    assert table.groupby("seed").step.max().to_dict() == {42: 10, 52: 10}
