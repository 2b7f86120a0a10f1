"""Question-Formation: what the question that a model decodes after `quest` gets right.

Measures, as shares of the quest lines of a split:

=============================  ===============================================================================
first_auxiliary                the best of do, does, don't, doesn't right after `quest` is the main auxiliary
                               (published metric)
first_word                     the first word of the greedily decoded question is the target's (paper,
                               Section 3)
full_sentence                  the whole decoded question is the target, EOS included
last_auxiliary                 the best of the four is the source's last auxiliary: a rule that solves gen too
linear_rule                    the whole decoded question is the linear rule's (front the first auxiliary)
prefix_<p>_delete_<d>          the decoded question begins with the form of auxiliary p and goes on like the
                               source without auxiliary d. p: "main", "first" (of the source, its form not the
                               main one's), "other" (anything else); d: "main", "first", "none".
                               Source: Crain and Nakayama (1987); McCoy et al. (2020), for neural models
other_output                   outputs in none of these nine categories
accuracy_rci, _rco, _rct       the accuracy by the kind of relative clause on the subject
=============================  ===============================================================================

The last four rows are measured where the two rules differ, on gen. There prefix_main_delete_main is
full_sentence and prefix_first_delete_first is linear_rule.
"""

import numpy as np

from grokkit.data import Split, Vocabulary
from grokkit.data.english import RELATIVE_CLAUSES
from grokkit.data.question import AUXILIARIES, auxiliary_positions, main_auxiliary, relative_clause_type
from grokkit.evaluation.decoding import ANY, Prompts, pad
from grokkit.evaluation.shares import share

ACCURACY = {"published": "first_auxiliary", "paper": "first_word"}


class QuestionItems:
    """The quest lines of a split, ready to be put to stacks again and again.

    contrast: measure what tells the rules apart too (for gen).
    """

    def __init__(self, split: Split, vocab: Vocabulary, device="cpu", contrast: bool = False):
        items = [
            (source, target)
            for source, label, target in zip(split.sources, split.labels, split.targets)
            if label == "quest"
        ]
        self.contrast = contrast
        self.auxiliaries = [vocab.index[word] for word in AUXILIARIES]
        outputs, last = [], []
        variants: dict[str, list[list[int]]] = {"main": [], "first": [], "none": []}
        forms: dict[str, list[int]] = {"main": [], "first": []}
        kinds = []
        for source, target in items:
            words = vocab.encode(source)[:-1]  # without the full stop
            positions = auxiliary_positions(source.split())
            removed = {"first": positions[0]}
            outputs.append([*vocab.encode(target), vocab.eos])
            last.append(words[positions[-1]])
            if contrast:
                removed["main"] = main_auxiliary(source)
                kinds.append(relative_clause_type(source))
                ending = [vocab.index["?"], vocab.eos]
                for name, at in removed.items():
                    forms[name].append(words[at])
                    variants[name].append([*words[:at], *words[at + 1 :], *ending])
                variants["none"].append([*words, *ending])
        # one token more than the target needs, so that an output without deletion is seen whole
        prompts = [[vocab.bos, *vocab.encode(f"{source} quest")] for source, _ in items]
        # no measure tells outputs apart that are none of these
        followed = (
            [[[ANY, *tail] for tail in tails] for tails in zip(*variants.values())]
            if contrast
            else [[output] for output in outputs]
        )
        self.prompts = Prompts(
            prompts, [len(output) + 1 for output in outputs], device, expected=outputs, followed=followed
        )
        width = max(map(len, outputs), default=0) + 1
        self.target = pad(outputs, width=width).numpy()
        self.last = np.array(last, dtype=np.int64)
        self.tails = {name: pad(rows, width=width - 1).numpy() for name, rows in variants.items() if contrast}
        self.forms = {name: np.array(row, dtype=np.int64) for name, row in forms.items()}
        self.kinds = np.array(kinds)

    def __len__(self) -> int:
        return len(self.target)

    def counted(self, metric: str) -> int:
        """How many items the accuracy is a share of."""
        return len(self)

    def measure(self, stack, metric: str) -> dict[str, np.ndarray]:
        """Name of the measure -> float64 [R]; "accuracy" is the one that `metric` names."""
        tokens, chosen = (x.cpu().numpy() for x in self.prompts.decode(stack, self.auxiliaries))
        hits = {
            "first_auxiliary": chosen == self.target[:, 0],
            "first_word": tokens[..., 0] == self.target[:, 0],
            "full_sentence": (tokens == self.target).all(-1),
            "last_auxiliary": chosen == self.last,
        }
        correct = hits[ACCURACY[metric]]
        shares = {"accuracy": share(correct)} | {name: share(hit) for name, hit in hits.items()}
        if self.contrast:
            shares |= self._categories(tokens)
            for kind in RELATIVE_CLAUSES:
                shares[f"accuracy_{kind}"] = share(correct, self.kinds == kind)
        return shares

    def _categories(self, tokens: np.ndarray) -> dict[str, np.ndarray]:
        """What was fronted and what was deleted, from outputs int64 [R, N, M]."""
        main = tokens[..., 0] == self.forms["main"]
        first = (tokens[..., 0] == self.forms["first"]) & ~main
        begins = {"main": main, "first": first, "other": ~main & ~first}
        goes_on = {name: (tokens[..., 1:] == tail).all(-1) for name, tail in self.tails.items()}
        shares = {
            f"prefix_{prefix}_delete_{deleted}": share(begin & rest)
            for prefix, begin in begins.items()
            for deleted, rest in goes_on.items()
        }
        linear = (tokens[..., 0] == self.forms["first"]) & goes_on["first"]
        seen = goes_on["main"] | goes_on["first"] | goes_on["none"]
        return {"linear_rule": share(linear)} | shares | {"other_output": share(~seen)}
