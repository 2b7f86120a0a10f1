"""Stacks to test metrics with: one with lively outputs, and one that follows given rules exactly."""

from functools import cache
from itertools import product

import torch

from grokkit.config import preset
from grokkit.data import TASKS, Corpus
from grokkit.model.transformer import TransformerStack


@cache
def small_corpus(task: str) -> Corpus:
    """80 lines of val and of gen, Dyck strings of 40 tokens at most."""
    options = {"max_tokens": 40} if task == "dyck" else {}
    return TASKS[task].generate(3, {"train": 2000, "val": 80, "gen": 80}, **options)


def lively_stack(task: str, seeds=(1, 2), eos_bias=2.0, **changes) -> TransformerStack:
    """An untrained stack whose outputs vary from prompt to prompt and end at different lengths."""
    config = preset("smoke", task, 2, width=32, heads=4, ffn_width=48, **changes)
    stack = TransformerStack(config, seeds)
    stack.weights["embedding" if config.tied else "output.weight"].mul_(6)
    stack.weights["output.bias"][:, config.vocabulary_size] += eos_bias
    return stack


class Oracle:
    """A stand-in for a stack, certain of what its rules say, one run per rule.

    rules: names of the task's rules, or functions from a prompt's text (without BOS) to the text that follows,
    which may be empty.
    Has what evaluation uses of a TransformerStack: runs, device, config, logits_at, hidden, output.
    `hidden` asks the rule at every prefix, and a rule that has no answer there raises GrokkitError.
    """

    def __init__(self, task: str, *rules):
        self.config, self.vocab = preset("smoke", task), TASKS[task].vocab
        self.rules = [TASKS[task].rules[rule] if isinstance(rule, str) else rule for rule in rules]
        self.runs, self.device = len(self.rules), torch.device("cpu")

    def output(self, hidden):
        return hidden

    def _one_hot(self, tokens):
        return torch.nn.functional.one_hot(tokens, self.vocab.classes).float()

    def _text(self, row) -> str:
        ids = row.tolist()
        assert ids[0] == self.vocab.bos
        return self.vocab.decode(i for i in ids[1:] if i)

    def logits_at(self, tokens, places):
        """Certain of what follows the prompt, which ends at the first place; after tokens that the rule does not
        say, all score the same."""
        said = torch.zeros(*places.shape[:2], places.shape[2] + 1, dtype=torch.int64)  # the prompt's last token first
        for r, b in product(range(self.runs), range(tokens.shape[1])):
            prompt = tokens[r, b, : places[r, b, 0] + 1]
            output = [prompt[-1], *self.vocab.encode(self.rules[r](self._text(prompt))), self.vocab.eos]
            said[r, b, : len(output)] = torch.tensor(output[: said.shape[2]])
        right = tokens.gather(2, places) == said[..., :-1]
        return self._one_hot(said[..., 1:]) * right.cumprod(-1).unsqueeze(-1)

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
