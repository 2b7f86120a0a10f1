"""A run folder belongs to one process at a time.

The lock is the system's (flock on .lock, by the package filelock): it ends with its process, however that ends,
so a dead process locks nothing. owner.json only says who holds it. Over a network the lock holds where the
file system passes flock on to its server: NFS 4, NFS 3 with its lock daemon, Lustre with -o flock, CephFS. On
one that does not, two hosts may both get it: the second takes owner.json over, with a warning that names the
first, and the first stops at its next evaluation instead of writing beside the second.
"""

import os
import socket
import warnings
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from grokkit.errors import GrokkitError
from grokkit.storage.files import read_json, write_json


class Busy(GrokkitError):
    """Another process trains the run."""


def is_busy(folder: Path) -> bool:
    """Whether a process has the lock of this folder, as far as it can be told."""
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        with lock:
            return False
    except (Timeout, OSError):
        return folder.exists()


class FolderLock:
    """The lock of one folder. `acquire` raises `Busy`, naming the owner, where another process has it."""

    def __init__(self, folder: Path):
        self.folder, self.remark = folder, folder / "owner.json"
        self.lock = FileLock(folder / ".lock", timeout=0)
        self.me: dict[str, str | int] = {}

    def acquire(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock.acquire()
        except Timeout:
            raise Busy(
                f"{self.folder} is being trained by {_text(self._owner())}: wait until it has finished, or stop it"
                " with Ctrl-C or SIGTERM, which saves, and call again"
            ) from None
        except NotImplementedError as error:
            raise GrokkitError(
                f"{self.folder} lies on a file system without locks: choose another place (GROKKIT_RUNS)"
            ) from error
        except OSError as error:
            raise GrokkitError(f"cannot write to {self.folder}: {error.strerror or error}; set GROKKIT_RUNS") from error
        before, now = self._owner(), datetime.now().astimezone().isoformat(timespec="microseconds")
        self.me = {"host": socket.gethostname(), "process": os.getpid(), "since": now}
        try:
            if before and before.get("host") != self.me["host"]:
                warnings.warn(
                    f"{self.folder} was left by {_text(before)}, and is taken over. If that process still runs,"
                    " this file system does not pass locks between hosts: it stops at its next evaluation",
                    stacklevel=2,
                )
            write_json(self.remark, self.me)
        except BaseException:
            self.lock.release()
            raise

    def check(self) -> None:
        """Raises GrokkitError if another process has taken the folder over: to be asked before each writing."""
        found = self._owner()
        if found and found != self.me:
            raise GrokkitError(
                f"{self.folder} was taken over by {_text(found)}: nothing more is written here,"
                " what was saved before is kept"
            )

    def release(self) -> None:
        if self.lock.is_locked:
            try:
                if self._owner() == self.me:
                    self.remark.unlink(missing_ok=True)
            except OSError:
                pass  # it only says who held the lock, which ends here
            self.lock.release()

    def _owner(self) -> dict:
        try:
            return read_json(self.remark)
        except GrokkitError:
            return {}  # none, or cut by a full disk: it is a remark, the lock decides


def _text(owner: dict) -> str:
    since = str(owner.get("since"))[:19].replace("T", " ")
    return f"process {owner.get('process')} on {owner.get('host')} (since {since})" if owner else "another process"
