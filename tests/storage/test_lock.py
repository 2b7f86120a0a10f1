"""One process a folder: who has it is said, a dead one's lock is none, another host's silence is handled."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.storage.lock import FolderLock
from grokkit.training.trainer import Trainer, train

HOLD = """
import sys, time
from pathlib import Path
from grokkit.storage.lock import FolderLock
owner = FolderLock(Path(sys.argv[1]))
owner.acquire()
print("mine", flush=True)
time.sleep(300)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder."""
    package = (
        "import sys, types\npackage = types.ModuleType('grokkit')\npackage.__path__ = [sys.argv[2]]\n"
        "sys.modules['grokkit'] = package\n"
    )  # without the seconds that `import grokkit` takes
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            package + HOLD,
            str(tmp_path / "seed-42"),
            os.path.dirname(sys.modules["grokkit"].__file__),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "mine\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_says_who_the_first_is_and_changes_nothing(tmp_path, other):
    today = time.strftime("%Y-%m-%d")
    who = rf"process {other.pid} on {socket.gethostname()} \(since {today} .*\): wait until .* or stop it"
    with pytest.raises(GrokkitError, match=who):
        train(preset("smoke", "tense", 1), [42], tmp_path, "cpu", progress=False)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".lock", "owner.json", "seed-42"]


def test_the_lock_of_a_dead_process_is_none(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / "seed-42/owner.json").exists()  # it could not take it away
    table = train(preset("smoke", "tense", 1), [42], tmp_path, "cpu", progress=False)
    assert table.step.max() == 20 and not (tmp_path / "seed-42/owner.json").exists()


def test_the_folder_is_free_after_a_training_and_after_a_refusal(tmp_path):
    config = preset("smoke", "tense", 1)
    for _ in range(2):
        with pytest.raises(GrokkitError, match="minutes"):
            train(config, [42], tmp_path, "cpu", progress=False, minutes=float("nan"))
        train(config, [42], tmp_path, "cpu", progress=False)
        with pytest.raises(GrokkitError, match="width is 16 there"):
            train(config.replace(width=32), [42], tmp_path, "cpu", progress=False)


def test_where_locks_do_not_reach_other_hosts_the_first_one_stops(tmp_path):
    """The other host is only pretended: a record of its own, as its process would write it."""
    first = Trainer(preset("smoke", "tense", 1), [42], tmp_path, "cpu")
    before = sorted(path.name for path in tmp_path.glob("seed-42/checkpoint-*"))
    record = {"host": "elsewhere", "process": 7, "since": "2026-01-02T03:04:05.000006+00:00"}
    (tmp_path / "seed-42/owner.json").write_text(json.dumps(record))
    with pytest.raises(GrokkitError, match=r"taken over by process 7 on elsewhere \(since 2026-01-02 03:04:05\)"):
        first.run(False, None)
    assert sorted(path.name for path in tmp_path.glob("seed-42/checkpoint-*")) == before
    assert json.loads((tmp_path / "seed-42/owner.json").read_text()) == record  # it is the other's
    with pytest.warns(UserWarning, match="left by process 7 on elsewhere .* taken over"):
        second = FolderLock(tmp_path / "seed-42")
        second.acquire()
    second.release()


def test_a_damaged_remark_is_no_obstacle(tmp_path):
    (tmp_path / "seed-42").mkdir()
    (tmp_path / "seed-42/owner.json").write_bytes(b"\xff{")
    train(preset("smoke", "tense", 1), [42], tmp_path, "cpu", progress=False)
