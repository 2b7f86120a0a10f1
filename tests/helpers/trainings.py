"""Small trainings for tests."""

import torch

from grokkit.model.packing import shape_of
from grokkit.presets import preset
from grokkit.storage.checkpoint import KEEP
from grokkit.training.step import token_losses
from grokkit.training.trainer import Trainer


def smoke(task="question", **changes):
    return preset("smoke", task, 2, **changes)


def trainer(config, seeds, out=None, device="cpu", keep=KEEP):
    return Trainer(config, seeds, out, device, keep)


def run_steps(config, seeds, steps, device="cpu") -> Trainer:
    t = trainer(config, seeds, device=device)
    for _ in range(steps):
        t._train_step()
    return t


def batch_of(t: Trainer, step: int):
    line_indices = t.batches.line_indices(step)
    return t.batches.pack(torch.from_numpy(line_indices), shape_of(t.batches.lengths[line_indices]))


def losses_of(stack, batch, dropout=None) -> torch.Tensor:
    return token_losses(stack.packed_logits(batch, dropout), batch.targets)
