"""Import of the authors' state dicts, against an attention written with their layout."""

import math

import pytest
import torch

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
        p = f"trafo.encoder.layers.{i}."
        state |= {
            p + "self_attn.data_to_q.weight": draw(D, D),
            p + "self_attn.data_to_kv.weight": draw(2 * D, D),
            p + "self_attn.multi_head_merge.weight": draw(D, D),
            p + "linear1.weight": draw(F, D),
            p + "linear1.bias": draw(F),
            p + "linear2.weight": draw(D, F),
            p + "linear2.bias": draw(D),
            p + "norm1.weight": 1 + draw(D),
            p + "norm1.bias": draw(D),
            p + "norm2.weight": 1 + draw(D),
            p + "norm2.bias": draw(D),
        }
    return state


def forward(state, tokens):
    """Their forward pass with their layouts, for one sentence: rows of kv are (head, key | value, channel)."""
    n = len(tokens)
    position = torch.zeros(n, D)
    for t in range(n):
        for c in range(0, D, 2):
            angle = t / 10000 ** (c / D)
            position[t, c], position[t, c + 1] = math.sin(angle), math.cos(angle)
    x = state["input_embedding.weight"][tokens] * math.sqrt(D) + position
    for i in range(L):
        w = {k.removeprefix(f"trafo.encoder.layers.{i}."): v for k, v in state.items()}
        q = (x @ w["self_attn.data_to_q.weight"].T).view(n, H, D // H)
        kv = (x @ w["self_attn.data_to_kv.weight"].T).view(n, H, 2, D // H)
        out = torch.zeros(n, H, D // H)
        for h in range(H):
            for t in range(n):
                scores = kv[: t + 1, h, 0] @ q[t, h] / math.sqrt(D // H)
                out[t, h] = scores.softmax(0) @ kv[: t + 1, h, 1]
        x = x + out.view(n, D) @ w["self_attn.multi_head_merge.weight"].T
        x = torch.nn.functional.layer_norm(x, (D,), w["norm1.weight"], w["norm1.bias"])
        h = torch.relu(x @ w["linear1.weight"].T + w["linear1.bias"]) @ w["linear2.weight"].T + w["linear2.bias"]
        x = torch.nn.functional.layer_norm(x + h, (D,), w["norm2.weight"], w["norm2.bias"])
    return x @ state["output_map.weight"].T + state["output_map.bias"]


def test_logits_equal_theirs():
    state, tokens = theirs(), torch.tensor([70, 3, 9, 44, 9, 68])
    logits = import_authors(state, heads=H).logits(tokens[None])[0, 0]
    # float32, sums of up to 48 terms, logits of size about 5
    assert torch.allclose(logits, forward(state, tokens), atol=2e-5)


def test_from_a_file(tmp_path):
    torch.save(theirs(), tmp_path / "state.pickle")
    assert import_authors(tmp_path / "state.pickle", heads=H).config.depth == L
    (tmp_path / "broken").write_bytes(b"no checkpoint")
    with pytest.raises(GrokkitError, match="cannot read"):
        import_authors(tmp_path / "broken")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("output_map.bias"), "output_map.bias is missing"),
        (lambda s: s.update(extra=torch.zeros(1)), "extra is extra"),
        (lambda s: s.update({"trafo.encoder.layers.1.norm1.bias": torch.zeros(3)}), r"norm1.bias has shape \(3,\)"),
        (lambda s: s.pop("input_embedding.weight"), "input_embedding.weight is missing"),
    ],
)
def test_anything_else_is_refused_by_name(change, message):
    state = theirs()
    change(state)
    with pytest.raises(GrokkitError, match=message):
        import_authors(state, heads=H)


def test_heads_must_divide_the_width():
    with pytest.raises(GrokkitError, match="heads = 5"):
        import_authors(theirs(), heads=5)
