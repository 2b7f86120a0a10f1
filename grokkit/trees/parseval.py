"""PARSEVAL: how many brackets two trees have in common (Black et al. 1991; paper, Appendix C, Equation 4)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from grokkit.errors import GrokkitError
from grokkit.trees.branching import Tree, span_probabilities
from grokkit.trees.projection import by_length, induce


class Parseval(NamedTuple):
    """Shares in 0 .. 1, over all spans of the corpus together (micro average). f1 is the paper's
    t_parseval."""

    precision: float
    recall: float
    f1: float


def parseval(predicted: Tree | list[Tree], gold: Tree | list[Tree], root: bool = True) -> Parseval:
    """Compares one pair of trees, or two lists of trees as one corpus. Leaves may be words or numbers.

    Counted are the different spans of two or more words; root=False leaves out the whole sentence, which any
    tree gets right. Raises GrokkitError where the trees differ in their number of words or no span is left.

    >>> parseval((0, (1, 2)), (("the", "newt"), "sleeps"))
    Parseval(precision=0.5, recall=0.5, f1=0.5)
    """
    if not isinstance(predicted, list):
        predicted, gold = [predicted], [gold]
    if len(predicted) != len(gold):
        raise GrokkitError(f"{len(predicted)} predicted and {len(gold)} gold trees: give them in pairs")
    hits = found = wanted = 0
    for number, (one, other) in enumerate(zip(predicted, gold)):
        (mine, words), (theirs, gold_words) = spans(one), spans(other)
        if words != gold_words:
            raise GrokkitError(f"tree {number}: {words} words predicted, {gold_words} in the gold tree")
        if not root:
            mine.discard((0, words - 1))
            theirs.discard((0, words - 1))
        hits, found, wanted = hits + len(mine & theirs), found + len(mine), wanted + len(theirs)
    f1 = f1_score(hits, found, wanted)
    return Parseval(hits / found, hits / wanted, f1)


def t_parseval(
    charts: Sequence[np.ndarray], gold: Sequence[Tree], tree: str = "greedy", root: bool = True
) -> np.ndarray:
    """F1 of the trees of R runs against gold trees, float [R]: `project` and `parseval`, for many charts at
    once.

    charts: one array [R, n, n] a sentence; gold: its tree. nan for a run whose charts hold nan.
    """
    hits = found = wanted = 0
    for which, block in by_length(charts):
        masks = gold_masks([gold[s] for s in which], block.shape[-1])
        h, f, w = count_spans(induce(block, tree), masks, root)
        hits, found, wanted = hits + np.where(failed(block), np.nan, h), found + f, wanted + w
    return f1_score(hits, found, wanted)


def failed(block: np.ndarray) -> np.ndarray:
    """Charts [S, R, n, n] -> bool [R]: runs with a nan where a similarity should be."""
    return np.isnan(block[..., *np.triu_indices(block.shape[-1])]).any(axis=(0, 2))


def expected_parseval(gold: list[Tree], law: str = "uniform-splits", root: bool = True) -> float:
    """F1 that random binary trees get on average over all draws: the "random" baseline, without drawing.

    law: see `branching.span_probabilities`. Exact, since random binary trees all have the same number of
    spans.
    """
    hits = found = wanted = 0.0
    for tree in gold:
        theirs, words = spans(tree)
        if not root:
            theirs.discard((0, words - 1))
        chance = span_probabilities(words, law)
        hits += sum(chance[span] for span in theirs)
        found += max(words - 1 - (not root), 0)
        wanted += len(theirs)
    return float(f1_score(hits, found, wanted))


def spans(tree: Tree) -> tuple[set[tuple[int, int]], int]:
    """The spans (first, last) of two or more words of a tree, and its number of words.

    >>> sorted(spans((("the", "newt"), "sleeps"))[0])
    [(0, 1), (0, 2)]
    """
    found: set[tuple[int, int]] = set()
    words = 0
    waiting: list = [(False, tree)]
    while waiting:  # no recursion: a right-branching tree may be a thousand levels deep
        closes, item = waiting.pop()
        if closes:
            if words - item > 1:
                found.add((item, words - 1))
        elif isinstance(item, tuple):
            waiting.append((True, words))
            waiting += [(False, child) for child in reversed(item)]
        else:
            words += 1
    if not words:
        raise GrokkitError("a tree without words: leave empty sentences out")
    return found, words


def gold_masks(trees: Sequence[Tree], n: int) -> np.ndarray:
    """bool [S, n, n]: True at [s, i, j] where [i..j] is a span of two or more words of tree s.

    Raises GrokkitError for a tree that has not n words.
    """
    masks = np.zeros((len(trees), n, n), dtype=bool)
    for s, tree in enumerate(trees):
        found, words = spans(tree)
        if words != n:
            raise GrokkitError(f"a gold tree has {words} words where its sentence has {n}: {str(tree)[:60]}")
        for first, last in found:
            masks[s, first, last] = True
    return masks


def count_spans(nodes: np.ndarray, masks: np.ndarray, root: bool) -> tuple[np.ndarray, int, int]:
    """Spans in common [R], predicted and gold ones, of trees given as nodes [S, R, n - 1, 3] and masks [S, n,
    n]."""
    skip = 0 if root else 1  # the root is the first of the nodes
    nodes = nodes[:, :, skip:]
    s = np.arange(len(nodes))[:, None, None]
    hits = masks[s, nodes[..., 0], nodes[..., 2]].sum(axis=(0, 2))
    whole = 0 if root else masks[:, 0, -1].sum()
    return hits, nodes.shape[0] * nodes.shape[2], int(masks.sum() - whole)


def f1_score(hits, found: float, wanted: float):
    """F1 from counts of spans: in common (a number, or an array over runs), predicted, and in the gold
    trees."""
    if not found or not wanted:
        raise GrokkitError("no span of two or more words to compare: give longer sentences, or root=True")
    return 2 * hits / (found + wanted)
