"""Form, spelling and import rules of the whole tree, by the tools that hold them (pyproject.toml)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINT_IMPORTS = "from importlinter.cli import lint_imports_command as command; command(['--no-cache', '--no-logo'])"


@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "ruff", "format", "--check", "--no-cache"),
        ("-m", "ruff", "check", "--no-cache", "--quiet"),
        ("-m", "codespell_lib", "conftest.py", "grokkit", "tests", "notebooks", "docs", ".github"),
        ("-c", LINT_IMPORTS),
    ],
    ids=["format", "rules", "spelling", "imports"],
)
def test_the_tree_keeps_to_its_habits(arguments):
    found = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
