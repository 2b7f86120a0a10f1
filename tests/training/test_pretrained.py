"""Import of the authors' state dicts, against torch's layers with their keys and values put in order head by head."""

import argparse

import pytest
import torch
from authors import authors_state
from safetensors.torch import save_file
from torch_model import TorchModel

from grokkit.errors import GrokkitError
from grokkit.training.pretrained import import_authors

V, D, F, L, H = 69, 32, 48, 2, 4


def theirs(classes=V + 2) -> dict[str, torch.Tensor]:
    return authors_state(classes, D, F, L)


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


def renamed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in theirs().items()}


WRAPPINGS = {
    "module.": renamed("module."),
    "model.": renamed("model."),
    "_orig_mod.module.": renamed("_orig_mod.module."),
    "state_dict": {"state_dict": theirs(), "epoch": 3},
    "model_state_dict": {"model_state_dict": theirs(), "optimizer_state_dict": {"state": {}, "param_groups": []}},
    "model": {"model": theirs(), "step": 300_000, "args": {"lr": 1e-4}},
    "state_dict, module.": {"state_dict": renamed("module.")},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_checkpoint_is_seen_through_its_wrapping_given_or_in_a_file(wrapping, tmp_path):
    torch.save(WRAPPINGS[wrapping], tmp_path / "pytorch_model.bin")
    for given in (WRAPPINGS[wrapping], tmp_path / "pytorch_model.bin"):
        assert torch.equal(import_authors(given, heads=H).flat, import_authors(theirs(), heads=H).flat)


def test_from_files_and_what_they_hold_else(tmp_path, monkeypatch):
    """Code in a file does not run."""
    monkeypatch.chdir(tmp_path)
    save_file({name: value for name, value in theirs().items() if name != "int_seq"}, "model.safetensors")
    torch.save(theirs(), "state.pickle")
    for path in ("state.pickle", tmp_path / "state.pickle", "model.safetensors"):
        assert torch.equal(import_authors(path, heads=H).flat, import_authors(theirs(), heads=H).flat)
    (tmp_path / "broken").write_bytes(b"no checkpoint")
    with pytest.raises(GrokkitError, match="cannot read"):
        import_authors(tmp_path / "broken")
    torch.save({"state_dict": theirs(), "args": argparse.Namespace(lr=1)}, "state.pt")
    with pytest.raises(GrokkitError, match="state.pt"):
        import_authors("state.pt", heads=H)


def test_a_tied_checkpoint_needs_no_output_matrix():
    tied = theirs() | {"output_map.weight": theirs()["input_embedding.weight"]}
    without = {name: value for name, value in tied.items() if name != "output_map.weight"}
    tokens = torch.tensor([[70, 3, 7, 20]])
    assert torch.equal(*(import_authors(state, heads=H).logits(tokens) for state in (without, tied)))


@pytest.mark.parametrize("classes, task", [(71, "question"), (101, "tense"), (43, "dyck"), (55, None), (23, None)])
def test_the_words_say_which_task_it_is_or_it_is_asked_for(classes, task):
    if task is None:
        with pytest.raises(GrokkitError, match=f"{classes}.*task|task.*{classes}"):
            import_authors(theirs(classes), heads=H)
    found = import_authors(theirs(classes), heads=4.0, task=task or "question").config
    assert (found.task, found.vocabulary_size, found.heads) == (task or "question", classes - 2, H)


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


@pytest.mark.parametrize("heads", [5, True, "4", None, 0, -4, 2.5])
def test_heads_must_be_a_number_that_divides_the_width(heads):
    with pytest.raises(GrokkitError, match=f"heads = {heads!r}"):
        import_authors(theirs(), heads=heads)


def test_two_state_dicts_in_one_file_are_asked_for():
    with pytest.raises(GrokkitError, match="model.*ema"):
        import_authors({"model": theirs(), "ema": theirs()}, heads=H)
