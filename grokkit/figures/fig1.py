"""Figure 1: what the tasks look like, what the two rules answer, and the structure behind it."""

import textwrap
from collections.abc import Mapping

from matplotlib.axes import Axes

from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.figures.tree_drawings import draw_brackets, draw_tree
from grokkit.report.published import TASK_NAMES
from grokkit.values import one_whole_number

SEARCHED = 2000  # lines of a split among which a short example is looked for
_RULES = {
    "dyck": ("Last bracket opened", "neither set", "Innermost open bracket"),
    "question": ("First auxiliary moves", "the training set only", "Main auxiliary moves"),
    "tense": ("Verb agrees with nearest noun", "the training set only", "Verb agrees with its subject"),
}


def example(task, corpus: Mapping, item: int = 0) -> dict[str, str]:
    """A training line of about the same length, a generalization item, and the answers of both rules to it.

    Keys: training, source, linear, hierarchical; for dyck, source is the longest prefix of a line before a closing
    bracket. task: a Task with rules; corpus: its Corpus; item: 0 for the shortest item on which the rules differ,
    1, ...
    """
    linear, hierarchical = task.rules["linear"], task.rules["hierarchical"]
    train, gen, sources = corpus["train"], corpus["gen"], []
    if task.name == "dyck":
        lines = train.lines[:SEARCHED]
        for words in map(str.split, gen.lines[:SEARCHED]):
            prefixes = [" ".join(words[:i]) for i, word in enumerate(words) if word.endswith(")")]
            sources += [prefix for prefix in prefixes if linear(prefix) != hierarchical(prefix)][-1:]
    else:
        lines = [line for line, label in zip(train.lines[:SEARCHED], train.labels) if label == task.labels[0]]
        asked = [
            f"{source} {label}" for source, label in zip(gen.sources[:SEARCHED], gen.labels) if label == task.labels[0]
        ]
        sources = [source for source in asked if linear(source) != hierarchical(source)]
    if not 0 <= item < len(sources):
        raise GrokkitError(f"item {item}: the generalization split has {len(sources)} on which the two rules differ")
    source = sorted(sources, key=_words)[item]
    answers = {"linear": linear(source), "hierarchical": hierarchical(source)}
    length = _words(f"{source} {answers['hierarchical']}")
    return {"training": min(lines, key=lambda line: abs(_words(line) - length)), "source": source, **answers}


def _words(text: str) -> int:
    return len(text.split())


def _write(axes: Axes, name: str, shown: dict[str, str], width: int) -> float:
    """Text of one column from 0 downwards; returns the number of lines it takes."""
    linear, fits, hierarchical = _RULES[name]
    parts = [
        ("Training", shown["training"], s.INK),
        ("Generalization", shown["source"], s.INK),
        (f"Linear rule (fits {fits}): {linear}", shown["linear"], s.RED),
        (f"Hierarchical rule (fits both): {hierarchical}", shown["hierarchical"], s.BLUE),
    ]
    row = 0.0
    for head, text, color in parts:
        for body, indent, look in ((head, 0, {"fontweight": "bold"}), (text, 4, {"family": "monospace"})):
            for line in textwrap.wrap(body, width - indent, break_long_words=False):
                axes.text(indent / 140, -row, line, fontsize=s.SMALL, va="top", color=color, **look)
                row += 1
        row += 0.5
    axes.axis("off")
    return row


def fig1(corpora: Mapping[str, Mapping], item: int = 0) -> s.PaperFigure:
    """One column a task: a training line, a generalization item, what both rules make of it, and its
    structure: the gold tree, or the matched brackets of Dyck.

    corpora: task -> Corpus; item: which example, 0 the shortest. Source: paper, Figure 1.
    """
    item = one_whole_number("item", item)
    if not corpora:
        raise GrokkitError("Figure 1 needs at least one corpus, e.g. {'question': task.generate()}")
    names = [name for name in TASK_NAMES if name in corpora]
    shown = {name: example(TASKS[name], corpora[name], item) for name in names}
    text = (
        "Figure 1. Examples, answered by the rules themselves. Below: the gold tree of the generalization item (Dyck: "
        "its brackets, the right closing one in blue)."
    )
    line = f"Data: {' and '.join(sorted({corpora[name].source for name in names}))}."
    with s.style():
        figure = s.new_figure(3.2 * len(names), 5.2, text, line)
        grid = figure.subplots(2, len(names), squeeze=False, gridspec_kw={"height_ratios": [1.5, 1]})
        lines = max(_write(axes, name, shown[name], 44) for axes, name in zip(grid[0], names))
        for letter, name, text, drawing in zip("abc", names, *grid):
            text.set_title(f"({letter}) {TASK_NAMES[name]}", loc="left", fontweight="bold")
            text.set(xlim=(0, 1), ylim=(-max(lines, 12), 0))
            if name == "dyck":
                draw_brackets(drawing, shown[name]["source"].split(), shown[name]["hierarchical"])
            else:
                draw_tree(drawing, TASKS[name].gold_tree(shown[name]["source"]))
    return figure
