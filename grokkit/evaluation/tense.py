"""Tense-Inflection: what the sentence that a model decodes after `PRESENT` or `PAST` gets right.

Measures, as shares of the lines of a split (val: PRESENT and PAST lines, gen: PRESENT lines only):

===========================  =================================================================================
main_verb_pos                the output has the target's parts of speech and its main verb (published metric).
                             Parts of speech are determiner, noun, verb, preposition, relative pronoun,
                             whatever their number or tense; the full stop at the end may be there or not
main_verb                    the word at the place of the main verb is the target's, whatever stands around it
                             (paper, Section 3)
full_sentence                the whole output is the target, EOS included
accuracy_present, _past      val: the accuracy on lines of one label
linear_rule                  gen: main_verb_pos with the linear rule's sentence (nearest noun) as the target
first_noun                   gen: the same for agreement with the first noun, a rule that solves gen too
always_singular              gen: the same for every verb in the singular
accuracy_pp, _rco, _rct      gen: the accuracy by the modifier of the subject
===========================  =================================================================================
"""

import numpy as np

from grokkit.data import TASKS, Split, Vocabulary, english
from grokkit.data.tense import LABELS, PRESENT, constructions, main_verb
from grokkit.evaluation.decoding import Prompts, pad
from grokkit.evaluation.metrics import Items

OTHER_RULES = {"linear_rule": "linear", "first_noun": "first_noun", "always_singular": "always_singular"}
DISTRACTORS = ("pp", "rco", "rct")  # what on the subject can bring in another noun before the main verb


def part_of_speech(vocab: Vocabulary) -> np.ndarray:
    """Part of speech of each of the V + 2 classes, int64; 0 for all that is no word of a sentence."""
    verbs = (*PRESENT, *(form for forms in PRESENT.values() for form in forms.values()))
    groups = english.DETERMINERS, tuple(english.NOUN_NUMBER), english.PREPOSITIONS, english.RELATIVES, verbs
    tags = np.zeros(vocab.classes, dtype=np.int64)
    for tag, words in enumerate(groups, start=1):
        tags[[vocab.index[word] for word in words]] = tag
    return tags


class TenseItems(Items):
    """The lines of a split. contrast: measure what tells the rules apart too (for gen).

    target: int64 [N, M], the sentences to decode with EOS, then 0. main_verb: int64 [N], where the main verb
    stands in them. rule_verbs: rule -> int64 [N], the main verb that it asks for.
    """

    accuracy = {"published": "main_verb_pos", "paper": "main_verb"}

    def __init__(self, split: Split, vocab: Vocabulary, device="cpu", contrast: bool = False):
        inputs = [f"{source} {label}" for source, label in zip(split.sources, split.labels)]
        outputs = [[*vocab.encode(target), vocab.eos] for target in split.targets]
        prompts = [[vocab.bos, *vocab.encode(text)] for text in inputs]
        self.prompts = Prompts(prompts, [len(output) for output in outputs], device, expected=outputs)
        self.target = pad(outputs).numpy()
        self.lengths = np.array([len(output) - 2 for output in outputs], dtype=np.int64)  # no stop, no EOS
        self.tags, self.stop, self.eos = part_of_speech(vocab), vocab.index["."], vocab.eos
        self.main_verb = np.array([main_verb(source) for source in split.sources], dtype=np.int64)
        self.rule_verbs: dict[str, np.ndarray] = {}
        if contrast:
            modifiers = np.array([constructions(source)[0] for source in split.sources])
            self.among = {f"accuracy_{kind}": modifiers == kind for kind in DISTRACTORS}
            for name, rule in OTHER_RULES.items():
                answers = [TASKS["tense"].rules[rule](text).split() for text in inputs]
                verbs = [vocab.index[answer[place]] for answer, place in zip(answers, self.main_verb)]
                self.rule_verbs[name] = np.array(verbs, dtype=np.int64)
        else:
            labels = np.array(split.labels)
            self.among = {f"accuracy_{label.lower()}": labels == label for label in LABELS}

    def hits(self, stack) -> dict[str, np.ndarray]:
        """Name of a measure -> bool [R, N]."""
        tokens = self.prompts.decode(stack)[0].cpu().numpy()
        items = np.arange(len(self))
        verb, right = tokens[:, items, self.main_verb], self.target[items, self.main_verb]
        same_pos = self.same_parts_of_speech(tokens)
        return {
            "main_verb_pos": same_pos & (verb == right),
            "main_verb": verb == right,
            "full_sentence": (tokens == self.target).all(-1),
        } | {name: same_pos & (verb == other) for name, other in self.rule_verbs.items()}

    def same_parts_of_speech(self, tokens: np.ndarray) -> np.ndarray:
        """Whether outputs int64 [R, N, M] have the target's parts of speech, bool [R, N].

        The released code strips one full stop from output and target before it compares them.
        """
        inside = np.arange(tokens.shape[-1]) < self.lengths[:, None]  # [N, M]
        same = ((self.tags[tokens] == self.tags[self.target]) | ~inside).all(-1)
        items = np.arange(len(self))
        after, last = tokens[:, items, self.lengths], tokens[:, items, self.lengths + 1]
        return same & ((after == self.eos) | (after == self.stop) & (last == self.eos))
