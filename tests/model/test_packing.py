"""Packed batches against padded ones: the same tokens, scores and gradients, whatever the lengths."""

import numpy as np
import pytest
import torch
from trainings import losses_of

from grokkit.config import Config
from grokkit.model.attention import PackedAttention
from grokkit.model.dropout import Hashed, dropout_keys, dropout_of_step
from grokkit.model.packing import PAD, Shape, pack, shape_of
from grokkit.model.transformer import TransformerStack

V, HEADS = 30, 4
CONFIG = Config("test", "question", 2, vocabulary_size=V, width=32, heads=HEADS, ffn_width=48)
LENGTHS = {
    "equal": [[5, 5, 5], [5, 5, 5]],
    "one group": [[9, 8, 6], [7, 7, 7]],
    "two groups": [[9, 8, 3], [7, 7, 4]],
    "long tail": [[40, 4, 2, 1], [11, 9, 9, 1]],
    "single": [[3], [12]],
}
ALL = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS.keys())


def packed(lengths, few=False):
    """A table of random lines, the indices of those that a batch takes, and the batch."""
    lengths = np.array(lengths)
    rng = np.random.default_rng(0)
    table = rng.integers(1, V, (lengths.size, lengths.max() + 3))
    table[np.arange(table.shape[1]) > lengths.reshape(-1, 1)] = PAD
    line_indices = rng.permutation(lengths.size).reshape(lengths.shape)
    table[line_indices.flatten()] = table.copy()
    table = torch.from_numpy(table.astype(np.int16))
    shape = shape_of(lengths, few)
    return table, line_indices, pack(table, torch.from_numpy(line_indices), torch.from_numpy(lengths), shape, HEADS)


def stack_with_gradients(dtype=torch.float32):
    """A stack of two runs and its weights."""
    stack = TransformerStack(CONFIG, (1, 2), flat=TransformerStack(CONFIG, (1, 2)).flat.to(dtype))
    return stack, [weight.requires_grad_() for weight in stack.weights.values()]


def test_shapes_are_small_and_few():
    # as Dyck has them: the longest of 8 strings is far longer than the others
    lengths = np.array([[400, 60, 30, 14, 14, 10, 8, 4]])
    shape = shape_of(lengths)
    assert shape == Shape(544, ((1, 401), (1, 61), (1, 31), (4, 15), (1, 5)))
    assert sum(count * width**2 for count, width in shape.groups) < 0.14 * 8 * 401**2
    rounded = Shape(640, ((1, 512), (1, 64), (6, 32)))
    assert shape_of(lengths, few=True) == rounded
    lengths[0, 0] += 20
    assert shape_of(lengths, few=True) == rounded


@ALL
@pytest.mark.parametrize("few", [False, True])
def test_tokens_scores_and_gradients_equal_those_of_single_sentences(lengths, few):
    table, line_indices, batch = packed(lengths, few)
    stack, weights = stack_with_gradients(torch.float64)
    losses = losses_of(stack, batch)
    gradients = torch.autograd.grad(losses.sum(), weights)
    scores = stack.packed_logits(batch)
    total = torch.zeros(2, dtype=torch.float64)
    for run in range(2):
        start = 0
        for line, length in zip(line_indices[run], lengths[run]):
            rows, tokens = slice(start, start + length), table[line, : length + 1].long()
            assert torch.equal(batch.inputs[run, rows], tokens[:-1])
            assert torch.equal(batch.targets[run, rows], tokens[1:])
            assert batch.positions[run, rows].tolist() == list(range(length))
            plain = stack.logits(tokens[None, :-1])[run, 0]
            torch.testing.assert_close(scores[run, rows], plain, atol=1e-10, rtol=1e-10)
            total[run] += torch.nn.functional.cross_entropy(plain, tokens[1:], reduction="sum")
            start += length
        assert (batch.inputs[run, start:] == PAD).all() and (batch.targets[run, start:] == PAD).all()
    expected = total / torch.tensor(lengths).sum(1)
    # the losses are taken in float32, as in training
    torch.testing.assert_close(losses, expected.float(), atol=1e-5, rtol=1e-5)
    for gradient, reference in zip(gradients, torch.autograd.grad(expected.sum(), weights)):
        torch.testing.assert_close(gradient, reference, atol=1e-6, rtol=1e-4)


@ALL
def test_attention_with_dropout_and_its_gradient_equal_autograd(lengths):
    """Against the definition, sentence by sentence, with the very same decisions of dropout."""
    _, _, batch = packed(lengths)
    d, rows = 6, batch.shape.rows
    rng = torch.Generator().manual_seed(0)
    vectors = torch.randn(2, rows, 3, HEADS, d, dtype=torch.float64, generator=rng, requires_grad=True)
    towards = torch.randn(2, rows, HEADS, d, dtype=torch.float64, generator=rng)
    for run in range(2):
        towards[run, sum(lengths[run]) :] = 0  # rows without a token have no part in any loss

    made, again = (dropout_of_step(0.4, dropout_keys((1, 2), 7), batch.lengths) for _ in range(2))
    ours = PackedAttention.apply(vectors.view(-1, d), batch, made).view_as(towards)
    (gradient,) = torch.autograd.grad((ours * towards).sum(), vectors)
    # the decisions, drawn again, [R, b, H, T, T] of each group
    masks, first = [], 0
    for count, width in batch.shape.groups:
        masks += again.attention(torch.ones(2, count, HEADS, width, width), first).unbind(1)
        first += count
    plain = torch.zeros_like(towards)
    for run in range(2):
        start = 0
        for length, mask in zip(lengths[run], masks):
            q, k, v = vectors[run, start : start + length].permute(1, 2, 0, 3)  # each [H, T, d]
            scores = q @ k.transpose(1, 2) / d**0.5
            future = torch.ones(length, length, dtype=torch.bool).triu(1)
            weights = scores.masked_fill(future, -torch.inf).softmax(-1) * mask[run, :, :length, :length]
            plain[run, start : start + length] = (weights @ v).transpose(0, 1)
            start += length
        torch.testing.assert_close(ours[run, :start], plain[run, :start])
    torch.testing.assert_close(gradient, torch.autograd.grad((plain * towards).sum(), vectors)[0])


@ALL
def test_dropout_of_other_devices_does_not_see_the_padding(lengths):
    """The whole step with hashed decisions: rounding sizes up changes neither losses nor gradients."""
    stack, weights = stack_with_gradients()
    results = []
    for few in (False, True):
        losses = losses_of(stack, packed(lengths, few)[2], Hashed(0.3, dropout_keys((1, 2), 7)))
        results.append([losses, *torch.autograd.grad(losses.sum(), weights)])
    for exact, rounded in zip(*results):
        torch.testing.assert_close(exact, rounded, atol=1e-6, rtol=1e-5)
