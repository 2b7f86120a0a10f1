"""Findings: what a table of results says about the claims behind each figure, a row each, in plain words.

The seed is the unit of every test and interval: of two trainings of a seed, which share data and initial weights, the
mean is taken first. Intervals are Student's, of differences between depths Welch's; of shares Wilson's where each seed
says yes or no; of correlations a bootstrap over seeds. Tests are permutations of seeds (`grokkit.report.claims`). A
claim holds, or its opposite does, where p is below .05; else it is undecided. Each row stands by itself: p is corrected
for further comparisons only where the row says so, and an interval is that of one comparison alone.
"""

import math
import re
from collections.abc import Mapping

import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.report import outcomes
from grokkit.report.claims import ALPHA, CONTRADICTED, SUPPORTED, Quantity
from grokkit.report.finding_rows import FIGURES, NEEDS, tasks_together
from grokkit.report.published import TASK_NAMES, cell_label
from grokkit.report.quantities import FIGURE_TASKS
from grokkit.report.rule_shares import rule_findings
from grokkit.report.verdict import lost_in_words
from grokkit.storage.table import RUN, refuse_two_configs

COLUMNS = ["claim", "value", "low", "high", "n", "unit", "p", "conclusion"]


class Findings(pd.DataFrame):
    """The rows of `findings`, or some of them, which a notebook shows with few digits and the texts flush left."""

    @property
    def _constructor(self) -> type["Findings"]:
        return Findings

    def _repr_html_(self) -> str:
        if self.empty or list(self.columns) != COLUMNS:
            return pd.DataFrame(self)._repr_html_()
        shown = pd.DataFrame({
            "claim": self.claim, "value": self.value.map(rounded),
            "95 %": self.low.map(rounded) + " to " + self.high.map(rounded),
            "n": self.n.astype(str) + " " + self.unit.str.split(",").str[0],
            "p": self.p.map(rounded), "conclusion": self.conclusion,
        })  # fmt: skip
        shown[["95 %", "n"]] = shown[["95 %", "n"]].replace(" ", "\N{NO-BREAK SPACE}", regex=True)
        with pd.option_context("display.max_colwidth", None):
            html = shown.to_html(index=False, border=0, justify="left")
        return re.sub(r"<(t[dh])>", r'<\1 align="left" style="text-align: left">', html)


def rounded(value: float) -> str:
    """A number as people read it; "" for nan.

    >>> rounded(0.00195), rounded(12345.6), rounded(0.5), rounded(float("nan"))
    ('0.002', '12,346', '0.5', '')
    """
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 3):.3g}" if abs(value) >= 5e-4 else f"{value:.1g}"


def findings(table: pd.DataFrame | Mapping, figure: str, again: pd.DataFrame | None = None) -> Findings:
    """The findings of a figure, one row each: claim, value, low, high (95 % interval), n, unit, p, conclusion.

    table: a results table of one preset; for "fig1" and "table1" corpora, task -> Corpus. figure: "fig1", "table1",
    "fig2", "fig3a", "fig3b", "fig4", "fig5". again: the table of a second training of the same preset. p is nan where
    nothing is tested. Any task that has the columns is shown, a user's own too. Raises GrokkitError for another
    figure, tables of several presets or configs, and where no task has what the figure shows.
    """
    if figure in ("fig1", "table1"):
        return Findings(rule_findings(table), columns=COLUMNS)
    if figure not in FIGURES:
        raise GrokkitError(f"no findings belong to {figure!r}: use fig1, table1, {', '.join(FIGURES)}")
    tables = [table] if again is None else [table, again]
    if not all(isinstance(part, pd.DataFrame) for part in tables):
        raise GrokkitError(f"the findings of {figure} need a results table; only fig1 and table1 take corpora")
    if len({outcomes.one_experiment(part) for part in tables}) > 1:
        raise GrokkitError("the second training belongs to another preset than the first: give two of one preset")
    refuse_two_configs(pd.concat(tables))
    runs, lost, away = (
        pd.concat([of(part) for part in tables], ignore_index=True)
        for of in (outcomes.runs, outcomes.failed_runs, outcomes.left_out)
    )
    unit = "seeds, means of two trainings" if runs.duplicated(RUN).any() else "seeds"
    there = set(runs.task)
    tasks = [*(task for task in FIGURE_TASKS[figure] if task in there), *sorted(there - set(TASK_NAMES))]
    found = [mine for task in tasks for mine in FIGURES[figure](runs[runs.task == task], table, task)]
    if figure == "fig3a":
        found += tasks_together(runs, tasks)
    if not found:
        raise GrokkitError(f"no run of the table has what {figure} shows: {NEEDS.get(figure, 'a run that ended')}")
    rows = [
        (f"{cell_label(mine.task, mine.depth)}: {mine.text}", mine.value, mine.low, mine.high, mine.n, unit, mine.p)
        + ("; ".join(filter(None, [conclusion(mine), lost_in_words(mine, lost, away)])),)
        for mine in found
    ]
    return Findings(rows, columns=COLUMNS)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"


def conclusion(mine: Quantity) -> str:
    """What the numbers say, in words."""
    if not mine.evidence:
        return mine.words
    if math.isnan(mine.p):
        return f"undecided: {mine.words}"
    zero_inside = mine.kind == "claim" and mine.low < 0 < mine.high
    said = {SUPPORTED: "holds", CONTRADICTED: "the opposite holds"}.get(mine.evidence, "")
    if said:
        said += ", but only just: the interval reaches beyond 0" if zero_inside else ""
    elif mine.least >= ALPHA:
        said = f"undecided: {mine.n} seeds are too few, no test of them gets below p = {mine.least:.2g}"
    else:
        fits = f"anything from {_number(mine.low)} to {_number(mine.high)} fits these seeds"
        said = f"undecided: {fits if zero_inside else f'p = {mine.p:.2g}'}"
    return "; ".join(filter(None, [said, mine.words]))
