"""Runs that are missing are trained."""

from grokkit.sweep.local import collect, plan, run

__all__ = ["collect", "plan", "run"]
