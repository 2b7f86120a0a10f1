"""The form of the notebooks. That they run, and print what they should, is tested by nbval (`make test`)."""

import ast
import re

import nbformat
import pytest
import strip_notebooks

import grokkit as gk
from grokkit.commands.reproduce import NOTEBOOKS, STANDARD

PATHS = sorted(strip_notebooks.FOLDER.glob("*.ipynb"))
ALLOWED_IMPORTS = {"import grokkit as gk", "import matplotlib.pyplot as plt", "import seaborn as sns"}
FIGURES = {"table1", "fig1", "fig2", "fig3", "fig3a", "fig3b", "fig4", "fig5"}


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def nodes(notebook, *kinds):
    trees = (ast.parse(cell.source) for cell in code_cells(notebook))
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)]


def test_the_folder_holds_the_notebooks_of_all_figures_and_nothing_else():
    assert [path.stem for path in PATHS] == list(NOTEBOOKS["all"])
    kept = [path.name for path in strip_notebooks.FOLDER.iterdir() if not path.name.startswith((".", "__"))]
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


def test_one_cell_holds_the_four_parameters_and_nothing_derived(notebook):
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    statements = ast.parse(cell.source).body
    assert [ast.unparse(statement.targets[0]) for statement in statements] == list(STANDARD)
    # papermill puts its values behind this cell: one that is computed from another would keep the old value
    names = [node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)]
    assert set(names) == {"gk", *STANDARD} and all(names.count(name) == 1 for name in STANDARD)


def test_states_the_claim_first_and_the_verdict_last(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown" and "**Question.**" in first.source
    assert re.search(r"\*\*The paper's claim\*\* \((Section|Sections|Appendix) ", first.source)
    assert "gk.verdict(" in notebook.cells[-1].source


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


def test_compared_cells_are_those_that_nbval_compares_and_carry_counts_and_text(notebook):
    plugin = pytest.importorskip("nbval.plugin")
    marked = [cell for cell in code_cells(notebook) if dict(plugin.find_comment_markers(cell.source)).get("check")]
    assert marked and marked == [cell for cell in code_cells(notebook) if strip_notebooks.compared(cell)]
    for cell in marked:
        assert cell.execution_count is not None, "nbval never compares a cell whose execution count is null"
        assert [(out.output_type, out.name) for out in cell.outputs] == [("stream", "stdout")], cell.source
        assert 0 < len(cell.outputs[0].text) < 2000


def test_is_committed_in_the_stripped_form(path):
    text = path.read_text(encoding="utf-8")
    again = nbformat.reads(text, as_version=4)
    strip_notebooks.strip(again)
    assert nbformat.writes(again) + "\n" == text, "run: python tests/helpers/strip_notebooks.py"


def test_names_no_place_on_some_machine(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users|usr|mnt)\b|[A-Z]:\\\\", text)


def test_deviations_that_are_cited_anywhere_are_there():
    root = strip_notebooks.FOLDER.parent
    there = set(
        re.findall(r"^(?:\| |- \*\*)(D\d+)\b", (root / "docs" / "DEVIATIONS.md").read_text("utf-8"), re.MULTILINE)
    )
    for path in [root / "README.md", *PATHS, *(root / "grokkit").rglob("*.py"), *(root / "grokkit").rglob("*.csv")]:
        assert set(re.findall(r"\bD\d{1,3}\b", path.read_text("utf-8"))) <= there, path


def test_stripping_keeps_what_compared_cells_print_and_nothing_else():
    new_cell = nbformat.v4.new_code_cell
    stream = nbformat.v4.new_output("stream", name="stdout", text="one\n")
    more = nbformat.v4.new_output("stream", name="stdout", text="two\n")
    noise = nbformat.v4.new_output("stream", name="stderr", text="a warning\n")
    cells = [
        new_cell(f"{strip_notebooks.MARK}\nf()", execution_count=3, outputs=[stream, noise, more]),
        new_cell("g()", execution_count=4, outputs=[stream], metadata={"tags": ["x"], "y": 1}),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"papermill": {"input_path": "x"}})
    strip_notebooks.strip(notebook)
    first, second = notebook.cells
    assert (first.execution_count, [out.text for out in first.outputs]) == (3, ["one\ntwo\n"])
    assert (second.execution_count, second.outputs, second.metadata) == (None, [], {"tags": ["x"]})
    assert "papermill" not in notebook.metadata
