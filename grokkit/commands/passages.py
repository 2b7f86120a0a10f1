"""The passages of README and docs that follow from the record: `make render` writes them between their marks."""

import csv
import math
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pandas as pd

from grokkit.commands.reproduce import NOTEBOOKS
from grokkit.commands.settings import second_training
from grokkit.presets import PRESETS
from grokkit.report.findings import findings, rounded
from grokkit.report.openings import cells, verdict_by_step
from grokkit.report.published import layers, published
from grokkit.report.quantities import quantities_of
from grokkit.report.results import own_depths, results
from grokkit.report.verdict import OUTSIDE, verdict
from grokkit.storage.table import RUN

PRESET, UNTIL = "laptop", 15_000
FIGURES = {"fig2": "Figure 2", "fig3a": "Figure 3a", "fig3b": "Figure 3b", "fig4": "Figure 4", "fig5": "Figure 5"}
LINES = {  # what a line of the README says: figure, and words of the findings that answer it
    "Generalization comes late, gen still rises after val first reaches .99": ("fig2", "first reaches .99"),
    "By the other reading of early stopping, it rises after the first maximum of val": ("fig2", "first maximum"),
    "The best medium depth generalizes better, as a mean over question and tense": ("fig3a", "(mean over"),
    "An inverted U in one task, the best medium depth above both ends": ("fig3a", "inverted U"),
    "t_score, how tree-like the computation is, singles out the best depth": ("fig3b", "highest at the depth that"),
    "Trees read off the models fit syntax better than right-branching ones": ("fig4", "induced trees are closer"),
}

CONTROLS = {  # file in figures/controls/, and what is wrong in it
    "no_schedule": "the scheduler is forgotten: the rate is 1e-4 from the first step on",
    "no_dropout": "dropout is forgotten: 0 in place of .1",
}


@cache
def _tables() -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The record, and its second training where there is one."""
    return results(PRESET, source="record"), second_training(PRESET, "record")


@cache
def _found(figure: str) -> pd.DataFrame:
    """The findings of the record; but for Figure 3a at the preset's own depths, as in the notebooks."""
    table, again = _tables()
    return findings(table if figure == "fig3a" else own_depths(table), figure, again)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _two(value: float) -> str:
    return f"{round(value, 2) + 0:.2f}"  # + 0: no -0.00


def found_and_not() -> str:
    """A line a claim: what holds, what does not, what is undecided."""
    lines = []
    for says, (figure, words) in LINES.items():
        rows = _found(figure)
        rows = rows[rows.claim.str.contains(words, regex=False)]
        if figure == "fig4":  # at the middle depth alone
            middle = [f"{task}, {layers(cell.depth)}:" for task, cell in PRESETS[PRESET].items()]
            rows = rows[[claim.startswith(tuple(middle)) for claim in rows.claim]]
        answers = [
            f"{_named(row.claim)} **{re.split('[;:]', row.conclusion)[0]}**"
            f" ({_two(row.value)} [{_two(row.low)}, {_two(row.high)}])"
            for row in rows.itertuples()
        ]
        lines.append(f"- {says}: {'; '.join(answers)}.")
    lines.append(f"\nAt the paper's size the first {UNTIL:,} of 300,000 steps have been run: {openings()}.")
    return "\n" + "\n".join(lines) + "\n"


def _named(claim: str) -> str:
    """What tells a claim from others of its line: depths that it counts besides, the end of the depths, its task."""
    found = re.search("; (with .*?), where", claim) or re.search(r"(than the \w+) \(mean", claim)
    return found[1] if found else re.split("[:,]", claim)[0]


def _openings() -> pd.DataFrame:
    return results("as-run", ["question", "tense"], source="record", until=UNTIL)


def openings() -> str:
    """How many values of the record's openings lie inside the published bands."""
    table, wrong = _openings(), (_controls().verdict == OUTSIDE).sum()
    found = pd.concat([cells(table, figure) for figure in ("fig2", "fig3b", "fig4")]).drop_duplicates(["task", "depth"])
    runs = table.drop_duplicates(RUN)
    return (
        f"{found.k.sum()} of {found.m.sum()} values of {len(runs)} runs inside the published bands,"
        f" {found.expected.sum():.0f} expected; the verdict told apart {wrong} of"
        f" {len(CONTROLS)} runs that were made wrong on purpose ([openings](docs/openings.md))"
    )


def openings_at_end() -> str:
    """The openings' values at their last step, each beside its published band."""
    values = verdict_by_step(_openings())
    rows = [
        (
            f"{row.task}, {layers(row.depth)}", row.metric, str(row.n), rounded(row.value), rounded(row.published),
            f"{rounded(row.low)} to {rounded(row.high)}", "inside" if row.inside else "OUTSIDE",
        )
        for row in values[values.step == UNTIL].itertuples()
    ]  # fmt: skip
    return _table(("cell", "metric", "runs", "mean", "published", "band", ""), rows)


@cache
def _controls() -> pd.DataFrame:
    """The verdicts on the wrong experiments, judged as if they were runs of as-run."""
    rows = [
        verdict(results(name, source="controls", until=UNTIL), "fig2").assign(wrong=CONTROLS[name]) for name in CONTROLS
    ]
    table = pd.concat(rows)
    return table[table.quantity.str.contains("inside the published band")]


def controls() -> str:
    """A line a wrong experiment: is it told apart from a right one?"""
    rows = [
        (row.wrong, row.verdict, f"{row.yours} ({row.published:.1f})", row.note) for row in _controls().itertuples()
    ]
    return _table(("wrong experiment", "verdict", "inside (expected)", "which are not"), rows)


def all_findings() -> str:
    """Every row of `gk.findings` on the record, a table a figure."""
    parts = []
    for figure, name in FIGURES.items():
        rows = [
            (
                row.claim,
                rounded(row.value),
                f"{rounded(row.low)} to {rounded(row.high)}",
                rounded(row.p),
                row.conclusion,
            )
            for row in _found(figure).itertuples()
        ]
        n, unit = _found(figure)[["n", "unit"]].iloc[0]
        parts.append(f"\n### {name} ({n} {unit})\n" + _table(("claim", "value", "95 %", "p", "conclusion"), rows))
    return "".join(parts)


def beside_published() -> str:
    """Means of the published curves beside those of the record, each at its own best depth."""
    table, rows = own_depths(_tables()[0]), []
    for figure in ("fig2", "fig3a", "fig3b", "fig4"):
        for mine in quantities_of(table, figure):
            known = published(figure, mine.task)
            known = known[(known.quantity == mine.name) & (known.depth == PRESETS["as-run"][mine.task].depth)]
            if known.empty or mine.depth != PRESETS[PRESET][mine.task].depth:
                continue
            theirs, spread = known.iloc[0], "" if math.isnan(mine.sd) else f" ± {rounded(mine.sd)}"
            rows.append((
                mine.task, mine.text, f"{rounded(theirs.value)} ({layers(int(theirs.depth))})",
                f"{rounded(mine.value)}{spread} ({layers(mine.depth)})",
            ))  # fmt: skip
    return _table(("task", "", "published", f"`{PRESET}`, mean ± standard deviation over seeds"), rows)


def minutes() -> str:
    """Which figure, which notebook, which command, how long."""
    with open(Path(__file__).with_name("minutes.csv"), encoding="utf-8", newline="") as handle:
        targets = {row["target"].removeprefix("reproduce-"): row for row in csv.DictReader(handle)}
    rows = [
        (
            targets[name]["shows"],
            ", ".join(f"[{file}](notebooks/{file}.ipynb)" for file in files) if name != "all" else "all seven",
            f"`make reproduce-{name}`",
            targets[name][PRESET] or "-",
        )
        for name, files in NOTEBOOKS.items()
        if name in targets
    ]
    return _table(("figure", "notebook", "command", "minutes"), rows)


PASSAGES: dict[str, Callable[[], str]] = {
    "findings": found_and_not,
    "all-findings": all_findings,
    "beside-published": beside_published,
    "minutes": minutes,
    "openings-at-end": openings_at_end,
    "controls": controls,
}
