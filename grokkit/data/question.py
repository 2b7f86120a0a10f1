"""Question-Formation: turn a declarative sentence into a yes/no question, or copy it.

Line: `SENTENCE . decl SENTENCE .` or `SENTENCE . quest AUX REST ?`. Questions whose subject carries a
relative clause are withheld from train and val; the gen split has nothing else. Source: paper, section 3;
DEVIATIONS.md, D2 to D6 (the weights below reproduce the released sentences; the released grammar fits the
gen split only).
"""

from collections.abc import Iterator, Mapping
from functools import partial

from grokkit.data import english
from grokkit.data.corpus import Corpus, Split, Task, Vocabulary, coins, random_stream, split_sizes
from grokkit.data.grammar import Grammar
from grokkit.errors import GrokkitError

SIZES = {"train": 100_000, "val": 1_000, "gen": 10_000}  # paper, Table 1
LABELS = ("quest", "decl")
AUXILIARIES = {"does": "sg", "doesn't": "sg", "do": "pl", "don't": "pl"}


def make_grammar(subject: Mapping[str, float], predicate: Mapping[str, float]) -> Grammar:
    """The grammar of the declarative sentences (start symbol S, no final punctuation) with these weights."""
    rules = english.rules(subject, predicate, auxiliaries=True)
    for number in english.NUMBERS:
        rules[f"Aux.{number}"] = [(1, (word,)) for word, n in AUXILIARIES.items() if n == number]
    rules["V_i"] = [(1, (word,)) for word in english.INTRANSITIVE]
    rules["V_t"] = [(1, (word,)) for word in english.TRANSITIVE]
    return Grammar("S", rules)


IN_DOMAIN = make_grammar(
    subject={"none": 5, "pp": 2, "rci": 0.694, "rco": 1.389, "rct": 0.694},
    predicate={"intr": 3, "none": 3, "pp": 3, "rci": 2, "rco": 1, "rct": 1},
)
RELEASED = make_grammar(  # the same constructions in the same order, with the weights of the released grammar file
    subject={"none": 3, "pp": 3, "rci": 1, "rco": 1, "rct": 1},
    predicate={"intr": 9, "none": 3, "pp": 3, "rci": 1, "rco": 1, "rct": 1},
)
SOURCES = english.Sources(IN_DOMAIN, LABELS)
VOCABULARY = Vocabulary([*IN_DOMAIN.words, *LABELS, ".", "?"])
main_auxiliary = SOURCES.subject_length  # position, from 0, in words
constructions = SOURCES.modifiers_of


def generate(seed: int = 0, sizes: Mapping[str, int] | None = None) -> Corpus:
    """Train, val and gen from a seed; `sizes` are numbers of lines, by default those of Table 1.

    Of one seed, a smaller train split is the beginning of a larger one. Val follows train in the stream and
    repeats no line of it; gen is drawn from a stream of its own.
    """
    n = split_sizes(sizes, SIZES)
    stream = _in_domain_stream(seed)
    splits = {split: Split.of_pairs([next(stream) for _ in range(n[split])]) for split in ("train", "val")}
    splits["gen"] = Split.of_pairs(_generalization(seed, n["gen"]))
    return Corpus("question", VOCABULARY, "generated", splits)


def _in_domain_stream(seed: int) -> Iterator[tuple[str, str, str]]:
    """Lines of train and val: no question with a relative clause on its subject, no line twice."""
    asks = coins(random_stream(seed, "question in-domain labels"))
    seen: tuple[set[str], set[str]] = (set(), set())
    for construction, words in IN_DOMAIN.stream(random_stream(seed, "question in-domain sentences")):
        ask = next(asks)
        sentence = " ".join(words)
        if sentence in seen[ask] or ask and SOURCES.modifiers[construction][0] in english.RELATIVE_CLAUSES:
            continue
        seen[ask].add(sentence)
        yield _line(sentence, words, SOURCES.subject_lengths[construction], ask)


def _generalization(seed: int, size: int) -> list[tuple[str, str, str]]:
    """Questions with a relative clause on the subject and two auxiliaries of one number and different form.

    One third of them are object relative clauses (rco): released 3,333 of 10,000.
    """
    auxiliaries = [[slot for slot in c.slots if slot.startswith("Aux")] for c in RELEASED.constructions]
    two_of_one_number = [len(found) == 2 and len(set(found)) == 1 for found in auxiliaries]
    missing = {True: round(size / 3), False: size - round(size / 3)}  # object relative clauses, the others
    asks = coins(random_stream(seed, "question generalization labels"))
    sentences = RELEASED.stream(random_stream(seed, "question generalization sentences"))
    seen: set[str] = set()
    lines: list[tuple[str, str, str]] = []
    while len(lines) < size:
        construction, words = next(sentences)
        sentence = " ".join(words)
        subject = SOURCES.modifiers[construction][0]
        if subject not in english.RELATIVE_CLAUSES or not two_of_one_number[construction] or sentence in seen:
            continue
        seen.add(sentence)
        if not next(asks) or len({word for word in words if word in AUXILIARIES}) != 2:
            continue
        if missing[subject == "rco"]:
            missing[subject == "rco"] -= 1
            lines.append(_line(sentence, words, SOURCES.subject_lengths[construction], ask=True))
    return lines


def _line(sentence: str, words: list[str], main: int, ask: bool) -> tuple[str, str, str]:
    source = f"{sentence} ."
    return (source, "quest", _fronted(words, main)) if ask else (source, "decl", source)


def _fronted(words: list[str], position: int) -> str:
    """The question that begins with the auxiliary at `position`."""
    return " ".join([words[position], *words[:position], *words[position + 1 :], "?"])


def auxiliary_positions(words: list[str]) -> list[int]:
    """Positions of the auxiliaries. GrokkitError if there is none."""
    found = [i for i, word in enumerate(words) if word in AUXILIARIES]
    if not found:
        raise GrokkitError(f"no auxiliary in this sentence: {' '.join(words)!r}")
    return found


RULES = {  # which auxiliary is moved to the front
    "hierarchical": SOURCES.rule(
        lambda words: _fronted(words, SOURCES.subject_lengths[IN_DOMAIN.construction_of(words)])
    ),
    "linear": SOURCES.rule(lambda words: _fronted(words, auxiliary_positions(words)[0])),
    "last_auxiliary": SOURCES.rule(lambda words: _fronted(words, auxiliary_positions(words)[-1])),
}
TASK = Task(
    "question", VOCABULARY, SIZES, generate, partial(SOURCES.read, "question", VOCABULARY), SOURCES.tree, RULES, LABELS
)
