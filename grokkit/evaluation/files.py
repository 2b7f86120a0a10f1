"""A user's own task: what the answer that a model decodes after source and label gets right.

Measures, as shares of the lines of a split:

==============  ================================================================================================
full_sentence   the whole output is the target, EOS included
first_word      the first word of the output is the target's
scored_word     the scored word of each line is right, at each of its places in the target (where there is one)
<rule>          gen: in what the task scores, the output is the rule's answer; lines where this is the target's
                too are left out
==============  ================================================================================================

The accuracy is the one of the first three that the task scores.
"""

import numpy as np

from grokkit.data import Vocabulary
from grokkit.data.files import FileSplit
from grokkit.evaluation.decoding import Prompts, pad
from grokkit.evaluation.metrics import Items


class FileItems(Items):
    """The lines of a split. contrast: measure the rival rules too (for gen).

    target: int64 [N, M], the answers to decode with EOS, then 0. counts: bool [N, M], the tokens that are scored.
    rivals: rule -> int64 [N, M], its answers.
    """

    def __init__(self, split: FileSplit, vocab: Vocabulary, device="cpu", contrast: bool = False):
        name = {"whole": "full_sentence", "first": "first_word"}.get(split.score, "scored_word")
        self.accuracy = {"published": name, "paper": name}
        prompts = [[vocab.bos, *vocab.encode(f"{s} {label}")] for s, label in zip(split.sources, split.labels)]
        answers = {"": split.targets} | (dict(split.rivals) if contrast else {})
        outputs = {rule: [[*vocab.encode(text), vocab.eos] for text in texts] for rule, texts in answers.items()}
        limits = [max(map(len, of_line)) for of_line in zip(*outputs.values())]
        # an output that is none of these is not decoded further, where nothing behind is asked for
        followed = None if split.scored else [list(of_line) for of_line in zip(*outputs.values())]
        self.prompts = Prompts(prompts, limits, device, expected=outputs[""], followed=followed)
        tables = {rule: pad(rows, width=max(limits, default=0)).numpy() for rule, rows in outputs.items()}
        self.target = tables.pop("")
        self.rivals = tables
        self.counts = np.ones(self.target.shape, dtype=bool)
        if split.score == "first":
            self.counts[:, 1:] = False
        elif split.scored:
            self.counts = self.target == np.array([vocab.encode(word) for word in split.scored])
        self.among = {
            rule: np.array([split.tells_apart(n, answer) for n, answer in enumerate(split.rivals[rule])], dtype=bool)
            for rule in self.rivals
        }

    def hits(self, stack) -> dict[str, np.ndarray]:
        """Name of a measure -> bool [R, N]."""
        tokens = self.prompts.decode(stack)[0].cpu().numpy()
        hits = {"full_sentence": (tokens == self.target).all(-1), "first_word": tokens[..., 0] == self.target[:, 0]}
        hits |= {self.accuracy["paper"]: self._as(tokens, self.target)}
        return hits | {rule: self._as(tokens, answer) for rule, answer in self.rivals.items()}

    def _as(self, tokens: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Whether outputs [R, N, M] are these answers [N, M] in what is scored, bool [R, N]."""
        return ((tokens == answers) | ~self.counts).all(-1)
