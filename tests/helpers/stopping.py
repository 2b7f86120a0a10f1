"""Programs that train, stopped by signals."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from grokkit.config import preset
from grokkit.storage import checkpoint
from grokkit.storage.files import cell_folder, run_folder
from grokkit.training.trainer import Trainer

LONG = dict(steps=100_000, horizon=100_000, eval_every=50)  # nobody waits for its end


def start(*command: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-P", *command],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, seconds: float = 60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)
    return found


def has_trained(folder: Path) -> bool:
    return max(checkpoint.saved_steps(folder), default=0) > 0


def processes(group: int) -> list[int]:
    """The living processes of a group, by /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[0] != "Z" and int(fields[2]) == group:
            found.append(int(path.parent.name))
    return found


def train_and_stop(number: int, code: int, out: Path) -> None:
    """The command is stopped by a signal: what it says, its exit code, and that it goes on where it has saved."""
    changes = [word for name, value in LONG.items() for word in ("--set", f"{name}={value}")]
    command = ["train", "--preset", "smoke", "--task", "tense", "--seeds", "42", "--out", str(out), *changes]
    process = start("-m", "grokkit", *command)
    wait_for(lambda: has_trained(run_folder(out, 42)))
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert f"saved in {out}; the same call goes on from there" in said and "Traceback" not in said
    reached = checkpoint.saved_steps(run_folder(out, 42))[-1]
    assert f"stopped after step {reached} of 100000" in said
    resumed = Trainer(preset("smoke", "tense", **LONG), [42], out, "cpu")  # and the lock is free
    assert resumed.step == reached


SWEEP = textwrap.dedent(f"""
    import grokkit.config as config, grokkit.sweep as sweep, grokkit.sweep.jobs as jobs
    if __name__ == "__main__":
        jobs.preset = lambda *cell: config.preset(*cell, **{LONG})
        sweep.run("smoke", ["tense"], [1], [42, 52, 62], workers=2, progress=False)
""")


def sweep_and_stop(number: int, tmp_path: Path, monkeypatch) -> None:
    """Three jobs for two workers: the third lies in their queue, and must not begin either."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("looks for processes in /proc")
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / "runs"))
    (tmp_path / "script.py").write_text(SWEEP)
    process = start(str(tmp_path / "script.py"))
    cell = cell_folder(preset("smoke", "tense", **LONG).preset, "tense", 1)
    folders = [run_folder(cell, seed) for seed in (42, 52)]
    try:
        wait_for(lambda: all(map(has_trained, folders)))
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        wait_for(lambda: not processes(process.pid))
    finally:
        for left in processes(process.pid):
            os.kill(left, signal.SIGKILL)
    if number == signal.SIGTERM:
        assert "the same call goes on" in said
    assert not run_folder(cell, 62).exists()
    for seed in (42, 52):
        assert Trainer(preset("smoke", "tense", 1, **LONG), [seed], cell, "cpu").step > 0
