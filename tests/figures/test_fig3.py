"""Figure 3: every seed and the share that generalizes (a), internal properties (b), a row a task."""

import numpy as np
import pandas as pd
import pytest
from drawings import assert_on_page, line, line_in, points, words_in
from synthetic import table

from grokkit import figures
from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.report.statistics import bootstrap_mean

SEEDS = tuple(range(42, 142, 10))


def test_fig3a_draws_every_seed_and_shares_with_wilson_intervals():
    rows = table(seeds=SEEDS)
    strip, shares = figures.fig3a(rows).axes[:2]
    ends = rows[(rows.task == "question") & (rows.step == 5000)]
    drawn = pd.DataFrame(points(strip), columns=["x", "y", "color"])
    np.testing.assert_allclose(np.sort(drawn.y), np.sort(ends.gen_accuracy))
    assert drawn.groupby(drawn.x.round()).color.unique().map(list).tolist() == [
        [figures.style.depth_color(depth)] for depth in (1, 2, 4, 5, 6)
    ]
    assert drawn.x.is_unique  # no point hides another
    means = [x.get_ydata()[0] for x in strip.get_lines() if x.get_marker() == "D" and len(x.get_xdata())]
    np.testing.assert_allclose(means, ends.groupby("depth").gen_accuracy.mean())
    bars = [x.get_ydata() for x in strip.get_lines() if len(x.get_xdata()) == 2 and x.get_color() == figures.style.INK]
    np.testing.assert_allclose(bars[0], bootstrap_mean(ends[ends.depth == 1].gen_accuracy))
    assert [text.get_text() for text in strip.get_xticklabels()] == ["1", "2", "4", "5", "6"]
    heights = [x.get_ydata()[0] for x in shares.get_lines() if x.get_marker() == "o" and len(x.get_xdata())]
    assert heights == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]  # ever, final at 1, 2, 4, 5, 6 layers
    ends = {tuple(np.round(x.get_ydata(), 3)) for x in shares.get_lines() if len(x.get_xdata()) == 2}
    assert ends == {(0.0, 0.278), (0.722, 1.0)}  # Wilson, 0 and 10 of 10
    assert_on_page(figures.depth(rows))  # three tasks, in two rows


def test_fig3a_counts_a_seed_once_however_often_it_was_trained(few):
    again = few.assign(gen_accuracy=few.gen_accuracy / 2)
    once, twice = figures.fig3a(few), figures.fig3a(few, again)
    assert len(points(twice.axes[0])) == 2 * len(points(once.axes[0]))
    for figure, share in ((once, 1), (twice, 0.75)):
        ends = few[(few.task == "question") & (few.step == 5000)].groupby("depth").gen_accuracy
        strip = figure.axes[0]
        bars = [x for x in strip.get_lines() if len(x.get_xdata()) == 2 and x.get_color() == figures.style.INK]
        for bar, (_, values) in zip(bars, ends, strict=True):
            np.testing.assert_allclose(bar.get_ydata(), np.stack(bootstrap_mean(values)) * share)  # of 3 seeds, not 6
    assert "each trained twice" in line_in(twice) and "twice" not in line_in(once)
    assert_on_page(twice)
    assert_on_page(figures.fig3(few, again))
    with pytest.raises(GrokkitError, match="second training is of preset as-run"):
        figures.fig3a(few, again.assign(preset="as-run"))


def test_fig3a_is_hollow_where_not_all_runs_train(few):
    stuck = (few.task == "tense") & (few.depth == 6) & (few.seed == 52)
    figure = figures.fig3a(few.assign(val_accuracy=few.val_accuracy.where(~stuck, 0.81)))
    hollow = {}
    for axes in (figure.axes[0], figure.axes[2]):
        drawn = [c for c in axes.collections if len(c.get_offsets())]
        hollow[axes.get_title(loc="left")] = [not len(c.get_facecolor()) for c in drawn]
    assert hollow == {"Question-Formation": [False] * 5, "Tense-Inflection": [False] * 4 + [True]}
    assert_on_page(figure)


def test_fig3a_takes_a_depth_that_was_trained_once(few):
    again = few[(few.task != "tense") | (few.depth != 6)]
    again = again.assign(val_accuracy=again.val_accuracy.where((again.depth != 2) | (again.seed != 42), 0.5))
    figure = figures.fig3a(few, again)
    assert line_in(figure).endswith("each trained twice (tense, 6 layers: once).")
    counts = pd.DataFrame(points(figure.axes[2]), columns=["x", "y", "color"]).groupby("color").size()
    assert sorted(counts) == [3, 6, 6, 6, 6]
    drawn = [c for c in figure.axes[0].collections if len(c.get_offsets())]
    assert [not len(c.get_facecolor()) for c in drawn] == [False] * 2 + [True] * 2 + [
        False
    ] * 6  # stuck the second time
    assert_on_page(figure)


def test_fig3b_draws_small_best_and_deep(few):
    figure = figures.fig3b(few)
    t_score = [axes for axes in figure.axes if "t_{score}" in axes.get_ylabel()][0]
    for label, depth in (("1 layer", 1), ("4 layers (best)", 4), ("6 layers", 6)):
        mean = few[(few.task == "question") & (few.depth == depth)].groupby("step").t_score.mean()
        np.testing.assert_allclose(line(t_score, label).get_ydata(), mean)
    assert "question: smallest 1, best 4, deep 6" in figures.caption(figure)
    last, against = figure.axes[figure.axes.index(t_score) + 1 :][:2]
    ends = few[(few.task == "question") & (few.step == 5000)]
    drawn = [x.get_ydata()[0] for x in last.get_lines() if x.get_marker() == "D"]
    np.testing.assert_allclose(drawn, ends.groupby("depth").t_score.mean())
    np.testing.assert_allclose(np.array(points(against), dtype=object)[:, :2].astype(float),
                               ends[["t_score", "gen_accuracy"]])  # fmt: skip
    assert not against.texts  # three seeds have no correlation worth a number


def test_fig3b_says_the_rank_correlation():
    rows = table(tasks=("tense",), depths=(2, 4), seeds=SEEDS[:5], every=500)
    ends = (rows.step == 5000) & (rows.depth == 4)
    rows.loc[ends, "t_score"], rows.loc[ends, "gen_accuracy"] = [1, 2, 3, 4, 5], [0.95, 0.96, 0.97, 0.99, 0.98]
    text = figures.fig3b(rows).axes[-1].texts[0].get_text()
    assert text.startswith("4 layers: r = +0.90\n[")  # 1 - 6 * 2 / (5 * 24)


def test_ones_own_task_gets_a_row_of_figure_3(few, monkeypatch):
    monkeypatch.setitem(TASKS, "mine", TASKS["tense"])
    figure = figures.fig3(few.assign(task=few.task.replace("tense", "mine")))
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    names = ["Question-Formation", "Tense-Inflection", "mine"]
    assert titles == [f"(a) {name}" for name in names] + [f"(b) {name}" for name in names]
    assert words_in(figure).count("no finished run of tense") == 2
    assert_on_page(figure)
