"""Form, spelling and import rules of the whole tree, by the tools that hold them (pyproject.toml); and no long ones."""

import ast
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


def test_no_file_is_over_300_lines_and_no_function_over_60():
    found = []
    for path in [ROOT / "conftest.py", *(ROOT / "grokkit").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        if (lines := text.count("\n")) > 300:
            found.append(f"{path}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 60:
                found.append(f"{path}:{node.lineno}: {node.name}, {node.end_lineno - node.lineno + 1} lines")
    assert not found
