"""Making figures from notebooks: names checked, this interpreter, saved when stopped, no child left behind."""

import csv
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
import torch
from stopping import start, wait_for

from grokkit.cli import main
from grokkit.commands import reproduce
from grokkit.errors import GrokkitError
from grokkit.storage import provenance
from grokkit.training import cost as training_cost

PARAMETERS = """import os
PRESET = os.environ["GROKKIT_PRESET"]  # which preset
SEEDS = [int(seed) for seed in os.environ.get("GROKKIT_SEEDS", "1 2").split()]
NOTE = "none"
"""
DRAW = """from pathlib import Path
record = (Path(os.environ["GROKKIT_FIGURES"]) / PRESET / "results.csv").read_text()
Path("../drawn").write_text(f"{SEEDS} {NOTE} {record}")
"""
EXECUTABLE = "import sys\nprint(sys.executable, Path.cwd().name)"


def write_notebook(folder: Path, name: str, *cells: str, parameters: str = PARAMETERS) -> None:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    book.cells = [nbformat.v4.new_code_cell(text) for text in (parameters, *cells)]
    book.cells[0].metadata["tags"] = ["parameters"]
    (folder / "notebooks").mkdir(exist_ok=True)
    nbformat.write(book, folder / "notebooks" / f"{name}.ipynb")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder laid out as this repository, with a record at the smoke preset."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "grokkit"\n')
    record = tmp_path / "figures" / "smoke"
    record.mkdir(parents=True)
    (record / "results.csv").write_text("recorded")
    for name in ("GROKKIT_RUNS", "GROKKIT_FIGURES"):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_executes_in_this_interpreter(checkout, monkeypatch, capsys, tmp_path_factory):
    other = tmp_path_factory.mktemp("jupyter")  # a kernel python3 that belongs to another environment
    (other / "kernels" / "python3").mkdir(parents=True)
    (other / "kernels" / "python3" / "kernel.json").write_text(
        json.dumps({"argv": ["/bin/false", "{connection_file}"], "display_name": "x", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(other))
    write_notebook(checkout, "03_structural_grokking", DRAW, EXECUTABLE)

    paths = reproduce.reproduce(["fig2"], {"PRESET": "smoke", "SEEDS": "7,8", "NOTE": 'it\'s "mine"'})

    assert paths == [checkout / "build/smoke/03_structural_grokking.ipynb"]
    assert files(checkout / "build") == ["smoke/03_structural_grokking.ipynb"]
    assert (checkout / "drawn").read_text() == '[7, 8] it\'s "mine" recorded'
    said = capsys.readouterr().out
    assert f"{sys.executable} notebooks" in said
    assert said.startswith("preset smoke | device ")
    assert said.endswith(f"figures: {checkout}/figures/local/smoke\n")
    assert not any(name.startswith("GROKKIT_") for name in os.environ if name != "GROKKIT_SHARED")


def test_a_failed_notebook_is_kept_under_another_name(checkout, capsys):
    broken = "class GrokkitError(ValueError): pass\nraise GrokkitError('seed 42 is missing')"
    write_notebook(checkout, "03_structural_grokking", DRAW, broken)
    with pytest.raises(GrokkitError, match="03_structural_grokking: seed 42 is missing"):
        reproduce.reproduce(["fig2"], {"PRESET": "smoke"})
    assert files(checkout / "build") == ["smoke/03_structural_grokking.failed.ipynb"]
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_shows_its_traceback(checkout, capsys):
    write_notebook(checkout, "02_one_run", "{}['absent']")
    with pytest.raises(GrokkitError, match="failed in cell .* with KeyError; see .*failed.ipynb"):
        reproduce.reproduce(["run"], {"PRESET": "smoke"})
    assert "absent" in capsys.readouterr().err


def test_a_killed_kernel_is_said_in_one_line(checkout):
    write_notebook(checkout, "02_one_run", "os.kill(os.getpid(), 9)")
    with pytest.raises(GrokkitError, match="02_one_run: its Python kernel died"):
        reproduce.reproduce(["run"], {"PRESET": "smoke"})
    assert files(checkout / "build") == []


def test_a_parameter_goes_to_the_notebooks_that_take_it_and_stops_all_if_none_does(checkout, capsys):
    write_notebook(checkout, "04_depth", DRAW)
    write_notebook(checkout, "05_internals", DRAW, parameters="PRESET = 'smoke'")
    with pytest.raises(GrokkitError, match="unknown parameter 'SEED': .* take NOTE, PRESET, SEEDS"):
        reproduce.reproduce(["fig3"], {"PRESET": "smoke", "SEED": "3"})
    with pytest.raises(GrokkitError, match="'SEEDS': 05_internals takes PRESET"):
        reproduce.reproduce(["fig3b"], {"SEEDS": "3"})
    assert not (checkout / "build").exists()
    accepted = reproduce.check_names(["04_depth", "05_internals"], {"SEEDS": [3]})
    assert accepted == {"04_depth": {"PRESET", "SEEDS", "NOTE"}, "05_internals": {"PRESET"}}
    assert capsys.readouterr().out == "05_internals has no parameter SEEDS and runs without\n"


@pytest.mark.parametrize(
    "figures, parameters, message",
    [
        (["fig9"], {}, "unknown figure 'fig9'"),
        ([], {}, "no figure"),
        (["fig2"], {"PRESET": "huge"}, "GROKKIT_PRESET = 'huge'"),
        (["fig2"], {"SEEDS": "1 1"}, "none twice"),
        (["fig2"], {"DEPTHS": "0"}, "none below 1"),
        (["fig2"], {"SOURCE": "memory"}, "GROKKIT_SOURCE = 'memory'"),
        (["fig2"], {"UNTIL": "15,000"}, "UNTIL = '15,000': write a whole number"),
        (["fig2"], {"MINUTES": "soon"}, "MINUTES = 'soon': write a number"),
        (["fig2"], {"MINUTES": "-1"}, "minutes = -1.*: it must be a number of 0 or more"),
        (["fig4"], {"PRESET": "smoke"}, "06_induced_trees.ipynb is not there"),
    ],
)
def test_wrong_values_stop_before_anything_runs(figures, parameters, message, checkout):
    every = PARAMETERS + "DEPTHS = [1]\nSOURCE = 'runs'\nUNTIL = None"
    write_notebook(checkout, "03_structural_grokking", DRAW, parameters=every)
    with pytest.raises(GrokkitError, match=message):
        reproduce.reproduce(figures, {"PRESET": "smoke", **parameters})
    assert not (checkout / "build").exists()


def test_two_at_a_time_do_not_clash(checkout):
    write_notebook(checkout, "03_structural_grokking", "import time; time.sleep(1)")
    body = "from grokkit.commands.notebooks import run_notebook; run_notebook('03_structural_grokking', 'smoke', {})"
    environment = os.environ | {"GROKKIT_PRESET": "smoke"}

    def run(_):
        return subprocess.run([sys.executable, "-P", "-c", body], env=environment, capture_output=True, text=True)

    with ThreadPoolExecutor(2) as pool:
        for result in pool.map(run, range(2)):
            assert result.returncode == 0, result.stderr
    assert files(checkout / "build") == ["smoke/03_structural_grokking.ipynb"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    "number, slow",
    [
        (signal.SIGINT, 6),
        pytest.param(signal.SIGTERM, 0, marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, 0, marks=pytest.mark.long),
    ],
)
def test_a_signal_ends_kernel_and_children_after_they_saved(number, slow, checkout):
    """slow: seconds that saving takes; Jupyter by itself would kill a kernel after five."""
    write_notebook(
        checkout,
        "02_one_run",
        DRAW,
        "import subprocess, time\nchild = subprocess.Popen(['sleep', '300'])",
        "Path = __import__('pathlib').Path\nPath('../pids').write_text(f'{os.getpid()} {child.pid}')\n"
        "try: time.sleep(300)\nexcept KeyboardInterrupt:\n"
        f"    time.sleep({slow})\n    Path('../saved').touch()\n    raise",
    )
    process = start("-m", "grokkit", "reproduce", "run", "--preset", "smoke")
    try:
        wait_for(lambda: (checkout / "pids").exists() and (checkout / "pids").read_text())
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert "same command goes on" in said and "Traceback" not in said
    assert (checkout / "saved").exists()
    for pid in map(int, (checkout / "pids").read_text().split()):
        wait_for(lambda pid=pid: not alive(pid))
    assert files(checkout / "build") == []


def alive(pid: int) -> bool:
    try:  # a zombie that nobody has waited for is as good as gone
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(os.name == "nt", reason="timers of POSIX")
def test_minutes_stop_cleanly_and_the_rest_is_named(checkout, capsys):
    """The notebook says itself when its time is up: how long a kernel takes to start is chance."""
    write_notebook(checkout, "04_depth", DRAW)
    wait = "import signal, time\ntry:\n    os.kill(os.getppid(), signal.SIGALRM)\n    time.sleep(300)\n"
    save = "except KeyboardInterrupt:\n    Path('../saved').touch()\n    raise"
    write_notebook(checkout, "05_internals", DRAW, wait + save)
    done = reproduce.reproduce(["fig3"], {"PRESET": "smoke", "MINUTES": "10"})
    assert [path.stem for path in done] == ["04_depth"] and (checkout / "saved").exists()
    assert files(checkout / "build") == ["smoke/04_depth.ipynb"]
    assert capsys.readouterr().out.splitlines()[-1] == (
        "10 minutes are over, 05_internals did not come to an end; the same command goes on from there"
    )
    assert main(["reproduce", "fig3", "--preset", "smoke", "--minutes", "-1"]) == 2


def test_what_the_papers_size_would_take_is_said_where_no_preset_was_typed(monkeypatch):
    """Ten runs of every as-run cell, from one timed run of an hour: on two cores, with as many layers as it has."""
    timed = []

    def cost(trainings, device, processes):
        timed.extend(trainings)
        return training_cost.Cost(1, 3600.0, 10**9, 0)

    monkeypatch.setattr(training_cost, "cost", cost)
    monkeypatch.setattr(provenance, "usable_cores", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = list(reproduce.header(["fig3", "fig3b"], "laptop"))[-1]
    assert [(config.task, config.depth, len(seeds)) for config, seeds, _ in timed] == [
        ("question", 6, 1),
        ("tense", 4, 1),
    ]
    hours = (30 / 6 + 30 / 4) * 10 / 2
    assert f"10 cells, 100 runs: here about {hours:.0f} hours, 63.1 GB on the disk" in said
    assert "3 cells, 30 runs" in list(reproduce.header(["fig2"], "laptop"))[-1]
    for figures, variable, value in (
        ("fig1", "SEEDS", "42"),
        ("fig3", "SOURCE", "record"),
        ("fig3", "PRESET", "laptop"),
    ):
        monkeypatch.setenv(f"GROKKIT_{variable}", value)
        assert "as-run" not in list(reproduce.header([figures], "laptop"))[-1]
        monkeypatch.delenv(f"GROKKIT_{variable}")


def test_minutes_are_those_of_the_file():
    with open(Path(reproduce.__file__).with_name("minutes.csv"), newline="") as handle:
        rows = {row["target"]: row for row in csv.DictReader(handle)}
    for figure in ("table1", "fig1", "fig2", "fig3", "fig4", "fig5", "all"):
        text = rows[f"reproduce-{figure}"]["laptop"]
        assert reproduce.estimated_minutes(figure, "laptop", False) == (float(text) if text else None)
        for preset, cuda in (("laptop", True), ("smoke", False), ("as-run", True)):
            assert reproduce.estimated_minutes(figure, preset, cuda) is None
