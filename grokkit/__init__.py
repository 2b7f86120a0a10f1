"""grokkit: structural grokking of vanilla transformers, reproduced figure by figure.

    >>> import grokkit as gk
    >>> gk.preset("laptop", "tense").preset
    'laptop'

The public names are loaded on first use, so that `import grokkit` and `grokkit --help` need no torch.
"""

from importlib import import_module

__version__ = "0.1.0"

_MODULES = {
    "evaluation": "evaluation",
    "figures": "figures",
    "internals": "evaluation.internals",
    "outcomes": "report.outcomes",
    "reproduce": "commands.reproduce",
    "settings": "commands.settings",
    "statistics": "report.statistics",
    "sweep": "sweep",
    "trees": "trees",
}
_NAMES = {
    "Config": "config",
    "DEPTHS": "presets",
    "GrokkitError": "errors",
    "SEEDS": "presets",
    "TASKS": "data",
    "TransformerStack": "model",
    "evaluate": "evaluation",
    "findings": "report.findings",
    "import_authors": "training.pretrained",
    "load_corpus": "data.loading",
    "load_stack": "training.pretrained",
    "look": "ask",
    "preset": "presets",
    "results": "report.results",
    "rule_shares": "report.rule_shares",
    "saved_steps": "training.pretrained",
    "task_from_files": "data.files",
    "train": "training",
    "verdict": "report.verdict",
    "verdict_by_step": "report.openings",
    "wrong_answers": "ask",
}
__all__ = sorted([*_MODULES, *_NAMES])


def __getattr__(name: str):
    """A public name, on first use."""
    if name in _MODULES:
        value = import_module(f"grokkit.{_MODULES[name]}")
    elif name in _NAMES:
        value = getattr(import_module(f"grokkit.{_NAMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
