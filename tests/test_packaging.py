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


def test_the_lock_pins_one_version_of_each_package_and_satisfies_pyproject():
    names = [canonical(requirement.name) for requirement in LOCK]
    assert names == sorted(set(names))
    for requirement in LOCK:
        assert re.fullmatch(r"==\d+(\.\d+)*(\.post\d+)?", str(requirement.specifier)), requirement
    for requirement in [*DIRECT, *map(Requirement, EXTRAS["ray"])]:
        assert LOCKED[canonical(requirement.name)] in requirement.specifier, requirement
    assert PROJECT["requires-python"] == ">=3.11"


def test_the_lock_is_complete_and_has_nothing_else():
    """By the metadata of what is installed, where that is the lock: other versions may need others."""
    there = {canonical(found.metadata["Name"]): found.version.split("+")[0] for found in distributions()}
    if any(there[name] != LOCKED[name] for name in set(there) & set(LOCKED)):
        pytest.skip("the environment is not the one that the lock describes")
    cuda_build = {"cuda-bindings", "cuda-pathfinder", "nvidia-nvjitlink"}  # what torch itself does not pin
    of_ray = {"ray", "msgpack", "protobuf"}  # which need not be installed
    reached = reachable(DIRECT)
    assert not [name for name in reached - set(LOCKED) if not name.startswith(("nvidia-", "cuda-", "triton"))]
    assert set(LOCKED) - reached <= cuda_build | of_ray | {"setuptools"}  # torch needs it from Python 3.12 on


def reachable(requirements: list[Requirement]) -> set[str]:
    """Names of the packages that the requirements bring in here, by the metadata of what is installed."""
    seen: set[tuple[str, str]] = set()
    waiting = [(canonical(found.name), extra) for found in requirements for extra in ("", *found.extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) not in seen:
            seen.add((name, extra))
            for found in map(Requirement, distribution(name).requires or ()):
                if found.marker is None or found.marker.evaluate({"extra": extra}):
                    waiting += [(canonical(found.name), more) for more in ("", *found.extras)]
    return {name for name, _ in seen}


def test_environment_yml_agrees_with_the_lock():
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = content["dependencies"]
    assert content["name"] == "grokkit" and {"python=3.11", "pip", "make", "git"} == set(conda)
    assert pip == {"pip": ["-c constraints.txt", f"torch=={LOCKED['torch']}", "-e .[notebooks,test]"]}


def test_every_import_is_declared():
    """Core dependencies only, except in a slider and in what runs notebooks or Ray, which nothing else loads."""
    core = {canonical(Requirement(text).name) for text in PROJECT["dependencies"]} | {"grokkit"}
    extra = {name: {canonical(Requirement(text).name) for text in some} for name, some in EXTRAS.items()}
    of = dict.fromkeys(("notebooks", "render", "ask"), "notebooks") | dict.fromkeys(("on_ray", "shared"), "ray")
    for path in sorted((ROOT / "grokkit").rglob("*.py")):
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            names |= {node.module} if isinstance(node, ast.ImportFrom) else set()
        packages = {name.split(".")[0] for name in names} - sys.stdlib_module_names
        packages = {{"PIL": "pillow"}.get(name, canonical(name)) for name in packages}
        assert packages <= core | extra.get(of.get(path.stem, ""), set()), path


def python(*lines: str, arguments: tuple[str, ...] = ()) -> list[str]:
    """The lines that a program prints in a new process."""
    command = [sys.executable, "-c", "\n".join(lines), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_import_needs_no_extra():
    said = python(
        "import sys",
        "class Absent:",
        "    def find_spec(self, name, path=None, target=None):",
        "        if name.split('.')[0] in sys.argv[1].split(): raise ModuleNotFoundError(name, name=name)",
        "sys.meta_path.insert(0, Absent())",
        "import grokkit, grokkit.cli, grokkit.commands.doctor, grokkit.figures, grokkit.commands.reproduce",
        "import grokkit.ask",
        "from grokkit.errors import GrokkitError",
        "try: grokkit.reproduce.check_names(['01_data'], {})",
        "except GrokkitError as error: print(error)",
        arguments=(
            "papermill jupyter jupyterlab jupyter_client nbval nbclient nbformat ipykernel IPython ipywidgets "
            "traitlets pytest hypothesis",
        ),
    )
    assert "is not installed: pip install" in said[0]


def test_import_is_light():
    """What takes long to import and is not needed for training; counted, not timed."""
    said = python(
        "import sys, grokkit as gk",
        "print('torch' in sys.modules, gk.TransformerStack.__name__, 'torch' in sys.modules)",
        "heavy = 'matplotlib seaborn scipy IPython sympy torch._dynamo torch._inductor'",
        "print(sorted(set(heavy.split()) & set(sys.modules)))",
        "assert 'figures' in dir(gk) and gk.figures.fig1 and gk.figures is sys.modules['grokkit.figures']",
        "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)",
    )
    assert said == ["False TransformerStack True", "[]", "True False"]


def test_licence_and_gate():
    assert PROJECT["license"] == "MIT" and "The grokkit authors" in (ROOT / "LICENSE").read_text()
    gate = ROOT / ".ci" / "run"
    assert "make test" in gate.read_text() and gate.stat().st_mode & stat.S_IXUSR
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# -- the Makefile -----------------------------------------------------------------------------------------

PRETENDER = """#!/bin/sh
# Pretends to be a Python: makes environments that are copies of itself, writes down what pip is asked for.
case "$*" in
  *find_spec*) exit {has_grokkit} ;;
  *urllib*) exit ${{NO_INDEX:-1}} ;;
  *torch.cuda*) exit ${{NO_CUDA:-1}} ;;
  *version_info*) exit {too_old} ;;
  --version) echo "Python 3.x, pretended" ;;
  "-m venv --clear "*) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  "-m pip install"*) echo "$*" >> "$LOG"; exit {pip} ;;
  *grokkit*) echo "$0" "$@" ;;
esac
"""


class Clone:
    """A copy of what the Makefile needs, and a PATH on which python3.12 alone, a pretender, is new enough."""

    def __init__(self, folder: Path):
        self.folder, self.bin, self.log = folder / "clone", folder / "bin", folder / "pip.log"
        for name in ("Makefile", "constraints.txt", "pyproject.toml", "grokkit/commands/minutes.csv"):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.folder / name)
        for version in ("", "3", "3.11", "3.12", "3.13", "3.14"):
            self.python(self.bin / f"python{version}", too_old=version != "3.12")

    def python(self, path: Path, has_grokkit=False, too_old=False, pip_fails=False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PRETENDER.format(has_grokkit=int(not has_grokkit), too_old=int(too_old), pip=int(pip_fails)))
        path.chmod(0o755)

    def make(self, *arguments: str, code: int = 0, **environment: str) -> str:
        others = ("MAKE", "MFLAGS", "VIRTUAL_ENV", "CONDA", "COLAB")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        kept |= {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "LOG": str(self.log)}
        command = ["make", "-C", str(self.folder), "--no-print-directory", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, env=kept | environment)
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
    targets |= {name for name in re.search(r"\.PHONY: (.*)", makefile)[1].split() if name.isidentifier()}
    for target in targets - {"help", "moved"}:
        assert re.search(rf"^  {target}\s", text, re.MULTILINE), target
    with open(ROOT / "grokkit" / "commands" / "minutes.csv", newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            line = next(line for line in text.splitlines() if line.startswith(f"  {row['target']} "))
            assert row["laptop"] == "" or f" {row['laptop']} min" in line
            assert line.endswith(row["shows"])
    assert not clone.installs()


def test_the_lock_is_installed_once_when_it_changed_when_that_failed_and_after_a_move(clone, tmp_path):
    command = ".venv/bin/python -P -m grokkit doctor"
    assert clone.make("doctor").endswith(f"{command}\n")
    assert clone.installs() == [
        "-m pip install --quiet --disable-pip-version-check -c constraints.txt -e .[notebooks,test]"
    ]
    assert clone.make("doctor").splitlines() == [command] and len(clone.installs()) == 1
    os.utime(clone.folder / "constraints.txt", (2e9, 2e9))
    clone.python(clone.folder / ".venv/bin/python", pip_fails=True)
    clone.make("setup", code=2)
    clone.make("setup", code=2)
    clone.python(clone.folder / ".venv/bin/python")
    clone.make("setup")
    assert len(clone.installs()) == 4
    clone.folder = clone.folder.rename(tmp_path / "elsewhere")
    (clone.folder / ".venv" / "mark").touch()
    clone.make("setup")
    assert len(clone.installs()) == 5 and not (clone.folder / ".venv" / "mark").exists()


def test_jax_goes_into_an_environment_of_its_own(clone):
    clone.make("bench-peers")
    _, jax = clone.installs()
    assert jax.endswith("-c constraints.txt -r docs/bench_peers.txt")
    assert (clone.folder / ".venv-peers").is_dir() and not (clone.folder / ".venv").exists()


@pytest.mark.parametrize("cuda", [True, False])
def test_a_gpu_is_seen_by_nvidia_smi_and_asked_for_when_torch_is_there(clone, cuda):
    """As on WSL2 and in containers, without /proc/driver/nvidia: no CPU build, and a word if torch cannot use it."""
    clone.python(clone.bin / "nvidia-smi")
    said = clone.make("setup", NO_INDEX="0", NO_CUDA=str(int(not cuda)))
    assert "extra-index-url" not in clone.installs()[0]
    assert ("cannot use it" in said) == (not cuda)


def test_a_typed_index_of_torch_is_honoured(clone):
    clone.python(clone.bin / "nvidia-smi")
    clone.make("setup", "TORCH_INDEX=https://example.org/cu126", NO_INDEX="0", NO_CUDA="0")
    (line,) = clone.installs()
    assert "--extra-index-url https://example.org/cu126 -c .venv/constraints.txt" in line
    left = (clone.folder / ".venv/constraints.txt").read_text().splitlines()
    assert "torch==2.13.0" in left and not [text for text in left if text.startswith(("cuda-", "nvidia-"))]


def test_no_python_that_is_new_enough_is_said_clearly(clone):
    clone.python(clone.bin / "python3.12", too_old=True)
    assert "Found no Python 3.11 or newer" in clone.make("reproduce-fig3", code=2)
    assert "python3.11 is not Python 3.11 or newer" in clone.make("test", "PYTHON=python3.11", code=2)
    assert not clone.installs() and not (clone.folder / ".venv").exists()


@pytest.mark.parametrize(
    "variable, has_grokkit", [("VIRTUAL_ENV", True), ("CONDA_PREFIX", True), ("VIRTUAL_ENV", False)]
)
def test_an_active_environment_is_used_as_it_is_if_it_has_grokkit(variable, has_grokkit, clone, tmp_path):
    clone.python(tmp_path / "env/bin/python", has_grokkit)
    said = clone.make("doctor", **{variable: str(tmp_path / "env")}).splitlines()[-1]
    assert said == f"{tmp_path / 'env' if has_grokkit else '.venv'}/bin/python -P -m grokkit doctor"
    assert len(clone.installs()) == (clone.folder / ".venv").exists() == (not has_grokkit)


def test_parameters_reach_the_notebooks_with_their_typing_errors(clone):
    clone.make("setup")
    said = clone.make("reproduce-fig3", "PRESET=smoke", "SEEDS=42 52", "DEPHTS=2", "WORKERS=1").split()
    assert said[1:] == "-P -m grokkit reproduce fig3 -p DEPHTS 2 -p PRESET smoke -p SEEDS 42 52".split()
    said = clone.make("reproduce-all", "SOURCE=it's; echo no", PRESET="laptop").strip()
    assert said.endswith("-P -m grokkit reproduce all -p PRESET laptop -p SOURCE it's; echo no")
    assert "fig6" in clone.make("reproduce-fig6", code=2)


def test_clean_leaves_what_was_measured(clone):
    kept = ["runs/laptop/x", "figures/laptop/fig2.png", ".venv/x", "notebooks/01.ipynb", "grokkit/a.py", "tests/a.py"]
    gone = ["build/a.ipynb", "grokkit/__pycache__/a.pyc", "notebooks/.ipynb_checkpoints/x", ".hypothesis/x"]
    for name in (*kept, *gone):
        (clone.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (clone.folder / name).touch()
    clone.make("clean")
    assert [name for name in (*kept, *gone) if (clone.folder / name).exists()] == kept
