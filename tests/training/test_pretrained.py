"""Import of the authors' state dicts, against torch's layers with their keys and values put in order head by head."""

import pytest
import torch
from torch_model import TorchModel

from grokkit.errors import GrokkitError
from grokkit.training.pretrained import import_authors

V, D, F, L, H = 69, 32, 48, 2, 4


def theirs() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=g) * 0.2

    state = {
        "input_embedding.weight": draw(V + 2, D),
        "output_map.weight": draw(V + 2, D),
        "output_map.bias": draw(V + 2),
        "pos.pe": draw(1, 50, D),
        "int_seq": torch.arange(50),
        "trafo.decoder.layers.0.linear1.weight": draw(F, D),
    }
    for i in range(L):
        layer = {
            "self_attn.data_to_q.weight": draw(D, D),
            "self_attn.data_to_kv.weight": draw(2 * D, D),
            "self_attn.multi_head_merge.weight": draw(D, D),
            "linear1.weight": draw(F, D),
            "linear1.bias": draw(F),
            "linear2.weight": draw(D, F),
            "linear2.bias": draw(D),
            "norm1.weight": 1 + draw(D),
            "norm1.bias": draw(D),
            "norm2.weight": 1 + draw(D),
            "norm2.bias": draw(D),
        }
        state |= {f"trafo.encoder.layers.{i}.{name}": value for name, value in layer.items()}
    return state


class Theirs(TorchModel):
    """Their forward pass. Rows of data_to_kv go head by head: its keys, then its values."""

    def __init__(self, stack, state):
        super().__init__(stack, 0)
        self.state = state
        self.weights["embedding"].data = state["input_embedding.weight"]
        self.weights["output/weight"].data = state["output_map.weight"].T
        self.weights["output/bias"].data = state["output_map.bias"]

    def parameters_of(self, i):
        prefix = f"trafo.encoder.layers.{i}."
        w = {name.removeprefix(prefix): value for name, value in self.state.items() if name.startswith(prefix)}
        parts = w.pop("self_attn.data_to_kv.weight").split(D // H)
        return {
            "self_attn.in_proj_weight": torch.cat([w.pop("self_attn.data_to_q.weight"), *parts[::2], *parts[1::2]]),
            "self_attn.in_proj_bias": torch.zeros(3 * D),
            "self_attn.out_proj.weight": w.pop("self_attn.multi_head_merge.weight"),
            "self_attn.out_proj.bias": torch.zeros(D),
        } | w


def test_logits_equal_theirs():
    state, tokens = theirs(), torch.tensor([[70, 3, 9, 44, 9, 68]])
    stack = import_authors(state, heads=H)
    # float32, sums of up to 48 terms, logits of size about 5
    assert torch.allclose(stack.logits(tokens)[0], Theirs(stack, state)(tokens), atol=2e-5)


def test_from_a_file(tmp_path):
    torch.save(theirs(), tmp_path / "state.pickle")
    assert import_authors(tmp_path / "state.pickle", heads=H).config.depth == L
    (tmp_path / "broken").write_bytes(b"no checkpoint")
    with pytest.raises(GrokkitError, match="cannot read"):
        import_authors(tmp_path / "broken")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"output_map.bias": None}, "output_map.bias is missing"),
        ({"extra": torch.zeros(1)}, "extra is extra"),
        ({"trafo.encoder.layers.1.norm1.bias": torch.zeros(3)}, r"norm1.bias has shape \(3,\), not \(32,\)"),
        (
            {"trafo.encoder.layers.0.self_attn.data_to_kv.weight": torch.zeros(D, D)},
            r"data_to_kv.weight has shape \(32, 32\), not \(64, 32\)",
        ),
        ({"input_embedding.weight": None}, "input_embedding.weight is missing"),
        ({"output_map.bias": torch.full((V + 2,), torch.nan)}, "output_map.bias holds nan"),
        ({"output_map.bias": "text"}, "'output_map.bias' is not a named tensor"),
    ],
)
def test_anything_else_is_refused_by_name(change, message):
    state = {name: value for name, value in (theirs() | change).items() if value is not None}
    with pytest.raises(GrokkitError, match=message):
        import_authors(state, heads=H)


def test_heads_must_divide_the_width():
    with pytest.raises(GrokkitError, match="heads = 5"):
        import_authors(theirs(), heads=5)
