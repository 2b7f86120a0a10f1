"""From charts of span similarities to trees and to the tree-structuredness score.

A chart [n, n] holds at [i, j] the similarity of the contextual and the context-free vector of the span [i..j]
(charts.py); below the diagonal it is nan. The score of a tree is the sum of the similarities of the two
children of every node: the root is left out, the leaves are in (DEVIATIONS.md, D48 to D51; paper,
Appendix C, Equations 1 to 3).

Dimension letters: R runs, S sentences, n words. Trees of many charts are held as "nodes", int [..., n - 1,
3]: (first, split, last) of each inner node, the root first, parents before children; the children of a node
are [first..split] and [split+1..last].
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from grokkit.data.tree import Tree, tree_from_nodes
from grokkit.errors import GrokkitError
from grokkit.trees.branching import span_probabilities
from grokkit.values import one_of

Charts = Float[np.ndarray, "*many n n"]
Nodes = Int[np.ndarray, "*many n-1 3"]
PerChart = Float[np.ndarray, "*many"] | np.floating  # a number for a single chart
PerRun = Float[np.ndarray, "R"]

_CHUNK = 2**18  # chart cells worked on at a time: keeps the temporary arrays near the processor


def project(chart: ArrayLike, method: str = "greedy") -> Tree:
    """The binary tree that a chart [n, n] projects onto, as nested tuples of the word numbers 0 .. n-1.

    method "greedy" (the released code's): top down, each node gets its best split, ties to the left; "exact":
    the tree with the largest score, by dynamic programming over spans (CKY), ties to the left as well.

    >>> project([[1, 1, 1], [np.nan, .5, .9], [np.nan, np.nan, .5]])
    (0, (1, 2))
    """
    chart = np.asarray(chart, dtype=float)
    if chart.ndim != 2 or chart.shape[0] != chart.shape[1] or not len(chart):
        raise GrokkitError(f"a chart has the shape [n, n], not {list(chart.shape)}: give one run's chart")
    if np.isnan(chart[np.triu_indices(len(chart))]).any():
        raise GrokkitError("the chart has nan on or above its diagonal: did the run that it is from fail?")
    return tree_from_nodes(induce(chart, method).tolist(), len(chart))


def t_score(
    charts: Sequence[np.ndarray], tree: str = "greedy", baseline: str = "induced", prefix_spans: bool = True
) -> PerRun:
    """Tree-structuredness of R runs: the score of the induced tree minus the expected score of a baseline,
    averaged over sentences. nan for a run whose charts hold nan.

    charts: one array [R, n, n] a sentence. tree: how trees are induced, see `project`. baseline, all in
    closed form:
      "induced": at each node of the induced tree the mean over all splits of this node (the released code
      draws one);
      "uniform-splits": random top-down trees, every split of a node equally likely;
      "uniform-trees": all binary trees equally likely (paper, Equation 2).
    prefix_spans: False leaves spans that start the sentence out of every sum, the one that is maximized
    included: in a causal model their similarity is 1 whatever was learned.

    Trees differ in how many prefix spans they have (a left-branching one has the most). So a comparison of
    whole trees ("exact", and the uniform baselines) rewards left branching where prefix spans count 1, and
    right branching where they are left out. With the greedy tree and the induced baseline they cancel.
    """
    total, count = np.zeros(()), 0
    for _, block in by_length(charts):
        if not prefix_spans:
            block = without_prefix_spans(block)
        nodes = induce(block, tree)
        above = tree_similarity(block, nodes) - expected_similarity(block, nodes, baseline)  # [S, R]
        total, count = total + above.sum(axis=0), count + len(block)
    return total / count


def by_length(charts: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Groups charts [R, n, n] by n, short sentences first: (which of them, int [S]; block, float64 [S, R, n, n])."""
    lengths: dict[int, list[int]] = {}
    for s, chart in enumerate(charts):
        if chart.ndim != 3 or chart.shape[1] != chart.shape[2] or not chart.shape[1]:
            raise GrokkitError(f"chart {s} has the shape {list(chart.shape)}: a sentence's is [R, n, n]")
        lengths.setdefault(chart.shape[1], []).append(s)
    if not lengths:
        raise GrokkitError("no charts: give at least one sentence")
    for n in sorted(lengths):
        yield np.array(lengths[n]), np.stack([charts[s] for s in lengths[n]]).astype(np.float64)


def without_prefix_spans(block: Charts) -> Charts:
    """Charts in which the spans that start the sentence count 0."""
    block = block.copy()
    block[..., 0, :] = 0.0
    return block


def induce(charts: Charts, method: str = "greedy") -> Nodes:
    """The nodes of the trees of many charts of one length. method: see `project`."""
    splits = {"greedy": _greedy, "exact": _exact}[one_of("tree", method, ("greedy", "exact"))]
    n = charts.shape[-1]
    flat = charts.reshape(-1, n, n)
    nodes = np.zeros((len(flat), n - 1, 3), dtype=np.intp)
    for part in _parts(len(flat), n):
        _descend(nodes[part], splits(flat[part]))
    return nodes.reshape(*charts.shape[:-2], n - 1, 3)


def _parts(count: int, n: int) -> Iterator[slice]:
    """Slices of `count` charts that are worked on at a time."""
    step = max(1, _CHUNK // n**2)
    return (slice(start, start + step) for start in range(0, count, step))


def _descend(nodes: np.ndarray, choose: Callable) -> None:
    """Fills in nodes [count, n - 1, 3], all trees at once from the root, an inner node of each a step: breadth first.

    choose(rows, first, last) -> split, all int [count].
    """
    rows = np.arange(len(nodes))
    nodes[:, :1, 2] = nodes.shape[1]
    free = np.ones(len(nodes), dtype=np.intp)  # the next empty slot of each tree
    for t in range(nodes.shape[1]):
        first, last = nodes[:, t, 0], nodes[:, t, 2]
        split = nodes[:, t, 1] = choose(rows, first, last)
        for child_first, child_last in ((first, split), (split + 1, last)):
            inner = rows[child_first < child_last]
            nodes[inner, free[inner], 0] = child_first[inner]
            nodes[inner, free[inner], 2] = child_last[inner]
            free[inner] += 1


def _greedy(charts: np.ndarray) -> Callable:
    """The best split of a node, for charts [count, n, n]."""
    candidates = np.arange(charts.shape[-1] - 1)

    def choose(rows, first, last):
        score = charts[rows, first, :-1] + charts[rows, 1:, last]
        inside = (candidates >= first[:, None]) & (candidates < last[:, None])
        return np.where(inside, score, -np.inf).argmax(axis=1)  # the first maximum: ties to the left

    return choose


def _exact(charts: np.ndarray) -> Callable:
    """The split of a node in the best tree, for charts [count, n, n].

    The value of a span is its similarity plus that of the best tree below it. It is stored twice, under
    (first word, length) and under (last word, length), so that all splits of all spans of one length are
    plain slices.
    """
    count, n, _ = charts.shape
    starting = np.zeros((count, n, n + 1))
    ending = np.zeros((count, n, n + 1))
    left_words = np.zeros((count, n, n + 1), dtype=np.int16)
    starting[:, :, 1] = ending[:, :, 1] = np.diagonal(charts, axis1=1, axis2=2)
    for m in range(2, n + 1):
        spans = n - m + 1
        value = starting[:, :spans, 1:m] + ending[:, m - 1 :, m - 1 : 0 : -1]  # [count, spans, m - 1]
        left_words[:, :spans, m] = value.argmax(axis=-1) + 1
        value = value.max(axis=-1) + np.diagonal(charts, offset=m - 1, axis1=1, axis2=2)
        starting[:, :spans, m] = ending[:, m - 1 :, m] = value
    return lambda rows, first, last: first + left_words[rows, first, last - first + 1] - 1


def tree_similarity(charts: Charts, nodes: Nodes) -> PerChart:
    """The score of each tree on its chart."""
    first, split, last = np.moveaxis(nodes, -1, 0)
    return (_gather(charts, first, split) + _gather(charts, split + 1, last)).sum(axis=-1)


def expected_similarity(charts: Charts, nodes: Nodes, baseline: str) -> PerChart:
    """The expected score of a baseline (see `t_score`) on each chart. nodes: the induced trees."""
    one_of("baseline", baseline, ("induced", "uniform-splits", "uniform-trees"))
    n = charts.shape[-1]
    below, triangle = np.tri(n, k=-1, dtype=bool), np.tri(n)
    if baseline != "induced":
        probability = span_probabilities(n, baseline).copy()
        probability[0, n - 1] = 0.0  # the root is not part of the score
        return np.einsum("...ij,ij->...", np.where(below, 0.0, charts), probability)
    flat = charts.reshape(-1, n, n)
    trees, result = nodes.reshape(len(flat), n - 1, 3), np.empty(len(flat))
    for part in _parts(len(flat), n):
        upper = np.where(below, 0.0, flat[part])  # 0 instead of nan below the diagonal
        # a product with the triangle is a cumulative sum, several times as fast on axes this short
        lefts = upper @ triangle.T  # [i, j]: sum over the spans that begin at i and end at or before j
        rights = triangle.T @ upper  # [i, j]: sum over those that begin at or after i and end at j
        first, _, last = np.moveaxis(trees[part], -1, 0)
        both = _gather(lefts, first, last - 1) + _gather(rights, first + 1, last)
        result[part] = (both / (last - first)).sum(axis=-1)  # of each node, the mean over its splits
    return result.reshape(charts.shape[:-2])


def _gather(charts: Charts, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """charts at the cells (i, j), both int [*many, k] -> [*many, k]."""
    n = charts.shape[-1]
    return np.take_along_axis(charts.reshape(*charts.shape[:-2], n * n), i * n + j, axis=-1)
