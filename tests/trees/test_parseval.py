"""PARSEVAL and branching baselines: by hand, and the digits known for the official files."""

import numpy as np
import pytest
from shared import shared_path

from grokkit.data import TASKS
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

OFFICIAL = ["question.dev", "question.gen", "tense.dev", "tense.gen"]
TREE = (("the", "newt"), ("who", ("sleeps", "sees")))  # spans 0-1, 2-4, 3-4, 0-4


@pytest.fixture(scope="module", params=OFFICIAL)
def official(request):
    """(name, lengths in words, gold trees) of one official file; of question.dev the quest lines only."""
    lines = shared_path(f"reference/splits/{request.param}").read_text().splitlines()
    sources = [line.split("\t")[0] for line in lines]
    if request.param == "question.dev":
        sources = [source for source in sources if source.endswith("quest")]
    task = TASKS[request.param.split(".")[0]]
    lengths = [len(source.split()) - 2 for source in sources]  # without full stop and label
    return request.param, lengths, [task.gold_tree(source) for source in sources]


def test_by_hand():
    assert parseval(right_branching(5), TREE) == (0.75, 0.75, 0.75)  # it has 0-4, 1-4, 2-4, 3-4
    assert parseval(right_branching(5), TREE, root=False) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert parseval(left_branching(5), TREE).f1 == 0.5  # 0-1 and 0-4
    assert parseval(TREE, TREE, root=False).f1 == 1
    flat = (0, 1, 2, 3, 4)  # no need to be binary: one span, and it is right
    assert parseval(flat, TREE) == pytest.approx((1, 1 / 4, 2 / 5))
    assert parseval(((0, 1, 2, 3, 4),), TREE) == parseval(flat, TREE)  # one span, not two


def test_corpus_score_counts_spans_not_sentences():
    pairs = [(right_branching(5), TREE), (right_branching(2), ("newts", "sleep"))]
    predicted, gold = map(list, zip(*pairs))
    assert parseval(predicted, gold) == pytest.approx((4 / 5,) * 3)
    assert parseval(predicted, gold, root=False) == pytest.approx((2 / 3,) * 3)
    one_word_more = parseval(predicted + [0], gold + ["newts"])  # nothing to count in it
    assert one_word_more == parseval(predicted, gold)


def test_baseline_trees():
    assert right_branching(1) == left_branching(1) == balanced(1) == random_tree(1, 0) == 0
    assert right_branching(4) == (0, (1, (2, 3)))
    assert left_branching(4) == (((0, 1), 2), 3)
    assert balanced(7) == ((0, (1, 2)), ((3, 4), (5, 6)))
    assert random_tree(9, 3) == random_tree(9, 3) != random_tree(9, 4)
    assert parseval(right_branching(3000), left_branching(3000)).f1 == pytest.approx(1 / 2999)


def test_random_trees_split_uniformly():
    """5,000 draws over 4 words: chi-square of the five trees against 1/3 * 1/2 and 1/3, below the 1 % point
    for 4 degrees of freedom, 13.28."""
    draws = [random_tree(4, seed) for seed in range(5000)]
    chances = {
        (0, (1, (2, 3))): 1 / 6,
        (0, ((1, 2), 3)): 1 / 6,
        ((0, 1), (2, 3)): 1 / 3,
        ((0, (1, 2)), 3): 1 / 6,
        (((0, 1), 2), 3): 1 / 6,
    }
    assert set(draws) == set(chances)
    assert sum((draws.count(t) - 5000 * p) ** 2 / (5000 * p) for t, p in chances.items()) < 13.28


# right, left, balanced to all digits given; random is the score of a draw
KNOWN = {
    "question.dev": (0.6626, 0.2855, 0.5510, 0.394),
    "question.gen": (0.3673, 0.3410, 0.4421, 0.363),
    "tense.dev": (0.5053, 0.3549, 0.5415, 0.407),
    "tense.gen": (0.4122, 0.3549, 0.5364, 0.377),
}


def test_branching_baselines_of_official_files(official):
    name, lengths, gold = official
    for build, expected in zip((right_branching, left_branching, balanced), KNOWN[name]):
        found = parseval([build(n) for n in lengths], gold)
        assert round(found.f1, 4) == expected, (name, build.__name__)
        assert found.precision == found.recall  # all trees are binary


def test_random_baseline_of_official_files(official):
    """The known values are draws: they may differ from the exact mean by four standard deviations of a
    draw."""
    name, lengths, gold = official
    mean = expected_parseval(gold)
    some = slice(0, 300)
    draws = [
        parseval([random_tree(n, (seed << 16) + i) for i, n in enumerate(lengths[some])], gold[some]).f1
        for seed in range(20)
    ]
    deviation = np.std(draws, ddof=1) * np.sqrt(300 / len(gold))
    assert abs(KNOWN[name][3] - mean) < 4 * deviation + 0.0005  # they are rounded to three digits
    assert abs(np.mean(draws) - expected_parseval(gold[some])) < 4 * np.std(draws, ddof=1) / np.sqrt(20)


def test_without_the_whole_sentence_right_branching_loses_five_to_eight_points():
    """About .613 on question and .420 on tense; .616 and .429 on these small sets."""
    for name, task, about in (("question.dev", "question", 0.613), ("tense.dev", "tense", 0.420)):
        lines = shared_path(f"reference/splits/{name}").read_text().splitlines()
        sources = [line.split("\t")[0] for line in lines]
        sources = [source for source in sources if task == "tense" or source.endswith("quest")]
        trees = [right_branching(len(source.split()) - 2) for source in sources]
        gold = [TASKS[task].gold_tree(source) for source in sources]
        # sampling: F1 of 400 to 1000 sentences has a standard error of about .01
        assert parseval(trees, gold, root=False).f1 == pytest.approx(about, abs=0.02)


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


def test_bad_arguments():
    for wrong, message in (
        (lambda: parseval(right_branching(4), TREE), "4 words predicted, 5 in the gold tree"),
        (lambda: parseval([TREE], [TREE, TREE]), "1 predicted and 2 gold"),
        (lambda: parseval((0, 1), ("a", "b"), root=False), "no span"),
        (lambda: parseval((), ()), "without words"),
        (lambda: right_branching(0), "at least 1 word"),
        (lambda: t_parseval([np.ones((1, 3, 3))], [TREE]), "5 words where its sentence has 3"),
    ):
        with pytest.raises(GrokkitError, match=message):
            wrong()
