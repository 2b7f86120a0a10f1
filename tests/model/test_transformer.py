"""TransformerStack against torch's own encoder layers and against itself."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch_model import TorchModel

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.model.transformer import TransformerStack
from grokkit.presets import preset

SMALL = Config("test", "question", 3, vocabulary_size=30, width=32, heads=4, ffn_width=48)
SHAPES = [
    SMALL,
    replace(SMALL, heads=8),
    replace(SMALL, tied=True),
    replace(SMALL, ffn_width=20, depth=1),
    replace(SMALL, heads=1, tied=True, depth=6),
    replace(SMALL, vocabulary_size=7, width=16, heads=2),
]
NAMES = [f"L{c.depth} D{c.width} H{c.heads} F{c.ffn_width}{' tied' if c.tied else ''}" for c in SHAPES]
# Both sides compute in double precision, but the stack's position vectors are float32.
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
ROUNDING = {"atol": 1e-12, "rtol": 1e-12}  # double precision throughout: only the order of sums differs


def make(config=SMALL, seeds=(1, 2, 3)) -> TransformerStack:
    """A stack with norms and biases that are not 1 and 0, in double precision."""
    stack = TransformerStack(config, seeds)
    noise = torch.randn(stack.flat.shape, generator=torch.Generator().manual_seed(0))
    return TransformerStack(config, seeds, flat=(stack.flat + 0.1 * noise).double())


def sentences(config=SMALL, batch=5, length=11, runs=None) -> torch.Tensor:
    """Random tokens [B, T] (or [R, B, T]) of all V + 2 classes."""
    size = (batch, length) if runs is None else (runs, batch, length)
    return torch.randint(config.vocabulary_size + 2, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("config", SHAPES, ids=NAMES)
def test_logits_gradients_and_attention_equal_torch_layers(config):
    stack, tokens = make(config), sentences(config)
    attention = stack.attention(tokens)
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
        for name, weight in reference.weights.items():
            torch.testing.assert_close(stack.weights[name.replace("/", ".")].grad[run], weight.grad, **CLOSE, msg=name)
            assert weight.grad.abs().max() > 1e-4, f"the gradient of {name} is to be tested, not zeros"
        for layer, seen in zip(attention, reference.layers_of(tokens)[1], strict=True):
            torch.testing.assert_close(layer[run], seen, **CLOSE)
            torch.testing.assert_close(layer.sum(-1), torch.ones(3, 5, config.heads, 11, dtype=torch.float64))
            assert (layer.triu(1) == 0).all() and (layer >= 0).all()


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, tied=True)], ids=["untied", "tied"])
def test_stacked_runs_equal_single_ones(config):
    stack = make(config)
    shared, own = sentences(config), sentences(config, runs=3)
    for r, seed in enumerate(stack.seeds):
        alone = make(config).run(r)
        assert (alone.runs, alone.seeds) == (1, (seed,))
        torch.testing.assert_close(alone.logits(shared)[0], stack.logits(shared)[r], **ROUNDING)
        torch.testing.assert_close(alone.logits(own[r])[0], stack.logits(own)[r], **ROUNDING)
        for one, all_runs in zip(alone.attention(shared), stack.attention(shared)):
            torch.testing.assert_close(one[0], all_runs[r], **ROUNDING)
    assert stack.run(1).weights["embedding"].data_ptr() == stack.weights["embedding"][1].data_ptr()


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
    stack, tokens = make(), sentences()
    for behind in (torch.zeros(5, 6, dtype=torch.int64), sentences(length=6)):
        seen = stack.logits(torch.cat([tokens, behind], dim=1))[:, :, :11]
        torch.testing.assert_close(seen, stack.logits(tokens), **ROUNDING)


def test_scores_at_places_are_those_of_the_whole_pass():
    stack, tokens = make(), sentences(runs=3)
    places = torch.tensor([[0, 4], [3, 3], [10, 1], [2, 9], [7, 6]]).expand(3, -1, -1)
    whole = stack.logits(tokens)[:, torch.arange(5).unsqueeze(1), places[0]]
    torch.testing.assert_close(stack.logits_at(tokens, places), whole, **ROUNDING)


def test_tables_of_positions_stay_where_recorded_steps_read_them():
    stack = TransformerStack(SMALL, [1])
    short = stack._first_sinusoids(10)
    address, values = short.data_ptr(), short.clone()
    del short
    assert torch.equal(stack._first_sinusoids(500)[:10], values)
    assert address in [table.data_ptr() for table in stack._sinusoids]


@pytest.mark.parametrize("seeds", [[], [1, 2, 1]])
def test_seeds_are_checked(seeds):
    with pytest.raises(GrokkitError) as caught:
        TransformerStack(SMALL, seeds)
    assert "\n" not in str(caught.value)


def test_embeddings_are_looked_up_and_not_rounded():
    """On CUDA a product chooses them, under the autocast of bf16 too. That way is taken here on the CPU."""
    stack = TransformerStack(preset("smoke", "question", 1), [1, 2])
    tokens = torch.randint(1, 60, (2, 3, 7), generator=torch.Generator().manual_seed(0))
    table = stack.weights["embedding"].requires_grad_()
    towards = torch.randn(2, 3, 7, stack.config.width, generator=torch.Generator().manual_seed(1))
    found = []
    for device in ("cpu", "cuda"):
        stack.device = torch.device("cpu") if device == "cpu" else SimpleNamespace(type="cuda")
        with torch.autocast("cpu", torch.bfloat16):
            words = stack._words(tokens)
        found.append((words, torch.autograd.grad((words * towards).sum(), table)[0]))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])
