"""Greedy decoding: with the cache as without, whatever the batches and the stack."""

from itertools import product

import pytest
import torch
from oracle import lively_stack

from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.evaluation import greedy
from grokkit.evaluation.decoding import Prompts

SIZES = {"train": 100, "val": 80, "gen": 80}
CORPORA = {name: TASKS[name].generate(3, SIZES) for name in ("question", "tense")}


def decoded_without_cache(stack, prompts, limits):
    """Arg max of the scores after the grown prompt, one row and one token at a time."""
    eos = stack.config.vocabulary_size
    out = torch.zeros(stack.runs, len(prompts), max(limits), dtype=torch.int64)
    for r, (n, prompt) in product(range(stack.runs), enumerate(prompts)):
        grown = list(prompt)
        for step in range(limits[n]):
            out[r, n, step] = stack.run(r).logits(torch.tensor([grown]))[0, 0, -1].argmax()
            grown.append(int(out[r, n, step]))
            if grown[-1] == eos:
                break
    return out


@pytest.mark.parametrize("tied", [False, True])
def test_cached_decoding_equals_decoding_from_scratch(tied):
    stack = lively_stack("question", seeds=(1, 2, 5), tied=tied)
    vocab = TASKS["question"].vocab
    lines = CORPORA["question"]["val"].lines[:24]
    starts = [" ".join(line.split()[: 3 + n % 9]) for n, line in enumerate(lines)]
    prompts = [[vocab.bos, *vocab.encode(start)] for start in starts]
    limits = [1 + (5 * n) % 13 for n in range(len(prompts))]
    expected = decoded_without_cache(stack, prompts, limits)
    assert torch.equal(Prompts(prompts, limits).decode(stack)[0], expected)
    ended = (expected == vocab.eos).any(-1)
    assert ended.any() and not ended.all(), "the test is to see rows that end and rows that reach their limit"
    assert len({tuple(row) for row in expected[0].tolist()}) > 5, "the test is to see different outputs"
    assert torch.equal(greedy(stack, prompts, 6), decoded_without_cache(stack, prompts, [6] * len(prompts)))


def test_batching_and_stacking_change_nothing():
    stack = lively_stack("tense", seeds=(1, 2, 3))
    vocab = TASKS["tense"].vocab
    prompts = [[vocab.bos, *vocab.encode(source)] for source in CORPORA["tense"]["gen"].sources[:60]]
    choices = vocab.encode("sleeps sleep read reads")
    tokens, chosen = Prompts(prompts, 15).decode(stack, choices)
    for tokens_at_once in (1, 100, 1000):
        again = Prompts(prompts, 15, tokens_at_once=tokens_at_once).decode(stack, choices)
        assert torch.equal(again[0], tokens) and torch.equal(again[1], chosen)
    for r in range(stack.runs):
        alone = Prompts(prompts, 15).decode(stack.run(r), choices)
        assert torch.equal(alone[0][0], tokens[r]) and torch.equal(alone[1][0], chosen[r])
    scores = torch.stack([stack.logits(torch.tensor([prompt]))[:, 0, -1] for prompt in prompts], dim=1)
    assert torch.equal(chosen, torch.tensor(choices)[scores[..., choices].argmax(-1)])


def test_prompts_refuse_what_cannot_be_decoded():
    for prompts, limits in (([[]], 3), ([[1]], 0), ([[1]], [2, 3])):
        with pytest.raises(GrokkitError):
            Prompts(prompts, limits)
    assert Prompts([], 3).decode(lively_stack("question"))[0].shape == (2, 0, 0)
