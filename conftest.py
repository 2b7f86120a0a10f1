"""What all of pytest shares: tests, examples in docstrings, notebooks. No settings of the user, one thread.

Every test has its own runs/ and figures/. Notebooks run from a copy of the committed record, and print what they have
printed when they were committed.
"""

import atexit
import os
import shutil
import signal
import tempfile
from importlib.util import find_spec
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; tests run side by side
for _name in [name for name in os.environ if name.startswith("GROKKIT_") and name != "GROKKIT_SHARED"]:
    del os.environ[_name]
_folder = tempfile.mkdtemp(prefix="grokkit-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
_here = Path(__file__).parent / "figures"
shutil.copytree(_here, f"{_folder}/figures", ignore=shutil.ignore_patterns("local", "*.png", "*.pdf"))
_SHOWN = {"GROKKIT_PRESET": "laptop", "GROKKIT_SOURCE": "record"}
_PLACES = {"GROKKIT_RUNS": f"{_folder}/runs", "GROKKIT_FIGURES": f"{_folder}/figures"}
os.environ.update(_SHOWN | _PLACES)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job that a script has put into the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # programs that tests start inherit it

collect_ignore = [] if find_spec("jax") else ["tests/peers_jax.py"]  # of `make bench-peers` alone

import hypothesis  # noqa: E402
import pytest  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

# Annotations, shapes among them, are checked at every call, but for linear and dropout: a step calls them too often,
# and torch compiles dropout. An int passes for a float.
_CHECKED = [f"grokkit.model.{name}" for name in ("attention", "packing", "parameters", "prefix_trie", "transformer")]
_CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook([*_CHECKED, "grokkit.trees"], _CHECKER)  # before they are imported

# The same examples on every machine, and no failure because a machine is busy.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("kit")
    for name in _SHOWN:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GROKKIT_RUNS", str(folder / "runs"))
    monkeypatch.setenv("GROKKIT_FIGURES", str(folder / "figures"))
