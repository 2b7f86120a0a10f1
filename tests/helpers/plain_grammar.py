"""Grammars the plain way: drawn rule by rule, and read from the released files."""

from pathlib import Path

import numpy as np

from grokkit.data.grammar import Derivation, Grammar


def sample(grammar: Grammar, rng: np.random.Generator) -> Derivation:
    """One derivation, top down, rule by rule."""

    def draw(symbol: str) -> Derivation:
        if symbol not in grammar.rules:
            return symbol
        weights, right_sides = zip(*grammar.rules[symbol])
        choice = rng.choice(len(weights), p=np.array(weights) / sum(weights))
        return (symbol, *map(draw, right_sides[choice]))

    return draw(grammar.start)


def read_grammar(path: Path) -> Grammar:
    """Lines `weight<TAB>symbol<TAB>right side`; empty lines and lines that begin with # are skipped."""
    rules: dict[str, list] = {}
    for line in map(str.strip, path.read_text(encoding="utf-8").splitlines()):
        if line and not line.startswith("#"):
            weight, symbol, right = line.split("\t")
            rules.setdefault(symbol.strip(), []).append((float(weight), tuple(right.split())))
    return Grammar("ROOT", rules)
