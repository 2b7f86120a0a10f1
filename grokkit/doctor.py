"""`grokkit doctor`: lines that tell whether this installation can work, to be pasted into a bug report.

With [OK] and [WARN] everything runs; [FAIL] means that something will not, and the exit code is 1.
"""

import importlib.util
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from grokkit.results import figures_root, repository_root, runs_root

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


def locked_versions(path: Path) -> dict[str, str]:
    """Name -> version of the lock's packages that belong to this platform and Python."""
    locked = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.split("#")[0].strip()
        if text:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate():
                locked[canonical(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return locked


def core_requirements() -> list[Requirement]:
    """What the package needs without its extras: as installed, or as pyproject.toml has it."""
    try:
        texts = requires("grokkit") or []
    except PackageNotFoundError:
        project = repository_root() / "pyproject.toml"
        texts = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [found for found in map(Requirement, texts) if found.marker is None]


def canonical(name: str) -> str:
    """The name of a package as indexes compare it.

    >>> canonical("Jupyter_Core")
    'jupyter-core'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def _python() -> Iterable[Finding]:
    text = f"Python {platform.python_version()}, {platform.platform()}, {sys.executable}"
    enough = sys.version_info >= (3, 11)
    yield Finding(OK, text) if enough else Finding(FAIL, f"{text}: 3.11 or newer is needed")


def _package() -> Iterable[Finding]:
    here, checkout = Path(__file__).resolve().parents[1], repository_root()
    try:
        text = f"grokkit {version('grokkit')} in {here}"
    except PackageNotFoundError:
        yield Finding(WARN, f"grokkit in {here} is not installed: {INSTALL}")
        return
    if (checkout / "grokkit").is_dir() and checkout != here:
        yield Finding(WARN, f"{text}, which is not the checkout {checkout}: its changes have no effect")
    else:
        yield Finding(OK, text)


def _torch() -> Iterable[Finding]:
    import torch

    least = next(found for found in core_requirements() if found.name == "torch")
    if not least.specifier.contains(Version(torch.__version__), prereleases=True):
        yield Finding(FAIL, f"torch {torch.__version__}: {least} is needed")
    else:
        yield Finding(OK, f"torch {torch.__version__}, CUDA {torch.version.cuda or 'not built in'}")


def _versions() -> Iterable[Finding]:
    for requirement in core_requirements():
        if _installed(requirement.name) is None:
            yield Finding(FAIL, f"{requirement.name} is not installed: {INSTALL}")
    lock = repository_root() / "constraints.txt"
    if not lock.is_file():
        yield Finding(WARN, f"no lock {lock}: versions were not compared")
        return
    locked = locked_versions(lock)
    there = {name: found for name in locked if (found := _installed(name)) is not None}
    other = [f"{name} {found} ({locked[name]})" for name, found in there.items()
             if Version(found).public != Version(locked[name]).public]
    if other:
        count = f"{len(other)} of {len(there)} packages"
        yield Finding(WARN, f"{count} differ from constraints.txt: {', '.join(other)}")
    else:
        yield Finding(OK, f"{len(there)} packages, all at the versions of constraints.txt")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices() -> Iterable[Finding]:
    import torch

    from grokkit.provenance import processor
    from grokkit.provenance import usable_cores

    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB memory"
    threads = torch.get_num_threads()
    yield Finding(OK, f"cpu: {processor()}, {usable_cores()} cores, {threads} threads{memory}")
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
    path = shutil.which(compiler)
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if path is None or not header.is_file():
        lacking = compiler if path is None else f"{header} (python3-dev)"
        yield Finding(WARN, f"{lacking} is not there: only torch.compile would need it, and this kit does without")
        return
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30)
    yield Finding(OK, f"{path}: {(answer.stdout.splitlines() or ['?'])[0]}")


def _notebooks() -> Iterable[Finding]:
    absent = [name for name in ("papermill", "nbval", "ipykernel", "jupyterlab")
              if importlib.util.find_spec(name) is None]
    if absent:
        yield Finding(WARN, f"notebooks cannot be run, for want of {', '.join(absent)}: {INSTALL}")
    else:
        yield Finding(OK, "notebooks: jupyterlab, papermill, nbval, ipykernel are there")


def _matplotlib() -> Iterable[Finding]:
    import matplotlib
    from matplotlib.figure import Figure

    for kind in ("png", "pdf"):
        with io.BytesIO() as file:
            Figure().savefig(file, format=kind)
    backend = matplotlib.get_backend()
    yield Finding(OK, f"matplotlib {matplotlib.__version__} draws PNG and PDF, backend {backend}")


def _tools() -> Iterable[Finding]:
    absent = [name for name in ("make", "git") if shutil.which(name) is None]
    if absent:
        yield Finding(WARN, f"{' and '.join(absent)} not found: git names the commit of a record")
    else:
        yield Finding(OK, "make and git are there")


CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    _python, _package, _torch, _versions, _devices, _folders, _compiler, _notebooks, _matplotlib, _tools,
)
