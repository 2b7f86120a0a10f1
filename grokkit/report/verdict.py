"""Verdicts: this kit's numbers against the published ones, and against what a preset is expected to give.

PASS: inside the tolerance (numbers), or supported at 5 % (claims). OUTSIDE: beyond it, or contradicted at 5
%. NOT COMPARABLE: everything else, with the reason in `note`; always so for presets smaller than the paper.

Tolerances. A mean: half-width of the 95 % prediction interval, the range in which the mean of n runs falls
when they come from the distribution of the reference runs (their sd and number); it does not grow with the
spread of the new runs. A share: the largest deviation of k/n that Fisher's exact test accepts at 5 %. A size:
0. So of twenty true reproductions one is OUTSIDE by chance. Where a tolerance would accept more than half of
all possible values (or, for a quantity without bounds, zero), it says nothing, and the verdict is NOT
COMPARABLE. Whole curves, and the beginnings of runs, are judged step by step: see `grokkit.report.openings`.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.presets import preset_name
from grokkit.report import openings
from grokkit.report.claims import ALPHA, CONTRADICTED, SUPPORTED, Quantity
from grokkit.report.outcomes import at_end, failed_runs, left_out, one_experiment, takes_results
from grokkit.report.published import LAST_STEP, PAPER_SCALE, cell_label, incomparable, published
from grokkit.report.quantities import FIGURE_TASKS, FIGURES, quantities_of, sizes
from grokkit.report.results import read_record
from grokkit.report.statistics import fisher_exact, prediction_half_width
from grokkit.storage.files import figures_root, write_text
from grokkit.values import one_of

PASS, OUTSIDE, NOT_COMPARABLE = "PASS", "OUTSIDE", "NOT COMPARABLE"
ALL_SEEDS = "_20_seeds"
COLUMNS = ["quantity", "published", "expected", "yours", "tolerance", "verdict", "against_expected", "note"]
COLUMNS += ["figure", "task", "depth", "value", "sd", "n"]  # for further use
_EXPECTED = ["figure", "quantity", "task", "depth", "value", "sd", "n"]


def judge(mine: Quantity, value: float, sd: float, n: float) -> tuple[float, str, str]:
    """A quantity against a reference (value, sd over n runs): tolerance, verdict, and the reason where there is none.

    >>> judge(Quantity("gen_at_end", "question", 6, "", "mean", 0.90, 0.1, 10, width=1.0), 0.93, 0.1, 10)[1]
    'PASS'
    >>> judge(Quantity("ever_share", "question", 6, "", "share", 0.5, n=10), 1.0, math.nan, 10)[1]
    'OUTSIDE'
    """
    if math.isnan(mine.value) or math.isnan(value):
        return math.nan, NOT_COMPARABLE, mine.note if math.isnan(mine.value) else "no reference number"
    if mine.kind == "share":
        hits = round(value * n)
        accepted = [k for k in range(mine.n + 1) if fisher_exact(k, mine.n, hits, int(n)) >= ALPHA]
        if len(accepted) == mine.n + 1:
            return math.nan, NOT_COMPARABLE, f"n = {mine.n}: every possible outcome would pass"
        inside = round(mine.value * mine.n) in accepted
        return max(abs(k / mine.n - value) for k in accepted), PASS if inside else OUTSIDE, ""
    if mine.kind == "correlation":
        return math.nan, NOT_COMPARABLE, f"{mine.n} and {int(n)} seeds leave a correlation open"
    if math.isnan(sd) or n < 3:
        return math.nan, NOT_COMPARABLE, "the reference has no spread over seeds"
    rounding = 1e-5 * abs(value)  # records keep six significant digits
    tolerance = max(prediction_half_width(sd, int(n), mine.n), mine.resolution, rounding)
    if math.isnan(mine.width):
        says_nothing = tolerance >= abs(value)
    else:  # the part of the range [0, 1] or [-1, 1] that would pass
        low = 0.0 if mine.width == 1 else -1.0
        says_nothing = min(1.0, value + tolerance) - max(low, value - tolerance) > mine.width / 2
    if says_nothing:
        return tolerance, NOT_COMPARABLE, f"n = {mine.n}: a tolerance of {tolerance:.2g} accepts too much"
    return tolerance, PASS if abs(mine.value - value) <= tolerance else OUTSIDE, ""


def _yours(mine: Quantity) -> str:
    if mine.kind == "share":
        return f"{round(mine.value * mine.n)}/{mine.n}"
    number, steps = "", abs(mine.value) >= 1000
    if not math.isnan(mine.value):
        spread = "" if math.isnan(mine.sd) else f" ± {mine.sd:{',.0f' if steps else '.3g'}}"
        number = f"{mine.value:{',.0f' if steps else '.4g'}}{spread} (n = {mine.n})"
    return ": ".join(filter(None, [mine.evidence, number]))


def _against_paper(mine: Quantity, row: pd.Series | None, preset: str, end: int) -> tuple[float, str, str]:
    """Tolerance, verdict and reason; end: the last step of the runs behind the quantity."""
    reason, wanted = incomparable(preset, mine.task), LAST_STEP[mine.task]
    if not reason and end != wanted:
        reason = f"the runs end at step {end:,}, the published ones at {wanted:,}"
    if reason:
        return math.nan, NOT_COMPARABLE, reason
    if mine.kind == "claim":
        return math.nan, {SUPPORTED: PASS, CONTRADICTED: OUTSIDE}.get(mine.evidence, NOT_COMPARABLE), ""
    if row is None:
        return math.nan, NOT_COMPARABLE, "no number was published"
    return judge(mine, row.value, row.sd, row.n)


def lost_in_words(mine, lost: pd.DataFrame, away: pd.DataFrame) -> str:
    """What is said of the failed runs, and of those that are not counted for another reason."""
    failed, others = (
        rows[(rows.task == mine.task) & ((rows.depth == mine.depth) | (mine.depth is None))] for rows in (lost, away)
    )
    count = len(failed)
    texts = [f"{count} failed run{'s' if count > 1 else ''} left out"] if count else []
    return "; ".join([*texts, *(f"{why}: left out" for why in others.why)])


def expected(preset: str) -> pd.DataFrame:
    """What a preset should give: figures/<preset>/expected.csv (figure, quantity, task, depth, value, sd, n);
    empty where there is none."""
    path = figures_root() / preset / "expected.csv"
    if not path.is_file():
        return pd.DataFrame(columns=_EXPECTED)
    try:
        table = pd.read_csv(path, index_col=False, dtype=dict.fromkeys(("depth", "value", "sd", "n"), float))
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        way_out = "get it from git, or write it anew with 'grokkit record'"
        raise GrokkitError(f"cannot read {path} ({error}): {way_out}") from error
    if list(table.columns) != _EXPECTED:
        raise GrokkitError(f"{path} must have the columns {', '.join(_EXPECTED)}: write it anew with 'grokkit record'")
    return table


def write_expected(preset: str, table: pd.DataFrame) -> Path:
    """Writes figures/<preset>/expected.csv from a results table, at every depth it holds; returns the path."""
    rows = [
        (figure, mine.name, mine.task, mine.depth, mine.value, mine.sd, mine.n)
        for figure, tasks in FIGURE_TASKS.items()
        if set(tasks) & set(table.task)
        for mine in quantities_of(table, figure, all_depths=True)
        if not math.isnan(mine.value)
    ]
    frame = pd.DataFrame(rows, columns=_EXPECTED).astype({"depth": "Int64"})
    path = figures_root() / preset / "expected.csv"
    write_text(path, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    return path


def _find(rows: pd.DataFrame, figure: str, name: str, mine: Quantity) -> pd.Series | None:
    same = rows[(rows.figure == figure) & (rows.quantity == name) & (rows.task == mine.task)]
    same = same[same.depth.isna()] if mine.depth is None else same[same.depth == mine.depth]
    return same.iloc[0] if len(same) else None


def _by_step(table: pd.DataFrame, figure: str, lost: pd.DataFrame, away: pd.DataFrame) -> list[dict]:
    """Rows about whole curves. `published`: how many values of a published run that was left out lie inside."""
    rows = []
    for cell in openings.cells(table, figure).itertuples():
        word = NOT_COMPARABLE if math.isnan(cell.least) else PASS if cell.k >= cell.least else OUTSIDE
        text = f"{cell_label(cell.task, cell.depth)}: values inside the published band up to step {cell.until:,}"
        rows.append({
            "quantity": text, "published": cell.expected, "yours": f"{cell.k}/{cell.m}",
            "tolerance": cell.expected - cell.least, "verdict": word, "against_expected": NOT_COMPARABLE,
            "note": "; ".join(filter(None, [cell.note, lost_in_words(cell, lost, away)])),
            "figure": figure, "task": cell.task, "depth": cell.depth, "value": cell.k, "n": cell.n,
        })  # fmt: skip
    return rows


def verdict(table: pd.DataFrame | Mapping, figure: str, preset: str | None = None) -> pd.DataFrame:
    """The numbers and claims of a figure, one row each: quantity, published, expected, yours, tolerance,
    verdict, against_expected, note, and for further use figure, task, depth, value, sd, n.

    table: a results table of one preset; for "table1" the corpora, task -> Corpus, and the preset they belong
    to. figure: "table1", "fig2", "fig3" (= "fig3a" and "fig3b"), "fig4", "fig5". `tolerance` belongs
    to the comparison with the paper, or where there is none, with the expectation. Raises GrokkitError for
    another figure, a table of several presets, and missing metrics.
    """
    figure = one_of("figure", figure, ("table1", "fig3", *FIGURES))
    if figure != "table1":
        return _judged(table, figure)
    why, found = "" if preset is None else incomparable(preset_name(preset), ""), sizes(table)
    same = (found["size"] == found.published).map({True: PASS, False: OUTSIDE})
    return found.assign(
        quantity=found.task + ": sentences in " + found.split, expected=math.nan,
        yours=[f"{row.size:,} ({table[row.task].source})" for row in found.itertuples()],
        tolerance=0.0, verdict=NOT_COMPARABLE if why else same, against_expected=NOT_COMPARABLE, note=why,
        figure="table1", depth=pd.NA, value=found["size"], sd=math.nan, n=1,
    )[COLUMNS]  # fmt: skip


@takes_results("preset")
def _judged(table: pd.DataFrame, figure: str) -> pd.DataFrame:
    names = ["fig3a", "fig3b"] if figure == "fig3" else [figure]
    found = [(name, mine) for name in names for mine in quantities_of(table, name)]
    judged = table[table.task.isin([mine.task for _, mine in found])]
    preset, lost, away = one_experiment(table), failed_runs(table), left_out(judged)
    paper_rows, expected_rows, rows = published(), expected(preset), []
    ends = at_end(judged).groupby(["task", "depth"]).step.max()
    path = figures_root() / preset / "results.csv"
    whole = read_record(path).groupby("task").step.max() if path.is_file() and len(expected_rows) else {}
    for name, mine in found:
        end = int(ends[mine.task].max() if mine.depth is None else ends[mine.task, mine.depth])
        hope = _find(expected_rows, name, mine.name, mine)
        near, against, doubt = math.nan, NOT_COMPARABLE, ""
        if hope is not None and end < (goal := whole.get(mine.task, 0)):  # an opening
            doubt = f"the runs end at step {end:,}, those expected at {goal:,}"
        elif hope is not None:
            near, against, doubt = judge(mine, hope.value, hope.sd, hope.n)
        for suffix in ("", ALL_SEEDS):
            paper_row = _find(paper_rows, name, mine.name + suffix, mine)
            if suffix and (paper_row is None or incomparable(preset, mine.task)):
                continue
            tolerance, word, why = _against_paper(mine, paper_row, preset, end)
            notes = [mine.note, why, lost_in_words(mine, lost, away), doubt and f"expectation: {doubt}"]
            text = f"{cell_label(mine.task, mine.depth)}: {mine.text}"
            rows.append({
                "quantity": text + (" (all 20 published seeds)" if suffix else ""),
                "published": math.nan if paper_row is None else paper_row.value,
                "expected": math.nan if hope is None else hope.value,
                "yours": _yours(mine), "tolerance": near if math.isnan(tolerance) else tolerance,
                "verdict": word, "against_expected": against, "note": "; ".join(dict.fromkeys(filter(None, notes))),
                "figure": name, "task": mine.task, "depth": mine.depth, "value": mine.value, "sd": mine.sd, "n": mine.n,
            })  # fmt: skip
    if preset in PAPER_SCALE:
        steps = [row for name in names for row in _by_step(judged, name, lost, away)]
        rows += [row for row in steps if not incomparable(preset, row["task"])]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"depth": "Int64"})
