"""R transformer language models of one shape as one object: every parameter has a leading run axis.

Dimension letters: R runs, B batch, T tokens, D model width, H heads, L layers, V vocabulary (V + 2 classes).
The block is post-LN with ReLU, no final layer norm, no biases in the attention (DEVIATIONS.md, D18;
paper, Section 2 and Appendix B).
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.model.attention import PackedAttention, masked_weights
from grokkit.model.dropout import Dropout
from grokkit.model.linear import Linear
from grokkit.model.packing import Packed
from grokkit.randomness import generator


def parameter_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Name -> shape of one run's parameters, in the order in which they lie in memory."""
    width, hidden, classes = config.width, config.ffn_width, config.vocabulary_size + 2
    shapes: dict[str, tuple[int, ...]] = {"embedding": (classes, width)}
    for i in range(config.depth):
        shapes |= {
            f"layers.{i}.qkv": (width, 3 * width),
            f"layers.{i}.merge": (width, width),
            f"layers.{i}.norm1.weight": (width,),
            f"layers.{i}.norm1.bias": (width,),
            f"layers.{i}.ffn1.weight": (width, hidden),
            f"layers.{i}.ffn1.bias": (hidden,),
            f"layers.{i}.ffn2.weight": (hidden, width),
            f"layers.{i}.ffn2.bias": (width,),
            f"layers.{i}.norm2.weight": (width,),
            f"layers.{i}.norm2.bias": (width,),
        }
    if not config.tied:
        shapes["output.weight"] = (width, classes)
    shapes["output.bias"] = (classes,)
    return shapes


def parameter_count(config: Config) -> int:
    """Parameters of one run."""
    return sum(math.prod(shape) for shape in parameter_shapes(config).values())


def initial_value(name: str, shape: tuple[int, ...], seed: int, fan_in: int) -> Tensor:
    """One parameter of one run at step 0. fan_in: the inputs of the layer, which set the scale of its bias.

    Xavier-uniform for every matrix, query, key and value each on its own, the first feed-forward matrix with
    the ReLU gain; biases as torch.nn.Linear draws them (DEVIATIONS.md, D21).
    """
    rng = generator(seed, "init", name)

    def uniform(bound: float, *size: int) -> Tensor:
        return torch.empty(*size).uniform_(-bound, bound, generator=rng)

    if "norm" in name:
        return torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
    if name.endswith("qkv"):
        width = shape[0]
        return torch.cat([uniform(math.sqrt(3 / width), width, width) for _ in range(3)], dim=1)
    if name.endswith("bias"):
        return uniform(1 / math.sqrt(fan_in), *shape)
    gain = math.sqrt(2) if name.endswith("ffn1.weight") else 1.0
    return uniform(gain * math.sqrt(6 / sum(shape)), *shape)


def _initial_row(config: Config, seed: int) -> Tensor:
    """All parameters of one run at step 0, flat [P]."""
    fan_in = {"ffn2.bias": config.ffn_width}
    return torch.cat(
        [
            initial_value(name, shape, seed, fan_in.get(name[-len("ffn2.bias") :], config.width)).flatten()
            for name, shape in parameter_shapes(config).items()
        ]
    )


def aligned(table: Tensor) -> Tensor:
    """A copy of a table [R, P] whose rows begin at multiples of 128 bytes, as fast products on a GPU want them.

    What lies between the rows is 0.
    """
    copy = table.new_zeros(len(table), -(-table.shape[1] // 32) * 32)[:, : table.shape[1]]
    return copy.copy_(table)


def whole_rows(table: Tensor) -> Tensor:
    """A table [R, P] together with what lies between its rows: contiguous, for what runs over all of it at once."""
    return table.as_strided((len(table), table.stride(0)), (table.stride(0), 1))


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Fixed position vectors, float32 [*positions.shape, D]: sines on even channels, cosines on odd ones.

    Source: Vaswani et al. 2017, Section 3.5; DEVIATIONS.md, D20.
    """
    rates = torch.exp(torch.arange(0, width, 2, device=positions.device) * (-math.log(10000.0) / width))
    angles = positions.unsqueeze(-1).float() * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)[..., :width]


class KeyValueCache:
    """Keys and values of the tokens seen so far, for decoding: `where` says which slot each new token takes.

    Each tensor is [R, B, H, T, D / H]. A row of the batch writes at its own position, so that prompts of
    different lengths decode together.
    """

    def __init__(self):
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}

    def rows(self, which: Tensor) -> "KeyValueCache":
        """A copy that holds of each run the rows int64 [R, B'] of the batch."""
        run = torch.arange(len(which), device=which.device).unsqueeze(1)
        kept = KeyValueCache()
        kept.keys = {i: table[run, which] for i, table in self.keys.items()}
        kept.values = {i: table[run, which] for i, table in self.values.items()}
        return kept


class TransformerStack:
    """R transformers with the shape of `config`, run r initialized from seeds[r] alone.

    config: the shape; seeds: one integer a run, all different.
    weights: name -> tensor [R, ...], views into one flat table [R, P] (`flat`), so that clipping and the
    optimizer touch one tensor. flat: that table, where there is one already.
    Raises GrokkitError for empty or repeated seeds.
    """

    def __init__(self, config: Config, seeds: Sequence[int], device="cpu", flat: Tensor | None = None):
        self.config = config
        self.seeds = tuple(int(seed) for seed in seeds)
        if not self.seeds:
            raise GrokkitError("no seeds: give at least one, for example seeds=[42]")
        if len(set(self.seeds)) < len(self.seeds):
            raise GrokkitError(f"seeds {list(self.seeds)} repeat: every run of a stack needs its own seed")
        self.runs = len(self.seeds)
        shapes = parameter_shapes(config)
        if flat is None:
            flat = aligned(torch.stack([_initial_row(config, seed) for seed in self.seeds]).to(device))
        self.flat = flat.to(device)
        self.device = self.flat.device
        self.places: dict[str, Tensor] = {}  # where gradients of weights are written, by name: `StackOptimizer` says
        self._sinusoids = [torch.empty(0, config.width, device=self.device)]
        self.weights: dict[str, Tensor] = {}
        start = 0
        for name, shape in shapes.items():
            end = start + math.prod(shape)
            self.weights[name] = self.flat[:, start:end].view(self.runs, *shape).detach()
            start = end

    def run(self, r: int) -> "TransformerStack":
        """Run r as a stack of one; it shares memory with this stack."""
        return TransformerStack(self.config, self.seeds[r : r + 1], self.device, self.flat[r : r + 1])

    def to(self, device) -> "TransformerStack":
        """A copy on another device (this very stack where nothing has to move)."""
        if torch.device(device) == self.device:
            return self
        return TransformerStack(self.config, self.seeds, device, aligned(self.flat.to(device)))

    def parameter_count(self) -> int:
        """Parameters of one run."""
        return self.flat.shape[1]

    def hidden(self, tokens: Tensor, positions: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Last-layer vectors, float [R, B, T, D].

        tokens: int64 [B, T], the same for all runs, or [R, B, T]. positions: int64, broadcastable to tokens;
        0 .. T-1 by default, BOS at 0. Causal: padding behind a sentence changes nothing before it.
        mask: bool [B, T, T], True where a token (row) attends to another (column), instead of causal.
        """
        x = self._embed(tokens, positions)
        mask = None if mask is None else mask.unsqueeze(1)
        for i in range(self.config.depth):
            x = self._layer(i, x, self._attend(i, *self._project(i, x), mask))
        return x

    def logits(self, tokens: Tensor, positions: Tensor | None = None) -> Tensor:
        """Scores of the next token, float [R, B, T, V + 2]; arguments as for `hidden`."""
        return self.output(self.hidden(tokens, positions))

    def packed_logits(self, batch: Packed, dropout: Dropout | None = None) -> Tensor:
        """Scores of the next token for the rows of a packed batch, float [R, N, V + 2]: what training computes."""
        where = self._first_sinusoids(batch.shape.groups[0][1])[batch.positions]
        x = self._words(batch.inputs) + where
        x = dropout.rows(x) if dropout else x
        for i in range(self.config.depth):
            x = self._layer(i, x, self._attend_packed(i, x, batch, dropout), dropout)
        return self.output(x)

    def attention(self, tokens: Tensor, positions: Tensor | None = None, mask: Tensor | None = None) -> list[Tensor]:
        """The attention weights of the real forward pass: L tensors [R, B, H, T, T], rows sum to 1; arguments
        as for `hidden`."""
        seen: list[Tensor] = []
        x = self._embed(tokens, positions)
        mask = None if mask is None else mask.unsqueeze(1)
        for i in range(self.config.depth):
            x = self._layer(i, x, self._attend(i, *self._project(i, x), mask, seen))
        return seen

    def output(self, hidden: Tensor) -> Tensor:
        """Hidden vectors [R, .., D] -> scores [R, .., V + 2]."""
        return self._linear(hidden, "output.weight", "output.bias")

    # -- decoding -------------------------------------------------------------------------------------------

    def prefill(self, tokens: Tensor, room: int) -> KeyValueCache:
        """Runs tokens [B, T] or [R, B, T] as far as their keys and values go; with `room` further slots."""
        cache = KeyValueCache()
        x = self._embed(tokens, None)
        for i in range(self.config.depth):
            qkv = self._project(i, x)
            if i + 1 < self.config.depth:
                x = self._layer(i, x, self._attend(i, *qkv))
            cache.keys[i], cache.values[i] = (F.pad(table, (0, 0, 0, room)) for table in qkv[1:])
        return cache

    def decode(self, tokens: Tensor, positions: Tensor, cache: KeyValueCache) -> Tensor:
        """Further tokens of each row: int64 [R, B, T] at positions int64 [R, B, T]; hidden [R, B, T, D].

        A token attends to the slots up to its own position, so whatever padding left behind does not matter.
        """
        x = self._embed(tokens, positions)
        slot = positions[:, :, None, :, None]
        for i in range(self.config.depth):
            q, k, v = self._project(i, x)
            k = cache.keys[i].scatter_(3, slot.expand_as(k), k)
            v = cache.values[i].scatter_(3, slot.expand_as(v), v)
            mask = torch.arange(k.shape[3], device=x.device) <= slot
            x = self._layer(i, x, self._attend(i, q, k, v, mask, few=True))
        return x

    # -- the parts of a forward pass ------------------------------------------------------------------------

    def _embed(self, tokens: Tensor, positions: Tensor | None) -> Tensor:
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
            chosen = tokens.flatten(1).unsqueeze(-1) == torch.arange(table.shape[1], device=self.device)
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

    def _layer(self, i: int, x: Tensor, attended: Tensor, dropout: Dropout | None = None) -> Tensor:
        """What layer i makes of its input x [R, .., D] and of what its attention has read."""
        drop = dropout.rows if dropout else lambda y: y
        layer = f"layers.{i}"
        x = self._norm(f"{layer}.norm1", x + drop(attended))
        h = F.relu(self._linear(x, f"{layer}.ffn1.weight", f"{layer}.ffn1.bias"))
        h = self._linear(drop(h), f"{layer}.ffn2.weight", f"{layer}.ffn2.bias")
        return self._norm(f"{layer}.norm2", x + drop(h))

    def _project(self, i: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of layer i for its input x [R, B, T, D], each [R, B, H, T, D / H]."""
        qkv = self._linear(x, f"layers.{i}.qkv").view(*x.shape[:-1], 3, self.config.heads, -1)
        return qkv.permute(3, 0, 1, 4, 2, 5).unbind()

    def _attend(
        self,
        i: int,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None = None,
        observed: list | None = None,
        few: bool = False,
    ) -> Tensor:
        """What each token reads in layer i, [R, B, T, D]. mask: bool, broadcastable to [R, B, H, T, slots],
        where to read; else causal. few: whether there are few queries; plain products then take half the time
        of the fused kernel."""
        if observed is None and not few:
            if mask is not None:
                mask = mask.expand(*q.shape[:2], 1, -1, -1).flatten(0, 1)
            a = F.scaled_dot_product_attention(
                q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), attn_mask=mask, is_causal=mask is None
            ).view(q.shape)
        else:
            if mask is None:
                mask = torch.ones(q.shape[3], q.shape[3], dtype=torch.bool, device=q.device).tril()
            weights = masked_weights(q, k, mask)
            if observed is not None:
                observed.append(weights)
            a = weights.to(v.dtype) @ v
        return self._linear(a.transpose(2, 3).flatten(3), f"layers.{i}.merge")

    def _attend_packed(self, i: int, x: Tensor, batch: Packed, dropout: Dropout | None) -> Tensor:
        """Attention of layer i over the sentences of a packed batch, x [R, N, D]."""
        size, heads = x.shape[-1] // self.config.heads, self.config.heads
        vectors = self._linear(x, f"layers.{i}.qkv").view(-1, size)
        read = PackedAttention.apply(vectors, batch, self.runs, heads, dropout)
        return self._linear(read.view(x.shape), f"layers.{i}.merge")

    def _linear(self, x: Tensor, matrix: str, bias: str | None = None) -> Tensor:
        """x [R, .., in] times the matrix [R, in, out] of this name, plus the bias [R, out] of this name."""
        if matrix == "output.weight" and self.config.tied:
            weight = self.weights["embedding"].transpose(1, 2)
        else:
            weight = self.weights[matrix]
        others = weight, self.weights.get(bias), self.places.get(matrix), self.places.get(bias)
        if x.dim() == 3:
            return Linear.apply(x, *others)
        return Linear.apply(x.reshape(self.runs, -1, x.shape[-1]), *others).view(*x.shape[:-1], -1)

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.weights[name + ".weight"], self.weights[name + ".bias"]
        if self.runs == 1:
            return F.layer_norm(x, x.shape[-1:], weight[0], bias[0])
        shape = (self.runs, *[1] * (x.dim() - 2), -1)
        return torch.addcmul(bias.view(shape), F.layer_norm(x, x.shape[-1:]), weight.view(shape))
