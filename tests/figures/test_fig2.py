"""Figure 2 draws the means of the table, the gaps to them, and the published curves beside."""

import numpy as np
import pandas as pd
import pytest
from drawings import line, lines_of, panel
from shared import shared_path
from synthetic import table

from grokkit import figures


def test_fig2_draws_the_means_and_the_gaps(few):
    figure = figures.fig2(few)
    axes = panel(figure, "Tense-Inflection, 4 layers")
    cell = few[(few.task == "tense") & (few.depth == 4)]
    for label, column in (("in-domain", "val_accuracy"), ("generalization", "gen_accuracy")):
        mean = cell.groupby("step")[column].mean()
        np.testing.assert_allclose(line(axes, label).get_xydata(), np.column_stack([mean.index, mean]))
    assert line(axes, "in-domain").get_linestyle() == "-" and line(axes, "gen").get_linestyle() == "--"
    assert line(axes, "in-domain").get_color() == line(axes, "gen").get_color() == figures.style.depth_color(4)
    at_500 = cell[cell.step == 500].gen_accuracy.mean()
    for reading in ("first maximum of val (500)", "first val ≥ .99 (500)"):
        np.testing.assert_allclose(line(axes, reading).get_ydata(), [at_500, 1.0])
        assert line(axes, reading).get_label().endswith(f"gen {at_500:.2f}")
    end = line(axes, "end (5k)")
    np.testing.assert_allclose(end.get_ydata()[0], cell[cell.step == 5000].gen_accuracy.mean())
    assert "tense best of 5 depths" in figures.caption(figure)


def test_fig2_draws_three_seeds_at_most():
    axes = panel(figures.fig2(table(seeds=range(42, 142, 10), depths=(4,), every=500)), "Tense")
    assert len([entry for entry in axes.get_lines() if entry.get_linewidth() == 0.6]) == 2 * 3  # val and gen


def test_fig2_where_not_all_seeds_saturate(few):
    slow = few.assign(val_accuracy=few.val_accuracy.where(few.seed != 42, few.val_accuracy * 0.9))
    label = line(panel(figures.fig2(slow), "Tense"), "first val").get_label()
    assert label.startswith("first val ≥ .99 (500, 2 of 3 seeds)")
    none = figures.fig2(few.assign(val_accuracy=few.val_accuracy * 0.9))
    assert not any(str(entry.get_label()).startswith("first val") for entry in lines_of(none))


def test_published_curves_as_a_table():
    """The authors' own curves, all 20 seeds, drawn by this kit, lie on the grey ones."""
    curves = pd.read_csv(shared_path("reference/published/accuracy.csv")).dropna()
    curves = curves[curves.task == "question"]
    rows = curves.assign(preset="as-run", data_source="official", status="ok")
    axes = panel(figures.fig2(rows), "Question-Formation, 6 layers")
    ours = dict(line(axes, "generalization").get_xydata())
    for step, value in line(axes, "published, generalization").get_xydata():
        assert ours[step] == pytest.approx(value, abs=6e-4)
    assert "gen 0.05" in line(axes, "first maximum of val (6k)").get_label()
