"""Kind 10: as people's machines are: no terminal, their matplotlib, their cores; what it will cost is said."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
import torch
from mistaken.small import described, set_options, shown, tiny, train
from synthetic import table as synthetic

import grokkit as gk
from grokkit.cli import main
from grokkit.storage.provenance import usable_cores

ROOT = Path(__file__).resolve().parents[2]
CELL = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--seeds", "42"]
SWEEP = ["sweep", "--preset", "smoke", "--tasks", "tense", "--depths", "1", "--seeds", "42"]
TIME, ROOM = r"\d ?(s|seconds?|min|minutes?|h|hours?|days?)\b", r"\d ?[kMG]i?B\b"

# -- no terminal, and what it costs ---------------------------------------------------------------------------


def test_without_a_terminal_a_training_says_its_cost_and_a_line_an_evaluation(capsys, tmp_path):
    assert main([*CELL, "--out", str(tmp_path), *set_options()]) == 0
    out, err = capsys.readouterr()
    before = out[: out.index("train_loss")]  # the table at the end
    assert re.search(TIME, before) and re.search(ROOM, before)
    assert not set("\r\x1b█") & set(out + err)
    lines = [line for line in (out + err).splitlines() if re.search(r"\b[24]\b ?(/|of) ?4\b", line)]
    assert 1 <= len(lines) <= 4  # each once, perhaps a first one


def test_without_a_terminal_a_sweep_says_its_cost_and_lines_and_nothing_where_nothing_is_to_do(capsys):
    assert main(SWEEP) == 0
    said = "".join(capsys.readouterr())
    assert re.search(TIME, said) and re.search(ROOM, said)
    assert "\r" not in said and "20" in said and all(line.strip() for line in said.splitlines())
    assert main(SWEEP) == 0
    assert not re.search(ROOM, "".join(capsys.readouterr()))


def test_no_progress_says_nothing(capsys):
    train(tiny(), [1])
    assert not "".join(capsys.readouterr())


# -- the user's matplotlib ------------------------------------------------------------------------------------


def small():
    return synthetic(tasks=("question",), depths=(2,), seeds=(42,), every=1000)


def corpora() -> dict:
    return {name: gk.TASKS[name].generate(0, {"train": 30, "val": 30, "gen": 30}) for name in ("question", "tense")}


FIGURES = {
    "fig1": lambda: gk.figures.fig1(corpora()),
    "table1": lambda: gk.figures.table1(corpora()),
    "fig5": lambda: gk.figures.fig5(small(), ["question"]),
    "trees": lambda: gk.figures.trees({"left": ((0, 1), 2), "right": (0, (1, 2))}, ["the", "newt", "slept"]),
}
THEIRS = {
    "text.usetex": True,
    "font.family": "no such font",
    "font.size": 30,
    "axes.facecolor": "black",
    "lines.linewidth": 9,
    "savefig.dpi": 20,
    "savefig.bbox": "tight",
    "figure.dpi": 30,
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_whatever_the_user_set(name, monkeypatch):
    make = FIGURES[name]
    plain, png = gk.figures.save(make(), "laptop", "plain")[0].read_bytes(), make()._repr_png_()
    monkeypatch.setenv("PATH", "")  # no latex here
    with matplotlib.rc_context(THEIRS):
        assert gk.figures.save(make(), "laptop", "theirs")[0].read_bytes() == plain
        assert make()._repr_png_() == png


MINE = """
import grokkit as gk, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {helpers!r}]
from synthetic import table
paths = gk.figures.save(gk.figures.fig5(table(tasks=("question",), depths=(2,), seeds=(1,))), "laptop", "fig5")
print(*[Path(path).stat().st_size > 1000 for path in paths])
"""


def test_a_backend_that_is_not_there_stops_no_figure(tmp_path):
    """As a notebook's own that a script inherits, with usetex in matplotlibrc."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    environment = {name: text for name, text in os.environ.items() if name not in ("DISPLAY", "PATH")}
    environment |= {"MPLBACKEND": "module://of_nobody", "MATPLOTLIBRC": str(tmp_path), "GROKKIT_FIGURES": str(tmp_path)}
    environment["PYTHONPATH"] = str(ROOT)
    script = MINE.format(tests=str(ROOT / "tests"), helpers=str(ROOT / "tests/helpers"))
    answer = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=100
    )
    assert answer.stdout.split() == ["True", "True"], answer.stderr[-800:]


# -- cores ----------------------------------------------------------------------------------------------------

THERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize("text, cores", [("1", 1), *((text, THERE) for text in ("64", "", "many", "0", "-2"))])
def test_cores_are_those_that_slurm_gave_and_no_more_than_there_are(text, cores, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", text)
    assert usable_cores() == cores
    if cores == 1:
        train(tiny(), [1], tmp_path, minutes=0)
        assert described(tmp_path)["environments"][0]["cores"] == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has affinity")
def test_cores_are_those_of_the_affinity():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize("quota, limit", [("50000 100000", 1), ("150000 100000", 2), ("max 100000", THERE)])
def test_cores_are_those_of_the_cgroup(quota, limit, monkeypatch):
    """Half a core is one, one and a half are two."""
    opening = io.open

    def opened(path, *given, **options):
        return io.StringIO(quota + "\n") if str(path).endswith("/cpu.max") else opening(path, *given, **options)

    monkeypatch.setattr(io, "open", opened)
    assert usable_cores() == min(limit, THERE)


# -- one line, and which preset -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "thing",
    [
        lambda: gk.TASKS["tense"].generate(0, {"train": 2000, "val": 50, "gen": 50}),
        lambda: gk.TASKS["tense"].generate(0, {"train": 2000, "val": 50, "gen": 50})["train"],
        lambda: gk.TASKS["dyck"],
        lambda: gk.TASKS["tense"].vocab,
        lambda: gk.TransformerStack(tiny(), [1, 2]),
        lambda: gk.TransformerStack(tiny(width=4, heads=2, ffn_width=4), range(200)),
        lambda: gk.preset("laptop", "tense"),
    ],
    ids=["corpus", "split", "task", "vocabulary", "stack", "many runs", "config"],
)
def test_a_thing_is_shown_in_one_line(thing):
    said = repr(thing())
    assert "\n" not in said and len(said) < 600
    assert " object at 0x" not in said


def test_a_corpus_says_what_it_holds():
    said = repr(gk.TASKS["tense"].generate(0, {"train": 200, "val": 50, "gen": 40}))
    assert all(word in said for word in ("tense", "train", "val", "gen", "40"))


@pytest.mark.parametrize("cuda", [False, True])
def test_without_a_preset_named_it_is_laptop_on_every_device(cuda, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert "preset laptop" in shown(capsys, "status", "--tasks", "tense", "--depths", "2")
    assert gk.settings.default_preset() == "laptop"


@pytest.mark.parametrize("command", ["train", "sweep", "status", "record", "reproduce"])
def test_every_help_says_so(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "default: laptop" in said and "CUDA, else" not in said
