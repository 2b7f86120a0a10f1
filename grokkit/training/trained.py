"""Models of finished runs: the weights behind a row of the results table."""

import json
from dataclasses import fields

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.model.transformer import TransformerStack
from grokkit.report.results import run_folder
from grokkit.storage import checkpoint


def load_stack(preset: str, task: str, depth: int, seed: int, device="cpu") -> TransformerStack:
    """The run of this seed at the end of its training, as a stack of one, from its checkpoint in runs/.

    Raises GrokkitError where no finished run with a whole checkpoint is there.
    """
    found = []
    for folder in sorted(run_folder(preset, task, depth, [seed]).parent.glob("seeds-*")):
        seeds = folder.name.split("-")[1:]
        steps = checkpoint.saved_steps(folder)
        if str(seed) in seeds and steps:
            found.append((steps[-1], folder, seeds.index(str(seed))))
    for step, folder, row in sorted(found, reverse=True):
        tensors, labels = checkpoint.load(checkpoint.path_of(folder, step))
        described = json.loads(labels["config"])
        strange = described.keys() ^ {field.name for field in fields(Config)}
        if strange:
            raise GrokkitError(
                f"the checkpoints in {folder} belong to another version of grokkit, whose Config differs in"
                f" {', '.join(sorted(strange))}: use that version, or train in another place (GROKKIT_RUNS)"
            )
        config = Config(**described)
        if step == config.steps:
            return TransformerStack(config, [seed], device, tensors["weights"][row : row + 1])
    raise GrokkitError(
        f"no weights of a finished run of {task} with {depth} layers, seed {seed}, preset {preset}: the record holds"
        " tables only; train it with 'grokkit sweep'"
    )
