"""How many lines of each split the rules of a task answer: the findings of Figure 1 and Table 1."""

import math
from collections.abc import Callable, Iterator, Mapping

import pandas as pd

from grokkit.data import TASKS, Corpus, Split, tense
from grokkit.errors import GrokkitError
from grokkit.report.statistics import wilson

SPLITS = ("train", "val", "gen")
LINES = 2000  # of a split, evenly spaced: a share is then known to about .02


def answers(rule: Callable[[str], str], split: Split, i: int, scored: Callable[[str], int] | None = None) -> bool:
    """Whether a rule gives the whole right answer to line i, or the right word at `scored(source)`; of bracket strings,
    every closing bracket."""
    try:
        if split.sources:
            answer, target = rule(f"{split.sources[i]} {split.labels[i]}").split(), split.targets[i].split()
            place = slice(None) if scored is None else scored(split.sources[i])
            return answer[place] == target[place]
        words = split.lines[i].split()
        return all(rule(" ".join(words[:k])) == word for k, word in enumerate(words) if word.endswith(")"))
    except GrokkitError:  # it has no answer
        return False


def share(rule: Callable[[str], str], split: Split, scored: Callable[[str], int] | None = None) -> tuple[int, int]:
    """Lines that the rule answers, of how many: all, or LINES of them."""
    lines = range(0, len(split), max(1, -(-len(split) // LINES)))
    return sum(answers(rule, split, i, scored) for i in lines), len(lines)


_SCORED: dict[str, Callable[[str], int]] = {"question": lambda source: 0, "tense": tense.main_verb}
"""Where the word stands that the paper's accuracy looks at. Source: paper, Section 3."""


def rule_shares(corpora: Mapping[str, Corpus], word: bool = False) -> pd.DataFrame:
    """Share of the lines of train, val and gen that each rule answers, a row a task and rule.

    word: only the word that the paper's accuracy looks at must be right: the first of a question, the main verb of a
    tense sentence. Other tasks have none and are left out then.
    """
    rows = {}
    for task, corpus in corpora.items():
        for name, rule in TASKS[task].rules.items() if not word or task in _SCORED else ():
            counts = {split: share(rule, corpus[split], _SCORED[task] if word else None) for split in SPLITS}
            rows[f"{task}: {name}"] = {split: k / n if n else math.nan for split, (k, n) in counts.items()}
    return pd.DataFrame(rows).T


def rule_findings(corpora: Mapping[str, Corpus]) -> Iterator[tuple]:
    """The rows of `gk.findings`, one a task and rule: its share of gen, and in words those of train and val."""
    if not isinstance(corpora, Mapping) or not corpora:
        raise GrokkitError("fig1 and table1 take corpora, e.g. {'question': gk.TASKS['question'].generate()}")
    for task, corpus in corpora.items():
        if task not in TASKS or not TASKS[task].rules:
            raise GrokkitError(f"{task} has no rules to count lines by: leave it out")
        for name, rule in TASKS[task].rules.items():
            found = {split: share(rule, corpus[split]) for split in SPLITS if len(corpus[split])}
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
            claim = f"{task}: the {name} rule gives the whole answer on the generalization set (gen), share of {lines}"
            yield claim, shares.get("gen", math.nan), *ends, n, lines, math.nan, said
