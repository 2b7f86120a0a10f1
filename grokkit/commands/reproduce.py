"""Figures from notebooks: which notebooks make which figure, and with which parameters.

Executed notebooks go to build/<preset>/, figures to figures/local/<preset>/, each whole or not at all; the record
in figures/<preset>/ is only read.
"""

import ast
import csv
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from grokkit.commands import settings
from grokkit.commands.notebooks import parameters_of, run_notebook
from grokkit.errors import GrokkitError
from grokkit.printing import say
from grokkit.report.findings import findings
from grokkit.report.quantities import FIGURE_TASKS
from grokkit.report.results import results
from grokkit.report.verdict import NOT_COMPARABLE, PASS, verdict
from grokkit.storage.files import build_root, figures_root, runs_root
from grokkit.values import names, parse, whole_numbers

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
STANDARD = ("PRESET", "SEEDS", "DEPTHS", "SOURCE", "UNTIL")
"""The parameters that every notebook takes, each with the environment variable GROKKIT_<name>."""


def reproduce(figures: object, parameters: Mapping[str, str] | None = None) -> list[Path]:
    """Executes the notebooks of the figures and returns the executed copies, build/<preset>/<notebook>.ipynb.

    parameters: by name, as text: PRESET, SEEDS, DEPTHS, SOURCE, UNTIL, or others that a notebook takes.
    Raises GrokkitError for an unknown figure, name or value before anything runs, and when a notebook fails.
    """
    notebooks = notebooks_of(figures)
    given = {name: parsed(name, text) for name, text in (parameters or {}).items()}
    accepted = check_names(notebooks, given)
    # a bar drawn by a browser's widget would not be seen here: GROKKIT_PROGRESS asks for one of text, or for lines
    # where nobody watches
    variables = {
        f"GROKKIT_{name}": " ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in given.items()
        if name in STANDARD
    }
    # the kernel works in notebooks/: whole paths
    places = {"RUNS": runs_root(), "FIGURES": figures_root(), "BUILD": build_root()}
    variables |= {f"GROKKIT_{name}": str(path).replace("$", "$$") for name, path in places.items()}
    variables["GROKKIT_PROGRESS"] = "text" if sys.stderr.isatty() else "lines"
    with environment(variables):
        preset = settings.default_preset()
        # wrong values stop here, not in a kernel
        settings.given_seeds(), settings.default_source(), settings.given_until()
        say("\n".join(header(figures, preset)))
        executed = []
        for name in notebooks:
            taken = {key: value for key, value in given.items() if key in accepted[name]}
            executed.append(run_notebook(name, preset, taken))
        say("\n".join(outcome(figures, preset)))
    return executed


def outcome(figures: object, preset: str) -> Iterator[str]:
    """What was found, one line a finding, and as the last line where the figures are and how far from the record."""
    seeds, depths, source = settings.given_seeds(), settings.given_depths(), settings.default_source()
    parts = {"fig3": ("fig3a", "fig3b"), "all": ("fig2", "fig3a", "fig3b", "fig4", "fig5")}
    judged: list[str] = []
    chosen = names("figure", figures, tuple(NOTEBOOKS))
    for figure in dict.fromkeys(part for name in chosen for part in parts.get(name, (name,))):
        if figure not in FIGURE_TASKS:
            continue
        try:
            table = results(preset, FIGURE_TASKS[figure], depths, seeds, source, until=settings.given_until())
        except GrokkitError:  # somebody's own notebook need not have trained these
            continue
        yield from (f"{figure} | {row.claim}: {row.conclusion}" for row in findings(table, figure).itertuples())
        judged += list(verdict(table, figure).against_expected)
    judged = [word for word in judged if word != NOT_COMPARABLE]
    beside = f" | {judged.count(PASS)} of {len(judged)} numbers as in the record" if judged else ""
    yield f"figures: {figures_root() / 'local' / preset}{beside}"


def notebooks_of(figures: object) -> list[str]:
    """The notebooks of one figure or several, each once. Raises GrokkitError for an unknown one, and for none.

    >>> notebooks_of(["fig3", "fig3a"])
    ['04_depth', '05_internals']
    """
    chosen = names("figure", figures, tuple(NOTEBOOKS))
    return list(dict.fromkeys(name for figure in chosen for name in NOTEBOOKS[figure]))


def parsed(name: str, text: str) -> object:
    """What a notebook gets: a list of numbers for SEEDS and DEPTHS, one for UNTIL, else a literal or the text itself.

    >>> parsed("SEEDS", "42,52"), parsed("BINS", "3"), parsed("PRESET", "smoke")
    ([42, 52], 3, 'smoke')
    """
    if name in ("SEEDS", "DEPTHS"):
        return list(whole_numbers(name, text, least=0 if name == "SEEDS" else 1))
    if name == "UNTIL":
        return parse(name, text, int)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # whatever ast makes of odd texts
        return text


def check_names(names: Sequence[str], given: Mapping[str, object]) -> dict[str, set[str]]:
    """The parameters that each notebook takes. GrokkitError for a given one that none of the notebooks takes.

    papermill itself only logs an unknown name, and a typing error would run the defaults.
    """
    accepted = {name: parameters_of(name) for name in names}
    known = set().union(*accepted.values())
    for name in given:
        if name not in known:
            takes = f"{', '.join(names)} take{'s' if len(names) == 1 else ''}"
            raise GrokkitError(f"unknown parameter {name!r}: {takes} {', '.join(sorted(known)) or 'none'}")
    for name in names:
        if left_out := sorted(set(given) - accepted[name]):
            say(f"{name} has no parameter {', '.join(left_out)} and runs without")
    return accepted


def header(figures: object, preset: str) -> list[str]:
    """What is about to run, where, and how long it takes, one line each."""
    import torch

    from grokkit.storage.provenance import usable_cores

    source, cuda = settings.default_source(), torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else f"cpu, {usable_cores()} cores"
    lines = [f"preset {preset} | device {device} | source {source}"]
    for figure in names("figure", figures, tuple(NOTEBOOKS)):
        minutes = estimated_minutes(figure, preset, cuda)
        if source != "runs":
            time_needed = "nothing is trained"
        elif minutes is None or settings.given_until() is not None:
            time_needed = "what its trainings cost is said before they start"
        else:
            time_needed = f"about {minutes:g} minutes with the preset's seeds and depths, less where runs are finished"
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
    text = minutes.get(f"reproduce-{figure}")
    return float(text) if text else None


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the block and the processes that it starts."""
    before = {name: os.environ[name] for name in values if name in os.environ}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            os.environ.pop(name, None)
        os.environ.update(before)
