"""Training: the loop over steps, the step, batches, devices, and weights that were trained before."""

from grokkit.data.loading import load_corpus
from grokkit.training.trainer import Trainer, train

__all__ = ["Trainer", "load_corpus", "train"]
