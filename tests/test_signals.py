"""Signals: the step is finished, the state saved, the way on said. More of it is in faults/faults.py."""

import os
import signal
import time

import pytest
from stopping import train_and_stop

from grokkit.signals import TimeIsUp, deferred_signals, stopped_after

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_noted_signal_waits_and_a_second_one_acts_at_once(name):
    number, acted = getattr(signal, name), []
    before = signal.signal(number, lambda *given: acted.append(given))
    try:
        with deferred_signals() as stop:
            assert not stop
            os.kill(os.getpid(), number)
            assert stop.signal == number and not acted
            os.kill(os.getpid(), number)
            time.sleep(0)
            assert len(acted) == 1
        os.kill(os.getpid(), number)  # as before the block
        time.sleep(0)
        assert len(acted) == 2
        signal.signal(number, signal.SIG_IGN)  # nohup, and workers whose parent takes Ctrl-C
        with deferred_signals() as stop:
            os.kill(os.getpid(), number)
            assert not stop
    finally:
        signal.signal(number, before)


def test_the_command_saves_says_how_to_go_on_and_exits_by_the_signal(tmp_path):
    train_and_stop(signal.SIGINT, 130, tmp_path / "cell")


def test_a_block_ends_when_its_time_is_up():
    with pytest.raises(TimeIsUp) as error, stopped_after(time.monotonic() + 0.05):
        time.sleep(60)
    assert error.value.signal == signal.SIGALRM
    with pytest.raises(TimeIsUp), stopped_after(time.monotonic() - 1):
        time.sleep(60)
    with stopped_after(time.monotonic() + 0.05), stopped_after(None):
        pass
    time.sleep(0.1)  # and nothing comes later
