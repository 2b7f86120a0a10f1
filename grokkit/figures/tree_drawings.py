"""Drawings of binary trees over words, and of matched brackets."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from grokkit.data.tree import Tree, leaves, spans
from grokkit.errors import GrokkitError
from grokkit.figures import style as s


def draw_tree(axes: Axes, tree: Tree, words: Sequence[str] | None = None, reference: Tree | None = None) -> None:
    """A tree as straight lines, words below.

    tree: nested tuples of words, or of positions 0..n-1 that `words` spells out. With a `reference` over as
    many leaves, nodes whose span the reference has too are blue discs, the others red crosses.
    """
    ends = leaves(tree)
    if words is not None and len(words) != len(ends):
        raise GrokkitError(f"a tree over {len(ends)} leaves cannot be drawn over {len(words)} words")
    if reference is not None and len(leaves(reference)) != len(ends):
        raise GrokkitError(f"cannot compare trees over {len(ends)} and {len(leaves(reference))} words")
    shared = spans(reference) if reference is not None else None
    names = [str(leaf) for leaf in ends] if words is None else list(words)

    def walk(node: Tree, first: int) -> tuple[float, int, int]:
        """Draws a subtree; returns x and height of its top and the first leaf after it."""
        if not isinstance(node, tuple):
            return float(first), 0, first + 1
        tops, after = [], first
        for child in node:
            x, height, after = walk(child, after)
            tops.append((x, height))
        x, height = sum(x for x, _ in tops) / len(tops), 1 + max(h for _, h in tops)
        for child_x, child_height in tops:
            axes.plot([x, child_x], [height, child_height], color=s.INK, lw=0.9, zorder=1)
        if shared is not None:
            hit = (first, after - 1) in shared
            axes.plot(x, height, "o" if hit else "X", color=s.BLUE if hit else s.RED, ms=5, zorder=2)
        return x, height, after

    _, top, n = walk(tree, 0)
    turned = {"ha": "right", "rotation": 45, "rotation_mode": "anchor"} if n > 6 else {"ha": "center"}
    for place, name in enumerate(names):
        axes.text(place, -0.15, name, va="top", fontsize=s.SMALL, **turned)
    axes.set(xlim=(-0.6, n - 0.4), ylim=(-0.2, max(top, 1) + 0.4))
    axes.axis("off")


def draw_brackets(axes: Axes, words: Sequence[str], predicted: str) -> None:
    """Matched brackets as arcs over the string; the `predicted` closing bracket is added at its end in blue."""
    opened, angles = [], np.linspace(0, np.pi, 31)
    turned = {"rotation": 90} if len(words) > 15 else {}
    for place, word in enumerate([*words, predicted]):
        color, weight, width = (s.BLUE, "bold", 1.6) if place == len(words) else (s.INK, "normal", 0.8)
        look = {"ha": "center", "va": "top", "fontsize": s.SMALL, "fontweight": weight, "color": color}
        axes.text(place, -0.1, word, **look, **turned)
        if word.startswith("("):
            opened.append(place)
        elif opened:
            left = opened.pop()
            half = (place - left) / 2
            axes.plot(left + half * (1 - np.cos(angles)), half**0.6 * np.sin(angles), color=color, lw=width)
    reach = max(1.0, ((len(words) + 1) / 2) ** 0.6)
    axes.set(xlim=(-0.8, len(words) + 0.8), ylim=(-0.15 * reach, reach * 1.1))
    axes.axis("off")


def trees(
    drawings: Mapping[str, Tree], words: Sequence[str] | None = None, reference: Tree | None = None
) -> s.PaperFigure:
    """Several trees over the same sentence, one below the other, with their names as titles.

    drawings: name -> tree; for words, reference see `draw_tree`.
    """
    if not drawings:
        raise GrokkitError("no tree to draw")
    marks = "Blue discs: spans that the reference tree has too; red crosses: spans that it does not have."
    text = f"Binary trees over one sentence: {', '.join(drawings)}."
    n = max(len(leaves(tree)) for tree in drawings.values())
    with s.style():
        figure = s.new_figure(max(5.0, 0.5 * n + 1), 2.4 * len(drawings), text, marks if reference is not None else "")
        for axes, (name, tree) in zip(figure.subplots(len(drawings), 1, squeeze=False)[:, 0], drawings.items()):
            draw_tree(axes, tree, words, reference)
            axes.set_title(name, loc="left")
    return figure
