"""PARSEVAL: how many brackets two trees have in common (Black et al. 1991; paper, Appendix C, Equation 4).

Dimension letters: R runs, S sentences, n words.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from grokkit.data.tree import HOW_TO_READ, Tree, checked_leaves, spans
from grokkit.errors import GrokkitError
from grokkit.trees.branching import span_probabilities
from grokkit.trees.projection import PerRun, by_length, induce
from grokkit.values import flag

Block = Float[np.ndarray, "S R n n"]  # charts of sentences of one length
BlockNodes = Int[np.ndarray, "S R n-1 3"]  # of their induced trees
Counts = Float[np.ndarray, "3 R"]  # spans in common, predicted, and in the gold trees
Masks = Bool[np.ndarray, "S n n"]  # True where a span is one of the gold tree


class Parseval(NamedTuple):
    """Shares in 0 .. 1, over all spans of the corpus together (micro average). f1 is the paper's t_parseval."""

    precision: float
    recall: float
    f1: float


def parseval(predicted: Any, gold: Any, root: object = True) -> Parseval:
    """Compares one pair of trees, or two lists of trees as one corpus. Leaves may be words, or their numbers from 0.

    Counted are the different spans of two or more words; root=False leaves out the whole sentence, which any
    tree gets right. Raises GrokkitError where the trees differ in their words or no span is left.

    >>> parseval((0, (1, 2)), (("the", "newt"), "sleeps"))
    Parseval(precision=0.5, recall=0.5, f1=0.5)
    """
    with_root = flag("root", root)
    trees, gold_trees = (one if type(one) is list else [one] for one in (predicted, gold))
    if len(trees) != len(gold_trees):
        for tree in (*trees, *gold_trees):
            checked_leaves(tree)  # lists and texts are refused by their type
        raise GrokkitError(
            f"{len(trees)} predicted and {len(gold_trees)} gold trees: give them in pairs (a list is a list of trees;"
            f" {HOW_TO_READ})"
        )
    common = found = wanted = 0
    for number, (one, other) in enumerate(zip(trees, gold_trees, strict=True)):
        (mine, words), (theirs, gold_words) = counted_spans(one, with_root), counted_spans(other, with_root)
        if len(words) != len(gold_words):
            raise GrokkitError(f"tree {number}: {len(words)} words predicted, {len(gold_words)} in the gold tree")
        check_words(f"tree {number}", words, gold_words)
        common, found, wanted = common + len(mine & theirs), found + len(mine), wanted + len(theirs)
    f1 = f1_score(common, found, wanted)
    return Parseval(common / found, common / wanted, f1)


def t_parseval(charts: Sequence[np.ndarray], gold: Sequence, tree: str = "greedy", root: bool = True) -> PerRun:
    """F1 of the trees of R runs against gold trees: `project` and `parseval`, for many charts at once.

    charts: one array [R, n, n] a sentence; gold: its tree. nan for a run whose charts hold nan.
    """
    if len(charts) != len(gold):
        raise GrokkitError(f"{len(charts)} charts and {len(gold)} gold trees: give them in pairs")
    counts = [
        count_spans(block, induce(block, tree), np.stack([gold_mask(gold[s], block.shape[-1]) for s in which]), root)
        for which, block in by_length(charts)
    ]
    return f1_score(*np.sum(counts, axis=0))


def expected_parseval(gold: list[Tree]) -> float:
    """F1 that random top-down trees get on average over all draws: the "random" baseline, without drawing.

    Exact, since random binary trees all have the same number of spans.
    """
    common = found = wanted = 0.0
    for tree in gold:
        theirs, words = counted_spans(tree)
        probability = span_probabilities(len(words), "uniform-splits")
        common += sum(probability[span] for span in theirs)
        found += len(words) - 1
        wanted += len(theirs)
    return float(f1_score(common, found, wanted))


def counted_spans(tree: Any, root: bool = True) -> tuple[set[tuple[int, int]], list]:
    """The spans (first, last) that PARSEVAL counts, those of two or more words, and the tree's words."""
    words = checked_leaves(tree)
    found = {(i, j) for i, j in spans(tree) if i < j and (root or j - i < len(words) - 1)}
    return found, words


def check_words(what: str, words: Sequence, gold_words: Sequence) -> None:
    """GrokkitError, which names `what`, where both have as many words (no numbers) and they differ in one."""
    differ = len(words) == len(gold_words) and words != gold_words
    if differ and isinstance(words[0], str) and isinstance(gold_words[0], str):
        place = next(i for i, pair in enumerate(zip(words, gold_words, strict=True)) if pair[0] != pair[1])
        raise GrokkitError(
            f"{what}, {' '.join(words)[:60]!r}: its word {place} is {words[place]!r}, in the gold tree"
            f" {gold_words[place]!r}: give trees of the same words, and sentences in the same order"
        )


def gold_mask(tree: Any, n: int) -> Bool[np.ndarray, "n n"]:
    """True at [i, j] where [i..j] is a span of two or more words of a tree.

    Raises GrokkitError for a tree that has not n words.
    """
    found, words = counted_spans(tree)
    if len(words) != n:
        raise GrokkitError(f"a gold tree has {len(words)} words where its sentence has {n}: {str(tree)[:60]}")
    mask = np.zeros((n, n), dtype=bool)
    for span in found:
        mask[span] = True
    return mask


def count_spans(block: Block, nodes: BlockNodes, masks: Masks, root: bool) -> Counts:
    """The arguments of `f1_score`, for charts, their induced trees, and the masks of the gold trees.

    Spans in common are nan for a run with a nan where a similarity should be.
    """
    S, R, n, _ = block.shape
    kept = nodes if root else nodes[:, :, 1:]  # the root is the first of the nodes
    common = masks[np.arange(S)[:, None, None], kept[..., 0], kept[..., 2]].sum(axis=(0, 2))
    failed = np.isnan(block[..., *np.triu_indices(n)]).any(axis=(0, 2))
    wanted = masks.sum() - (0 if root else masks[:, 0, -1].sum())
    return np.stack([np.where(failed, np.nan, common), np.full(R, S * kept.shape[2]), np.full(R, wanted)])


def f1_score(common, found, wanted):
    """F1 from numbers of spans, or arrays of them: in common, predicted, and in the gold trees."""
    if not np.all(found) or not np.all(wanted):
        raise GrokkitError(f"no span of two or more words to compare: give trees of longer sentences ({HOW_TO_READ})")
    return 2 * common / (found + wanted)
