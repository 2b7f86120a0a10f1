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
        ((0, (2, 1)), NEWT),  # numbers count the words
        ((1, (2, 3)), NEWT),
        ((0, (0, 1)), NEWT),
        (("S", (("NP", ("the", "newt")), ("VP", "sleeps"))), NEWT),  # labels are no words
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
    [(OTHER, NEWT, 0.5), ((0, (1, 2)), NEWT, 0.5), (NEWT, ((0, 1), 2), 1.0), ([OTHER, YAK], [NEWT, YAK], 0.75),
     (("the", "newt", "sleeps"), NEWT, 2 / 3), ((np.int64(0), (np.int64(1), np.int64(2))), NEWT, 0.5)],
)  # fmt: skip
def test_trees_of_the_same_words_are_counted(predicted, gold, f1):
    assert gk.trees.parseval(predicted, gold).f1 == pytest.approx(f1)


class TreeOfALibrary(list):
    """As nltk's: a list with a label."""

    def __init__(self, label, children):
        super().__init__(children)
        self.label = lambda: label


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize(
    "given",
    [
        ["the", ["newt", "sleeps"]],
        ("the", ["newt", "sleeps"]),
        [["the", ["newt", "sleeps"]]],
        [("the", ["newt", "sleeps"])],
        "(the (newt sleeps))",
        ["(the (newt sleeps))"],
        "(S (D the) (X (N newt) (V sleeps)))",
        '["the", ["newt", "sleeps"]]',
        TreeOfALibrary("S", ["the", TreeOfALibrary("VP", ["newt", "sleeps"])]),
    ],
)
def test_lists_and_texts_are_read_or_refused_by_their_type(given, root):
    gold = [NEWT] if isinstance(given, list) and len(given) == 1 else NEWT
    for pair in ((given, gold), (gold, given)):
        try:
            assert gk.trees.parseval(*pair, root).f1 == (0.5 if root else 0)
        except gk.GrokkitError as error:
            assert "root=True" not in one_line(error)
            assert any(word in str(error) for word in ("read_tree", "list", "text", "str", "tuple"))


@pytest.mark.parametrize(
    "wrong",
    [None, 3.5, {"a": "b"}, (), ((), "a"), ("a", None), ("a", 1.5), ("a", ("b", True)), b"a b", [None], "a b", ["a b"]],
)
def test_what_is_no_tree_is_refused(wrong):
    for gold in (("a", "b"), wrong):
        with pytest.raises(gk.GrokkitError) as caught:
            gk.trees.parseval(wrong, gold)
        assert "root=True" not in str(caught.value)


@pytest.mark.parametrize("given", [[["a", ["b", "c"]]], ["(a (b c))"]])
def test_gold_trees_of_charts_are_read_or_refused(given):
    chart = np.triu(np.arange(9.0).reshape(1, 3, 3))
    try:
        assert gk.trees.t_parseval([chart], given) == gk.trees.t_parseval([chart], [("a", ("b", "c"))])
    except gk.GrokkitError as error:
        assert "words" not in one_line(error) or "read_tree" in str(error)


# -- reading --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given, tree",
    [("((the newt) sleeps)", NEWT), ("  ( ( the newt )\n  sleeps )\n", NEWT), ("(S (NP the newt) (VP sleeps))", NEWT),
     ("(S (NP (DT the) (NN newt)) (VP (VBZ sleeps)))", NEWT),
     ("( (S (NP (DT the) (NN newt)) (VP (VBZ sleeps))) )", NEWT), ([["the", "newt"], "sleeps"], NEWT),
     ((["the", "newt"], "sleeps"), NEWT), (NEWT, NEWT), ([["the", "newt"], ["sleeps"]], NEWT),
     ('[["the", "newt"], "sleeps"]', NEWT),
     (TreeOfALibrary("S", [TreeOfALibrary("NP", ["the", "newt"]), "sleeps"]), NEWT),
     ("(the (newt sleeps))", OTHER), ("(das (Kätzchen schläft))", ("das", ("Kätzchen", "schläft"))),
     ("((l' homme) dort)", (("l'", "homme"), "dort")), ("(a b c)", ("a", "b", "c"))],
)  # fmt: skip
def test_trees_are_read_as_people_write_them(given, tree):
    """Brackets with or without labels (labels are in capitals, words are not), nested lists, JSON."""
    assert gk.trees.read_tree(given) == tree


@pytest.mark.parametrize(
    "wrong",
    ["", "()", "(the newt", "the newt)", "(the newt) sleeps", "((the newt) sleeps))", [], [[]], None, 4, ["a", 1.5],
     "[1, 2"],
)  # fmt: skip
def test_what_is_no_tree_is_not_read(wrong):
    with pytest.raises(gk.GrokkitError) as caught:
        gk.trees.read_tree(wrong)
    one_line(caught.value)
