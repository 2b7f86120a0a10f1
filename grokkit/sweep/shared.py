"""Runs that several machines share, in a place that fsspec reaches: a folder, s3://, gs://.

A machine trains on its own disk, in runs/, and puts whole saves up: <URL>/<preset>/<task>/L<depth>/seed-<n>/ has one
folder a save, save-<step>-<8 hex digits>/, with the files of the run, run.json last. A save without run.json is not
seen, so that nobody reads half of one, and nothing that others may be reading is written over. There are no locks:
where two machines train a run, the saves of both are whole and equal, and a reader takes the newest.
"""

import re
import shutil
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from grokkit.errors import GrokkitError
from grokkit.places import place
from grokkit.storage import checkpoint, weights
from grokkit.storage.files import cell_folder, run_folder, write_atomically
from grokkit.storage.lock import FolderLock, is_busy
from grokkit.storage.many_tables import tables_of
from grokkit.storage.run_folder import DESCRIPTION, TABLE, found_runs, read_description, read_table
from grokkit.storage.stack_folders import SHARE
from grokkit.sweep.jobs import Job
from grokkit.training.progress import Progress, ProgressBar
from grokkit.training.trainer import train

KEEP = 2  # the newest saves of a run that stay
RunKey = tuple[str, str, int, int]
"""preset, task, depth, seed"""


class Shared:
    """The place that a URL names. Raises GrokkitError where it cannot be written."""

    def __init__(self, url: str):
        self.url = url if "://" in url else str(place(url, "--storage"))
        try:
            import fsspec

            self.fs, self.root = fsspec.url_to_fs(self.url)
            if "file" in self.fs.protocol:
                self.fs.auto_mkdir = True
            probe = f"{self.root}/.probe-{uuid.uuid4().hex[:8]}"
            self.fs.pipe_file(probe, b"grokkit")
            self.fs.rm_file(probe)
        except Exception as error:  # each kind of storage raises its own
            reason = (str(error) or repr(error)).splitlines()[0]
            raise GrokkitError(f"cannot write to the storage {self.url}: {reason}") from error

    def saves(self, preset: str, *below: str) -> dict[RunKey, list[tuple[int, str]]]:
        """Of each run its saves, the newest first: step and path. below: task, L<depth> and seed-<n> narrow it down."""
        self.fs.invalidate_cache()
        found: dict[RunKey, list[tuple[int, str]]] = {}
        for path in self.fs.find("/".join((self.root, preset, *below))):
            if match := re.search(r"/([^/]+)/L(\d+)/seed-(\d+)/save-(\d+)-\w+/run\.json$", path):
                key = preset, match[1], int(match[2]), int(match[3])
                found.setdefault(key, []).append((int(match[4]), path.rpartition("/")[0]))
        return {key: sorted(saves, reverse=True) for key, saves in found.items()}

    def saves_of(self, run: RunKey) -> list[tuple[int, str]]:
        """The saves of one run, the newest first."""
        preset, task, depth, seed = run
        return self.saves(preset, task, f"L{depth}", f"seed-{seed}").get(run, [])

    def put(self, run: RunKey) -> None:
        """Puts the run's folder up as it stands, and removes all but the newest saves."""
        folder = _folder(run)
        step = _saved_step(folder)
        files = [checkpoint.path_of(folder, step)]
        files += [weights.path_of(folder, kept) for kept in weights.saved_steps(folder)]
        preset, task, depth, seed = run
        above = f"{self.root}/{preset}/{task}/L{depth}/seed-{seed}"
        there = f"{above}/save-{step:07d}-{uuid.uuid4().hex[:8]}"
        for path in (*files, folder / TABLE):
            self.fs.put_file(str(path), f"{there}/{path.name}")
        self.fs.put_file(str(folder / DESCRIPTION), f"{there}/new-{DESCRIPTION}")
        self.fs.mv(f"{there}/new-{DESCRIPTION}", f"{there}/{DESCRIPTION}")
        for _, old in self.saves_of(run)[KEEP:]:
            with suppress(FileNotFoundError):  # another machine has removed it
                self.fs.rm_file(f"{old}/{DESCRIPTION}")
                self.fs.rm(old, recursive=True)

    def get(self, run: RunKey, saves: list[tuple[int, str]], tables_only: bool = False) -> None:
        """The newest whole one of these saves into the run's folder, where that is behind it.

        tables_only: without its state. A damaged one is passed over with a warning. Raises `Busy` where a process
        trains the run here, and GrokkitError where another run lies there under its name.
        """
        folder = _folder(run)
        for step, path in saves:
            if step <= (_steps_here([run]).get(run, -1) if tables_only else _saved_step(folder)):
                return
            with tempfile.TemporaryDirectory() as copy:
                try:
                    names = [str(found).rpartition("/")[2] for found in self.fs.ls(path, detail=False)]
                    names = [name for name in names if not tables_only or name in (DESCRIPTION, TABLE)]
                    for name in names:
                        self.fs.get_file(f"{path}/{name}", f"{copy}/{name}")
                    described, _ = read_table(Path(copy))
                    checkpoint.load_newest(Path(copy))
                except (GrokkitError, FileNotFoundError) as error:
                    warnings.warn(f"{path} is passed over ({error})", stacklevel=2)
                    continue
                self._take(folder, Path(copy), sorted(names), described, path)
                return

    def _take(self, folder: Path, copy: Path, names: Iterable[str], described: dict, path: str) -> None:
        """The files of a save into a run's folder: state first, run.json last."""
        lock = FolderLock(folder)
        lock.acquire()
        try:
            if (folder / DESCRIPTION).is_file():
                mine = read_description(folder)
                if (mine["identity"], mine["seed"]) != (described["identity"], described["seed"]):
                    raise GrokkitError(
                        f"{path} is another run than {folder}, with another config or other data: keep them apart"
                        " (--storage, GROKKIT_RUNS)"
                    )
            for name in names:
                write_atomically(folder / name, partial(shutil.copyfile, copy / name))
        finally:
            lock.release()

    def bring(self, jobs: Iterable[Job], put: bool = True) -> None:
        """The tables of these runs to this machine and, where those here are further and `put`, the runs to the
        storage."""
        runs = [run for job in jobs for run in runs_of(job)]
        here = _steps_here(runs)
        there = {run: saves for preset in {run[0] for run in runs} for run, saves in self.saves(preset).items()}
        for run in runs:
            saved, own = there.get(run, [(-1, "")])[0][0], here.get(run, -1)
            if own != saved and not is_busy(_folder(run)):
                if own < saved:
                    self.get(run, there[run], tables_only=True)
                elif put and _saved_step(_folder(run)) > saved:
                    self.put(run)


def train_job(job: Job, device: str | None, report, minutes: float | None, url: str | None = None) -> None:
    """Trains a job, as `gk.train` does; with a URL from the newest saves there, where those to come are put up too."""
    if url is None:
        train(job.config, job.seeds, job.out, device, report, minutes, until=job.until)
        return
    shared = Shared(url)
    for run in runs_of(job):
        shared.get(run, shared.saves_of(run))
    following = _Following(shared, job, report)
    try:
        train(job.config, job.seeds, job.out, device, following, minutes, until=job.until)
    finally:
        following.put()
        if isinstance(report, ProgressBar):
            report.close()


class _Following:
    """Reports a training, and puts up what it has saved; a put takes a twentieth of the time at most."""

    def __init__(self, shared: Shared, job: Job, report):
        self.shared, self.report = shared, report
        self.there = {run: _saved_step(_folder(run)) for run in runs_of(job)}
        self.next = 0.0

    def __call__(self, progress: Progress) -> None:
        if self.report:
            self.report(progress)
        if time.monotonic() >= self.next:
            begun = time.monotonic()
            try:
                self.put()
            except Exception as error:  # it is tried again; what was saved here is kept
                warnings.warn(f"cannot write to the storage {self.shared.url}: {error}", stacklevel=2)
            self.next = time.monotonic() + SHARE * (time.monotonic() - begun)

    def put(self) -> None:
        for run, before in self.there.items():
            if (step := _saved_step(_folder(run))) > before:
                self.shared.put(run)
                self.there[run] = step


def runs_of(job: Job) -> list[RunKey]:
    """The runs of a job."""
    return [(job.config.preset, job.config.task, job.config.depth, seed) for seed in job.seeds]


def _folder(run: RunKey) -> Path:
    return run_folder(cell_folder(*run[:3]), run[3])


def _saved_step(folder: Path) -> int:
    return max(checkpoint.saved_steps(folder), default=-1)


def _steps_here(runs: Iterable[RunKey]) -> dict[RunKey, int]:
    """Of these runs the last step that is in the table on this machine."""
    wanted, found = set(runs), {}
    for preset in {run[0] for run in wanted}:
        there = [run for run in found_runs(preset) if (preset, *run[:3]) in wanted]
        for some in tables_of(there, last=True):
            for step, owner in zip(some.rows.step, some.owner):
                found[(preset, *some.runs[owner][:3])] = int(step)
    return found
