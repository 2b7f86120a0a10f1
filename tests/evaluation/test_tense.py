"""Tense metrics: rules that are followed exactly, and parts of speech compared as strings."""

from itertools import product

import numpy as np
from full_corpora import official_corpus
from oracle import Oracle, small_corpus

from grokkit.data import TASKS
from grokkit.data.english import DETERMINERS, NOUN_NUMBER, PREPOSITIONS, RELATIVES
from grokkit.evaluation.tense import TenseItems, part_of_speech

VOCAB = TASKS["tense"].vocab


def test_rules_on_the_official_files():
    corpus = official_corpus("tense")
    stack = Oracle("tense", "hierarchical", "linear", "copy", "first_noun", "always_singular")
    val = TenseItems(corpus["val"], VOCAB).measure(stack, "published")
    items = TenseItems(corpus["gen"], VOCAB, contrast=True)
    gen = items.measure(stack, "published")
    for name in ("accuracy", "main_verb_pos", "main_verb"):
        assert val[name][[0, 1, 3]].tolist() == [1, 1, 1] and round(val[name][2], 3) == 0.564
        assert gen[name][[0, 1, 3]].tolist() == [1, 0, 1] and round(gen[name][4], 3) == 0.493
    assert val["accuracy_past"].tolist() == [1] * 5
    assert gen["full_sentence"][:2].tolist() == [1, 0] and gen["always_singular"][4] == 1
    assert gen["linear_rule"][[0, 1, 3]].tolist() == [0, 1, 0] and gen["first_noun"][[0, 1, 3]].tolist() == [1, 0, 1]
    counts = {name: kind.sum() for name, kind in items.among.items()}
    assert counts == {"accuracy_pp": 6045, "accuracy_rco": 2005, "accuracy_rct": 1950}


def test_part_of_speech_condition_against_strings():
    """Targets spoiled in many ways, judged by string comparison after the released code's steps."""
    split, rng = small_corpus("tense")["val"], np.random.default_rng(0)
    tags = dict.fromkeys(VOCAB.words, "V")
    others = ("<pad>", ".", "PRESENT", "PAST")
    for group, tag in zip((DETERMINERS, NOUN_NUMBER, PREPOSITIONS, RELATIVES, others), "DNPR?"):
        tags |= dict.fromkeys(group, tag)
    items = TenseItems(split, VOCAB)
    outputs = np.zeros((40, len(split), items.target.shape[1]), dtype=np.int64)
    expected = np.zeros((40, len(split)), dtype=bool)
    for r, n in product(range(40), range(len(split))):
        words = split.targets[n].split()
        for _ in range(rng.integers(0, 3)):
            place = int(rng.integers(len(words)))
            kind = rng.integers(5)
            same = [w for w, tag in tags.items() if tag == tags[words[place]] != "?"]
            words[place] = rng.choice(same) if same and kind < 3 else words[place]
            if kind == 3:
                words[place] = rng.choice(VOCAB.words[1:])
            elif kind == 4:
                del words[-1]
        limit = len(split.targets[n].split()) + 1
        outputs[r, n, : len(words) + 1] = [*VOCAB.encode(" ".join(words)), VOCAB.eos][:limit]
        said, goal = (w[:-1] if w[-1] == "." else w for w in (words, split.targets[n].split()))
        said, goal = ([tags[word] for word in words] for words in (said, goal))
        expected[r, n] = said == goal and "?" not in said
    assert (items.same_parts_of_speech(outputs) == expected).all()
    assert 0.2 < expected.mean() < 0.9
    of_classes = part_of_speech(VOCAB)
    assert (of_classes[[0, VOCAB.eos, VOCAB.bos]] == 0).all()
    assert len({(tags[w], of_classes[i]) for w, i in VOCAB.index.items()}) == 6


def test_the_stop_is_optional_but_an_end_is_needed():
    rule = TASKS["tense"].rules["hierarchical"]
    spoiled = (
        rule,
        lambda prompt: rule(prompt)[:-2],
        lambda prompt: rule(prompt) + " .",
        lambda prompt: rule(prompt)[:-2] + " the",
        lambda prompt: "",
    )
    found = TenseItems(small_corpus("tense")["val"], VOCAB).measure(Oracle("tense", *spoiled), "published")
    assert found["main_verb_pos"].tolist() == [1, 1, 0, 0, 0]
    assert found["main_verb"].tolist() == [1, 1, 1, 1, 0]
    assert found["full_sentence"].tolist() == [1, 0, 0, 0, 0]
