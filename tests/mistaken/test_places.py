"""Kind 7: places are where the user meant them, and the code that runs is the one that is named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mistaken.small import folders_of, refused, run_files, set_options, shown, tiny, train
from synthetic import table as synthetic

import grokkit as gk
from grokkit.cli import main

ROOT = Path(__file__).resolve().parents[2]
NOTHING = ["train", "--preset", "smoke", "--task", "tense", "--depth", "1", "--minutes", "0"]


def elsewhere(**more) -> dict:
    """An environment whose grokkit is this checkout, wherever one stands."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith("GROKKIT_")}
    return plain | {"PYTHONPATH": str(ROOT)} | more


def python(*words: str, cwd=None, **environment) -> str:
    command = [sys.executable, "-P", *words]
    answer = subprocess.run(command, cwd=cwd, env=elsewhere(**environment), capture_output=True, text=True, timeout=100)
    return answer.stdout + answer.stderr


def drawn():
    return gk.figures.fig5(synthetic(tasks=("tense",), depths=(2,), seeds=(1,)), ["tense"])


def test_out_means_where_the_user_stood(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    monkeypatch.chdir(here)
    train(tiny(), [1], "mine", progress=lambda progress: os.chdir(there))
    assert run_files(here / "mine") and not run_files(there)


def test_a_variable_in_a_path_is_its_value(tmp_path, monkeypatch, capsys):
    for name, value in {"MY_DISK": str(tmp_path), "HOME": str(tmp_path), "GROKKIT_RUNS": "$MY_DISK/runs",
                        "GROKKIT_FIGURES": "${MY_DISK}/figures"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    shown(capsys, *NOTHING, "--seeds", "42")
    assert folders_of(tmp_path / "runs/smoke", 42)
    (path, _) = gk.figures.save(drawn(), "laptop", "x")
    assert Path(path) == tmp_path / "figures/local/laptop/x.png"
    for number, out in enumerate(("$MY_DISK", "~")):
        shown(capsys, *NOTHING, "--seeds", "42", "--out", f"{out}/command{number}", *set_options())
        train(tiny(), [43], f"{out}/python{number}", minutes=0)
        assert run_files(tmp_path / f"command{number}") and run_files(tmp_path / f"python{number}")
    assert not [*tmp_path.glob("$*"), *tmp_path.glob("~*")]


def test_a_doubled_sign_is_the_sign_and_nothing_is_read_twice(tmp_path, monkeypatch):
    """Not by a second look in this process, nor by one that is started."""
    monkeypatch.setenv("GROKKIT_RUNS", f"{tmp_path}/$$MY_DISK/runs")
    gk.sweep.run("smoke", "tense", 1, 42, progress=False)
    train(tiny(), [43], f"{tmp_path}/$$MY_DISK/out", minutes=0)
    (run,), (out,) = folders_of(tmp_path / "$MY_DISK/runs", 42), folders_of(tmp_path / "$MY_DISK/out", 43)
    assert run.is_dir() and out.is_dir() and set(gk.results("smoke").seed) == {42}
    script = "import grokkit as gk; print(set(gk.results('smoke').seed))"
    assert python("-c", script, GROKKIT_RUNS=os.environ["GROKKIT_RUNS"]).strip() == "{42}"


@pytest.mark.parametrize("name, source", [("GROKKIT_RUNS", "runs"), ("GROKKIT_FIGURES", "record")])
def test_an_unknown_variable_in_a_path_is_refused(name, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MY_DISK", raising=False)
    monkeypatch.setenv(name, "$MY_DISK/place")
    with pytest.raises(gk.GrokkitError, match="MY_DISK") as caught:
        gk.results("smoke", source=source)
    assert name in str(caught.value) or "not set" in str(caught.value)


def test_many_seeds_have_folders_of_short_names(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    seeds = [str(10**9 + number) for number in range(8)]
    shown(capsys, *NOTHING, "--seeds", *seeds)
    assert all(len(path.name) < 60 for path in tmp_path.rglob("*"))
    cell = ["status", "--preset", "smoke", "--tasks", "tense", "--depths", "1", "--seeds"]
    said = shown(capsys, *cell, seeds[0], seeds[7])
    assert seeds[0] in said and seeds[7] in said


@pytest.mark.parametrize(
    "text, ours",
    [('[project]\nname = "grokkit"\n', True), ("[project]\nname='grokkit' # this one\n", True),
     ('[project]\nname = "my-thesis"\ndependencies = ["grokkit"]\n', False),
     ('[project]\nname = "grokkit-extras"\n', False), ('[tool.ruff]\nextend = "../grokkit/pyproject.toml"\n', False),
     ("# was: name = 'grokkit'\n[project]\nname = 'thesis'\n", False), ("no toml = = grokkit", False)],
)  # fmt: skip
def test_the_repository_is_the_one_whose_pyproject_names_it(text, ours, tmp_path, monkeypatch):
    monkeypatch.delenv("GROKKIT_RUNS")
    (tmp_path / "clone/deep").mkdir(parents=True)
    (tmp_path / "clone/pyproject.toml").write_text(text)
    monkeypatch.chdir(tmp_path / "clone/deep")
    with pytest.raises(gk.GrokkitError) as caught:
        gk.results("smoke", seeds=[987654])
    assert (str(tmp_path / "clone/runs") in str(caught.value)) is ours
    assert ours or str(tmp_path) not in str(caught.value)


# -- which code runs ------------------------------------------------------------------------------------------


def make(folder: Path, home: Path, script: str, *words: str, **environment) -> str:
    """`make` with an active Python that has this grokkit, and does what `script` says where it is not asked with -c."""
    active = home / "env/bin/python"
    active.parent.mkdir(parents=True)
    active.write_text(
        f'#!/bin/sh\nexport PYTHONPATH={ROOT}\ncase "$1" in -c) exec {sys.executable} "$@";; esac\n{script}\n'
    )
    active.chmod(0o755)
    environment = elsewhere(VIRTUAL_ENV=str(home / "env"), **environment)
    command = ["make", "-s", *words, "READY="]
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    return answer.stdout + answer.stderr


@pytest.mark.parametrize("target", ["lab", "reproduce-fig2"])
def test_make_gives_whole_paths_to_what_it_starts(target, tmp_path):
    """A relative place counts from where make was called, for each program that it starts."""
    given = {"GROKKIT_RUNS": "my-runs", "GROKKIT_FIGURES": "my-figures"}
    seen = make(ROOT, tmp_path, "env", target, **given).splitlines()
    assert {f"{name}={ROOT / folder}" for name, folder in given.items()} <= set(seen)


@pytest.fixture
def clone(tmp_path) -> Path:
    """Another checkout."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "grokkit", folder / "grokkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (folder / "notebooks").mkdir()
    return folder


def test_pytest_and_make_run_the_code_of_their_own_checkout(clone, tmp_path):
    """The active environment's grokkit is another checkout."""
    (clone / "tests").mkdir()
    (clone / "tests/test_where.py").write_text(
        f"def test_where():\n    import grokkit\n    assert grokkit.__file__.startswith({str(clone)!r})\n"
    )
    assert "1 passed" in python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_where.py", cwd=clone)
    (clone / "grokkit/__main__.py").write_text("import grokkit\nprint('code:', grokkit.__file__)\n")
    said = make(clone, tmp_path, f'exec {sys.executable} "$@"', "reproduce-fig5", "SOURCE=record")
    assert f"code: {clone}" in said or any(str(clone) in line and str(ROOT) in line for line in said.splitlines()), said


def test_the_command_line_names_both_where_the_checkout_is_another(clone, capsys, finished):
    said = python("-m", "grokkit", "status", "--preset", "smoke", cwd=clone)
    assert [line for line in said.splitlines() if str(clone) in line and str(ROOT) in line], said
    assert main(["status", "--preset", "smoke"]) == 0  # its own
    assert str(ROOT) not in capsys.readouterr().err


# -- all places can be moved ----------------------------------------------------------------------------------


def test_every_place_that_is_written_can_be_moved_and_doctor_shows_it(tmp_path, monkeypatch, capsys):
    """Runs, figures, executed notebooks, downloads."""
    places = {name: tmp_path / name for name in ("GROKKIT_RUNS", "GROKKIT_FIGURES", "GROKKIT_BUILD", "XDG_CACHE_HOME")}
    for name, place in places.items():
        monkeypatch.setenv(name, str(place))
    main(["doctor"])
    said = capsys.readouterr().out
    assert not [name for name, place in places.items() if str(place) not in said]


def test_a_place_that_cannot_be_written_is_named_with_its_variable(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    for name in ("GROKKIT_RUNS", "GROKKIT_FIGURES", "GROKKIT_BUILD"):
        monkeypatch.setenv(name, str(tmp_path / "file/place"))
    with pytest.raises(gk.GrokkitError, match="GROKKIT_RUNS"):
        gk.sweep.run("smoke", ["tense"], [1], [42], progress=False)
    with pytest.raises(gk.GrokkitError, match="GROKKIT_FIGURES|another place"):
        gk.figures.save(drawn(), "laptop", "x")
    assert "GROKKIT_BUILD" in refused(capsys, "reproduce", "run", "--preset", "smoke", "--source", "record")
