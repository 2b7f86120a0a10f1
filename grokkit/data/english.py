"""The fragment of English that Question-Formation and Tense-Inflection share.

Every noun phrase may carry one modifier, named as follows.

=====  ===========================================  =============================
none   bare noun phrase                             the newt
pp     prepositional phrase                         the newt near my yaks
rci    relative clause without object               the newt that does sleep
rco    relative clause, the noun is its object      the newt that my yak does admire
rct    relative clause, the noun is its subject     the newt that does admire my yak
=====  ===========================================  =============================

The rules are binary, so that a derivation is the gold tree. Source: DEVIATIONS.md, D2 to D8 and D97.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from grokkit.data import official
from grokkit.data.corpus import Corpus, Split, Vocabulary, bare_words
from grokkit.data.grammar import Derivation, Grammar, Rule, binary_tree
from grokkit.data.tree import Tree, leaves
from grokkit.errors import GrokkitError

DETERMINERS = ("the", "some", "my", "your", "our", "her")
NOUNS = (
    "newt", "orangutan", "peacock", "quail", "raven", "salamander", "tyrannosaurus", "unicorn", "vulture",
    "walrus", "xylophone", "yak", "zebra",
)  # fmt: skip
PREPOSITIONS = ("around", "near", "with", "upon", "by", "behind", "above", "below")
RELATIVES = ("who", "that")
INTRANSITIVE = {  # base form (present plural): past
    "giggle": "giggled", "smile": "smiled", "sleep": "slept", "swim": "swam", "wait": "waited",
    "move": "moved", "change": "changed", "read": "read", "eat": "ate",
}  # fmt: skip
TRANSITIVE = {
    "entertain": "entertained", "amuse": "amused", "high_five": "high_fived", "applaud": "applauded",
    "confuse": "confused", "admire": "admired", "accept": "accepted", "remember": "remembered",
    "comfort": "comforted",
}  # fmt: skip

NUMBERS = ("sg", "pl")
RELATIVE_CLAUSES = ("rci", "rco", "rct")
MODIFIERS = ("none", "pp", *RELATIVE_CLAUSES)


def plural(noun: str) -> str:
    """The plural of a noun of this fragment.

    >>> plural("newt"), plural("walrus")
    ('newts', 'walruses')
    """
    return noun + ("es" if noun.endswith("s") else "s")


NOUN_NUMBER = {**dict.fromkeys(NOUNS, "sg"), **dict.fromkeys(map(plural, NOUNS), "pl")}


def rules(subject: Mapping[str, float], predicate: Mapping[str, float], auxiliaries: bool) -> dict[str, list[Rule]]:
    """All rules but those of the verbs' words, from the weights of the choices; the start symbol is S.

    - subject: the weight of each of MODIFIERS on the main subject
    - predicate: the weight of "intr" (a verb without object), and of each of MODIFIERS on the main object
    - auxiliaries: whether auxiliaries (Aux.sg, Aux.pl) agree with the subject and stand before V_i or V_t;
      otherwise the verbs agree (V_i.sg, V_i.pl, V_t.sg, V_t.pl)

    Every number is drawn with 1/2.
    """
    table: dict[str, list[Rule]] = {"S": [(1, (f"Subject.{n}", f"Predicate.{n}")) for n in NUMBERS]}
    table["PP"] = [(1, ("Prep", f"NP+none.{n}")) for n in NUMBERS]
    table["Clause"] = [(1, (f"NP+none.{n}", f"VP_o.{n}")) for n in NUMBERS]
    table["RCo"] = [(1, ("Rel", "Clause"))]
    for modifier in MODIFIERS:
        table[f"Object+{modifier}"] = [(1, (f"NP+{modifier}.{n}",)) for n in NUMBERS]
    for n in NUMBERS:
        table[f"Subject.{n}"] = [(subject[m], (f"NP+{m}.{n}",)) for m in MODIFIERS]
        table[f"Predicate.{n}"] = [(predicate["intr"], (f"VP_i.{n}",))]
        table[f"Predicate.{n}"] += [(predicate[m], (f"VP+{m}.{n}",)) for m in MODIFIERS]
        table[f"NP+none.{n}"] = [(1, ("Det", f"Noun.{n}"))]
        table[f"NP+pp.{n}"] = [(1, (f"NP+none.{n}", "PP"))]
        table[f"NP+rci.{n}"] = [(1, (f"NP+none.{n}", f"RCi.{n}"))]
        table[f"NP+rco.{n}"] = [(1, (f"NP+none.{n}", "RCo"))]
        table[f"NP+rct.{n}"] = [(1, (f"NP+none.{n}", f"RCt.{n}"))]
        table[f"RCi.{n}"] = [(1, ("Rel", f"VP_i.{n}"))]
        table[f"RCt.{n}"] = [(1, ("Rel", f"VP+none.{n}"))]
        table |= _verb_phrases(n, auxiliaries)
    table["Det"] = [(1, (word,)) for word in DETERMINERS]
    table["Noun.sg"] = [(1, (word,)) for word in NOUNS]
    table["Noun.pl"] = [(1, (plural(word),)) for word in NOUNS]
    table["Prep"] = [(1, (word,)) for word in PREPOSITIONS]
    table["Rel"] = [(1, (word,)) for word in RELATIVES]
    return table


def _verb_phrases(n: str, auxiliaries: bool) -> dict[str, list[Rule]]:
    """Verb phrases of number n: without object (VP_i), with the object moved out (VP_o), with an object (VP+...)."""
    if not auxiliaries:
        plain: dict[str, list[Rule]] = {f"VP_i.{n}": [(1, (f"V_i.{n}",))], f"VP_o.{n}": [(1, (f"V_t.{n}",))]}
        return plain | {f"VP+{m}.{n}": [(1, (f"V_t.{n}", f"Object+{m}"))] for m in MODIFIERS}
    table: dict[str, list[Rule]] = {f"VP_i.{n}": [(1, (f"Aux.{n}", "V_i"))], f"VP_o.{n}": [(1, (f"Aux.{n}", "V_t"))]}
    for m in MODIFIERS:
        table[f"VP+{m}.{n}"] = [(1, (f"Aux.{n}", f"Bare+{m}"))]
        table[f"Bare+{m}"] = [(1, ("V_t", f"Object+{m}"))]
    return table


def modifiers(derivation: Derivation) -> tuple[str, str]:
    """Modifier of the main subject, and "intr" or the modifier of the main object."""
    # (S, (Subject.n, (NP+modifier.n, ...)), (Predicate.n, (VP_i.n or VP+modifier.n, ...)))
    noun_phrase, verb_phrase = (part[1][0].split(".")[0] for part in derivation[1:])
    return noun_phrase.split("+")[1], "intr" if verb_phrase == "VP_i" else verb_phrase.split("+")[1]


class Sources:
    """What a grammar of this fragment says about the sources of a task, with or without label and final punctuation.

    labels: the one that asks for the target, and the one that asks for a copy of the source. All methods raise
    GrokkitError for a sentence that the grammar cannot parse.
    """

    def __init__(self, grammar: Grammar, labels: tuple[str, str]) -> None:
        self.grammar, self.labels = grammar, labels

    @cached_property
    def subject_lengths(self) -> tuple[int, ...]:
        """Words of the main subject = position of the word behind it, for each construction."""
        return tuple(len(leaves(binary_tree(c.derivation[1]))) for c in self.grammar.constructions)

    @cached_property
    def modifiers(self) -> tuple[tuple[str, str], ...]:
        """Subject modifier and predicate, for each construction."""
        return tuple(modifiers(c.derivation) for c in self.grammar.constructions)

    def construction(self, source: str) -> int:
        return self.grammar.construction_of(bare_words(source, self.labels)[0])

    def tree(self, source: str) -> Tree:
        """The source's syntax tree.

        >>> from grokkit.data import TASKS
        >>> TASKS["tense"].gold_tree("the newt who the yak high_fived changed .")
        ((('the', 'newt'), ('who', (('the', 'yak'), 'high_fived'))), 'changed')
        """
        return binary_tree(self.grammar.parse(bare_words(source, self.labels)[0]))

    def subject_length(self, source: str) -> int:
        """Words of the main subject: the position (from 0, in words) of the main auxiliary or main verb."""
        return self.subject_lengths[self.construction(source)]

    def modifiers_of(self, source: str) -> tuple[str, str]:
        """Modifier of the main subject, and "intr" or the modifier of the main object: names as in the table above.

        >>> from grokkit.data import question
        >>> question.constructions("my newt who doesn't read does amuse my vulture behind her orangutans .")
        ('rci', 'pp')
        """
        return self.modifiers[self.construction(source)]

    def rule(self, answer: Callable[[list[str]], str]) -> Callable[[str], str]:
        """The rule that answers a source's words so; where the label asks for a copy, it copies them."""

        def rule(source: str) -> str:
            words, label = bare_words(source, self.labels)
            return " ".join([*words, "."]) if label == self.labels[1] else answer(words)

        return rule

    def read(self, task: str, vocab: Vocabulary, folder: str | Path | None = None, verify: bool = True) -> Corpus:
        """The released files of a task: lines `SOURCE LABEL<TAB>TARGET`.

        folder, verify, errors: see `official.read_lines`. Refused are lines that are not so, with a source that
        the grammar cannot parse, or with unknown words in the target.
        """

        def parse(line: str) -> tuple[str, str, str]:
            left, _, target = line.partition("\t")
            source, _, label = left.rstrip().rpartition(" ")
            if label not in self.labels or not source.endswith(" .") or not target.strip():
                labels = ", ".join(self.labels)
                raise GrokkitError(f"expected a sentence that ends in ' .', one of {labels}, a tab and a target")
            self.construction(source)
            vocab.encode(target)
            return source, label, target.strip()

        splits = {"train": "train", "dev": "val", "val": "val", "gen": "gen", "test": "test"}
        names = {f"{task}.{ending}": split for ending, split in splits.items()}
        pairs = official.read_lines(task, names, parse, folder, verify)
        return Corpus(task, vocab, "official", {name: Split.of_pairs(lines) for name, lines in pairs.items()})
