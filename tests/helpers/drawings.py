"""What stands in a figure, for tests: its texts, lines and points, and whether all of it lies on the page."""

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from grokkit import figures


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


def points(axes) -> list:
    """Scattered points that have a place: (x, y, colour), in the order drawn."""
    drawn = [c for c in axes.collections if len(c.get_offsets())]
    return [(*xy, tuple(c.get_edgecolor()[0])) for c in drawn for xy in c.get_offsets()]


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
