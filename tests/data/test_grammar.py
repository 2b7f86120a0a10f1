"""Grammars: the sampler, the parser; the fragment of English against the released files."""

import ast
import re
from collections import Counter, defaultdict

import pytest
from plain_grammar import read_grammar, sample
from scipy.stats import chisquare
from shared import shared_path

from grokkit.data import TASKS, question, tense
from grokkit.data.corpus import random_stream
from grokkit.data.grammar import Grammar, binary_tree
from grokkit.data.tree import leaves, spans
from grokkit.errors import GrokkitError

P_BOUND = 0.001  # a true hypothesis is rejected in one of a thousand tests; seeds are fixed

TOY = Grammar(
    "ROOT",
    {  # weights need not sum to one
        "ROOT": [(1, ("S", "."))],
        "S": [(3, ("N", "V")), (1, ("N", "V", "N"))],
        "N": [(2, ("cats",)), (1, ("dogs",))],
        "V": [(5, ("like",))],
    },
)


def test_constructions_have_the_products_of_the_rules_probabilities():
    found = {c.slots: c.probability for c in TOY.constructions}
    assert found == pytest.approx({("N", "V", "."): 3 / 4, ("N", "V", "N", "."): 1 / 4})


def test_the_stream_draws_sentences_with_their_probabilities():
    count, stream = 20_000, TOY.stream(random_stream(0, "test"))
    drawn = Counter(" ".join(next(stream)[1]) for _ in range(count))
    noun = {"cats": 2 / 3, "dogs": 1 / 3}
    expected = {f"{n} like .": 3 / 4 * noun[n] for n in noun}
    expected |= {f"{n} like {m} .": 1 / 4 * noun[n] * noun[m] for n in noun for m in noun}
    assert set(drawn) == set(expected)
    assert chisquare([drawn[s] for s in expected], [count * p for p in expected.values()]).pvalue > P_BOUND


AMBIGUOUS = Grammar(
    "ROOT", {"ROOT": [(1, ("L", "c")), (1, ("a", "R"))], "L": [(1, ("a", "b"))], "R": [(1, ("b", "c"))]}
)


@pytest.mark.parametrize(
    ("parse", "sentence", "message"),
    [
        (TOY.parse, "cats like gnus .", "no word 'gnus'"),
        (TOY.parse, "cats cats .", "cannot parse"),
        (TOY.parse, "", "cannot parse"),
        (AMBIGUOUS.parse, "a b c", "more than one way"),
        (question.IN_DOMAIN.parse, "the newt do sleep", "cannot parse"),
        (question.IN_DOMAIN.parse, "the newt sleep", "cannot parse"),
        (question.IN_DOMAIN.parse, "the newt near my yaks don't sleep", "cannot parse"),
        (question.IN_DOMAIN.parse, "the newt who does does sleep", "cannot parse"),
    ],
)
def test_what_cannot_be_parsed_is_refused(parse, sentence, message):
    with pytest.raises(GrokkitError, match=message):
        parse(sentence.split())


@pytest.mark.parametrize("grammar", [question.IN_DOMAIN, question.RELEASED, tense.GRAMMAR])
def test_parsing_gives_back_the_derivation_and_its_binary_tree(grammar):
    rng = random_stream(0, "derivations")
    for _ in range(1000):
        derivation = sample(grammar, rng)
        tree = binary_tree(derivation)
        assert grammar.parse(leaves(tree)) == derivation
        assert len(spans(tree)) == len(leaves(tree)) - 1  # binary: it could have no more nodes
    stream = grammar.stream(rng)
    for _ in range(1000):
        kind, words = next(stream)
        assert grammar.construction_of(words) == kind


GOLD = [
    ("question", "(((our raven) (near (some yaks))) (doesn't (admire (my newt))))"),
    ("question", "((the zebra) (does (admire ((the newt) (who ((the yak) (does high_five)))))))"),
    ("question", "(((the zebras) (that (don't (accept (her walrus))))) (do read))"),
    ("tense", "(((the newt) (who ((the yak) high_fived))) (admired ((my zebra) (by (our quails)))))"),
]


@pytest.mark.parametrize(("task", "text"), GOLD)
def test_gold_trees_by_hand(task, text):
    tree = ast.literal_eval(re.sub(r"[\w']+", lambda word: repr(word[0]), text).replace(" ", ", "))
    assert TASKS[task].gold_tree(re.sub("[()]", "", text) + " .") == tree


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
