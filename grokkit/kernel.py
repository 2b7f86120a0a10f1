"""The Jupyter kernel of this very interpreter, whatever kernels are registered on the machine.

Only `grokkit.reproduce` imports this module: it needs the extra `notebooks`.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from traitlets import default

from grokkit.interruption import Stopped

_running: set[int] = set()  # process groups of the kernels that run


def interrupt_kernels() -> bool:
    """Sends SIGINT to every running kernel and its children; whether there was one."""
    for group in _running:
        try:
            os.killpg(group, signal.SIGINT)
        except ProcessLookupError:
            pass  # it has just ended
    return bool(_running)


@contextmanager
def kernel_interrupts() -> Iterator[list[int]]:
    """Within the block Ctrl-C and SIGTERM interrupt the kernel, which saves its runs; a second one ends it.

    Gives the list of the signals that came.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked  # Python lets signals be handled in the main thread only
        return
    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    before = {number: signal.getsignal(number) for number in numbers if number is not None}

    def interrupt(number, frame) -> None:
        asked.append(number)
        restore()
        if not interrupt_kernels():
            raise Stopped("", number)
        print("\nstopping: running trainings are saved first", file=sys.stderr, flush=True)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield asked
    finally:
        restore()


class _Specs(KernelSpecManager):
    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


class CurrentInterpreter(AsyncKernelManager):
    """Starts kernels with sys.executable, and leaves none of a kernel's child processes behind."""

    group: int | None = None
    """The process group of the kernel and its children; None where the system has none."""

    @default("kernel_spec_manager")
    def _default_kernel_spec_manager(self) -> KernelSpecManager:
        return _Specs(parent=self)

    async def start_kernel(self, **kwargs) -> None:
        # what a kernel prints comes as messages; its own log would only repeat it
        await super().start_kernel(**{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | kwargs)
        group = getattr(self.provisioner, "pgid", None)
        if group and group != os.getpgrp():
            self.group = group
            _running.add(group)

    async def cleanup_resources(self, restart: bool = False) -> None:
        await super().cleanup_resources(restart)
        if self.group and not restart:
            _running.discard(self.group)
            await _end_group(self.group)


async def _end_group(group: int) -> None:
    """Ends what is left of a kernel's process group: SIGTERM, and SIGKILL after ten seconds."""
    try:
        os.killpg(group, signal.SIGTERM)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            await asyncio.sleep(0.1)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nobody is left
