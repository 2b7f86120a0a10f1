"""Causal self-attention: its weights, what is read with them, and the whole of it for packed batches.

For packed batches its gradient is written out: it then needs no copies between rows and sentences but two gathers,
and no sums over padding. That is most of what small models spend beside their matrix products.

Dimension letters: R runs, B batch, N rows, T tokens of a sentence, S tokens that are read, H heads, d = D / H.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from grokkit.model.dropout import Dropout, Hashed
from grokkit.model.packing import Packed


def attention_weights(q: Float[Tensor, "sentences T d"], k: Float[Tensor, "sentences T d"]) -> Tensor:
    """Causal attention weights [.., T, T], float32 or wider."""
    length = q.shape[-2]
    # one pass: scaled products plus -inf on the future
    future = torch.full((length, length), -math.inf, device=q.device, dtype=q.dtype).triu(1)
    scores = torch.baddbmm(future, q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
    return torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))


def masked_weights(
    q: Float[Tensor, "*heads T d"], k: Float[Tensor, "*heads S d"], mask: Bool[Tensor, "..."]
) -> Float[Tensor, "*heads T S"]:
    """Attention weights where mask, broadcastable to them, is True; float32 or wider."""
    scores = (q @ k.transpose(-1, -2)).mul_(q.shape[-1] ** -0.5).masked_fill_(~mask, -math.inf)
    return torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))


def attend(
    q: Float[Tensor, "R B H T d"],
    k: Float[Tensor, "R B H T d"],
    v: Float[Tensor, "R B H T d"],
    mask: Bool[Tensor, "B 1 T T"] | None = None,
) -> Float[Tensor, "R B H T d"]:
    """What each token reads, by torch's fused kernel. mask: where to read; causal by default."""
    if mask is not None:
        mask = mask.expand(*q.shape[:2], 1, -1, -1).flatten(0, 1)
    sentences = (x.flatten(0, 1) for x in (q, k, v))
    return F.scaled_dot_product_attention(*sentences, attn_mask=mask, is_causal=mask is None).view(q.shape)


class PackedAttention(torch.autograd.Function):
    """Rows of query, key and value, [R N 3 H, d] -> rows of what each token reads, [R N H, d]."""

    @staticmethod
    def forward(ctx, vectors: Tensor, batch: Packed, dropout: Dropout | None) -> Tensor:
        with torch.autocast(vectors.device.type, enabled=False):
            vectors = vectors.index_select(0, batch.to_sentences[0])
            read = vectors.new_empty(len(vectors) // 3, vectors.shape[1])
            ctx.batch = batch
            weights, dropped = [], []  # before and after dropout
            for first, (q, k, v), read_here in _groups(batch, vectors, read):
                weights.append(attention_weights(q, k))
                after = weights[-1]
                if dropout:
                    after = dropout.attention(_by_run(after, batch), first).view(after.shape)
                torch.bmm(after.to(v.dtype), v, out=read_here)
                if not isinstance(dropout, Hashed):  # whose decisions are had again for nothing but time
                    dropped.append(after)
            ctx.dropout, ctx.site = dropout, getattr(dropout, "site", None)
            ctx.save_for_backward(vectors, read, *weights, *dropped)
            return read.index_select(0, batch.to_rows[0])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output: Tensor):
        vectors, read, *saved = ctx.saved_tensors
        batch, number = ctx.batch, len(ctx.batch.shape.groups)
        weights, dropped = saved[:number], saved[number:] or [None] * number
        grad_read = grad_output.index_select(0, batch.to_rows[1])
        # sum over each row of weights times their gradient, which the softmax takes off; dropout cancels in it
        delta = (grad_read * read).sum(-1, dtype=weights[0].dtype)
        grad_vectors = torch.empty_like(vectors)
        groups = zip(_groups(batch, vectors, grad_read), _groups(batch, grad_vectors, delta), weights, dropped)
        for (first, (q, k, v), grad_here), (_, (grad_q, grad_k, grad_v), delta_here), before, after in groups:
            if after is None:
                after = ctx.dropout.attention(_by_run(before, batch), first, ctx.site).view(before.shape)
            torch.bmm(after.to(v.dtype).transpose(1, 2), grad_here, out=grad_v)
            grad_after = torch.bmm(grad_here, v.transpose(1, 2)).to(delta.dtype)
            grad_scores = grad_after.mul_(after).addcmul_(delta_here.unsqueeze(-1), before, value=-1).to(q.dtype)
            scale = q.shape[-1] ** -0.5
            torch.baddbmm(grad_q, grad_scores, k, beta=0, alpha=scale, out=grad_q)
            torch.baddbmm(grad_k, grad_scores.transpose(1, 2), q, beta=0, alpha=scale, out=grad_k)
        return grad_vectors.index_select(0, batch.to_sentences[1]), None, None


def _by_run(weights: Tensor, batch: Packed) -> Tensor:
    """[R b H, T, T] -> [R, b, H, T, T]."""
    return weights.view(len(batch.lengths), -1, batch.heads, *weights.shape[1:])


def _groups(batch: Packed, vectors: Tensor, read: Tensor) -> Iterator[tuple]:
    """For each group of sentences: the number of its first, query, key and value [R b H, T, d], and `read` of it."""
    first = start = 0
    for sentences, width in batch.shape.groups:
        end = start + len(batch.lengths) * sentences * batch.heads * width
        qkv = vectors[3 * start : 3 * end].view(3, -1, width, vectors.shape[1]).unbind()
        yield first, qkv, read[start:end].view(-1, width, *read.shape[1:])
        first, start = first + sentences, end
