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
from grokkit.data.question import AUXILIARIES, auxiliary_positions, constructions, main_auxiliary
from grokkit.evaluation.decoding import ANY, Prompts, pad
from grokkit.evaluation.metrics import Items


class QuestionItems(Items):
    """The quest lines of a split. contrast: measure what tells the rules apart too (for gen).

    target: int64 [N, M], the questions to decode with EOS, then 0. forms: "main" and "first" -> int64 [N], that
    auxiliary; tails: "main", "first" and "none" -> int64 [N, M - 1], a question without that auxiliary, from its
    second word on. M leaves room for one token more than a target has.
    """

    accuracy = {"published": "first_auxiliary", "paper": "first_word"}

    def __init__(self, split: Split, vocab: Vocabulary, device="cpu", contrast: bool = False):
        lines = zip(split.sources, split.labels, split.targets)
        pairs = [(source, target) for source, label, target in lines if label == "quest"]
        sources = [source for source, _ in pairs]
        outputs = [[*vocab.encode(target), vocab.eos] for _, target in pairs]
        words = [vocab.encode(source)[:-1] for source in sources]  # without the full stop
        positions = [auxiliary_positions(source.split()) for source in sources]
        self.auxiliaries = [vocab.index[word] for word in AUXILIARIES]
        self.target = pad(outputs, width=max(map(len, outputs), default=0) + 1).numpy()
        self.last = np.array([w[at[-1]] for w, at in zip(words, positions)], dtype=np.int64)
        self.forms: dict[str, np.ndarray] = {}
        self.tails: dict[str, np.ndarray] = {}
        followed = [[output] for output in outputs]  # `hits` does not tell apart outputs that are none of these
        if contrast:
            places = {"main": [main_auxiliary(source) for source in sources], "first": [at[0] for at in positions]}
            end = [vocab.index["?"], vocab.eos]
            tails = {"main": [], "first": [], "none": [[*w, *end] for w in words]}
            for name, at in places.items():
                self.forms[name] = np.array([w[i] for w, i in zip(words, at)], dtype=np.int64)
                tails[name] = [[*w[:i], *w[i + 1 :], *end] for w, i in zip(words, at)]
            self.tails = {name: pad(rows, width=self.target.shape[1] - 1).numpy() for name, rows in tails.items()}
            followed = [[[ANY, *tail] for tail in of_item] for of_item in zip(*tails.values())]
            kinds = np.array([constructions(source)[0] for source in sources])
            self.among = {f"accuracy_{kind}": kinds == kind for kind in RELATIVE_CLAUSES}
        prompts = [[vocab.bos, *vocab.encode(f"{source} quest")] for source in sources]
        # one token more than the target needs, so that an output without deletion is seen whole
        limits = [len(output) + 1 for output in outputs]
        self.prompts = Prompts(prompts, limits, device, expected=outputs, followed=followed)

    def hits(self, stack) -> dict[str, np.ndarray]:
        """Name of a measure -> bool [R, N].

        An output is decoded only as far as it begins like the target, or on gen like one of the tails: a measure
        that asks for other outputs must add them to `followed`.
        """
        tokens, chosen = (x.cpu().numpy() for x in self.prompts.decode(stack, self.auxiliaries))
        hits = {
            "first_auxiliary": chosen == self.target[:, 0],
            "first_word": tokens[..., 0] == self.target[:, 0],
            "full_sentence": (tokens == self.target).all(-1),
            "last_auxiliary": chosen == self.last,
        }
        return hits | self._categories(tokens) if self.tails else hits

    def _categories(self, tokens: np.ndarray) -> dict[str, np.ndarray]:
        """What was fronted and what was deleted, from outputs int64 [R, N, M]: bool [R, N] a category."""
        main, first = (tokens[..., 0] == self.forms[name] for name in ("main", "first"))
        begins = {"main": main, "first": first & ~main, "other": ~main & ~first}
        goes_on = {name: (tokens[..., 1:] == tail).all(-1) for name, tail in self.tails.items()}
        hits = {"linear_rule": first & goes_on["first"]}
        for fronted, begin in begins.items():
            hits |= {f"prefix_{fronted}_delete_{deleted}": begin & rest for deleted, rest in goes_on.items()}
        return hits | {"other_output": ~(goes_on["main"] | goes_on["first"] | goes_on["none"])}
