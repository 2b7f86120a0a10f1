"""Figure 1: what the tasks look like, what the two rules answer, and the structure behind it."""

import textwrap
from collections.abc import Mapping

from matplotlib.axes import Axes

from grokkit.errors import GrokkitError
from grokkit.figures import style as s
from grokkit.figures.trees import draw_brackets, draw_tree

SEARCHED = 2000  # lines of a split among which a short example is looked for
_RULES = {
    "dyck": ("Close the bracket opened last.", "Close the innermost open bracket."),
    "question": ("Move the first auxiliary.", "Move the auxiliary of the main verb."),
    "tense": ("Agree with the nearest noun.", "Agree with the verb's own subject."),
}


def _short(items: list, item: int, words) -> object:
    """The item-th shortest of `items`, ties in their order."""
    if not items:
        raise GrokkitError("no generalization item on which the two rules differ: is this the generalization split?")
    return sorted(items, key=lambda entry: len(words(entry).split()))[min(item, len(items) - 1)]


def example(task, corpus: Mapping, item: int = 0) -> dict[str, str]:
    """A training line and a generalization item with the answers of both rules.

    Keys: training, source, linear, hierarchical; for dyck, source is the prefix before a closing bracket.
    task: a Task with rules; corpus: its Corpus; item: 0 for the shortest fitting item, 1 for the next, ...
    """
    linear, hierarchical = task.rules["linear"], task.rules["hierarchical"]
    train, gen = corpus["train"], corpus["gen"]
    if task.name == "dyck":
        lines = _short([line for line in gen.lines[:SEARCHED] if _hard_prefixes(line, linear, hierarchical)], item, str)
        source = max(_hard_prefixes(lines, linear, hierarchical), key=len)
        training = _short(train.lines[:SEARCHED], item, str)
    else:
        asked = [i for i, label in enumerate(train.labels[:SEARCHED]) if label in ("quest", "PRESENT")]
        asked = [i for i in asked if train.sources[i] + " " != train.targets[i] + " "] or asked
        training = train.lines[_short(asked, item, lambda i: train.lines[i])]
        fits = [(x, label) for x, label in zip(gen.sources[:SEARCHED], gen.labels) if label in ("quest", "PRESENT")]
        source, label = _short([pair for pair in fits if linear(pair[0]) != hierarchical(pair[0])], item,
                               lambda pair: pair[0])
        return {"training": training, "source": f"{source} {label}", "linear": linear(source),
                "hierarchical": hierarchical(source)}
    return {"training": training, "source": source, "linear": linear(source), "hierarchical": hierarchical(source)}


def _hard_prefixes(line: str, linear, hierarchical) -> list[str]:
    """Prefixes before a closing bracket on which the rules differ."""
    words = line.split()
    prefixes = [" ".join(words[:i]) for i, word in enumerate(words) if i and word.endswith(")")]
    return [prefix for prefix in prefixes if linear(prefix) != hierarchical(prefix)]


def _write(axes: Axes, name: str, shown: dict[str, str], width: int) -> int:
    """Text of one column; returns the number of lines."""
    parts = [
        ("Training", shown["training"], s.INK), ("Generalization", shown["source"], s.INK),
        (f"Linear rule (fits the training set only): {_RULES[name][0]}", shown["linear"], s.RED),
        (f"Hierarchical rule (fits both): {_RULES[name][1]}", shown["hierarchical"], s.BLUE),
    ]
    row = 0
    for head, text, color in parts:
        for style, body in (("bold", head), ("normal", text)):
            for line in textwrap.wrap(body, width if style == "bold" else width - 4, break_long_words=False):
                axes.text(0 if style == "bold" else 0.02, -row, line, fontsize=7.5, fontweight=style, va="top",
                          color=color, family="sans-serif" if style == "bold" else "monospace")
                row += 1
        row += 0.5
    axes.axis("off")
    return row


def fig1(corpora: Mapping[str, Mapping], item: int = 0, tasks: Mapping | None = None) -> s.PaperFigure:
    """One column a task: a training line, a generalization item, what both rules make of it, and its structure: the
    gold tree, or the matched brackets of Dyck.

    corpora: task -> Corpus; item: which example, 0 the shortest; tasks: name -> Task, by default grokkit.data.TASKS.
    Source: paper, Figure 1.
    """
    if not corpora:
        raise GrokkitError("Figure 1 needs at least one corpus, e.g. {'question': task.generate()}")
    if tasks is None:
        from grokkit.data import TASKS as tasks
    names = [name for name in s.TASK_NAMES if name in corpora]
    shown = {name: example(tasks[name], corpora[name], item) for name in names}
    sources = sorted({corpora[name].source for name in names})
    caption = (
        "Figure 1. Examples. Both rules fit the training set; on the generalization set only the hierarchical rule is "
        "right. Answers are computed by the rules themselves. Below: the gold tree of the generalization item (Dyck: "
        f"its matched brackets, with the right closing bracket in blue). Data: {' and '.join(sources)}."
    )
    with s.style():
        figure = s.new_figure(4.2 * len(names), 4.9, caption)
        grid = figure.subplots(2, len(names), squeeze=False, gridspec_kw={"height_ratios": [1.25, 1]})
        for column, name in enumerate(names):
            text, drawing = grid[0][column], grid[1][column]
            text.set_title(f"({'abc'[column]}) {s.TASK_NAMES[name]}", loc="left", fontweight="bold")
            lines = _write(text, name, shown[name], 60)
            text.set(xlim=(0, 1), ylim=(-max(lines, 16), 0))
            source = shown[name]["source"]
            if name == "dyck":
                draw_brackets(drawing, source.split(), shown[name]["hierarchical"])
            else:
                draw_tree(drawing, tasks[name].gold_tree(source))
    return figure
