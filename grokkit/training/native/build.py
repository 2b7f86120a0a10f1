"""Compiles step.cpp with the compiler that is there, once for each processor, and loads it; or says why not."""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

from grokkit.data.official import cache_folder
from grokkit.errors import GrokkitError
from grokkit.storage.files import write_atomically
from grokkit.values import parse

SOURCE = Path(__file__).with_name("step.cpp")
# no -ffast-math: it would change floating point in the whole process. -fno-math-errno: roots of vectors
FLAGS = ("-O3", "-std=c++20", "-pthread", "-fno-math-errno", "-fPIC", "-shared")
THIS_PROCESSOR = "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"
GAIN = "makes steps on a CPU one and a half to five times as fast"


def library() -> ctypes.CDLL | None:
    """The compiled step; None where it is switched off or cannot be had."""
    return _built(os.environ.get("CXX") or "c++")[0] if _wanted() else None


def why_not() -> str:
    """One line that says why there is no compiled step and what to do; empty where there is one."""
    return _built(os.environ.get("CXX") or "c++")[1] if _wanted() else "switched off by GROKKIT_NATIVE=0"


def _wanted() -> bool:
    """Raises GrokkitError where GROKKIT_NATIVE is neither true nor false."""
    return bool(parse("GROKKIT_NATIVE", os.environ.get("GROKKIT_NATIVE") or "1", bool))


@cache
def _built(compiler: str) -> tuple[ctypes.CDLL | None, str]:
    """The library that this compiler, a command with its options, makes of the source; or why there is none."""
    command = [*shlex.split(compiler), *FLAGS, THIS_PROCESSOR]
    if not shutil.which(command[0]):
        return None, f"there is no C++ compiler ({command[0]}), with which the kit {GAIN}: apt install g++"
    try:
        # what the compiler defines tells its version and what it knows of this processor
        defined = _output([*command, "-x", "c++", "-dM", "-E", os.devnull])
        texts = (path.read_text() for path in (SOURCE, *sorted(SOURCE.parent.glob("*.h"))))
        name = hashlib.sha256("\0".join([*command, defined, *texts]).encode()).hexdigest()[:16]
        path = cache_folder() / f"step-{name}.so"
        if not path.exists():
            write_atomically(path, lambda temporary: _output([*command, str(SOURCE), "-o", str(temporary)]))
        return ctypes.CDLL(str(path)), ""
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", "") or str(error)).strip()
        first = next((line for line in said.splitlines() if "error" in line), said)
        return None, f"{compiler} does not compile the native step, which {GAIN}: {' '.join(first.split())}"
    except (GrokkitError, OSError) as error:
        return None, f"the native step, which {GAIN}, cannot be kept or loaded: {error}"


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
