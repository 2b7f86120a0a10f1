"""One run of a stack again, in plain torch and by the definitions: slow, written apart from grokkit.model."""

import math

import torch


def attention_of_layers(stack, run: int, tokens: list[int], may_see: torch.Tensor, on_embeddings=False):
    """Forward pass of one sentence. may_see: bool [T, T], True where token (row) may look at token (column).

    on_embeddings: every layer gets the embeddings as its input, not the layer below (the released code's
    way). Returns the last layer's vectors [T, D] and the attention weights of each layer, a list of [H, T,
    T].
    """
    w = {name: weight[run].double() for name, weight in stack.weights.items()}
    width, heads = stack.config.width, stack.config.heads
    size = width // heads
    table = torch.zeros(len(tokens), width, dtype=torch.float64)
    for place in range(len(tokens)):
        for channel in range(0, width, 2):
            angle = place / 10000 ** (channel / width)
            table[place, channel], table[place, channel + 1] = math.sin(angle), math.cos(angle)
    embedded = x = w["embedding"][tokens] * math.sqrt(width) + table
    seen = []
    for i in range(stack.config.depth):
        start = f"layers.{i}."
        layer = {name.removeprefix(start): weight for name, weight in w.items() if name.startswith(start)}
        x = embedded if on_embeddings else x
        mixed, weights = [], []
        for h in range(heads):
            q, k, v = (x @ layer["qkv"][:, part * width + h * size :][:, :size] for part in range(3))
            scores = (q @ k.T / math.sqrt(size)).masked_fill(~may_see, -torch.inf)
            weights.append(scores.softmax(-1))
            mixed.append(weights[-1] @ v)
        seen.append(torch.stack(weights))
        x = _norm(x + torch.cat(mixed, dim=1) @ layer["merge"], layer["norm1.weight"], layer["norm1.bias"])
        inner = (x @ layer["ffn1.weight"] + layer["ffn1.bias"]).clamp(min=0)
        outer = inner @ layer["ffn2.weight"] + layer["ffn2.bias"]
        x = _norm(x + outer, layer["norm2.weight"], layer["norm2.bias"])
    return x, seen


def causal(length: int) -> torch.Tensor:
    return torch.ones(length, length, dtype=torch.bool).tril()


def _norm(x, weight, bias):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias
