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
from grokkit.evaluation import ITEMS, Evaluator, evaluate

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
        assert np.isnan(values).all() or ((values >= 0) & (values <= 1)).all()
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


class TwoMethods:
    """The least that a class in ITEMS must have."""

    def __init__(self, split, vocab, device, contrast):
        self.split, self.contrast = split, contrast

    def counted(self, metric):
        return len(self.split)

    def measure(self, stack, metric):
        return {"accuracy": np.full(stack.runs, 0.5), "size": np.full(stack.runs, len(self.split) * 2.0**self.contrast)}


def test_metrics_of_ones_own(monkeypatch):
    monkeypatch.setitem(ITEMS, "tense", TwoMethods)
    stack = Oracle("tense", "linear", "copy")
    measured = evaluate(stack, small_corpus("tense"), stack.config)
    assert list(measured) == ["val_accuracy", "gen_accuracy", "val_size", "gen_size"]
    assert measured["val_size"].tolist() == [80, 80] and measured["gen_size"].tolist() == [160, 160]


def with_split(task: str, **splits: Split) -> Corpus:
    return replace(small_corpus(task), splits={**small_corpus(task).splits, **splits})


FLAT = Split(["(a a) (b b)"] * 3)
COPIED = Split.of_pairs([("the newt does sleep .", "decl", "the newt does sleep .")])


@pytest.mark.parametrize(
    "task, splits, changes, message",
    [
        ("dyck", {"val": FLAT}, {"metric": "paper"}, "val split of dyck has nothing"),
        ("dyck", {"gen": Split([])}, {}, "gen split of dyck has nothing"),
        ("question", {"val": COPIED}, {}, "val split of question has nothing"),
        ("dyck", {}, {"task": "tense"}, "give the same task"),
    ],
)
def test_nothing_to_count_is_an_error_in_one_line(task, splits, changes, message):
    with pytest.raises(GrokkitError, match=message) as caught:
        Evaluator(with_split(task, **splits), preset("smoke", task).replace(**changes))
    assert "\n" not in str(caught.value)


def test_corpora_without_metrics_or_of_another_task_are_refused():
    corpus, config = small_corpus("question"), preset("smoke", "question")
    with pytest.raises(GrokkitError, match="no metrics for task 'chess'"):
        Evaluator(replace(corpus, task="chess"), config.replace(task="chess"))
    with pytest.raises(GrokkitError, match="differ in task or words"):
        Evaluator(corpus, config, official=small_corpus("dyck"))
    with pytest.raises(GrokkitError, match="QuestionItems has no best accuracy"):
        ITEMS["question"](corpus["val"], corpus.vocab).counted("best")
