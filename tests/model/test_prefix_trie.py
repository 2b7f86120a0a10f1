"""Prefix trees against sets of tuples, and the passes that they are cut into against plain forward passes."""

import numpy as np
import pytest
import torch
from chart_stacks import stack_of
from hypothesis import given
from hypothesis import strategies as st

from grokkit.model.prefix_trie import WIDTH, PrefixTree, by_width

BOS = 9
ROWS = st.lists(st.tuples(st.integers(1, 3), st.lists(st.integers(0, 2), max_size=6)), min_size=1, max_size=30)


def tree_of(rows) -> tuple[PrefixTree, list[tuple[int, ...]]]:
    """The tree of (start, tokens behind BOS), and each row as (start, BOS, tokens)."""
    table = np.full((len(rows), 1 + max(len(tokens) for _, tokens in rows)), -1)
    for row, (_, tokens) in zip(table, rows):
        row[: 1 + len(tokens)] = [BOS, *tokens]
    return PrefixTree(table, np.array([start for start, _ in rows])), [(s, BOS, *tokens) for s, tokens in rows]


@given(ROWS, st.integers(0, 3), st.integers(1, 4))
def test_every_prefix_is_computed_once_and_sees_itself_only(rows, room, at_once):
    tree, keys = tree_of(rows)
    prefixes = {key[:k] for key in keys for k in range(2, len(key) + 1)}
    assert tree.count == len(prefixes)
    name = {}  # number -> prefix
    for key, numbers in zip(keys, tree.numbers.tolist()):
        assert numbers[len(key) - 1 :] == [-1] * (len(numbers) - len(key) + 1)
        for k, number in enumerate(numbers[: len(key) - 1]):
            assert name.setdefault(number, key[: k + 2]) == key[: k + 2]
    assert set(name) == set(range(tree.count)) and len(set(name.values())) == tree.count

    done = []
    for batch in tree.passes(tree.numbers.shape[1] + room, at_once, "cpu"):
        assert len(batch.tokens) <= at_once
        tokens, positions, mask = batch.tokens.flatten(), batch.positions.flatten(), batch.mask.flatten(0, 1)
        for slot, number in zip(batch.new.tolist(), range(tree.count)[batch.prefixes], strict=True):
            begin = slot - slot % batch.tokens.shape[1]
            seen = begin + mask[slot].nonzero().flatten()
            start, *expected = name[number]
            assert tokens[seen].tolist() == expected
            assert positions[seen].tolist() == [0, *range(start, start + len(expected) - 1)]
            done.append(number)
        assert mask.any(1).all()  # no token attends to nothing
    assert done == list(range(tree.count))


@pytest.mark.parametrize("width, at_once", [(7, 1), (12, 3), (64, 100)])
def test_passes_give_the_vectors_of_plain_forward_passes(width, at_once):
    stack, rng = stack_of(seeds=(1, 2), scale=2.0), np.random.default_rng(0)
    rows = [(int(rng.integers(1, 4)), rng.integers(1, 4, rng.integers(1, 7)).tolist()) for _ in range(60)]
    tree, _ = tree_of(rows)
    vectors = torch.empty(2, tree.count, stack.config.width)
    for batch in tree.passes(width, at_once, "cpu"):
        hidden = stack.hidden(batch.tokens, batch.positions, mask=batch.mask)
        vectors[:, batch.prefixes] = hidden.flatten(1, 2)[:, batch.new]
    for (start, tokens), numbers in zip(rows, tree.numbers):
        positions = torch.tensor([[0, *range(start, start + len(tokens))]])
        plain = stack.hidden(torch.tensor([[BOS, *tokens]]), positions)[:, 0]
        # 1e-5: order of float32 sums
        torch.testing.assert_close(vectors[:, numbers[numbers >= 0]], plain, atol=1e-5, rtol=0)


def test_short_rows_get_narrow_passes():
    lengths = np.array([2, WIDTH, WIDTH + 1, 5 * WIDTH, 3, WIDTH // 2, WIDTH // 2 + 1])
    groups = {width: which.tolist() for which, width in by_width(lengths)}
    assert groups == {WIDTH: [0, 4, 5], 2 * WIDTH: [1, 2, 6], 5 * WIDTH: [3]}
