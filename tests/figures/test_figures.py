"""The figures: what is drawn equals the table, nothing leaves the page, failed and missing runs are said."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from shared import shared_path
from synthetic import table

from grokkit import figures
from grokkit.data import TASKS
from grokkit.data.tree import leaves, spans
from grokkit.errors import GrokkitError
from grokkit.figures.fig1 import example
from grokkit.storage.files import figures_root

SEEDS = tuple(range(42, 142, 10))
DRAWN = ("fig2", "fig3", "fig3a", "fig3b", "fig4", "fig5")
FAILED = [("tense", 6, 42), ("tense", 6, 52), ("tense", 6, 62), ("question", 4, 42), ("dyck", 4, 52)]


@pytest.fixture(scope="module")
def few():
    return table(every=500)


@pytest.fixture(scope="module")
def corpora():
    sizes = {"train": 400, "val": 20, "gen": 60}
    return {name: task.generate(0, sizes) for name, task in TASKS.items()}


def caption(figure: Figure) -> str:
    return " ".join(figure.texts[0].get_text().split())


def words_in(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def lines_of(figure: Figure) -> list:
    return [entry for axes in figure.axes for entry in axes.get_lines()]


def line(axes, label: str):
    """The line of a legend label, whichever its beginning."""
    return next(entry for entry in axes.get_lines() if str(entry.get_label()).startswith(label))


def panel(figure: Figure, title: str):
    return next(axes for axes in figure.axes if title in axes.get_title() + axes.get_title(loc="left"))


def assert_on_page(figure: Figure) -> None:
    """Every text and legend lies on the page and above the caption, and texts do not overlap."""
    renderer, page = FigureCanvasAgg(figure).get_renderer(), figure.bbox
    figure.draw(renderer)
    below, boxes = figure.texts[0].get_window_extent(renderer), []
    for axes in figure.axes:
        labels = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, axes.get_legend()]
        texts = [text.get_window_extent(renderer) for text in axes.texts]
        boxes += texts + [label.get_window_extent(renderer) for label in labels if label and label.get_visible()]
        if not any(text.get_rotation() for text in axes.texts):  # turned words of a tree have large boxes
            assert not any(one.overlaps(other) for one, other in combinations(texts, 2))
    for box in [below, *(box for box in boxes if box.width and box.height)]:
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, box
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, box
        assert box is below or box.y0 >= below.y1 - 1, "something overlaps the caption"


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_says_what_it_shows_and_stays_on_the_page(name, few):
    figure = getattr(figures, name)(few)
    assert isinstance(figure, Figure)
    for words in ("n = 3 seeds", "Preset laptop", "data: generated"):
        assert words in caption(figure)
    assert ("narrower than it should be" in caption(figure)) is (name != "fig3a")  # the bootstrap's warning
    assert_on_page(figure)
    for seeds in ([42, 52], [42]):
        assert f"n = {len(seeds)} seed" in caption(getattr(figures, name)(few[few.seed.isin(seeds)]))
    assert pyplot.get_fignums() == []  # nothing is left behind in pyplot


@pytest.mark.parametrize("name", DRAWN)
def test_failed_runs_are_marked_and_named(name):
    figure = getattr(figures, name)(table(fail=FAILED))
    text = caption(figure)
    assert "Failed runs" in text and "seed 42 at step 2.5k" in text
    crosses = [entry for entry in lines_of(figure) if entry.get_marker() == "x"]
    if name in ("fig3", "fig3a"):
        assert {"× 3 failed", "× 1 failed"} <= set(words_in(figure))
    if name != "fig3a":
        assert crosses and all(list(entry.get_ydata()) == [1.02] for entry in crosses)
    assert_on_page(figure)


@pytest.mark.parametrize("name,left", [(name, "tense") for name in DRAWN] + [("fig3", "question")])
def test_a_missing_task_leaves_its_panel_empty(name, left):
    one = table(tasks=(left,), seeds=SEEDS, every=500)
    if name == "fig5" and left == "tense":
        with pytest.raises(GrokkitError, match="no run of question"):
            figures.fig5(one)
        figure = figures.fig5(one, tasks=("question", "tense"))
    else:
        figure = getattr(figures, name)(one)
    gone = {"question": "tense", "tense": "question"}[left]
    assert f"no finished run of {gone}" in words_in(figure)
    assert "n = 10 seeds" in caption(figure) and "narrower" not in caption(figure)
    assert_on_page(figure)


@pytest.mark.parametrize("name", DRAWN)
def test_bad_tables(name, few):
    none = few[few.task == "dyck"] if name != "fig2" else few.assign(status="failed")
    for bad, words in (
        (pd.concat([few, few.assign(preset="as-run")]), "mixes the presets as-run, laptop"),
        (pd.concat([few, few]), "several rows"),
        (few.iloc[:0], "empty"),
        (few.drop(columns="gen_accuracy"), "no column gen_accuracy"),
        (none, "no .*run"),
    ):
        with pytest.raises(GrokkitError, match=words):
            getattr(figures, name)(bad)


def test_fig2_draws_the_means_and_the_gaps(few):
    figure = figures.fig2(few)
    axes = panel(figure, "Tense-Inflection, 4 layers")
    cell = few[(few.task == "tense") & (few.depth == 4)]
    for label, column in (("in-domain", "val_accuracy"), ("generalization", "gen_accuracy")):
        mean = cell.groupby("step")[column].mean()
        np.testing.assert_allclose(line(axes, label).get_xydata(), np.column_stack([mean.index, mean]))
    assert line(axes, "in-domain").get_linestyle() == "-" and line(axes, "gen").get_linestyle() == "--"
    stop = line(axes, "early stopping (500)")
    at_500 = cell[cell.step == 500].gen_accuracy.mean()
    np.testing.assert_allclose(stop.get_ydata(), [at_500, 1.0])
    assert stop.get_label().endswith(f"gen {at_500:.2f}, gap {1 - at_500:.2f}")
    end = line(axes, "end (5k)")
    np.testing.assert_allclose(end.get_ydata()[0], cell[cell.step == 5000].gen_accuracy.mean())
    thin = [entry for entry in axes.get_lines() if entry.get_linewidth() == 0.5]
    assert len(thin) == 2 * 3  # every seed, val and gen
    assert "tense best of 5 depths" in caption(figure)


def test_fig3a_draws_shares_with_wilson_intervals():
    figure = figures.fig3a(table(seeds=SEEDS))
    axes = panel(figure, "Question")
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]  # ever, final at 1, 2, 4, 5, 6 layers
    assert [text.get_text() for text in axes.texts] == ["0", "0", "0", "0", "10", "10", "0", "0", "0", "0"]
    assert [text.get_text() for text in axes.get_xticklabels()] == [f"{d}\nn=10" for d in (1, 2, 4, 5, 6)]
    segments = [segment for c in axes.collections for segment in c.get_segments()]
    ends = sorted({tuple(np.round(segment[:, 1], 3)) for segment in segments})
    assert ends == [(0.0, 0.278), (0.722, 1.0)]  # Wilson, 0 and 10 of 10


def test_fig3b_draws_small_best_and_deep(few):
    figure = figures.fig3b(few)
    t_score = [axes for axes in figure.axes if "t_{score}" in axes.get_ylabel()][0]
    for label, depth in (("1 layer (smallest)", 1), ("4 layers (best)", 4), ("6 layers (deep)", 6)):
        mean = few[(few.task == "question") & (few.depth == depth)].groupby("step").t_score.mean()
        np.testing.assert_allclose(line(t_score, label).get_ydata(), mean)
    assert "question: smallest 1, best 4, deep 6" in caption(figure)


def test_what_was_not_measured_says_so(few):
    figure = figures.fig3b(few.assign(attention_sparsity=np.nan))
    assert words_in(figure) == ["attention_sparsity was not measured"] * 2
    assert words_in(figures.fig4(few.assign(t_parseval=np.nan))) == ["t_parseval was not measured"] * 2


def test_ones_own_task_gets_a_row_of_figure_3(few, monkeypatch):
    monkeypatch.setitem(TASKS, "mine", TASKS["tense"])
    figure = figures.fig3(few.assign(task=few.task.replace("tense", "mine")))
    titles = [axes.get_title(loc="left") for axes in figure.axes[::4]]
    assert titles == ["Question-Formation", "Tense-Inflection", "mine"]
    assert words_in(figure).count("no finished run of tense") == 4
    assert_on_page(figure)


def test_fig4_baselines(few):
    def baselines(figure):
        lines = panel(figure, "Question").get_lines()
        return {str(x.get_label()): x.get_ydata()[0] for x in lines if "branching" in str(x.get_label())}

    assert baselines(figures.fig4(few)) == {"right-branching (0.663)": 0.66277}
    columns = few.assign(t_parseval_right=0.6, t_parseval_left=0.3, t_parseval_balanced=0.55, t_parseval_random=0.4)
    figure = figures.fig4(columns)
    assert list(baselines(figure).values()) == [0.6, 0.3]  # balanced and random are not called branching
    assert "Baselines of the analysed sentences" in caption(figure)
    assert_on_page(figure)


def test_fig5_is_logarithmic_and_leaves_step_0_out(few):
    axes = figures.fig5(few).axes[0]
    assert axes.get_xscale() == "log"
    mean = few[(few.task == "question") & (few.depth == 4) & (few.step > 0)].groupby("step").train_loss.mean()
    np.testing.assert_allclose(line(axes, "4 layers").get_ydata(), mean)


def test_published_curves_only_where_they_belong(few):
    paper = table(depths=(2, 4, 6, 10), end=300_000, every=15_000, preset="as-run", ends={10: 0.3})
    for name in ("fig2", "fig3b", "fig4"):
        for rows, there in ((few, False), (paper, True)):
            figure = getattr(figures, name)(rows)
            labels = [str(entry.get_label()) for entry in lines_of(figure)]
            assert any(label.startswith("published") for label in labels) is there, name
        assert_on_page(figure)
    figure = figures.fig2(paper)
    grey = line(panel(figure, "Tense"), "published, 4 layers")
    assert dict(grey.get_xydata())[300_000] == pytest.approx(0.835)
    written = figures.fig2(paper[paper.task == "dyck"].assign(preset="as-written"))
    assert not any(str(entry.get_label()).startswith("published") for entry in lines_of(written))  # another metric


def test_published_curves_as_a_table():
    """The authors' own curves, drawn by this kit, lie on the grey points."""
    curves = pd.read_csv(shared_path("reference/published/accuracy.csv")).dropna()
    curves = curves[(curves.task == "question") & (curves.seed <= 132)]
    rows = curves.assign(preset="as-run", data_source="official", status="ok")
    axes = panel(figures.fig2(rows), "Question-Formation, 6 layers")
    ours = dict(line(axes, "generalization").get_xydata())
    for step, value in line(axes, "published").get_xydata():
        assert ours[step] == pytest.approx(value, abs=6e-4)
    assert "gen 0.07" in line(axes, "early stopping (6k)").get_label()


def test_saving_is_whole_and_repeatable(few):
    paths = figures.save(figures.fig5(few), "laptop", "fig5")
    assert [path.name for path in paths] == ["fig5.png", "fig5.pdf"]
    assert paths[0].parent == figures_root() / "local" / "laptop"
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["fig5.pdf", "fig5.png"]
    before = [path.read_bytes() for path in paths]
    figures.save(figures.fig5(few), "laptop", "fig5")
    assert [path.read_bytes() for path in paths] == before
    assert before[0].startswith(b"\x89PNG") and before[1].startswith(b"%PDF")


def test_a_users_settings_do_not_change_a_figure(few):
    import matplotlib

    plain = figures.fig5(few)._repr_png_()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "lines.linewidth": 9}):
        assert figures.fig5(few)._repr_png_() == plain


# -- corpora -----------------------------------------------------------------------------------------------


def test_fig1_shows_what_the_rules_say(corpora):
    figure = figures.fig1(corpora)
    assert_on_page(figure)
    for column, name in enumerate(("dyck", "question", "tense")):
        shown = example(TASKS[name], corpora[name])
        rules = TASKS[name].rules
        assert shown["linear"] == rules["linear"](shown["source"])
        assert shown["hierarchical"] == rules["hierarchical"](shown["source"]) != shown["linear"]
        words = " ".join(" ".join(text.get_text() for text in figure.axes[column].texts).split())
        for text in shown.values():
            assert text in words
        assert shown["training"] in corpora[name]["train"].lines
    tree = TASKS["question"].gold_tree(example(TASKS["question"], corpora["question"])["source"])
    assert [text.get_text() for text in figure.axes[4].texts] == leaves(tree)
    first, second = (example(TASKS["tense"], corpora["tense"], item)["source"] for item in (0, 1))
    assert first != second and len(first.split()) <= len(second.split())


def test_table1_measures_the_corpora(corpora):
    figure = figures.table1(corpora)
    assert_on_page(figure)
    words = [cell.get_text().get_text() for cell in figure.axes[0].tables[0].get_celld().values()]
    assert "400\n(paper: 200,000)" in words and "60\n(paper: 10,000)" in words
    assert "red where they differ" in caption(figure)


def test_trees():
    tree = (("the", "walrus"), ("does", "move"))
    assert spans(tree) == {(0, 3), (0, 1), (2, 3)}
    by_place = (0, (1, (2, 3)))
    figure = figures.trees({"gold": tree, "right": by_place}, words=leaves(tree), reference=tree)
    assert_on_page(figure)
    crosses = [[entry for entry in axes.get_lines() if entry.get_marker() == "X"] for axes in figure.axes]
    assert [len(found) for found in crosses] == [0, 1]  # (1, 3) is no span of the gold tree
    assert [text.get_text() for text in figure.axes[1].texts] == leaves(tree)


def test_corpora_and_trees_that_cannot_be_drawn(corpora):
    gold = {"gold": (("the", "walrus"), ("does", "move"))}
    for draw, arguments, words in (
        (figures.fig1, (corpora, 999), "item 999"),
        (figures.fig1, ({},), "at least one corpus"),
        (figures.table1, ({},), "at least one corpus"),
        (figures.table1, ({"mine": corpora["tense"]},), "no task 'mine'"),
        (figures.trees, ({},), "no tree"),
        (figures.trees, (gold, ["the"]), "over 1 words"),
        (figures.trees, (gold, None, (0, 1)), "over 4 and 2 words"),
    ):
        with pytest.raises(GrokkitError, match=words):
            draw(*arguments)
