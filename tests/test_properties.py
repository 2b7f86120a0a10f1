"""Properties that hold for any input, tried by hypothesis: from grammars to decoding."""

import math
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import lively_stack
from plain_grammar import sample

from grokkit import trees
from grokkit.data import TASKS, Vocabulary
from grokkit.data.grammar import Grammar, binary_tree
from grokkit.data.tree import leaves
from grokkit.errors import GrokkitError
from grokkit.evaluation.decoding import TOKENS_AT_ONCE, Prompts, length_batches
from grokkit.model.packing import shape_of
from grokkit.training.batches import Batches

# -- grammars ---------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["a", "b", "c", "d"])


@st.composite
def grammars(draw):
    """Grammars without recursion: the rules of a symbol use later symbols and words."""
    rules = {}
    for i in range(3):
        symbol = WORDS | st.sampled_from([f"S{j}" for j in range(i + 1, 4)])
        sides = draw(st.lists(st.lists(symbol, min_size=1, max_size=3), min_size=1, max_size=3))
        rules[f"S{i}"] = [(draw(st.sampled_from([0.5, 1, 3])), tuple(side)) for side in sides]
    rules["S3"] = [(1, (word,)) for word in draw(st.lists(WORDS, min_size=1, max_size=3, unique=True))]
    return Grammar("S0", rules)


@given(grammars(), st.integers(0, 2**32))
def test_what_a_grammar_draws_it_can_parse(grammar, seed):
    """Unless the grammar has two trees for it, the tree of the parse is the tree of the drawing."""
    assert math.isclose(sum(c.probability for c in grammar.constructions), 1)
    drawn = sample(grammar, np.random.default_rng(seed))
    words = leaves(binary_tree(drawn))
    assert set(words) <= set(grammar.words)
    try:
        parsed = grammar.parse(words)
    except GrokkitError as error:
        assert "in more than one way" in str(error)
        assume(False)
    assert leaves(binary_tree(parsed)) == words and binary_tree(parsed) == binary_tree(drawn)


# -- trees and PARSEVAL -----------------------------------------------------------------------------------


@st.composite
def any_tree(draw, words):
    """A tree over `words` words in which a node has one to four children."""
    if words == 1:
        return "w"
    cuts = sorted(draw(st.sets(st.integers(1, words - 1), min_size=1, max_size=3)))
    bounds = list(zip([0, *cuts], [*cuts, words]))
    return tuple(draw(any_tree(end - begin)) for begin, end in bounds)


@st.composite
def tree_pairs(draw):
    words = draw(st.integers(2, 9))
    return draw(any_tree(words)), draw(any_tree(words))


def brackets(tree, begin=0):
    """(end, spans of two or more words) by plain recursion."""
    if not isinstance(tree, tuple):
        return begin + 1, set()
    end, found = begin, set()
    for child in tree:
        end, inside = brackets(child, end)
        found |= inside
    return end, found | ({(begin, end)} if end - begin > 1 else set())


@given(tree_pairs())
def test_parseval_counts_brackets(pair):
    one, other = (brackets(tree)[1] for tree in pair)
    score = trees.parseval(*pair)
    assert score.precision == len(one & other) / len(one) and score.recall == len(one & other) / len(other)
    assert score.f1 == pytest.approx(2 * len(one & other) / (len(one) + len(other)))
    back = trees.parseval(*reversed(pair))
    assert (back.precision, back.recall, back.f1) == (score.recall, score.precision, score.f1)
    assert trees.parseval(pair[0], pair[0]) == (1, 1, 1)
    assert 0 < score.f1 <= 1 and (score.f1 == 1) == (one == other)  # both have the whole sentence


# -- decoding and batches ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stack():
    return lively_stack("tense", seeds=(1, 2))


@settings(max_examples=15)
@given(data=st.data())
def test_a_prompt_is_decoded_alone_as_among_others_in_any_order(stack, data):
    vocab = TASKS["tense"].vocab
    words = st.lists(st.integers(1, vocab.size - 1), max_size=7)
    prompts = data.draw(st.lists(words.map(lambda ids: [vocab.bos, *ids]), min_size=1, max_size=5))
    limits = data.draw(st.lists(st.integers(1, 6), min_size=len(prompts), max_size=len(prompts)))
    order = data.draw(st.permutations(range(len(prompts))))
    tokens = Prompts(prompts, limits).decode(stack)[0]
    with mock.patch.dict(TOKENS_AT_ONCE, cpu=30):
        mixed = Prompts([prompts[n] for n in order], [limits[n] for n in order]).decode(stack)[0]
    assert torch.equal(mixed, tokens[:, list(order)])
    for n, (prompt, limit) in enumerate(zip(prompts, limits)):
        alone = Prompts([prompt], limit).decode(stack)[0]
        assert torch.equal(alone[:, 0], tokens[:, n, :limit]) and not tokens[:, n, limit:].any()
        for row in tokens[:, n, :limit].tolist():  # one end, and nothing but padding behind it
            end = row.index(vocab.eos) + 1 if vocab.eos in row else limit
            assert all(row[:end]) and not any(row[end:])


@given(st.lists(st.integers(1, 40), max_size=40), st.integers(1, 5), st.integers(1, 400))
def test_length_batches_cover_everything_once_within_the_budget(lengths, runs, budget):
    lengths = sorted(lengths, reverse=True)
    slices = list(length_batches(lengths, runs, budget))
    assert [n for s in slices for n in range(s.start, s.stop)] == list(range(len(lengths)))
    for s in slices:
        assert s.stop - s.start == 1 or (s.stop - s.start) * lengths[s.start] * runs <= budget


@given(st.integers(1, 23), st.integers(1, 30), st.integers(0, 2**40), st.integers(1, 4))
def test_every_epoch_has_every_line_once(size, batch_size, seed, epochs):
    lines = ["a " * (1 + n % 3) for n in range(size)]
    batches = Batches(lines, Vocabulary("a"), batch_size, 1, (seed,), "cpu")
    steps = -(-size * epochs // batch_size)
    seen = np.concatenate([batches.of_run(seed, step) for step in range(steps)])
    assert all(len(batches.of_run(seed, step)) == batch_size for step in range(steps))
    for epoch in range(epochs):
        assert sorted(seen[epoch * size : (epoch + 1) * size]) == list(range(size))
    late = Batches(lines, Vocabulary("a"), batch_size, 1, (seed,), "cpu")  # a resumed one starts here
    assert np.array_equal(late.of_run(seed, steps - 1), batches.of_run(seed, steps - 1))


@settings(max_examples=50)
@given(data=st.data())
def test_a_packed_batch_holds_every_token_with_its_successor_once(data):
    vocab = Vocabulary(["x", "y", "zz"])
    line = st.lists(st.sampled_from(vocab.words[1:]), min_size=1, max_size=12).map(" ".join)
    lines = data.draw(st.lists(line, min_size=1, max_size=9))
    seeds = data.draw(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True))
    batch_size, step = data.draw(st.integers(1, 6)), data.draw(st.integers(0, 30))
    batches = Batches(lines, vocab, batch_size, 2, tuple(seeds), "cpu")
    rows = batches.line_indices(step)
    packed = batches.pack(torch.from_numpy(rows), shape_of(batches.lengths[rows], data.draw(st.booleans())))
    for r, chosen in enumerate(rows):
        texts = [[vocab.bos, *vocab.encode(lines[n]), vocab.eos] for n in chosen]
        size = sum(len(text) - 1 for text in texts)
        assert packed.inputs[r, :size].tolist() == [token for text in texts for token in text[:-1]]
        assert packed.targets[r, :size].tolist() == [token for text in texts for token in text[1:]]
        assert packed.positions[r, :size].tolist() == [t for text in texts for t in range(len(text) - 1)]
        assert not packed.targets[r, size:].any()  # which counts for nothing
        assert sorted(chosen) == sorted(batches.of_run(seeds[r], step))
