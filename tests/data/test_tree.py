"""Gold trees: branching baselines of official and generated sentences, by a plain bracketing F1."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from full_corpora import full_corpus, official_corpus

from grokkit.data import TASKS, Split, question, tense
from grokkit.data.tree import leaves


def spans(tree, start: int = 0) -> tuple[int, list[tuple[int, int]]]:
    """Words of a tree, and its spans [start, end) of two words or more."""
    if isinstance(tree, str):
        return 1, []
    width, found = 0, []
    for child in tree:
        words, inside = spans(child, start + width)
        width, found = width + words, found + inside
    return width, [*found, (start, start + width)]


def branching(shape: str, start: int, end: int) -> list[tuple[int, int]]:
    """Spans of the right-branching, left-branching or balanced tree over the words [start, end)."""
    if end - start < 2:
        return []
    split = {"right": start + 1, "left": end - 1, "balanced": (start + end) // 2}[shape]
    return [(start, end), *branching(shape, start, split), *branching(shape, split, end)]


@cache
def random_span_chances(n: int) -> dict[tuple[int, int], float]:
    """P(span in tree) when every span is split uniformly, from the top."""
    chances = Counter({(0, n): 1.0})
    for width in range(n, 1, -1):
        for start in range(n - width + 1):
            for split in range(start + 1, start + width):
                for part in ((start, split), (split, start + width)):
                    chances[part] += chances[start, start + width] / (width - 1)
    return chances


def bracketing_f1(task: str, sources: list[str]) -> dict[str, float]:
    """Micro F1 with the gold trees, whole sentences included; precision equals recall, all being binary."""
    hits, total = Counter(), 0
    for source in sources:
        n, gold = spans(TASKS[task].gold_tree(source))
        total += len(gold)
        for shape in ("right", "left", "balanced"):
            hits[shape] += len(set(gold) & set(branching(shape, 0, n)))
        hits["random"] += sum(random_span_chances(n)[span] for span in gold)
    return {shape: hits[shape] / total for shape in hits}


BASELINES = {  # the measured branching baselines of the official files
    ("question", "val"): {"right": 0.6626, "left": 0.2855, "balanced": 0.5510, "random": 0.394},
    ("question", "gen"): {"right": 0.3673, "left": 0.3410, "balanced": 0.4421, "random": 0.363},
    ("tense", "val"): {"right": 0.5053, "left": 0.3549, "balanced": 0.5415, "random": 0.407},
    ("tense", "gen"): {"right": 0.4122, "left": 0.3549, "balanced": 0.5364, "random": 0.377},
}


def asked(task: str, part: Split) -> list[str]:
    """The sources that the analysis looks at: of question the quest lines, of tense all."""
    return [s for s, label in zip(part.sources, part.labels, strict=True) if task == "tense" or label == "quest"]


@pytest.mark.parametrize(("task", "split"), BASELINES)
def test_branching_baselines_to_the_digit(task, split):
    found = bracketing_f1(task, asked(task, official_corpus(task)[split]))
    known = BASELINES[task, split]
    for shape in ("right", "left", "balanced"):
        assert round(found[shape], 4) == known[shape]
    assert found["random"] == pytest.approx(known["random"], abs=0.005)  # known from sampled trees: 3 digits


@pytest.mark.parametrize(
    ("task", "shape", "published"),
    [("question", "right", 0.66277), ("tense", "right", 0.50152), ("tense", "left", 0.35564)],
)
def test_branching_baselines_of_train(task, shape, published):
    """Against the published ones, of a sample of 10,000 lines: 4 standard errors of the difference."""
    sources = asked(task, full_corpus(task)["train"])
    sources = sources[:: len(sources) // 10_000]  # from the whole stream: short sentences come early
    parts = [bracketing_f1(task, sources[i::20])[shape] for i in range(20)]
    error = np.std(parts, ddof=1) / np.sqrt(20)
    assert error < 0.004
    assert np.mean(parts) == pytest.approx(published, abs=4 * np.sqrt(2) * error)


def test_subject_of_the_parse_is_what_stands_before_the_main_verb():
    for task, position in (("question", question.main_auxiliary), ("tense", tense.main_verb)):
        for source in official_corpus(task)["gen"].sources[:500]:
            subject, predicate = TASKS[task].gold_tree(source)
            words = leaves((subject, predicate))
            assert position(source) == spans(subject)[0] and len(words) >= 4
