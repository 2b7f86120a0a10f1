"""Training: the loop over steps, the step, batches, devices, and weights that were trained before."""

from grokkit.training.trainer import Trainer, load_corpus, train

__all__ = ["Trainer", "load_corpus", "train"]
