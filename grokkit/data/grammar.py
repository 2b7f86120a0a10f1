"""Weighted context-free grammars: sentences are drawn from them and parsed by them.

A derivation is a nested tuple (symbol, child, ...) whose leaves are words. A symbol that no rule expands is
a word; a symbol all of whose rules give one word is a word class (preterminal). A grammar without recursion
has finitely many constructions: derivations down to word classes. Drawing a construction and then its
words, both in bulk, samples the grammar; looking up the construction that fits some words parses them.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import contains

import numpy as np

from grokkit.data.tree import Tree, leaves, spans
from grokkit.errors import GrokkitError

Derivation = str | tuple  # a word, or (symbol, child, ...)
Rule = tuple[float, tuple[str, ...]]
BLOCK = 4096  # sentences drawn at once; another block gives other sentences


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
    # constructions found so far, by the word classes that each word may have
    _parses: dict[tuple, int | None] = field(default_factory=dict, init=False, repr=False, compare=False)

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
        """All constructions; their probabilities sum to one."""
        return [Construction(p, derivation) for p, derivation in self._expand(self.start)]

    def _expand(self, symbol: str) -> list[tuple[float, Derivation]]:
        rules = self.rules.get(symbol, ())
        if all(len(right) == 1 and right[0] not in self.rules for _, right in rules):  # a word or a word class
            return [(1.0, symbol)]
        total = sum(weight for weight, _ in rules)
        found: list[tuple[float, Derivation]] = []
        for weight, right in rules:
            for parts in itertools.product(*map(self._expand, right)):
                probability = weight / total * math.prod(p for p, _ in parts)
                found.append((probability, (symbol, *(derivation for _, derivation in parts))))
        return found

    def stream(self, rng: np.random.Generator) -> Iterator[tuple[int, list[str]]]:
        """Sentences without end, independent draws from the grammar: (index of the construction, words)."""
        share = np.array([c.probability for c in self.constructions])
        cumulative = np.cumsum(share) / share.sum()
        lengths = [len(c.slots) for c in self.constructions]
        number = {slot: i for i, slot in enumerate(self.lexicon)}
        table = np.full((len(lengths), max(lengths)), -1)  # the slots of each construction, -1 behind the end
        for row, construction in zip(table, self.constructions, strict=True):
            row[: len(construction.slots)] = [number[slot] for slot in construction.slots]
        while True:
            drawn = np.searchsorted(cumulative, rng.random(BLOCK), side="right").clip(max=len(share) - 1)
            slots = table[drawn]
            uniform = rng.random(slots.shape)
            words = np.empty(slots.shape, dtype=object)
            for slot, choices in enumerate(self.lexicon.values()):
                here = slots == slot
                bounds = np.cumsum(list(choices.values()))[:-1]
                words[here] = np.array(list(choices))[np.searchsorted(bounds, uniform[here], side="right")]
            for construction, row in zip(drawn.tolist(), words.tolist(), strict=True):
                yield construction, row[: lengths[construction]]

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
            alike = [i for i, c in enumerate(self.constructions) if len(c.slots) == len(key)]
            fitting = [i for i in alike if all(map(contains, key, self.constructions[i].slots))]
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
    def _classes_of_word(self) -> dict[str, tuple[str, ...]]:
        classes: dict[str, tuple[str, ...]] = {}
        for slot, choices in self.lexicon.items():
            for word in choices:
                classes[word] = (*classes.get(word, ()), slot)
        return classes


def binary_tree(derivation: Derivation) -> Tree:
    """The derivation without its symbols; a node with one child is its child.

    >>> binary_tree(("S", ("NP", ("N", "cats")), ("VP", ("V", "like"), ("NP", ("N", "dogs")))))
    ('cats', ('like', 'dogs'))
    """
    if isinstance(derivation, str):
        return derivation
    children = tuple(binary_tree(child) for child in derivation[1:])
    return children[0] if len(children) == 1 else children
