"""Kind 6: trees are of the same words in the same order, and are read or refused, never counted as something else."""

import numpy as np
import pytest
from mistaken.small import one_line

import grokkit as gk

NEWT = (("the", "newt"), "sleeps")
YAK = (("a", "yak"), "reads")
OTHER = ("the", ("newt", "sleeps"))


@pytest.mark.parametrize(
    "predicted, gold",
    [
        (NEWT, YAK),
        (NEWT, (("newt", "the"), "sleeps")),
        (NEWT, (("The", "newt"), "sleeps")),
        ([NEWT, YAK], [YAK, NEWT]),  # the order of the sentences
        ([NEWT, YAK, NEWT], [NEWT, NEWT, NEWT]),
        ((0, (2, 1)), NEWT),  # numbers count the words
        ((1, (2, 3)), NEWT),
        ((0, (0, 1)), NEWT),
    ],
)
def test_trees_of_other_words_are_refused(predicted, gold):
    with pytest.raises(gk.GrokkitError, match="words|sentence") as caught:
        gk.trees.parseval(predicted, gold)
    one_line(caught.value)


def test_the_tree_that_differs_is_named():
    with pytest.raises(gk.GrokkitError, match="1.*(yak|newt)"):
        gk.trees.parseval([NEWT, YAK], [NEWT, NEWT])


@pytest.mark.parametrize(
    "predicted, gold, f1",
    [(OTHER, NEWT, 0.5), (NEWT, NEWT, 1.0), ((0, (1, 2)), NEWT, 0.5), (NEWT, ((0, 1), 2), 1.0),
     ([OTHER, YAK], [NEWT, YAK], 0.75), (("the", "newt", "sleeps"), NEWT, 2 / 3),
     ((np.int64(0), (np.int64(1), np.int64(2))), NEWT, 0.5)],
)  # fmt: skip
def test_trees_of_the_same_words_are_counted_as_before(predicted, gold, f1):
    assert gk.trees.parseval(predicted, gold).f1 == pytest.approx(f1)


def read_or_refused(call, right):
    """What is no tuple is either read as the tree that it is, or refused by its type."""
    try:
        assert call().f1 == pytest.approx(right)
    except gk.GrokkitError as error:
        said = one_line(error)
        assert "root=True" not in said
        assert any(word in said for word in ("read_tree", "list", "text", "str", "tuple"))


@pytest.mark.parametrize(
    "predicted",
    [
        ["the", ["newt", "sleeps"]],
        ("the", ["newt", "sleeps"]),
        [["the", ["newt", "sleeps"]]],
        [("the", ["newt", "sleeps"])],
        "(the (newt sleeps))",
        ["(the (newt sleeps))"],
        "(S (D the) (X (N newt) (V sleeps)))",
        '["the", ["newt", "sleeps"]]',
    ],
)
@pytest.mark.parametrize("root", [True, False])
def test_lists_and_texts_are_read_or_refused(predicted, root):
    many = isinstance(predicted, list) and len(predicted) == 1
    gold = [NEWT] if many else NEWT
    read_or_refused(lambda: gk.trees.parseval(predicted, gold, root), 0.5 if root else 0.0)
    read_or_refused(lambda: gk.trees.parseval(gold, predicted, root), 0.5 if root else 0.0)


@pytest.mark.parametrize(
    "pair", [("(the newt)", "(a yak)"), ("the newt", "the newt"), (["the newt sleeps"], ["the newt sleeps"])]
)
def test_a_text_is_no_word(pair):
    with pytest.raises(gk.GrokkitError) as caught:
        gk.trees.parseval(*pair)
    assert "root=True" not in one_line(caught.value)


@pytest.mark.parametrize(
    "pair", [(["the", ["newt", "sleeps"]], ["the", ["newt", "sleeps"]]), ([["a", "b"], "c"], [["a", "b"], "c"])]
)
def test_a_nested_list_is_one_tree_or_refused(pair):
    """Today's outer list is a list of trees: three single words, or a tree of two words and one of one."""
    read_or_refused(lambda: gk.trees.parseval(*pair), 1.0)


class TreeOfALibrary(list):
    """As nltk's: a list with a label."""

    def __init__(self, label, children):
        super().__init__(children)
        self.label = lambda: label


def test_a_tree_of_a_library_is_read_or_refused():
    tree = TreeOfALibrary("S", ["the", TreeOfALibrary("VP", ["newt", "sleeps"])])
    read_or_refused(lambda: gk.trees.parseval(tree, NEWT), 0.5)


def test_labels_are_no_words():
    labelled = ("S", (("NP", ("the", "newt")), ("VP", "sleeps")))
    with pytest.raises(gk.GrokkitError, match="words"):
        gk.trees.parseval(labelled, NEWT)


@pytest.mark.parametrize(
    "wrong", [None, 3.5, {"a": "b"}, (), ((), "a"), ("a", None), ("a", 1.5), ("a", ("b", True)), b"a b", [None]]
)
def test_what_is_no_tree_is_refused(wrong):
    with pytest.raises(gk.GrokkitError):
        gk.trees.parseval(wrong, ("a", "b"))


@pytest.mark.parametrize("trees", [([["a", ["b", "c"]]], 0.0), (["(a (b c))"], 0.0), ([("a", ("b", "c"))], 0.0)])
def test_gold_trees_of_charts_are_read_or_refused(trees):
    given, _ = trees
    chart = np.triu(np.arange(9.0).reshape(1, 3, 3))
    right = gk.trees.t_parseval([chart], [("a", ("b", "c"))])
    try:
        assert gk.trees.t_parseval([chart], given).tolist() == right.tolist()
    except gk.GrokkitError as error:
        assert "words" not in one_line(error) or "read_tree" in str(error)


# -- reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        "((the newt) sleeps)",
        "  ( ( the newt )\n  sleeps )\n",
        "(S (NP the newt) (VP sleeps))",
        "(S (NP (DT the) (NN newt)) (VP (VBZ sleeps)))",
        "( (S (NP (DT the) (NN newt)) (VP (VBZ sleeps))) )",
        [["the", "newt"], "sleeps"],
        (["the", "newt"], "sleeps"),
        NEWT,
        [["the", "newt"], ["sleeps"]],
        '[["the", "newt"], "sleeps"]',
        TreeOfALibrary("S", [TreeOfALibrary("NP", ["the", "newt"]), "sleeps"]),
    ],
)
def test_trees_are_read_as_people_write_them(given):
    """Brackets with or without labels (labels are in capitals, words are not), nested lists, JSON."""
    assert gk.trees.read_tree(given) == NEWT


@pytest.mark.parametrize(
    "text, tree",
    [("(the (newt sleeps))", OTHER), ("(das (Kätzchen schläft))", ("das", ("Kätzchen", "schläft"))),
     ("((l' homme) dort)", (("l'", "homme"), "dort")), ("(a b c)", ("a", "b", "c"))],
)  # fmt: skip
def test_words_are_kept_as_they_are(text, tree):
    assert gk.trees.read_tree(text) == tree


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "()",
        "(the newt",
        "the newt)",
        "(the newt) sleeps",
        "((the newt) sleeps))",
        [],
        [[]],
        None,
        4,
        ["a", 1.5],
        "[1, 2",
    ],
)
def test_what_is_no_tree_is_not_read(wrong):
    with pytest.raises(gk.GrokkitError) as caught:
        gk.trees.read_tree(wrong)
    one_line(caught.value)


def test_what_is_read_can_be_counted():
    assert gk.trees.parseval(gk.trees.read_tree("(the (newt sleeps))"), NEWT).f1 == 0.5
