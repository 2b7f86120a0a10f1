"""R transformer language models of one shape as one object: every parameter has a leading run axis.

Dimension letters: R runs, B batch, T tokens, D model width, H heads, L layers, V vocabulary (V + 2 classes, C).
The block is post-LN with ReLU, no final layer norm, no biases in the attention (DEVIATIONS.md, D18;
paper, Section 2 and Appendix B).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.model.attention import PackedAttention, attend, masked_weights
from grokkit.model.dropout import Dropout
from grokkit.model.linear import Linear, matmul_precision
from grokkit.model.memory import AT_ONCE
from grokkit.model.packing import Packed
from grokkit.model.parameters import initial_parameters, parameter_count, parameter_shapes, with_aligned_rows
from grokkit.values import one_whole_number, whole_numbers

Tokens = Int[Tensor, "*runs B T"]  # [B, T], the same for all runs, or [R, B, T]
Positions = Int[Tensor, "..."]  # broadcastable to the tokens
Mask = Bool[Tensor, "B T T"]  # True where a token (row) attends to another (column)
Hidden = Float[Tensor, "R B T D"]


def sinusoids(positions: Int[Tensor, "*shape"], width: int) -> Float[Tensor, "*shape {width}"]:
    """Fixed position vectors, float32: sines on even channels, cosines on odd ones.

    Source: Vaswani et al. 2017, Section 3.5; DEVIATIONS.md, D20.
    """
    rates = torch.exp(torch.arange(0, width, 2, device=positions.device) * (-math.log(10000.0) / width))
    angles = positions.unsqueeze(-1).float() * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)[..., :width]


class TransformerStack:
    """R transformers with the shape of `config`, run r initialized from seeds[r] alone.

    config: the shape; seeds: one whole number a run, all different, as a list or text of them.
    weights: name -> tensor [R, ...], views into one flat table [R, P] (`flat`), so that clipping and the
    optimizer touch one tensor. flat: that table, where there is one already.
    compiled_hidden: what `hidden` takes for causal passes without gradients, where training has compiled its step.
    grad_views: name -> tensor [R, ...], where training wants the gradients of weights written (`flat_adamw`).
    Raises GrokkitError for empty or repeated seeds, and for what is no device.
    """

    def __init__(self, config: Config, seeds: object, device="cpu", flat: Float[Tensor, "R P"] | None = None):
        self.config = config
        self.seeds = whole_numbers("seeds", seeds)
        self.runs = len(self.seeds)
        if not isinstance(device, (str, torch.device)):
            raise GrokkitError(f"device = {device!r}: name one, as in 'cpu' or 'cuda:0'")
        if flat is None:
            flat = with_aligned_rows(torch.stack([initial_parameters(config, seed) for seed in self.seeds]).to(device))
        self.flat = flat.to(device)
        self.device = self.flat.device
        shapes = parameter_shapes(config)
        columns = self.flat.split([math.prod(shape) for shape in shapes.values()], dim=1)
        self.weights = {n: part.view(self.runs, *shapes[n]).detach() for n, part in zip(shapes, columns)}
        self.grad_views: dict[str, Tensor] = {}
        self.compiled_hidden: Callable[[Tensor], Tensor] | None = None
        self.bytes_at_once = AT_ONCE  # of an evaluation, see `memory.room`
        self._sinusoids = [torch.empty(0, config.width, device=self.device)]

    def __repr__(self) -> str:
        c, some = self.config, self.seeds if self.runs <= 10 else (self.seeds[0], "...", self.seeds[-1])
        return f"TransformerStack({c.preset} {c.task} L{c.depth}, {self.runs} runs, seeds {' '.join(map(str, some))})"

    def run(self, r: object) -> "TransformerStack":
        """Run r as a stack of one; it shares memory with this stack. GrokkitError where there is no such run."""
        r = one_whole_number("r", r)
        if r >= self.runs:
            raise GrokkitError(f"r = {r}: this stack has {self.runs} runs, numbered from 0")
        return TransformerStack(self.config, self.seeds[r : r + 1], self.device, self.flat[r : r + 1])

    def parameter_count(self) -> int:
        """Parameters of one run."""
        return parameter_count(self.config)

    def hidden(self, tokens: Tokens, positions: Positions | None = None, mask: Mask | None = None) -> Hidden:
        """Last-layer vectors. positions: 0 .. T-1 by default, BOS at 0. mask: where to attend, instead of causally."""
        if self.compiled_hidden and positions is None and mask is None and not torch.is_grad_enabled():
            return self.compiled_hidden(tokens.expand(self.runs, -1, -1))
        x = self._embed(tokens, positions)
        mask = None if mask is None else mask.unsqueeze(1)
        for i in range(self.config.depth):
            x = self._layer(i, x, _join_heads(attend(*self._project(i, x), mask)))
        return x

    def logits(self, tokens: Tokens, positions: Positions | None = None) -> Float[Tensor, "R B T C"]:
        """Scores of the next token; arguments as for `hidden`."""
        return self.output(self.hidden(tokens, positions))

    def logits_at(self, tokens: Tokens, places: Int[Tensor, "R B M"]) -> Float[Tensor, "R B M C"]:
        """Scores of the next token after some places of each row alone."""
        hidden = self.hidden(tokens)
        return self.output(hidden.gather(2, places.unsqueeze(-1).expand(-1, -1, -1, hidden.shape[-1])))

    def packed_logits(self, batch: Packed, dropout: Dropout | None = None) -> Float[Tensor, "R N C"]:
        """Scores of the next token for the rows of a packed batch: what training computes."""
        x = self._words(batch.inputs) + self._first_sinusoids(batch.shape.groups[0][1])[batch.positions]
        x = dropout.rows(x) if dropout else x
        for i in range(self.config.depth):
            vectors = self._linear(x, f"layers.{i}.qkv").view(-1, self.config.width // self.config.heads)
            x = self._layer(i, x, PackedAttention.apply(vectors, batch, dropout).view(x.shape), dropout)
        return self.output(x)

    def attention(
        self, tokens: Tokens, positions: Positions | None = None, mask: Mask | None = None
    ) -> list[Float[Tensor, "R B H T T"]]:
        """The attention weights of the real forward pass, layer by layer; rows sum to 1; arguments as for `hidden`."""
        x = self._embed(tokens, positions)
        length, weights = x.shape[2], []
        causal = torch.ones(length, length, dtype=torch.bool, device=self.device).tril()
        mask = causal if mask is None else mask.unsqueeze(1)
        for i in range(self.config.depth):
            q, k, v = self._project(i, x)
            weights.append(masked_weights(q, k, mask))
            if i + 1 < self.config.depth:
                x = self._layer(i, x, _join_heads(weights[-1].to(v.dtype) @ v))
        return weights

    def output(self, hidden: Float[Tensor, "R *tokens D"]) -> Float[Tensor, "R *tokens C"]:
        """Hidden vectors -> scores."""
        return self._linear(hidden, "output.weight", "output.bias")

    # -- the parts of a forward pass ------------------------------------------------------------------------

    def _embed(self, tokens: Tensor, positions: Tensor | None) -> Tensor:
        """Words and positions, [R, B, T, D]."""
        if tokens.dim() == 2:
            tokens = tokens.expand(self.runs, -1, -1)
        if positions is None:
            return self._words(tokens) + self._first_sinusoids(tokens.shape[-1])
        return self._words(tokens) + sinusoids(positions, self.config.width)

    def _words(self, tokens: Tensor) -> Tensor:
        """Scaled embeddings of int64 [R, ..], each run's own: [R, .., D]."""
        table = self.weights["embedding"]
        if self.device.type == "cuda" and table.requires_grad:
            # as a product its gradient is one too: no sorting, no atomic sums, the same to the bit every time
            chosen = tokens.flatten(1).unsqueeze(-1) == torch.arange(table.shape[1], device=table.device)
            # embeddings are looked up, not rounded
            with torch.autocast(table.device.type, enabled=False), matmul_precision("float32"):
                words = torch.bmm(chosen.to(table.dtype), table).view(*tokens.shape, -1)
        else:
            offset = torch.arange(self.runs, device=self.device) * table.shape[1]
            words = F.embedding(tokens + offset.view(-1, *[1] * (tokens.dim() - 1)), table.flatten(0, 1))
        return words * math.sqrt(self.config.width)

    def _first_sinusoids(self, length: int) -> Tensor:
        """Position vectors of 0 .. length - 1, [T, D]; kept, since every forward pass needs them."""
        if len(self._sinusoids[-1]) < length:  # recorded steps still read the shorter ones, so they stay
            self._sinusoids.append(sinusoids(torch.arange(2 * length, device=self.device), self.config.width))
        return self._sinusoids[-1][:length]

    def _project(self, i: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of layer i for its input x [R, B, T, D], each [R, B, H, T, D / H]."""
        qkv = self._linear(x, f"layers.{i}.qkv").view(*x.shape[:-1], 3, self.config.heads, -1)
        return qkv.permute(3, 0, 1, 4, 2, 5).unbind()

    def _layer(self, i: int, x: Tensor, read: Tensor, dropout: Dropout | None = None) -> Tensor:
        """What layer i makes of its input x and of what its heads have read, both [R, .., D]."""
        drop = dropout.rows if dropout else lambda y: y
        layer = f"layers.{i}"
        x = self._norm(f"{layer}.norm1", x + drop(self._linear(read, f"{layer}.merge")))
        h = F.relu(self._linear(x, f"{layer}.ffn1.weight", f"{layer}.ffn1.bias"))
        h = self._linear(drop(h), f"{layer}.ffn2.weight", f"{layer}.ffn2.bias")
        return self._norm(f"{layer}.norm2", x + drop(h))

    def _linear(self, x: Tensor, weight: str, bias: str | None = None) -> Tensor:
        """x [R, .., in] times the weight [R, in, out] of this name, plus the bias [R, out] of this name."""
        tied = weight == "output.weight" and self.config.tied
        matrix = self.weights["embedding"].transpose(1, 2) if tied else self.weights[weight]
        others = matrix, self.weights.get(bias), self.grad_views.get(weight), self.grad_views.get(bias)
        if x.dim() == 3:
            return Linear.apply(x, *others)
        return Linear.apply(x.reshape(self.runs, -1, x.shape[-1]), *others).view(*x.shape[:-1], -1)

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.weights[name + ".weight"], self.weights[name + ".bias"]
        if self.runs == 1:
            return F.layer_norm(x, x.shape[-1:], weight[0], bias[0])
        shape = (self.runs, *[1] * (x.dim() - 2), -1)
        return torch.addcmul(bias.view(shape), F.layer_norm(x, x.shape[-1:]), weight.view(shape))


def _join_heads(read: Tensor) -> Tensor:
    """[R, B, H, T, D / H] -> [R, B, T, D]."""
    return read.transpose(2, 3).flatten(3)
