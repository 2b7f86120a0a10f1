"""Signals: the step is finished, the state saved, the way on said; exit codes; nobody is left behind."""

import os
import signal
import time

import pytest
from stopping import LONG, has_trained, start, sweep_and_stop, wait_for

from grokkit.config import preset
from grokkit.signals import deferred_signals
from grokkit.storage import checkpoint
from grokkit.training.trainer import Trainer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def test_noted_signals_wait_a_second_one_does_not_and_ignored_ones_stay_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with deferred_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.signal == signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with deferred_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.signal == signal.SIGHUP
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_saves_says_how_to_go_on_and_exits_by_the_signal(number, code, tmp_path):
    out = tmp_path / "cell"
    changes = [word for name, value in LONG.items() for word in ("--set", f"{name}={value}")]
    process = start(
        "-m",
        "grokkit",
        "train",
        "--preset",
        "smoke",
        "--task",
        "tense",
        "--seeds",
        "42",
        "--out",
        str(out),
        *changes,
    )
    wait_for(lambda: has_trained(out))
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert f"saved in {out}; the same call goes on from there" in said and "Traceback" not in said
    reached = checkpoint.saved_steps(out)[-1]
    assert f"stopped after step {reached} of 100000" in said
    resumed = Trainer(preset("smoke", "tense", **LONG), [42], out, "cpu")  # and the lock is free
    assert resumed.step == reached


def test_a_script_that_sweeps_takes_its_workers_along(tmp_path, monkeypatch):
    sweep_and_stop(signal.SIGTERM, tmp_path, monkeypatch)


def test_an_interrupted_kernel_has_saved_and_goes_on(tmp_path):
    kernels = pytest.importorskip("ipykernel.kernelspec", reason="needs the extra notebooks")
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import KernelManager

    class Manager(KernelManager):
        kernel_spec = KernelSpec(resource_dir=kernels.RESOURCES, **kernels.get_kernel_dict())
        client_class = "jupyter_client.blocking.BlockingKernelClient"

    manager = Manager(kernel_name="python3")
    manager.start_kernel(env=os.environ | {"OMP_NUM_THREADS": "1"})
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        cell = f"config = gk.preset('smoke', 'tense', **{LONG})\ntable = gk.train(config, [42], {str(tmp_path)!r})"
        client.execute("import grokkit as gk\n" + cell)
        wait_for(lambda: has_trained(tmp_path))
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=60)["content"]
        assert reply["ename"] == "Stopped" and "the same call goes on from there" in reply["evalue"]
        reached = checkpoint.saved_steps(tmp_path)[-1]
        client.execute("table = gk.train(config, [42], " + repr(str(tmp_path)) + ", minutes=0)")
        assert client.get_shell_msg(timeout=60)["content"]["status"] == "ok"
        assert checkpoint.saved_steps(tmp_path)[-1] == reached
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
