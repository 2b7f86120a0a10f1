"""Greedy decoding: as a token at a time, whatever the batches, the stack and the guesses."""

from itertools import product

import pytest
import torch
from oracle import lively_stack, small_corpus

from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.evaluation import greedy
from grokkit.evaluation.decoding import ANY, TOKENS_AT_ONCE, Prompts


def decoded_token_by_token(stack, prompts, limits):
    """Arg max of the logits after the grown prompt, one row and one token at a time."""
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
def test_decoding_equals_one_token_at_a_time(tied):
    stack = lively_stack("question", seeds=(1, 2, 5), tied=tied)
    vocab = TASKS["question"].vocab
    starts = [" ".join(line.split()[: 3 + n % 9]) for n, line in enumerate(small_corpus("question")["val"].lines[:24])]
    prompts = [[vocab.bos], *([vocab.bos, *vocab.encode(start)] for start in starts)]
    limits = [1 + (5 * n) % 13 for n in range(len(prompts))]
    expected = decoded_token_by_token(stack, prompts, limits)
    assert torch.equal(Prompts(prompts, limits).decode(stack)[0], expected)
    ended = (expected == vocab.eos).any(-1)
    assert ended.any() and not ended.all(), "the test is to see rows that end and rows that reach their limit"
    assert len({tuple(row) for row in expected[0].tolist()}) > 5, "the test is to see different outputs"
    assert torch.equal(greedy(stack, prompts, 6), decoded_token_by_token(stack, prompts, [6] * len(prompts)))
    alone = greedy(stack, [[vocab.bos]], 5)
    assert torch.equal(alone, decoded_token_by_token(stack, [[vocab.bos]], [5]))


def test_batching_and_stacking_change_nothing(monkeypatch):
    stack, vocab = lively_stack("tense", seeds=(1, 2, 3)), TASKS["tense"].vocab
    prompts = [[vocab.bos, *vocab.encode(source)] for source in small_corpus("tense")["gen"].sources[:60]]
    choices = vocab.encode("sleeps sleep read reads")
    tokens, chosen = Prompts(prompts, 15).decode(stack, choices)
    for r in range(stack.runs):
        alone = Prompts(prompts, 15).decode(stack.run(r), choices)
        assert torch.equal(alone[0][0], tokens[r]) and torch.equal(alone[1][0], chosen[r])
    logits = torch.stack([stack.logits(torch.tensor([prompt]))[:, 0, -1] for prompt in prompts], dim=1)
    assert torch.equal(chosen, torch.tensor(choices)[logits[..., choices].argmax(-1)])
    for tokens_at_once in (1, 100, 1000):
        monkeypatch.setitem(TOKENS_AT_ONCE, "cpu", tokens_at_once)
        again = Prompts(prompts, 15).decode(stack, choices)
        assert torch.equal(again[0], tokens) and torch.equal(again[1], chosen)


def test_prompts_refuse_what_cannot_be_decoded():
    for prompts, limits in (([[]], 3), ([[1]], 0), ([[1]], [2, 3])):
        with pytest.raises(GrokkitError):
            Prompts(prompts, limits)
    for wrong in ({"expected": [[1]]}, {"followed": [[[1]]]}):
        with pytest.raises(GrokkitError, match="give one for each prompt"):
            Prompts([[1], [1]], 3, **wrong)
    assert Prompts([], 3).decode(lively_stack("question"))[0].shape == (2, 0, 0)


def plain_prompts(stack, task: str, rows: int):
    """Prompts of a corpus and what the stack decodes after them without help: a list of outputs a run."""
    vocab = TASKS[task].vocab
    prompts = [[vocab.bos, *vocab.encode(source)] for source in small_corpus(task)["val"].sources[:rows]]
    limits = [4 + n % 9 for n in range(rows)]
    plain = Prompts(prompts, limits).decode(stack)[0]
    return prompts, limits, plain, [[[token for token in row if token] for row in run] for run in plain.tolist()]


def spoiled(output: list[int], place: int) -> list[int]:
    """An output with another token at `place`."""
    return [*output[:place], 1 + output[place] % 3, *output[place + 1 :]]


EXPECTED = {  # from the number of an output and the output to what is expected
    "right": lambda n, output: output,
    "mostly": lambda n, output: output if n % 5 else spoiled(output, n % len(output)),
    "wrong later": lambda n, output: spoiled(output, n % len(output)),
    "wrong": lambda n, output: spoiled(output, 0),
    "short": lambda n, output: output[:2],
}


@pytest.mark.parametrize("task", ["question", "tense"])
@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("tokens_at_once", [TOKENS_AT_ONCE["cpu"], 150])
def test_expected_outputs_change_the_cost_only(task, kind, tokens_at_once, monkeypatch):
    """Expected outputs that are right, wrong from some place on, and too short, for several runs at once.

    Batches of other rows round differently: with the margins of real logits no arg max may differ.
    """
    stack = lively_stack(task, seeds=(1, 2, 5))
    prompts, limits, plain, outputs = plain_prompts(stack, task, 60)
    expected = [EXPECTED[kind](n, outputs[n % 3][n]) for n in range(60)]  # of another run for two of three rows
    monkeypatch.setitem(TOKENS_AT_ONCE, "cpu", tokens_at_once)
    assert torch.equal(Prompts(prompts, limits, expected=expected).decode(stack)[0], plain)


def test_right_guesses_take_one_pass(monkeypatch):
    stack = lively_stack("question", seeds=(4,))
    prompts, limits, plain, outputs = plain_prompts(stack, "question", 40)
    passes, logits_at = [], stack.logits_at

    def counted(tokens, places):
        passes.append(tokens.shape[1])
        return logits_at(tokens, places)

    monkeypatch.setattr(stack, "logits_at", counted)
    assert torch.equal(Prompts(prompts, limits, expected=outputs[0]).decode(stack)[0], plain)
    assert passes == [40]
    passes.clear()
    Prompts(prompts, limits).decode(stack)
    assert 1 < len(passes) <= max(limits) and passes == sorted(passes, reverse=True) and passes[-1] < 40


def test_rows_are_broken_off_where_they_follow_no_output():
    stack = lively_stack("tense", seeds=(1, 2))
    prompts, limits, _, outputs = plain_prompts(stack, "tense", 50)
    followed = [
        [output, [ANY, *spoiled(output, n % len(output))[1:]], [7, 8, 9]] for n, output in enumerate(outputs[0])
    ]
    found = Prompts(prompts, limits, followed=followed).decode(stack)[0]

    def begins_like(said, output):
        return all(one in (ANY, other) for one, other in zip([*output, *[0] * 20], said))

    whole = 0
    for r, n in product(range(2), range(50)):
        said = outputs[r][n]
        ends = (k for k in range(1, len(said)) if not any(begins_like(said[:k], output) for output in followed[n]))
        k = next(ends, len(said))
        assert found[r, n].tolist() == said[:k] + [0] * (found.shape[2] - k)
        whole += k == len(said)
    assert 50 <= whole < 90, "the test is to see whole rows and rows that are broken off"
