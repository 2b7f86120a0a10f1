"""`grokkit doctor`: lines that tell whether this installation can work, to be pasted into a bug report.

With [OK] and [WARN] everything runs; [FAIL] means that something will not, and the exit code is 1.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from importlib.util import find_spec
from pathlib import Path

from grokkit.errors import GrokkitError
from grokkit.places import CODE, other_code
from grokkit.printing import say
from grokkit.storage.files import build_root, figures_root, runs_root

OK, WARN, FAIL = "OK", "WARN", "FAIL"
Finding = tuple[str, str]
"""Level and text of a line."""
LEAST_DISK = 1e9
"""[bytes] The laptop preset needs less. Every training checks for itself what it needs."""
INSTALL = "pip install -e '.[notebooks]'" if find_spec("torch") else "pip install -c constraints.txt -e '.[notebooks]'"
"""A torch that is there stays: on Colab, constraints would put one beside the driver that it does not go with."""


def report(checks: Iterable[Callable[[], Iterable[Finding]]]) -> int:
    """Prints every finding as it comes; 1 if one of them is a FAIL, else 0."""
    failed = False
    for check in checks:
        for level, text in _found(check):
            say(f"{f'[{level}]':<7}{text}")
            failed |= level == FAIL
    say("Something has to be mended: see [FAIL]." if failed else "Ready.")
    return int(failed)


def _found(check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except GrokkitError as error:
        yield FAIL, str(error)
    except Exception as error:  # a doctor that falls over tells nothing
        yield FAIL, f"{check.__name__.strip('_')}: {type(error).__name__}: {error}"


def _python() -> Iterable[Finding]:
    yield OK, f"Python {platform.python_version()}, {platform.platform()}, {sys.executable}"
    try:
        yield OK, f"grokkit {version('grokkit')} in {CODE}"
    except PackageNotFoundError:
        yield WARN, f"grokkit in {CODE} is not installed: {INSTALL}"
    if line := other_code():
        yield WARN, line


def _versions() -> Iterable[Finding]:
    import torch

    try:
        needed = [re.split(r"[^\w.-]", text)[0] for text in requires("grokkit") or () if "extra ==" not in text]
    except PackageNotFoundError:
        needed = ["torch"]  # that it is not installed was said above
    there = {found.metadata["Name"]: found.version for found in distributions()}
    versions = ", ".join(f"{name} {there.get(name, 'is not there')}" for name in needed)
    yield OK, f"{versions}; CUDA {torch.version.cuda or 'not built in'}"
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, timeout=120)
    if check.returncode:
        for line in (check.stdout or "pip is not there: versions were not checked").splitlines():
            yield (FAIL, f"{line} {INSTALL}") if line.startswith("grokkit ") else (WARN, line)


def _devices() -> Iterable[Finding]:
    import torch

    from grokkit.storage.provenance import processor, usable_cores

    memory = ""
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB memory"
    yield OK, f"cpu: {processor()}, {usable_cores()} cores, {torch.get_num_threads()} threads{memory}"
    # an old driver counts its cards, but torch cannot use them
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(number)
        yield OK, f"cuda:{number}: {torch.cuda.get_device_name(number)}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free"
    if torch.backends.mps.is_available():
        yield OK, "mps: there, used only when asked for by name"
    if not torch.cuda.is_available() and shutil.which("nvidia-smi"):
        built = f"but this torch (CUDA {torch.version.cuda or 'not built in'}) cannot use it"
        way_out = "everything runs on the CPU. An older driver needs an older CUDA: make TORCH_INDEX=..."
        yield WARN, f"an NVIDIA driver is there, {built}: {way_out}"
    elif not torch.cuda.is_available():
        yield OK, "no CUDA device"


def _folders() -> Iterable[Finding]:
    from grokkit.data.official import cache_folder

    places = {"GROKKIT_RUNS": runs_root, "GROKKIT_FIGURES": figures_root, "GROKKIT_BUILD": build_root}
    for variable, folder_of in (places | {"XDG_CACHE_HOME": cache_folder}).items():
        folder = folder_of()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                free = shutil.disk_usage(there).free
        except OSError as error:
            yield FAIL, f"cannot write to {folder}: {error.strerror}: set {variable} to another folder"
            continue
        text = f"{folder} ({variable}) can be written, {free / 1e9:.0f} GB free"
        yield (OK, text) if free >= LEAST_DISK else (FAIL, f"{text}: {LEAST_DISK / 1e9:.0f} GB are needed")


def _native() -> Iterable[Finding]:
    from grokkit.training.native.build import library, why_not

    if found := library():
        yield OK, f"native step: models are trained by {found._name} on a CPU"
    else:
        yield WARN, f"no native step, models are trained by torch: {why_not()}"


def _extras() -> Iterable[Finding]:
    header = Path(sysconfig.get_path("include")) / "Python.h"
    compilers = [os.environ.get("CC"), "cc", "gcc", "clang"]  # as triton looks for one
    if not header.is_file() or not any(shutil.which(name) for name in compilers if name):
        lacking = "a C compiler" if header.is_file() else f"{header} (python3-dev)"
        yield WARN, f"{lacking} is not there: on a GPU dropout would run unfused, several times as slow"
    absent = [name for name in ("papermill", "nbval", "ipykernel", "jupyterlab") if find_spec(name) is None]
    if absent:
        yield WARN, f"notebooks cannot be run, for want of {', '.join(absent)}: {INSTALL}"
    else:
        yield OK, "notebooks: jupyterlab, papermill, nbval, ipykernel are there"


CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (_python, _versions, _devices, _folders, _native, _extras)
