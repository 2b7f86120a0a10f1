"""Tense-Inflection: repeat a sentence in the past tense, or put all its verbs into the present.

Line: `PAST_SENTENCE . PAST PAST_SENTENCE .` or `PAST_SENTENCE . PRESENT PRESENT_SENTENCE .`. In train and
val of the PRESENT lines the main subject and the last noun before the main verb have the same number; in
gen they differ. Source: paper, section 3; DEVIATIONS.md, D7 and D8 (the released grammar with a quarter
instead of half of the main verb phrases without object).
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from grokkit.data import english, official
from grokkit.data.corpus import (
    Corpus,
    Split,
    Task,
    Tree,
    Vocabulary,
    bare_words,
    coins,
    random_stream,
    split_sizes,
)
from grokkit.data.grammar import Construction, Grammar, leaves
from grokkit.errors import GrokkitError

SIZES = {"train": 100_000, "val": 1_000, "gen": 10_000}  # paper, Table 1
LABELS = ("PRESENT", "PAST")
SUBJECT = {"none": 3, "pp": 3, "rci": 1, "rco": 1, "rct": 1}
OBJECT = {"none": 3, "pp": 3, "rci": 1, "rco": 1, "rct": 1}
INTRANSITIVE_SHARE = 1 / 4  # the released grammar file says 1/2

# past form -> present forms
PRESENT = {past: {"sg": base + "s", "pl": base} for base, past in (english.INTRANSITIVE | english.TRANSITIVE).items()}


def make_grammar(intransitive: float = INTRANSITIVE_SHARE) -> Grammar:
    """The grammar of the past-tense sentences (start symbol S, no final punctuation).

    intransitive: probability that the main verb has no object. A verb's symbol ends in the number of its
    subject.
    """
    total = sum(OBJECT.values())
    predicate = {m: (1 - intransitive) * weight / total for m, weight in OBJECT.items()}
    predicate["intr"] = intransitive
    rules = english.rules(SUBJECT, predicate, auxiliaries=False)
    for number in english.NUMBERS:
        rules[f"V_i.{number}"] = [(1, (past,)) for past in english.INTRANSITIVE.values()]
        rules[f"V_t.{number}"] = [(1, (past,)) for past in english.TRANSITIVE.values()]
    return Grammar("S", rules)


GRAMMAR = make_grammar()
SOURCES = english.Sources(GRAMMAR, LABELS)
VOCABULARY = Vocabulary(
    [*GRAMMAR.words, *(form for forms in PRESENT.values() for form in forms.values()), *LABELS, "."]
)


def _numbers(construction: Construction) -> dict[int, str]:
    """Position -> number that it is to agree in, for the verbs of a construction."""
    return {i: slot[-2:] for i, slot in enumerate(construction.slots) if slot.startswith("V_")}


def _has_distractor(construction: Construction) -> bool:
    """Whether the last noun before the main verb differs in number from the main subject's head."""
    nouns = [leaf for leaf in leaves(construction.derivation[1]) if leaf.startswith("Noun")]
    return nouns[0] != nouns[-1]


@cache
def _agreement() -> tuple[dict[int, str], ...]:
    return tuple(_numbers(c) for c in GRAMMAR.constructions)


def generate(seed: int = 0, sizes: Mapping[str, int] | None = None) -> Corpus:
    """Train, val and gen from a seed; `sizes` are numbers of lines, by default those of Table 1.

    No sentence occurs twice in the corpus, whatever its label. The recipe also sets lines aside for an
    in-domain test split, one for ten of train, which the paper does not use; they are drawn and left out.
    """
    n = split_sizes(sizes, SIZES)
    distractor = [_has_distractor(c) for c in GRAMMAR.constructions]
    agreement = _agreement()
    presents = coins(random_stream(seed, "tense labels"))
    set_aside = coins(random_stream(seed, "tense test"))
    sentences = GRAMMAR.stream(random_stream(seed, "tense sentences"))
    train, val, gen = [], [], []
    test = round(n["train"] / 10)
    seen: set[str] = set()
    while len(train) < n["train"] or len(val) < n["val"] or len(gen) < n["gen"]:
        kind, words = next(sentences)
        sentence = " ".join(words)
        if sentence in seen:
            continue
        seen.add(sentence)
        present = next(presents)
        if present and distractor[kind]:
            place = gen if len(gen) < n["gen"] else None
        elif test and next(set_aside):
            test, place = test - 1, None
        elif len(train) < n["train"]:
            place = train
        else:
            place = val if len(val) < n["val"] else None
        if place is not None:
            source = f"{sentence} ."
            target = _inflected(words, agreement[kind]) if present else source
            place.append((source, "PRESENT" if present else "PAST", target))
    splits = {"train": Split.of_pairs(train), "val": Split.of_pairs(val), "gen": Split.of_pairs(gen)}
    return Corpus("tense", VOCABULARY, "generated", splits)


def _inflected(words: list[str], numbers: Mapping[int, str]) -> str:
    """The present-tense sentence whose verb at each position of `numbers` has that number."""
    words = list(words)
    for position, number in numbers.items():
        words[position] = PRESENT[words[position]][number]
    return " ".join([*words, "."])


def gold_tree(source: str) -> Tree:
    """The syntax tree of a past-tense sentence.

    >>> gold_tree("the newt who the yak high_fived changed .")
    ((('the', 'newt'), ('who', (('the', 'yak'), 'high_fived'))), 'changed')
    """
    return SOURCES.tree(source)


def main_verb(source: str) -> int:
    """Position (0-based, in words) of the main verb."""
    return SOURCES.subject_lengths[SOURCES.construction(source)]


def constructions(source: str) -> tuple[str, str]:
    """Modifier of the main subject, and "intr" or the modifier of the main object, as grokkit.data.english
    names them.

    >>> constructions("my quail upon my peacocks remembered her unicorns .")
    ('pp', 'none')
    """
    return SOURCES.modifiers[SOURCES.construction(source)]


def _rule(numbers: Callable[[list[str]], Mapping[int, str]]) -> Callable[[str], str]:
    """A rule from a function that gives each verb's number; a `PAST` line is copied."""

    def rule(source: str) -> str:
        words, label = bare_words(source, LABELS)
        return " ".join([*words, "."]) if label == "PAST" else _inflected(words, numbers(words))

    return rule


def _verbs(words: list[str]) -> list[int]:
    return [i for i, word in enumerate(words) if word in PRESENT]


def _nearest_noun(words: list[str]) -> dict[int, str]:
    numbers, last = {}, None
    for i, word in enumerate(words):
        last = english.NOUN_NUMBER.get(word, last)
        if word in PRESENT:
            numbers[i] = _known(last, words)
    return numbers


def _first_noun(words: list[str]) -> dict[int, str]:
    first = next((english.NOUN_NUMBER[word] for word in words if word in english.NOUN_NUMBER), None)
    return dict.fromkeys(_verbs(words), _known(first, words))


def _known(number: str | None, words: list[str]) -> str:
    if number is None:
        raise GrokkitError(f"no noun before a verb of this sentence: {' '.join(words)!r}")
    return number


RULES = {
    "hierarchical": _rule(lambda words: _agreement()[GRAMMAR.construction_of(words)]),
    "linear": _rule(_nearest_noun),
    "copy": _rule(lambda words: {}),
    "first_noun": _rule(_first_noun),
    "always_singular": _rule(lambda words: dict.fromkeys(_verbs(words), "sg")),
}


def read(folder: str | Path | None = None, verify: bool = True) -> Corpus:
    """The released files tense.train, .dev ("val"), .gen and .test in `folder` (default: the cache)."""
    return official.read_pairs("tense", VOCABULARY, LABELS, SOURCES.construction, folder, verify)


TASK = Task("tense", VOCABULARY, SIZES, generate, read, gold_tree, RULES)
