"""Tense-Inflection: repeat a sentence in the past tense, or put all its verbs into the present.

Line: `PAST_SENTENCE . PAST PAST_SENTENCE .` or `PAST_SENTENCE . PRESENT PRESENT_SENTENCE .`. In train and
val of the PRESENT lines the main subject and the last noun before the main verb have the same number; in
gen they differ. Source: paper, section 3; DEVIATIONS.md, D7 and D8 (the released grammar with a quarter
instead of half of the main verb phrases without object).
"""

from collections.abc import Mapping
from functools import cache, partial

from grokkit.data import english
from grokkit.data.corpus import Corpus, Split, Task, Vocabulary, coins, random_stream, split_sizes
from grokkit.data.grammar import Grammar
from grokkit.errors import GrokkitError

SIZES = {"train": 100_000, "val": 1_000, "gen": 10_000}  # paper, Table 1
LABELS = ("PRESENT", "PAST")
MODIFIERS = {"none": 3, "pp": 3, "rci": 1, "rco": 1, "rct": 1}  # weights, of the subject's and of the object's
INTRANSITIVE_SHARE = 1 / 4  # the released grammar file says 1/2

# past form -> present forms
PRESENT = {past: {"sg": base + "s", "pl": base} for base, past in (english.INTRANSITIVE | english.TRANSITIVE).items()}


def make_grammar(intransitive: float = INTRANSITIVE_SHARE) -> Grammar:
    """The grammar of the past-tense sentences (start symbol S, no final punctuation).

    intransitive: probability that the main verb has no object. A verb's symbol ends in its subject's number.
    """
    total = sum(MODIFIERS.values())
    predicate = {m: (1 - intransitive) * weight / total for m, weight in MODIFIERS.items()}
    rules = english.rules(MODIFIERS, predicate | {"intr": intransitive}, auxiliaries=False)
    for number in english.NUMBERS:
        rules[f"V_i.{number}"] = [(1, (past,)) for past in english.INTRANSITIVE.values()]
        rules[f"V_t.{number}"] = [(1, (past,)) for past in english.TRANSITIVE.values()]
    return Grammar("S", rules)


GRAMMAR = make_grammar()
SOURCES = english.Sources(GRAMMAR, LABELS)
VOCABULARY = Vocabulary(
    [*GRAMMAR.words, *(form for forms in PRESENT.values() for form in forms.values()), *LABELS, "."]
)
main_verb = SOURCES.subject_length  # position, from 0, in words
constructions = SOURCES.modifiers_of


@cache
def _agreement() -> tuple[dict[int, str], ...]:
    """For each construction: position -> number that the verb there is to agree in."""
    return tuple(
        {i: slot[-2:] for i, slot in enumerate(c.slots) if slot.startswith("V_")} for c in GRAMMAR.constructions
    )


def generate(seed: int = 0, sizes: Mapping[str, int] | None = None) -> Corpus:
    """Train, val and gen from a seed; `sizes` are numbers of lines, by default those of Table 1.

    No sentence occurs twice in the corpus, whatever its label. The recipe also sets lines aside for an
    in-domain test split, one for ten of train, which the paper does not use; they are drawn and left out.
    """
    n = split_sizes(sizes, SIZES)
    subjects = [c.slots[:length] for c, length in zip(GRAMMAR.constructions, SOURCES.subject_lengths)]
    nouns = [[slot for slot in subject if slot.startswith("Noun")] for subject in subjects]  # the first is the head
    presents = coins(random_stream(seed, "tense labels"))
    set_aside = coins(random_stream(seed, "tense test"))
    sentences = GRAMMAR.stream(random_stream(seed, "tense sentences"))
    pairs: dict[str, list[tuple[str, str, str]]] = {"train": [], "val": [], "gen": []}
    missing = dict(n, test=round(n["train"] / 10))
    seen: set[str] = set()
    while any(missing[split] for split in pairs):
        construction, words = next(sentences)
        sentence = " ".join(words)
        if sentence in seen:
            continue
        seen.add(sentence)
        present = next(presents)
        if present and nouns[construction][0] != nouns[construction][-1]:
            split = "gen"
        elif missing["test"] and next(set_aside):
            split = "test"
        else:
            split = "train" if missing["train"] else "val"
        if not missing[split]:
            continue
        missing[split] -= 1
        if split in pairs:
            source = f"{sentence} ."
            target = _inflected(words, _agreement()[construction]) if present else source
            pairs[split].append((source, "PRESENT" if present else "PAST", target))
    splits = {split: Split.of_pairs(lines) for split, lines in pairs.items()}
    return Corpus("tense", VOCABULARY, "generated", splits)


def _inflected(words: list[str], numbers: Mapping[int, str | None]) -> str:
    """The present-tense sentence whose verb at each position of `numbers` has that number; it must be known."""
    words = list(words)
    for position, number in numbers.items():
        if number is None:
            raise GrokkitError(f"no noun before a verb of this sentence: {' '.join(words)!r}")
        words[position] = PRESENT[words[position]][number]
    return " ".join([*words, "."])


def _verbs(words: list[str]) -> list[int]:
    return [i for i, word in enumerate(words) if word in PRESENT]


def _nearest_noun(words: list[str]) -> dict[int, str | None]:
    last, found = None, {}
    for i, word in enumerate(words):
        last = english.NOUN_NUMBER.get(word, last)
        if word in PRESENT:
            found[i] = last
    return found


def _first_noun(words: list[str]) -> dict[int, str | None]:
    numbers = [english.NOUN_NUMBER[word] for word in words if word in english.NOUN_NUMBER]
    return dict.fromkeys(_verbs(words), numbers[0] if numbers else None)


RULES = {
    "hierarchical": SOURCES.rule(lambda words: _inflected(words, _agreement()[GRAMMAR.construction_of(words)])),
    "linear": SOURCES.rule(lambda words: _inflected(words, _nearest_noun(words))),
    "copy": SOURCES.rule(lambda words: _inflected(words, {})),
    "first_noun": SOURCES.rule(lambda words: _inflected(words, _first_noun(words))),
    "always_singular": SOURCES.rule(lambda words: _inflected(words, dict.fromkeys(_verbs(words), "sg"))),
}
TASK = Task(
    "tense", VOCABULARY, SIZES, generate, partial(SOURCES.read, "tense", VOCABULARY), SOURCES.tree, RULES, LABELS
)
