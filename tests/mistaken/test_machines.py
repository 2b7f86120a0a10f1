"""Kind 10: as people's machines are: no terminal, their matplotlib, their cores; what it will cost is said."""

import io
import json
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

ROOT = Path(__file__).resolve().parents[2]
CELL = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--seeds", "42"]

# -- no terminal ---------------------------------------------------------------------------------------------


def test_without_a_terminal_a_training_says_a_line_an_evaluation(capsys, tmp_path):
    shown_all = main([*CELL, "--out", str(tmp_path), *set_options()])
    said = "".join(capsys.readouterr())
    assert shown_all == 0 and "\r" not in said and "\x1b" not in said and "█" not in said
    lines = [line for line in said.splitlines() if re.search(r"\b[24]\b ?(/|of) ?4\b", line)]
    assert 1 <= len(lines) <= 4  # each once, perhaps a first one


def test_without_a_terminal_progress_in_python_is_lines_too(capsys):
    gk.train(tiny(), [1], progress=True)
    said = "".join(capsys.readouterr())
    assert said and "\r" not in said and all(line.strip() for line in said.splitlines())


def test_without_a_terminal_a_sweep_says_lines(capsys):
    gk.sweep.run("smoke", ["tense"], [1], [42], progress=True)
    said = "".join(capsys.readouterr())
    assert said and "\r" not in said and "20" in said


def test_no_progress_says_nothing(capsys):
    train(tiny(), [1])
    assert not "".join(capsys.readouterr())


# -- the user's matplotlib -----------------------------------------------------------------------------------


FIGURES = {
    "fig1": lambda: gk.figures.fig1(corpora()),
    "table1": lambda: gk.figures.table1(corpora()),
    "fig2": lambda: gk.figures.fig2(small()),
    "fig4": lambda: gk.figures.fig4(small()),
    "fig5": lambda: gk.figures.fig5(small()),
    "trees": lambda: gk.figures.trees({"left": ((0, 1), 2), "right": (0, (1, 2))}, ["the", "newt", "slept"]),
}


def small():
    return synthetic(tasks=("question", "tense"), depths=(2,), seeds=(42,), every=1000)


def corpora() -> dict:
    return {name: gk.TASKS[name].generate(0, {"train": 30, "val": 30, "gen": 30}) for name in ("question", "tense")}


@pytest.mark.parametrize("name", FIGURES)
def test_latex_of_the_user_stops_no_figure(name, monkeypatch):
    monkeypatch.setenv("PATH", "")  # no latex here
    with matplotlib.rc_context({"text.usetex": True, "font.family": "no such font"}):
        figure = FIGURES[name]()
        gk.figures.save(figure, "laptop", name)
        figure._repr_png_() if hasattr(figure, "_repr_png_") else figure.canvas.draw()  # as a notebook shows it


def test_a_figure_is_the_same_whatever_the_user_set():
    make = FIGURES["fig5"]
    plain, png = gk.figures.save(make(), "laptop", "plain")[0].read_bytes(), make()._repr_png_()
    with matplotlib.rc_context(
        {
            "font.size": 30,
            "axes.facecolor": "black",
            "lines.linewidth": 9,
            "savefig.dpi": 20,
            "savefig.bbox": "tight",
            "figure.dpi": 30,
            "text.usetex": True,
        }
    ):
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
    environment |= {
        "MPLBACKEND": "module://of_nobody",
        "MATPLOTLIBRC": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "GROKKIT_FIGURES": str(tmp_path),
    }
    script = MINE.format(tests=str(ROOT / "tests"), helpers=str(ROOT / "tests/helpers"))
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert answer.stdout.split() == ["True", "True"], answer.stderr[-800:]


def test_notebooks_draw_under_the_kits_style():
    """A cell that draws with matplotlib's own functions does so in `gk.figures.style()`, or leaves it to the kit."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and re.search(r"plt\.subplots|plt\.figure|plt\.plot", source):
                assert "style" in source, f"{path.name}: {source[:60]}"


# -- cores ---------------------------------------------------------------------------------------------------


def cores(tmp_path) -> int:
    train(tiny(), [1], tmp_path, minutes=0)
    (environment,) = described(tmp_path)["environments"]
    return int(re.search(r"'cores': (\d+)", str(environment))[1])


def test_cores_are_those_that_slurm_gave(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert cores(tmp_path) == 1


@pytest.mark.parametrize("text", ["64", "", "many", "0", "-2"])
def test_slurm_gives_no_more_cores_than_there_are(text, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", text)
    assert cores(tmp_path) == len(os.sched_getaffinity(0))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has affinity")
def test_cores_are_those_of_the_affinity(tmp_path):
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert cores(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize("quota, limit", [("50000 100000", 1), ("150000 100000", 2), ("max 100000", None)])
def test_cores_are_those_of_the_cgroup(quota, limit, tmp_path, monkeypatch):
    """Half a core is one, one and a half are two."""
    opening = open

    def opened(path, *given, **options):
        return io.StringIO(quota + "\n") if str(path).endswith("/cpu.max") else opening(path, *given, **options)

    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr(io, "open", opened)
    there = len(os.sched_getaffinity(0))
    assert cores(tmp_path) == (there if limit is None else min(limit, there))


# -- one line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "thing",
    [
        lambda: gk.TASKS["tense"].generate(0, {"train": 2000, "val": 50, "gen": 50}),
        lambda: gk.TASKS["tense"].generate(0, {"train": 2000, "val": 50, "gen": 50})["train"],
        lambda: gk.TASKS["dyck"],
        lambda: gk.TASKS["tense"].vocab,
        lambda: gk.TransformerStack(tiny(), [1, 2]),
        lambda: gk.TransformerStack(tiny(), range(200)),
        lambda: gk.preset("laptop", "tense"),
    ],
    ids=["corpus", "split", "task", "vocabulary", "stack", "many runs", "config"],
)
def test_a_thing_is_shown_in_one_line(thing):
    said = repr(thing())
    assert "\n" not in said and len(said) < 600
    assert " object at 0x" not in said


def test_a_corpus_says_what_it_holds():
    said = repr(gk.TASKS["tense"].generate(0, {"train": 2000, "val": 50, "gen": 40}))
    assert all(word in said for word in ("tense", "train", "val", "gen", "40"))


# -- what it costs -------------------------------------------------------------------------------------------

TIME, ROOM = r"\d ?(s|seconds?|min|minutes?|h|hours?|days?)\b", r"\d ?[kMG]i?B\b"


def test_a_training_says_what_it_will_cost_before_it_starts(tmp_path, capsys):
    said = shown(capsys, *CELL, "--out", str(tmp_path), *set_options())
    before = said[: said.index("train_loss")]  # the table at the end
    assert re.search(TIME, before) and re.search(ROOM, before)


def test_a_sweep_says_what_it_will_cost_before_it_starts(capsys):
    assert main(["sweep", "--preset", "smoke", "--tasks", "tense", "--depths", "1", "--seeds", "42"]) == 0
    said = "".join(capsys.readouterr())
    assert re.search(TIME, said) and re.search(ROOM, said)


def test_a_training_of_days_says_so(tmp_path, capsys):
    """The paper's size on a CPU."""
    sizes = dict(train_size=40, val_size=20, gen_size=20, analysis_sentences=2)
    cell = ["train", "--preset", "as-run", "--task", "tense", "--depth", "2", "--seeds", "42", "--minutes", "0"]
    changes = [word for name, value in sizes.items() for word in ("--set", f"{name}={value}")]
    said = shown(capsys, *cell, "--device", "cpu", "--out", str(tmp_path), *changes)
    assert re.search(r"\d ?(h|hours?|days?)\b", said)


def test_nothing_is_said_to_cost_where_nothing_is_to_do(finished, capsys):
    assert main(["sweep", "--preset", "smoke", "--tasks", "tense", "--depths", "1", "--seeds", "42"]) == 0
    assert not re.search(ROOM, "".join(capsys.readouterr()))


# -- which preset --------------------------------------------------------------------------------------------


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
