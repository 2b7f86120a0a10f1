"""Set-up: the lock, environment.yml, what is imported, and the Makefile with a Python that only pretends."""

import ast
import csv
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = [Requirement(text) for text in (*PROJECT["dependencies"], *EXTRAS["notebooks"], *EXTRAS["test"])]
LOCK = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
LOCKED = {
    canonical(requirement.name): str(requirement.specifier).removeprefix("==")
    for requirement in LOCK
    if requirement.marker is None or requirement.marker.evaluate()
}
"""Name -> version of the lock's packages that belong to this platform and Python."""


def test_the_lock_pins_one_version_of_each_package():
    names = [canonical(requirement.name) for requirement in LOCK]
    assert names == sorted(set(names))
    for requirement in LOCK:
        assert re.fullmatch(r"==\d+(\.\d+)*(\.post\d+)?", str(requirement.specifier)), requirement
    assert LOCKED["torch"] == "2.13.0"


def test_the_lock_satisfies_pyproject():
    for requirement in DIRECT:
        assert LOCKED[canonical(requirement.name)] in requirement.specifier, requirement
    assert "torch>=2.6" in PROJECT["dependencies"]
    assert PROJECT["requires-python"] == ">=3.11"


def test_the_lock_is_complete_and_has_nothing_else():
    """By the metadata of what is installed, where that is the lock: other versions may need others."""
    there = {canonical(found.metadata["Name"]): found.version.split("+")[0] for found in distributions()}
    if any(there[name] != LOCKED[name] for name in set(there) & set(LOCKED)):
        pytest.skip("the environment is not the one that the lock describes")
    cuda_build = {"cuda-bindings", "cuda-pathfinder", "nvidia-nvjitlink"}  # what torch itself does not pin
    reached = reachable(DIRECT)
    assert not [name for name in reached - set(LOCKED) if not name.startswith(("nvidia-", "cuda-", "triton"))]
    assert set(LOCKED) - reached <= cuda_build | {"setuptools"}  # torch needs it from Python 3.12 on


def reachable(requirements: list[Requirement]) -> set[str]:
    """Names of the packages that the requirements bring in here, by the metadata of what is installed."""
    seen: dict[str, set[str]] = {}
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        name = canonical(requirement.name)
        if name in seen and requirement.extras <= seen[name]:
            continue
        seen.setdefault(name, set()).update(requirement.extras)
        for text in distribution(name).requires or ():
            found = Requirement(text)
            if found.marker is None or any(found.marker.evaluate({"extra": extra}) for extra in ("", *seen[name])):
                waiting.append(found)
    return set(seen)


def test_environment_yml_agrees_with_the_lock():
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    assert content["name"] == "grokkit" and {"pip", "make", "git"} <= set(conda)
    (python,) = [entry for entry in conda if entry.startswith("python=")]
    assert Requirement(python.replace("=", "==", 1)).specifier.contains("3.11")
    assert "-c constraints.txt" in pip and "-e .[notebooks,test]" in pip
    pinned = [Requirement(entry) for entry in pip if not entry.startswith("-")]
    assert [requirement.name for requirement in pinned].count("torch") == 1
    assert not any("torch" in entry for entry in conda)
    for requirement in pinned:
        assert str(requirement.specifier) == f"=={LOCKED[canonical(requirement.name)]}"


def test_every_import_is_declared():
    """Core dependencies only, except in what runs notebooks, which `import grokkit` does not load."""
    core = {canonical(Requirement(text).name) for text in PROJECT["dependencies"]}
    allowed = core | {"grokkit"}
    declared = {canonical(Requirement(text).name) for text in EXTRAS["notebooks"]}
    notebooks = declared - {"beautifulsoup4"} | {"bs4"}  # the one whose module has another name
    for path in sorted((ROOT / "grokkit").rglob("*.py")):
        extra = notebooks if path.name == "reproduce.py" else set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                names = [node.module]
            else:
                continue
            for name in (name.split(".")[0] for name in names):
                known = name in sys.stdlib_module_names or canonical(name) in allowed | extra
                assert known, f"{path.relative_to(ROOT)} imports {name}, which pyproject.toml does not name"


def test_import_needs_no_extra():
    script = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in sys.argv[1].split(): raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import grokkit, grokkit.cli, grokkit.commands.doctor, grokkit.figures, grokkit.commands.reproduce\n"
        "from grokkit.errors import GrokkitError\n"
        "try: grokkit.reproduce.check_names(['01_data'], {})\n"
        "except GrokkitError as error: print(error)\n"
    )
    absent = (
        "papermill jupyter jupyterlab jupyter_client nbval nbclient nbformat ipykernel IPython "
        "ipywidgets traitlets bs4 pytest hypothesis scipy"
    )
    result = subprocess.run([sys.executable, "-c", script, absent], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert "is not installed: pip install" in result.stdout


def test_import_is_light():
    """What takes long to import and is not needed for training; counted, not timed."""
    script = (
        "import sys, grokkit as gk\n"
        "heavy = 'matplotlib seaborn scipy IPython sympy torch._dynamo torch._inductor'\n"
        "print(sorted(set(heavy.split()) & set(sys.modules)))\n"
        "assert 'figures' in dir(gk) and gk.figures.fig1 and gk.figures is sys.modules['grokkit.figures']\n"
        "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:2] == ["[]", "True False"]


def test_licence_and_gate():
    assert PROJECT["license"] == "MIT" and "The grokkit authors" in (ROOT / "LICENSE").read_text()
    gate = ROOT / ".ci" / "run"
    assert "make test" in gate.read_text() and gate.stat().st_mode & stat.S_IXUSR


# -- the Makefile -----------------------------------------------------------------------------------------

PRETENDER = """#!/bin/sh
# Pretends to be a Python: makes environments that are copies of itself, writes down what pip is asked for.
case "$*" in
  *find_spec*) exit {has_grokkit} ;;
  *urllib*) exit 1 ;;
  *version_info*) exit {too_old} ;;
  --version) echo "Python 3.x, pretended" ;;
  "-m venv --clear "*) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  "-m pip install"*) echo "$*" >> "$LOG"; exit {pip} ;;
  *grokkit*) echo "$0" "$@" ;;
esac
"""


class Clone:
    """A copy of what the Makefile needs, and a PATH on which python3 is a pretender."""

    def __init__(self, folder: Path):
        self.folder, self.bin, self.log = folder / "clone", folder / "bin", folder / "pip.log"
        self.folder.mkdir()
        for name in ("Makefile", "constraints.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, self.folder)
        (self.folder / "grokkit" / "commands").mkdir(parents=True)
        shutil.copy(ROOT / "grokkit" / "commands" / "minutes.csv", self.folder / "grokkit" / "commands")
        self.bin.mkdir()
        for version in ("", "3", "3.11", "3.12", "3.13", "3.14"):
            self.python(self.bin / f"python{version}", too_old=version != "3.12")

    def python(self, path: Path, has_grokkit=False, too_old=False, pip_fails=False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        codes = {"has_grokkit": int(not has_grokkit), "too_old": int(too_old), "pip": int(pip_fails)}
        path.write_text(PRETENDER.format(**codes))
        path.chmod(0o755)

    def make(self, *arguments: str, code: int = 0, **environment: str) -> str:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MAKE", "MFLAGS", "VIRTUAL_ENV", "CONDA", "COLAB"))
        }
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        result = subprocess.run(
            ["make", "-C", str(self.folder), "--no-print-directory", *arguments],
            capture_output=True,
            text=True,
            env=kept | {"PATH": path, "LOG": str(self.log)} | environment,
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    def installs(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def clone(tmp_path):
    if shutil.which("make") is None:
        pytest.skip("make is not there")
    return Clone(tmp_path)


def test_help_is_the_default_and_lists_every_target(clone):
    text = clone.make()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {f"reproduce-{name}" for name in re.search(r"FIGURES := (.*)", makefile)[1].split()}
    targets |= {"test", "test-faults", "bench", "doctor", "clean", "lab"}
    with open(ROOT / "grokkit" / "commands" / "minutes.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["target"] for row in rows} <= targets
    for target in targets:
        assert re.search(rf"^  {target}\s", text, re.MULTILINE), target
    for row in rows:
        line = next(line for line in text.splitlines() if line.startswith(f"  {row['target']} "))
        for preset in ("laptop", "as-run"):
            assert row[preset] == "" or f" {row[preset]} min" in line
        assert line.endswith(row["shows"])
    assert not clone.installs()


def test_the_first_target_installs_the_lock_and_the_second_nothing(clone):
    first = clone.make("doctor")
    assert clone.installs() == [
        "-m pip install --quiet --disable-pip-version-check -c constraints.txt -e .[notebooks,test]"
    ]
    assert first.endswith(".venv/bin/python -P -m grokkit doctor\n")
    assert clone.make("doctor").splitlines() == [".venv/bin/python -P -m grokkit doctor"]
    assert len(clone.installs()) == 1


def test_a_changed_lock_is_installed_and_a_failed_installation_repeated(clone):
    clone.make("setup")
    os.utime(clone.folder / "constraints.txt", (2e9, 2e9))
    clone.python(clone.folder / ".venv/bin/python", pip_fails=True)
    clone.make("setup", code=2)
    clone.make("setup", code=2)
    clone.python(clone.folder / ".venv/bin/python")
    clone.make("setup")
    assert len(clone.installs()) == 4


def test_a_moved_folder_gets_a_new_environment(clone, tmp_path):
    clone.make("setup")
    clone.folder = clone.folder.rename(tmp_path / "elsewhere")
    (clone.folder / ".venv" / "mark").touch()
    clone.make("setup")
    assert len(clone.installs()) == 2 and not (clone.folder / ".venv" / "mark").exists()


def test_no_python_that_is_new_enough_is_said_clearly(clone):
    clone.python(clone.bin / "python3.12", too_old=True)
    assert "Found no Python 3.11 or newer" in clone.make("reproduce-fig3", code=2)
    assert "python3.11 is not Python 3.11 or newer" in clone.make("test", "PYTHON=python3.11", code=2)
    assert not clone.installs() and not (clone.folder / ".venv").exists()


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_an_active_environment_with_grokkit_is_used_as_it_is(variable, clone, tmp_path):
    clone.python(tmp_path / "env/bin/python", has_grokkit=True)
    said = clone.make("doctor", **{variable: str(tmp_path / "env")})
    assert said == f"{tmp_path}/env/bin/python -P -m grokkit doctor\n"
    assert not clone.installs() and not (clone.folder / ".venv").exists()


def test_an_active_environment_without_grokkit_is_left_alone(clone, tmp_path):
    clone.python(tmp_path / "env/bin/python")
    said = clone.make("doctor", VIRTUAL_ENV=str(tmp_path / "env"))
    assert said.endswith(".venv/bin/python -P -m grokkit doctor\n") and len(clone.installs()) == 1


def test_parameters_reach_the_notebooks_with_their_typing_errors(clone):
    clone.make("setup")
    said = clone.make("reproduce-fig3", "PRESET=smoke", "SEEDS=42 52", "DEPHTS=2", "WORKERS=1").split()
    assert said[1:] == "-P -m grokkit reproduce fig3 -p DEPHTS 2 -p PRESET smoke -p SEEDS 42 52".split()
    said = clone.make("reproduce-all", "SOURCE=it's; echo no", PRESET="laptop").strip()
    assert said.endswith("-P -m grokkit reproduce all -p PRESET laptop -p SOURCE it's; echo no")
    assert "fig6" in clone.make("reproduce-fig6", code=2)


def test_clean_leaves_what_was_measured(clone):
    kept = ["runs/laptop/x", "figures/laptop/fig2.png", ".venv/x", "notebooks/01.ipynb", "grokkit/a.py"]
    gone = ["build/a.ipynb", "grokkit/__pycache__/a.pyc", "notebooks/.ipynb_checkpoints/x", ".hypothesis/x"]
    for name in (*kept, *gone):
        (clone.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (clone.folder / name).touch()
    (clone.folder / "tests").mkdir()
    clone.make("clean")
    assert all((clone.folder / name).exists() for name in kept)
    assert not any((clone.folder / name).exists() for name in gone)
