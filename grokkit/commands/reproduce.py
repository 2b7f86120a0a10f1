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
from typing import Any

from grokkit.commands import settings
from grokkit.commands.notebooks import parameters_of, run_notebook
from grokkit.errors import GrokkitError
from grokkit.presets import DEPTHS, SEEDS
from grokkit.presets import preset as preset_of
from grokkit.printing import say
from grokkit.report.findings import findings
from grokkit.report.quantities import FIGURE_TASKS
from grokkit.report.results import results
from grokkit.report.verdict import NOT_COMPARABLE, PASS, verdict
from grokkit.signals import TimeIsUp, stopped_after
from grokkit.storage.files import build_root, figures_root, runs_root
from grokkit.training.progress import deadline_in
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
PARTS = {"fig3": ("fig3a", "fig3b"), "all": ("fig2", "fig3a", "fig3b", "fig4", "fig5")}


def reproduce(figures: object, parameters: Mapping[str, str] | None = None) -> list[Path]:
    """Executes the notebooks of the figures and returns the executed copies, build/<preset>/<notebook>.ipynb.

    parameters: by name, as text: PRESET, SEEDS, DEPTHS, SOURCE, UNTIL, or others that a notebook takes; and MINUTES,
    after which trainings save, and what has been executed so far is returned; the same call goes on.
    Raises GrokkitError for an unknown figure, name or value before anything runs, and when a notebook fails.
    """
    notebooks = notebooks_of(figures)
    given = {name: parsed(name, text) for name, text in (parameters or {}).items()}
    minutes: Any = given.pop("MINUTES", None)
    deadline = deadline_in(minutes)
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
        executed: list[Path] = []
        try:
            with stopped_after(deadline):
                for line in header(figures, preset):
                    say(line)
                for name in notebooks:
                    taken = {key: value for key, value in given.items() if key in accepted[name]}
                    executed.append(run_notebook(name, preset, taken))
        except TimeIsUp:
            left = ", ".join(notebooks[len(executed) :])
            say(f"{minutes:g} minutes are over, {left} did not come to an end; the same command goes on from there")
            return executed
        say("\n".join(outcome(figures, preset)))
    return executed


def outcome(figures: object, preset: str) -> Iterator[str]:
    """What was found, one line a finding, and as the last line where the figures are and how far from the record."""
    seeds, depths, source = settings.given_seeds(), settings.given_depths(), settings.default_source()
    judged: list[str] = []
    for figure in figures_of(figures):
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
    """A parameter's value: a list of numbers for SEEDS and DEPTHS, one for UNTIL and MINUTES, else a literal or the
    text itself.

    >>> parsed("SEEDS", "42,52"), parsed("BINS", "3"), parsed("PRESET", "smoke")
    ([42, 52], 3, 'smoke')
    """
    if name in ("SEEDS", "DEPTHS"):
        return list(whole_numbers(name, text, least=0 if name == "SEEDS" else 1))
    if name in ("UNTIL", "MINUTES"):
        return parse(name, text, int if name == "UNTIL" else float)
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


def figures_of(asked: object) -> list[str]:
    """The figures made of trained runs that are asked for, each part of Figure 3 by itself.

    >>> figures_of(["fig1", "fig3"])
    ['fig3a', 'fig3b']
    """
    chosen = names("figure", asked, tuple(NOTEBOOKS))
    parts = dict.fromkeys(part for name in chosen for part in PARTS.get(name, (name,)))
    return [figure for figure in parts if figure in FIGURE_TASKS]


def header(figures: object, preset: str) -> Iterator[str]:
    """What is about to run, where, and how long it takes, one line each; and what the paper's size would take."""
    import torch

    from grokkit.storage.provenance import usable_cores

    source, cuda = settings.default_source(), torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else f"cpu, {usable_cores()} cores"
    yield f"preset {preset} | device {device} | source {source}"
    for figure in names("figure", figures, tuple(NOTEBOOKS)):
        minutes = estimated_minutes(figure, preset, cuda)
        if source != "runs":
            time_needed = "nothing is trained"
        elif minutes is None or settings.given_until() is not None:
            time_needed = "what its trainings cost is said before they start"
        else:
            time_needed = f"about {minutes:g} minutes with the preset's seeds and depths, less where runs are finished"
        yield f"{figure}: {', '.join(NOTEBOOKS[figure])} | {time_needed}"
    if source == "runs" and not os.environ.get("GROKKIT_PRESET") and figures_of(figures):
        yield from as_run_cost(figures)


def as_run_cost(figures: object) -> Iterator[str]:
    """What the preset as-run would take here, in a line; nothing where it cannot be trained.

    The middle cell of each task is timed, with all its runs on a GPU, with one on a CPU; a step of the others takes
    longer with their layers.
    """
    import torch

    from grokkit.storage.provenance import usable_cores
    from grokkit.training.cost import cost, disk_of, duration, size
    from grokkit.training.devices import pick_device

    device, seeds, cells = pick_device(), SEEDS["as-run"], as_run_cells(figures)
    timed = seeds if device.type == "cuda" else seeds[:1]
    processes = usable_cores() if device.type == "cpu" else 1
    seconds, disk = 0.0, 0
    try:
        for task in dict.fromkeys(task for task, _ in cells):
            middle, depths = preset_of("as-run", task), [depth for name, depth in cells if name == task]
            found = cost([(middle, timed, None)], device, processes)
            assert found, "without a folder nothing has ended"
            seconds += found.seconds * sum(depths) / middle.depth * len(seeds) / len(timed) / processes
            disk += sum(disk_of(middle.replace(depth=depth), len(seeds)) for depth in depths)
    except (GrokkitError, torch.OutOfMemoryError):
        return
    yield (
        f"PRESET=as-run, the paper's size, would be {len(cells)} cells, {len(cells) * len(seeds)} runs: here about"
        f" {duration(seconds)}, {size(disk)} on the disk (one cell of each task timed just now)"
    )


def as_run_cells(figures: object) -> list[tuple[str, int]]:
    """Task and depth of the cells of the preset as-run that these figures show.

    >>> as_run_cells("fig2")
    [('dyck', 6), ('question', 6), ('tense', 4)]
    """
    cells = [
        (task, depth)
        for figure in figures_of(figures)
        for task in FIGURE_TASKS[figure]
        for depth in ([preset_of("as-run", task).depth] if figure == "fig2" else DEPTHS["as-run"][task])
    ]
    return list(dict.fromkeys(cells))


def estimated_minutes(figure: str, preset: str, cuda: bool) -> float | None:
    """Measured minutes of a figure, laptop on 2 cores; None for what was not measured.

    The numbers are in minutes.csv, which `make help` prints as well.
    """
    if preset != "laptop" or cuda:
        return None
    with open(Path(__file__).with_name("minutes.csv"), encoding="utf-8", newline="") as handle:
        minutes = {row["target"]: row["laptop"] for row in csv.DictReader(handle)}
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
