"""The figures: what is drawn equals the table, nothing leaves the page, failed and missing runs are said."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from shared import shared_path
from synthetic import table

from grokkit import figures
from grokkit.data import TASKS
from grokkit.data.tree import leaves, spans
from grokkit.errors import GrokkitError
from grokkit.figures.fig1 import example
from grokkit.report import outcomes
from grokkit.report.statistics import bootstrap_mean
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


def line_in(figure: Figure) -> str:
    """The line in the picture, its first text."""
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
    """Every text and legend lies on the page and above the line, none is under 8 pt, and they do not overlap."""
    renderer, page = FigureCanvasAgg(figure).get_renderer(), figure.bbox
    figure.draw(renderer)
    below, boxes = figure.texts[0].get_window_extent(renderer), []
    for axes in figure.axes:
        labels = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, axes.get_legend()]
        texts = [text.get_window_extent(renderer) for text in axes.texts]
        boxes += texts + [label.get_window_extent(renderer) for label in labels if label and label.get_visible()]
        if not any(text.get_rotation() for text in axes.texts):  # turned words of a tree have large boxes
            assert not any(one.overlaps(other) for one, other in combinations(texts, 2))
    shown = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    shown += [axes._left_title for axes in figure.axes if axes._left_title.get_text()]
    for one, other in combinations(shown, 2):
        assert not one.get_window_extent(renderer).overlaps(other.get_window_extent(renderer)), (one, other)
    for text in figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text().strip()):
        assert text.get_fontsize() >= 8, text
    for box in [below, *(box for box in boxes if box.width and box.height)]:
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, box
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, box
        assert box is below or box.y0 >= below.y1 - 1, "something overlaps the line"
    assert line_in(figure) in figures.caption(figure).replace("\n", " ")


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
    one = table(tasks=(left,), seeds=SEEDS, every=500)
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
    assert line(axes, "in-domain").get_color() == line(axes, "gen").get_color() == figures.style.depth_color(4)
    at_500 = cell[cell.step == 500].gen_accuracy.mean()
    for reading in ("first maximum of val (500)", "first val ≥ .99 (500)"):
        np.testing.assert_allclose(line(axes, reading).get_ydata(), [at_500, 1.0])
        assert line(axes, reading).get_label().endswith(f"gen {at_500:.2f}")
    end = line(axes, "end (5k)")
    np.testing.assert_allclose(end.get_ydata()[0], cell[cell.step == 5000].gen_accuracy.mean())
    assert "tense best of 5 depths" in figures.caption(figure)


def test_fig2_draws_three_seeds_at_most():
    axes = panel(figures.fig2(table(seeds=SEEDS, depths=(4,), every=500)), "Tense")
    assert len([entry for entry in axes.get_lines() if entry.get_linewidth() == 0.6]) == 2 * 3  # val and gen


def test_fig2_where_not_all_seeds_saturate(few):
    slow = few.assign(val_accuracy=few.val_accuracy.where(few.seed != 42, few.val_accuracy * 0.9))
    label = line(panel(figures.fig2(slow), "Tense"), "first val").get_label()
    assert label.startswith("first val ≥ .99 (500, 2 of 3 seeds)")
    none = figures.fig2(few.assign(val_accuracy=few.val_accuracy * 0.9))
    assert not any(str(entry.get_label()).startswith("first val") for entry in lines_of(none))


def points(axes) -> list:
    """Scattered points that have a place: (x, y, colour), in the order drawn."""
    drawn = [c for c in axes.collections if len(c.get_offsets())]
    return [(*xy, tuple(c.get_edgecolor()[0])) for c in drawn for xy in c.get_offsets()]


def test_fig3a_draws_every_seed_and_shares_with_wilson_intervals():
    rows = table(seeds=SEEDS)
    strip, shares = figures.fig3a(rows).axes[:2]
    ends = rows[(rows.task == "question") & (rows.step == 5000)]
    drawn = pd.DataFrame(points(strip), columns=["x", "y", "color"])
    np.testing.assert_allclose(np.sort(drawn.y), np.sort(ends.gen_accuracy))
    assert drawn.groupby(drawn.x.round()).color.unique().map(list).tolist() == [
        [figures.style.depth_color(depth)] for depth in (1, 2, 4, 5, 6)
    ]
    assert drawn.x.is_unique  # no point hides another
    means = [x.get_ydata()[0] for x in strip.get_lines() if x.get_marker() == "D" and len(x.get_xdata())]
    np.testing.assert_allclose(means, ends.groupby("depth").gen_accuracy.mean())
    bars = [x.get_ydata() for x in strip.get_lines() if len(x.get_xdata()) == 2 and x.get_color() == figures.style.INK]
    np.testing.assert_allclose(bars[0], bootstrap_mean(ends[ends.depth == 1].gen_accuracy))
    assert [text.get_text() for text in strip.get_xticklabels()] == ["1", "2", "4", "5", "6"]
    heights = [x.get_ydata()[0] for x in shares.get_lines() if x.get_marker() == "o" and len(x.get_xdata())]
    assert heights == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]  # ever, final at 1, 2, 4, 5, 6 layers
    ends = {tuple(np.round(x.get_ydata(), 3)) for x in shares.get_lines() if len(x.get_xdata()) == 2}
    assert ends == {(0.0, 0.278), (0.722, 1.0)}  # Wilson, 0 and 10 of 10
    assert_on_page(figures.depth(rows))  # three tasks, in two rows


def test_fig3a_counts_a_seed_once_however_often_it_was_trained(few):
    again = few.assign(gen_accuracy=few.gen_accuracy / 2)
    once, twice = figures.fig3a(few), figures.fig3a(few, again)
    assert len(points(twice.axes[0])) == 2 * len(points(once.axes[0]))
    for figure, share in ((once, 1), (twice, 0.75)):
        ends = few[(few.task == "question") & (few.step == 5000)].groupby("depth").gen_accuracy
        strip = figure.axes[0]
        bars = [x for x in strip.get_lines() if len(x.get_xdata()) == 2 and x.get_color() == figures.style.INK]
        for bar, (_, values) in zip(bars, ends, strict=True):
            np.testing.assert_allclose(bar.get_ydata(), np.stack(bootstrap_mean(values)) * share)  # of 3 seeds, not 6
    assert "each trained twice" in line_in(twice) and "twice" not in line_in(once)
    assert_on_page(twice)
    assert_on_page(figures.fig3(few, again))
    with pytest.raises(GrokkitError, match="second training is of preset as-run"):
        figures.fig3a(few, again.assign(preset="as-run"))


def test_fig3a_is_hollow_where_not_all_runs_train(few):
    stuck = (few.task == "tense") & (few.depth == 6) & (few.seed == 52)
    figure = figures.fig3a(few.assign(val_accuracy=few.val_accuracy.where(~stuck, 0.81)))
    hollow = {}
    for axes in (figure.axes[0], figure.axes[2]):
        drawn = [c for c in axes.collections if len(c.get_offsets())]
        hollow[axes.get_title(loc="left")] = [not len(c.get_facecolor()) for c in drawn]
    assert hollow == {"Question-Formation": [False] * 5, "Tense-Inflection": [False] * 4 + [True]}
    assert_on_page(figure)


def test_fig3b_draws_small_best_and_deep(few):
    figure = figures.fig3b(few)
    t_score = [axes for axes in figure.axes if "t_{score}" in axes.get_ylabel()][0]
    for label, depth in (("1 layer", 1), ("4 layers (best)", 4), ("6 layers", 6)):
        mean = few[(few.task == "question") & (few.depth == depth)].groupby("step").t_score.mean()
        np.testing.assert_allclose(line(t_score, label).get_ydata(), mean)
    assert "question: smallest 1, best 4, deep 6" in figures.caption(figure)
    last, against = figure.axes[figure.axes.index(t_score) + 1 :][:2]
    ends = few[(few.task == "question") & (few.step == 5000)]
    drawn = [x.get_ydata()[0] for x in last.get_lines() if x.get_marker() == "D"]
    np.testing.assert_allclose(drawn, ends.groupby("depth").t_score.mean())
    np.testing.assert_allclose(np.array(points(against), dtype=object)[:, :2].astype(float),
                               ends[["t_score", "gen_accuracy"]])  # fmt: skip
    assert not against.texts  # three seeds have no correlation worth a number


def test_fig3b_says_the_rank_correlation():
    rows = table(tasks=("tense",), depths=(2, 4), seeds=SEEDS[:5], every=500)
    ends = (rows.step == 5000) & (rows.depth == 4)
    rows.loc[ends, "t_score"], rows.loc[ends, "gen_accuracy"] = [1, 2, 3, 4, 5], [0.95, 0.96, 0.97, 0.99, 0.98]
    text = figures.fig3b(rows).axes[-1].texts[0].get_text()
    assert text.startswith("4 layers: r = +0.90\n[")  # 1 - 6 * 2 / (5 * 24)


def test_what_was_not_measured_says_so(few):
    figure = figures.fig3b(few.assign(attention_sparsity=np.nan))
    assert [x for x in words_in(figure) if x] == ["attention_sparsity\nwas not measured"] * 2
    parseval = words_in(figures.fig4(few.assign(t_parseval=np.nan)))
    assert [x for x in parseval if x] == ["t_parseval\nwas not measured"] * 2
    scores = words_in(figures.fig3b(few.assign(t_score=np.nan)))
    assert [x for x in scores if x] == ["t_score\nwas not measured"] * 2


def test_ones_own_task_gets_a_row_of_figure_3(few, monkeypatch):
    monkeypatch.setitem(TASKS, "mine", TASKS["tense"])
    figure = figures.fig3(few.assign(task=few.task.replace("tense", "mine")))
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    names = ["Question-Formation", "Tense-Inflection", "mine"]
    assert titles == [f"(a) {name}" for name in names] + [f"(b) {name}" for name in names]
    assert words_in(figure).count("no finished run of tense") == 2
    assert_on_page(figure)


def test_fig4_baselines(few):
    def baselines(figure):
        lines = figure.axes[1].get_lines()
        return {str(x.get_label()): x.get_ydata()[0] for x in lines if "branching" in str(x.get_label())}

    assert baselines(figures.fig4(few)) == {"right-branching (0.663)": 0.66277}
    columns = few.assign(t_parseval_right=0.6, t_parseval_left=0.3, t_parseval_balanced=0.55, t_parseval_random=0.4)
    figure = figures.fig4(columns)
    assert list(baselines(figure).values()) == [0.6, 0.3]  # balanced and random are not called branching
    assert "baselines of the analysed sentences" in figures.caption(figure)
    assert_on_page(figure)


def test_fig4_tells_the_runs_that_generalize_from_the_others():
    rows = table(("question", "tense"), (2, 4, 5), SEEDS, every=500)
    axes = figures.fig4(rows).axes[1]
    ends = rows[(rows.task == "question") & (rows.step == 5000)]
    drawn = pd.DataFrame([(x, y) for x, y, _ in points(axes)], columns=["x", "y"])
    for place, depth in enumerate((2, 4, 5)):
        near = drawn[drawn.x.round() == place]
        for there, side in ((True, near.x > place), (False, near.x < place)):
            values = ends[(ends.depth == depth) & ((ends.gen_accuracy >= 0.8) == there)].t_parseval
            np.testing.assert_allclose(np.sort(near[side].y), np.sort(values))
    assert axes.get_ylim() == axes.figure.axes[0].get_ylim()


def test_fig5_marks_three_steps_of_every_run(few):
    figure, ends = figures.fig5(few), {}
    marks = figure.axes[2]
    for found in marks.collections[1:]:  # the first are the lines that join the marks of a run
        for (step, place), color in zip(np.ma.filled(found.get_offsets(), np.nan), found.get_edgecolor()):
            if np.isfinite(step):
                ends.setdefault(place, []).append((step, tuple(color)))
    milestones = outcomes.milestones(few[few.task == "question"])
    assert len(ends) == len(milestones) == 15
    for (_, drawn), run in zip(sorted(ends.items(), reverse=True), milestones.itertuples()):
        assert [step for step, _ in drawn] == [
            step for step in (run.loss_flat, run.val_99, run.gen_80) if np.isfinite(step)
        ]
        assert {color for _, color in drawn} == {figures.style.depth_color(run.depth)}
    with pytest.raises(GrokkitError, match="unknown task 'quest'"):
        figures.fig5(few, "quest")
    assert "question, several at once in 15 of 15 runs" in figures.caption(figure)  # at step 500 losses are flat, too
    late = few.assign(train_loss=few.train_loss.where(few.step > 1500, 9.0))
    assert "question, first val ≥ .99 in 15 of 15 runs; tense" in figures.caption(figures.fig5(late))


def test_fig5_is_logarithmic_and_leaves_step_0_out(few):
    axes = figures.fig5(few).axes[0]
    assert axes.get_shared_x_axes().joined(axes, axes.figure.axes[2])
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
    assert_on_page(figures.fig3(paper))
    figure = figures.fig2(paper)
    grey = line(panel(figure, "Tense"), "published, generalization")
    assert dict(grey.get_xydata())[300_000] == pytest.approx(0.848, abs=5e-4)  # of all 20 seeds
    written = figures.fig2(paper[paper.task == "dyck"].assign(preset="as-written"))
    assert not any(str(entry.get_label()).startswith("published") for entry in lines_of(written))  # another metric


def test_published_curves_as_a_table():
    """The authors' own curves, all 20 seeds, drawn by this kit, lie on the grey ones."""
    curves = pd.read_csv(shared_path("reference/published/accuracy.csv")).dropna()
    curves = curves[curves.task == "question"]
    rows = curves.assign(preset="as-run", data_source="official", status="ok")
    axes = panel(figures.fig2(rows), "Question-Formation, 6 layers")
    ours = dict(line(axes, "generalization").get_xydata())
    for step, value in line(axes, "published, generalization").get_xydata():
        assert ours[step] == pytest.approx(value, abs=6e-4)
    assert "gen 0.05" in line(axes, "first maximum of val (6k)").get_label()


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
    assert "red where they differ" in line_in(figure)


def test_a_depth_has_one_colour_in_all_figures_and_none_is_pale():
    colors = np.array([figures.style.depth_color(depth)[:3] for depth in (1, 2, 4, 5, 6, 8, 10)])
    light = colors @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0.03).all() and light[-1] < 0.85  # told apart without hues, and on white


def test_chart_writes_each_similarity():
    chart = np.array([[0.5, -0.004, 1], [np.nan, 0.25, 0.75], [np.nan, np.nan, 0.5]])
    figure = figures.chart(chart, ["the", "newt", "waits"])
    assert words_in(figure)[:6] == ["0.50", "0.00", "1.00", "0.25", "0.75", "0.50"]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["the", "newt", "waits"]
    assert_on_page(figure)


def test_rules_by_split():
    shares = pd.DataFrame({"val": [1, 1.0], "gen": [0, 0.695]}, index=["linear", "first noun"])
    figure = figures.rules_by_split(shares)
    assert words_in(figure) == ["1.00", "0.00", "1.00", "0.69"] or words_in(figure)[-1] == "0.70"
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["linear", "first noun"]
    assert_on_page(figure)


def test_trees():
    tree = (("the", "walrus"), ("does", "move"))
    assert spans(tree) == {(0, 3), (0, 1), (2, 3)}
    by_place = (0, (1, (2, 3)))
    figure = figures.trees({"gold": tree, "right": by_place}, words=leaves(tree), reference=tree)
    assert_on_page(figure)
    crosses = [[entry for entry in axes.get_lines() if entry.get_marker() == "X"] for axes in figure.axes]
    assert line_in(figure).startswith("Blue discs") and "gold, right" in repr(figure)
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
