"""What holds of all figures: nothing leaves the page, failed and missing runs are said, saved files are repeatable."""

import numpy as np
import pytest
from drawings import assert_on_page, line, line_in, lines_of, panel, words_in
from matplotlib import pyplot
from matplotlib.figure import Figure
from synthetic import table

from grokkit import figures
from grokkit.errors import GrokkitError
from grokkit.storage.files import figures_root

DRAWN = ("fig2", "fig3", "fig3a", "fig3b", "fig4", "fig5")
FAILED = [("tense", 6, 42), ("tense", 6, 52), ("tense", 6, 62), ("question", 4, 42), ("dyck", 4, 52)]


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_says_what_it_shows_and_stays_on_the_page(name, few):
    figure = getattr(figures, name)(few)
    assert isinstance(figure, Figure)
    for words in ("n = 3 seeds", "Preset laptop", "data: generated"):
        assert words in line_in(figure)
    for words in (line_in(figure), "95 % bootstrap interval", "fewer than 5 seeds"):
        assert words in figures.caption(figure)
    assert figures.caption(figure)._repr_markdown_() == figures.caption(figure)
    assert len(line_in(figure)) < 80  # the rest of the caption is not in the picture
    assert_on_page(figure)
    png, metadata = figure._repr_png_()
    assert len(png) < 300_000 and metadata["alt"] == repr(figure)
    assert figures.caption(figure).startswith(repr(figure)) and 40 < len(repr(figure)) < 130
    for seeds in ([42, 52], [42]):
        assert f"n = {len(seeds)} seed" in line_in(getattr(figures, name)(few[few.seed.isin(seeds)]))
    assert pyplot.get_fignums() == []  # nothing is left behind in pyplot


@pytest.mark.parametrize("name", DRAWN)
def test_failed_runs_are_marked_and_named(name):
    figure = getattr(figures, name)(table(fail=FAILED))
    text = line_in(figure)
    assert "Failed runs" in text and "seed 42 at step 2.5k" in text
    crosses = [entry for entry in lines_of(figure) if entry.get_marker() == "x" and len(entry.get_xdata())]
    if name in ("fig3", "fig3a"):
        assert {"× 3 failed", "× 1 failed"} <= set(words_in(figure))
    if name != "fig3a":
        assert crosses and all(list(entry.get_ydata()) == [1.02] for entry in crosses)
    assert_on_page(figure)


@pytest.mark.parametrize("name,left", [(name, "tense") for name in DRAWN] + [("fig3", "question")])
def test_a_missing_task_leaves_its_panel_empty(name, left):
    one = table(tasks=(left,), seeds=range(42, 142, 10), every=500)
    if name == "fig5":
        assert panel(figures.fig5(one), "").get_title(loc="left") == "Tense-Inflection"
        figure = figures.fig5(one, tasks=("question", "tense"))
    else:
        figure = getattr(figures, name)(one)
    gone = {"question": "tense", "tense": "question"}[left]
    assert f"no finished run of {gone}" in words_in(figure)
    assert "n = 10 seeds" in line_in(figure)
    assert_on_page(figure)


@pytest.mark.parametrize("name", DRAWN)
def test_a_table_without_runs_that_count_is_refused(name, few):
    none = few[few.task == "dyck"] if name != "fig2" else few.assign(status="failed")
    with pytest.raises(GrokkitError, match="no .*run"):
        getattr(figures, name)(none)


def test_what_was_not_measured_says_so(few):
    figure = figures.fig3b(few.assign(attention_sparsity=np.nan))
    assert [x for x in words_in(figure) if x] == ["attention_sparsity\nwas not measured"] * 2
    parseval = words_in(figures.fig4(few.assign(t_parseval=np.nan)))
    assert [x for x in parseval if x] == ["t_parseval\nwas not measured"] * 2
    scores = words_in(figures.fig3b(few.assign(t_score=np.nan)))
    assert [x for x in scores if x] == ["t_score\nwas not measured"] * 2


def test_published_curves_only_where_they_belong(few):
    paper = table(depths=(2, 4, 6, 10), end=300_000, every=15_000, preset="as-run", ends={10: 0.3})
    for name in ("fig2", "fig3b", "fig4"):
        for rows, there in ((few, False), (paper, True)):
            figure = getattr(figures, name)(rows)
            labels = [str(entry.get_label()) for entry in lines_of(figure)]
            assert any(label.startswith("published") for label in labels) is there, name
        assert_on_page(figure)
    assert_on_page(figures.fig3(paper))
    figure = figures.fig2(paper)
    grey = line(panel(figure, "Tense"), "published, generalization")
    assert dict(grey.get_xydata())[300_000] == pytest.approx(0.848, abs=5e-4)  # of all 20 seeds
    written = figures.fig2(paper[paper.task == "dyck"].assign(preset="as-written"))
    assert not any(str(entry.get_label()).startswith("published") for entry in lines_of(written))  # another metric


def test_saving_is_whole_and_repeatable(few):
    paths = figures.save(figures.fig5(few), "laptop", "fig5")
    assert [path.name for path in paths] == ["fig5.png", "fig5.pdf"]
    assert paths[0].parent == figures_root() / "local" / "laptop"
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["fig5.pdf", "fig5.png"]
    before = [path.read_bytes() for path in paths]
    figures.save(figures.fig5(few), "laptop", "fig5")
    assert [path.read_bytes() for path in paths] == before
    assert before[0].startswith(b"\x89PNG") and before[1].startswith(b"%PDF")


def test_a_depth_has_one_colour_in_all_figures_and_none_is_pale():
    colors = np.array([figures.style.depth_color(depth)[:3] for depth in (1, 2, 4, 5, 6, 8, 10)])
    light = colors @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0.03).all() and light[-1] < 0.85  # told apart without hues, and on white
