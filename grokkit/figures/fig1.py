"""Figure 1: what the tasks look like, what the two rules answer, and the structure behind it."""

import textwrap
from collections.abc import Mapping

from matplotlib.axes import Axes

from grokkit.data import TASKS
from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.figures.tree_drawings import draw_brackets, draw_tree
from grokkit.report.published import TASK_NAMES

SEARCHED = 2000  # lines of a split among which a short example is looked for
ASKED = ("quest", "PRESENT")  # labels whose target shows which rule was learned
_RULES = {
    "dyck": ("Last bracket opened", "neither set", "Innermost open bracket"),
    "question": ("First auxiliary moves", "the training set only", "Main auxiliary moves"),
    "tense": ("Verb agrees with nearest noun", "the training set only", "Verb agrees with its subject"),
}


def _nth_shortest(texts: list[str], item: int) -> int:
    """Index of the item-th shortest text, ties in their order."""
    if not texts:
        raise GrokkitError("no generalization item on which the two rules differ: is it the generalization split?")
    if not 0 <= item < len(texts):
        raise GrokkitError(f"item {item}: there are only the items 0 to {len(texts) - 1}")
    return sorted(range(len(texts)), key=lambda i: len(texts[i].split()))[item]


def _like(lines: list[str], length: int) -> str:
    """The first line whose number of words is closest to `length`."""
    return min(lines, key=lambda line: abs(len(line.split()) - length))


def _hard_prefixes(line: str, linear, hierarchical) -> list[str]:
    """Prefixes before a closing bracket on which the rules differ."""
    words = line.split()
    prefixes = [" ".join(words[:i]) for i, word in enumerate(words) if word.endswith(")")]
    return [prefix for prefix in prefixes if linear(prefix) != hierarchical(prefix)]


def example(task, corpus: Mapping, item: int = 0) -> dict[str, str]:
    """A training line of about the same length, a generalization item, and the answers of both rules to it.

    Keys: training, source, linear, hierarchical; for dyck, source is the prefix before a closing bracket.
    task: a Task with rules; corpus: its Corpus; item: 0 for the shortest item on which the rules differ, 1,
    ...
    """
    linear, hierarchical = task.rules["linear"], task.rules["hierarchical"]
    train, gen = corpus["train"], corpus["gen"]
    if task.name == "dyck":
        hard = [_hard_prefixes(line, linear, hierarchical) for line in gen.lines[:SEARCHED]]
        sources = [max(prefixes, key=len) for prefixes in hard if prefixes]
        lines = train.lines[:SEARCHED]
    else:
        sources = [
            f"{source} {label}"
            for source, label in zip(gen.sources[:SEARCHED], gen.labels)
            if label in ASKED and linear(source) != hierarchical(source)
        ]
        lines = [line for line, label in zip(train.lines[:SEARCHED], train.labels) if label in ASKED]
    source = sources[_nth_shortest(sources, item)]
    answers = {"linear": linear(source), "hierarchical": hierarchical(source)}
    training = _like(lines, len(f"{source} {answers['hierarchical']}".split()))
    return {"training": training, "source": source, **answers}


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
                axes.text(indent / 200, -row, line, fontsize=7.5, va="top", color=color, **look)
                row += 1
        row += 0.5
    axes.axis("off")
    return row


def fig1(corpora: Mapping[str, Mapping], item: int = 0, tasks: Mapping | None = None) -> s.PaperFigure:
    """One column a task: a training line, a generalization item, what both rules make of it, and its
    structure: the gold tree, or the matched brackets of Dyck.

    corpora: task -> Corpus; item: which example, 0 the shortest; tasks: name -> Task, by default
    grokkit.data.TASKS. Source: paper, Figure 1.
    """
    if not corpora:
        raise GrokkitError("Figure 1 needs at least one corpus, e.g. {'question': task.generate()}")
    tasks = TASKS if tasks is None else tasks
    names = [name for name in TASK_NAMES if name in corpora]
    shown = {name: example(tasks[name], corpora[name], item) for name in names}
    sources = sorted({corpora[name].source for name in names})
    caption = (
        "Figure 1. Examples; the answers are computed by the rules themselves. For Question-Formation and "
        "Tense-Inflection both rules fit the training set, and only the hierarchical one fits the "
        "generalization set. Below: the gold tree of the generalization item (Dyck: its matched brackets, "
        f"with the right closing bracket in blue). Data: {' and '.join(sources)}."
    )
    with s.style():
        figure = s.new_figure(4.2 * len(names), 4.6, caption)
        grid = figure.subplots(2, len(names), squeeze=False, gridspec_kw={"height_ratios": [1, 1]})
        lines = max(_write(axes, name, shown[name], 62) for axes, name in zip(grid[0], names))
        for letter, name, text, drawing in zip("abc", names, *grid):
            text.set_title(f"({letter}) {TASK_NAMES[name]}", loc="left", fontweight="bold")
            text.set(xlim=(0, 1), ylim=(-max(lines, 12), 0))
            if name == "dyck":
                draw_brackets(drawing, shown[name]["source"].split(), shown[name]["hierarchical"])
            else:
                draw_tree(drawing, tasks[name].gold_tree(shown[name]["source"]))
    return figure
