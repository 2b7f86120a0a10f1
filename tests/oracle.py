"""Stacks to test metrics with: one with lively outputs, and one that follows given rules exactly."""

from typing import NamedTuple

import torch

from grokkit.config import preset
from grokkit.data import Vocabulary
from grokkit.model import TransformerStack


def lively_stack(task: str, seeds=(1, 2), eos_bias=2.0, **changes) -> TransformerStack:
    """An untrained stack whose outputs vary from prompt to prompt and end at different lengths."""
    config = preset("smoke", task, 2, width=32, heads=4, ffn_width=48, **changes)
    stack = TransformerStack(config, seeds)
    stack.weights["embedding" if config.tied else "output.weight"].mul_(6)
    stack.weights["output.bias"][:, config.vocabulary_size] += eos_bias
    return stack


class OracleCache(NamedTuple):
    """What each row is to say, [R, B, M], and the lengths of the prompts [R, B]."""

    table: torch.Tensor
    lengths: torch.Tensor

    def rows(self, which):
        run = torch.arange(len(which)).unsqueeze(1)
        return OracleCache(self.table[run, which], self.lengths[run, which])


class Oracle:
    """A stand-in for a stack, certain of what its rules say, one run per rule.

    A rule maps a prompt's text (without BOS) to the text that follows, which may be empty.
    Has what evaluation uses of a TransformerStack: runs, device, config, prefill, decode, hidden, output.
    `hidden` asks the rule at every prefix, and a rule that has no answer there raises GrokkitError.
    """

    def __init__(self, config, vocab: Vocabulary, rules):
        self.config, self.vocab, self.rules = config, vocab, list(rules)
        self.runs, self.device = len(self.rules), torch.device("cpu")

    def output(self, hidden):
        return hidden

    def _one_hot(self, tokens):
        return torch.nn.functional.one_hot(tokens, self.vocab.classes).float()

    def _text(self, row) -> str:
        ids = row.tolist()
        assert ids[0] == self.vocab.bos
        return self.vocab.decode(i for i in ids[1:] if i)

    def _outputs(self, row) -> list[list[int]]:
        return [[*self.vocab.encode(rule(self._text(row))), self.vocab.eos] for rule in self.rules]

    def prefill(self, tokens, room):
        lengths = (tokens != 0).sum(1)
        table = torch.zeros(self.runs, len(tokens), room + 1, dtype=torch.int64)  # 0 after the end
        for b, row in enumerate(tokens):
            for r, output in enumerate(self._outputs(row)):
                table[r, b, : min(len(output), room)] = torch.tensor(output[:room])
        hidden = torch.full((self.runs, *tokens.shape, self.vocab.classes), float("nan"))
        hidden[:, torch.arange(len(tokens)), lengths - 1] = self._one_hot(table[..., 0])
        return hidden, OracleCache(table, lengths.expand(self.runs, -1))

    def decode(self, tokens, positions, cache):
        """Certain after what the rule says only; after anything else every token scores the same."""
        step = positions - cache.lengths.unsqueeze(-1)  # [R, B, T]
        right = tokens == cache.table.gather(2, step)
        if tokens.shape[-1] == 1:
            assert right[cache.table.gather(2, step) != 0].all(), "not the token that was predicted"
        return self._one_hot(cache.table.gather(2, step + 1)) * right.cumprod(-1).unsqueeze(-1)

    def hidden(self, tokens):
        """Scores after every prefix of bracket strings, [R, B, T, V + 2]; zeros where no bracket is open."""
        hidden = torch.zeros(self.runs, *tokens.shape, self.vocab.classes)
        for b, row in enumerate(tokens.tolist()):
            words = [self.vocab.words[i] for i in row[1:] if i]
            for t in range(1, len(words) + 1):
                prefix = words[:t]
                if sum(1 if word.startswith("(") else -1 for word in prefix) > 0:
                    for r, rule in enumerate(self.rules):
                        hidden[r, b, t, self.vocab.index[rule(" ".join(prefix))]] = 1
        return hidden
