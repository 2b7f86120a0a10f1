"""The parameters of a run: names, shapes and first values, and the flat table [R, P] that holds those of all runs.

Dimension letters: R runs, P parameters of one run.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from grokkit.config import Config
from grokkit.randomness import generator

ALIGNMENT = 32
"""Floats; rows begin at multiples of 128 bytes, as fast products on a GPU want them."""


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


def initial_parameters(config: Config, seed: int) -> Float[Tensor, " P"]:
    """All parameters of one run at step 0.

    Xavier-uniform for every matrix, query, key and value each on its own, the first feed-forward matrix with
    the ReLU gain; biases as torch.nn.Linear draws them (DEVIATIONS.md, D21).
    """
    return torch.cat(
        [_initial(name, shape, config, seed).flatten() for name, shape in parameter_shapes(config).items()]
    )


def _initial(name: str, shape: tuple[int, ...], config: Config, seed: int) -> Float[Tensor, "..."]:
    rng = generator(seed, "init", name)

    def uniform(bound: float, *size: int) -> Tensor:
        return torch.empty(*size).uniform_(-bound, bound, generator=rng)

    if "norm" in name:
        return torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
    if name.endswith("qkv"):
        width = shape[0]
        return torch.cat([uniform(math.sqrt(3 / width), width, width) for _ in range(3)], dim=1)
    if name.endswith("bias"):
        fan_in = config.ffn_width if name.endswith("ffn2.bias") else config.width
        return uniform(1 / math.sqrt(fan_in), *shape)
    gain = math.sqrt(2) if name.endswith("ffn1.weight") else 1.0
    return uniform(gain * math.sqrt(6 / sum(shape)), *shape)


def with_aligned_rows(table: Float[Tensor, "R P"]) -> Float[Tensor, "R P"]:
    """A copy of a table whose rows begin at multiples of `ALIGNMENT`; what lies between the rows is 0."""
    width = -(-table.shape[1] // ALIGNMENT) * ALIGNMENT
    return table.new_zeros(len(table), width)[:, : table.shape[1]].copy_(table)


def padded_view(table: Float[Tensor, "R P"]) -> Float[Tensor, "R padded"]:
    """A table together with what lies between its rows: contiguous, for what runs over all of it at once."""
    return table.as_strided((len(table), table.stride(0)), (table.stride(0), 1))
