"""Trees that know nothing of any model: branching baselines and random binary trees.

A tree over n words is a nested tuple of the word numbers 0 .. n-1; a tree over one word is the number 0.
None of these functions recurses, so that sentences of a thousand words (Dyck) are no problem.
"""

from collections.abc import Callable
from functools import lru_cache
from math import comb

import numpy as np
from jaxtyping import Float

from grokkit.data.corpus import at_least
from grokkit.data.tree import Tree, tree_from_nodes
from grokkit.values import one_of

_WORDS = "the number of words of a tree"
SpanTable = Float[np.ndarray, "n n"]


def right_branching(n: object) -> Tree:
    """Every left child is one word. The baseline of the paper's Figure 4.

    >>> right_branching(4)
    (0, (1, (2, 3)))
    """
    return _from_splits(n, lambda first, last: first)


def left_branching(n: object) -> Tree:
    """Every right child is one word.

    >>> left_branching(4)
    (((0, 1), 2), 3)
    """
    return _from_splits(n, lambda first, last: last - 1)


def balanced(n: object) -> Tree:
    """Every node is halved; of an odd number of words the left child has the smaller half.

    >>> balanced(5)
    ((0, 1), (2, (3, 4)))
    """
    return _from_splits(n, lambda first, last: first + (last - first + 1) // 2 - 1)


def random_tree(n: object, seed: object) -> Tree:
    """A random tree: top down, every split of a node equally likely. Depends on (n, seed) alone.

    >>> random_tree(3, seed=1) in [(0, (1, 2)), ((0, 1), 2)]
    True
    """
    rng = np.random.default_rng([at_least(1, n, _WORDS), at_least(0, seed, "the seed of a tree")])
    return _from_splits(n, lambda first, last: int(rng.integers(first, last)))


def _from_splits(n: object, choose: Callable[[int, int], int]) -> Tree:
    """The tree in which node [first..last] has the left child [first..choose(first, last)]."""
    n = at_least(1, n, _WORDS)
    nodes, waiting = [], [(0, n - 1)]
    while waiting:
        first, last = waiting.pop()
        if first < last:
            split = choose(first, last)
            nodes.append((first, split, last))
            waiting += [(first, split), (split + 1, last)]
    return tree_from_nodes(nodes, n)


@lru_cache(maxsize=512)
def span_probabilities(n: int, law: str) -> SpanTable:
    """At [i, j] the probability that span [i..j] is a node of a random binary tree over n words.

    law "uniform-splits": top down, each split of a node equally likely. A node of m words arises exactly if,
        in a random order of the n - 1 gaps, the gaps at its ends (two, or one at the edge of the sentence)
        come before the m - 1 gaps inside: 2 / (m (m + 1)), or 1 / m at an edge.
    law "uniform-trees": all trees equally likely. C(m-1) C(n-m) of the C(n-1) trees hold a given span of m
        words (C: Catalan numbers), wherever it lies.

    Below the diagonal 0; leaves and the whole sentence 1. The array is shared: do not write to it.

    >>> float(span_probabilities(3, "uniform-splits")[0, 1])
    0.5
    """
    i, j = np.indices((n, n))
    m = np.maximum(j - i + 1, 1)
    if one_of("law of random trees", law, ("uniform-splits", "uniform-trees")) == "uniform-splits":
        probability = np.where((i == 0) | (j == n - 1), 1 / m, 2 / (m * (m + 1)))
        probability[0, n - 1] = 1.0
    else:
        catalan = [comb(2 * k, k) // (k + 1) for k in range(n)]
        of_length = [catalan[m - 1] * catalan[n - m] / catalan[n - 1] for m in range(1, n + 1)]
        probability = np.array(of_length)[m - 1]
    probability = np.triu(probability)
    probability.setflags(write=False)
    return probability
