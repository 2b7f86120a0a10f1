"""The command line: grokkit train | sweep | status | record | reproduce | download | render | doctor.

Modules are imported when a command needs them, so that `grokkit --help` answers at once.
A user error is one line on stderr and exit code 2; Ctrl-C is exit code 130, SIGTERM 143.
"""

import argparse
import signal
from collections.abc import Callable, Sequence
from typing import Any

from grokkit.errors import GrokkitError
from grokkit.places import other_code, place
from grokkit.printing import say
from grokkit.signals import raised_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code."""
    options = parser().parse_args(arguments)
    with raised_signals():
        try:
            if options.command != "doctor" and (line := other_code()):  # the doctor says so itself
                say(f"grokkit: {line}", error=True)
            return options.run(options) or 0
        except GrokkitError as error:
            say(f"grokkit: {error}", error=True)
            return 2
        except KeyboardInterrupt as stop:
            said = str(stop) or "stopped; what was saved is kept, the same command goes on from there"
            say(f"\ngrokkit: {said}", error=True)
            return 128 + getattr(stop, "signal", signal.SIGINT)
        except BrokenPipeError:  # the reader of our output has gone, as in `grokkit status | head`
            say()  # nothing is left to be flushed into it
            return 141


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (see '{self.prog} --help')\n")


def parser() -> _Parser:
    """All commands and their options."""
    top = _Parser(
        prog="grokkit", description="Reproduce and extend 'Grokking of Hierarchical Structure in Vanilla Transformers'."
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, run: Callable, text: str, *parents: _Parser) -> _Parser:
        added = commands.add_parser(name, help=text, parents=parents)
        added.set_defaults(run=run)
        return added

    preset = _option("--preset", help="as-run, as-written, laptop or smoke (default: laptop)")
    device = _option("--device", help="cpu, cuda or mps (default: cuda where it is there, else cpu)")
    minutes = _option("--minutes", type=float, metavar="M", help="stop cleanly after M minutes; call again to go on")
    text = "stop after this step, or the last evaluation before it; a later call goes on"
    until = _option("--until", metavar="STEP", help=text)
    limits = device, minutes, until

    data = _option("--data", metavar="PATH", help="own data: a TSV file or a folder; see docs/own_data.md")
    data.add_argument("--score", metavar="WHAT", help="of --data: whole (default), first, or a column's name")

    train = command("train", _train, "train the runs of one cell: preset, task, depth", preset, data, *limits)
    text = "question, tense or dyck, or a name for --data"
    train.add_argument("--task", nargs=1, dest="tasks", metavar="TASK", help=text)
    train.add_argument("--depth", metavar="L", help="layers (default: as in Figure 2)")
    _numbers(train, "--seeds", "one run a seed (default: the preset's)")
    train.set_defaults(depths=None)
    train.add_argument("--out", metavar="FOLDER", help="default: in runs/; what is there is resumed")
    text = "change a field of the Config, e.g. --set width=32; can be given several times"
    train.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", dest="changes", help=text)

    sweep = command("sweep", _sweep, "train all missing runs of a preset", preset, data, _cells(), *limits)
    _machines(sweep)

    status = command("status", _status, "which runs are finished, failed, openings, missing", preset, data, _cells())
    status.add_argument("--source", help="runs, record or again (default: runs)")
    status.add_argument("--storage", metavar="URL", help="where machines share runs: their tables are fetched first")

    cells = _cells("all that are finished")
    command("record", _record, "add the finished runs to figures/<preset>/", preset, data, cells, until)

    reproduce = command("reproduce", _reproduce, "execute the notebooks of figures", preset, until, minutes)
    reproduce.add_argument("figures", nargs="+", metavar="FIGURE", help="table1, fig1 ... fig5, run, all")
    reproduce.add_argument("--data", help="not taken: notebooks show the paper's tasks; see docs/own_data.md")
    _numbers(reproduce, "--seeds", "default: the preset's")
    _numbers(reproduce, "--depths", "default: the preset's")
    reproduce.add_argument("--source", help="runs: train what is missing; record: read figures/<preset>/")
    text, names = "a parameter of the notebooks, by its name", ("NAME", "VALUE")
    reproduce.add_argument("-p", nargs=2, action="append", default=[], metavar=names, dest="parameters", help=text)

    download = command("download", _download, "fetch the released files of a task and verify them")
    download.add_argument("task", help="question, tense or dyck")

    command("render", _render, "execute the committed notebooks anew from the record, in a clone")
    doctor = command("doctor", _doctor, "check this installation: lines for a bug report")
    doctor.add_argument("--gpu", action="store_true", help="compare a GPU with the CPU, and time it: seconds")
    return top


def _machines(command: _Parser) -> None:
    """How the runs of a sweep are spread over processes and machines."""
    command.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    command.add_argument(
        "--shard", metavar="K/N", help="part K of N of these runs, for the K-th of N machines or array tasks"
    )
    text = "a folder or URL (s3://...) where machines share runs: goes on from what is there; docs/many_machines.md"
    command.add_argument("--storage", metavar="URL", help=text)
    command.add_argument("--engine", metavar="ray", help="train on a Ray cluster, a task a stack of runs")
    command.add_argument("--address", help="of the Ray cluster (default: auto, the one that this machine belongs to)")
    command.add_argument("--cpus", type=float, metavar="N", help="cores of a task, a fraction too (default: 1)")
    command.add_argument("--gpus", type=float, metavar="N", help="GPUs of a task, a fraction too (default: 0)")
    command.add_argument(
        "--seeds-per-stack", type=int, metavar="N", help="runs of a task (default: on a GPU all of a cell)"
    )


def _option(*names: str, **settings) -> _Parser:
    """An option that several commands share, as a parent of theirs."""
    parent = _Parser(add_help=False)
    parent.add_argument(*names, **settings)
    return parent


def _cells(default: str = "the preset's") -> _Parser:
    """The options that choose cells, as a parent of commands."""
    parent = _option("--tasks", nargs="+", metavar="TASK", help=f"default: {default}")
    _numbers(parent, "--depths", f"default: {default}")
    _numbers(parent, "--seeds", f"default: {default}")
    return parent


def _numbers(command: _Parser, option: str, text: str) -> None:
    command.add_argument(option, nargs="+", metavar="N", help=f"'42 52' or '42,52'; {text}")


def _train(options: argparse.Namespace) -> None:
    from grokkit.config import parsed
    from grokkit.presets import preset as cell_of
    from grokkit.storage.files import cell_folder
    from grokkit.training import train

    preset, tasks, _, seeds = _chosen_cells(options)
    if len(tasks) != 1:
        raise GrokkitError("train takes one task: say which with --task, or with --data")
    changes = _changes(options.changes)
    depth: Any = None if options.depth is None else parsed("depth", options.depth)
    cell = cell_of(preset, tasks[0], depth, **changes)
    out = place(options.out, "--out") if options.out else cell_folder(cell.preset, cell.task, cell.depth)
    say(f"{cell.preset} {cell.task} L{cell.depth}, seeds {' '.join(map(str, seeds))} -> {out}")
    table = train(cell, seeds, out=out, device=options.device, minutes=options.minutes, until=_until(options))
    columns = ["seed", "step", "train_loss", "val_accuracy", "gen_accuracy", "status"]
    last = table.sort_values("step").groupby("seed").tail(1).sort_values("seed")
    say(last[columns].to_string(index=False))


def _sweep(options: argparse.Namespace) -> None:
    from grokkit.commands.sweep import sweep

    sweep(options, *_chosen_cells(options), _until(options))


def _status(options: argparse.Namespace) -> None:
    from grokkit.commands.sweep import status

    status(options, *_chosen_cells(options))


def _record(options: argparse.Namespace) -> None:
    from grokkit.report.record import record

    tasks = _own_task(options) or _listed(options.tasks)
    say(record(_chosen_preset(options), tasks, _listed(options.depths), _listed(options.seeds), _until(options)))


def _reproduce(options: argparse.Namespace) -> None:
    from grokkit.commands.reproduce import reproduce

    if options.data is not None:
        raise GrokkitError(
            "reproduce takes no --data: the notebooks show the paper's tasks. Train with 'grokkit train --data', then"
            " draw with gk.figures.grokking and gk.figures.depth (docs/own_data.md)"
        )
    parameters = dict(options.parameters)
    for name in ("preset", "seeds", "depths", "source", "until", "minutes"):
        value = getattr(options, name)
        if value is not None:
            parameters[name.upper()] = _listed(value) if isinstance(value, list) else str(value)
    reproduce(options.figures, parameters)


def _download(options: argparse.Namespace) -> None:
    from grokkit.data.official import download

    say(download(options.task))


def _render(options: argparse.Namespace) -> None:
    from grokkit.commands.render import render

    render()


def _doctor(options: argparse.Namespace) -> int:
    from grokkit.commands.doctor import CHECKS, report

    if not options.gpu:
        return report(CHECKS)
    from grokkit.commands.gpu_check import check_gpu

    return report((check_gpu,))


def _chosen_cells(options: argparse.Namespace) -> tuple[str, Any, Any, Any]:
    """preset, tasks, depths (of all tasks, or by task), seeds."""
    from grokkit.commands.settings import given_depths, given_seeds
    from grokkit.presets import select
    from grokkit.storage.run_folder import found_runs

    depths, seeds = _listed(options.depths) or given_depths(), _listed(options.seeds) or given_seeds()
    preset = _chosen_preset(options)
    there = {run.task for run in found_runs(preset)}
    chosen = select(_own_task(options) or _listed(options.tasks), depths, seeds, there).of_preset(preset)
    return preset, chosen.tasks, chosen.depths, chosen.seeds


def _until(options: argparse.Namespace) -> Any:
    from grokkit.commands.settings import given_until
    from grokkit.values import parse

    return given_until() if options.until is None else parse("--until", options.until, int)


def _own_task(options: argparse.Namespace) -> str | None:
    """The name of the task that --data holds, read and registered; None without it."""
    if options.data is None:
        if options.score is not None:
            raise GrokkitError("--score belongs to --data: the paper's tasks have their own metrics")
        return None
    from grokkit.data.files import task_from_files

    if options.tasks and len(options.tasks) > 1:
        raise GrokkitError("--data holds one task: give it one name")
    return task_from_files(options.data, options.tasks[0] if options.tasks else None, options.score or "whole").name


def _chosen_preset(options: argparse.Namespace) -> str:
    from grokkit.commands.settings import default_preset
    from grokkit.presets import preset_name

    return default_preset() if options.preset is None else preset_name(options.preset)


def _listed(words: Sequence[str] | None) -> str | None:
    """Words of the command line as the one text that they are: '42 52' or '42,52'."""
    return None if words is None else " ".join(words)


def _changes(texts: Sequence[str]) -> dict[str, Any]:
    """What --set changes, FIELD=VALUE each, each field once. Raises GrokkitError.

    >>> _changes(["width=32", "schedule=constant", "tied=off"])
    {'width': 32, 'schedule': 'constant', 'tied': False}
    """
    from grokkit.config import parsed

    names, changes = [text.partition("=")[0] for text in texts], {}
    for name, text in zip(names, texts):
        if not text.startswith(f"{name}=") or not name.isidentifier():
            raise GrokkitError(f"--set {text}: write FIELD=VALUE")
        changes[name] = parsed(name, text.partition("=")[2])
        if name in ("preset", "task", "depth"):
            raise GrokkitError(f"--set {name}: it has an option of its own, --{name}")
        if names.count(name) > 1:
            raise GrokkitError(f"--set {name} is given {names.count(name)} times: give it once")
    return changes
