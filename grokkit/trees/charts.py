"""Span contextual invariance: how much the vector of a span changes when the model sees nothing but the span.

The contextual vector of a span is the sum of the last-layer vectors of its words in the sentence [BOS, w1 ..
wn]. The context-free vector is the same sum when, at all layers, words of the span attend to nothing outside
it but BOS, at the positions that they have in the sentence. A chart holds the cosine of the two for every
span (DEVIATIONS.md, D52; paper, Appendix C).

Exact shortcut: attention is causal, so all spans that begin with word i are prefixes of one forward pass over
[BOS, w_i .. w_n] with the positions 0, i, i + 1, .. n; cumulative sums over its vectors give the context-free
vectors of all of them. That makes n passes of decreasing length instead of n (n + 1) / 2 over whole
sentences. Passes begin alike in many sentences, and what they have in common is computed once (model.prefix_trie):
of 10,000 question sources, 233,056 words instead of 467,552.

Dimension letters: R runs, S sentences, n words, P prefixes, D model width.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int64
from torch import Tensor

from grokkit.data.corpus import Vocabulary
from grokkit.errors import GrokkitError
from grokkit.model.memory import room
from grokkit.model.prefix_trie import PrefixTree, by_width, floats_at_once, rows_at_once
from grokkit.model.transformer import TransformerStack

Chart = Float32[np.ndarray, "R n n"]
WordIds = Int64[np.ndarray, "n"]

# Floats that the stored vectors of suffixes may hold at a time, where that is not half of the `room`.
_STORE = {"cpu": 2**28}


@torch.no_grad()
def sci_charts(stack: TransformerStack, sentences: Sequence[str], vocab: Vocabulary) -> list[Chart]:
    """Charts of all runs, one for each sentence of n words, in the order given.

    At [r, i, j] is the similarity (cosine, -1 .. 1) of the span of the words i .. j (from 0, both included)
    in run r; nan below the diagonal. Spans that begin the sentence have exactly 1, by causality.
    sentences: words separated by spaces, taken as they are: strip label and final punctuation before.
    Raises GrokkitError for an empty sentence or a word that is not in the vocabulary.
    """
    coded = encode_all(sentences, vocab)
    sizes = np.array([len(words) for words in coded], dtype=np.int64)
    charts: list = [None] * len(coded)
    floats = sizes * (sizes + 3) // 2 * stack.runs * stack.config.width  # at most, without common prefixes
    part = np.cumsum(floats) // (_STORE.get(stack.device.type) or room(stack) // 8)
    for number in np.unique(part):
        own = np.flatnonzero(part == number)
        vectors, numbers, begins = _suffix_vectors(stack, vocab.bos, [coded[s] for s in own])
        offsets = np.cumsum(sizes[own]) - sizes[own]  # of each sentence's first suffix, the whole sentence
        for n in np.unique(sizes[own]):
            same = np.flatnonzero(sizes[own] == n)
            at_once = max(1, floats_at_once(stack) // (stack.runs * int(n) * stack.config.width))
            for start in range(0, len(same), at_once):
                which = same[start : start + at_once]
                block = _block(vectors, numbers, begins[offsets[which, None] + np.arange(n)])
                for s, chart in zip(own[which], block.cpu().numpy()):
                    charts[s] = chart
    return charts


def encode_all(sentences: Sequence[str], vocab: Vocabulary) -> list[WordIds]:
    """Word numbers of each sentence, one or several; refuses sentences without words."""
    one_or_more = [sentences] if isinstance(sentences, str) else sentences
    coded = [np.array(vocab.encode(sentence), dtype=np.int64) for sentence in one_or_more]
    for number, words in enumerate(coded):
        if not len(words):
            raise GrokkitError(f"sentence {number} is empty: leave empty sentences out")
    return coded


def _block(vectors: Tensor, numbers: np.ndarray, begins: np.ndarray) -> Tensor:
    """Charts [S, R, n, n] of sentences of one length; begins [S, n]: where in `numbers` their suffixes are."""

    def of_suffix(i: int) -> Tensor:  # [R, S, n - i, D]
        own = numbers[begins[:, i, None] + np.arange(begins.shape[1] - i)]
        return vectors[:, torch.from_numpy(own).to(vectors.device)]

    n = begins.shape[1]
    context = of_suffix(0)
    chart = torch.full((len(begins), len(vectors), n, n), torch.nan, device=vectors.device)
    # where a run has failed nan must stay nan; elsewhere the two vectors are one and the same
    chart[:, :, 0] = torch.where(context.cumsum(2).isfinite().all(-1), 1.0, torch.nan).transpose(0, 1)
    for i in range(1, n):
        alone, within = of_suffix(i).cumsum(2), context[:, :, i:].cumsum(2)
        chart[:, :, i, i:] = F.cosine_similarity(alone, within, dim=-1).transpose(0, 1)
    return chart


def _suffix_vectors(
    stack: TransformerStack, bos: int, coded: list[np.ndarray]
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Last-layer vectors of the words of all suffixes of sentences, as if nothing but BOS stood before.

    Returns the different vectors [R, P, D]; which of them each word has, int64, suffix after suffix; and where each
    suffix begins in there, int64 [suffixes].
    """
    _, lengths = _suffixes(coded)
    begins = np.cumsum(lengths) - lengths
    numbers = np.empty(int(lengths.sum()), dtype=np.int64)
    trees = list(suffix_trees(coded, bos))
    count = sum(tree.count for *_, tree in trees)
    vectors = torch.empty(stack.runs, count, stack.config.width, device=stack.device)
    count = 0
    for which, width, tree in trees:
        table = vectors[:, count : count + tree.count]
        for batch in tree.passes(width, rows_at_once(stack, width), stack.device):
            hidden = stack.hidden(batch.tokens, batch.positions, mask=batch.mask)
            table[:, batch.prefixes] = hidden.flatten(1, 2)[:, batch.new]
        own = tree.numbers[:, 1:]  # without BOS
        cells = begins[which, None] + np.arange(own.shape[1])
        numbers[cells[own >= 0]] = count + own[own >= 0]
        count += tree.count
    return vectors, numbers, begins


def suffix_trees(coded: list[np.ndarray], bos: int) -> Iterator[tuple[np.ndarray, int, PrefixTree]]:
    """All suffixes of sentences in prefix trees: (which suffixes, the width of passes, their tree)."""
    words = np.concatenate(coded)
    starts, lengths = _suffixes(coded)
    for which, width in by_width(lengths + 1):
        column = np.arange(lengths[which].max())
        rows = words[np.minimum(which[:, None] + column, len(words) - 1)]  # suffix k begins with word k of all
        rows = np.where(column < lengths[which, None], rows, -1)
        yield which, width, PrefixTree(np.insert(rows, 0, bos, axis=1), starts[which] + 1)


def _suffixes(coded: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Where in its sentence each suffix of all sentences begins, and its number of words; both int64 [suffixes]."""
    sizes = np.array([len(words) for words in coded], dtype=np.int64)
    starts = np.concatenate([np.arange(n) for n in sizes])
    return starts, np.repeat(sizes, sizes) - starts
