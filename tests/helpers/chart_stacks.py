"""A few sentences, and stacks with uneven weights, for tests of charts and attention."""

import torch

from grokkit.config import Config
from grokkit.data.corpus import Vocabulary
from grokkit.model.transformer import TransformerStack
from grokkit.trees.charts import encode_all, suffix_trees

VOCAB = Vocabulary("the a newt newts who sleeps sees near".split())


SENTENCES = [
    "the newt sleeps",
    "the newt who sleeps sees a newt near the newts",
    "newts",
    "a newt sees the newts",
    "the newt who the newts sees sleeps near a newt",
    "the newt sleeps",
    "a newt sees the newt",
    "sees sleeps",
]


def stack_of(seeds=(1, 2), depth=3, width=16, scale=1.0, **changes) -> TransformerStack:
    config = Config("test", "question", depth, vocabulary_size=VOCAB.size, width=width, heads=4, ffn_width=24)
    stack = TransformerStack(config.replace(**changes), seeds)
    for name, weight in stack.weights.items():
        if "norm" in name:  # so that a mix-up of the two layer norms shows
            weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name)))
        if name.endswith("qkv"):  # sharper attention than at initialization
            weight *= scale
    return stack


def tokens_to_compute(sentences, vocab) -> int:
    """How many tokens `sci_charts` must run a model on, at least: each different beginning of a suffix once."""
    return sum(tree.count for *_, tree in suffix_trees(encode_all(sentences, vocab), vocab.bos))
