"""What the paper reads off a model's inside besides trees: weight norms and the entropy of its attention.

Both are measured as the paper defines them, and as its released code does, so that the two can be compared
(DEVIATIONS.md, D44 to D47).

Dimension letters: R runs, B batch, T tokens, D model width, F feed-forward width, H heads, L layers.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.model.attention import masked_weights
from grokkit.model.prefix_trie import Passes, PrefixTree, by_width, rows_at_once
from grokkit.model.transformer import TransformerStack, sinusoids
from grokkit.trees.charts import encode_all

DEAD_LAYERS = 6  # layers of the decoder that the released code builds and never uses


def weight_norms(stack: TransformerStack) -> pd.DataFrame:
    """L2 norms of the parameters, one row a run, in the order of the stack (column seed).

    weight_norm: of the parameters that are used, divided by L (paper, Section 4.1);
    weight_norm_total: not divided;
    weight_norm_sqrt: divided by sqrt(L), which is flat in depth at initialization;
    weight_norm_rms: root mean square of a parameter;
    weight_norm_released: the published definition, which counts the unused decoder, divided by L.
    """
    square = np.zeros(stack.runs)
    for weight in stack.weights.values():
        square += weight.detach().flatten(1).to(_sum_dtype(stack)).square().sum(1).cpu().numpy()
    depth = stack.config.depth
    norms = {
        "weight_norm": np.sqrt(square) / depth,
        "weight_norm_total": np.sqrt(square),
        "weight_norm_sqrt": np.sqrt(square / depth),
        "weight_norm_rms": np.sqrt(square / stack.parameter_count()),
        "weight_norm_released": np.sqrt(square + dead_decoder_square(stack.config)) / depth,
    }
    return pd.DataFrame({"seed": stack.seeds, **norms})


def dead_decoder_square(config: Config) -> float:
    """Expected squared L2 norm of the decoder that the released code builds and never uses nor trains.

    Six post-LN layers, as wide as the model: self- and cross-attention (four D x D matrices each, no biases),
    two feed-forward layers, three layer norms. Each matrix is Xavier-uniform: a x b entries of variance 2 /
    (a + b), the first feed-forward one with the ReLU gain, hence doubled; biases have torch's default
    variance 1 / (3 fan_in); the layer norms' weights are 1. A constant: its draw differs from it by less than
    0.1 % at D = 512.
    """
    width, hidden = config.width, config.ffn_width
    attention = 2 * 4 * width  # D x D entries of variance 1 / D
    feed_forward = (2 + 1) * 2 * width * hidden / (width + hidden)
    biases = hidden / (3 * width) + width / (3 * hidden)
    return DEAD_LAYERS * (attention + feed_forward + biases + 3 * width)


@torch.no_grad()
def attention_entropy(stack: TransformerStack, sentences: Sequence[str], vocab) -> pd.DataFrame:
    """Mean negative entropy of the attention of the real forward pass over [BOS, w1 .. wn].

    One row a run, layer and head (columns seed, layer, head, negative_entropy; layers and heads from 1, the
    lowest layer first). In nats, 0 where each token looks at one single token, below 0 otherwise. The mean is
    over the distributions of all tokens of all sentences, the one of BOS (which can only look at itself)
    included.
    sentences: words parted by spaces, taken as they are.
    Raises GrokkitError for no sentences, an empty one, or a word that is not in the vocabulary.
    Source: paper, Section 4, "Attention Sparsity".
    """
    config = stack.config
    total = torch.zeros(stack.runs, config.depth, config.heads, dtype=_sum_dtype(stack), device=stack.device)
    distributions = 0
    for batch, counts in _prefix_batches(stack, sentences, vocab):
        for layer, weights in enumerate(stack.attention(batch.tokens, batch.positions, batch.mask)):
            entropies = _entropy(weights).transpose(1, 2).flatten(2)[..., batch.new]  # [R, H, new]
            total[:, layer] -= entropies.to(total.dtype) @ counts
        distributions += counts.sum()
    levels = stack.seeds, range(1, config.depth + 1), range(1, config.heads + 1)
    index = pd.MultiIndex.from_product(levels, names=["seed", "layer", "head"])
    means = (total / distributions).flatten().cpu().numpy()
    return pd.Series(means, index, name="negative_entropy").reset_index()


def attention_sparsity(stack: TransformerStack, sentences: Sequence[str], vocab) -> np.ndarray:
    """The paper's number, float [R], in nats: the mean of `attention_entropy` over layers and heads."""
    table = attention_entropy(stack, sentences, vocab)
    return table["negative_entropy"].to_numpy().reshape(stack.runs, -1).mean(axis=1)


@torch.no_grad()
def released_attention_entropy(stack: TransformerStack, sentences: Sequence[str], vocab) -> np.ndarray:
    """What the released code reports as attention sparsity, float [R]; positive, in nats a sentence.

    Every layer looks at the embeddings, never at the layer below; heads are averaged before the entropy is
    taken; entropies are summed over the tokens of a sentence (BOS included) and averaged over layers and
    sentences. So it grows with the length of the sentences, and it is not the attention of the model from the
    second layer on. Arguments and errors as of `attention_entropy`.
    """
    total = torch.zeros(stack.runs, dtype=_sum_dtype(stack), device=stack.device)
    for batch, counts in _prefix_batches(stack, sentences, vocab):
        embedded = stack.weights["embedding"][:, batch.tokens] * math.sqrt(stack.config.width)
        embedded = embedded + sinusoids(batch.positions, stack.config.width)
        for layer in range(stack.config.depth):
            averaged = _attention_on(stack, layer, embedded, batch.mask).mean(2)
            total += _entropy(averaged).flatten(1)[:, batch.new].to(total.dtype) @ counts
    return (total / (len(sentences) * stack.config.depth)).cpu().numpy()


def _attention_on(stack: TransformerStack, layer: int, x: Tensor, mask: Tensor) -> Tensor:
    """Attention weights [R, B, H, T, T] of one layer if x [R, B, T, D] were its input. mask: bool [B, T, T]."""
    runs, batch, length, width = x.shape
    qk = x.flatten(1, 2) @ stack.weights[f"layers.{layer}.qkv"][..., : 2 * width]
    q, k = qk.view(runs, batch, length, 2, stack.config.heads, -1).permute(3, 0, 1, 4, 2, 5)
    return masked_weights(q, k, mask.unsqueeze(1))


def _entropy(weights: Tensor) -> Tensor:
    """Distributions [..., T] -> entropies [...] in nats."""
    return torch.special.entr(weights).sum(-1)


def _sum_dtype(stack: TransformerStack) -> torch.dtype:
    """What sums over millions of numbers are taken in: float64, which Apple's devices do not have."""
    return torch.float32 if stack.device.type == "mps" else torch.float64


def _prefix_batches(stack: TransformerStack, sentences: Sequence[str], vocab) -> Iterator[tuple[Passes, Tensor]]:
    """The different beginnings of the sentences [BOS, w1 .. wn] in batches; how many sentences have each, float [n]."""
    if not len(sentences):
        raise GrokkitError("no sentences: give at least one to measure the attention on")
    coded = encode_all(sentences, vocab)
    lengths = np.array([len(words) for words in coded]) + 1
    for which, width in by_width(lengths):
        tokens = np.full((len(which), lengths[which].max()), -1)
        for row, s in zip(tokens, which):
            row[: lengths[s]] = [vocab.bos, *coded[s]]
        trie = PrefixTree(tokens, np.ones(len(tokens), dtype=np.int64))
        counts = torch.from_numpy(np.bincount(trie.numbers[tokens >= 0])).to(stack.device, _sum_dtype(stack))
        for batch in trie.passes(width, rows_at_once(stack, width), stack.device):
            yield batch, counts[batch.prefixes]
