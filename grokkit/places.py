"""Places on the disk as people name them: ~ and variables are what they stand for, a relative one counts from here.

That is asked once, where the name is typed: what comes out is a `Place`, whose signs mean nothing but themselves.
"""

import os
import re
import tomllib
from pathlib import Path

from grokkit.errors import GrokkitError

CODE = Path(__file__).resolve().parents[1]
"""The folder of the package that runs: a checkout, or where pip has put it."""
_VARIABLE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


class Place(type(Path())):  # type: ignore[misc]  # the kind of paths that this system has
    """A whole path that is what it says; so are those that are made from it."""


def place(given: str | Path, name: str = "the path") -> Path:
    """The whole path that `given` means where the user stands now. name: what it is called, for the message.

    A `$$` stands for the sign itself. Raises GrokkitError for what is no path, for a variable that is not set, and for
    the home of a user who is not there.
    """
    if isinstance(given, Place):
        return given
    if not isinstance(given, (str, Path)) or not str(given).strip() or "\0" in str(given):
        raise GrokkitError(f"{name} = {given!r}: name a file or a folder")

    def value(found: re.Match) -> str:
        variable = found[2] or found[3]
        if variable and variable not in os.environ:
            raise GrokkitError(f"{name} = {given}: the variable {variable} is not set")
        return os.environ[variable] if variable else "$"

    try:
        return Place(os.path.abspath(Path(_VARIABLE.sub(value, str(given))).expanduser()))
    except RuntimeError as error:
        raise GrokkitError(f"{name} = {given}: {error}") from error


def read_bytes(path: Path) -> bytes:
    """The content of a file; raises GrokkitError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise GrokkitError(f"cannot read {path}: {error.strerror or error}") from error


def root(variable: str, default: str) -> Path:
    """The folder that an environment variable names, else `default` in the checkout.

    Once read the variable holds the whole path: it means the same after a chdir, and in processes that are started.
    """
    if given := os.environ.get(variable):
        found = place(given, variable)
        os.environ[variable] = str(found).replace("$", "$$")
        return found
    return Place(repository_root() / default)


def repository_root() -> Path:
    """The checkout of grokkit: the nearest folder upwards whose pyproject.toml names it, else the current folder.

    Notebooks run in notebooks/, the command line anywhere; an editable install finds its checkout from outside too.
    """
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents, CODE) if _names_grokkit(folder)), here)


def _names_grokkit(folder: Path) -> bool:
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        return project["project"]["name"] == "grokkit"
    except (OSError, ValueError, LookupError, TypeError):
        return False


def other_code() -> str | None:
    """A line that names both, where the code that runs is not that of the checkout one stands in; else None."""
    checkout = repository_root()
    if checkout == CODE or not (checkout / "grokkit/__init__.py").is_file():
        return None
    return f"the code that runs is {CODE}, not that of the checkout {checkout}, whose changes have no effect"
