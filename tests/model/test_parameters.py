"""The weights that a run starts from, and the table that holds them."""

import math
from dataclasses import replace

import torch
from scipy.stats import kstest

from grokkit.config import Config
from grokkit.model.parameters import padded_view, parameter_count, parameter_shapes
from grokkit.model.transformer import TransformerStack
from grokkit.presets import preset

SMALL = Config("test", "question", 3, vocabulary_size=30, width=32, heads=4, ffn_width=48)


def test_parameter_counts():
    """DEVIATIONS.md, D24: 6.4, 12.7, 19.0, 25.3, 31.6 million; and against torch's own layers."""
    for depth, millions in zip((2, 4, 6, 8, 10), (6.4, 12.7, 19.0, 25.3, 31.6)):
        config = preset("as-run", "question", depth)
        assert round(parameter_count(config) / 1e6, 1) == millions
        layer = torch.nn.TransformerEncoderLayer(config.width, config.heads, config.ffn_width, device="meta")
        in_layers = depth * (sum(p.numel() for p in layer.parameters()) - 4 * config.width)  # no biases in attention
        assert parameter_count(config) == in_layers + 71 * (2 * config.width + 1)
    for config in (SMALL, replace(SMALL, tied=True)):
        stack = TransformerStack(config, [1, 2])
        assert stack.parameter_count() == stack.flat.shape[1] == sum(w[0].numel() for w in stack.weights.values())


def test_as_written_differs_in_heads_and_tying_only():
    presets = preset("as-run", "question"), preset("as-written", "question")
    as_run, as_written = (set(parameter_shapes(config).items()) for config in presets)
    assert as_run - as_written == {("output.weight", (512, 71))} and as_written <= as_run
    assert ("layers.5.ffn1.weight", (512, 2048)) in as_run


def test_a_run_starts_from_its_seed_alone():
    together = TransformerStack(SMALL, [5, 9, 7])
    assert torch.equal(TransformerStack(SMALL, [7, 5]).flat, together.flat[[2, 0]])
    assert not torch.equal(together.flat[0], together.flat[1])
    torch.manual_seed(123)
    assert torch.equal(TransformerStack(SMALL, [9]).flat[0], together.flat[1])
    deeper = TransformerStack(replace(SMALL, depth=5), [9])
    assert torch.equal(deeper.weights["layers.2.qkv"][0], together.weights["layers.2.qkv"][1])


def test_first_values_are_uniform_between_their_bounds():
    """Uniform draws between the bounds, which they reach; no two matrices come from the same draws."""
    D, F, C = 96, 200, 96
    config = Config("test", "question", 2, vocabulary_size=C - 2, width=D, heads=4, ffn_width=F)
    stack = TransformerStack(config, [0, 1])
    bounds = {
        "embedding": math.sqrt(6 / (C + D)),
        "output.weight": math.sqrt(6 / (C + D)),
        "output.bias": 1 / math.sqrt(D),
        "qkv": math.sqrt(6 / (D + D)),
        "merge": math.sqrt(6 / (D + D)),
        "ffn1.weight": math.sqrt(2) * math.sqrt(6 / (D + F)),
        "ffn1.bias": 1 / math.sqrt(D),
        "ffn2.weight": math.sqrt(6 / (D + F)),
        "ffn2.bias": 1 / math.sqrt(F),
    }
    for name, weights in stack.weights.items():
        for weight in weights:
            if "norm" in name:
                assert (weight == name.endswith("weight")).all()
                continue
            bound = bounds[name.split(".", 2)[2] if name.startswith("layers") else name]
            for draw in weight.split(D, dim=1) if name.endswith("qkv") else [weight]:
                # exp(-20) is the chance of all draws falling short
                assert bound * (1 - 20 / draw.numel()) < draw.abs().max() <= bound
                assert kstest(draw.flatten().numpy(), "uniform", (-bound, 2 * bound)).pvalue > 1e-4
    w = {name: weight[1] for name, weight in stack.weights.items()}
    square = [w["embedding"], w["output.weight"], w["layers.0.merge"]]
    square += [part for i in (0, 1) for part in w[f"layers.{i}.qkv"].split(D, dim=1)]
    correlations = torch.corrcoef(torch.stack([matrix.flatten() for matrix in square])) - torch.eye(len(square))
    assert correlations.abs().max() < 5 / D


def test_rows_of_the_table_are_aligned_and_the_gaps_stay_empty():
    stack = TransformerStack(SMALL, [1, 2, 3])
    assert stack.flat.shape[1] % 32 and stack.flat.stride(0) % 32 == 0
    start = stack.flat.data_ptr()
    for weight in stack.weights.values():  # one after the other
        assert weight.data_ptr() == start
        start += 4 * weight[0].numel()
    rows = padded_view(stack.flat)
    assert rows.is_contiguous() and torch.equal(rows[:, : stack.flat.shape[1]], stack.flat)
    assert not rows[:, stack.flat.shape[1] :].any()
    rows[1] = 7
    assert (stack.run(1).flat == 7).all() and not (stack.run(2).flat == 7).any()
