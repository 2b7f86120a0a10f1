"""One run over training: which rule it follows, its loss, its t_score."""

import pandas as pd
from matplotlib.axes import Axes

from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.report.outcomes import early_stopping, takes_results
from grokkit.report.published import layers
from grokkit.storage.table import RUN

_LINES = (  # column, panel, colour, style, words
    ("val_accuracy", "which rule it follows", s.INK, s.SOLID, "val"),
    ("gen_accuracy", "which rule it follows", s.BLUE, s.SOLID, "gen: hierarchical rule"),
    ("gen_linear_rule", "which rule it follows", s.RED, s.DASHED, "gen: linear rule"),
    ("train_loss", "training loss", s.INK, s.SOLID, None),
    ("t_score", "tree-structuredness", s.INK, s.SOLID, None),
)
_MARKS = {"saturation_step": ("first val ≥ .99", s.PURPLE), "stop_step": ("first maximum of val", s.ORANGE)}


@takes_results("preset", "data_source", "val_accuracy", "gen_accuracy")
def one_run(table: pd.DataFrame) -> s.PaperFigure:
    """Three panels: val, gen and, where it was measured, the share of gen that the linear rule answers; the training
    loss; t_score. Upright lines are the two readings of early stopping. The table holds one run."""
    runs = table[RUN].drop_duplicates()
    if len(runs) != 1:
        raise GrokkitError(f"this figure shows one run, and the table has {len(runs)}: choose task, depth and seed")
    task, depth, seed = runs.iloc[0]
    text = (
        f"One run of {task}, {layers(depth)}, seed {seed}. On the generalization set the hierarchical and the linear"
        " rule always differ, so the two curves show which one the model follows. Upright: where early stopping would"
        " have ended the training."
    )
    run = table.sort_values("step")
    panels = {"which rule it follows": "accuracy", "training loss": "nats per token", "tree-structuredness": "t_score"}
    stops = early_stopping(table).iloc[0]

    def draw(axes: Axes, name: str) -> None:
        for column, title, color, line, label in _LINES:
            if title == name and column in run:
                axes.plot(run.step, run[column], color=color, ls=line, lw=1.4, label=label)
        for column, (when, color) in _MARKS.items():
            if pd.notna(stops[column]):
                axes.axvline(stops[column], color=color, lw=1.6, zorder=1, label=when)
        axes.set(xlabel="training step", ylabel=panels[name])
        axes.xaxis.set_major_formatter(s.STEPS)
        if name == next(iter(panels)):
            axes.set(ylim=(-0.02, 1.03))
            axes.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.22), ncols=2)

    return s.by_task(9.5, 3.0, text, s.facts(table, [(task, depth)]), {name: name for name in panels}, panels, draw)
