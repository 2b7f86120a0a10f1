"""Printing that fails nothing: what was computed counts, whether anybody reads of it or not."""

import contextlib
import os
import sys


class Unfailing:
    """A text stream that passes over a reader that has gone, as in `grokkit train | head`, and writes characters
    that the terminal does not have as escapes."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text: str) -> int:
        """Writes what can be written."""
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            encoding = self.stream.encoding or "ascii"
            return self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError) as error:  # ValueError: the stream has been closed
            self._gone(error)
        return len(text)

    def flush(self) -> None:
        """As of any stream."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._gone(error)

    def _gone(self, error: Exception) -> None:
        if isinstance(error, BrokenPipeError):  # what Python flushes at its end would fail once more
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())

    def __getattr__(self, name: str):
        return getattr(self.stream, name)


def say(*words: object, error: bool = False) -> None:
    """Prints a line at once, on stderr with error=True, and raises nothing."""
    print(*words, file=Unfailing(sys.stderr if error else sys.stdout), flush=True)
