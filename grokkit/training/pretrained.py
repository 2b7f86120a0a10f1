"""Stacks of trained weights: of runs of this kit, and of checkpoints of the released code."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.model.transformer import TransformerStack
from grokkit.presets import AS_RUN, config_of, preset_name, task_names
from grokkit.storage.identity import refuse_other_config
from grokkit.storage.run_folder import FoundRun, found_runs
from grokkit.storage.weights import RecordedRun, recorded_runs
from grokkit.training.devices import pick_device
from grokkit.values import one_of, one_whole_number

_EMBEDDING = "input_embedding.weight"
_IGNORED = ("trafo.decoder.", "pos.pe", "int_seq")  # dead weight and constants
_TASK_BY_CLASSES = {71: "question", 101: "tense", 43: "dyck"}


def load_stack(
    preset: str, task: object, depth: int, seed: int, source: str = "runs", step: int | None = None, device="cpu"
) -> TransformerStack:
    """The run of this seed as a stack of one, at a step whose weights were kept; by default at the end.

    source: "runs" (trained here: the two newest checkpoints, and weights at saturation and half way) or "record" (a few
    runs in figures/<preset>/weights/). Raises GrokkitError, which says what there is, where there is no such run or
    step; and for a damaged file, and one of another config.
    """
    preset, task, depth, seed, runs = _runs(preset, task, depth, seed, source)
    for run in runs:
        steps = run.steps() if (run.task, run.depth, run.seed) == (task, depth, seed) else []
        at = max(steps, default=-1) if step is None else one_whole_number("step", step)
        if at not in steps:
            continue
        described, weights = run.weights(at)
        described, known = described["config"], {field.name: field.default for field in fields(Config)}
        strange = described.keys() - known | {name for name in known if known[name] != ""} - described.keys()
        if strange:
            raise GrokkitError(
                f"the checkpoints in {run.path} belong to another version of grokkit, whose Config differs in"
                f" {', '.join(sorted(strange))}: use that version, or train in another place (GROKKIT_RUNS)"
            )
        wanted = config_of(preset, task, depth, described, run.path)
        refuse_other_config(run.path, described, wanted)
        if at >= wanted.steps or step is not None or source == "record":
            return TransformerStack(wanted, [seed], pick_device(device), weights)
    there = [f"L{run.depth} seed {run.seed} step {' '.join(map(str, run.steps()))}" for run in runs if run.task == task]
    raise GrokkitError(
        f"no weights of {task} with {depth} layers, seed {seed}, {'at the end' if step is None else f'step {step}'} in"
        f" the {source} of preset {preset}; there are: {', '.join(there) or 'none'}"
        f" (train with 'grokkit sweep', or ask for one of these)"
    )


def saved_steps(preset: str, task: object, depth: int, seed: int, source: str = "runs") -> list[int]:
    """The steps of a run that `load_stack` can give, oldest first; none where there is no such run."""
    _, *key, runs = _runs(preset, task, depth, seed, source)
    return sorted({step for run in runs if [run.task, run.depth, run.seed] == key for step in run.steps()})


def _runs(preset: str, task: object, depth: object, seed: object, source: str) -> tuple[str, str, int, int, Sequence]:
    """Names and numbers as they are meant, and all runs of the preset that have weights, found or recorded ones."""
    preset = preset_name(preset)
    found: Sequence[FoundRun | RecordedRun] = (
        found_runs(preset) if one_of("source", source, ("runs", "record")) == "runs" else recorded_runs(preset)
    )
    (task,) = task_names([getattr(task, "name", task)], {run.task for run in found})
    return preset, task, one_whole_number("depth", depth, 1), one_whole_number("seed", seed), found


def import_authors(source: str | Path | Mapping, heads: object = 8, task: str | None = None) -> TransformerStack:
    """A stack of one from a state dict of the released code, or from a file that torch or safetensors saved one in.

    heads: not stored in the checkpoint; the released code trains 8. task: by default the one with as many words.
    What DataParallel, torch.compile, Lightning or a training loop wrap around the state dict is seen through; without
    an output matrix it is that of a tied model. Files are read without running code in them. The never-used decoder
    is ignored. Raises GrokkitError that names every other parameter that is missing, extra, of a wrong shape, or that
    holds something else than finite numbers; and where it must be asked which task or which of several state dicts.
    Source: DEVIATIONS.md, D23, D75 and D96.
    """
    unwrapped = _unwrapped(source if isinstance(source, Mapping) else _read(source))
    state = {name: value for name, value in unwrapped.items() if not str(name).startswith(_IGNORED)}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or not value.is_floating_point():
            raise GrokkitError(f"not a checkpoint of the authors': {name!r} is not a named tensor of real numbers")
        if not torch.isfinite(value).all():
            raise GrokkitError(f"{name} holds nan or infinity: this training had failed")
    if state[_EMBEDDING].dim() != 2:
        raise GrokkitError(f"{_EMBEDDING} is no matrix: this is no checkpoint of the authors'")
    classes, width = state[_EMBEDDING].shape
    first = state.get("trafo.encoder.layers.0.linear1.bias")
    config = AS_RUN[_task_of(classes, task)].replace(
        depth=len({m[1] for m in (re.match(r"trafo\.encoder\.layers\.(\d+)\.", name) for name in state) if m}),
        width=width,
        heads=heads,
        ffn_width=first.shape[0] if first is not None and first.dim() else 4 * width,
        vocabulary_size=classes - 2,
        tied="output_map.weight" not in state,
    )
    stack = TransformerStack(config, [0])
    views = _in_their_layout(stack)
    _check_shapes(state, views)
    for name, view in views.items():
        view.copy_(state[name].reshape(view.shape))
    return stack


def _read(path: str | Path) -> Mapping:
    try:
        if str(path).endswith(".safetensors"):
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds for a file that is not its own
        reason = (str(error) or repr(error)).splitlines()[0]
        raise GrokkitError(f"cannot read {path} as a torch state dict: {reason}") from error
    if not isinstance(state, Mapping):
        raise GrokkitError("the file holds no state dict: save model.state_dict() and give that")
    return state


def _unwrapped(given: Mapping) -> dict:
    """The only state dict in there, however deep, without what stands before the names of all its parameters."""
    found: list[tuple[str, Mapping, str]] = []  # where it is, the mapping that holds it, what stands before its names
    waiting = [("", given)]
    while waiting:
        where, mapping = waiting.pop(0)
        found += [(where + str(n), mapping, n[: -len(_EMBEDDING)]) for n in mapping if str(n).endswith(_EMBEDDING)]
        waiting += [(f"{where}{name}: ", value) for name, value in mapping.items() if isinstance(value, Mapping)]
    if not found:
        raise GrokkitError(f"{_EMBEDDING} is missing: this is no checkpoint of the authors'")
    if len(found) > 1:
        raise GrokkitError(
            f"there are several state dicts, give one of them: {', '.join(where for where, *_ in found)}"
        )
    _, mapping, prefix = found[0]
    return {name.removeprefix(prefix) if isinstance(name, str) else name: value for name, value in mapping.items()}


def _task_of(classes: int, task: str | None) -> str:
    if task is None and classes not in _TASK_BY_CLASSES:
        known = ", ".join(f"{name} has {number}" for number, name in _TASK_BY_CLASSES.items())
        raise GrokkitError(f"{classes} classes are those of no task ({known}): say which it is, as in task='question'")
    return _TASK_BY_CLASSES[classes] if task is None else one_of("task", task, tuple(AS_RUN))


def _in_their_layout(stack: TransformerStack) -> dict[str, Tensor]:
    """Their names -> views of the weights of a stack of one, laid out as theirs; every matrix is [out, in]."""
    width, heads = stack.config.width, stack.config.heads
    ours = {name: weight[0] for name, weight in stack.weights.items()}
    views = {
        "input_embedding.weight": ours["embedding"],
        "output_map.bias": ours["output.bias"],
    }
    if not stack.config.tied:
        views["output_map.weight"] = ours["output.weight"].T
    for i in range(stack.config.depth):
        w = {name.removeprefix(f"layers.{i}."): weight for name, weight in ours.items()}
        layer = {
            "self_attn.data_to_q.weight": w["qkv"].T[:width],
            # rows of theirs go head, then key before value, then channel
            "self_attn.data_to_kv.weight": w["qkv"].T[width:].unflatten(0, (2, heads, -1)).transpose(0, 1),
            "self_attn.multi_head_merge.weight": w["merge"].T,
            "linear1.weight": w["ffn1.weight"].T,
            "linear1.bias": w["ffn1.bias"],
            "linear2.weight": w["ffn2.weight"].T,
            "linear2.bias": w["ffn2.bias"],
        } | {name: weight for name, weight in w.items() if name.startswith("norm")}
        views |= {f"trafo.encoder.layers.{i}.{name}": view for name, view in layer.items()}
    return views


def _check_shapes(state: Mapping[str, Tensor], views: dict[str, Tensor]) -> None:
    wrong = [f"{name} is missing" for name in sorted(views.keys() - state.keys())]
    wrong += [f"{name} is extra" for name in sorted(state.keys() - views.keys())]
    for name in (name for name in views if name in state):
        view, found = views[name], tuple(state[name].shape)
        # heads, key and value are one axis with them
        expected = tuple((view.flatten(0, -2) if view.dim() > 1 else view).shape)
        if found != expected:
            wrong.append(f"{name} has shape {found}, not {expected}")
    if wrong:
        raise GrokkitError(f"not a checkpoint of the authors': {'; '.join(wrong)}")
