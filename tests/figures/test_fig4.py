"""Figure 4: its baselines, and the runs that generalize apart from the others."""

import numpy as np
import pandas as pd
from drawings import assert_on_page, points
from synthetic import table

from grokkit import figures


def test_fig4_baselines(few):
    def baselines(figure):
        lines = figure.axes[1].get_lines()
        return {str(x.get_label()): x.get_ydata()[0] for x in lines if "branching" in str(x.get_label())}

    assert baselines(figures.fig4(few)) == {"right-branching (0.663)": 0.66277}
    columns = few.assign(t_parseval_right=0.6, t_parseval_left=0.3, t_parseval_balanced=0.55, t_parseval_random=0.4)
    figure = figures.fig4(columns)
    assert list(baselines(figure).values()) == [0.6, 0.3]  # balanced and random are not called branching
    assert "baselines of the analysed sentences" in figures.caption(figure)
    assert_on_page(figure)


def test_fig4_tells_the_runs_that_generalize_from_the_others():
    rows = table(("question", "tense"), (2, 4, 5), range(42, 142, 10), every=500)
    axes = figures.fig4(rows).axes[1]
    ends = rows[(rows.task == "question") & (rows.step == 5000)]
    drawn = pd.DataFrame([(x, y) for x, y, _ in points(axes)], columns=["x", "y"])
    for place, depth in enumerate((2, 4, 5)):
        near = drawn[drawn.x.round() == place]
        for there, side in ((True, near.x > place), (False, near.x < place)):
            values = ends[(ends.depth == depth) & ((ends.gen_accuracy >= 0.8) == there)].t_parseval
            np.testing.assert_allclose(np.sort(near[side].y), np.sort(values))
    assert axes.get_ylim() == axes.figure.axes[0].get_ylim()
