"""What models make of one sentence: answers against the rules, attention by part, chart, induced and gold tree."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from grokkit.data.tree import spans
from grokkit.figures import style as s
from grokkit.figures.heat_maps import draw_heat_map
from grokkit.figures.tree_drawings import draw_brackets, draw_tree

SIZE = 8  # of text, in points
CHARACTER, LINE = 0.602 * SIZE / 72, 1.5 * SIZE / 72  # width of a monospaced one, height of a line [inches]
NEITHER = "#882255"  # the word of neither rule
NAMES = 15  # characters before the words


def sentence(looks: Mapping[object, Any]) -> s.PaperFigure:
    """A row of panels for each look (see `grokkit.ask`) at the same sentence, by step; all answers stand on top."""
    names = [f"step {name:,}" if isinstance(name, int) else str(name) for name in looks]
    shown = list(looks.values())
    one, n, single = shown[0], len(shown[0].words), len(shown) == 1
    parts = one.attention.shape[1] - 2
    widths = [(0.7 if parts < 5 else 0.22) * parts + 1.0, 0.14 * n + 1.9, max(2.7, 0.16 * n + 0.8)]
    width, tall, low = max(8.6, sum(widths)), max(2.1, 0.14 * n + 1.0), max(1.8, 0.1 * n + 0.9)
    texts = {"asked": one.asked, **one.rules, **{name: look.answer for name, look in zip(names, shown)}}
    words = {name: text.split() for name, text in texts.items()}
    lines = list(_lines(words, int((width - 0.2) / CHARACTER) - NAMES))
    key = textwrap.wrap(_key(one), int(width * 17))
    top, below = LINE * sum(len(line) + 0.7 for line in lines), 0.15 * len(key) + 0.1
    height = top + tall * len(shown) + low + below
    grid = [[f"attention {i}", f"chart {i}", f"tree {i}"] for i in range(len(shown))]
    grid.append(["attention 0", "chart 0", "gold"] if single else [".", ".", "gold"])
    least = np.floor(10 * min(0.9, *(np.nanmin(look.chart) for look in shown))) / 10
    with s.style():
        rect = (0, below / height, 1, 1 - (top + below) / height)
        layout = ConstrainedLayoutEngine(rect=rect, w_pad=0.08, h_pad=0.08)
        figure = s.PaperFigure(figsize=(width, height), layout=layout)
        panels: dict[str, Axes] = figure.subplot_mosaic(
            grid, width_ratios=widths, height_ratios=[tall] * len(shown) + [low]
        )
        _write(figure, one, lines)
        figure.text(0.1 / width, 0.08 / height, "\n".join(key), fontsize=SIZE, va="bottom", color=s.INK)
        for i, (name, look) in enumerate(zip(names, shown)):
            _draw_attention(panels[f"attention {i}"], look, "" if single else f"{name}: ", single)
            _draw_chart(panels[f"chart {i}"], look, least)
            draw_tree(panels[f"tree {i}"], look.tree, reference=look.gold)
            panels[f"tree {i}"].set_title(
                f"induced tree, F1 {look.parseval.f1:.2f}" if look.parseval else "induced tree"
            )
        _draw_gold(panels["gold"], one)
    return figure


def _key(look: Any) -> str:
    trees = " Blue discs: spans of the gold tree; red crosses: other spans." if look.gold is not None else ""
    words = "Bold: the word asked for; italics: of neither rule."
    return f"{look.model}. {words} White dots: spans of the induced tree.{trees}"


def _lines(rows: Mapping[str, list[str]], room: int) -> Iterator[dict[str, dict[int, tuple[int, str]]]]:
    """Lines that are wide enough for rows of words, the i-th words of all below each other: of each line, the rows that
    have words there, and of these i -> column and word."""
    line: dict[str, dict[int, tuple[int, str]]] = {}
    at = 0
    for i, same in enumerate(zip_longest(*rows.values())):
        longest = max(len(word) for word in same if word)
        if at + longest > room:
            yield line
            line, at = {}, 0
        for name, word in zip(rows, same):
            if word:
                line.setdefault(name, {})[i] = at, word
        at += longest + 1
    yield line


def _write(figure: s.PaperFigure, one: Any, lines: Sequence[Mapping[str, Mapping[int, tuple[int, str]]]]) -> None:
    """The sentence, the answers of the rules and of the models, word below word, from the top of the figure."""
    width, height = figure.get_size_inches()
    colors = {name: s.BLUE if name == "hierarchical" else s.RED for name in one.rules}
    says = {name: answer.split() for name, answer in one.rules.items()}
    row = 0.7

    def put(text: str, column: float, **look) -> None:
        x, y = (0.1 + column * CHARACTER) / width, 1 - row * LINE / height
        figure.text(x, y, text, fontsize=SIZE, va="center", family="monospace", **look)

    for line in lines:
        for name, words in line.items():
            put(name, 0, color=colors.get(name, s.INK), fontweight="bold")
            for i, (column, word) in words.items():
                like = [rule for rule in says if word in says[rule][i : i + 1]]
                look = {"color": colors[like[0]] if like else NEITHER, "fontstyle": "normal" if like else "italic"}
                if name == "asked" or len(like) == len(says):
                    look = {"color": s.INK}
                weight = "bold" if i == one.place and name != "asked" else "normal"
                put(word, NAMES + column, fontweight=weight, **look)
            row += 1
        row += 0.7


def _draw_attention(axes: Axes, look: Any, name: str, single: bool) -> None:
    table, answer = look.attention, look.answer.split()
    shares, heads = table.drop(columns=["layer", "head"]), table["head"].max()
    few = shares.shape[1] < 5
    labels = list(shares)
    if few:  # over each other: the name of the part, then its words
        labels = ["\n".join([*part.split(), *(look.words[i] for i in look.parts.get(part, []))]) for part in shares]
    annotated = single and few and len(table) < 25
    draw_heat_map(axes, shares, annotated, vmin=0, cbar=not annotated, xticklabels=labels, linewidths=0.5)
    axes.hlines(np.arange(heads, len(table), heads), 0, shares.shape[1], color="white", lw=3)
    axes.set_yticks(np.arange(heads / 2, len(table), heads), sorted(set(table.layer)))
    axes.tick_params("x", rotation=0 if few else 90)
    axes.tick_params("y", rotation=0)
    word = f"“{answer[look.place]}”" if look.place < len(answer) else "the end"
    axes.set(title=f"{name}attention that gives {word}", ylabel="layer (a row a head)")


def _draw_chart(axes: Axes, look: Any, least: float) -> None:
    """The chart as a heat map, its colours from `least` on."""
    every = 1 + len(look.words) // 24
    names = [word if i % every == 0 else "" for i, word in enumerate(look.words)]
    bar = {"label": "similarity", "shrink": 0.7, "ticks": MaxNLocator(5)}
    draw_heat_map(axes, look.chart, False, vmin=least, square=True, xticklabels=names, yticklabels=names, cbar_kws=bar)
    dots = np.array(sorted(spans(look.tree))).reshape(-1, 2) + 0.5
    axes.plot(dots[:, 1], dots[:, 0], "o", ms=3, mfc="white", mec=s.INK, mew=0.6)
    axes.tick_params("x", rotation=90)
    axes.tick_params("y", rotation=0)
    axes.set_title("chart: span from row to column word")
    axes.set_anchor("N")


def _draw_gold(axes: Axes, look: Any) -> None:
    if look.gold is not None:
        draw_tree(axes, look.gold)
        axes.set_title("gold tree")
    elif "open bracket" in look.parts:
        draw_brackets(axes, look.words, look.rules["hierarchical"])
        axes.set_title("brackets, the right one in blue")
    else:
        s.empty_panel(axes, "no gold tree is known")
