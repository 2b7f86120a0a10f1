"""grokkit: structural grokking of vanilla transformers, reproduced figure by figure.

>>> import grokkit as gk
>>> gk.preset("laptop", "tense").preset
'laptop'
"""

from importlib import import_module

from grokkit import evaluation, internals, outcomes, reproduce, settings, statistics, sweep, trees
from grokkit.authors import import_authors
from grokkit.config import DEPTHS, SEEDS, Config, preset
from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.evaluation import evaluate
from grokkit.model import TransformerStack
from grokkit.results import results
from grokkit.trained import load_stack
from grokkit.training import load_corpus, train
from grokkit.verdict import verdict

__version__ = "0.1.0"

__all__ = [
    "DEPTHS",
    "SEEDS",
    "TASKS",
    "Config",
    "GrokkitError",
    "TransformerStack",
    "evaluate",
    "evaluation",
    "figures",
    "import_authors",
    "internals",
    "load_corpus",
    "load_stack",
    "outcomes",
    "preset",
    "reproduce",
    "results",
    "settings",
    "statistics",
    "sweep",
    "train",
    "trees",
    "verdict",
]


def __getattr__(name: str):
    """`figures` on first use: a quarter of the time to import everything is matplotlib's."""
    if name == "figures":
        return import_module("grokkit.figures")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
