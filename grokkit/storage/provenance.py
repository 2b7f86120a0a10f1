"""Where a number comes from: versions, hardware, commit."""

import contextlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

_PACKAGES = ("grokkit", "torch", "numpy", "pandas", "safetensors")


def usable_cores() -> int:
    """Cores that this process may use: by its affinity, its cgroup (a container's) and what SLURM gave it."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    limits = [int(given)] if given.isdecimal() else []
    return min([there, *_cgroup_cores(), *(limit for limit in limits if limit > 0)])


def _cgroup_cores() -> list[int]:
    """What the cgroup (version 2) of this process and those above it allow, rounded up."""
    try:
        own = Path("/proc/self/cgroup").read_text().rpartition("0::/")[2].strip()
    except OSError:
        return []
    found = []
    for folder in (Path("/sys/fs/cgroup") / own, *(Path("/sys/fs/cgroup") / own).parents):
        with contextlib.suppress(OSError, ValueError):  # "max", or none there
            quota, period = map(int, (folder / "cpu.max").read_text().split())
            found.append(max(1, -(-quota // period)))
    return found


def processor() -> str:
    """The name of the processor, as well as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit() -> str:
    """The git commit of the package's own checkout, with "+changes" where it has uncommitted ones."""
    here = Path(__file__).resolve().parents[1]
    try:

        def git(*arguments: str) -> str:
            return subprocess.run(
                ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()

        if Path(git("rev-parse", "--show-toplevel")) != here.parent:
            return "unknown"
        changes = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def describe(device) -> dict[str, str | int]:
    """Versions, processor, device, threads and commit of the present process."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    device = torch.device(device)
    return versions | {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "commit": commit(),
    }
