"""Full-size and official corpora, made once for all tests of a process, and a test that compares them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

from scipy.stats import chi2_contingency
from shared import shared_path

from grokkit.data import TASKS, Corpus


@cache
def full_corpus(task: str, seed: int = 0) -> Corpus:
    """The corpus of Table 1 sizes."""
    return TASKS[task].generate(seed)


@cache
def official_corpus(task: str) -> Corpus:
    """The official val and gen files of question or tense; skips the calling test if they are not at hand."""
    files = [shared_path(f"reference/splits/{task}.{ending}") for ending in ("dev", "gen")]
    return TASKS[task].read(files[0].parent)


def same_distribution(first: Iterable | Mapping, second: Iterable | Mapping, at_least: int = 10) -> float:
    """p-value of the chi-square test that two samples, or tables of counts, have one distribution.

    at_least: categories with fewer items in both samples together are pooled, so that expected counts are not
    too small for the chi-square approximation.
    """
    one, two = Counter(first), Counter(second)
    rows = [(one[k], two[k]) for k in sorted(one | two, key=repr)]
    common = [row for row in rows if sum(row) >= at_least]
    rare = [row for row in rows if sum(row) < at_least]
    pooled = tuple(map(sum, zip(*rare, strict=True)))
    if rare and sum(pooled) >= at_least:
        common.append(pooled)
    assert len(common) > 1, "nothing to compare: all items are in one category"
    return chi2_contingency(list(zip(*common, strict=True))).pvalue
