"""Figures without a training: Figure 1, Table 1, rules, charts and trees."""

import pandas as pd
import pytest
from drawings import assert_on_page, line_in, words_in

from grokkit import figures
from grokkit.data import TASKS
from grokkit.data.tree import leaves, spans
from grokkit.errors import GrokkitError
from grokkit.figures.fig1 import example


@pytest.fixture(scope="module")
def corpora():
    sizes = {"train": 400, "val": 20, "gen": 60}
    return {name: task.generate(0, sizes) for name, task in TASKS.items()}


def test_fig1_shows_what_the_rules_say(corpora):
    figure = figures.fig1(corpora)
    assert_on_page(figure)
    for column, name in enumerate(("dyck", "question", "tense")):
        shown = example(TASKS[name], corpora[name])
        rules = TASKS[name].rules
        assert shown["linear"] == rules["linear"](shown["source"])
        assert shown["hierarchical"] == rules["hierarchical"](shown["source"]) != shown["linear"]
        words = " ".join(" ".join(text.get_text() for text in figure.axes[column].texts).split())
        for text in shown.values():
            assert text in words
        assert shown["training"] in corpora[name]["train"].lines
    tree = TASKS["question"].gold_tree(example(TASKS["question"], corpora["question"])["source"])
    assert [text.get_text() for text in figure.axes[4].texts] == leaves(tree)
    first, second = (example(TASKS["tense"], corpora["tense"], item)["source"] for item in (0, 1))
    assert first != second and len(first.split()) <= len(second.split())


def test_table1_measures_the_corpora(corpora):
    figure = figures.table1(corpora)
    assert_on_page(figure)
    words = [cell.get_text().get_text() for cell in figure.axes[0].tables[0].get_celld().values()]
    assert any(word.startswith("400\n(paper: 200,000)\n") for word in words)
    length = sum(len(line.split()) for line in corpora["tense"]["gen"].lines) / 60
    assert f"60\n(paper: 10,000)\n{length:.1f} words a line" in words
    assert "red where they differ" in line_in(figure)


def test_rules_by_split():
    shares = pd.DataFrame({"val": [1, 1.0], "gen": [0, 0.695]}, index=["linear", "first noun"])
    figure = figures.rules_by_split(shares)
    assert words_in(figure) == ["1.00", "0.00", "1.00", "0.69"] or words_in(figure)[-1] == "0.70"
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["linear", "first noun"]
    assert_on_page(figure)


def test_trees():
    tree = (("the", "walrus"), ("does", "move"))
    assert spans(tree) == {(0, 3), (0, 1), (2, 3)}
    by_place = (0, (1, (2, 3)))
    figure = figures.trees({"gold": tree, "right": by_place}, words=leaves(tree), reference=tree)
    assert_on_page(figure)
    crosses = [[entry for entry in axes.get_lines() if entry.get_marker() == "X"] for axes in figure.axes]
    assert line_in(figure).startswith("Blue discs") and "gold, right" in repr(figure)
    assert [len(found) for found in crosses] == [0, 1]  # (1, 3) is no span of the gold tree
    assert [text.get_text() for text in figure.axes[1].texts] == leaves(tree)


def test_corpora_and_trees_that_cannot_be_drawn(corpora):
    gold = {"gold": (("the", "walrus"), ("does", "move"))}
    for draw, arguments, words in (
        (figures.fig1, (corpora, 999), "item 999"),
        (figures.fig1, ({},), "at least one corpus"),
        (figures.table1, ({},), "at least one corpus"),
        (figures.table1, ({"mine": corpora["tense"]},), "no task 'mine'"),
        (figures.trees, ({},), "no tree"),
        (figures.trees, (gold, ["the"]), "over 1 words"),
        (figures.trees, (gold, None, (0, 1)), "over 4 and 2 words"),
    ):
        with pytest.raises(GrokkitError, match=words):
            draw(*arguments)
