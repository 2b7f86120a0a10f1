"""Span contextual invariance: how much the vector of a span changes when the model sees nothing but the span.

The contextual vector of a span is the sum of the last-layer vectors of its words in the sentence [BOS, w1 ..
wn]. The context-free vector is the same sum when, at all layers, words of the span attend to nothing outside
it but BOS, at the positions that they have in the sentence. A chart holds the cosine of the two for every
span (DEVIATIONS.md, D52; paper, Appendix C).

Exact shortcut: attention is causal, so all spans that begin with word i are prefixes of one forward pass over
[BOS, w_i .. w_n] with the positions 0, i, i + 1, .. n; cumulative sums over its vectors give the context-free
vectors of all of them. That makes n passes of decreasing length instead of n (n + 1) / 2 over whole
sentences.

Dimension letters: R runs, B batch, m or n words, D model width.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from grokkit.errors import GrokkitError
from grokkit.model import TransformerStack

# Floats that one pass, and the stored contextual vectors, may hold at a time. On a CPU few, so that they stay
# in its caches; on an accelerator many, so that it has work.
_PASS = {"cpu": 2**20, "other": 2**26}
_STORE = {"cpu": 2**25, "other": 2**28}


@torch.no_grad()
def sci_charts(stack: TransformerStack, sentences: Sequence[str], vocab) -> list[np.ndarray]:
    """Charts of all runs: a list, one float32 array [R, n, n] a sentence of n words, in the order given.

    At [r, i, j] is the similarity (cosine, -1 .. 1) of the span of the words i .. j (from 0, both included)
    in run r; nan below the diagonal. Spans that begin the sentence have exactly 1, by causality.
    sentences: words parted by spaces, taken as they are: strip label and final punctuation before.
    Raises GrokkitError for an empty sentence or a word that is not in the vocabulary.
    """
    coded = encode_all(sentences, vocab)
    sizes = np.array([len(words) for words in coded], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes**2)])  # of each sentence's chart in the flat table
    flat = torch.full((stack.runs, int(starts[-1])), torch.nan, device=stack.device)
    for chunk in _chunks(sizes, _limit(_STORE, stack) // (stack.runs * stack.config.width)):
        _fill(flat, stack, vocab.bos, [coded[s] for s in chunk], starts[chunk])
    table = flat.cpu().numpy()
    return [table[:, start : start + n * n].reshape(-1, n, n) for start, n in zip(starts, sizes)]


def encode_all(sentences: Sequence[str], vocab) -> list[np.ndarray]:
    """Word numbers of each sentence, int64 [n]; refuses sentences without words."""
    coded = [np.array(vocab.encode(sentence), dtype=np.int64) for sentence in sentences]
    for number, words in enumerate(coded):
        if not len(words):
            raise GrokkitError(f"sentence {number} is empty: leave empty sentences out")
    return coded


def batches_of_equal_length(coded: Sequence[np.ndarray], bos: int, stack: TransformerStack) -> Iterator:
    """Yields (which: int [B], tokens: int64 tensor [B, n + 1] with BOS in front) for sentences of one length
    n."""
    sizes = np.array([len(words) for words in coded], dtype=np.int64)
    for n in np.unique(sizes):
        which = np.flatnonzero(sizes == n)
        rows = rows_at_once(stack, int(n) + 1)
        for start in range(0, len(which), rows):
            part = which[start : start + rows]
            words = np.stack([coded[s] for s in part])
            yield part, torch.from_numpy(np.insert(words, 0, bos, axis=1)).to(stack.device)


def rows_at_once(stack: TransformerStack, tokens: int) -> int:
    """How many rows of so many tokens a forward pass may take within the bound on memory."""
    config = stack.config
    widest = max(config.ffn_width, 3 * config.width, config.heads * tokens)
    return max(1, _limit(_PASS, stack) // (stack.runs * tokens * widest))


def _limit(limits: dict[str, int], stack: TransformerStack) -> int:
    return limits.get(stack.device.type, limits["other"])


def _chunks(sizes: np.ndarray, words: int) -> Iterator[np.ndarray]:
    """Parts the sentences, in order, so that each part has about `words` words, and at least one sentence."""
    part = np.cumsum(sizes) // max(1, words)
    for number in np.unique(part):
        yield np.flatnonzero(part == number)


def _fill(flat: Tensor, stack: TransformerStack, bos: int, coded: list[np.ndarray],
          starts: np.ndarray) -> None:
    """Writes the charts of some sentences into the flat table [R, cells]; starts: the cell of each one's [0,
    0]."""
    sizes = np.array([len(words) for words in coded], dtype=np.int64)
    offsets = np.cumsum(sizes) - sizes  # where each sentence's words begin in `context`
    context = torch.empty(stack.runs, int(sizes.sum()), stack.config.width, device=stack.device)
    for which, tokens in batches_of_equal_length(coded, bos, stack):
        words = np.arange(tokens.shape[1] - 1)
        vectors = stack.hidden(tokens)[:, :, 1:].float()
        context[:, _index(offsets[which, None] + words, stack)] = vectors
        # where a run has failed nan must stay nan; elsewhere the two vectors are one and the same
        ones = torch.where(vectors.cumsum(2).isfinite().all(-1), 1.0, torch.nan)
        flat[:, _index(starts[which, None] + words, stack)] = ones
    for m in range(1, int(sizes.max(initial=1))):
        which = np.flatnonzero(sizes > m)
        first = sizes[which] - m  # the last m words, from this one on
        keys = np.stack([np.concatenate([[i + 1], coded[s][i:]]) for s, i in zip(which, first)])
        cells = (starts[which] + first * sizes[which] + first)[:, None] + np.arange(m)
        places = (offsets[which] + first)[:, None] + np.arange(m)
        for rows, passes, expand in _distinct(keys, rows_at_once(stack, m + 1)):
            tokens, positions = passes.copy(), passes[:, :1] + np.arange(-1, m)
            tokens[:, 0], positions[:, 0] = bos, 0
            vectors = stack.hidden(_index(tokens, stack), _index(positions, stack))[:, :, 1:].float()
            alone = vectors.cumsum(2)[:, _index(expand, stack)]
            within = context[:, _index(places[rows], stack)].cumsum(2)
            flat[:, _index(cells[rows], stack)] = F.cosine_similarity(alone, within, dim=-1)


def _distinct(keys: np.ndarray, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Batches of at most `rows` keys [N, k], equal keys side by side, so that each is computed once.

    Yields (which rows of `keys`, the different keys among them, for each row the one that is its own).
    """
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(inverse, kind="stable")
    for start in range(0, len(order), rows):
        part = order[start : start + rows]
        own = inverse[part]
        yield part, unique[own[0] : own[-1] + 1], own - own[0]


def _index(values: np.ndarray, stack: TransformerStack) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(stack.device)
