"""Faults in full: what `make test-faults` runs, many times what test_faults.py does. Prints its figures."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import corruption
import malformed
import pytest
from stopping import LONG, has_trained, sweep_and_stop, train_and_stop, wait_for

from grokkit.storage import checkpoint
from grokkit.storage.files import run_folder


def kills(folder: Path, number: int, seed: int) -> dict:
    """`number` kills and resumptions in a process of their own (see kills.py)."""
    if not hasattr(os, "fork"):
        pytest.skip("the trainings are forked")
    command = [sys.executable, "-P", str(Path(__file__).with_name("kills.py")), str(folder), str(number), str(seed)]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_command_that_is_told_to_end(tmp_path):
    train_and_stop(signal.SIGTERM, 143, tmp_path / "cell")


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
        wait_for(lambda: has_trained(run_folder(tmp_path, 42)))
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=60)["content"]
        assert reply["ename"] == "Stopped" and "the same call goes on from there" in reply["evalue"]
        reached = checkpoint.saved_steps(run_folder(tmp_path, 42))[-1]
        client.execute("table = gk.train(config, [42], " + repr(str(tmp_path)) + ", minutes=0)")
        assert client.get_shell_msg(timeout=60)["content"]["status"] == "ok"
        assert checkpoint.saved_steps(run_folder(tmp_path, 42))[-1] == reached
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_killed_sweep(tmp_path, monkeypatch, capsys):
    """Its workers save and end, although nobody can tell them to."""
    sweep_and_stop(signal.SIGKILL, tmp_path, monkeypatch)
    with capsys.disabled():
        print("\na sweep's parent killed: its workers saved and ended")


def test_kills(tmp_path, capsys):
    found = kills(tmp_path, 250, seed=1)
    with capsys.disabled():
        print(
            f"\nkills survived: {found['kills']} of {found['kills']}, in {found['trainings']} trainings of 2"
            f" runs, {found['kills that left a temporary file']} of them while a file was being written"
        )
        print("  " + "; ".join(f"{how}: {count}" for how, count in found["by kind"].items()))
        print(
            "  rows and weights at the end equal those of an uninterrupted training to the bit: no row twice,"
            " none missing"
        )


def test_corruption(tmp_path, capsys):
    found = corruption.run(tmp_path, 560, seed=1)
    restored = found.get("warning", 0)
    with capsys.disabled():
        print(
            f"\nfiles corrupted: {found['cases']}, {found['files']} kinds of files in {found['damages']} ways;"
            f" noticed: {found['error'] + restored} ({found['error']} refused by name,"
            f" {restored} restored with a warning); wrong numbers: 0"
        )


def test_malformed(tmp_path, capsys):
    found = malformed.run(tmp_path, 400, seed=1)
    with capsys.disabled():
        print(
            f"\ninputs tried: {found['inputs']:,} on {found['readers']} readers; {found['refused']:,} refused"
            " in one line, the others read; other exceptions: 0"
        )
