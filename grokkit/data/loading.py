"""The corpus that a config asks for: generated, or the released files."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from grokkit.config import Config
from grokkit.data import DYCK, QUESTION, TASKS, TENSE, Corpus, Split
from grokkit.data.files import task_of
from grokkit.data.official import NotThere
from grokkit.errors import GrokkitError, warn

KEPT = [task.generate for task in (QUESTION, TENSE, DYCK)]
"""What gives corpora that follow from seed, sizes and options alone; somebody else's function may change."""


@lru_cache(maxsize=3)
def _generated(generate: Callable, seed: int, sizes: tuple[tuple[str, int], ...], options: tuple) -> Corpus:
    return generate(seed, dict(sizes), **dict(options))


def load_corpus(config: Config) -> Corpus:
    """The corpus that a config trains on. One of the paper's tasks is kept in memory, since its cells share it.

    Raises GrokkitError for official data that has not been downloaded, and for own files that are others now.
    """
    task = task_of(config)
    sizes = {"train": config.train_size, "val": config.val_size, "gen": config.gen_size}
    if config.data_source == "files":
        return task.generate(config.data_seed, sizes)
    if config.data_source == "generated":
        options = {"structure": config.dyck_structure, "max_tokens": config.max_tokens} if config.task == "dyck" else {}
        generate = _generated if task.generate in KEPT else _generated.__wrapped__
        return generate(task.generate, config.data_seed, tuple(sizes.items()), tuple(options.items()))
    corpus = task.read()
    return replace(corpus, splits={name: within_limit(split, config) for name, split in corpus.splits.items()})


def official_corpus(config: Config) -> Corpus | None:
    """The released files of the task, for a run on generated data, where they have been downloaded.

    They are measured beside, and no training needs them: warns of files that are damaged.
    """
    if config.data_source != "generated":
        return None
    try:
        corpus = TASKS[config.task].read()
    except (NotThere, OSError, RuntimeError):  # the last two: a home that cannot be read, or none
        return None
    except GrokkitError as error:
        warn(f"{error}; the released files are not measured beside")
        return None
    return corpus if "gen" in corpus else None


def within_limit(split: Split, config: Config) -> Split:
    """The split without the Dyck strings of more than `config.max_tokens` tokens (0: no limit)."""
    if config.task != "dyck" or not config.max_tokens:
        return split
    return Split([line for line in split.lines if line.count(" ") < config.max_tokens])
