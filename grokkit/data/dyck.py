"""Dyck-(k, m): well-nested brackets of k types, nested at most m deep.

A line is a string of tokens such as `(a (b b) a)`. Train strings come from a random walk on the stack. Val
strings have structures that train has, gen strings have one that train does not have; two definitions of
structure are offered:

components  the 0-1 shapes (opening, closing) of its top-level components, each alone: the released data;
whole       the 0-1 vector of the whole string: the paper, Appendix A.

Source: DEVIATIONS.md, D10 to D12.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from grokkit.data import official
from grokkit.data.brackets import MIN_TOKENS, draw, draw_of_length, words_of
from grokkit.data.corpus import Corpus, Split, Task, Vocabulary, at_least, random_stream, split_sizes
from grokkit.errors import GrokkitError
from grokkit.values import one_of

KINDS, MAX_DEPTH = 20, 10
SIZES = {"train": 200_000, "val": 20_000, "gen": 20_000}  # paper, Table 1
BLOCK = 8192  # strings drawn at once; another block gives other strings
PATIENCE = 200_000  # fresh strings without a single one for the split that is still short
PROBE = 1000  # strings of one length drawn at once
SHARE_UNSEEN = 0.01  # of the strings of a length that must have unseen structure to match that length


@dataclass(frozen=True)
class _Language:
    """What is drawn, and what its structure is. GrokkitError for an impossible one."""

    kinds: int
    max_depth: int
    max_tokens: int = 0
    structure: str = "components"

    def __post_init__(self) -> None:
        least = {"kinds": 1, "max_depth": 1, "max_tokens": MIN_TOKENS if self.max_tokens else 0}
        for name, number in least.items():
            what = "max_tokens (0: no limit)" if name == "max_tokens" else f"{name} of a Dyck language"
            object.__setattr__(self, name, at_least(number, getattr(self, name), what))  # by value: 20.0 is 20
        one_of("dyck structure", self.structure, ("components", "whole"))

    def draw(self, rng: np.random.Generator, length: int = 0) -> list[tuple[str, list[bytes]]]:
        """Strings as text, with their structures: BLOCK of any length, or PROBE of `length` tokens."""
        if length:
            strings = draw_of_length(rng, PROBE, length, self.kinds, self.max_depth)
        else:
            strings = draw(rng, BLOCK, self.kinds, self.max_depth, self.max_tokens)
        return list(zip(strings.lines(self.kinds), strings.structures(self.structure), strict=True))

    def stream(self, seed: int, purpose: str) -> np.random.Generator:
        return random_stream(seed, f"dyck {self.kinds} {self.max_depth} {purpose}")


def generate(
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    structure: str = "components",
    max_tokens: int = 0,
    *,
    kinds: int = KINDS,
    max_depth: int = MAX_DEPTH,
) -> Corpus:
    """Train, val, gen and gen_length_matched from a seed; `sizes` (default: Table 1) are numbers of strings.

    - structure: "components" or "whole", see above
    - max_tokens: strings with more tokens are left out of every split (0: none are)

    Val repeats no train string; nothing else is made unique. Gen strings are much longer than val strings, so
    gen_length_matched has as many strings of unseen structure that are each as long as a val string. They
    take their lengths from those val strings in turn that are long enough for unseen structure to be found
    (about 20 tokens with the default sizes); where no val string is, the split is empty.
    """
    n = split_sizes(sizes, SIZES)
    language = _Language(kinds, max_depth, max_tokens, structure)
    if n["val"] and not n["train"]:
        raise GrokkitError("dyck val strings have structures of train strings: there must be some to have val")
    train, known = _train(language, seed, n["train"])
    splits = {"train": train} | _val_and_gen(language, seed, {"val": n["val"], "gen": n["gen"]}, set(train), known)
    splits["gen_length_matched"] = _length_matched(language, seed, n["gen"], splits["val"], known)
    vocab = Vocabulary(words_of(language.kinds))
    return Corpus("dyck", vocab, "generated", {name: Split(lines) for name, lines in splits.items()})


def _train(language: _Language, seed: int, size: int) -> tuple[list[str], set[bytes]]:
    """Training strings, and the structures that they have."""
    train: list[str] = []
    known: set[bytes] = set()
    rng = language.stream(seed, "train")
    while len(train) < size:
        for line, structures in language.draw(rng)[: size - len(train)]:
            train.append(line)
            known.update(structures)
    return train, known


def _val_and_gen(
    language: _Language, seed: int, missing: dict[str, int], train: set[str], known: set[bytes]
) -> dict[str, list[str]]:
    """Fresh strings, sorted by whether train has their structures. GrokkitError if a split cannot be filled.

    missing: how many val and gen strings to find.
    """
    splits: dict[str, list[str]] = {"val": [], "gen": []}
    rng, drawn, found_at = language.stream(seed, "fresh"), 0, {"val": 0, "gen": 0}
    while any(missing.values()):
        drawn += BLOCK
        for line, structures in language.draw(rng):
            name = "val" if known.issuperset(structures) else "gen"
            if missing[name] and not (name == "val" and line in train):
                splits[name].append(line)
                missing[name] -= 1
                found_at[name] = drawn
        for name, count in missing.items():
            if count and drawn - found_at[name] > PATIENCE:
                raise GrokkitError(
                    f"{count} dyck {name} strings are missing, and none was found in {PATIENCE} draws: "
                    "change the size of train or max_tokens"
                )
    return splits


def _length_matched(language: _Language, seed: int, size: int, val: list[str], known: set[bytes]) -> list[str]:
    """Strings of unseen structure as long as val strings, without the lengths that hardly have any."""
    rng = language.stream(seed, "length-matched")
    lengths = [line.count(" ") + 1 for line in val]

    def unseen(length: int) -> list[str]:
        return [line for line, found in language.draw(rng, length) if not known.issuperset(found)]

    pool = {length: unseen(length) for length in sorted(set(lengths))} if size else {}
    eligible = [length for length in lengths if len(pool.get(length, ())) >= SHARE_UNSEEN * PROBE]
    wanted = [eligible[i % len(eligible)] for i in range(size)] if eligible else []
    for length, count in sorted(Counter(wanted).items()):
        while len(pool[length]) < count:
            pool[length] += unseen(length)
    take = {length: iter(lines) for length, lines in pool.items()}
    return [next(take[length]) for length in wanted]


def _matched(line: str) -> tuple[list[tuple[int, int, int]], list[tuple[str, int]]]:
    """What `closers` gives, and the brackets that are still open: (the word that closes it, position).

    GrokkitError for a closing bracket that does not match.
    """
    found, stack = [], []
    for position, token in enumerate(line.split()):
        if token.startswith("("):
            stack.append((f"{token[1:]})", position))
            continue
        if not stack or token != stack[-1][0]:
            raise GrokkitError(f"unbalanced brackets at token {position + 1}, {token!r}: {line[:80]!r}")
        found.append((position, position - stack[-1][1], len(stack)))
        stack.pop()
    return found, stack


def closers(line: str) -> list[tuple[int, int, int]]:
    """For each closing bracket: position (from 0, in tokens), distance from its opening bracket, depth of the pair.

    GrokkitError if the brackets do not match.

    >>> closers("(a (b b) a)")
    [(2, 1, 2), (3, 3, 1)]
    """
    found, still_open = _matched(line)
    if still_open:
        raise GrokkitError(f"unbalanced brackets, {len(still_open)} not closed: {line[:80]!r}")
    return found


def top_of_stack(prefix: str) -> str:
    """The closing bracket of the last bracket that is still open: the hierarchical rule.

    >>> top_of_stack("(a (b b)")
    'a)'
    """
    _, still_open = _matched(prefix)
    if not still_open:
        raise GrokkitError(f"no bracket is open: {prefix[:80]!r}")
    return still_open[-1][0]


def last_opened(prefix: str) -> str:
    """The closing bracket of the last bracket that was opened, closed already or not: a linear rule.

    >>> last_opened("(a (b b)")
    'b)'
    """
    opened = [token for token in prefix.split() if token.startswith("(")]
    if not opened:
        raise GrokkitError(f"no bracket was opened: {prefix[:80]!r}")
    return f"{opened[-1][1:]})"


RULES = {"hierarchical": top_of_stack, "linear": last_opened}


def read(
    folder: str | Path | None = None, verify: bool = True, *, kinds: int = KINDS, max_depth: int = MAX_DEPTH
) -> Corpus:
    """The released files: one string a line, which may end in the word END; the file called test is "gen".

    folder, verify, errors: see `official.read_lines`. Refused are unknown brackets, brackets that do not match,
    and too deep ones.
    """
    vocab = Vocabulary(words_of(kinds))

    def parse(line: str) -> str:
        words = line.split()
        line = " ".join(words[:-1] if words[-1:] == ["END"] else words)
        vocab.encode(line)
        if not line:
            raise GrokkitError("an empty line")
        deepest = max(depth for _, _, depth in closers(line))
        if deepest > max_depth:
            raise GrokkitError(f"brackets nested {deepest} deep, at most {max_depth} are allowed: {line[:80]!r}")
        return line

    splits = {"train": "train", "val": "val", "test": "gen"}
    names = {f"k-{kinds}_d-{max_depth}_{ending}.txt": split for ending, split in splits.items()}
    lines = official.read_lines(_name(kinds, max_depth), names, parse, folder, verify)
    return Corpus("dyck", vocab, "official", {name: Split(lines) for name, lines in lines.items()})


def _name(kinds: int, max_depth: int) -> str:
    return "dyck" if (kinds, max_depth) == (KINDS, MAX_DEPTH) else f"dyck-{kinds}-{max_depth}"


def make_dyck(kinds: int, max_depth: int) -> Task:
    """The task Dyck-(kinds, max_depth). Released are files of (20, 10), which is in gk.TASKS, and of (10, 10)."""
    language = _Language(kinds, max_depth)
    kinds, max_depth = language.kinds, language.max_depth
    draw_corpus, read_files = (partial(function, kinds=kinds, max_depth=max_depth) for function in (generate, read))
    return Task(_name(kinds, max_depth), Vocabulary(words_of(kinds)), SIZES, draw_corpus, read_files, rules=RULES)


TASK = make_dyck(KINDS, MAX_DEPTH)
