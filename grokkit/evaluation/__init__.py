"""What is measured on live weights: the tasks' metrics, norms, entropies and tree scores."""

from grokkit.evaluation.decoding import greedy
from grokkit.evaluation.evaluator import ITEMS, Evaluator, evaluate
from grokkit.evaluation.metrics import Items

__all__ = ["ITEMS", "Evaluator", "Items", "evaluate", "greedy"]
