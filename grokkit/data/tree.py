"""Trees over the words of a sentence, as nested tuples. Nothing here recurses: a tree may be a thousand levels deep."""

import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from grokkit.errors import GrokkitError

Tree = str | int | tuple  # a leaf (a word, or its number from 0), or a tuple of trees
HOW_TO_READ = "grokkit.trees.read_tree reads lists and bracketed text"
# What a treebank's labels look like: NP-SBJ, PRP$, -NONE-, and those of punctuation marks.
_LABEL = re.compile(r"[A-Z][A-Z0-9$|<>=+*^@&_/-]*|-[A-Z]+-|[.,:#$]|``|''")
_CLOSE = object()


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


def checked_leaves(tree: Any) -> list:
    """The leaves, where they are the words of a sentence, or their numbers from 0 in order.

    Raises GrokkitError for anything else: a list, a bracketed text, a node without words, a number out of place.
    """
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            if not node:
                raise GrokkitError("a tree without words, or with a node without any: leave empty sentences out")
            waiting += node
        elif isinstance(node, bool) or not isinstance(node, (str, int, np.integer)):
            raise GrokkitError(f"a tree is nested tuples of words, it has no {type(node).__name__}: {HOW_TO_READ}")
        elif isinstance(node, str) and (len(node.split()) != 1 or node[0] + node[-1] == "()" or node[:2] == '["'):
            raise GrokkitError(f"the text {node[:60]!r} is not one word: {HOW_TO_READ}")
    found = leaves(tree)
    numbers = [leaf for leaf in found if not isinstance(leaf, str)]
    if numbers and found != list(range(len(found))):
        raise GrokkitError(
            f"the leaves of a tree are its words, or the numbers of the words from 0 in order, not {found[:9]}"
        )
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


def read_tree(given: object, labels: bool | None = None) -> Tree:
    """The tree that brackets, with or without labels, nested lists or JSON write. A node with one child is its child.

    labels: whether the word that a node begins with is its label. By default it is where all nodes begin with one in
    capitals, as a treebank's do (its outermost bracket may have none).

    >>> read_tree("(the (newt sleeps))"), read_tree("(S (NP the newt) (VP sleeps))"), read_tree([["a", "yak"], "reads"])
    (('the', ('newt', 'sleeps')), (('the', 'newt'), 'sleeps'), (('a', 'yak'), 'reads'))

    Raises GrokkitError for what is no tree, and where words could be labels or labels words.
    """
    nested = _from_text(given) if isinstance(given, str) else given
    if not isinstance(nested, (list, tuple)):
        raise GrokkitError(
            f"a tree is read from brackets or nested lists, not from {type(given).__name__} {given!r:.60}"
        )
    labelled = _has_labels(nested) if labels is None else labels
    done: list[list] = [[]]  # the children that each open node has so far
    waiting: list = [nested]
    while waiting:
        node = waiting.pop()
        if node is _CLOSE:
            children = done.pop()
            if not children:
                raise GrokkitError(f"a node of this tree has no words: {given!r:.60}")
            done[-1].append(children[0] if len(children) == 1 else tuple(children))
        elif isinstance(node, (list, tuple)):
            done.append([])
            waiting += [_CLOSE, *reversed(node[labelled and _first_word(node) is not None :])]
        else:
            done[-1].append(node)
    checked_leaves(done[0][0])
    return done[0][0]


def _from_text(text: str) -> list:
    """The nested lists of a text in brackets, or in JSON."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise GrokkitError(f"a text that begins with [ is read as JSON, and {text:.60} is none: {error}") from None
    opened: list[list] = [[]]
    for part in re.findall(r"[()]|[^\s()]+", text):
        if part == "(":
            opened.append([])
            opened[-2].append(opened[-1])
        elif part != ")":
            opened[-1].append(part)
        elif len(opened) == 1:
            raise GrokkitError(f"a bracket is closed that was not opened: {text!r:.60}")
        else:
            opened.pop()
    if len(opened) > 1 or len(opened[0]) != 1 or not isinstance(opened[0][0], list):
        raise GrokkitError(f"a tree is written in one pair of brackets, as in (the (newt sleeps)), not {text!r:.60}")
    return opened[0][0]


def _first_word(node: list | tuple) -> str | None:
    """The word that a node begins with, which may be its label. Nodes of nltk have their label apart."""
    return node[0] if node and isinstance(node[0], str) and not hasattr(node, "label") else None


def _has_labels(tree: list | tuple) -> bool:
    """Whether nodes begin with labels. GrokkitError where some do, or where the labels may be words."""
    outermost_has_none = len(tree) == 1 and isinstance(tree[0], (list, tuple))
    nodes = [tree[0] if outermost_has_none else tree]
    for node in nodes:  # which grow on the way
        nodes += [child for child in node if isinstance(child, (list, tuple))]
    first = [_first_word(node) for node in nodes]
    found = [word for word in first if word is not None and _LABEL.fullmatch(word)]
    if not found:
        return False
    words = [leaf for node in nodes for leaf in node[1:] if isinstance(leaf, str)]
    may_be_words = {"I", "A"} & set(found) or all(_LABEL.fullmatch(word) for word in words)
    if 1 < len(nodes) == len(found) and not may_be_words:
        return True
    raise GrokkitError(f"{found[0]!r} may be a label or a word: give labels=True or labels=False to read_tree")
