"""Where the reference material (official splits, published curves) lies, if it is at hand."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("GROKKIT_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def shared_path(name: str) -> Path:
    """The path of a reference file; skips the calling test where it does not exist."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"reference file {name} is not at hand: set GROKKIT_SHARED to the folder that holds it")
    return path
