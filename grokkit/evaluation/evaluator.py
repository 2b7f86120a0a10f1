"""The tasks' metrics: what a stack gets right on whole splits, one value a run.

Two definitions fill `val_accuracy` and `gen_accuracy`, chosen by `Config.metric`: "published" is what the
released code measures, "paper" what the text says (DEVIATIONS.md, D37 to D39). Both stand in columns
of their own too. Splits are taken whole, where the released code draws 2,000 sentences anew (tense) or stops
after 5,000 prefixes (Dyck). The modules question, tense and dyck list their measures.
"""

import numpy as np

from grokkit.config import Config
from grokkit.data import Corpus
from grokkit.data.files import FileSplit
from grokkit.data.loading import within_limit
from grokkit.errors import GrokkitError
from grokkit.evaluation.dyck import DyckItems
from grokkit.evaluation.files import FileItems
from grokkit.evaluation.metrics import Items
from grokkit.evaluation.question import QuestionItems
from grokkit.evaluation.tense import TenseItems

ITEMS: dict[str, type[Items]] = {"question": QuestionItems, "tense": TenseItems, "dyck": DyckItems}
"""Task -> the class that measures one split of it. To measure another task, add a subclass of `Items`, or any
class that is made from the same four arguments and has its `counted` and `measure`."""


class Evaluator:
    """Measures stacks on one corpus; prompts, targets and tags are prepared once.

    corpus: its splits "val", "gen" and, for Dyck, "gen_length_matched" where it has one.
    config: `task`, `metric` and `max_tokens` count. device: where the stacks live.
    official: the released files, for stacks trained on generated data; their gen split gives
    `gen_official_accuracy`.
    Raises GrokkitError if val or gen has nothing that the accuracy counts, and if the corpora do not match.
    """

    def __init__(self, corpus: Corpus, config: Config, device="cpu", official: Corpus | None = None):
        if corpus.task != config.task:
            raise GrokkitError(f"the corpus is for {corpus.task}, the config for {config.task}: give the same task")
        if official is not None and (official.task != corpus.task or official.vocab != corpus.vocab):
            raise GrokkitError(
                f"the official corpus ({official.task}) and this one ({corpus.task}) differ in task or words"
            )
        if corpus.task not in ITEMS and corpus.source != "files":
            raise GrokkitError(f"no metrics for task {corpus.task!r}: add a class to grokkit.evaluation.ITEMS")
        self.metric = config.metric
        names = ["val", "gen"] + ["gen_length_matched"] * ("gen_length_matched" in corpus)
        self.items = {name: _items(corpus, name, config, device) for name in names}
        self.official = None if official is None else _items(official, "gen", config, device)
        for name in ("val", "gen"):
            if not self.items[name].counted(config.metric):
                raise GrokkitError(
                    f"the {name} split of {corpus.task} has nothing that the {config.metric} accuracy counts:"
                    f" make it larger ({name}_size = {len(corpus[name])}) or choose the other metric"
                )

    def __call__(self, stack) -> dict[str, np.ndarray]:
        """Column -> float64 [R]: val_accuracy, gen_accuracy, then every measure with its split in front."""
        measured = {}
        for name, items in self.items.items():
            shares = items.measure(stack, self.metric)
            measured |= {f"{name}_{measure}": values for measure, values in shares.items()}
        if self.official is not None:
            measured["gen_official_accuracy"] = self.official.measure(stack, self.metric)["accuracy"]
        first = {name: measured.pop(name) for name in ("val_accuracy", "gen_accuracy")}
        return first | measured


def evaluate(stack, corpus: Corpus, config: Config, official: Corpus | None = None) -> dict[str, np.ndarray]:
    """Column -> one value a run, float64 [R]; see `Evaluator`, which prepares the splits once."""
    return Evaluator(corpus, config, stack.device, official)(stack)


def _items(corpus: Corpus, name: str, config: Config, device) -> Items:
    """What measures one split; Dyck strings longer than `max_tokens` are left out, of official files too."""
    split = within_limit(corpus[name], config)
    kind = FileItems if isinstance(split, FileSplit) else ITEMS[corpus.task]
    return kind(split, corpus.vocab, device, contrast=name != "val")
