"""Small trainings for tests."""

import torch

from grokkit.config import preset
from grokkit.model.packing import shape_of
from grokkit.training.trainer import Trainer


def smoke(task="question", **changes):
    return preset("smoke", task, 2, **changes)


def trainer(config, seeds, out=None):
    return Trainer(config, seeds, out, "cpu")


def run_steps(config, seeds, steps) -> Trainer:
    t = trainer(config, seeds)
    for _ in range(steps):
        t._train_step()
    return t


def batch_of(t: Trainer, step: int):
    lines = t.batches.line_indices(step)
    return t.batches.pack(torch.from_numpy(lines), shape_of(t.batches.lengths[lines]))
