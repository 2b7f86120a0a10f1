"""Corpora: splits of sentences, the vocabulary that numbers their words, token tables, and what a task is."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from grokkit.data.official import NotThere
from grokkit.data.tree import Tree
from grokkit.errors import GrokkitError
from grokkit.values import one_of, whole_number

PADDING = "<pad>"


def at_least(least: int, value: object, what: str) -> int:
    """`value`, if it is a whole number of at least `least`. GrokkitError, which says `what` it is, if not.

    >>> at_least(0, 3, "the number of words")
    3
    """
    found = whole_number(value)
    if found is None or found < least:
        raise GrokkitError(f"{what} is a whole number from {least} on, not {value!r}")
    return found


class Vocabulary:
    """Words numbered from 1 in plain sorted order; 0 is padding.

    V = `size` counts the padding. EOS = V and BOS = V + 1 do not occur in the text, but a model predicts them
    too: it has V + 2 classes. Source: DEVIATIONS.md, D13 and D22.

    >>> vocab = Vocabulary(["b", "a"])
    >>> vocab.encode("b a"), vocab.decode([2, 1]), vocab.size, vocab.eos, vocab.bos, vocab.classes
    ([2, 1], 'b a', 3, 3, 4, 5)
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words: tuple[str, ...] = (PADDING, *sorted(set(words)))
        self.index: dict[str, int] = {word: i for i, word in enumerate(self.words)}
        self.size = len(self.words)
        self.eos = self.size
        self.bos = self.size + 1
        self.classes = self.size + 2

    def encode(self, text: str) -> list[int]:
        """Ids of the words of `text`, which blanks separate. GrokkitError for a word that the vocabulary lacks."""
        try:
            return [self.index[word] for word in text.split()]
        except KeyError as error:
            raise GrokkitError(f"{error} is not one of the {self.size - 1} words of the vocabulary") from None

    def decode(self, ids: Iterable[int]) -> str:
        """The words of `ids` (each in 0 .. V - 1), joined by blanks. GrokkitError for an id out of range."""
        ids = [int(i) for i in ids]
        if wrong := [i for i in ids if not 0 <= i < self.size]:
            raise GrokkitError(f"id {wrong[0]} is no word: ids of words run from 0 to {self.size - 1}")
        return " ".join(self.words[i] for i in ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.words == other.words

    def __repr__(self) -> str:
        return f"Vocabulary({self.size} words with {PADDING})"


@dataclass(frozen=True)
class Split:
    """Sentences of one split. `lines` are the texts a language model reads, without BOS and EOS.

    For question and tense, `sources`, `labels` and `targets` are as long as `lines`, and line i is
    `f"{sources[i]} {labels[i]} {targets[i]}"`; source and target keep their final punctuation. For dyck
    they are empty.
    """

    lines: list[str]
    sources: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    @classmethod
    def of_pairs(cls, pairs: Sequence[tuple[str, str, str]]) -> "Split":
        """The split of (source, label, target) triples."""
        return cls([" ".join(pair) for pair in pairs], *([pair[i] for pair in pairs] for i in range(3)))

    def __len__(self) -> int:
        return len(self.lines)

    def __repr__(self) -> str:
        first = f", the first: {self.lines[0][:80]!r}" if self.lines else ""
        return f"Split({len(self):,} lines{first})"


@dataclass(frozen=True)
class Corpus(Mapping):
    """The splits of one task by name: "train", "val", "gen" and more. `source`: "generated" or "official"."""

    task: str
    vocab: Vocabulary
    source: str
    splits: dict[str, Split]

    def __getitem__(self, name: str) -> Split:
        if name not in self.splits:
            there = ", ".join(self.splits) or "none"
            raise GrokkitError(f"the {self.source} {self.task} corpus has no split {name!r}; there is: {there}")
        return self.splits[name]

    def __contains__(self, name: object) -> bool:
        return name in self.splits

    def get(self, name, default=None):
        """The split, or `default` where there is none of this name."""
        return self.splits.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits)

    def __len__(self) -> int:
        return len(self.splits)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(split):,}" for name, split in self.splits.items())
        return f"Corpus({self.task!r}, {self.source}, lines: {sizes})"


def _no_files(folder: str | Path | None = None, verify: bool = True) -> Corpus:
    raise NotThere("there are no released files of this task: use generated data")


class NoGoldTrees(GrokkitError):
    """A gold tree was asked of a task that has none."""


def _no_tree(source: str) -> Tree:
    raise NoGoldTrees("this task has no gold trees: t_parseval is defined for question and tense only")


@dataclass(frozen=True)
class Task:
    """A data set and what is known about it.

    - generate(seed=0, sizes=None) draws a Corpus; sizes is {"train": n, "val": n, "gen": n}, default `sizes`
    - read(folder=None, verify=True) reads the released files, by default those that were downloaded before
    - gold_tree(source) is the syntax tree: nested pairs of words, without final punctuation
    - rules map a source to what a learner of this rule makes of it; "hierarchical" is the right one
    - labels may stand behind a source; the first one asks for the answer that shows which rule was learned

    A task of one's own needs a name, a vocabulary, sizes and generate; any other function that it lacks raises
    GrokkitError when it is called.
    """

    name: str
    vocab: Vocabulary
    sizes: Mapping[str, int]
    generate: Callable[..., Corpus]
    read: Callable[..., Corpus] = _no_files
    gold_tree: Callable[[str], Tree] = _no_tree
    rules: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Task({self.name!r}, V={self.vocab.size})"


def token_table(lines: Sequence[str], vocab: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [N, T] (int16, padded with 0 at the end, T = the longest line) and lengths [N] (int64).

    No BOS and no EOS is added. GrokkitError for a word that is not in the vocabulary.
    """
    if vocab.classes > np.iinfo(np.int16).max:
        raise GrokkitError(f"a token table holds at most {np.iinfo(np.int16).max} classes, not {vocab.classes}")
    encoded = [np.array(vocab.encode(line), dtype=np.int16) for line in lines]
    lengths = np.array([len(ids) for ids in encoded], dtype=np.int64)
    tokens = np.zeros((len(encoded), lengths.max(initial=0)), dtype=np.int16)
    for row, ids in zip(tokens, encoded, strict=True):
        row[: len(ids)] = ids
    return tokens, lengths


def random_stream(seed: int, purpose: str) -> np.random.Generator:
    """The random numbers that belong to (seed, purpose) and to nothing else."""
    seed = at_least(0, seed, "a data seed")
    key = np.frombuffer(hashlib.sha256(purpose.encode()).digest()[:16], dtype="<u4").tolist()
    return np.random.Generator(np.random.PCG64([seed, *key]))


def coins(rng: np.random.Generator) -> Iterator[bool]:
    """Fair coins without end."""
    while True:
        yield from (rng.random(4096) < 0.5).tolist()


def split_sizes(sizes: Mapping[str, int] | None, default: Mapping[str, int]) -> dict[str, int]:
    """`default` with the entries of `sizes` put in. GrokkitError for unknown names and for sizes below 0."""
    if not isinstance(sizes, Mapping | None):
        raise GrokkitError(f"sizes = {sizes!r}: write them by split, as in {{'train': 100}}")
    given = {
        name: at_least(0, size, f"the size of split {one_of('split', name, tuple(default))!r}")
        for name, size in (sizes or {}).items()
    }
    return {**default, **given}


def bare_words(source: str, labels: Sequence[str]) -> tuple[list[str], str | None]:
    """Words of a source without label and final punctuation, and the label if it is there.

    >>> bare_words("the newt does sleep . quest", ["quest", "decl"])
    (['the', 'newt', 'does', 'sleep'], 'quest')
    """
    words = source.split()
    label = words.pop() if words and words[-1] in labels else None
    if words and words[-1] in (".", "?"):
        words.pop()
    return words, label
