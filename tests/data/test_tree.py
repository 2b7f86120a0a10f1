"""Trees: leaves, spans and nodes of any tree, also a very deep one; the main subject of the gold trees."""

import pytest
from full_corpora import official_corpus
from hypothesis import given
from hypothesis import strategies as st

from grokkit.data import TASKS, question, tense
from grokkit.data.tree import leaves, spans, tree_from_nodes

TREES = st.recursive(st.sampled_from("abc"), lambda inner: st.lists(inner, min_size=1, max_size=3).map(tuple))


def written_out(tree) -> str:
    return tree if isinstance(tree, str) else f"({''.join(map(written_out, tree))})"


@given(TREES)
def test_leaves_and_spans_are_those_of_the_written_brackets(tree):
    text, found, opened, words = written_out(tree), set(), [], ""
    for sign in text:
        if sign == "(":
            opened.append(len(words))
        elif sign == ")":
            found.add((opened.pop(), len(words) - 1))
        else:
            words += sign
    assert spans(tree) == found and "".join(leaves(tree)) == words


def test_a_tree_of_any_depth_is_built_and_read():
    n = 3000
    tree = tree_from_nodes([(i, i, n - 1) for i in range(n - 1)], n)
    assert leaves(tree) == list(range(n)) and spans(tree) == {(i, n - 1) for i in range(n - 1)}
    assert tree_from_nodes([(0, 1, 3), (2, 2, 3), (0, 0, 1)], 4) == ((0, 1), (2, 3))


@pytest.mark.parametrize(("task", "position"), [("question", question.main_auxiliary), ("tense", tense.main_verb)])
def test_subject_of_the_parse_is_what_stands_before_the_main_verb(task, position):
    for source in official_corpus(task)["gen"].sources[:500]:
        subject, predicate = TASKS[task].gold_tree(source)
        assert position(source) == len(leaves(subject)) >= 2
        assert leaves((subject, predicate)) == source.split()[:-1]
