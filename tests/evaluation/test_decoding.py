"""Greedy decoding: with the cache as without, whatever the batches and the stack."""

from itertools import product

import pytest
import torch
from oracle import lively_stack

from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.evaluation import greedy
from grokkit.evaluation.decoding import ANY, Prompts

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
    for wrong in ({"expected": [[1]]}, {"followed": [[[1]]]}):
        with pytest.raises(GrokkitError, match="give one for each prompt"):
            Prompts([[1], [1]], 3, **wrong)
    assert Prompts([], 3).decode(lively_stack("question"))[0].shape == (2, 0, 0)


def plain_prompts(stack, task: str, rows: int):
    """Prompts of a corpus and what the stack decodes after them without help, [R, N, M]."""
    vocab = TASKS[task].vocab
    prompts = [[vocab.bos, *vocab.encode(source)] for source in CORPORA[task]["val"].sources[:rows]]
    limits = [4 + n % 9 for n in range(rows)]
    return prompts, limits, Prompts(prompts, limits).decode(stack)[0]


def spoiled(output: list[int], place: int | None) -> list[int]:
    """An output with another token at `place`."""
    return [*output[:place], 1 + output[place] % 3, *output[place + 1 :]] if place is not None else output


@pytest.mark.parametrize("task", CORPORA)
@pytest.mark.parametrize("kind", ["right", "mostly", "wrong later", "wrong", "short"])
@pytest.mark.parametrize("tokens_at_once", [0, 150])
def test_expected_outputs_change_the_cost_only(task, kind, tokens_at_once):
    """Expected outputs that are right, wrong from some place on, and too short, for several runs at once.

    Teacher forcing and decoding round differently: with the margins of real scores no arg max may differ.
    """
    stack = lively_stack(task, seeds=(1, 2, 5))
    prompts, limits, plain = plain_prompts(stack, task, 60)
    expected = []
    for n in range(60):
        output = [token for token in plain[n % 3, n].tolist() if token]  # of another run for two of three rows
        place = {
            "right": None,
            "mostly": n % len(output) if n % 5 == 0 else None,
            "wrong later": n % len(output),
            "wrong": 0,
            "short": None,
        }[kind]
        expected.append(spoiled(output, place)[: 2 if kind == "short" else None])
    alike = Prompts(prompts, limits, tokens_at_once=tokens_at_once, expected=expected).decode(stack)[0]
    assert torch.equal(alike, plain)
    alone = Prompts(prompts, limits, expected=[[token for token in row if token] for row in plain[1].tolist()])
    assert torch.equal(alone.decode(stack.run(1))[0][0], plain[1])


def test_right_outputs_need_no_decoding(monkeypatch):
    stack = lively_stack("question", seeds=(4,))
    prompts, limits, plain = plain_prompts(stack, "question", 40)
    helped = Prompts(prompts, limits, expected=[[token for token in row if token] for row in plain[0].tolist()])
    passes, plain_decode = [], stack.decode

    def decode(tokens, *rest):
        passes.append(tokens.shape[-1])
        return plain_decode(tokens, *rest)

    monkeypatch.setattr(stack, "decode", decode)
    assert torch.equal(helped.decode(stack)[0], plain)
    assert passes == [max(limits)]
    passes.clear()
    Prompts(prompts, limits).decode(stack)
    assert passes == [1] * max(limits)


def test_rows_are_broken_off_where_they_follow_no_output():
    stack = lively_stack("tense", seeds=(1, 2))
    prompts, limits, plain = plain_prompts(stack, "tense", 50)
    outputs = [[token for token in row if token] for row in plain[0].tolist()]
    followed = [[output, [ANY, *spoiled(output, n % len(output))[1:]], [7, 8, 9]] for n, output in enumerate(outputs)]
    found = Prompts(prompts, limits, followed=followed).decode(stack)[0]
    whole = 0
    for r, n in product(range(2), range(50)):
        said = [token for token in plain[r, n].tolist() if token]
        k = next(
            (
                k
                for k in range(1, len(said))
                if not any(all(a in (ANY, b) for a, b in zip([*output, *[0] * 20], said[:k])) for output in followed[n])
            ),
            len(said),
        )
        assert found[r, n].tolist() == said[:k] + [0] * (found.shape[2] - k)
        whole += k == len(said)
    assert 50 <= whole < 90, "the test is to see whole rows and rows that are broken off"


def test_a_prompt_may_be_bos_alone():
    stack = lively_stack("question")
    bos = stack.config.vocabulary_size + 1
    assert torch.equal(greedy(stack, [[bos]], 5), decoded_without_cache(stack, [[bos]], [5]))
    assert greedy(stack, [[bos]], 1).shape == (2, 1, 1)
