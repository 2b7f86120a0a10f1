"""The one exception class for mistakes a user can mend: one line that says what is wrong and what to do."""

import sys
import warnings
from types import FrameType


class GrokkitError(ValueError):
    """A user error. Its message is a single line; the command line prints it without a traceback."""

    def __init__(self, message: object = ""):
        super().__init__(" ".join(str(message).split()))  # it may quote a text that somebody gave


def warn(message: str) -> None:
    """A UserWarning at the line that called into the package, however deep in it we are."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame and frame.f_globals.get("__name__", "").split(".")[0] == "grokkit":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
