"""Figures from notebooks: which notebooks make which figure, and running them with papermill.

A notebook executes to a temporary name in build/<preset>/, which gets its own name after success only. Its
figures go to figures/local/<preset>/, each whole or not at all; the record in figures/<preset>/ is only read.
"""

import ast
import csv
import logging
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path

from grokkit.commands import settings
from grokkit.errors import GrokkitError
from grokkit.report.results import figures_root, repository_root, runs_root

NOTEBOOKS: dict[str, tuple[str, ...]] = {
    "table1": ("01_data",),
    "fig1": ("01_data",),
    "run": ("02_one_run",),
    "fig2": ("03_structural_grokking",),
    "fig3": ("04_depth", "05_internals"),
    "fig3a": ("04_depth",),
    "fig3b": ("05_internals",),
    "fig4": ("06_induced_trees",),
    "fig5": ("07_training_loss",),
}
NOTEBOOKS["all"] = tuple(dict.fromkeys(sorted(name for names in NOTEBOOKS.values() for name in names)))
STANDARD = ("PRESET", "SEEDS", "DEPTHS", "SOURCE")
"""The parameters that every notebook takes, each with the environment variable GROKKIT_<name>."""


def reproduce(figures: Sequence[str], parameters: Mapping[str, str] | None = None) -> list[Path]:
    """Executes the notebooks of the figures and returns the executed copies, build/<preset>/<notebook>.ipynb.

    parameters: by name, as text: PRESET, SEEDS, DEPTHS, SOURCE, or others that a notebook takes.
    Raises GrokkitError for an unknown figure, name or value before anything runs, and when a notebook fails.
    """
    names = notebooks_of(figures)
    given = {name: parsed(name, text) for name, text in (parameters or {}).items()}
    accepted = check_names(names, given)
    switches = {f"GROKKIT_{name}": as_text(value) for name, value in given.items() if name in STANDARD}
    with environment(switches):
        preset = settings.default_preset()
        settings.default_seeds(preset), settings.default_source()  # wrong values stop here, not in a kernel
        print("\n".join(header(figures, preset)), flush=True)
        executed = []
        for name in names:
            taken = {key: value for key, value in given.items() if key in accepted[name]}
            executed.append(run_notebook(name, preset, taken))
        print(f"figures: {figures_root() / 'local' / preset}", flush=True)
    return executed


def notebooks_of(figures: Sequence[str]) -> list[str]:
    """The notebooks of some figures, each once.

    >>> notebooks_of(["fig3", "fig3a"])
    ['04_depth', '05_internals']
    """
    for figure in figures:
        if figure not in NOTEBOOKS:
            raise GrokkitError(f"unknown figure {figure!r}: choose from {', '.join(NOTEBOOKS)}")
    if not figures:
        raise GrokkitError(f"no figure was named: choose from {', '.join(NOTEBOOKS)}")
    return list(dict.fromkeys(name for figure in figures for name in NOTEBOOKS[figure]))


def parsed(name: str, text: str) -> object:
    """What a notebook gets: a list of numbers for SEEDS and DEPTHS, else a Python literal or the text itself.

    >>> parsed("SEEDS", "42,52"), parsed("BINS", "3"), parsed("PRESET", "smoke")
    ([42, 52], 3, 'smoke')
    """
    if name in ("SEEDS", "DEPTHS"):
        return settings.whole_numbers(name, text, least=0 if name == "SEEDS" else 1)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # whatever ast makes of odd texts
        return text


def as_text(value: object) -> str:
    """A parameter as its environment variable writes it."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def check_names(names: Sequence[str], given: Mapping[str, object]) -> dict[str, set[str]]:
    """The parameters that each notebook takes. GrokkitError for a given one that none of the notebooks takes.

    papermill itself only logs an unknown name, and a typing error would run the defaults.
    """
    inspect_notebook = _papermill().inspect_notebook
    accepted = {}
    for name in names:
        path = _notebook(name)
        try:
            accepted[name] = set(inspect_notebook(str(path)))
        except Exception as error:  # papermill, nbformat and json each raise their own
            raise GrokkitError(f"cannot read {path}: {str(error).splitlines()[0]}") from error
    known = set().union(*accepted.values())
    for name in given:
        if name not in known:
            raise GrokkitError(
                f"unknown parameter {name!r}: {', '.join(names)} take{'s' if len(names) == 1 else ''} "
                f"{', '.join(sorted(known)) or 'none'}"
            )
    for name in names:
        left_out = sorted(set(given) - accepted[name])
        if left_out:
            print(f"{name} has no parameter {', '.join(left_out)} and runs without", flush=True)
    return accepted


def header(figures: Sequence[str], preset: str) -> list[str]:
    """What is about to run, where, and how long it takes, one line each."""
    import torch

    from grokkit.storage.provenance import usable_cores

    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else f"cpu, {usable_cores()} cores"
    lines = [f"preset {preset} | device {device} | source {settings.default_source()}"]
    for figure in figures:
        if settings.default_source() == "record":
            time_needed = "nothing is trained"
        else:
            minutes = estimated_minutes(figure, preset, cuda)
            time_needed = (
                "no estimate for this preset and device"
                if minutes is None
                else (f"about {minutes:g} minutes with the preset's seeds and depths, less where runs are finished")
            )
        lines.append(f"{figure}: {', '.join(NOTEBOOKS[figure])} | {time_needed}")
    return lines


def estimated_minutes(figure: str, preset: str, cuda: bool) -> float | None:
    """Measured minutes of a figure: laptop on 2 cores, as-run on one H200; None for what was not measured.

    The numbers are in minutes.csv, which `make help` prints as well.
    """
    if (preset, cuda) not in (("laptop", False), ("as-run", True)):
        return None
    with open(Path(__file__).with_name("minutes.csv"), encoding="utf-8", newline="") as handle:
        minutes = {row["target"]: row[preset] for row in csv.DictReader(handle)}
    text = minutes.get(f"reproduce-{figure}", "")
    return float(text) if text else None


def run_notebook(name: str, preset: str, parameters: Mapping[str, object]) -> Path:
    """Executes one notebook with this interpreter; returns build/<preset>/<name>.ipynb, which is new then.

    Output streams are shown as they come. Raises GrokkitError when the notebook fails; what was executed is
    kept as <name>.failed.ipynb. Ctrl-C stops the kernel and its children, which save their runs first.
    """
    build = repository_root() / "build" / preset
    try:
        build.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GrokkitError(f"cannot write to {build}: {error.strerror}") from error
    target, failed = build / f"{name}.ipynb", build / f"{name}.failed.ipynb"
    temporary = build / f".{name}-{uuid.uuid4().hex[:8]}.ipynb"
    start = time.monotonic()
    # the kernel works in notebooks/, where a relative path would mean another place; a bar drawn by a browser's
    # widget would not be seen here: GROKKIT_PROGRESS asks for one of text
    folders = {"GROKKIT_FIGURES": str(figures_root().absolute()), "GROKKIT_RUNS": str(runs_root().absolute())}
    try:
        with environment(folders | {"GROKKIT_PROGRESS": "text"}):
            _execute(name, temporary, parameters, failed)
        os.replace(temporary, target)
        failed.unlink(missing_ok=True)
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{name}: {(time.monotonic() - start) / 60:.1f} minutes | {target}", flush=True)
    return target


def _execute(name: str, output: Path, parameters: Mapping[str, object], failed: Path) -> None:
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    path = _notebook(name)
    print(f"{name} ...", flush=True)
    try:
        notebook = _papermill().execute_notebook(
            str(path),
            str(output),
            dict(parameters),
            cwd=str(path.parent),
            kernel_name="python3",
            progress_bar=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            start_timeout=120,
            kernel_manager_class=_current_interpreter(),
            coalesce_streams=True,
        )
    except KeyboardInterrupt:  # by now the kernel has ended, and trainings have saved
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of the task that was broken off
        raise
    except DeadKernelError as error:
        raise GrokkitError(
            f"{name}: its Python kernel died, most often for want of memory;"
            " finished runs are kept, the same command goes on"
        ) from error
    except PapermillExecutionError as error:
        os.replace(output, failed)
        if error.ename == "GrokkitError":
            raise GrokkitError(f"{name}: {error.evalue}") from error
        print("\n".join(error.traceback), file=sys.stderr)
        where = f"cell {error.cell_index} with {error.ename}"
        raise GrokkitError(f"{name} failed in {where}; see {failed}") from error
    show_last_table(notebook)


def _current_interpreter() -> type:
    """The class of kernel managers that start this very interpreter, whatever kernels the machine has registered."""
    from ipykernel.kernelspec import RESOURCES, get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class CurrentInterpreter(AsyncKernelManager):
        kernel_spec = KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

        async def start_kernel(self, **options) -> None:
            # what a kernel prints comes as messages; its own log would only repeat it
            await super().start_kernel(**{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options)

        async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
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


def show_last_table(notebook) -> None:
    """Prints the last table that a notebook displays, which is its verdict."""
    tables = [
        output.data["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type in ("execute_result", "display_data") and "<table" in output.data.get("text/html", "")
    ]
    if tables:
        print(table_as_text(tables[-1]), flush=True)


def table_as_text(html: str) -> str:
    """The rows of an HTML table as lines, the columns aligned.

    >>> print(table_as_text("<table><tr><th>n</th><th>sd</th></tr><tr><td>10</td><td>.5</td></tr></table>"))
    n   sd
    10  .5
    """
    from bs4 import BeautifulSoup

    rows = [
        [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])]
        for row in BeautifulSoup(html, "html.parser").find_all("tr")
    ]
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows if any(row))


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the block and the processes that it starts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _notebook(name: str) -> Path:
    path = repository_root() / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise GrokkitError(f"{path} is not there: call this in a clone of grokkit")
    return path


def _papermill():
    try:
        import ipykernel  # noqa: F401
        import papermill
    except ImportError as error:
        raise GrokkitError(
            f"{error.name} is not installed: pip install -c constraints.txt -e '.[notebooks]'"
        ) from error
    return papermill
