"""The rules of a task, counted by the lines that they answer."""

import pytest
import scipy.stats

import grokkit as gk
from grokkit.data import TASKS, Corpus, Split


def test_rules_are_counted_by_lines():
    pairs = [
        ("the newt that does sleep doesn't swim .", "quest", "doesn't the newt that does sleep swim ?"),
        ("the newt that does sleep doesn't swim .", "quest", "does the newt that sleep doesn't swim ?"),
        ("the newt does sleep .", "quest", "does the newt sleep ?"),
    ]
    splits = {"train": Split.of_pairs(pairs[2:]), "val": Split.of_pairs(pairs[2:]), "gen": Split.of_pairs(pairs)}
    brackets = Split(["(a (b b) a)", "(a a)", "(a a) (b b)"])
    corpora = {
        "question": Corpus("question", TASKS["question"].vocab, "generated", splits),
        "dyck": Corpus("dyck", TASKS["dyck"].vocab, "generated", dict.fromkeys(("train", "val", "gen"), brackets)),
    }
    found = gk.findings(corpora, "table1")
    shares = {(c.split(":")[0], c.split()[2]): v for c, v in zip(found.claim, found.value)}
    assert shares == {
        ("question", "hierarchical"): pytest.approx(2 / 3),
        ("question", "linear"): pytest.approx(2 / 3),
        ("question", "last_auxiliary"): pytest.approx(2 / 3),
        ("dyck", "hierarchical"): 1.0,
        ("dyck", "linear"): pytest.approx(2 / 3),
    }
    known = scipy.stats.binomtest(2, 3).proportion_ci(0.95, "wilson")
    assert (found.low[1], found.high[1]) == pytest.approx((known.low, known.high))
    assert set(found.unit) == {"sentences", "strings"}
    assert "training data do not speak against it, gen does" in found.conclusion[1]
