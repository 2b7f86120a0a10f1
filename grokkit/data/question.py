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

IN_DOMAIN_SUBJECT = {"none": 5, "pp": 2, "rci": 0.694, "rco": 1.389, "rct": 0.694}
IN_DOMAIN_PREDICATE = {"intr": 3, "none": 3, "pp": 3, "rci": 2, "rco": 1, "rct": 1}
RELEASED_SUBJECT = {"none": 3, "pp": 3, "rci": 1, "rco": 1, "rct": 1}
RELEASED_PREDICATE = {"intr": 9, "none": 3, "pp": 3, "rci": 1, "rco": 1, "rct": 1}


def make_grammar(subject: Mapping[str, float], predicate: Mapping[str, float]) -> Grammar:
    """The grammar of the declarative sentences (start symbol S, no final punctuation) with these weights."""
    rules = english.rules(subject, predicate, auxiliaries=True)
    for number in english.NUMBERS:
        rules[f"Aux.{number}"] = [(1, (word,)) for word, n in AUXILIARIES.items() if n == number]
    rules["V_i"] = [(1, (word,)) for word in english.INTRANSITIVE]
    rules["V_t"] = [(1, (word,)) for word in english.TRANSITIVE]
    return Grammar("S", rules)


IN_DOMAIN = make_grammar(IN_DOMAIN_SUBJECT, IN_DOMAIN_PREDICATE)
# The same constructions in the same order, with the weights of the released grammar file.
RELEASED = make_grammar(RELEASED_SUBJECT, RELEASED_PREDICATE)
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
    pairs = {split: [next(stream) for _ in range(n[split])] for split in ("train", "val")}
    pairs["gen"] = _generalization(seed, n["gen"])
    splits = {split: Split.of_pairs(lines) for split, lines in pairs.items()}
    return Corpus("question", VOCABULARY, "generated", splits)


def _in_domain_stream(seed: int) -> Iterator[tuple[str, str, str]]:
    """Lines of train and val: no question with a relative clause on its subject, no line twice."""
    positions = SOURCES.subject_lengths
    relative = [subject in english.RELATIVE_CLAUSES for subject, _ in SOURCES.modifiers]
    asks = coins(random_stream(seed, "question in-domain labels"))
    seen: tuple[set[str], set[str]] = (set(), set())
    for construction, words in IN_DOMAIN.stream(random_stream(seed, "question in-domain sentences")):
        ask = next(asks)
        if ask and relative[construction]:
            continue
        sentence = " ".join(words)
        if sentence in seen[ask]:
            continue
        seen[ask].add(sentence)
        yield _line(sentence, words, positions[construction], ask)


def _generalization(seed: int, size: int) -> list[tuple[str, str, str]]:
    """Questions with a relative clause on the subject and two auxiliaries of one number and different form.

    One third of them are object relative clauses (rco): released 3,333 of 10,000.
    """
    positions, subjects = SOURCES.subject_lengths, [subject for subject, _ in SOURCES.modifiers]
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
        subject = subjects[construction]
        if subject not in english.RELATIVE_CLAUSES or not two_of_one_number[construction] or sentence in seen:
            continue
        seen.add(sentence)
        if not next(asks) or len({word for word in words if word in AUXILIARIES}) != 2:
            continue
        if missing[subject == "rco"]:
            missing[subject == "rco"] -= 1
            lines.append(_line(sentence, words, positions[construction], ask=True))
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
TASK = Task("question", VOCABULARY, SIZES, generate, partial(SOURCES.read, "question", VOCABULARY), SOURCES.tree, RULES)
