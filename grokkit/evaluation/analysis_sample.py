"""The sentences that the analysis looks at: one fixed sample of training sources for all checkpoints and depths."""

from dataclasses import dataclass

import torch

from grokkit.config import Config
from grokkit.data import TASKS, Corpus, NoGoldTrees
from grokkit.randomness import generator


@dataclass(frozen=True)
class AnalysisSample:
    """Sentences without label and final punctuation, and their gold trees (None for Dyck)."""

    sentences: list[str]
    gold_trees: list | None


def analysis_sample(corpus: Corpus, config: Config) -> AnalysisSample:
    """`config.analysis_sentences` training sources, drawn from (data_seed, "analysis") alone.

    question: sources of quest lines only; tense: all sources, past-tense side; dyck: whole strings.
    Source: DEVIATIONS.md, D53; paper, Section 4.1.
    """
    train = corpus["train"]
    if train.sources:
        keep = [config.task != "question" or label == "quest" for label in train.labels]
        pool = [source.removesuffix(" .") for source, kept in zip(train.sources, keep) if kept]
    else:
        pool = train.lines
    order = torch.randperm(len(pool), generator=generator(config.data_seed, "analysis"))
    sentences = [pool[i] for i in order[: config.analysis_sentences].tolist()]
    try:
        return AnalysisSample(sentences, [TASKS[config.task].gold_tree(sentence) for sentence in sentences])
    except NoGoldTrees:
        return AnalysisSample(sentences, None)
