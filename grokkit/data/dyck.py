"""Dyck-(k, m): well-nested brackets of k types, nested at most m deep.

A line is a string of tokens such as `(a (b b) a)`. Train strings come from a random walk on the stack. Val
strings have structures that train has, gen strings have one that train does not have; two definitions of
structure are offered:

components  the 0-1 shapes (opening, closing) of the top-level components, each taken alone: the released
data;
whole       the 0-1 vector of the whole string: the paper, Appendix A.

Source: DATA, section 3.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from grokkit.data import official
from grokkit.data.brackets import Strings, draw, draw_of_length, words_of
from grokkit.data.corpus import Corpus, Split, Task, Vocabulary, random_stream, split_sizes
from grokkit.errors import GrokkitError

KINDS, MAX_DEPTH = 20, 10
SIZES = {"train": 200_000, "val": 20_000, "gen": 20_000}  # paper, Table 1
STRUCTURES = ("components", "whole")
BLOCK = 8192  # strings drawn at once; another block gives other strings
PATIENCE = 200_000  # fresh strings without a single one for the split that is still short
SHARE_UNSEEN = 0.01  # of the strings of one length, to draw that length for gen_length_matched


def generate(
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    structure: str = "components",
    max_tokens: int = 0,
    *,
    kinds: int = KINDS,
    max_depth: int = MAX_DEPTH,
) -> Corpus:
    """Train, val, gen and gen_length_matched from a seed; `sizes` are numbers of strings, by default those
    of Table 1.

    structure: "components" or "whole", see above. max_tokens: strings with more tokens are left out of
    every split (0: none are). Val repeats no train string; nothing else is made unique. Gen strings are
    much longer than val strings; gen_length_matched has as many strings of unseen structure, each as long
    as a val string (those val strings in turn that are long enough for unseen structure to be found), and
    is empty where val has none.
    """
    n = split_sizes(sizes, SIZES)
    if structure not in STRUCTURES:
        raise GrokkitError(f"dyck structure is one of {', '.join(STRUCTURES)}, not {structure!r}")
    if (
        isinstance(max_tokens, bool)
        or not isinstance(max_tokens, int)
        or not (max_tokens == 0 or max_tokens >= 4)
    ):
        raise GrokkitError(f"max_tokens is 0 (no limit) or a whole number from 4 on, not {max_tokens!r}")
    if n["val"] and not n["train"]:
        raise GrokkitError(
            "dyck val strings have structures of train: with no train strings there can be no val"
        )
    train: list[str] = []
    known: set[bytes] = set()
    for strings in _blocks(
        random_stream(seed, f"dyck {kinds} {max_depth} train"), kinds, max_depth, max_tokens
    ):
        strings = strings.first(n["train"] - len(train))
        train += strings.lines(kinds)
        known.update(*strings.structures(structure))
        if len(train) == n["train"]:
            break
    rng = random_stream(seed, f"dyck {kinds} {max_depth} fresh")
    fresh = _blocks(rng, kinds, max_depth, max_tokens)
    val, gen = _val_and_gen(fresh, structure, known, set(train), n["val"], n["gen"], kinds)
    rng = random_stream(seed, f"dyck {kinds} {max_depth} length-matched")
    matched = _length_matched(rng, val, n["gen"], structure, known, kinds, max_depth)
    splits = {"train": train, "val": val, "gen": gen, "gen_length_matched": matched}
    vocab = Vocabulary(words_of(kinds))
    return Corpus("dyck", vocab, "generated", {name: Split(lines) for name, lines in splits.items()})


def _blocks(rng: np.random.Generator, kinds: int, max_depth: int, max_tokens: int) -> Iterator[Strings]:
    while True:
        yield draw(rng, BLOCK, kinds, max_depth, max_tokens)


def _is_seen(structures: Collection[bytes], known: set[bytes]) -> bool:
    return all(structure in known for structure in structures)


def _val_and_gen(
    fresh: Iterator[Strings],
    structure: str,
    known: set[bytes],
    train: set[str],
    val_size: int,
    gen_size: int,
    kinds: int,
) -> tuple[list[str], list[str]]:
    """Sort fresh strings by whether train has their structure. GrokkitError if one of the splits cannot be
    filled."""
    val: list[str] = []
    gen: list[str] = []
    in_vain = {"val": 0, "gen": 0}
    while len(val) < val_size or len(gen) < gen_size:
        strings = next(fresh)
        before = {"val": len(val), "gen": len(gen)}
        for line, structures in zip(strings.lines(kinds), strings.structures(structure), strict=True):
            if not _is_seen(structures, known):
                if len(gen) < gen_size:
                    gen.append(line)
            elif len(val) < val_size and line not in train:
                val.append(line)
        for name, split, size in (("val", val, val_size), ("gen", gen, gen_size)):
            in_vain[name] = in_vain[name] + BLOCK if len(split) == before[name] else 0
            if len(split) < size and in_vain[name] > PATIENCE:
                raise GrokkitError(
                    f"only {len(split)} of {size} dyck {name} strings were found, none in {PATIENCE} draws: "
                    "change the train size or max_tokens"
                )
    return val, gen


def _length_matched(
    rng: np.random.Generator,
    val: list[str],
    size: int,
    structure: str,
    known: set[bytes],
    kinds: int,
    max_depth: int,
) -> list[str]:
    """Strings of unseen structure as long as val strings. Lengths with hardly any unseen structure are left
    out."""
    lengths = [line.count(" ") + 1 for line in val]

    def unseen(length: int, count: int) -> list[str]:
        strings = draw_of_length(rng, count, length, kinds, max_depth)
        pairs = zip(strings.lines(kinds), strings.structures(structure), strict=True)
        return [line for line, structures in pairs if not _is_seen(structures, known)]

    pool: dict[int, list[str]] = {}
    probe = 1000
    for length in sorted(set(lengths)):
        found = unseen(length, probe)
        if len(found) >= SHARE_UNSEEN * probe:
            pool[length] = found
    eligible = [length for length in lengths if length in pool]
    if not eligible:
        return []
    wanted = [eligible[i % len(eligible)] for i in range(size)]
    for length in pool:
        missing = wanted.count(length) - len(pool[length])
        while missing > 0:
            found = unseen(length, probe)
            pool[length] += found
            missing -= len(found)
    sources = {length: iter(lines) for length, lines in pool.items()}
    return [next(sources[length]) for length in wanted]


def closers(line: str) -> list[tuple[int, int, int]]:
    """For each closing bracket: position (0-based, in tokens), distance from its opening bracket, depth of
    the pair.

    GrokkitError if the brackets do not match.

    >>> closers("(a (b b) a)")
    [(2, 1, 2), (3, 3, 1)]
    """
    found, stack = [], []
    for position, token in enumerate(line.split()):
        if token.startswith("("):
            stack.append((token[1:], position))
            continue
        if not stack or token != f"{stack[-1][0]})":
            raise GrokkitError(f"unbalanced brackets at token {position + 1}, {token!r}: {_shortened(line)}")
        found.append((position, position - stack[-1][1], len(stack)))
        stack.pop()
    if stack:
        raise GrokkitError(f"unbalanced brackets, {len(stack)} not closed: {_shortened(line)}")
    return found


def _shortened(line: str) -> str:
    return repr(line if len(line) <= 80 else line[:77] + "...")


def top_of_stack(prefix: str) -> str:
    """The closing bracket of the last bracket that is still open: the hierarchical rule.

    >>> top_of_stack("(a (b b)")
    'a)'
    """
    stack = []
    for token in prefix.split():
        if token.startswith("("):
            stack.append(token[1:])
        elif not stack or token != f"{stack.pop()})":
            raise GrokkitError(f"unbalanced brackets at {token!r}: {_shortened(prefix)}")
    if not stack:
        raise GrokkitError(f"no bracket is open: {_shortened(prefix)}")
    return f"{stack[-1]})"


def last_opened(prefix: str) -> str:
    """The closing bracket of the last bracket that was opened, whether or not it is closed already: a
    linear rule.

    >>> last_opened("(a (b b)")
    'b)'
    """
    for token in reversed(prefix.split()):
        if token.startswith("("):
            return f"{token[1:]})"
    raise GrokkitError(f"no bracket was opened: {_shortened(prefix)}")


RULES = {"hierarchical": top_of_stack, "linear": last_opened}


def _check(line: str, vocab: Vocabulary, max_depth: int) -> None:
    """GrokkitError for unknown brackets, brackets that do not match, and too deep ones."""
    vocab.encode(line)
    deepest = max((depth for _, _, depth in closers(line)), default=0)
    if deepest > max_depth:
        raise GrokkitError(
            f"brackets nested {deepest} deep, at most {max_depth} are allowed: {_shortened(line)}"
        )


def read(folder: str | Path | None = None, verify: bool = True) -> Corpus:
    """The released files k-20_d-10_train.txt, _val.txt and _test.txt (as "gen") in `folder` (default: the
    cache)."""
    vocab = Vocabulary(words_of(KINDS))
    check = partial(_check, vocab=vocab, max_depth=MAX_DEPTH)
    return Corpus("dyck", vocab, "official", official.read_strings("dyck", folder, check, verify))


def make_dyck(kinds: int, max_depth: int) -> Task:
    """The task Dyck-(kinds, max_depth), of which gk.TASKS has (20, 10). The released files are those of
    (20, 10)."""
    for name, value in (("kinds", kinds), ("max_depth", max_depth)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise GrokkitError(f"{name} of a Dyck language is a whole number from 1 on, not {value!r}")
    vocab = Vocabulary(words_of(kinds))
    if (kinds, max_depth) == (KINDS, MAX_DEPTH):
        return Task("dyck", vocab, SIZES, generate, read, rules=RULES)
    draw_corpus = partial(generate, kinds=kinds, max_depth=max_depth)
    return Task(f"dyck-{kinds}-{max_depth}", vocab, SIZES, draw_corpus, rules=RULES)


TASK = make_dyck(KINDS, MAX_DEPTH)
