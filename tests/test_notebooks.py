"""The form of the notebooks, and that they train. nbval compares what they print with the record (`make test`)."""

import ast
import re
import shutil
from pathlib import Path

import nbformat
import pytest

import grokkit as gk
from grokkit.commands.reproduce import NOTEBOOKS, STANDARD, reproduce

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ALLOWED_IMPORTS = {"import grokkit as gk", "import pandas as pd", "from IPython.display import Markdown, display"}
FIGURES = {"table1", "fig1", "fig2", "fig3", "fig3a", "fig3b", "fig4", "fig5"}
ORDER = ["# ", "**Question.**", "**The paper says**", "**Predict first.**", "**How to read it.**", "## What we found"]
ORDER += ["**What remains open.**", "**Exercise.**"]
LARGEST = 300_000 * 4 // 3  # a picture of 300 kB as text


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    """All but the one that installs the kit on Colab (`grokkit.commands.render`)."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.id != "colab"]


def nodes(notebook, *kinds):
    trees = (ast.parse(cell.source) for cell in code_cells(notebook))
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)]


def test_the_folder_holds_the_notebooks_of_all_figures_and_nothing_else():
    assert [path.stem for path in PATHS] == list(NOTEBOOKS["all"])
    kept = [path.name for path in PATHS[0].parent.iterdir() if not path.name.startswith((".", "__"))]
    assert sorted(kept) == [path.name for path in PATHS]


def test_is_valid_and_runs_in_any_python3_kernel(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info == {"name": "python"}


def test_defines_nothing_and_keeps_cells_short(notebook):
    assert not nodes(notebook, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    for cell in code_cells(notebook):
        lines = cell.source.splitlines()
        assert 0 < len(lines) <= 15, cell.source
        assert max(map(len, lines)) <= 110, cell.source


def test_uses_the_public_names_only(notebook):
    imports = {ast.unparse(node) for node in nodes(notebook, ast.Import, ast.ImportFrom)}
    assert "import grokkit as gk" in imports and imports <= ALLOWED_IMPORTS
    attributes = nodes(notebook, ast.Attribute)
    assert not [node.attr for node in attributes if node.attr.startswith("_")]
    used = {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "gk"}
    assert used <= set(gk.__all__)


def test_one_cell_holds_the_parameters_and_nothing_derived(notebook):
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    statements = ast.parse(cell.source).body
    assert [ast.unparse(statement.targets[0]) for statement in statements] == list(STANDARD)
    # papermill puts its values behind this cell: one that is computed from another would keep the old value
    names = [node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)]
    assert set(names) == {"gk", *STANDARD} and all(names.count(name) == 1 for name in STANDARD)


def test_goes_from_the_question_to_what_remains_open(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    places = [text.find(part) for part in ORDER]
    assert -1 not in places and places == sorted(places), dict(zip(ORDER, places))
    assert re.search(r"\*\*The paper says\*\* \((Section|Sections|Appendix) ", text)
    assert len([cell for cell in notebook.cells if cell.id != "colab"]) <= 18


def test_saves_the_figures_that_its_name_stands_for(notebook, path):
    wanted = {name for name, files in NOTEBOOKS.items() if name in FIGURES and path.stem in files}
    saved = set()
    for call in nodes(notebook, ast.Call):
        if ast.unparse(call.func) == "gk.figures.save":
            figure, preset, name = map(ast.unparse, call.args)
            assert preset == "PRESET" and name == repr(figure)
            saved.add(figure)
    if path.stem == "04_depth":  # Figure 3 is complete only with 05_internals, which saves it
        wanted -= {"fig3"}
    assert saved == wanted


def test_is_committed_as_it_was_executed(notebook, path):
    """With its figures, and with nothing that is chance: warnings, bars, times, places on some machine."""
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == [*range(1, len(counts) + 1)]
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert pictures and max(map(len, pictures)) < LARGEST
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users|usr|mnt)\b|[A-Z]:\\\\|step/s|0x[0-9a-f]{6,}", text)
    tables = " ".join(output.data.get("text/html", "") for output in outputs if "data" in output)
    assert "NOT COMPARABLE" not in tables and "NaN" not in tables


@pytest.mark.parametrize("name", NOTEBOOKS["all"])
def test_trains_at_the_smoke_preset_by_papermill(name, tmp_path_factory, monkeypatch):
    place = tmp_path_factory.getbasetemp() / "smoke"  # one for all seven: what is trained is read by the next
    for folder in ("RUNS", "FIGURES", "BUILD"):
        monkeypatch.setenv(f"GROKKIT_{folder}", str(place / folder.lower()))
    for record in ("as-run", "controls"):  # openings, and wrong ones
        shutil.copytree(ROOT / "figures" / record, place / "figures" / record, dirs_exist_ok=True)
    (figure,) = [figure for figure, names in NOTEBOOKS.items() if names == (name,)][:1]
    (executed,) = reproduce([figure], {"PRESET": "smoke", "SOURCE": "runs"})
    assert nbformat.read(executed, as_version=4).metadata.papermill.exception is None


def test_deviations_that_are_cited_anywhere_are_there():
    there = set(
        re.findall(r"^(?:\| |- \*\*)(D\d+)\b", (ROOT / "docs" / "DEVIATIONS.md").read_text("utf-8"), re.MULTILINE)
    )
    for path in [ROOT / "README.md", *PATHS, *(ROOT / "grokkit").rglob("*.py"), *(ROOT / "grokkit").rglob("*.csv")]:
        cited = path.read_text("utf-8")
        if path.suffix == ".ipynb":
            cited = "\n".join(cell.source for cell in nbformat.reads(cited, as_version=4).cells)
        assert set(re.findall(r"\bD\d{1,3}\b", cited)) <= there, path
