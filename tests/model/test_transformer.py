"""TransformerStack against torch's own encoder layers and against itself, and the weights it starts from."""

import math
from dataclasses import replace

import pytest
import torch
from torch_model import TorchModel

from grokkit.config import Config, preset
from grokkit.errors import GrokkitError
from grokkit.model.transformer import TransformerStack, parameter_count, parameter_shapes, whole_rows

V = 30
SMALL = Config("test", "question", 3, vocabulary_size=V, width=32, heads=4, ffn_width=48)
SHAPES = [
    SMALL,
    replace(SMALL, heads=8),
    replace(SMALL, tied=True),
    replace(SMALL, ffn_width=20, depth=1),
    replace(SMALL, heads=1, tied=True, depth=6),
    replace(SMALL, vocabulary_size=7, width=16, heads=2),
]
names_of = [f"L{c.depth} D{c.width} H{c.heads} F{c.ffn_width}{' tied' if c.tied else ''}" for c in SHAPES]


def make(config=SMALL, seeds=(1, 2, 3), double=True) -> TransformerStack:
    """A stack with norms and biases that are not 1 and 0, in double precision."""
    stack = TransformerStack(config, seeds)
    rng = torch.Generator().manual_seed(0)
    flat = stack.flat + 0.1 * torch.randn(stack.flat.shape, generator=rng)
    return TransformerStack(config, seeds, flat=flat.double() if double else flat)


def sentences(config=SMALL, batch=5, length=11, runs=None) -> torch.Tensor:
    """Random tokens [B, T] (or [R, B, T]) of all V + 2 classes."""
    size = (batch, length) if runs is None else (runs, batch, length)
    return torch.randint(config.vocabulary_size + 2, size, generator=torch.Generator().manual_seed(1))


# Both sides compute in double precision, but the stack's position vectors are float32, hence 1e-5.
CLOSE = dict(atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", SHAPES, ids=names_of)
def test_logits_and_gradients_equal_torch_layers(config):
    stack, tokens = make(config), sentences(config)
    for weight in stack.weights.values():
        weight.requires_grad_()
    logits = stack.logits(tokens)
    assert logits.shape == (3, 5, 11, config.vocabulary_size + 2)
    targets = tokens[:, 1:].repeat(3, 1).flatten()
    torch.nn.functional.cross_entropy(logits[:, :, :-1].flatten(0, 2), targets).backward()
    for run in range(3):
        reference = TorchModel(stack, run)
        expected = reference(tokens)
        torch.testing.assert_close(logits[run], expected, **CLOSE)
        loss = torch.nn.functional.cross_entropy(expected[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        (loss / 3).backward()
        gradients = reference.gradients()
        assert set(gradients) == set(stack.weights)
        for name, gradient in gradients.items():
            torch.testing.assert_close(stack.weights[name].grad[run], gradient, **CLOSE, msg=name)
            assert gradient.abs().max() > 1e-4, f"the gradient of {name} is to be tested, not zeros"


def test_as_initialized_in_single_precision():
    """The shape of a laptop cell as it is trained; sums of 64 float32 terms in another order: 2e-5."""
    config = preset("laptop", "question")
    stack = TransformerStack(config, [42])
    tokens = sentences(config)
    torch.testing.assert_close(stack.logits(tokens)[0], TorchModel(stack, 0)(tokens), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, tied=True)], ids=["untied", "tied"])
def test_stacked_runs_equal_single_ones(config):
    stack = make(config)
    shared, own = sentences(config), sentences(config, runs=3)
    for r, seed in enumerate(stack.seeds):
        alone = make(config).run(r)
        assert (alone.runs, alone.seeds) == (1, (seed,))
        # double precision throughout: only the order of sums differs
        torch.testing.assert_close(alone.logits(shared)[0], stack.logits(shared)[r], atol=1e-12, rtol=1e-12)
        torch.testing.assert_close(alone.logits(own[r])[0], stack.logits(own)[r], atol=1e-12, rtol=1e-12)
        for mine, all_runs in zip(alone.attention(shared), stack.attention(shared)):
            torch.testing.assert_close(mine[0], all_runs[r], atol=1e-12, rtol=1e-12)
    assert stack.run(1).weights["embedding"].data_ptr() == stack.weights["embedding"][1].data_ptr()


def test_parameter_counts():
    """DEVIATIONS.md, D24: 6.4, 12.7, 19.0, 25.3, 31.6 million."""
    for depth, millions in zip((2, 4, 6, 8, 10), (6.4, 12.7, 19.0, 25.3, 31.6)):
        shapes = parameter_shapes(preset("as-run", "question", depth))
        assert round(sum(math.prod(shape) for shape in shapes.values()) / 1e6, 1) == millions
    for config in SHAPES:
        stack, reference = make(config), TorchModel(make(config), 0)
        unused = config.depth * 4 * config.width  # biases of torch's attention
        assert stack.parameter_count() == sum(p.numel() for p in reference.parameters()) - unused
        assert stack.parameter_count() == sum(weight[0].numel() for weight in stack.weights.values())


def test_as_written_differs_in_heads_and_tying_only():
    presets = preset("as-run", "question"), preset("as-written", "question")
    as_run, as_written = (set(parameter_shapes(config).items()) for config in presets)
    assert as_run - as_written == {("output.weight", (512, 71))} and as_written <= as_run
    assert ("layers.5.ffn1.weight", (512, 2048)) in as_run


# -- the first weights ---------------------------------------------------------------------------------------


def test_a_run_starts_from_its_seed_alone():
    together = TransformerStack(SMALL, [5, 9, 7])
    assert torch.equal(TransformerStack(SMALL, [9]).flat[0], together.flat[1])
    assert torch.equal(TransformerStack(SMALL, [7, 5]).flat, together.flat[[2, 0]])
    assert not torch.equal(together.flat[0], together.flat[1])
    torch.manual_seed(123)
    assert torch.equal(TransformerStack(SMALL, [9]).flat[0], together.flat[1])
    deeper = TransformerStack(replace(SMALL, depth=5), [9])
    assert torch.equal(deeper.weights["layers.2.qkv"][0], together.weights["layers.2.qkv"][1])


def test_xavier_bounds_and_variances():
    """Uniform draws from [-b, b] reach the bound and have variance b^2 / 3, within 4 standard errors."""
    config = Config("test", "question", 2, vocabulary_size=94, width=96, heads=4, ffn_width=200)
    D, F, C = 96, 200, 96
    stack = TransformerStack(config, [0, 1])

    def check(draw: torch.Tensor, bound: float):
        n = draw.numel()
        assert draw.abs().max() <= bound
        assert draw.abs().max() > bound * (1 - 20 / n)  # exp(-20) is the chance of all draws falling short
        variance = bound**2 / 3
        # the variance of x^2 is (4 / 45) b^4
        assert abs(draw.square().mean() - variance) < 4 * math.sqrt(4 / 45 / n) * bound**2
        assert abs(draw.mean()) < 4 * math.sqrt(variance / n)

    for r in range(2):
        w = {name: weight[r] for name, weight in stack.weights.items()}
        check(w["embedding"], math.sqrt(6 / (C + D)))
        check(w["output.weight"], math.sqrt(6 / (C + D)))
        check(w["output.bias"], 1 / math.sqrt(D))
        for i in range(2):
            for part in w[f"layers.{i}.qkv"].split(D, dim=1):
                check(part, math.sqrt(6 / (D + D)))
            check(w[f"layers.{i}.merge"], math.sqrt(6 / (D + D)))
            check(w[f"layers.{i}.ffn1.weight"], math.sqrt(2) * math.sqrt(6 / (D + F)))
            check(w[f"layers.{i}.ffn1.bias"], 1 / math.sqrt(D))
            check(w[f"layers.{i}.ffn2.weight"], math.sqrt(6 / (D + F)))
            check(w[f"layers.{i}.ffn2.bias"], 1 / math.sqrt(F))
            assert (w[f"layers.{i}.norm1.weight"] == 1).all() and (w[f"layers.{i}.norm2.bias"] == 0).all()
    square = [
        w["embedding"],
        w["output.weight"],
        w["layers.0.merge"],
        *w["layers.0.qkv"].split(D, dim=1),
        *w["layers.1.qkv"].split(D, dim=1),
    ]
    correlations = torch.corrcoef(torch.stack([matrix.flatten() for matrix in square]))
    correlations -= torch.eye(len(square))
    assert correlations.abs().max() < 5 / math.sqrt(D * D), "no two matrices come from the same draws"


# -- positions, padding, decoding ----------------------------------------------------------------------------


def test_positions_can_be_given():
    stack, tokens = make(), sentences()
    reference = [TorchModel(stack, run) for run in range(3)]
    for positions in (
        torch.arange(11) + 4,
        torch.tensor([0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        torch.arange(11) + torch.arange(5)[:, None],
    ):
        logits = stack.logits(tokens, positions)
        for run in range(3):
            torch.testing.assert_close(logits[run], reference[run](tokens, positions), **CLOSE)
    assert torch.equal(stack.hidden(tokens, torch.arange(11)), stack.hidden(tokens))
    assert (stack.logits(tokens, torch.arange(11) + 4) - stack.logits(tokens)).abs().max() > 0.01


def test_what_stands_behind_does_not_matter():
    stack, tokens = make(double=True), sentences()
    longer = torch.cat([tokens, torch.zeros(5, 6, dtype=torch.int64)], dim=1)
    other = torch.cat([tokens, sentences(length=6)], dim=1)
    for table in (longer, other):
        seen = stack.logits(table)[:, :, :11]
        torch.testing.assert_close(seen, stack.logits(tokens), atol=1e-12, rtol=1e-12)


def test_attention_is_the_one_that_the_model_uses():
    stack, tokens = make(), sentences()
    weights = stack.attention(tokens)
    assert len(weights) == 3
    for layer in weights:
        assert layer.shape == (3, 5, 4, 11, 11)
        torch.testing.assert_close(layer.sum(-1), torch.ones(3, 5, 4, 11, dtype=torch.float64))
        assert (layer.triu(1) == 0).all() and (layer >= 0).all()
    for run in range(3):
        for layer, expected in zip(weights, TorchModel(stack, run).layers_of(tokens)[1], strict=True):
            torch.testing.assert_close(layer[run], expected, **CLOSE)


@pytest.mark.parametrize("own", [False, True], ids=["shared tokens", "own tokens"])
def test_prefill_and_decode_equal_the_full_pass(own):
    """Prompts of different lengths in one batch, each going on at its own position."""
    stack, lengths, further = make(), torch.tensor([3, 7, 1, 5, 7]), 4
    tokens = sentences(runs=3 if own else None)
    prompts = tokens[..., :7].clone()
    prompts[..., torch.arange(7) >= lengths[:, None]] = 0
    cache = stack.prefill(prompts, room=further)
    full = stack.hidden(tokens)
    exact = dict(atol=1e-12, rtol=1e-12)
    every_run, batch = tokens.expand(3, -1, -1), torch.arange(5).unsqueeze(1)
    for begin, end in ((-1, 2), (1, 2), (2, 3), (3, 4)):  # the last of the prompt and two more, one once more
        positions = lengths.unsqueeze(1) + torch.arange(begin, end)
        decoded = stack.decode(every_run[:, batch, positions], positions.expand(3, -1, -1), cache)
        torch.testing.assert_close(decoded, full[:, batch, positions], **exact)
    which = torch.tensor([[4, 0], [1, 1], [2, 3]])  # some rows of each run alone
    run = torch.arange(3).unsqueeze(1)
    positions = lengths[which].unsqueeze(-1)
    new = every_run[run.unsqueeze(2), which.unsqueeze(2), positions]
    decoded = stack.decode(new, positions, cache.rows(which))
    expected = full[run.unsqueeze(2), which.unsqueeze(2), positions]
    torch.testing.assert_close(decoded, expected, **exact)


@pytest.mark.parametrize("seeds", [[], [1, 2, 1]])
def test_seeds_are_checked(seeds):
    with pytest.raises(GrokkitError) as caught:
        TransformerStack(SMALL, seeds)
    assert "\n" not in str(caught.value)


def test_rows_of_the_table_are_aligned_and_the_gaps_stay_empty():
    stack = TransformerStack(SMALL, [1, 2, 3])
    assert stack.flat.shape == (3, parameter_count(SMALL)) and stack.flat.shape[1] % 32
    assert stack.flat.stride(0) % 32 == 0
    assert all(
        weight.data_ptr() == stack.flat.data_ptr() + 4 * start
        for weight, start in [
            (stack.weights["embedding"], 0),
            (stack.weights["layers.0.qkv"], stack.weights["embedding"][0].numel()),
        ]
    )
    rows = whole_rows(stack.flat)
    assert rows.is_contiguous() and torch.equal(rows[:, : stack.flat.shape[1]], stack.flat)
    assert not rows[:, stack.flat.shape[1] :].any()
    rows[1] = 7
    assert (stack.run(1).flat == 7).all() and not (stack.run(2).flat == 7).any()


def test_tables_of_positions_stay_where_recorded_steps_read_them():
    stack = TransformerStack(SMALL, [1])
    short = stack._first_sinusoids(10)
    where, values = short.data_ptr(), short.clone()
    del short
    assert torch.equal(stack._first_sinusoids(500)[:10], values)
    assert where in [table.data_ptr() for table in stack._sinusoids]
