"""Everything of the paper's Section 4 at one moment of a training, as one number a run: what training tabulates.

It is measured on one fixed sample of training sentences, the same for all checkpoints and depths.

Dimension letters: R runs, S sentences, n words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from grokkit.config import Config
from grokkit.data import Corpus, NoGoldTrees
from grokkit.data.files import task_of
from grokkit.data.tree import Tree, checked_leaves, leaves
from grokkit.errors import GrokkitError
from grokkit.evaluation.internals import attention_sparsity, released_attention_entropy, weight_norms
from grokkit.model.transformer import TransformerStack
from grokkit.randomness import generator
from grokkit.trees.branching import balanced, left_branching, right_branching
from grokkit.trees.charts import sci_charts
from grokkit.trees.parseval import check_words, count_spans, expected_parseval, f1_score, gold_mask, parseval
from grokkit.trees.projection import by_length, expected_similarity, induce, tree_similarity, without_prefix_spans

# column -> (tree, baseline, prefix spans) of `t_score`
T_SCORES = {
    "t_score": ("greedy", "induced", True),
    "t_score_exact": ("exact", "induced", True),
    "t_score_uniform_splits": ("greedy", "uniform-splits", True),
    "t_score_uniform_trees": ("greedy", "uniform-trees", True),
    # with the induced baseline prefix spans cancel, so that leaving them out would repeat t_score
    "t_score_uniform_trees_no_prefix": ("greedy", "uniform-trees", False),
}
# column -> (tree, whole-sentence span counted) of `t_parseval`
T_PARSEVALS = {
    "t_parseval": ("greedy", True),
    "t_parseval_no_root": ("greedy", False),
    "t_parseval_exact": ("exact", True),
}


@dataclass(frozen=True)
class AnalysisSample:
    """Sentences without label and final punctuation, words parted by spaces, and their gold trees (None for Dyck)."""

    sentences: Sequence[str]
    gold_trees: Sequence[Tree] | None

    @cached_property
    def gold_masks(self) -> list[np.ndarray] | None:
        """Of each gold tree its `gold_mask`. GrokkitError where sentences and trees differ in number or words."""
        if self.gold_trees is None:
            return None
        if len(self.gold_trees) != len(self.sentences):
            raise GrokkitError(
                f"{len(self.sentences)} sentences but {len(self.gold_trees)} gold trees: give them in pairs"
            )
        words = [sentence.split() for sentence in self.sentences]
        for number, (own, tree) in enumerate(zip(words, self.gold_trees)):
            check_words(f"sentence {number}", own, checked_leaves(tree))
        return [gold_mask(tree, len(own)) for own, tree in zip(words, self.gold_trees)]


def analysis_sample(corpus: Corpus, config: Config) -> AnalysisSample:
    """`config.analysis_sentences` training sources, drawn from (data_seed, "analysis") alone.

    question: sources of quest lines only; tense: all sources, past-tense side; dyck: whole strings; own files: all.
    Source: DEVIATIONS.md, D53; paper, Section 4.1.
    """
    train = corpus["train"]
    pool = train.lines
    if train.sources:
        lines = zip(train.sources, train.labels)
        pool = [source.removesuffix(" .") for source, label in lines if label == "quest" or config.task != "question"]
    order = torch.randperm(len(pool), generator=generator(config.data_seed, "analysis"))
    sentences = [pool[i] for i in order[: config.analysis_sentences].tolist()]
    try:
        gold_tree = task_of(config).gold_tree
        return AnalysisSample(sentences, [gold_tree(sentence) for sentence in sentences])
    except NoGoldTrees:
        return AnalysisSample(sentences, None)


def analyse(stack: TransformerStack, sample: AnalysisSample, vocab) -> dict[str, np.ndarray]:
    """Weight norms, attention sparsity and tree scores of all runs: name -> float [R], nan for a run that failed.

    Without gold trees the t_parseval columns are nan.
    Raises GrokkitError where sentences and trees differ in number or words, and for empty or unknown sentences.
    """
    masks, sentences = sample.gold_masks, sample.sentences
    table = weight_norms(stack).drop(columns="seed")
    result = {name: table[name].to_numpy() for name in table}
    result["attention_sparsity"] = attention_sparsity(stack, sentences, vocab)
    result["attention_sparsity_released"] = released_attention_entropy(stack, sentences, vocab)
    return result | tree_scores(sci_charts(stack, sentences, vocab), masks)


def tree_scores(charts: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None) -> dict[str, np.ndarray]:
    """All columns of T_SCORES and T_PARSEVALS from charts [R, n, n] and gold masks; each tree is induced once."""
    runs = charts[0].shape[0]
    scores = {name: np.zeros(runs) for name in T_SCORES}
    counts = {name: np.zeros((3, runs)) for name in T_PARSEVALS}  # spans in common, predicted, gold
    for which, block in by_length(charts):
        blocks = {True: block, False: without_prefix_spans(block)}
        # the greedy tree is the same without prefix spans: they add 1 to every split of a node
        nodes = {tree: induce(block, tree) for tree in ("greedy", "exact")}
        for name, (tree, baseline, prefix) in T_SCORES.items():
            part, chosen = blocks[prefix], nodes[tree]
            above = tree_similarity(part, chosen) - expected_similarity(part, chosen, baseline)
            scores[name] += above.sum(axis=0)
        if masks is not None:
            gold = np.stack([masks[s] for s in which])
            for name, (tree, root) in T_PARSEVALS.items():
                counts[name] += count_spans(block, nodes[tree], gold, root)
    result = {name: total / len(charts) for name, total in scores.items()}
    for name in T_PARSEVALS:
        result[name] = np.full(runs, np.nan) if masks is None else f1_score(*counts[name])
    return result


def branching_baselines(gold_trees: Sequence[Tree]) -> dict[str, float]:
    """What trees that know no model score on a sample, as Figure 4 draws it; training does not change it.

    The columns t_parseval_right, _left, _balanced and _random (the mean over uniform top-down trees), F1 in 0 .. 1.
    """
    gold = list(gold_trees)
    lengths = [len(leaves(tree)) for tree in gold]
    baselines = {"right": right_branching, "left": left_branching, "balanced": balanced}
    scores = {name: parseval([build(n) for n in lengths], gold).f1 for name, build in baselines.items()}
    scores["random"] = expected_parseval(gold)
    return {f"t_parseval_{name}": score for name, score in scores.items()}
