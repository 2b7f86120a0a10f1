"""The command line: grokkit train | sweep | status | record | reproduce | download | doctor.

Modules are imported when a command needs them, so that `grokkit --help` answers at once.
A user error is one line on stderr and exit code 2; Ctrl-C is exit code 130, SIGTERM 143.
"""

import argparse
import ast
import os
import signal
import sys
from collections.abc import Sequence

from grokkit.errors import GrokkitError
from grokkit.signals import Stopped


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (see '{self.prog} --help')\n")


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = _Parser(
        prog="grokkit",
        description="Reproduce and extend 'Grokking of Hierarchical Structure in Vanilla Transformers'.",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    train = commands.add_parser("train", help="train the runs of one cell: preset, task, depth")
    _preset(train)
    train.add_argument("--task", required=True, help="question, tense or dyck")
    train.add_argument("--depth", type=int, metavar="L", help="layers (default: as in Figure 2)")
    _numbers(train, "--seeds", "one run a seed (default: the preset's)")
    train.add_argument("--out", metavar="FOLDER", help="default: in runs/; what is there is resumed")
    train.add_argument("--device", help="cpu, cuda or mps (default: cuda where it is there, else cpu)")
    train.add_argument("--minutes", type=float, metavar="M", help="stop cleanly after M minutes")
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        dest="changes",
        help="change a field of the Config, e.g. --set width=32; can be given several times",
    )
    train.set_defaults(run=_train)

    sweep = commands.add_parser("sweep", help="train all missing runs of a preset")
    _preset(sweep)
    _cells(sweep)
    sweep.add_argument("--minutes", type=float, metavar="M", help="stop cleanly; call again to go on")
    sweep.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    sweep.add_argument("--device", help="cpu, cuda or mps (default: cuda where it is there, else cpu)")
    sweep.set_defaults(run=_sweep)

    status = commands.add_parser("status", help="which runs are finished, failed, begun, missing")
    _preset(status)
    _cells(status)
    status.add_argument("--source", help="runs or record (default: runs)")
    status.set_defaults(run=_status)

    record = commands.add_parser("record", help="write the finished runs into figures/<preset>/")
    _preset(record)
    _cells(record, "all that are finished")
    record.set_defaults(run=_record)

    reproduce = commands.add_parser("reproduce", help="execute the notebooks of figures")
    reproduce.add_argument("figures", nargs="+", metavar="FIGURE", help="table1, fig1 ... fig5, run, all")
    _preset(reproduce)
    _numbers(reproduce, "--seeds", "default: the preset's")
    _numbers(reproduce, "--depths", "default: the preset's")
    reproduce.add_argument("--source", help="runs: train what is missing; record: read figures/<preset>/")
    reproduce.add_argument(
        "-p",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        dest="parameters",
        help="a parameter of the notebooks, by its name",
    )
    reproduce.set_defaults(run=_reproduce)

    download = commands.add_parser("download", help="fetch the released files of a task and verify them")
    download.add_argument("task", help="question, tense or dyck")
    download.set_defaults(run=_download)

    doctor = commands.add_parser("doctor", help="check this installation: lines for a bug report")
    doctor.set_defaults(run=_doctor)
    return top


def _preset(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--preset", help="as-run, as-written, laptop or smoke (default: as-run with CUDA, else laptop)"
    )


def _numbers(command: argparse.ArgumentParser, option: str, text: str) -> None:
    command.add_argument(option, nargs="+", metavar="N", help=f"'42 52' or '42,52'; {text}")


def _cells(command: argparse.ArgumentParser, default: str = "the preset's") -> None:
    command.add_argument("--tasks", nargs="+", metavar="TASK", help=f"default: {default}")
    _numbers(command, "--depths", f"default: {default}")
    _numbers(command, "--seeds", f"default: {default}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code."""
    options = parser().parse_args(arguments)
    before = _end_like_ctrl_c(signal.SIGTERM), _end_like_ctrl_c(getattr(signal, "SIGHUP", None))
    try:
        return options.run(options) or 0
    except GrokkitError as error:
        print(f"grokkit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        said = str(stop) or "stopped; what was saved is kept, the same command goes on from there"
        print(f"\ngrokkit: {said}", file=sys.stderr)
        return 128 + getattr(stop, "signal", signal.SIGINT)
    except BrokenPipeError:  # the reader of our output has gone, as in `grokkit status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    finally:
        for number, handler in filter(None, before):
            signal.signal(number, handler)


def _end_like_ctrl_c(number: int | None):
    """Lets a signal raise KeyboardInterrupt, so that runs are saved; the number and its old handler."""

    def stop(number, frame):
        raise Stopped("", number)

    try:
        return number and (number, signal.signal(number, stop))
    except ValueError:  # not in the main thread
        return None


def _chosen_preset(options: argparse.Namespace) -> str:
    from grokkit.commands.settings import checked, default_preset
    from grokkit.config import PRESETS

    if options.preset is None:
        return default_preset()
    return checked("preset", options.preset, tuple(PRESETS))


def _chosen(words: Sequence[str] | None, name: str, least: int) -> list[int] | None:
    from grokkit.commands.settings import whole_numbers

    return None if words is None else whole_numbers(name, " ".join(words), least)


def _chosen_cells(options: argparse.Namespace) -> tuple[str, list[str], dict[str, list[int]], list[int]]:
    """preset, tasks, task -> depths, seeds."""
    from grokkit.commands import settings
    from grokkit.config import DEPTHS

    preset = _chosen_preset(options)
    known = tuple(DEPTHS[preset])
    tasks = [settings.checked("task", task, known) for task in options.tasks or known]
    depths = _chosen(options.depths, "depths", 1)
    by_task = {task: depths or settings.default_depths(preset, task) for task in tasks}
    return preset, tasks, by_task, _chosen(options.seeds, "seeds", 0) or settings.default_seeds(preset)


def _train(options: argparse.Namespace) -> None:
    from grokkit.commands.settings import default_seeds
    from grokkit.config import preset as cell_of
    from grokkit.storage.files import cell_folder
    from grokkit.training import train

    preset = _chosen_preset(options)
    changes = dict(_change(text) for text in options.changes)
    cell = cell_of(preset, options.task, options.depth, **changes)
    seeds = _chosen(options.seeds, "seeds", 0) or default_seeds(preset)
    if changes and options.out is None:
        raise GrokkitError("--set makes this no run of the preset: say with --out where it is to be kept")
    out = options.out or cell_folder(preset, options.task, cell.depth)
    print(f"{preset} {options.task} L{cell.depth}, seeds {' '.join(map(str, seeds))} -> {out}", flush=True)
    table = train(cell, seeds, out=out, device=options.device, minutes=options.minutes)
    columns = ["seed", "step", "train_loss", "val_accuracy", "gen_accuracy", "status"]
    last = table.sort_values("step").groupby("seed").tail(1).sort_values("seed")
    print(last[columns].to_string(index=False))


def _change(text: str) -> tuple[str, object]:
    """Name and value of FIELD=VALUE; a value that is no Python literal is a text.

    >>> _change("width=32"), _change("schedule=constant")
    (('width', 32), ('schedule', 'constant'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise GrokkitError(f"--set {text}: write FIELD=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _sweep(options: argparse.Namespace) -> None:
    from grokkit.sweep import run

    preset, tasks, depths, seeds = _chosen_cells(options)
    run(preset, tasks, depths, seeds, options.device, options.workers, options.minutes)


def _status(options: argparse.Namespace) -> None:
    from grokkit.commands.settings import default_source
    from grokkit.report.results import status

    preset, tasks, depths, seeds = _chosen_cells(options)
    source = options.source or default_source()
    if source == "record" and not options.seeds:
        seeds = None  # all that it holds: it may have more than the preset trains unasked
    table = status(preset, tasks, depths, seeds, source)
    lists = ["finished", "failed", "running", "missing"]
    for name in lists:
        table[name] = [" ".join(map(str, numbers)) or "-" for numbers in table[name]]
    print(f"preset {preset}, {source}: seeds that are")
    print(table.to_string(index=False))


def _record(options: argparse.Namespace) -> None:
    from grokkit.report.record import record

    depths, seeds = _chosen(options.depths, "depths", 1), _chosen(options.seeds, "seeds", 0)
    print(record(_chosen_preset(options), options.tasks, depths, seeds))


def _reproduce(options: argparse.Namespace) -> None:
    from grokkit.commands.reproduce import reproduce

    parameters = dict(options.parameters)
    for name in ("preset", "seeds", "depths", "source"):
        value = getattr(options, name)
        if value is not None:
            parameters[name.upper()] = value if isinstance(value, str) else " ".join(value)
    reproduce(options.figures, parameters)


def _download(options: argparse.Namespace) -> None:
    from grokkit.data.official import download

    print(download(options.task))


def _doctor(options: argparse.Namespace) -> int:
    from grokkit.commands.doctor import report

    return report()
