"""Heat maps: the span chart of a sentence, and how often rules are right on each split."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from grokkit.figures import style as s


def draw_heat_map(axes: Axes, values: pd.DataFrame | np.ndarray, **options) -> None:
    """seaborn's heatmap with each number written in; options: seaborn's."""
    import seaborn

    look = {"cmap": "cividis", "annot": True, "fmt": ".2f", "annot_kws": {"fontsize": s.SMALL}}
    seaborn.heatmap(values.round(2) + 0.0, ax=axes, **look | options)


def chart(chart: np.ndarray, words: Sequence[str]) -> s.PaperFigure:
    """The similarities [n, n] of a sentence's spans: row first word, column last word. Source: paper, Appendix C."""
    n, text = len(words), "Similarity of each span's vector with and without what stands before it."
    with s.style():
        figure = s.new_figure(max(4.5, 0.55 * n + 1.8), max(3.5, 0.36 * n + 1.2), text)
        axes = figure.subplots()
        draw_heat_map(
            axes, np.asarray(chart, float), xticklabels=words, yticklabels=words, cbar_kws={"label": "similarity"}
        )
        axes.set_xticks(axes.get_xticks(), words, rotation=45, ha="right", rotation_mode="anchor")
        axes.set(xlabel="... to this word", ylabel="span from this word ...")
    return figure


def rules_by_split(shares: pd.DataFrame) -> s.PaperFigure:
    """Shares of right answers as a heat map, a row a rule, a column a split; both with the labels they have."""
    with s.style():
        text = "Share of the lines of each split that each rule answers right."
        figure = s.new_figure(1.2 * shares.shape[1] + 2.5, 0.3 * len(shares) + 0.9, text)
        axes = figure.subplots()
        draw_heat_map(axes, shares, vmin=0, vmax=1, cbar=False)
        axes.set(xlabel="", ylabel="")
    return figure
