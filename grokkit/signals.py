"""Stopping between two steps: Ctrl-C, SIGTERM and SIGHUP (a closed terminal) are noted, and acted on when the
step is finished."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(KeyboardInterrupt):
    """Work was asked to stop; its state is saved. `signal` is the signal's number."""

    def __init__(self, message: str, number: int = signal.SIGINT):
        super().__init__(message)
        self.signal = int(number)


class StopRequest:
    """Truthy once a signal has asked for a stop; `signal` is its number."""

    def __init__(self):
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Within the block SIGINT, SIGTERM and SIGHUP only set the StopRequest; a second one acts at once.

    One that is ignored stays so (nohup, and workers whose parent takes Ctrl-C). Outside the main thread nothing
    is changed, since Python delivers signals there alone.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}

    def note(number, frame):
        request.signal = number
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
