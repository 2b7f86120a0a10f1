"""Trees and t_score against the enumeration of all binary trees, with sums written out span by span."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from grokkit.errors import GrokkitError
from grokkit.trees import project, random_tree, right_branching, span_probabilities, t_score

LENGTHS = range(1, 9)
BASELINES = ("induced", "uniform-splits", "uniform-trees")


@cache
def all_trees(first: int, last: int) -> tuple:
    """Every binary tree over the words first .. last, as (tree, inner spans, chance under uniform splits)."""
    if first == last:
        return ((first, frozenset(), 1.0),)
    return tuple(
        ((left, right), {(first, last)} | inner_left | inner_right, a * b / (last - first))
        for split in range(first, last)
        for left, inner_left, a in all_trees(first, split)
        for right, inner_right, b in all_trees(split + 1, last)
    )


def random_chart(n: int, seed: int) -> np.ndarray:
    """A chart as a causal model gives it: 1 for spans that begin the sentence, nan below the diagonal."""
    chart = np.random.default_rng(seed).uniform(-1, 1, (n, n))
    chart[0] = 1.0
    chart[np.tril_indices(n, -1)] = np.nan
    return chart


def score(chart: np.ndarray, spans, prefix_spans: bool = True) -> float:
    """The sum of the similarities of all nodes but the root, leaves included."""
    n = len(chart)
    nodes = [(i, i) for i in range(n)] + sorted(spans)
    return sum(chart[i, j] for i, j in nodes if (i, j) != (0, n - 1) and (prefix_spans or i > 0))


def greedy_by_hand(chart, first, last):
    """(tree, inner spans) by the definition: the best split of each node, the leftmost of equals."""
    if first == last:
        return first, frozenset()
    values = [chart[first, k] + chart[k + 1, last] for k in range(first, last)]
    split = first + values.index(max(values))
    (left, a), (right, b) = greedy_by_hand(chart, first, split), greedy_by_hand(chart, split + 1, last)
    return (left, right), {(first, last)} | a | b


def induced_baseline_by_hand(chart, spans, prefix_spans):
    total = 0.0
    for i, j in sorted(spans):
        lefts = [chart[i, k] if prefix_spans or i > 0 else 0.0 for k in range(i, j)]
        rights = [chart[k + 1, j] for k in range(i, j)]
        total += (sum(lefts) + sum(rights)) / (j - i)
    return total


def test_the_enumeration_is_complete():
    assert [len(all_trees(0, n - 1)) for n in LENGTHS] == [1, 1, 2, 5, 14, 42, 132, 429]  # Catalan numbers
    assert sum(chance for *_, chance in all_trees(0, 7)) == pytest.approx(1)


@pytest.mark.parametrize("n", LENGTHS)
def test_trees_and_all_baselines_equal_enumeration(n):
    for seed in range(4):
        chart = random_chart(n, seed)
        for prefix in (True, False):
            scores = [score(chart, spans, prefix) for _, spans, _ in all_trees(0, n - 1)]
            best = int(np.argmax(scores))
            greedy, greedy_spans = greedy_by_hand(chart, 0, n - 1)
            if prefix:
                assert project(chart, "exact") == all_trees(0, n - 1)[best][0]
                assert project(chart, "greedy") == greedy
            chosen = {
                "greedy": (score(chart, greedy_spans, prefix), greedy_spans),
                "exact": (scores[best], all_trees(0, n - 1)[best][1]),
            }
            for tree, (own, spans) in chosen.items():
                expected = {
                    "induced": induced_baseline_by_hand(chart, spans, prefix),
                    "uniform-splits": sum(p * s for s, (*_, p) in zip(scores, all_trees(0, n - 1))),
                    "uniform-trees": np.mean(scores),
                }
                for baseline in BASELINES:
                    found = t_score([chart[None]], tree, baseline, prefix_spans=prefix)
                    assert found == pytest.approx([own - expected[baseline]], abs=1e-12)  # float64 rounding


@pytest.mark.parametrize("n", LENGTHS)
def test_span_probabilities_equal_enumeration(n):
    trees = all_trees(0, n - 1)
    expected = {"uniform-splits": np.eye(n), "uniform-trees": np.eye(n)}
    for _, spans, chance in trees:
        for span in spans:
            expected["uniform-splits"][span] += chance
            expected["uniform-trees"][span] += 1 / len(trees)
    for law, table in expected.items():
        np.testing.assert_allclose(span_probabilities(n, law), table, atol=1e-12)


def test_random_trees_are_split_uniformly():
    """5,000 draws over 4 words: chi-square of the five trees, below the 1 % point for 4 degrees of freedom, 13.28."""
    draws = [random_tree(4, seed) for seed in range(5000)]
    expected = {tree: 5000 * chance for tree, _, chance in all_trees(0, 3)}
    assert set(draws) == set(expected)
    assert sum((draws.count(tree) - count) ** 2 / count for tree, count in expected.items()) < 13.28


@settings(max_examples=25, deadline=None, derandomize=True)
@given(strategies.integers(0, 10**6))
def test_prefix_spans_cancel_in_the_induced_baseline(seed):
    """Each split of a node that begins the sentence has one prefix span, worth 1: in the tree and in the
    mean."""
    charts = [random_chart(n, seed + n)[None] for n in range(1, 10)]
    assert t_score(charts) == pytest.approx(t_score(charts, prefix_spans=False), abs=1e-12)


@pytest.mark.parametrize("method", ["greedy", "exact"])
def test_ties_go_to_the_left(method):
    assert project(np.triu(np.ones((5, 5))), method) == right_branching(5)


def test_t_score_is_a_mean_over_sentences_of_any_length_and_apart_for_runs():
    rng = np.random.default_rng(0)
    seeds = rng.integers(0, 99, (6, 3))
    sentences = [np.stack([random_chart(n, s) for s in row]) for n, row in zip((5, 2, 7, 5, 1, 7), seeds)]
    for tree in ("greedy", "exact"):
        for baseline in BASELINES:
            alone = [[t_score([c[r : r + 1]], tree, baseline)[0] for r in range(3)] for c in sentences]
            np.testing.assert_allclose(t_score(sentences, tree, baseline), np.mean(alone, axis=0), atol=1e-12)


def test_very_long_sentences():
    rng = np.random.default_rng(0)
    chart = rng.uniform(-1, 1, (400, 400))
    for method in ("greedy", "exact"):
        tree, depth = project(chart, method), 0
        while isinstance(tree, tuple):
            tree, depth = tree[1], depth + 1
        assert tree == 399 and depth > 1
    for law in ("uniform-trees", "uniform-splits"):  # the Catalan numbers are beyond the range of floats
        nodes = span_probabilities(1000, law).sum()
        assert nodes == pytest.approx(1999)  # a binary tree over n words has 2 n - 1 nodes


CHART = random_chart(3, 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: project(CHART, "best"), "tree = 'best': choose one of greedy, exact"),
        (lambda: project(CHART[None]), r"\[n, n\]"),
        (lambda: project(np.full((2, 2), np.nan)), "nan"),
        (lambda: t_score([]), "no charts"),
        (lambda: t_score([CHART]), r"\[R, n, n\]"),
        (lambda: t_score([CHART[None]], baseline="random"), "baseline = 'random': choose one of .*uniform-trees"),
        (lambda: span_probabilities(3, "flat"), "uniform-splits"),
    ],
)
def test_bad_arguments(wrong, message):
    with pytest.raises(GrokkitError, match=message):
        wrong()
