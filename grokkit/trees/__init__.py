"""Tree projections: charts of span similarities, the trees they project onto, and how these compare to syntax."""

from grokkit.data.tree import Tree, read_tree
from grokkit.trees.branching import balanced, left_branching, random_tree, right_branching, span_probabilities
from grokkit.trees.charts import sci_charts
from grokkit.trees.parseval import Parseval, expected_parseval, parseval, t_parseval
from grokkit.trees.projection import project, t_score

__all__ = [
    "Parseval",
    "Tree",
    "balanced",
    "expected_parseval",
    "left_branching",
    "parseval",
    "project",
    "random_tree",
    "read_tree",
    "right_branching",
    "sci_charts",
    "span_probabilities",
    "t_parseval",
    "t_score",
]
