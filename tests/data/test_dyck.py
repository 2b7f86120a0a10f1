"""Dyck: the walk against exact probabilities, matching against brute force, splits, the released figures."""

import itertools
from collections import Counter
from functools import cache

import numpy as np
import pytest
from full_corpora import full_corpus, same_distribution
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from grokkit.data import TASKS, make_dyck
from grokkit.data.brackets import draw, draw_of_length, partners
from grokkit.data.corpus import random_stream
from grokkit.data.dyck import closers
from grokkit.errors import GrokkitError

P_BOUND = 0.001  # a true hypothesis is rejected in one of a thousand tests; seeds are fixed
DYCK = TASKS["dyck"]


def shape(line: str) -> str:
    """The 0-1 vector of a string."""
    return "".join("1" if token[0] == "(" else "0" for token in line.split())


def component_shapes(line: str) -> list[str]:
    """The 0-1 vectors of the top-level components, found by counting."""
    vector = shape(line)
    heights = itertools.accumulate(1 if bit == "1" else -1 for bit in vector)
    ends = [i + 1 for i, height in enumerate(heights) if height == 0]
    return [vector[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def brute_force_closers(line: str) -> list[tuple[int, int, int]]:
    """Cancel the first adjacent pair `(x x)` again and again, which needs no stack."""
    left = list(enumerate(line.split()))
    partner = {}
    while left:
        at = next(i for i in range(len(left) - 1) if left[i][1][0] == "(" and left[i + 1][1][-1] == ")")
        (begin, opened), (end, closed) = left[at], left[at + 1]
        assert opened[1:] == closed[:-1]
        partner[end] = begin
        del left[at : at + 2]
    depths = {end: sum(b < begin and end < e for e, b in partner.items()) + 1 for end, begin in partner.items()}
    return [(end, end - partner[end], depths[end]) for end in sorted(partner)]


# The walk


def walk_probability(vector: str, max_depth: int) -> float:
    """Probability that the walk gives this vector, by the words of grokkit.data.brackets's docstring."""
    probability, depth = 1.0, 0
    for step, bit in enumerate(vector):
        if depth == 0:
            probability *= 1 if step < 4 else 1 / 2  # an early end is drawn again
        elif depth < max_depth:
            probability *= 1 / 2
        depth += 1 if bit == "1" else -1
        if not 0 <= depth <= max_depth:
            return 0.0
    return probability / 2 if depth == 0 else 0.0


def vectors(length: int, max_depth: int) -> dict[str, float]:
    """All vectors of one length with their probabilities."""
    every = ("".join(bits) for bits in itertools.product("10", repeat=length))
    return {v: p for v in every if v[0] == "1" and (p := walk_probability(v, max_depth)) > 0}


@pytest.mark.parametrize("max_depth", [1, 2, 3, 10])
def test_the_walk_has_the_recipes_probabilities_and_uniform_types(max_depth):
    count = 20_000
    strings = draw(random_stream(0, "walk"), count, 20, max_depth)
    assert chisquare(np.bincount(strings.types[strings.opens], minlength=20)).pvalue > P_BOUND
    drawn = Counter(map(shape, strings.lines(20)))
    expected = {v: count * p for length in (4, 6, 8, 10) for v, p in vectors(length, max_depth).items()}
    observed = [drawn[v] for v in expected]
    rest = count - sum(expected.values())
    assert min(map(len, drawn)) == 4
    assert chisquare([*observed, count - sum(observed)], [*expected.values(), rest]).pvalue > P_BOUND


@pytest.mark.parametrize(("length", "max_depth"), [(4, 10), (10, 1), (12, 2), (12, 4), (12, 10)])
def test_strings_of_a_given_length_have_the_conditional_probabilities(length, max_depth):
    count = 20_000
    drawn = Counter(map(shape, draw_of_length(random_stream(1, "walk"), count, length, 3, max_depth).lines(3)))
    expected = vectors(length, max_depth)
    total = sum(expected.values())
    assert set(drawn) <= set(expected)
    if len(expected) > 1:
        p = chisquare([drawn[v] for v in expected], [count * p / total for p in expected.values()]).pvalue
        assert p > P_BOUND


# Properties


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**63),
    kinds=st.sampled_from([1, 2, 20, 30]),
    max_depth=st.integers(1, 12),
    max_tokens=st.sampled_from([0, 4, 7, 60]),
)
def test_drawn_strings_keep_their_bounds_and_are_matched_as_by_hand(seed, kinds, max_depth, max_tokens):
    strings = draw(np.random.default_rng(seed), 10, kinds, max_depth, max_tokens)
    lines, vocab, pairs = strings.lines(kinds), make_dyck(kinds, max_depth).vocab, set()
    assert max_tokens or len(lines) == 10
    for start, line in zip(np.cumsum(strings.lengths) - strings.lengths, lines, strict=True):
        count, found = len(vocab.encode(line)), closers(line)
        assert 4 <= count <= (max_tokens or count) and len(found) == count / 2
        assert max(depth for _, _, depth in found) <= max_depth
        if count <= 60:
            assert found == brute_force_closers(line)
        pairs |= {(start + position - distance, start + position) for position, distance, _ in found}
    begin, end = partners(strings.opens)
    assert set(zip(begin.tolist(), end.tolist(), strict=True)) == pairs


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_rules_on_every_prefix(seed):
    for line in draw(np.random.default_rng(seed), 3, 20, 10, max_tokens=60).lines(20):
        tokens = line.split()
        for position, distance, _ in closers(line):
            prefix = " ".join(tokens[:position])
            assert DYCK.rules["hierarchical"](prefix) == tokens[position]
            opened = [token for token in tokens[:position] if token[0] == "("]
            assert DYCK.rules["linear"](prefix) == f"{opened[-1][1:]})"
            assert distance > 1 or DYCK.rules["linear"](prefix) == tokens[position]


# Splits

SIZES = {"train": 3000, "val": 300, "gen": 300}


@pytest.mark.parametrize("max_tokens", [0, 40])
@pytest.mark.parametrize("structure", ["components", "whole"])
def test_splits_have_seen_and_unseen_structures_and_matched_strings_are_as_long_as_val_strings(structure, max_tokens):
    corpus = DYCK.generate(4, SIZES, structure=structure, max_tokens=max_tokens)

    def structures(line: str) -> list[str]:
        return component_shapes(line) if structure == "components" else [shape(line)]

    train = set(corpus["train"].lines)
    known = {s for line in train for s in structures(line)}
    assert all(known.issuperset(structures(line)) and line not in train for line in corpus["val"].lines)
    for name in ("gen", "gen_length_matched"):
        assert len(corpus[name]) == 300
        assert not any(known.issuperset(structures(line)) for line in corpus[name].lines)
    lengths = {name: [line.count(" ") + 1 for line in split.lines] for name, split in corpus.items()}
    longest = max(map(max, lengths.values()))
    assert longest <= max_tokens if max_tokens else longest > 100
    # the same number of strings of each length as the val strings that are long enough have, in turn
    matched, val = lengths["gen_length_matched"], lengths["val"]
    assert matched == list(itertools.islice(itertools.cycle([n for n in val if n in set(matched)]), 300))
    assert all(n in set(matched) for n in val if n >= 20)  # with 3,000 train strings


@pytest.mark.parametrize(("kinds", "max_depth"), [(1, 2), (2, 3), (26, 2), (27, 2), (700, 2)])
def test_other_languages_have_words_and_corpora_of_their_own(kinds, max_depth):
    task = make_dyck(kinds, max_depth)
    assert len({word.strip("()") for word in task.vocab.words[1:]}) == kinds and task.vocab.size == 2 * kinds + 1
    corpus = task.generate(0, {"train": 300, "val": 0, "gen": 0})
    assert task.name == f"dyck-{kinds}-{max_depth}" and corpus.vocab == task.vocab
    assert max(d for line in corpus["train"].lines for _, _, d in closers(line)) == max_depth


def generated(**arguments):
    return lambda: DYCK.generate(0, **({"sizes": SIZES} | arguments))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *((lambda line=line: closers(line), "unbalanced") for line in ["(a", "(a b)", "a)", "(a (b a) b)", "(a a) a)"]),
        *((lambda p=p: DYCK.rules["hierarchical"](p), "bracket") for p in ["", "(a a)", "(a b)"]),
        (lambda: DYCK.rules["linear"](""), "no bracket was opened"),
        (generated(structure="tree"), "choose one of components, whole"),
        *((generated(max_tokens=n), f"max_tokens .* from 4 on, not {n}") for n in (3, -4, 8.5, True)),
        (generated(sizes={"train": 0, "val": 1, "gen": 1}), "to have val"),
        (generated(sizes={"train": 3000, "val": 0, "gen": 1}, max_tokens=4), "1 dyck gen strings are missing"),
        *((lambda k=k, m=m: make_dyck(k, m), "from 1 on") for k, m in ((0, 10), (20, 0), (2.5, 3), (True, 3))),
    ],
)
def test_impossible_wishes_are_refused(wrong, message):
    with pytest.raises(GrokkitError, match=message):
        wrong()


# The full size, against the released val file and a simulation of the recipe: DEVIATIONS.md, D10 and D11


@cache
def full_closers(split: str) -> list[list[tuple[int, int, int]]]:
    return [closers(line) for line in full_corpus("dyck")[split].lines]


def token_counts(split: str) -> np.ndarray:
    return np.array([line.count(" ") + 1 for line in full_corpus("dyck")[split].lines])


def test_val_is_distributed_as_the_released_file():
    counts = token_counts("val")
    # 4 standard errors of the difference of two means of 20,000 lengths with standard deviation 7.2
    assert counts.mean() == pytest.approx(13.27, abs=0.29)
    assert np.percentile(counts, [5, 25, 50, 75, 95]).tolist() == [6, 8, 12, 16, 28]
    assert np.percentile(counts, 99) in (36, 38, 40) and counts.min() == 6
    depths = Counter(max(depth for _, _, depth in found) for found in full_closers("val"))
    released = [1274, 6255, 6032, 3775, 1805, 659, 162, 29, 6, 3]
    assert same_distribution(depths, dict(enumerate(released, start=1))) > P_BOUND
    components = Counter(min(9, sum(depth == 1 for _, _, depth in found)) for found in full_closers("val"))
    released = [4569, 6550, 4786, 2372, 1019, 407, 174, 79, 44]  # the last: 9 components or more
    assert same_distribution(components, dict(enumerate(released, start=1))) > P_BOUND
    long = np.mean([any(distance >= 10 for _, distance, _ in found) for found in full_closers("val")])
    assert long == pytest.approx(0.302, abs=0.018)  # 4 standard errors of the difference of two shares of 20,000
    long = np.mean([distance >= 10 for found in full_closers("val") for _, distance, _ in found])
    assert long == pytest.approx(0.0713, abs=0.004)  # 4 standard errors as if all 133,000 closers were independent
    assert len(set(full_corpus("dyck")["val"].lines)) == pytest.approx(19_771, abs=85)  # 4 sqrt(2 x 229)


def test_train_and_gen_are_as_simulated():
    """Bounds: what is known to some digits, or 4 standard errors."""
    counts = token_counts("train")
    assert counts.mean() == pytest.approx(50, abs=1)
    assert np.median(counts) == 14 and np.percentile(counts, 95) == pytest.approx(216, abs=4)
    assert 900 <= counts.max() <= 1500
    shapes = {s for line in full_corpus("dyck")["train"].lines for s in component_shapes(line)}
    assert len(shapes) == pytest.approx(92_000, abs=1500)
    fresh = draw(random_stream(9, "fresh"), 20_000, 20, 10).lines(20)
    unseen = np.mean([not shapes.issuperset(component_shapes(line)) for line in fresh])
    assert unseen == pytest.approx(0.376, abs=0.014)
    counts = token_counts("gen")
    assert counts.mean() == pytest.approx(116, abs=4)  # known to whole tokens; its standard error is .7
    assert np.median(counts) == pytest.approx(85, abs=3)
    assert np.percentile(counts, 95) == pytest.approx(312, abs=10)
    assert 800 <= counts.max() <= 1500
    full = np.mean([max(depth for _, _, depth in found) == 10 for found in full_closers("gen")])
    assert full == pytest.approx(0.61, abs=0.02)  # known to two digits, standard error .0035
    long = np.mean([distance >= 10 for found in full_closers("gen") for _, distance, _ in found])
    assert long == pytest.approx(0.207, abs=0.004)
