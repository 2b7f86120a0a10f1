"""R transformer language models of one shape as one object."""

from grokkit.model.transformer import TransformerStack

__all__ = ["TransformerStack"]
