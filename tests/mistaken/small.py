"""Small trainings and small helpers of these tests; all through the public doors."""

import json
import os
import shutil
import signal
import warnings
from pathlib import Path

import pytest
from matplotlib.text import Text

import grokkit as gk
from grokkit.cli import main

TINY = dict(steps=4, eval_every=2, analysis_sentences=2, train_size=40, val_size=20, gen_size=20)


DOORS = {  # functions that take a table of results which has tense in it
    "crossings": gk.outcomes.crossings,
    "early_stopping": gk.outcomes.early_stopping,
    "loss_saturation": gk.outcomes.loss_saturation,
    "at_end": lambda table: gk.outcomes.at_end(table),
    "choose_depths": lambda table: gk.outcomes.choose_depths(table, "tense"),
    "verdict fig2": lambda table: gk.verdict(table, "fig2"),
    "verdict fig3": lambda table: gk.verdict(table, "fig3"),
    "verdict fig4": lambda table: gk.verdict(table, "fig4"),
    "findings fig2": lambda table: gk.findings(table, "fig2"),
    "fig2": gk.figures.fig2,
    "fig3a": gk.figures.fig3a,
    "fig3b": gk.figures.fig3b,
    "fig4": gk.figures.fig4,
    "fig5": lambda table: gk.figures.fig5(table, ["tense"]),
    "grokking": lambda table: gk.figures.grokking(table),
    "depth": lambda table: gk.figures.depth(table),
}


def tiny(task="tense", depth=1, **changes) -> gk.Config:
    """A config whose training takes a fraction of a second."""
    return gk.preset("smoke", task, depth, **TINY | changes)


def set_options(**changes) -> list[str]:
    """The same config on the command line."""
    return [word for name, value in {**TINY, **changes}.items() for word in ("--set", f"{name}={value}")]


def train(config, seeds, out=None, **options):
    return gk.train(config, seeds, out=out, progress=options.pop("progress", False), **options)


def begin(config, seeds, out=None) -> KeyboardInterrupt:
    """A training that Ctrl-C stops after its first step; what it raised."""
    with pytest.raises(KeyboardInterrupt) as caught:
        train(config, seeds, out, progress=lambda progress: os.kill(os.getpid(), signal.SIGINT))
    return caught.value


def steps_of(config, seeds, out, **options) -> list[int]:
    """The steps that a training reports: the first says from where it went on."""
    seen: list[int] = []
    train(config, seeds, out, progress=lambda progress: seen.append(progress.step), **options)
    return seen


def run_files(root) -> list[Path]:
    """The folders of runs under a place."""
    return sorted(path.parent for path in Path(root).rglob("metrics.csv"))


def folders_of(root, seed: int) -> list[Path]:
    """Those of one seed."""
    return [folder for folder in run_files(root) if str(seed) in folder.name.split("-")[1:]]


def described(root) -> dict:
    """What the only run under `root` says of itself."""
    (folder,) = run_files(root)
    return json.loads((folder / "run.json").read_text())


def put(out: Path, preset: str, task: str, depth: int) -> None:
    """Copies what was trained in `out` to where the runs of a preset lie, whatever it is."""
    for folder in run_files(out):
        shutil.copytree(folder, Path(os.environ["GROKKIT_RUNS"]) / preset / task / f"L{depth}" / folder.name)


def what_is_said(call) -> str:
    """Warnings, an error of the user and, of a figure, its texts, of a table, its notes: in one text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except gk.GrokkitError as error:
            return one_line(error)
    return " ".join([*(str(warning.message) for warning in caught), texts(result)])


def texts(result) -> str:
    """The words of a figure, or of the notes of a table."""
    if hasattr(result, "findobj"):
        return " ".join(" ".join(text.get_text().split()) for text in result.findobj(Text))
    if hasattr(result, "columns") and "note" in result:
        return " ".join(map(str, result.note))
    return ""


def one_line(error: BaseException) -> str:
    said = str(error)
    assert said and "\n" not in said, said
    return said


def refused(capsys, *arguments: str) -> str:
    """What the command line says of a mistake: one line, exit code 2."""
    try:
        code = main(list(arguments))
    except SystemExit as end:  # argparse
        code = end.code
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.count("\n") == 1 and "Traceback" not in said, said
    return said


def shown(capsys, *arguments: str) -> str:
    """What the command line prints where all is well."""
    assert main(list(arguments)) == 0, capsys.readouterr().err
    return capsys.readouterr().out
