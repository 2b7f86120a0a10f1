"""Signals, in one place: a stop is noted and acted on between two steps, or ends a command as Ctrl-C does."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(KeyboardInterrupt):
    """Work was asked to stop; its state is saved. `signal` is the signal's number, `table` what a training has
    measured so far, if it was one."""

    def __init__(self, message: str, number: int | None = signal.SIGINT, table=None):
        super().__init__(message)
        self.signal = int(number or signal.SIGINT)
        self.table = table


class BrokenOff(BaseException):
    """A stop was asked for in work that need not come to its end; see `StopRequest.breaks_off`."""


class StopRequest:
    """Truthy once a signal has asked for a stop; `signal` is its number."""

    def __init__(self):
        self.signal: int | None = None
        self._breaks = False

    def __bool__(self) -> bool:
        return self.signal is not None

    def note(self, number: int) -> None:
        """Called by the signal's handler."""
        self.signal = number
        if self._breaks:
            raise BrokenOff

    @contextmanager
    def breaks_off(self) -> Iterator[None]:
        """Within the block a signal raises `BrokenOff` at once: for work that changes nothing that is kept."""
        self._breaks = True
        try:
            if self:
                raise BrokenOff
            yield
        finally:
            self._breaks = False


@contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Within the block SIGINT, SIGTERM and SIGHUP (a closed terminal) only set the StopRequest; a second one acts."""
    request, before = StopRequest(), _heeded("SIGINT", "SIGTERM", "SIGHUP")

    def note(number, frame):
        signal.signal(number, before[number])
        request.note(number)

    with _handled(before, note):
        yield request


class TimeIsUp(Stopped):
    """The time that was given is over."""


@contextmanager
def stopped_after(deadline: float | None) -> Iterator[None]:
    """Within the block `TimeIsUp` is raised at this moment of time.monotonic(), as by a signal; None: never."""
    if deadline is None:
        yield
        return

    def stop(number, frame):
        raise TimeIsUp("", number)

    with _handled(_heeded("SIGALRM"), stop):
        signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 1e-6))  # 0 would be never
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def raised_signals() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise `Stopped`, as Ctrl-C does KeyboardInterrupt, so that runs are saved."""

    def stop(number, frame):
        raise Stopped("", number)

    with _handled(_heeded("SIGTERM", "SIGHUP"), stop):
        yield


def _heeded(*names: str) -> dict[int, Callable | int]:
    """Number and handler of those signals that may be handled here.

    One that is ignored stays so (nohup, and workers whose parent takes Ctrl-C). Outside the main thread there are
    none, since Python delivers signals there alone.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for name in names if (number := getattr(signal, name, None))}
    return {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}


@contextmanager
def _handled(before: dict[int, Callable | int], handler: Callable) -> Iterator[None]:
    """Another handler for these signals within the block."""
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
