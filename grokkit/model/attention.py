"""Causal self-attention: its weights, and the whole of it for packed batches with its gradient written out.

Written out, the gradient of a packed batch needs no copies between rows and sentences but two gathers, and no sums
over padding. That is most of what small models spend beside their matrix products.

Dimension letters: R runs, N rows, T places of a sentence, H heads, d = D / H.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from grokkit.model.dropout import Dropout
from grokkit.model.packing import Packed


def attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """Causal attention weights of q, k [.., T, d]: [.., T, T], float32 or wider."""
    length = q.shape[-2]
    # one pass: scaled products plus -inf on the future
    future = torch.full((length, length), -math.inf, device=q.device, dtype=q.dtype).triu(1)
    scores = torch.baddbmm(future, q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
    return torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))


def masked_weights(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """Attention weights of q [.., T, d] on k [.., S, d] where mask bool [.., T, S] is True: [.., T, S]."""
    scores = (q @ k.transpose(-1, -2)).mul_(q.shape[-1] ** -0.5).masked_fill_(~mask, -math.inf)
    return torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))


class PackedAttention(torch.autograd.Function):
    """Rows of query, key and value, [R N 3 H, d] -> rows of what each token reads, [R N H, d]."""

    @staticmethod
    def forward(ctx, vectors: Tensor, batch: Packed, runs: int, heads: int, dropout: Dropout | None) -> Tensor:
        with torch.autocast(vectors.device.type, enabled=False):
            vectors = vectors.index_select(0, batch.to_sentences[0])
            read = vectors.new_empty(len(vectors) // 3, vectors.shape[1])
            ctx.batch, ctx.runs, ctx.heads = batch, runs, heads
            weights, used = [], []  # before and after dropout
            for first, (q, k, v), places in _groups(batch, runs, heads, vectors, read):
                weights.append(attention_weights(q, k))
                used.append(weights[-1])
                if dropout:
                    by_run = weights[-1].view(runs, -1, heads, *weights[-1].shape[1:])
                    used[-1] = dropout.attention(by_run, first).view(weights[-1].shape)
                torch.bmm(used[-1].to(v.dtype), v, out=places)
            ctx.save_for_backward(vectors, read, *weights, *used)
            return read.index_select(0, batch.to_rows[0])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        vectors, read, *saved = ctx.saved_tensors
        weights, used = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        batch = ctx.batch
        gradient = gradient.index_select(0, batch.to_rows[1])
        # sum over each row of weights times their gradient, which the softmax takes off; dropout cancels in it
        shares = (gradient * read).sum(-1, dtype=weights[0].dtype)
        back = torch.empty_like(vectors)
        groups = zip(
            _groups(batch, ctx.runs, ctx.heads, vectors, gradient),
            _groups(batch, ctx.runs, ctx.heads, back, shares),
        )
        for number, ((_, (q, k, v), of_read), (_, (of_q, of_k, of_v), share)) in enumerate(groups):
            torch.bmm(used[number].to(v.dtype).transpose(1, 2), of_read, out=of_v)
            of_used = torch.bmm(of_read, v.transpose(1, 2)).to(share.dtype)
            of_scores = of_used.mul_(used[number]).addcmul_(share.unsqueeze(-1), weights[number], value=-1)
            of_scores = of_scores.to(q.dtype)
            scale = q.shape[-1] ** -0.5
            torch.baddbmm(of_q, of_scores, k, beta=0, alpha=scale, out=of_q)
            torch.baddbmm(of_k, of_scores.transpose(1, 2), q, beta=0, alpha=scale, out=of_k)
        return back.index_select(0, batch.to_sentences[1]), None, None, None, None


def _groups(batch: Packed, runs: int, heads: int, vectors: Tensor, places: Tensor) -> Iterator[tuple]:
    """For each group of sentences: the number of its first, query, key and value [R b H, T, d], and `places` of it."""
    first = start = 0
    for sentences, width in batch.shape.groups:
        end = start + runs * sentences * heads * width
        yield (
            first,
            vectors[3 * start : 3 * end].view(3, -1, width, vectors.shape[1]).unbind(),
            places[start:end].view(-1, width, *places.shape[1:]),
        )
        first, start = first + sentences, end
