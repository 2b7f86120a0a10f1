"""Figure 5: the loss, and three steps of every run."""

import numpy as np
import pytest
from drawings import line

from grokkit import figures
from grokkit.errors import GrokkitError
from grokkit.report import outcomes


def test_fig5_marks_three_steps_of_every_run(few):
    figure, ends = figures.fig5(few), {}
    marks = figure.axes[2]
    for found in marks.collections[1:]:  # the first are the lines that join the marks of a run
        for (step, place), color in zip(np.ma.filled(found.get_offsets(), np.nan), found.get_edgecolor()):
            if np.isfinite(step):
                ends.setdefault(place, []).append((step, tuple(color)))
    milestones = outcomes.milestones(few[few.task == "question"])
    assert len(ends) == len(milestones) == 15
    for (_, drawn), run in zip(sorted(ends.items(), reverse=True), milestones.itertuples()):
        assert [step for step, _ in drawn] == [
            step for step in (run.loss_flat, run.val_99, run.gen_80) if np.isfinite(step)
        ]
        assert {color for _, color in drawn} == {figures.style.depth_color(run.depth)}
    with pytest.raises(GrokkitError, match="unknown task 'quest'"):
        figures.fig5(few, "quest")
    assert "question, several at once in 15 of 15 runs" in figures.caption(figure)  # at step 500 losses are flat, too
    late = few.assign(train_loss=few.train_loss.where(few.step > 1500, 9.0))
    assert "question, first val ≥ .99 in 15 of 15 runs; tense" in figures.caption(figures.fig5(late))


def test_fig5_is_logarithmic_and_leaves_step_0_out(few):
    axes = figures.fig5(few).axes[0]
    assert axes.get_shared_x_axes().joined(axes, axes.figure.axes[2])
    assert axes.get_xscale() == "log"
    mean = few[(few.task == "question") & (few.depth == 4) & (few.step > 0)].groupby("step").train_loss.mean()
    np.testing.assert_allclose(line(axes, "4 layers").get_ydata(), mean)
