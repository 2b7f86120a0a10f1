"""Dyck-(k, m): well-nested brackets of k types, nested at most m deep.

A line is a string of tokens such as `(a (b b) a)`. Train strings come from a random walk on the stack. Val
strings have structures that train has, gen strings have one that train does not have; two definitions of
structure are offered:

components  the 0-1 shapes (opening, closing) of its top-level components, each alone: the released data;
whole       the 0-1 vector of the whole string: the paper, Appendix A.

Source: DEVIATIONS.md, D10 to D12.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
PROBE = 1000  # strings of one length drawn at once
SHARE_UNSEEN = 0.01  # of the strings of a length that must have unseen structure to match that length


@dataclass(frozen=True)
class _Language:
    """What is drawn, and what its structure is."""

    kinds: int
    max_depth: int
    max_tokens: int
    structure: str

    def labelled(self, strings: Strings) -> list[tuple[str, list[bytes]]]:
        """Each string as text, with its structures."""
        return list(zip(strings.lines(self.kinds), strings.structures(self.structure), strict=True))

    def blocks(self, rng: np.random.Generator) -> Iterator[list[tuple[str, list[bytes]]]]:
        """Fresh strings with their structures, without end."""
        while True:
            yield self.labelled(draw(rng, BLOCK, self.kinds, self.max_depth, self.max_tokens))

    def of_length(self, rng: np.random.Generator, length: int) -> list[tuple[str, list[bytes]]]:
        """PROBE strings of `length` tokens with their structures."""
        return self.labelled(draw_of_length(rng, PROBE, length, self.kinds, self.max_depth))

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
    if structure not in STRUCTURES:
        raise GrokkitError(f"dyck structure is one of {', '.join(STRUCTURES)}, not {structure!r}")
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 0 or 0 < max_tokens < 4:
        raise GrokkitError(f"max_tokens is 0 (no limit) or a whole number from 4 on, not {max_tokens!r}")
    if n["val"] and not n["train"]:
        raise GrokkitError("dyck val strings have structures of train strings: there must be some to have val")
    language = _Language(kinds, max_depth, max_tokens, structure)
    train, known = _train(language, seed, n["train"])
    val, gen = _val_and_gen(language, seed, n["val"], n["gen"], set(train), known)
    matched = _length_matched(language, seed, n["gen"], val, known)
    splits = {"train": train, "val": val, "gen": gen, "gen_length_matched": matched}
    vocab = Vocabulary(words_of(kinds))
    return Corpus("dyck", vocab, "generated", {name: Split(lines) for name, lines in splits.items()})


def _train(language: _Language, seed: int, size: int) -> tuple[list[str], set[bytes]]:
    """Training strings, and the structures that they have."""
    train: list[str] = []
    known: set[bytes] = set()
    blocks = language.blocks(language.stream(seed, "train"))
    while len(train) < size:
        for line, structures in next(blocks)[: size - len(train)]:
            train.append(line)
            known.update(structures)
    return train, known


def _is_seen(structures: list[bytes], known: set[bytes]) -> bool:
    return all(structure in known for structure in structures)


def _val_and_gen(
    language: _Language, seed: int, val_size: int, gen_size: int, train: set[str], known: set[bytes]
) -> tuple[list[str], list[str]]:
    """Fresh strings, sorted by whether train has their structures. GrokkitError if one cannot be filled."""
    splits: dict[str, list[str]] = {"val": [], "gen": []}
    missing = {"val": val_size, "gen": gen_size}
    in_vain = {"val": 0, "gen": 0}
    blocks = language.blocks(language.stream(seed, "fresh"))
    while any(missing.values()):
        in_vain = {name: count + BLOCK for name, count in in_vain.items()}
        for line, structures in next(blocks):
            name = "val" if _is_seen(structures, known) else "gen"
            if missing[name] and not (name == "val" and line in train):
                splits[name].append(line)
                missing[name] -= 1
                in_vain[name] = 0
        for name, count in missing.items():
            if count and in_vain[name] > PATIENCE:
                raise GrokkitError(
                    f"{count} dyck {name} strings are missing, and none was found in {PATIENCE} draws: "
                    "change the size of train or max_tokens"
                )
    return splits["val"], splits["gen"]


def _length_matched(language: _Language, seed: int, size: int, val: list[str], known: set[bytes]) -> list[str]:
    """Strings of unseen structure as long as val strings, without the lengths that hardly have any."""
    rng = language.stream(seed, "length-matched")
    lengths = [line.count(" ") + 1 for line in val]

    def unseen(length: int) -> list[str]:
        return [line for line, found in language.of_length(rng, length) if not _is_seen(found, known)]

    pool = {length: unseen(length) for length in sorted(set(lengths))} if size else {}
    eligible = [length for length in lengths if len(pool.get(length, ())) >= SHARE_UNSEEN * PROBE]
    wanted = [eligible[i % len(eligible)] for i in range(size)] if eligible else []
    for length, count in sorted(Counter(wanted).items()):
        while len(pool[length]) < count:
            pool[length] += unseen(length)
    take = {length: iter(lines) for length, lines in pool.items()}
    return [next(take[length]) for length in wanted]


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
        raise GrokkitError(f"brackets nested {deepest} deep, at most {max_depth} are allowed: {_shortened(line)}")


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
