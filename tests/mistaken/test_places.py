"""Kind 7: places are where the user meant them, and the code that runs is the one that is named."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from mistaken.small import folders_of, refused, run_files, set_options, shown, tiny, train, what_is_said
from synthetic import table as synthetic

import grokkit as gk
from grokkit.cli import main

ROOT = Path(__file__).resolve().parents[2]
NOTHING = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--minutes", "0"]


@pytest.fixture
def two_folders(tmp_path, monkeypatch):
    """Where the user stands, and another one."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    monkeypatch.chdir(here)
    return here, there


def test_out_means_where_the_user_stood(two_folders):
    here, there = two_folders
    train(tiny(), [1], "mine", progress=lambda progress: os.chdir(there))
    assert run_files(here / "mine") and not run_files(there)


def active_environment(folder: Path, script: str) -> dict[str, str]:
    """An environment with a Python that has this grokkit, and does what `script` says where it is not asked with -c."""
    python = folder / "env/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f'#!/bin/sh\nexport PYTHONPATH={ROOT}\ncase "$1" in -c) exec {sys.executable} "$@";; esac\n{script}\n'
    )
    python.chmod(0o755)
    return elsewhere(VIRTUAL_ENV=str(folder / "env"))


def make(folder: Path, environment: dict, *words: str) -> str:
    command = ["make", "-s", *words, "READY="]
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return answer.stdout + answer.stderr


@pytest.mark.parametrize("target", ["lab", "reproduce-fig2", "doctor"])
def test_make_gives_whole_paths_to_what_it_starts(target, tmp_path):
    """A relative place counts from where make was called, for each program that it starts."""
    given = {"GROKKIT_RUNS": "my-runs", "GROKKIT_FIGURES": "my-figures"}
    seen = make(ROOT, active_environment(tmp_path, "env") | given, target).splitlines()
    for name, folder in given.items():
        assert f"{name}={ROOT / folder}" in seen


def test_a_variable_in_a_path_is_its_value(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MY_DISK", str(tmp_path))
    monkeypatch.setenv("GROKKIT_RUNS", "$MY_DISK/runs")
    monkeypatch.setenv("GROKKIT_FIGURES", "${MY_DISK}/figures")
    monkeypatch.chdir(tmp_path)
    shown(capsys, *NOTHING, "--seeds", "42")
    assert folders_of(tmp_path / "runs/smoke", 42)
    (path, _) = gk.figures.save(
        gk.figures.fig5(synthetic(tasks=("tense",), depths=(2,), seeds=(1,)), ["tense"]), "laptop", "x"
    )
    assert Path(path) == tmp_path / "figures/local/laptop/x.png"
    assert not list(tmp_path.glob("$*"))


@pytest.mark.parametrize("out", ["$MY_DISK/out", "~/out"])
def test_out_is_expanded(out, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MY_DISK", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shown(capsys, *NOTHING, "--seeds", "42", "--out", out, *set_options())
    assert run_files(tmp_path / "out")
    train(tiny(), [43], out.replace("out", "out2"), minutes=0)
    assert run_files(tmp_path / "out2")


def test_a_doubled_sign_is_the_sign_and_nothing_is_read_twice(tmp_path, monkeypatch):
    """Not by a second look in this process, nor by one that is started."""
    monkeypatch.setenv("GROKKIT_RUNS", f"{tmp_path}/$$MY_DISK/runs")
    gk.sweep.run("smoke", "tense", 1, 42, progress=False)
    train(tiny(), [43], f"{tmp_path}/$$MY_DISK/out", minutes=0)
    (run,), (out,) = folders_of(tmp_path / "$MY_DISK/runs", 42), folders_of(tmp_path / "$MY_DISK/out", 43)
    assert run.is_dir() and out.is_dir() and set(gk.results("smoke").seed) == {42}
    script = "import grokkit as gk; print(set(gk.results('smoke').seed))"
    answer = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT)},
                            capture_output=True, text=True, timeout=60)  # fmt: skip
    assert answer.stdout.strip() == "{42}", answer.stderr[-500:]


@pytest.mark.parametrize("given", ["", " ", "a\0b", 3, ["out"]])
def test_what_is_no_path_is_refused(given):
    with pytest.raises(gk.GrokkitError, match="out = "):
        train(tiny(), [1], given)


@pytest.mark.parametrize("name", ["GROKKIT_RUNS", "GROKKIT_FIGURES"])
def test_an_unknown_variable_in_a_path_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MY_DISK", raising=False)
    monkeypatch.setenv(name, "$MY_DISK/place")
    with pytest.raises(gk.GrokkitError, match="MY_DISK") as caught:
        gk.results("smoke", source="runs" if name == "GROKKIT_RUNS" else "record")
    assert name in str(caught.value) or "not set" in str(caught.value)


def test_sixty_seeds_have_folders(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    seeds = [str(10**9 + number) for number in range(60)]
    shown(capsys, *NOTHING, "--seeds", *seeds)
    assert all(len(path.name) < 60 for path in tmp_path.rglob("*"))
    said = shown(
        capsys, "status", "--preset", "smoke", "--tasks", "tense", "--depths", "1", "--seeds", seeds[0], seeds[59]
    )
    assert seeds[0] in said and seeds[59] in said


def project(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)
    return folder


@pytest.mark.parametrize(
    "text",
    ['[project]\nname = "my-thesis"\ndependencies = ["grokkit"]\n', '[project]\nname = "grokkit-extras"\n',
     '[tool.ruff]\nextend = "../grokkit/pyproject.toml"\n', "# was: name = 'grokkit'\n[project]\nname = 'thesis'\n",
     "no toml = = grokkit"],
)  # fmt: skip
def test_a_project_that_only_mentions_grokkit_is_not_its_repository(text, tmp_path, monkeypatch):
    monkeypatch.delenv("GROKKIT_RUNS")
    monkeypatch.chdir(project(tmp_path / "thesis", text))
    with pytest.raises(gk.GrokkitError) as caught:
        gk.results("smoke", seeds=[987654])
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("text", ['[project]\nname = "grokkit"\n', "[project]\nname='grokkit' # this one\n"])
def test_the_repository_is_the_one_whose_pyproject_names_it(text, tmp_path, monkeypatch):
    monkeypatch.delenv("GROKKIT_RUNS")
    folder = project(tmp_path / "clone", text)
    (folder / "deep").mkdir()
    monkeypatch.chdir(folder / "deep")
    with pytest.raises(gk.GrokkitError) as caught:
        gk.results("smoke", seeds=[987654])
    assert str(folder / "runs") in str(caught.value)


# -- which code runs -----------------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path) -> Path:
    """Another checkout, with a package that only says where it is."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "grokkit", folder / "grokkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / "notebooks").mkdir()
    return folder


def elsewhere(**more) -> dict:
    """An environment whose grokkit is this checkout, wherever one stands."""
    return (
        {name: text for name, text in os.environ.items() if not name.startswith("GROKKIT_")}
        | {"PYTHONPATH": str(ROOT)}
        | more
    )


def test_pytest_tests_the_code_of_its_own_checkout(clone):
    (clone / "tests").mkdir()
    (clone / "tests/test_where.py").write_text(
        f"def test_where():\n    import grokkit\n    assert grokkit.__file__.startswith({str(clone)!r})\n"
    )
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_where.py"]
    answer = subprocess.run(command, cwd=clone, env=elsewhere(), capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stdout[-2000:]


def test_make_runs_the_code_of_its_own_checkout_or_names_both(clone, tmp_path):
    """The active environment's grokkit is another checkout."""
    (clone / "grokkit/__main__.py").write_text("import grokkit\nprint('code:', grokkit.__file__)\n")
    environment = active_environment(tmp_path, f'exec {sys.executable} "$@"')
    said = make(clone, environment, "reproduce-fig5", "SOURCE=record")
    assert f"code: {clone}" in said or any(str(clone) in line and str(ROOT) in line for line in said.splitlines()), said


def test_the_command_line_names_both_where_the_checkout_is_another(clone):
    command = [sys.executable, "-P", "-m", "grokkit", "status", "--preset", "smoke"]
    answer = subprocess.run(command, cwd=clone, env=elsewhere(), capture_output=True, text=True, timeout=60)
    lines = [line for line in (answer.stdout + answer.stderr).splitlines() if str(clone) in line and str(ROOT) in line]
    assert lines, answer.stdout + answer.stderr


def test_the_command_line_says_nothing_of_its_own_checkout(capsys, finished):
    assert main(["status", "--preset", "smoke"]) == 0
    assert str(ROOT) not in capsys.readouterr().err


# -- all places can be moved ---------------------------------------------------------------------------------


def test_every_place_that_is_written_can_be_moved_and_doctor_shows_it(tmp_path, monkeypatch, capsys):
    """Runs, figures, executed notebooks, downloads."""
    places = {
        name: tmp_path / name.lower() for name in ("GROKKIT_RUNS", "GROKKIT_FIGURES", "GROKKIT_BUILD", "XDG_CACHE_HOME")
    }
    for name, place in places.items():
        monkeypatch.setenv(name, str(place))
    main(["doctor"])
    said = capsys.readouterr().out
    assert not [name for name, place in places.items() if str(place) not in said]


def test_executed_notebooks_go_where_build_was_moved(tmp_path, monkeypatch, capsys):
    """A place that cannot be made is named with its variable, before anything runs."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GROKKIT_BUILD", str(tmp_path / "file/build"))
    assert "GROKKIT_BUILD" in refused(capsys, "reproduce", "run", "--preset", "smoke", "--source", "record")


def test_a_place_that_cannot_be_written_is_named_with_its_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / "file/runs"))
    with pytest.raises(gk.GrokkitError, match="GROKKIT_RUNS"):
        gk.sweep.run("smoke", ["tense"], [1], [42], progress=False)
    monkeypatch.setenv("GROKKIT_FIGURES", str(tmp_path / "file/figures"))
    with matplotlib.rc_context():
        said = what_is_said(
            lambda: gk.figures.save(
                gk.figures.fig5(synthetic(tasks=("tense",), depths=(2,), seeds=(1,)), ["tense"]), "laptop", "x"
            )
        )
    assert re.search("GROKKIT_FIGURES|another place", said)
