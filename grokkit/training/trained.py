"""Models of finished runs: the weights behind a row of the results table."""

from dataclasses import fields

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.model.transformer import TransformerStack
from grokkit.storage.run_folder import found_runs


def load_stack(preset: str, task: str, depth: int, seed: int, device="cpu") -> TransformerStack:
    """The run of this seed at the end of its training, as a stack of one, from its checkpoint in runs/.

    Raises GrokkitError where no finished run with a whole checkpoint is there.
    """
    for run in found_runs(preset):
        newest = run.weights() if (run.task, run.depth, run.seed) == (task, depth, seed) else None
        if newest is None:
            continue
        step, described, weights = newest
        strange = described.keys() ^ {field.name for field in fields(Config)}
        if strange:
            raise GrokkitError(
                f"the checkpoints in {run.path} belong to another version of grokkit, whose Config differs in"
                f" {', '.join(sorted(strange))}: use that version, or train in another place (GROKKIT_RUNS)"
            )
        config = Config(**described)
        if step == config.steps:
            return TransformerStack(config, [seed], device, weights)
    raise GrokkitError(
        f"no weights of a finished run of {task} with {depth} layers, seed {seed}, preset {preset}: the record holds"
        " tables only; train it with 'grokkit sweep'"
    )
