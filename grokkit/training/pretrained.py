"""Import of checkpoints in the authors' format (DEVIATIONS.md, D23, D75 and D96)."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from grokkit.config import AS_RUN
from grokkit.errors import GrokkitError
from grokkit.model.transformer import TransformerStack

_LAYER = "trafo.encoder.layers.{}."
_IGNORED = ("trafo.decoder.", "pos.pe", "int_seq")  # dead weight and constants
_TASK_BY_CLASSES = {71: "question", 101: "tense", 43: "dyck"}


def import_authors(source: str | Path | Mapping[str, Tensor], heads: int = 8) -> TransformerStack:
    """A stack of one from a state dict of the released code, or from a file that torch saved one in.

    heads: not stored in the checkpoint; the released code trains 8. Files are read with weights_only=True, so
    no code in them runs. The never-used decoder is ignored. Raises GrokkitError that names every other
    parameter that is missing, extra, of a wrong shape, or that holds something else than finite numbers.
    """
    if not isinstance(source, Mapping):
        try:
            source = torch.load(source, map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load raises many kinds for a file that is not its own
            reason = (str(error) or repr(error)).splitlines()[0]
            raise GrokkitError(f"cannot read {source} as a torch state dict: {reason}") from error
        if not isinstance(source, Mapping):
            raise GrokkitError("the file holds no state dict: save model.state_dict() and give that")
    state = {name: value for name, value in source.items() if not str(name).startswith(_IGNORED)}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or not value.is_floating_point():
            raise GrokkitError(f"not a checkpoint of the authors': {name} is no tensor of numbers under a name")
        if not torch.isfinite(value).all():
            raise GrokkitError(f"{name} holds nan or infinity: this training had failed")
    if "input_embedding.weight" not in state or state["input_embedding.weight"].dim() != 2:
        raise GrokkitError("input_embedding.weight is missing or no matrix: this is no checkpoint of the authors'")
    classes, width = state["input_embedding.weight"].shape
    depth = len({m[1] for m in (re.match(r"trafo\.encoder\.layers\.(\d+)\.", name) for name in state) if m})
    first = state.get(_LAYER.format(0) + "linear1.bias")
    ffn_width = first.shape[0] if first is not None and first.dim() else 4 * width
    _check(state, _expected_shapes(classes, width, ffn_width, depth))
    task = _TASK_BY_CLASSES.get(classes, "question")
    config = AS_RUN[task].replace(
        depth=depth, width=width, heads=heads, ffn_width=ffn_width, vocabulary_size=classes - 2
    )
    stack = TransformerStack(config, [0])
    for name, value in _translate(state, depth, heads).items():
        stack.weights[name][0].copy_(value)
    return stack


def _expected_shapes(classes: int, width: int, ffn_width: int, depth: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "input_embedding.weight": (classes, width),
        "output_map.weight": (classes, width),
        "output_map.bias": (classes,),
    }
    for i in range(depth):
        layer = {
            "self_attn.data_to_q.weight": (width, width),
            "self_attn.data_to_kv.weight": (2 * width, width),
            "self_attn.multi_head_merge.weight": (width, width),
            "linear1.weight": (ffn_width, width),
            "linear1.bias": (ffn_width,),
            "linear2.weight": (width, ffn_width),
            "linear2.bias": (width,),
            "norm1.weight": (width,),
            "norm1.bias": (width,),
            "norm2.weight": (width,),
            "norm2.bias": (width,),
        }
        shapes |= {_LAYER.format(i) + name: shape for name, shape in layer.items()}
    return shapes


def _check(state: Mapping[str, Tensor], expected: dict[str, tuple[int, ...]]) -> None:
    wrong = [f"{name} is missing" for name in sorted(expected.keys() - state.keys())]
    wrong += [f"{name} is extra" for name in sorted(state.keys() - expected.keys())]
    wrong += [
        f"{name} has shape {tuple(state[name].shape)}, not {shape}"
        for name, shape in expected.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    if wrong:
        raise GrokkitError(f"not a checkpoint of the authors': {'; '.join(wrong)}")


def _translate(state: Mapping[str, Tensor], depth: int, heads: int) -> dict[str, Tensor]:
    """Their names and layouts to ours. Their key-value rows go head, then key before value, then channel."""
    weights = {
        "embedding": state["input_embedding.weight"],
        "output.weight": state["output_map.weight"].T,
        "output.bias": state["output_map.bias"],
    }
    for i in range(depth):
        theirs = {
            name: state[_LAYER.format(i) + name]
            for name in (
                "self_attn.data_to_q.weight",
                "self_attn.data_to_kv.weight",
                "self_attn.multi_head_merge.weight",
                "linear1.weight",
                "linear1.bias",
                "linear2.weight",
                "linear2.bias",
                "norm1.weight",
                "norm1.bias",
                "norm2.weight",
                "norm2.bias",
            )
        }
        query = theirs["self_attn.data_to_q.weight"]
        width = query.shape[0]
        keys_values = theirs["self_attn.data_to_kv.weight"].view(heads, 2, width // heads, width)
        key, value = (keys_values[:, part].reshape(width, width) for part in (0, 1))
        ours = {
            "qkv": torch.cat([query, key, value]).T,
            "merge": theirs["self_attn.multi_head_merge.weight"].T,
            "ffn1.weight": theirs["linear1.weight"].T,
            "ffn1.bias": theirs["linear1.bias"],
            "ffn2.weight": theirs["linear2.weight"].T,
            "ffn2.bias": theirs["linear2.bias"],
        } | {name: theirs[name] for name in theirs if name.startswith("norm")}
        weights |= {f"layers.{i}.{name}": value for name, value in ours.items()}
    return weights
