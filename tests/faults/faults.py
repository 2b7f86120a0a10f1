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
from stopping import sweep_and_stop


def kills(folder: Path, number: int, seed: int) -> dict:
    """`number` kills and resumptions in a process of their own (see kills.py)."""
    if not hasattr(os, "fork"):
        pytest.skip("the trainings are forked")
    command = [
        sys.executable,
        "-P",
        str(Path(__file__).with_name("kills.py")),
        str(folder),
        str(number),
        str(seed),
    ]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


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
    with capsys.disabled():
        print(
            f"\nfiles corrupted: {found['cases']}, {found['files']} kinds of files in {found['damages']} ways;"
            f" noticed: {found['error'] + found['warning']} ({found['error']} refused by name,"
            f" {found['warning']} restored with a warning); wrong numbers: 0"
        )


def test_malformed(tmp_path, capsys):
    found = malformed.run(tmp_path, 400, seed=1)
    with capsys.disabled():
        print(
            f"\ninputs tried: {found['inputs']:,} on {found['readers']} readers; {found['refused']:,} refused"
            " in one line, the others read; other exceptions: 0"
        )
