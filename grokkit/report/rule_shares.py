"""How many lines of each split the rules of a task answer: the findings of Figure 1 and Table 1."""

import math
from collections.abc import Callable, Iterator, Mapping

from grokkit.data import TASKS, Corpus, Split
from grokkit.errors import GrokkitError
from grokkit.report.statistics import wilson

LINES = 2000  # of a split, evenly spaced: a share is then known to about .02


def answers(rule: Callable[[str], str], split: Split, i: int) -> bool:
    """Whether a rule gives the whole right answer to line i; of bracket strings, every closing bracket."""
    try:
        if split.sources:
            return rule(f"{split.sources[i]} {split.labels[i]}") == split.targets[i]
        words = split.lines[i].split()
        return all(rule(" ".join(words[:k])) == word for k, word in enumerate(words) if word.endswith(")"))
    except GrokkitError:  # it has no answer
        return False


def share(rule: Callable[[str], str], split: Split) -> tuple[int, int]:
    """Lines that the rule answers, of how many: all, or LINES of them."""
    lines = range(0, len(split), max(1, -(-len(split) // LINES)))
    return sum(answers(rule, split, i) for i in lines), len(lines)


def rule_shares(corpora: Mapping[str, Corpus]) -> Iterator[tuple]:
    """The rows of `gk.findings`, one a task and rule: its share of gen, and in words those of train and val."""
    if not isinstance(corpora, Mapping) or not corpora:
        raise GrokkitError("fig1 and table1 take corpora, e.g. {'question': gk.TASKS['question'].generate()}")
    for task, corpus in corpora.items():
        if task not in TASKS or not TASKS[task].rules:
            raise GrokkitError(f"{task} has no rules to count lines by: leave it out")
        for name, rule in TASKS[task].rules.items():
            found = {split: share(rule, corpus[split]) for split in ("train", "val", "gen") if len(corpus[split])}
            shares = {split: k / n for split, (k, n) in found.items()}
            fits = [split for split, value in shares.items() if value == 1]
            said = "fits " + (" and ".join(fits) or "no split") + " without a mistake; "
            said += ", ".join(f"{value:.3f} of {split}" for split, value in shares.items())
            if "train" in fits and "gen" not in fits:
                said += ": training data do not speak against it, gen does"
            elif "gen" in fits and "train" not in fits:
                said += ": gen cannot tell it from the right rule, training data can"
            (k, n), lines = found.get("gen", (0, 0)), "sentences" if corpus["gen"].sources else "strings"
            ends = wilson(k, n) if n else (math.nan, math.nan)
            claim = f"{task}: the rule {name} gives the whole answer on the generalization set (gen), share of {lines}"
            yield claim, shares.get("gen", math.nan), *ends, n, lines, math.nan, said
