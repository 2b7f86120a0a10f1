"""Grammars: the sampler, the parser; the fragment of English against the released files."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from full_corpora import same_distribution
from plain_grammar import read_grammar, sample
from scipy.stats import chisquare
from shared import shared_path

from grokkit.data import TASKS, english, question, tense
from grokkit.data.corpus import random_stream
from grokkit.data.grammar import Grammar, binary_tree
from grokkit.data.tree import leaves
from grokkit.errors import GrokkitError

P_BOUND = 0.001  # a true hypothesis is rejected in one of a thousand tests; seeds are fixed

TOY = """
# weights need not sum to one
1\tROOT\tS .
3\tS\tN V
1\tS\tN V N
2\tN\tcats
1\tN\tdogs
5\tV\tlike
"""


def toy_grammar(tmp_path, text: str = TOY) -> Grammar:
    path = tmp_path / "toy.gr"
    path.write_text(text)
    return read_grammar(path)


def test_constructions_have_the_products_of_the_rules_probabilities(tmp_path):
    found = {c.slots: c.probability for c in toy_grammar(tmp_path).constructions}
    assert found == pytest.approx({("N", "V", "."): 3 / 4, ("N", "V", "N", "."): 1 / 4})


def test_the_stream_draws_sentences_with_their_probabilities(tmp_path):
    grammar, count = toy_grammar(tmp_path), 20_000
    stream = grammar.stream(random_stream(0, "test"))
    drawn = Counter(" ".join(next(stream)[1]) for _ in range(count))
    noun = {"cats": 2 / 3, "dogs": 1 / 3}
    expected = {f"{n} like .": 3 / 4 * noun[n] for n in noun}
    expected |= {f"{n} like {m} .": 1 / 4 * noun[n] * noun[m] for n in noun for m in noun}
    assert set(drawn) == set(expected)
    assert chisquare([drawn[s] for s in expected], [count * p for p in expected.values()]).pvalue > P_BOUND


def test_stream_hands_out_only_the_constructions_asked_for_and_the_same_sentences(tmp_path):
    grammar = toy_grammar(tmp_path)
    every, some = (
        grammar.stream(random_stream(1, "test")),
        grammar.stream(random_stream(1, "test"), keep=[False, True]),
    )
    long_ones = [words for kind, words in (next(every) for _ in range(1000)) if kind == 1]
    assert [next(some)[1] for _ in long_ones] == long_ones


def test_recursive_grammars_cannot_be_listed_nor_those_without_a_start(tmp_path):
    grammar = toy_grammar(tmp_path, "3\tROOT\ta\n1\tROOT\tROOT ROOT\n")
    with pytest.raises(GrokkitError, match="recursive at 'ROOT'"):
        grammar.parse(["a"])
    with pytest.raises(GrokkitError, match="no rule for its start symbol 'ROOT'"):
        toy_grammar(tmp_path, "1\tS\tx")


@pytest.mark.parametrize(
    ("sentence", "message"),
    [("cats like gnus .", "no word 'gnus'"), ("cats cats .", "cannot parse"), ("", "cannot parse")],
)
def test_sentences_outside_the_grammar_are_refused(tmp_path, sentence, message):
    with pytest.raises(GrokkitError, match=message):
        toy_grammar(tmp_path).parse(sentence.split())


def test_sentences_with_two_trees_are_refused(tmp_path):
    grammar = toy_grammar(tmp_path, "1\tROOT\tL c\n1\tROOT\ta R\n1\tL\ta b\n1\tR\tb c\n")
    with pytest.raises(GrokkitError, match="more than one way"):
        grammar.parse(["a", "b", "c"])


@pytest.mark.parametrize(
    "sentence",
    [
        "the newt do sleep",
        "the newt sleep",
        "the newt near my yaks don't sleep .",
        "the newt who does does sleep .",
    ],
)
def test_disagreement_is_no_sentence(sentence):
    with pytest.raises(GrokkitError, match="cannot parse"):
        TASKS["question"].gold_tree(sentence)


@pytest.mark.parametrize("grammar", [question.IN_DOMAIN, question.RELEASED, tense.GRAMMAR])
def test_parsing_gives_back_the_derivation(grammar):
    rng = random_stream(0, "derivations")
    for _ in range(1000):
        derivation = sample(grammar, rng)
        assert grammar.parse(leaves(binary_tree(derivation))) == derivation
    stream = grammar.stream(rng)
    for _ in range(1000):
        kind, words = next(stream)
        assert grammar.construction_of(words) == kind


@pytest.mark.parametrize(("task", "grammar"), [("question", question.IN_DOMAIN), ("tense", tense.GRAMMAR)])
def test_gold_trees_are_the_derivations_and_binary(task, grammar):
    def is_binary(tree) -> bool:
        return isinstance(tree, str) or (len(tree) == 2 and all(map(is_binary, tree)))

    rng = random_stream(1, "derivations")
    for _ in range(500):
        derivation = sample(grammar, rng)
        tree = TASKS[task].gold_tree(" ".join(leaves(binary_tree(derivation))) + " .")
        assert tree == binary_tree(derivation) and is_binary(tree)


GOLD = {
    "question": {
        "the yak does sleep .": (("the", "yak"), ("does", "sleep")),
        "our raven near some yaks doesn't admire my newt .": (
            (("our", "raven"), ("near", ("some", "yaks"))),
            ("doesn't", ("admire", ("my", "newt"))),
        ),
        "the zebra does admire the newt who the yak does high_five .": (
            ("the", "zebra"),
            ("does", ("admire", (("the", "newt"), ("who", (("the", "yak"), ("does", "high_five")))))),
        ),
        "the zebras that don't accept her walrus do read .": (
            (("the", "zebras"), ("that", ("don't", ("accept", ("her", "walrus"))))),
            ("do", "read"),
        ),
    },
    "tense": {
        "the newt who the yak high_fived admired my zebra by our quails .": (
            (("the", "newt"), ("who", (("the", "yak"), "high_fived"))),
            ("admired", (("my", "zebra"), ("by", ("our", "quails")))),
        ),
        "the newts who changed read .": ((("the", "newts"), ("who", "changed")), "read"),
    },
}


@pytest.mark.parametrize(("task", "sentence"), [(task, s) for task in GOLD for s in GOLD[task]])
def test_gold_trees_by_hand(task, sentence):
    assert TASKS[task].gold_tree(sentence) == GOLD[task][sentence]


# The released files' names of word classes, in ours.
CLASSES = {
    "question": {"N_S": "Noun.sg", "N_P": "Noun.pl", "Aux_S": "Aux.sg", "Aux_P": "Aux.pl"}
    | {"V_intrans": "V_i", "V_trans": "V_t"},
    "tense": {"N_sg": "Noun.sg", "N_pl": "Noun.pl"}
    | {f"V_{valency}trans_{n}": f"V_{'i' if valency else 't'}.{n}" for valency in ("in", "") for n in ("sg", "pl")},
}


@pytest.mark.parametrize(
    ("task", "ours"), [("question", question.RELEASED), ("tense", tense.make_grammar(intransitive=1 / 2))]
)
def test_the_fragment_is_the_released_grammar(task, ours):
    """Every sequence of word classes is equally likely in both; so is every word within its class."""
    released = read_grammar(shared_path(f"reference/splits/{task}.gr"))
    theirs, mine = defaultdict(float), defaultdict(float)
    for c in released.constructions:
        theirs[tuple(CLASSES[task].get(slot, slot) for slot in c.slots)] += c.probability
    for c in ours.constructions:
        mine[(*c.slots, ".")] += c.probability
    assert dict(theirs) == pytest.approx(dict(mine), rel=1e-12)
    for slot, words in released.lexicon.items():
        if slot == ".":
            continue
        own = set(ours.lexicon[CLASSES[task].get(slot, slot)])
        if task == "tense" and slot.startswith("V"):
            own = {tense.PRESENT[past][slot[-2:]] for past in own}  # the file has the present tense, we the past
        assert set(words) == own
        assert list(words.values()) == pytest.approx([1 / len(words)] * len(words))


def test_the_recipes_choices_have_their_weights():
    """Modifier and predicate shares of the in-domain grammar, and the independence of both."""
    shares = defaultdict(float)
    for c in question.IN_DOMAIN.constructions:
        shares[english.modifiers(c.derivation)] += c.probability
    subject = {"none": 5, "pp": 2, "rci": 0.694, "rco": 1.389, "rct": 0.694}
    predicate = {"intr": 3, "none": 3, "pp": 3, "rci": 2, "rco": 1, "rct": 1}
    total = sum(subject.values()) * sum(predicate.values())
    assert dict(shares) == pytest.approx(
        {(s, p): subject[s] * predicate[p] / total for s in subject for p in predicate}
    )


def test_stream_and_sample_agree_on_the_english_constructions():
    grammar, count = question.IN_DOMAIN, 5000
    stream, rng = grammar.stream(random_stream(0, "bulk")), random_stream(0, "single")
    bulk = [next(stream)[0] for _ in range(count)]
    single = [grammar.construction_of(leaves(binary_tree(sample(grammar, rng)))) for _ in range(count)]
    assert same_distribution(bulk, single) > P_BOUND


def test_bulk_sampling_gives_a_row_a_sentence():
    kinds, ids = question.IN_DOMAIN.sample_bulk(random_stream(0, "shape"), 100)
    lengths = np.array([len(c.slots) for c in question.IN_DOMAIN.constructions])
    assert kinds.shape == (100,) and ids.shape == (100, lengths.max())
