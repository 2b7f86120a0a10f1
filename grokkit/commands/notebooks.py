"""One notebook, executed with papermill in this very interpreter.

It executes to a temporary name in build/<preset>/, which gets its own name after success only.
"""

import logging
import os
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL

from grokkit.errors import GrokkitError
from grokkit.places import repository_root
from grokkit.printing import say
from grokkit.storage.files import build_root


def parameters_of(name: str) -> set[str]:
    """The names of a notebook's parameters."""
    papermill, path = _papermill(), _path(name)
    try:
        return set(papermill.inspect_notebook(str(path)))
    except Exception as error:  # papermill, nbformat and json each raise their own
        raise GrokkitError(f"cannot read {path}: {str(error).splitlines()[0]}") from error


def run_notebook(name: str, preset: str, parameters: Mapping[str, object]) -> Path:
    """Executes one notebook with this interpreter; returns build/<preset>/<name>.ipynb, which is new then.

    build/ can be moved with the environment's GROKKIT_BUILD.

    Output streams are shown as they come. Raises GrokkitError when the notebook fails; what was executed is
    kept as <name>.failed.ipynb. Ctrl-C stops the kernel and its children, which save their runs first.
    """
    build = build_root() / preset
    try:
        build.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GrokkitError(f"cannot write to {build}: {error.strerror}: set GROKKIT_BUILD to another folder") from error
    target, failed = build / f"{name}.ipynb", build / f"{name}.failed.ipynb"
    temporary = build / f".{name}-{uuid.uuid4().hex[:8]}.ipynb"
    start = time.monotonic()
    say(f"{name} ...")
    try:
        _execute(name, temporary, parameters, failed)
        os.replace(temporary, target)
        failed.unlink(missing_ok=True)
    finally:
        temporary.unlink(missing_ok=True)
    say(f"{name}: {(time.monotonic() - start) / 60:.1f} minutes | {target}")
    return target


def _execute(name: str, output: Path, parameters: Mapping[str, object], failed: Path) -> None:
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    path = _path(name)
    try:
        _papermill().execute_notebook(
            str(path),
            str(output),
            dict(parameters),
            cwd=str(path.parent),
            kernel_name="python3",
            progress_bar=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            start_timeout=120,
            kernel_manager_class=current_interpreter(),
            coalesce_streams=True,
        )
    except KeyboardInterrupt:  # by now the kernel has ended, and trainings have saved
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of the task that was broken off
        raise
    except DeadKernelError as error:
        why = "its Python kernel died, most often for want of memory; finished runs are kept, the same command goes on"
        raise GrokkitError(f"{name}: {why}") from error
    except PapermillExecutionError as error:
        os.replace(output, failed)
        if error.ename == "GrokkitError":
            raise GrokkitError(f"{name}: {error.evalue}") from error
        say("\n".join(error.traceback), error=True)
        raise GrokkitError(f"{name} failed in cell {error.cell_index} with {error.ename}; see {failed}") from error


def current_interpreter() -> type:
    """The class of kernel managers that start this very interpreter, whatever kernels the machine has registered."""
    from ipykernel.kernelspec import RESOURCES, get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class CurrentInterpreter(AsyncKernelManager):
        kernel_spec = KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

        async def start_kernel(self, **options) -> None:  # type: ignore[override]  # that of its base is async, too
            # what a kernel prints comes as messages; its own log would only repeat it
            await super().start_kernel(**{"stdout": DEVNULL, "stderr": DEVNULL} | options)

        async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:  # type: ignore[override]
            """Interrupts the cell that runs, and ends kernel and children once it has returned.

            Jupyter's own way gives five seconds, and a sweep's workers a second signal while they save.
            """
            await self.interrupt_kernel()
            client = self.client()
            client.start_channels()
            with suppress(RuntimeError):  # the kernel has died by itself
                await client.wait_for_ready()
            client.stop_channels()
            await super().shutdown_kernel(now=True, restart=restart)

    return CurrentInterpreter


def _path(name: str) -> Path:
    path = repository_root() / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise GrokkitError(f"{path} is not there: call this in a clone of grokkit")
    return path


def _papermill():
    try:
        import ipykernel  # noqa: F401
        import papermill
    except ImportError as error:
        raise GrokkitError(f"{error.name} is not installed: pip install -e '.[notebooks]'") from error
    return papermill
