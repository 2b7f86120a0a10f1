"""The one plain model: the language model again, out of torch.nn.TransformerEncoderLayer."""

import math

import torch
from torch import nn
from torch.func import functional_call

from grokkit.model.transformer import TransformerStack
from grokkit.training.batches import Batches


class TorchModel(nn.Module):
    """The same model with the weights of one run of a stack; in `weights`, "/" stands for "." in their names."""

    def __init__(self, stack: TransformerStack, run: int):
        super().__init__()
        self.config = stack.config
        weights = {name.replace(".", "/"): weight[run].detach().clone() for name, weight in stack.weights.items()}
        self.weights = nn.ParameterDict(weights)

    def forward(self, tokens, positions=None):
        w = self.weights
        matrix = w["embedding"].T if self.config.tied else w["output/weight"]
        return self.layers_of(tokens, positions)[0] @ matrix + w["output/bias"]

    def layers_of(self, tokens, positions=None, may_see=None, on_embeddings=False):
        """The last layer's vectors [B, T, D] and the attention weights of each layer, a list of [B, H, T, T].

        may_see: bool [T, T], True where token (row) may look at token (column); causal by default.
        on_embeddings: every layer gets the embeddings as its input, not the layer below (the released code's way).
        """
        c, x = self.config, self.embedded(tokens, positions)
        embedded, mask, seen = x, ~(causal(tokens.shape[1]) if may_see is None else may_see), []
        # its weights are given with every call
        layer = nn.TransformerEncoderLayer(c.width, c.heads, c.ffn_width, 0.0, batch_first=True, device="meta")
        for i in range(c.depth):
            x, parameters = embedded if on_embeddings else x, self.parameters_of(i)
            attention = {n.removeprefix("self_attn."): p for n, p in parameters.items() if n.startswith("self_attn.")}
            options = {"attn_mask": mask, "average_attn_weights": False}
            seen.append(functional_call(layer.self_attn, attention, (x, x, x), options)[1])
            x = functional_call(layer, parameters, (x,), {"src_mask": mask})
        return x, seen

    def parameters_of(self, i: int) -> dict[str, torch.Tensor]:
        """Of one layer, by torch's names; attention has biases there, which are 0."""
        w = {name.removeprefix(f"layers/{i}/"): weight for name, weight in self.weights.items()}
        none = w["qkv"].new_zeros(3 * self.config.width)
        return {
            "self_attn.in_proj_weight": w["qkv"].T,
            "self_attn.in_proj_bias": none,
            "self_attn.out_proj.weight": w["merge"].T,
            "self_attn.out_proj.bias": none[: self.config.width],
            "linear1.weight": w["ffn1/weight"].T,
            "linear1.bias": w["ffn1/bias"],
            "linear2.weight": w["ffn2/weight"].T,
            "linear2.bias": w["ffn2/bias"],
        } | {name.replace("/", "."): weight for name, weight in w.items() if name.startswith("norm")}

    def embedded(self, tokens, positions=None):
        positions = torch.arange(tokens.shape[1]) if positions is None else positions
        angle = positions[..., None].double() / 10000 ** (torch.arange(0, self.config.width, 2) / self.config.width)
        table = torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)
        embedding = self.weights["embedding"]
        return embedding[tokens] * math.sqrt(self.config.width) + table.to(embedding.dtype)


class PlainTraining:
    """One run of a stack as everybody would train it: torch's own layers, padded batches, clip_grad_norm_, AdamW, in
    float64. norm: that of the last gradient, before it was clipped."""

    def __init__(self, stack: TransformerStack, run: int, batches: Batches):
        self.config, self.run, self.batches, self.norm = stack.config, run, batches, math.nan
        self.names = [name.replace(".", "/") for name in stack.weights]
        self.model, c = TorchModel(stack, run).double(), stack.config
        options = {"betas": (c.beta1, c.beta2), "eps": c.epsilon, "weight_decay": c.weight_decay}
        self.adamw = torch.optim.AdamW(self.model.parameters(), **options)

    def take(self, step: int) -> float:
        """Makes update number `step` (from 0); the loss before it."""
        lines, c = self.batches.line_indices(step)[self.run], self.config
        tokens = self.batches.table[torch.from_numpy(lines)].long()[:, : self.batches.lengths[lines].max() + 1]
        logits = self.model(tokens[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0)
        self.adamw.zero_grad()
        loss.backward()
        self.norm = nn.utils.clip_grad_norm_(self.model.parameters(), c.clip_norm).item()
        self.adamw.param_groups[0]["lr"] = c.learning_rate * c.learning_rate_factor(step)
        self.adamw.step()
        return loss.item()

    def flat(self, of=lambda weight: weight) -> torch.Tensor:
        """All weights, or what `of` makes of each, side by side as in the table of a stack."""
        return torch.cat([of(self.model.weights[name]).detach().flatten() for name in self.names])


def causal(length: int) -> torch.Tensor:
    return torch.ones(length, length, dtype=torch.bool).tril()
