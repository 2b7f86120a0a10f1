"""One run over training: which rule it follows, its loss, its t_score."""

import pandas as pd
from matplotlib.axes import Axes

from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.report.outcomes import early_stopping, takes_results
from grokkit.report.published import layers
from grokkit.storage.table import RUN

_MARKS = {"saturation_step": ("first val ≥ .99", s.PURPLE), "stop_step": ("first maximum of val", s.ORANGE)}


@takes_results("preset", "data_source", "train_loss", "t_score")
def one_run(table: pd.DataFrame) -> s.PaperFigure:
    """Three panels: val, gen and, where it was measured, the share of gen that the linear rule answers; the training
    loss; t_score. Upright lines are the two readings of early stopping. The table holds one run."""
    runs = table[RUN].drop_duplicates()
    if len(runs) != 1:
        raise GrokkitError(f"this figure shows one run, and the table has {len(runs)}: choose task, depth and seed")
    task, depth, seed = runs.iloc[0]
    text = (
        f"One run of {task}, {layers(depth)}, seed {seed}. On the generalization set the hierarchical and the linear rule"
        " always differ, so the two curves show which one the model follows. Upright: where early stopping would have"
        " ended the training."
    )
    curves = [
        s.Curve(depth, "val_accuracy", "val"),
        s.Curve(depth, "gen_accuracy", "gen: hierarchical rule", s.DASHED),
        s.Curve(depth, "gen_linear_rule", "gen: linear rule", ":"),
    ]
    panels = {
        "which rule it follows": ([c for c in curves if c.column in table], "accuracy"),
        "training loss": ([s.Curve(depth, "train_loss", "")], "nats per token"),
        "tree-structuredness": ([s.Curve(depth, "t_score", "")], "t_score"),
    }
    stops = early_stopping(table).iloc[0]

    def draw(axes: Axes, name: str) -> None:
        shown, label = panels[name]
        s.panel(axes, table, task, shown, label)
        for column, (when, color) in _MARKS.items():
            if pd.notna(stops[column]):
                axes.axvline(stops[column], color=color, lw=1.6, zorder=1, label=when)
        if len(shown) > 1:
            axes.set(ylim=(-0.02, 1.03))
            axes.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.22), ncols=2)

    return s.by_task(9.5, 3.0, text, s.facts(table, [(task, depth)]), {name: name for name in panels}, panels, draw)
