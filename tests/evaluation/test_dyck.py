"""Dyck metrics: rules that are followed exactly, known floors, and one prefix at a time."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from full_corpora import full_corpus
from oracle import Oracle, lively_stack, small_corpus

from grokkit.data import TASKS, Split
from grokkit.evaluation.decoding import TOKENS_AT_ONCE
from grokkit.evaluation.dyck import DyckItems

VOCAB = TASKS["dyck"].vocab


def test_rules_and_chance():
    """The linear rule's hits by distance and depth against a stack walk of their own."""
    split = small_corpus("dyck")["gen"]
    found = DyckItems(split, VOCAB).measure(Oracle("dyck", "hierarchical", "linear"), "published")
    assert all(values[0] == 1 or np.isnan(values[0]) for name, values in found.items() if name != "linear_rule")
    assert found["linear_rule"][1] == 1 and found["linear_rule"][0] == found["accuracy"][1]
    assert found["distance_1"].tolist() == [1, 1] and np.isnan(found["distance_51_up"]).all()
    hits = defaultdict(list)
    for line in split.lines:
        opened = []
        for position, word in enumerate(words := line.split()):
            if word.startswith("("):
                last = word[1]
                opened.append(position)
                continue
            distance, depth = position - opened[-1], len(opened)
            hit = last == words[opened.pop()][1]
            hits["long_distance"] += [hit] * (distance >= 10)
            hits["distance_11_19"] += [hit] * (11 <= distance <= 19)
            hits["depth_2"] += [hit] * (depth == 2)
    for name, expected in hits.items():
        assert found[name][1] == np.mean(expected) and len(expected) > 20


@pytest.mark.parametrize("name, floor, strings", [("val", 0.621, 4000), ("gen", 0.565, 1000)])
def test_floors_at_full_size(name, floor, strings):
    """Last-opened bracket: .621 on val, .565 on gen, .05 from distance 10 on (.0713 of val closers)."""
    items = DyckItems(Split(full_corpus("dyck")[name].lines[:strings]), VOCAB)
    hits, far = items.linear == items.target, items.distance >= 10
    # 4 standard errors of one string as the unit: 4 * .2 / sqrt(4000) and 4 * .1 / sqrt(1000)
    assert abs(hits.mean() - floor) < 0.013
    # 4 standard errors, doubled because the closers of one string are not independent
    assert abs(hits[far].mean() - 0.05) < 8 * np.sqrt(0.05 * 0.95 / far.sum())
    assert set(items.distance % 2) == {1}
    if name == "val":
        assert abs(far.mean() - 0.0713) < 0.012


def test_predictions_equal_one_prefix_at_a_time(monkeypatch):
    lines = small_corpus("dyck")["gen"].lines[:40]
    items, stack = DyckItems(Split(lines), VOCAB), lively_stack("dyck", seeds=(4, 5))
    closers = [VOCAB.index[word] for word in VOCAB.words if word.endswith(")")]
    expected, targets = [], []
    for words in sorted((line.split() for line in lines), key=len, reverse=True):
        for position in (i for i, word in enumerate(words) if word.endswith(")")):
            prefix = [VOCAB.bos, *VOCAB.encode(" ".join(words[:position]))]
            logits = stack.logits(torch.tensor([prefix]))[:, 0, -1]
            expected.append(torch.tensor(closers)[logits[:, closers].argmax(-1)].numpy())
            targets.append(VOCAB.index[words[position]])
    assert len(closers) == 20 and (items.target == targets).all()
    for tokens_at_once in (TOKENS_AT_ONCE["cpu"], 1, 300):
        monkeypatch.setitem(TOKENS_AT_ONCE, "cpu", tokens_at_once)
        assert (items.predict(stack) == np.array(expected).T).all()
