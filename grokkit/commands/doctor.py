"""`grokkit doctor`: lines that tell whether this installation can work, to be pasted into a bug report.

With [OK] and [WARN] everything runs; [FAIL] means that something will not, and the exit code is 1.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path

from grokkit.report.results import figures_root, repository_root, runs_root

OK, WARN, FAIL = "OK", "WARN", "FAIL"
LEAST_DISK = 1e9
"""[bytes] The laptop preset needs less. Every training checks for itself what it needs."""
INSTALL = "pip install -c constraints.txt -e '.[notebooks]'"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    level: str
    text: str

    def __str__(self) -> str:
        return f"{'[' + self.level + ']':<7}{self.text}"


def report() -> int:
    """Prints every finding as it comes; 1 if one of them is a FAIL, else 0."""
    failed = False
    for check in CHECKS:
        try:
            findings = list(check())
        except Exception as error:  # a doctor that falls over tells nothing
            findings = [Finding(FAIL, f"{check.__name__.strip('_')}: {type(error).__name__}: {error}")]
        for finding in findings:
            print(finding, flush=True)
            failed |= finding.level == FAIL
    print("Something has to be mended: see [FAIL]." if failed else "Ready.")
    return int(failed)


def _python() -> Iterable[Finding]:
    text = f"Python {platform.python_version()}, {platform.platform()}, {sys.executable}"
    enough = sys.version_info >= (3, 11)
    yield Finding(OK, text) if enough else Finding(FAIL, f"{text}: 3.11 or newer is needed")


def _package() -> Iterable[Finding]:
    here, checkout = Path(__file__).resolve().parents[2], repository_root()
    try:
        text = f"grokkit {version('grokkit')} in {here}"
    except PackageNotFoundError:
        yield Finding(WARN, f"grokkit in {here} is not installed: {INSTALL}")
        return
    if (checkout / "grokkit").is_dir() and checkout != here:
        yield Finding(WARN, f"{text}, which is not the checkout {checkout}: its changes have no effect")
    else:
        yield Finding(OK, text)


def _versions() -> Iterable[Finding]:
    import torch

    try:
        texts = requires("grokkit") or []
    except PackageNotFoundError:
        texts = []  # said above
    needed = [re.match(r"[\w.-]+", text)[0] for text in texts if "extra ==" not in text]
    there = {found.metadata["Name"]: found.version for found in distributions()}
    versions = ", ".join(f"{name} {there.get(name, 'is not there')}" for name in needed)
    yield Finding(OK, f"{versions or 'torch ' + torch.__version__}; CUDA {torch.version.cuda or 'not built in'}")
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, timeout=120)
    if check.returncode:
        for line in (check.stdout or "pip is not there: versions were not checked").splitlines():
            ours = line.startswith("grokkit ")
            yield Finding(FAIL, f"{line} {INSTALL}") if ours else Finding(WARN, line)


def _devices() -> Iterable[Finding]:
    import torch

    from grokkit.storage.provenance import processor, usable_cores

    memory = ""
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB memory"
    yield Finding(OK, f"cpu: {processor()}, {usable_cores()} cores, {torch.get_num_threads()} threads{memory}")
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        yield Finding(OK, f"cuda:{number}: {name}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free")
    if torch.backends.mps.is_available():
        yield Finding(OK, "mps: there, used only when asked for by name")
    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi"):
            yield Finding(WARN, "an NVIDIA driver is there, but this torch sees no CUDA device")
        else:
            yield Finding(OK, "no CUDA device: the preset is laptop unless you choose another")


def _folders() -> Iterable[Finding]:
    for folder, variable in ((runs_root(), "GROKKIT_RUNS"), (figures_root(), "GROKKIT_FIGURES")):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            reason = f"{error.strerror}: set {variable} to another folder"
            yield Finding(FAIL, f"cannot write to {folder}: {reason}")
            continue
        free = shutil.disk_usage(there).free
        text = f"{folder} can be written, {free / 1e9:.0f} GB free"
        if free < LEAST_DISK:
            yield Finding(FAIL, f"{text}: {LEAST_DISK / 1e9:.0f} GB are needed")
        else:
            yield Finding(OK, text)


def _compiler() -> Iterable[Finding]:
    compiler = os.environ.get("CXX") or "g++"
    path, header = shutil.which(compiler), Path(sysconfig.get_path("include")) / "Python.h"
    if path and header.is_file():
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30)
        yield Finding(OK, f"{path}: {(answer.stdout.splitlines() or ['?'])[0]}")
    else:
        lacking = f"{header} (python3-dev)" if path else compiler
        yield Finding(WARN, f"{lacking} is not there: only torch.compile would need it, and this kit does without")


def _notebooks() -> Iterable[Finding]:
    absent = [
        name for name in ("papermill", "nbval", "ipykernel", "jupyterlab") if importlib.util.find_spec(name) is None
    ]
    if absent:
        yield Finding(WARN, f"notebooks cannot be run, for want of {', '.join(absent)}: {INSTALL}")
    else:
        yield Finding(OK, "notebooks: jupyterlab, papermill, nbval, ipykernel are there")


CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    _python,
    _package,
    _versions,
    _devices,
    _folders,
    _compiler,
    _notebooks,
)
