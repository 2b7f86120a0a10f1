"""Heat maps: how often rules are right on each split; and what all heat maps share."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from grokkit.figures import style as s


def draw_heat_map(axes: Axes, values: pd.DataFrame | np.ndarray, numbers: bool = True, **options) -> None:
    """seaborn's heatmap of values up to 1, with each number written in or without; options: seaborn's."""
    import seaborn  # late, as in `style`

    look = {"cmap": "cividis", "vmax": 1, "annot": numbers, "fmt": ".2f", "annot_kws": {"fontsize": s.SMALL}}
    seaborn.heatmap(values, ax=axes, **look, **options)
    axes.tick_params(length=0, labelsize=s.SMALL)


def rules_by_split(shares: pd.DataFrame) -> s.PaperFigure:
    """Shares of right answers as a heat map, a row a rule, a column a split; both with the labels they have."""
    with s.style():
        text = "Share of the lines of each split that each rule answers right."
        figure = s.new_figure(1.2 * shares.shape[1] + 2.5, 0.3 * len(shares) + 0.9, text)
        axes = figure.subplots()
        draw_heat_map(axes, shares, vmin=0, cbar=False)
        axes.set(xlabel="", ylabel="")
    return figure
