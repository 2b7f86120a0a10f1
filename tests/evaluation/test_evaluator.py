"""All metrics of a task together: columns, runs beside each other, tasks of one's own, and refusals."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from full_corpora import official_corpus
from oracle import Oracle, lively_stack, small_corpus

from grokkit.config import preset
from grokkit.data import TASKS, Corpus, Split
from grokkit.errors import GrokkitError
from grokkit.evaluation import ITEMS, Evaluator, Items, evaluate

ACCURACIES = {
    "question": ("first_auxiliary", "first_word"),
    "tense": ("main_verb_pos", "main_verb"),
    "dyck": ("all_closers", "long_distance"),
}


def equal(one: dict, other: dict) -> bool:
    return list(one) == list(other) and all(np.array_equal(one[n], other[n], equal_nan=True) for n in one)


@pytest.mark.parametrize("task", TASKS)
def test_evaluate_gives_every_run_its_columns(task):
    corpus, stack = small_corpus(task), lively_stack(task, seeds=(7, 8, 9))
    configs = [stack.config.replace(metric=metric) for metric in ("published", "paper")]
    both = published, paper = [evaluate(stack, corpus, config) for config in configs]
    assert list(published)[:2] == ["val_accuracy", "gen_accuracy"] and list(published) == list(paper)
    for split, (measured, name) in product(("val", "gen"), zip(both, ACCURACIES[task])):
        assert (measured[f"{split}_accuracy"] == measured[f"{split}_{name}"]).all()
    for values in published.values():
        assert values.shape == (3,) and values.dtype == np.float64
        assert np.isnan(values).all() or ((0 <= values) & (values <= 1)).all()
    assert equal(evaluate(stack.run(1), corpus, configs[0]), {name: values[1:2] for name, values in published.items()})
    evaluator = Evaluator(corpus, configs[0])
    assert equal(evaluator(stack), published) and equal(evaluator(stack), published)
    stack.flat[0] = float("nan")  # a broken run does not stop the evaluation, and leaves the others as they were
    broken = evaluator(stack)
    assert equal({n: v[1:] for n, v in broken.items()}, {n: v[1:] for n, v in published.items()})


def test_official_files_give_a_column():
    gen = official_corpus("question")["gen"]
    gen = Split.of_pairs(list(zip(gen.sources, gen.labels, gen.targets))[:500])
    official = Corpus("question", TASKS["question"].vocab, "official", {"gen": gen})
    evaluator = Evaluator(small_corpus("question"), preset("smoke", "question"), official=official)
    assert evaluator(Oracle("question", "linear", "hierarchical"))["gen_official_accuracy"].tolist() == [0, 1]


class Lengths(Items):
    """A metric of one's own: is the answer as long as the right one?"""

    accuracy = {"published": "same_length"}

    def __init__(self, split, vocab, device="cpu", contrast=False):
        self.target = np.array([len(target.split()) for target in split.targets])
        self.among = {"accuracy_short": self.target < 8} if contrast else {}

    def hits(self, stack):
        return {"same_length": self.target == np.array(stack)[:, None]}


class TwoMethods:
    """The least that a class in ITEMS must have."""

    def __init__(self, split, vocab, device, contrast):
        self.size = len(split)

    def counted(self, metric):
        return self.size

    def measure(self, stack, metric):
        return {"accuracy": np.full(2, float(self.size))}


def test_a_metric_of_ones_own(monkeypatch):
    corpus = small_corpus("tense")
    lengths = {name: [len(target.split()) for target in corpus[name].targets] for name in ("val", "gen")}
    config = preset("smoke", "tense").replace(metric="published")
    monkeypatch.setitem(ITEMS, "tense", Lengths)
    assert equal(
        Evaluator(corpus, config)([6, 7]),
        {
            "val_accuracy": (val := np.array([np.mean(np.equal(lengths["val"], n)) for n in (6, 7)])),
            "gen_accuracy": (gen := np.array([np.mean(np.equal(lengths["gen"], n)) for n in (6, 7)])),
            "val_same_length": val,
            "gen_same_length": gen,
            "gen_accuracy_short": np.array([np.mean([m == n for m in lengths["gen"] if m < 8]) for n in (6, 7)]),
        },
    )
    with pytest.raises(GrokkitError, match="Lengths has no paper accuracy"):
        Evaluator(corpus, config.replace(metric="paper"))
    monkeypatch.setitem(ITEMS, "tense", TwoMethods)
    measured = Evaluator(corpus, config)(None)
    assert {name: values.tolist() for name, values in measured.items()} == {
        "val_accuracy": [80, 80],
        "gen_accuracy": [80, 80],
    }


def with_split(task: str, **splits: Split) -> Corpus:
    return replace(small_corpus(task), splits={**small_corpus(task).splits, **splits})


FLAT = Split(["(a a) (b b)"] * 3)
COPIED = Split.of_pairs([("the newt does sleep .", "decl", "the newt does sleep .")])
REFUSED = {
    "no far brackets": (lambda: with_split("dyck", val=FLAT), {"metric": "paper"}, "val split of dyck has nothing"),
    "no strings": (lambda: with_split("dyck", gen=Split([])), {}, "gen split of dyck has nothing"),
    "no questions": (lambda: with_split("question", val=COPIED), {}, "val split of question has nothing"),
    "no metrics": (lambda: replace(small_corpus("question"), task="chess"), {"task": "chess"}, "no metrics for task"),
    "another task": (lambda: small_corpus("dyck"), {"task": "tense"}, "give the same task"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_to_count_is_an_error_in_one_line(case):
    corpus, changes, message = REFUSED[case]
    task = corpus().task
    config = preset("smoke", task if task in TASKS else "question").replace(**changes)
    with pytest.raises(GrokkitError, match=message) as caught:
        Evaluator(corpus(), config)
    assert "\n" not in str(caught.value)


def test_an_official_corpus_of_another_task_is_refused():
    with pytest.raises(GrokkitError, match="differ in task or words"):
        Evaluator(small_corpus("question"), preset("smoke", "question"), official=small_corpus("dyck"))


def test_what_counts_nothing_is_nan():
    measured = Evaluator(with_split("dyck", val=FLAT), preset("smoke", "dyck"))(Oracle("dyck", "hierarchical"))
    assert np.isnan(measured["val_long_distance"]).all() and measured["val_accuracy"] == 1
