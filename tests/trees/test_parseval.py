"""PARSEVAL and branching baselines: by hand, and the digits known for official and generated sentences."""

import numpy as np
import pytest
from full_corpora import full_corpus, official_corpus

from grokkit.data import TASKS, Split
from grokkit.data.tree import leaves
from grokkit.errors import GrokkitError
from grokkit.trees import (
    balanced,
    expected_parseval,
    left_branching,
    parseval,
    project,
    random_tree,
    right_branching,
    t_parseval,
)

BUILDERS = {"right": right_branching, "left": left_branching, "balanced": balanced}
TREE = (("the", "newt"), ("who", ("sleeps", "sees")))  # spans 0-1, 2-4, 3-4, 0-4


def gold_trees(task: str, part: Split, at_most: int | None = None) -> list:
    """Gold trees of the sources that the analysis looks at: of question the quest lines, of tense all."""
    lines = zip(part.sources, part.labels, strict=True)
    sources = [source for source, label in lines if task == "tense" or label == "quest"]
    # taken from the whole stream: short sentences come early
    return [TASKS[task].gold_tree(source) for source in sources[:: len(sources) // at_most if at_most else 1]]


def f1_of(build, gold: list, root: bool = True) -> float:
    return parseval([build(len(leaves(tree))) for tree in gold], gold, root=root).f1


def test_the_whole_sentence_may_be_left_out_and_trees_need_not_be_binary():
    assert parseval(right_branching(5), TREE, root=False) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert parseval(TREE, TREE, root=False).f1 == 1
    flat = (0, 1, 2, 3, 4)  # one span, and it is right
    assert parseval(flat, TREE) == parseval((flat,), TREE) == pytest.approx((1, 1 / 4, 2 / 5))


def test_corpus_score_counts_spans_not_sentences():
    pairs = [(right_branching(5), TREE), (right_branching(2), ("newts", "sleep"))]
    predicted, gold = map(list, zip(*pairs))
    assert parseval(predicted, gold) == pytest.approx((4 / 5,) * 3)
    assert parseval(predicted, gold, root=False) == pytest.approx((2 / 3,) * 3)
    one_word_more = parseval(predicted + [0], gold + ["newts"])  # nothing to count in it
    assert one_word_more == parseval(predicted, gold)


def test_baseline_trees():
    assert right_branching(1) == left_branching(1) == balanced(1) == random_tree(1, 0) == 0
    assert balanced(7) == ((0, (1, 2)), ((3, 4), (5, 6)))
    assert random_tree(9, 3) == random_tree(9, 3) != random_tree(9, 4)
    assert parseval(right_branching(3000), left_branching(3000)).f1 == pytest.approx(1 / 2999)


KNOWN = {  # right, left, balanced to all digits given; random is the score of a draw
    ("question", "val"): (0.6626, 0.2855, 0.5510, 0.394),
    ("question", "gen"): (0.3673, 0.3410, 0.4421, 0.363),
    ("tense", "val"): (0.5053, 0.3549, 0.5415, 0.407),
    ("tense", "gen"): (0.4122, 0.3549, 0.5364, 0.377),
}
# Of right-branching trees, without the whole sentence; known of larger sets, whose standard error here is about .01.
WITHOUT_ROOT = {("question", "val"): 0.613, ("tense", "val"): 0.420}


@pytest.mark.parametrize(("task", "split"), KNOWN)
def test_baselines_of_official_files(task, split):
    """The known random scores are draws: they may differ from the exact mean by four standard deviations of a draw."""
    gold = gold_trees(task, official_corpus(task)[split])
    lengths = [len(leaves(tree)) for tree in gold]
    *known, known_draw = KNOWN[task, split]
    for build, f1 in zip(BUILDERS.values(), known, strict=True):
        found = parseval([build(n) for n in lengths], gold)
        assert round(found.f1, 4) == f1 and found.precision == found.recall  # all trees are binary
    some = slice(0, 300)
    draws = [
        parseval([random_tree(n, (seed << 16) + i) for i, n in enumerate(lengths[some])], gold[some]).f1
        for seed in range(20)
    ]
    deviation = np.std(draws, ddof=1)
    if (task, split) in WITHOUT_ROOT:
        assert f1_of(right_branching, gold, root=False) == pytest.approx(WITHOUT_ROOT[task, split], abs=0.02)
    # known to three digits
    assert abs(known_draw - expected_parseval(gold)) < 4 * deviation * np.sqrt(300 / len(gold)) + 0.0005
    assert abs(np.mean(draws) - expected_parseval(gold[some])) < 4 * deviation / np.sqrt(20)


@pytest.mark.parametrize(
    ("task", "shape", "published"),
    [("question", "right", 0.66277), ("tense", "right", 0.50152), ("tense", "left", 0.35564)],
)
def test_baselines_of_generated_training_sets(task, shape, published):
    """Against the published ones, of a sample of 10,000 lines: 4 standard errors of the difference."""
    gold = gold_trees(task, full_corpus(task)["train"], at_most=10_000)
    parts = [f1_of(BUILDERS[shape], gold[i::20]) for i in range(20)]
    error = np.std(parts, ddof=1) / np.sqrt(20)
    assert error < 0.004
    assert np.mean(parts) == pytest.approx(published, abs=4 * np.sqrt(2) * error)


@pytest.mark.parametrize("tree", ["greedy", "exact"])
@pytest.mark.parametrize("root", [True, False])
def test_many_charts_at_once_equal_tree_by_tree(tree, root):
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 9, 60)
    gold = [random_tree(int(n), seed) for seed, n in enumerate(lengths)]
    charts = [rng.uniform(-1, 1, (3, n, n)) for n in lengths]
    found = t_parseval(charts, gold, tree=tree, root=root)
    for r in range(3):
        assert found[r] == parseval([project(chart[r], tree) for chart in charts], gold, root=root).f1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: parseval(right_branching(4), TREE), "4 words predicted, 5 in the gold tree"),
        (lambda: parseval([TREE], [TREE, TREE]), "1 predicted and 2 gold"),
        (lambda: parseval((0, 1), ("a", "b"), root=False), "no span"),
        (lambda: parseval((), ()), "without words"),
        (lambda: right_branching(0), "from 1 on, not 0"),
        (lambda: t_parseval([np.ones((1, 3, 3))], [TREE]), "5 words where its sentence has 3"),
    ],
)
def test_bad_arguments(wrong, message):
    with pytest.raises(GrokkitError, match=message):
        wrong()
