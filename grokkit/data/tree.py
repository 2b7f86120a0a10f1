"""Trees over the words of a sentence, as nested tuples. Nothing here recurses: a tree may be a thousand levels deep."""

from collections.abc import Iterable

from grokkit.errors import GrokkitError

Tree = str | int | tuple  # a leaf (a word, or its number from 0), or a tuple of trees


def leaves(tree: Tree) -> list:
    """The leaves from left to right.

    >>> leaves((("the", "walrus"), "moves"))
    ['the', 'walrus', 'moves']
    """
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting += reversed(node)
        else:
            found.append(node)
    return found


def spans(tree: Tree) -> set[tuple[int, int]]:
    """(first, last) leaf of every inner node, counted from 0, the whole tree included.

    >>> sorted(spans((("the", "walrus"), "moves")))
    [(0, 1), (0, 2)]
    """
    found, leaves_seen = set(), 0
    waiting: list = [(tree, None)]  # a node to enter, or None and the first leaf of a node to leave
    while waiting:
        node, first = waiting.pop()
        if first is not None:
            found.add((first, leaves_seen - 1))
        elif isinstance(node, tuple):
            waiting.append((None, leaves_seen))
            waiting += [(child, None) for child in reversed(node)]
        else:
            leaves_seen += 1
    return found


def tree_from_nodes(nodes: Iterable[tuple[int, int, int]], n: int) -> Tree:
    """The binary tree over the word numbers 0 .. n - 1 with these nodes (first, split, last), parents before children.

    >>> tree_from_nodes([(0, 0, 2), (1, 1, 2)], 3)
    (0, (1, 2))
    """
    done: dict[tuple[int, int], Tree] = {(word, word): word for word in range(n)}
    for first, split, last in reversed(list(nodes)):
        done[first, last] = (done[first, split], done[split + 1, last])
    return done[0, n - 1]


def read_tree(text: str) -> Tree:
    """The tree over words that a text in brackets writes; a bracket around one word is the word.

    >>> read_tree("((the walrus) (moves))")
    (('the', 'walrus'), 'moves')
    """
    open_nodes: list[list] = [[]]
    for part in text.replace("(", " ( ").replace(")", " ) ").split():
        if part == "(":
            open_nodes.append([])
        elif part != ")":
            open_nodes[-1].append(part)
        elif len(open_nodes) > 1 and (node := open_nodes.pop()):
            open_nodes[-1].append(tuple(node) if len(node) > 1 else node[0])
        else:
            raise GrokkitError(f"{text!r} is no tree in brackets: one is closed that is empty, or was not opened")
    if len(open_nodes) > 1 or len(open_nodes[0]) != 1:
        raise GrokkitError(f"{text!r} is no tree in brackets: write one, and close every bracket")
    return open_nodes[0][0]
