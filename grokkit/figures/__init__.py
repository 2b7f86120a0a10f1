"""One function a figure of the paper. Each takes a results table (Figure 1 and Table 1: corpora) and returns
a matplotlib Figure; `save` writes it as PNG and PDF. `grokking` and `depth` are Figures 2 and 3a for the tasks that
the table has. No models here, tables only.
"""

from grokkit.figures.curves import draw_runs
from grokkit.figures.fig1 import fig1
from grokkit.figures.fig2 import fig2, grokking
from grokkit.figures.fig3 import depth, fig3, fig3a, fig3b
from grokkit.figures.fig4 import fig4
from grokkit.figures.fig5 import fig5
from grokkit.figures.heat_maps import rules_by_split
from grokkit.figures.one_run import one_run
from grokkit.figures.style import caption, save
from grokkit.figures.table1 import table1
from grokkit.figures.tree_drawings import trees

__all__ = [
    "caption",
    "depth",
    "draw_runs",
    "fig1",
    "fig2",
    "fig3",
    "fig3a",
    "fig3b",
    "fig4",
    "fig5",
    "grokking",
    "one_run",
    "rules_by_split",
    "save",
    "table1",
    "trees",
]
