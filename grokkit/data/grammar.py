"""Weighted context-free grammars: sentences are drawn from them and parsed by them.

A derivation is a nested tuple (symbol, child, ...) whose leaves are words. A symbol that no rule expands is
a word; a symbol all of whose rules give one word is a word class (preterminal). A grammar without recursion
has finitely many constructions: derivations down to word classes. Drawing a construction and then its
words, both in bulk, samples the grammar; looking up the construction that fits some words parses them.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grokkit.data.tree import Tree, leaves, spans
from grokkit.errors import GrokkitError

Derivation = str | tuple  # a word, or (symbol, child, ...)
Rule = tuple[float, tuple[str, ...]]


@dataclass(frozen=True)
class Construction:
    """A derivation down to word classes: its leaves are word classes, or fixed words."""

    probability: float
    derivation: Derivation

    @cached_property
    def tree(self) -> Tree:
        """The derivation as a tree over its leaves."""
        return binary_tree(self.derivation)

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """The leaves from left to right."""
        return tuple(leaves(self.tree))


@dataclass(frozen=True)
class Grammar:
    """Weighted rules: symbol -> [(weight, right side), ...]; weights of a symbol need not sum to one.

    >>> nouns = [(3, ("cats",)), (1, ("dogs",))]
    >>> toy = Grammar("S", {"S": [(1, ("N", "V"))], "N": nouns, "V": [(1, ("sleep",))]})
    >>> toy.parse("dogs sleep".split())
    ('S', ('N', 'dogs'), ('V', 'sleep'))
    """

    start: str
    rules: Mapping[str, Sequence[Rule]]

    def __post_init__(self) -> None:
        if self.start not in self.rules:
            raise GrokkitError(f"the grammar has no rule for its start symbol {self.start!r}")

    def is_word_class(self, symbol: str) -> bool:
        """Whether every rule of `symbol` gives exactly one word."""
        rules = self.rules.get(symbol, ())
        return bool(rules) and all(len(right) == 1 and right[0] not in self.rules for _, right in rules)

    @cached_property
    def words(self) -> list[str]:
        """All words, in the order of the rules."""
        right_sides = (right for rules in self.rules.values() for _, right in rules)
        return list(dict.fromkeys(s for right in right_sides for s in right if s not in self.rules))

    @cached_property
    def lexicon(self) -> dict[str, dict[str, float]]:
        """Words of each slot symbol with their probabilities; a fixed word is its own slot symbol."""
        slots = dict.fromkeys(slot for construction in self.constructions for slot in construction.slots)
        lexicon: dict[str, dict[str, float]] = {}
        for slot in slots:
            rules = self.rules.get(slot, [(1.0, (slot,))])
            total = sum(weight for weight, _ in rules)
            lexicon[slot] = {}
            for weight, (word,) in rules:
                lexicon[slot][word] = lexicon[slot].get(word, 0.0) + weight / total
        return lexicon

    @cached_property
    def constructions(self) -> list[Construction]:
        """All constructions; their probabilities sum to one. GrokkitError if the grammar is recursive."""
        return [Construction(p, derivation) for p, derivation in self._expand(self.start, ())]

    def _expand(self, symbol: str, above: tuple[str, ...]) -> list[tuple[float, Derivation]]:
        if symbol not in self.rules or self.is_word_class(symbol):
            return [(1.0, symbol)]
        if symbol in above:
            raise GrokkitError(f"the grammar is recursive at {symbol!r}: it has no finite list of constructions")
        total = sum(weight for weight, _ in self.rules[symbol])
        found: list[tuple[float, Derivation]] = []
        for weight, right in self.rules[symbol]:
            for parts in itertools.product(*(self._expand(part, (*above, symbol)) for part in right)):
                probability = weight / total * math.prod(p for p, _ in parts)
                found.append((probability, (symbol, *(derivation for _, derivation in parts))))
        return found

    def stream(
        self, rng: np.random.Generator, keep: Sequence[bool] | None = None, block: int = 4096
    ) -> Iterator[tuple[int, list[str]]]:
        """Sentences without end: (index of the construction, words), independent draws from the grammar.

        With `keep`, one flag a construction, sentences of the other constructions are drawn but not handed
        out. The numbers are drawn `block` sentences at a time; another block gives other sentences.
        """
        lengths = [len(c.slots) for c in self.constructions]
        words = [word for choices in self.lexicon.values() for word in choices]
        while True:
            drawn, ids = self.sample_bulk(rng, block)
            if keep is not None:
                chosen = np.asarray(keep, dtype=bool)[drawn]
                drawn, ids = drawn[chosen], ids[chosen]
            for construction, row in zip(drawn.tolist(), ids.tolist(), strict=True):
                yield construction, [words[i] for i in row[: lengths[construction]]]

    def sample_bulk(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Constructions [count] and word ids [count, longest construction] of independent sentences.

        Word ids count through the lexicon's words laid end to end.
        """
        share = np.array([c.probability for c in self.constructions])
        cumulative = np.cumsum(share) / share.sum()
        drawn = np.searchsorted(cumulative, rng.random(count), side="right").clip(max=len(share) - 1)
        slots = self._slot_table[drawn]
        uniform = rng.random(slots.shape)
        ids = np.zeros(slots.shape, dtype=np.int32)
        first = 0
        for number, choices in enumerate(self.lexicon.values()):
            here = slots == number
            bounds = np.cumsum(list(choices.values()))[:-1]
            ids[here] = first + np.searchsorted(bounds, uniform[here], side="right")
            first += len(choices)
        return drawn, ids

    @cached_property
    def _slot_table(self) -> np.ndarray:
        """Slot symbols [constructions, longest] as numbers in the order of the lexicon, -1 behind the end."""
        number = {slot: i for i, slot in enumerate(self.lexicon)}
        longest = max(len(c.slots) for c in self.constructions)
        table = np.full((len(self.constructions), longest), -1, dtype=np.int16)
        for row, construction in zip(table, self.constructions, strict=True):
            row[: len(construction.slots)] = [number[slot] for slot in construction.slots]
        return table

    def construction_of(self, words: Sequence[str]) -> int:
        """Index of the one construction that fits `words`.

        GrokkitError for a word that the grammar does not have, for a sentence that it cannot parse, and for
        one that has two parses with different trees (of parses with the same tree, the first is taken).
        """
        shown = repr(" ".join(words))
        try:
            key = tuple([self._classes_of_word[word] for word in words])
        except KeyError as error:
            raise GrokkitError(f"the grammar has no word {error.args[0]!r}: {shown}") from None
        if key not in self._parses:
            fitting = [
                i
                for i, c in enumerate(self.constructions)
                if len(c.slots) == len(key) and all(slot in those for slot, those in zip(c.slots, key, strict=True))
            ]
            if len({frozenset(spans(self.constructions[i].tree)) for i in fitting}) > 1:
                raise GrokkitError(f"the grammar parses this sentence in more than one way: {shown}")
            self._parses[key] = fitting[0] if fitting else None
        found = self._parses[key]
        if found is None:
            raise GrokkitError(f"the grammar cannot parse this sentence: {shown}")
        return found

    def parse(self, words: Sequence[str]) -> Derivation:
        """The derivation of `words`. Errors as `construction_of`."""
        derivation, rest = self.constructions[self.construction_of(words)].derivation, iter(words)

        def fill(node: Derivation) -> Derivation:
            if isinstance(node, tuple):
                return (node[0], *(fill(child) for child in node[1:]))
            return (node, next(rest)) if node in self.rules else next(rest)

        return fill(derivation)

    @cached_property
    def _classes_of_word(self) -> dict[str, frozenset[str]]:
        classes: dict[str, set[str]] = {}
        for slot, choices in self.lexicon.items():
            for word in choices:
                classes.setdefault(word, set()).add(slot)
        return {word: frozenset(those) for word, those in classes.items()}

    @cached_property
    def _parses(self) -> dict[tuple[frozenset[str], ...], int | None]:
        """Constructions found so far, by the word classes that each word may have."""
        return {}


def binary_tree(derivation: Derivation) -> Tree:
    """The derivation without its symbols; a node with one child is its child.

    >>> binary_tree(("S", ("NP", ("N", "cats")), ("VP", ("V", "like"), ("NP", ("N", "dogs")))))
    ('cats', ('like', 'dogs'))
    """
    if isinstance(derivation, str):
        return derivation
    children = tuple(binary_tree(child) for child in derivation[1:])
    return children[0] if len(children) == 1 else children
