"""Stopping between two steps: Ctrl-C and SIGTERM are noted, and acted on when the step is finished."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class StopRequest:
    """Truthy once a signal has asked for a stop; `signal` is its number."""

    def __init__(self):
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Within the block SIGINT and SIGTERM only set the StopRequest; a second one acts at once.

    Outside the main thread nothing is changed, since Python delivers signals there alone.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def note(number, frame):
        request.signal = number
        signal.signal(number, before[number])

    for number in numbers:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number in numbers:
            signal.signal(number, before[number])
