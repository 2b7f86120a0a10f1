"""The training step of the kit, and the same step out of what others would take: torch's layers, eager and compiled.

The one in JAX is in `peers_jax.py`. All begin with the weights of a stack and train on its batches by its config.
`take(step)` makes update number `step` (from 0) of all runs and gives their losses before it, [R].
"""

import math
import os
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from grokkit.model.packing import PAD
from grokkit.model.transformer import TransformerStack, sinusoids
from grokkit.training.batches import Batches
from grokkit.training.step import TrainingStep


class Kit:
    """The step of the kit, in C++ or in torch."""

    def __init__(self, stack: TransformerStack, batches: Batches, native: bool):
        own = TransformerStack(stack.config, stack.seeds, stack.device)
        own.flat.copy_(stack.flat)
        with mock.patch.dict(os.environ, GROKKIT_NATIVE=str(int(native))):
            self.update = TrainingStep(own, stack.config, batches)

    def take(self, step: int) -> Tensor:
        self.update.loss_sum.zero_()
        self.update.take(step)
        return self.update.loss_sum.clone()


def padded(batches: Batches, lines: np.ndarray, multiple: int = 1) -> Tensor:
    """Lines [.., B] as BOS w1 .. wn EOS <pad> .., [.., B, T + 1]; T is a multiple, but where no line is so long."""
    T = -(-int(batches.lengths[lines].max()) // multiple) * multiple
    return batches.table[torch.from_numpy(lines).to(batches.table.device), : T + 1]


class PlainModel(nn.Module):
    """One run of a stack, out of torch's layers."""

    def __init__(self, stack: TransformerStack, run: int, longest: int):
        super().__init__()
        c, classes = stack.config, stack.config.vocabulary_size + 2
        layer = nn.TransformerEncoderLayer(c.width, c.heads, c.ffn_width, c.dropout, batch_first=True)
        layer.self_attn = nn.MultiheadAttention(c.width, c.heads, c.dropout, bias=False, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, c.depth, enable_nested_tensor=False)
        self.embedding, self.output = nn.Embedding(classes, c.width), nn.Linear(c.width, classes)
        self.dropout = nn.Dropout(c.dropout)
        self.register_buffer("positions", sinusoids(torch.arange(longest), c.width), persistent=False)
        mask = nn.Transformer.generate_square_subsequent_mask(longest)
        self.register_buffer("mask", mask, persistent=False)
        self.load_state_dict(dict(torchs(name, weight[run]) for name, weight in stack.weights.items()))
        self.to(stack.device)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mean cross entropy over the tokens [B, T + 1] but the first of each line."""
        T, words = tokens.shape[1] - 1, self.embedding(tokens[:, :-1])
        x = self.dropout(words * math.sqrt(self.embedding.embedding_dim) + self.positions[:T])
        logits = self.output(self.layers(x, mask=self.mask[:T, :T], is_causal=True)).float()
        return nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=PAD)


def torchs(name: str, weight: Tensor) -> tuple[str, Tensor]:
    """Name and weight of a run as PlainModel has them: torch's matrices stand the other way round."""
    renamed = {"layers.": "layers.layers.", "qkv": "self_attn.in_proj_weight", "merge": "self_attn.out_proj.weight"}
    for ours, theirs in {**renamed, "ffn": "linear", "embedding": "embedding.weight"}.items():
        name = name.replace(ours, theirs)
    return name, weight.T if weight.dim() == 2 and name != "embedding.weight" else weight


class Eager:
    """A model a run, one after the other: padded batches, clip_grad_norm_, AdamW."""

    multiple = 1

    def __init__(self, stack: TransformerStack, batches: Batches):
        self.config, self.batches = stack.config, batches
        c, longest = stack.config, int(batches.lengths.max())
        self.models = [self.made(PlainModel(stack, run, longest)) for run in range(stack.runs)]
        options = {"betas": (c.beta1, c.beta2), "eps": c.epsilon, "weight_decay": c.weight_decay, "fused": True}
        self.optimizers = [torch.optim.AdamW(model.parameters(), **options) for model in self.models]

    def made(self, model: PlainModel) -> nn.Module:
        return model

    def take(self, step: int) -> Tensor:
        runs = zip(self.models, self.optimizers, self.batches.line_indices(step))
        return torch.stack([self.update(step, *run) for run in runs])

    def update(self, step: int, model: nn.Module, adamw: torch.optim.AdamW, lines: np.ndarray) -> Tensor:
        tokens = padded(self.batches, lines, self.multiple).long()
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            loss = model(tokens)
        adamw.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), self.config.clip_norm)
        adamw.param_groups[0]["lr"] = self.config.learning_rate * self.config.learning_rate_factor(step)
        adamw.step()
        return loss.detach()


class Compiled(Eager):
    """The same by torch.compile, for lengths that are multiples of four."""

    multiple = 4

    def made(self, model: PlainModel) -> nn.Module:
        torch._dynamo.config.recompile_limit = 64  # lengths for which it is compiled; beyond them it would run eagerly
        return torch.compile(model)
