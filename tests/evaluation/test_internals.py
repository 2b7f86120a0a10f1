"""Weight norms against what initialization must give, attention entropy against a plain forward pass."""

import math

import numpy as np
import pytest
import torch
from chart_stacks import SENTENCES, VOCAB, stack_of
from torch_model import TorchModel

from grokkit.config import Config
from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.evaluation.analysis import AnalysisSample, analyse, branching_baselines
from grokkit.evaluation.internals import (
    attention_entropy,
    attention_sparsity,
    dead_decoder_square,
    released_attention_entropy,
    weight_norms,
)
from grokkit.model.transformer import TransformerStack
from grokkit.trees import balanced, parseval, project, right_branching, sci_charts, t_parseval, t_score


def as_run(depth: int, **changes) -> Config:
    return Config("as-run", "question", depth, vocabulary_size=TASKS["question"].vocab.size).replace(**changes)


# depth -> (published definition: with the unused decoder, over L; used parameters over sqrt(L)), at
# initialization
AT_START = {2: (122, 75.3), 4: (67, 74.8), 6: (48, 74.7), 8: (38, 74.6), 10: (32, 74.5)}


@pytest.mark.parametrize("depth", AT_START)
def test_norms_at_initialization(depth):
    released, flat = AT_START[depth]
    row = weight_norms(TransformerStack(as_run(depth), [42])).iloc[0]
    assert round(row.weight_norm_released) == released
    # .1: the vocabulary behind the known values is not known; V = 69 and V = 99 differ by .3 at two layers
    assert row.weight_norm_sqrt == pytest.approx(flat, abs=0.1)
    assert row.weight_norm == pytest.approx(row.weight_norm_sqrt / math.sqrt(depth))


def test_norms_by_their_definitions():
    stack = stack_of(seeds=(3, 5), depth=2)
    table = weight_norms(stack)
    assert table.seed.tolist() == [3, 5]
    for r in range(2):
        every = np.concatenate([weight[r].numpy().ravel() for weight in stack.weights.values()]).astype(float)
        total = math.sqrt((every**2).sum())
        expected = {
            "weight_norm": total / 2,
            "weight_norm_total": total,
            "weight_norm_sqrt": total / math.sqrt(2),
            "weight_norm_rms": math.sqrt((every**2).mean()),
            "weight_norm_released": math.sqrt(total**2 + dead_decoder_square(stack.config)) / 2,
        }
        assert table.iloc[r].drop("seed").to_dict() == pytest.approx(expected)


@pytest.mark.parametrize("changes", [{}, {"width": 64, "ffn_width": 96, "heads": 4}])
def test_the_unused_decoder_is_that_of_torch_with_xavier_matrices(changes):
    """Shapes from torch's own decoder layer, whose biases in the attention the released code has not."""
    config = as_run(2, **changes)
    layer = torch.nn.TransformerDecoderLayer(config.width, config.heads, config.ffn_width)
    torch.manual_seed(0)
    square = count = 0
    for name, parameter in layer.named_parameters():
        if "attn" in name and name.endswith("bias"):
            continue
        blocks = parameter.chunk(3) if name.endswith("in_proj_weight") else [parameter]
        for block in blocks:
            if block.dim() == 2:
                torch.nn.init.xavier_uniform_(block.data, gain=math.sqrt(2) if "linear1" in name else 1)
        square, count = square + parameter.double().square().sum().item(), count + parameter.numel()
    # one layer is drawn: relative spread of the sum sqrt(.8 / count), that is .0005 and .003
    assert dead_decoder_square(config) == pytest.approx(6 * square, rel=4 * math.sqrt(0.8 / count))
    if not changes:
        assert round(6 * count / 1e6, 1) == 25.2


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_entropies_equal_those_of_a_plain_forward_pass(scale):
    stack = stack_of(seeds=(1, 2), depth=3, scale=scale)
    table = attention_entropy(stack, SENTENCES, VOCAB)
    assert list(table.columns) == ["seed", "layer", "head", "negative_entropy"] and len(table) == 2 * 3 * 4
    overall = attention_sparsity(stack, SENTENCES, VOCAB)
    released = released_attention_entropy(stack, SENTENCES, VOCAB)
    for run, seed in enumerate(stack.seeds):
        every = {(layer, head): [] for layer in range(3) for head in range(4)}
        sums, model = [], TorchModel(stack, run).double().requires_grad_(False)
        for sentence in SENTENCES:
            tokens = torch.tensor([[VOCAB.bos, *VOCAB.encode(sentence)]])
            _, seen = model.layers_of(tokens)
            for layer, head in every:
                every[layer, head] += [-entropy(weights) for weights in seen[layer][0, head]]
            _, wrong = model.layers_of(tokens, on_embeddings=True)
            sums += [sum(entropy(weights) for weights in layer[0].mean(0)) for layer in wrong]
        for (layer, head), values in every.items():
            here = table[(table.seed == seed) & (table.layer == layer + 1) & (table["head"] == head + 1)]
            # 1e-5: float32 in the stack
            assert here.negative_entropy.item() == pytest.approx(np.mean(values), abs=1e-5)
        assert overall[run] == pytest.approx(np.mean(list(every.values())), abs=1e-5)
        assert released[run] == pytest.approx(np.mean(sums), rel=1e-5)
    assert (table.negative_entropy <= 0).all()


def entropy(weights: torch.Tensor) -> float:
    return -sum(p * math.log(p) for p in weights.tolist() if p > 0)


def test_analyse_holds_what_the_single_functions_say():
    stack = stack_of(seeds=(1, 2), scale=2.0)
    gold = [balanced(len(sentence.split())) for sentence in SENTENCES]
    found = analyse(stack, AnalysisSample(SENTENCES, gold), VOCAB)
    charts = sci_charts(stack, SENTENCES, VOCAB)
    assert all(values.shape == (2,) for values in found.values())
    norms = weight_norms(stack)
    expected = {name: norms[name].to_numpy() for name in norms if name != "seed"} | {
        "attention_sparsity": attention_sparsity(stack, SENTENCES, VOCAB),
        "attention_sparsity_released": released_attention_entropy(stack, SENTENCES, VOCAB),
        "t_score": t_score(charts),
        "t_score_exact": t_score(charts, tree="exact"),
        "t_score_uniform_splits": t_score(charts, baseline="uniform-splits"),
        "t_score_uniform_trees": t_score(charts, baseline="uniform-trees"),
        "t_score_uniform_trees_no_prefix": t_score(charts, baseline="uniform-trees", prefix_spans=False),
        "t_parseval": t_parseval(charts, gold),
        "t_parseval_no_root": t_parseval(charts, gold, root=False),
        "t_parseval_exact": t_parseval(charts, gold, tree="exact"),
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-12, err_msg=name)
    trees = [project(chart[1]) for chart in charts]
    assert found["t_parseval"][1] == parseval(trees, gold).f1

    without = analyse(stack, AnalysisSample(SENTENCES, None), VOCAB)
    assert without.keys() == found.keys()
    assert all(np.isnan(without[name]).all() == name.startswith("t_parseval") for name in without)


def test_branching_baselines_are_named_as_columns():
    gold = [right_branching(5), balanced(4)]
    found = branching_baselines(gold)
    assert list(found) == ["t_parseval_right", "t_parseval_left", "t_parseval_balanced", "t_parseval_random"]
    assert found["t_parseval_right"] == pytest.approx((4 + 2) / 7)
    assert found["t_parseval_balanced"] == pytest.approx((3 + 3) / 7)


def test_bad_arguments():
    stack = stack_of()
    for wrong, message in (
        (lambda: attention_entropy(stack, [], VOCAB), "no sentences"),
        (lambda: released_attention_entropy(stack, [""], VOCAB), "sentence 0 is empty"),
        (lambda: analyse(stack, AnalysisSample(SENTENCES, [balanced(3)]), VOCAB), "8 sentences but 1 gold trees"),
    ):
        with pytest.raises(GrokkitError, match=message):
            wrong()
