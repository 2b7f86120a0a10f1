"""Runs that are missing are trained."""

from grokkit.sweep.jobs import plan
from grokkit.sweep.local import collect, run

__all__ = ["collect", "plan", "run"]
