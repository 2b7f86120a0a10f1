"""The language model again, out of torch.nn.TransformerEncoderLayer."""

import math

import torch
from torch import nn

from grokkit.model.transformer import TransformerStack


class TorchModel(nn.Module):
    """The same language model out of torch.nn.TransformerEncoderLayer, with the weights of one run."""

    def __init__(self, stack: TransformerStack, run: int):
        super().__init__()
        c, w = stack.config, {name: weight[run].detach().clone() for name, weight in stack.weights.items()}
        self.embedding = nn.Parameter(w["embedding"])
        self.layers = nn.ModuleList()
        for i in range(c.depth):
            layer = nn.TransformerEncoderLayer(
                c.width,
                c.heads,
                c.ffn_width,
                dropout=0.0,
                activation="relu",
                batch_first=True,
                norm_first=False,
                dtype=self.embedding.dtype,
            )
            state = {
                name.removeprefix(f"layers.{i}."): value for name, value in w.items() if name.startswith(f"layers.{i}.")
            }
            layer.load_state_dict(
                {
                    "self_attn.in_proj_weight": state["qkv"].T,
                    "self_attn.out_proj.weight": state["merge"].T,
                    "self_attn.in_proj_bias": torch.zeros(3 * c.width),
                    "self_attn.out_proj.bias": torch.zeros(c.width),
                    "linear1.weight": state["ffn1.weight"].T,
                    "linear1.bias": state["ffn1.bias"],
                    "linear2.weight": state["ffn2.weight"].T,
                    "linear2.bias": state["ffn2.bias"],
                    "norm1.weight": state["norm1.weight"],
                    "norm1.bias": state["norm1.bias"],
                    "norm2.weight": state["norm2.weight"],
                    "norm2.bias": state["norm2.bias"],
                }
            )
            self.layers.append(layer)
        self.output_matrix = self.embedding if c.tied else nn.Parameter(w["output.weight"].T.contiguous())
        self.output_bias = nn.Parameter(w["output.bias"])
        self.heads, self.width = c.heads, c.width

    def forward(self, tokens, positions=None):
        return self.layers_of(tokens, positions)[0] @ self.output_matrix.T + self.output_bias

    def layers_of(self, tokens, positions=None, may_see=None, on_embeddings=False):
        """The last layer's vectors [B, T, D] and the attention weights of each layer, a list of [B, H, T, T].

        may_see: bool [T, T], True where token (row) may look at token (column); causal by default.
        on_embeddings: every layer gets the embeddings as its input, not the layer below (the released code's way).
        """
        x = embedded = self.embedded(tokens, positions)
        mask = ~(causal(tokens.shape[1]) if may_see is None else may_see)
        seen = []
        for layer in self.layers:
            x = embedded if on_embeddings else x
            seen.append(layer.self_attn(x, x, x, attn_mask=mask, average_attn_weights=False)[1])
            x = layer(x, src_mask=mask)
        return x, seen

    def embedded(self, tokens, positions=None):
        places = torch.arange(tokens.shape[1]).double() if positions is None else positions.double()
        channel = torch.arange(0, self.width, 2).double()
        angle = places[..., None] / 10000 ** (channel / self.width)
        table = torch.zeros(*angle.shape[:-1], self.width, dtype=torch.float64)
        table[..., 0::2], table[..., 1::2] = angle.sin(), angle.cos()
        return self.embedding[tokens] * math.sqrt(self.width) + table.to(self.embedding.dtype)

    def gradients(self) -> dict[str, torch.Tensor]:
        """By the names of a stack's weights."""
        found = {"embedding": self.embedding.grad, "output.bias": self.output_bias.grad}
        if self.output_matrix is not self.embedding:
            found["output.weight"] = self.output_matrix.grad.T
        for i, layer in enumerate(self.layers):
            mine = {
                "qkv": layer.self_attn.in_proj_weight.grad.T,
                "merge": layer.self_attn.out_proj.weight.grad.T,
                "ffn1.weight": layer.linear1.weight.grad.T,
                "ffn1.bias": layer.linear1.bias.grad,
                "ffn2.weight": layer.linear2.weight.grad.T,
                "ffn2.bias": layer.linear2.bias.grad,
                "norm1.weight": layer.norm1.weight.grad,
                "norm1.bias": layer.norm1.bias.grad,
                "norm2.weight": layer.norm2.weight.grad,
                "norm2.bias": layer.norm2.bias.grad,
            }
            found |= {f"layers.{i}.{name}": value for name, value in mine.items()}
        return found


def causal(length: int) -> torch.Tensor:
    return torch.ones(length, length, dtype=torch.bool).tril()
