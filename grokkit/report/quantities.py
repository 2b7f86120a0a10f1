"""The numbers that a results table gives for each figure, with the claims about them: what `grokkit.report.verdict`
judges.

Numbers are means over sound runs, or shares of them.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.report.claims import UNDECIDED, Measure, highest_t_score, inverted_u, positive, seed_correlation, where
from grokkit.report.outcomes import (
    RUN,
    choose_depths,
    crossings,
    early_stopping,
    final,
    loss_saturation,
    parseval_baselines,
    require,
    sound,
)
from grokkit.report.published import incomparable, published, right_branching
from grokkit.report.statistics import mean_sd

FIGURE_TASKS = {
    "fig2": ("dyck", "question", "tense"),
    "fig3a": ("question", "tense"),
    "fig3b": ("question", "tense"),
    "fig4": ("question", "tense"),
    "fig5": ("question", "tense"),
}


def _mean(quantity: str, task: str, depth: int, text: str, values: Iterable[float], **options) -> Measure:
    n, value, sd = mean_sd(list(values))
    return Measure(quantity, task, depth, text, "mean", value, sd, n, **options)


def fig2_measures(table: pd.DataFrame, task: str, depths: Sequence[int]) -> list[Measure]:
    out = []
    for depth in depths:
        cell = table[(table.task == task) & (table.depth == depth)]
        stops, crossed = early_stopping(cell), crossings(cell)
        here, steps = where(task, depth), np.sort(cell[cell.step > 0].step.unique())
        grid = float(np.diff(steps).max()) if len(steps) > 1 else float(steps[0])
        # an accuracy is a share of at least 1,000 items at paper scale: half an item is the finest difference
        unit = {"width": 1.0, "resolution": 5e-4}
        out += [
            _mean(
                "gen_at_stop",
                task,
                depth,
                f"{here}: generalization at early stopping",
                stops.gen_at_stop,
                **unit,
            ),
            _mean("gen_at_end", task, depth, f"{here}: generalization at the end", stops.gen_at_end, **unit),
            _mean(
                "gain",
                task,
                depth,
                f"{here}: generalization gained after early stopping",
                stops.gain,
                width=2.0,
                resolution=5e-4,
            ),
            _mean(
                "stop_step",
                task,
                depth,
                f"{here}: step of early stopping",
                stops.stop_step,
                resolution=grid / 2,
            ),
            _mean(
                "share_of_steps",
                task,
                depth,
                f"{here}: share of evaluations with generalization >= .8",
                crossed.share,
                width=1.0,
                resolution=1 / len(steps),
            ),
            positive(
                "claim_gain",
                task,
                f"{here}: generalization goes on improving after early stopping",
                stops.gain,
                depth=depth,
            ),
        ]
    return out


def fig3a_measures(table: pd.DataFrame, task: str) -> list[Measure]:
    runs = crossings(table[table.task == task])
    out = []
    for depth, cell in runs.groupby("depth"):
        for quantity, column, when in (
            ("ever_share", "ever", "at some evaluation"),
            ("final_share", "final", "at the end"),
        ):
            out.append(
                Measure(
                    quantity,
                    task,
                    int(depth),
                    f"{where(task, int(depth))}: share of seeds with generalization >= .8 {when}",
                    "share",
                    float(cell[column].mean()),
                    n=len(cell),
                    width=1.0,
                )
            )
    return [*out, inverted_u(runs, task)]


def fig3b_measures(table: pd.DataFrame, task: str, depths: Sequence[int]) -> list[Measure]:
    best = choose_depths(table, task).best
    rows, out = sound(table[table.task == task]), []
    for column, name in (
        ("weight_norm", "weight norm / layers"),
        ("attention_sparsity", "attention sparsity (nats)"),
        ("t_score", "t_score"),
    ):
        ends = final(rows, column).dropna(subset=[column])
        out += [
            _mean(column, task, d, f"{where(task, d)}: {name} at the end", ends[ends.depth == d][column])
            for d in depths
            if (ends.depth == d).any()
        ]
        if column != "t_score" and len(ends):
            out.append(
                positive(
                    f"claim_{column}_grows",
                    task,
                    f"{task}: {name.split(' (')[0]} grows during training",
                    _rise(rows, column),
                )
            )
    scores = final(rows, "t_score").dropna(subset=["t_score"])
    if len(scores):
        out += [highest_t_score(scores, task, best), seed_correlation(rows, task, best)]
    return out


def _rise(rows: pd.DataFrame, column: str) -> list[float]:
    """Last minus first measured value of every run."""
    runs = rows.dropna(subset=[column]).sort_values("step").groupby(RUN)[column]
    return (runs.last() - runs.first()).tolist()


def fig4_measures(
    table: pd.DataFrame,
    task: str,
    depths: Sequence[int],
    baselines: Mapping[str, Mapping[str, float]] | None = None,
) -> list[Measure]:
    rows = sound(table[table.task == task])
    ends = final(rows, "t_parseval").dropna(subset=["t_parseval"])
    lines, source = parseval_baselines(table, task, baselines)
    right = lines.get("right", right_branching(task))
    out = []
    for depth in [d for d in depths if (ends.depth == d).any()]:
        values = ends[ends.depth == depth].t_parseval
        out.append(_mean("t_parseval", task, depth, f"{where(task, depth)}: t_parseval at the end", values, width=1.0))
        out.append(
            positive(
                "claim_above_right",
                task,
                f"{where(task, depth)}: t_parseval is above right-branching",
                values - right,
                f"right-branching {right:.3f} {source}",
                depth=depth,
            )
        )
    if len(ends):
        out.append(
            positive(
                "claim_parseval_rises",
                task,
                f"{task}: t_parseval rises during training",
                _rise(rows, "t_parseval"),
            )
        )
    return out


def fig5_measures(table: pd.DataFrame, task: str) -> list[Measure]:
    rows = table[table.task == task]
    best = choose_depths(rows, task).best
    saturation, crossed = loss_saturation(rows), crossings(rows)
    out = [
        _mean(
            "loss_level",
            task,
            int(depth),
            f"{where(task, int(depth))}: training loss at the end (nats per token)",
            cell.loss,
        )
        for depth, cell in saturation.groupby("depth")
    ]
    levels = saturation.groupby("depth").loss.mean()
    if len(levels) > 1:
        spread = float(levels.max() / levels.min() - 1)
        out.append(
            Measure(
                "loss_spread",
                task,
                None,
                f"{task}: training loss of the worst depth above the best one (relative)",
                "claim",
                spread,
                n=len(levels),
                evidence=UNDECIDED,
                note="the paper calls the losses comparable and gives no number",
            )
        )
    both = saturation.merge(crossed[crossed.ever], on=RUN)
    both = both[both.depth == best]
    out.append(
        positive(
            "claim_loss_first",
            task,
            f"{where(task, best)}: training loss is flat (within 5 % of its level) "
            "before generalization reaches .8, in steps",
            (both.first_step - both.step).tolist(),
            "" if len(both) else "no seed reaches .8",
            depth=best,
        )
    )
    return out


def _published_depths(figure: str, task: str) -> set[int]:
    rows = published(task=task)
    return set(rows[rows.figure == figure].depth.dropna().astype(int))


def measures(
    table: pd.DataFrame,
    figure: str,
    all_depths: bool = False,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
) -> list[Measure]:
    """The measures of a figure ("fig2", "fig3a", "fig3b", "fig4", "fig5") on a results table.

    all_depths: at every depth, not only at those that the figure shows and the published ones.
    """
    if figure not in FIGURE_TASKS:
        raise GrokkitError(f"no numbers belong to {figure!r}: use table1, {', '.join(FIGURE_TASKS)} or fig3")
    require(table, "preset", *RUN, "step", "status")
    good, out = sound(table), []
    for task in FIGURE_TASKS[figure]:
        there = sorted(set(good[good.task == task].depth))
        if not there:
            continue
        chosen = choose_depths(table, task)
        shown = {chosen.best} if figure == "fig2" else set(chosen.roles())
        if not incomparable(str(good.preset.iloc[0]), task):
            shown |= _published_depths(figure, task) & set(there)
        depths = there if all_depths else sorted(shown)
        if figure == "fig2":
            out += fig2_measures(table, task, depths)
        elif figure == "fig3a":
            out += fig3a_measures(table, task)
        elif figure == "fig3b":
            out += fig3b_measures(table, task, depths)
        elif figure == "fig4":
            out += fig4_measures(table, task, depths, baselines)
        else:
            out += fig5_measures(table, task)
    if not out:
        raise GrokkitError(f"the table holds no run that {figure} needs: tasks {', '.join(FIGURE_TASKS[figure])}")
    return out
