"""What became of each run: crossings of a threshold, early stopping, saturation, the end, and which depths are shown.

Everything here reads the tidy table (one row per task, depth, seed, step) and returns small tables, one row a
run. Each table is checked once, where it comes in (`takes_results`). A run that failed is in none of the small tables
but `failed_runs`; one that cannot be counted with the others of its cell is in `left_out` alone.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import TypeVar

import numpy as np
import pandas as pd

from grokkit.errors import GrokkitError, warn
from grokkit.report.published import cell_label, published
from grokkit.report.statistics import per_seed
from grokkit.storage.table import KEYS, RUN, check_table
from grokkit.storage.weights import SATURATED

F = TypeVar("F", bound=Callable)

THRESHOLD = 0.8  # success of a run. Source: paper, Section 3.1, Figure 3a
_leaving: ContextVar[dict[str, None] | None] = ContextVar("_leaving", default=None)
"""What the call of a function that `takes_results` has left out so far; None outside of such calls."""


def takes_results(*columns: str) -> Callable[[F], F]:
    """Makes a function one that takes a results table first: `check_table` is asked by the outermost of such functions,
    once a call, and each needs its `columns`. Further tables among the arguments are checked likewise."""

    def further(given):
        return check_table(given, "the second table", columns) if isinstance(given, pd.DataFrame) else given

    def wrap(function: F) -> F:
        @wraps(function)
        def call(table, *arguments, **options):
            if _leaving.get() is not None:
                require(table, *columns)
                return function(table, *arguments, **options)
            token = _leaving.set(leaving := {})
            try:
                others = {name: further(given) for name, given in options.items()}
                result = function(check_table(table, columns=columns), *map(further, arguments), **others)
            finally:
                _leaving.reset(token)
            if leaving:
                warn(f"left out: {'; '.join(leaving)}")
            return result

        return call  # type: ignore[return-value]

    return wrap


def require(table: pd.DataFrame, *columns: str) -> None:
    """Raises where a table that has been checked is empty or lacks a column: what was not measured is never a zero."""
    if table.empty or not set(columns) <= set(table.columns):
        check_table(table, columns=columns)


@takes_results("preset")
def one_experiment(table: pd.DataFrame) -> str:
    """The preset of a table."""
    return table.preset.iloc[0]


@takes_results()
def failed_runs(table: pd.DataFrame) -> pd.DataFrame:
    """task, depth, seed and step of every failed run: where its loss broke (column failed_at, if there is
    one), else its first row that is marked as failed."""
    rows = table[table.status == "failed"]
    steps = rows.get("failed_at", rows.step).fillna(rows.step).astype(int)
    return rows[RUN].assign(step=steps).groupby(RUN, as_index=False).step.min()


@takes_results()
def sound(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of runs that did not fail."""
    bad = (table.status == "failed").groupby([table[name] for name in RUN]).transform("any")
    return table[~bad]


@takes_results()
def left_out(table: pd.DataFrame) -> pd.DataFrame:
    """task, depth, seed and why of every sound run that cannot be counted with the others of its cell: it ended before
    the last step of the cell, or was measured at other steps than most. Raises where one of several runs alone reached
    the last step."""
    rows = []
    for (task, depth), cell in sound(table).groupby(["task", "depth"]):
        if len(cell) == cell.seed.nunique() * cell.step.nunique():  # every run has a row at every step
            continue
        steps = {seed: tuple(sorted(run.step)) for seed, run in cell.groupby("seed")}
        end = max(cell.step)
        whole = Counter(grid for grid in steps.values() if grid[-1] == end)
        (usual, count), several = whole.most_common(1)[0], whole.total()
        if several == 1:
            ends = ", ".join(f"seed {seed} at step {grid[-1]:,}" for seed, grid in steps.items())
            raise GrokkitError(
                f"the runs of {cell_label(task, depth)} have no common end ({ends}): take runs that end together, or"
                " rows up to a step that all have reached"
            )
        for seed, grid in steps.items():
            if grid[-1] < end:
                why = f"{cell_label(task, depth)}, seed {seed} ended at step {grid[-1]:,}, not {end:,}"
                rows.append((task, depth, seed, why))
            elif grid != usual and 2 * count > several:
                rows.append((task, depth, seed, f"{cell_label(task, depth)}, seed {seed} was measured at other steps"))
    return pd.DataFrame(rows, columns=[*RUN, "why"])


@takes_results()
def counted(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the runs that are counted, everywhere: the sound ones but those `left_out`, of which it warns."""
    good, away = sound(table), left_out(table)
    _leaving.get().update(dict.fromkeys(away.why))  # type: ignore[union-attr]  # we are inside of a call
    return good[~pd.MultiIndex.from_frame(good[RUN]).isin(pd.MultiIndex.from_frame(away[RUN]))]


@takes_results()
def at_end(table: pd.DataFrame) -> pd.DataFrame:
    """The row at the last step of every run that is counted: what "at the end" means everywhere. All runs of a cell
    (task, depth) end at one step, those of another cell maybe at another."""
    last = counted(table).sort_values("step").groupby(RUN, as_index=False).tail(1)
    return last.sort_values(RUN, ignore_index=True)


def _runs(table: pd.DataFrame, *columns: str) -> Iterator[tuple[tuple, np.ndarray, list[np.ndarray]]]:
    """(task, depth, seed), steps and values of the columns of each run that is counted, without the row before
    training."""
    trained = counted(table)
    trained = trained[trained.step > 0].sort_values(KEYS)
    step, values = trained.step.to_numpy(), [trained[name].to_numpy(float) for name in columns]
    for key, rows in sorted(trained.groupby(RUN).indices.items()):
        yield key, step[rows], [of_column[rows] for of_column in values]


@takes_results("gen_accuracy")
def crossings(table: pd.DataFrame) -> pd.DataFrame:
    """One row a run that is counted: ever, final (bool), share of evaluated steps with gen_accuracy at or above .8,
    first_step (nan if never), highest and last value. The row before training (step 0) is no evaluation of training.

    ever and final differ because the curves oscillate: the paper's "eventually crosses 80 %" is `ever`.
    """
    rows = []
    for key, step, (values,) in _runs(table, "gen_accuracy"):
        above = values >= THRESHOLD
        first = float(step[above.argmax()]) if above.any() else np.nan
        rows.append((*key, bool(above.any()), bool(above[-1]), above.mean(), first, values.max(), values[-1]))
    return pd.DataFrame(rows, columns=[*RUN, "ever", "final", "share", "first_step", "highest", "last"])


@takes_results("val_accuracy", "gen_accuracy")
def early_stopping(table: pd.DataFrame) -> pd.DataFrame:
    """One row a run that is counted: where early stopping on in-domain accuracy would have stopped it, and what it
    missed.

    stop_step: first maximum of val_accuracy; val_at_stop, gen_at_stop there; gain = gen_at_end - gen_at_stop.
    saturation_step: first val_accuracy >= .99 (nan if never), val_at_saturation, gen_at_saturation there.
    Source: paper, Section 3.1 "Early stopping considered harmful"; it does not say which of the two it used.
    """
    rows = []
    for key, step, (val, gen) in _runs(table, "val_accuracy", "gen_accuracy"):
        stop, full = val.argmax(), val >= SATURATED
        first = full.argmax()
        saturation = (float(step[first]), val[first], gen[first]) if full.any() else (np.nan,) * 3
        rows.append((*key, step[stop], val[stop], gen[stop], *saturation, step[-1], val[-1], gen[-1]))
    names = ["stop_step", "val_at_stop", "gen_at_stop", "saturation_step", "val_at_saturation", "gen_at_saturation"]
    out = pd.DataFrame(rows, columns=[*RUN, *names, "end_step", "val_at_end", "gen_at_end"])
    return out.assign(gain=out.gen_at_end - out.gen_at_stop)


@takes_results("train_loss")
def loss_saturation(table: pd.DataFrame) -> pd.DataFrame:
    """One row a run that is counted: loss, the median training loss over the last quarter of its evaluations, and step,
    the first evaluation with a loss at most 5 % above it.

    5 % because a language model's loss keeps creeping down with the learning rate long after it is flat to
    the eye.
    """
    rows = []
    for key, step, (loss,) in _runs(table, "train_loss"):
        level = float(np.median(loss[-max(1, len(loss) // 4) :]))
        rows.append((*key, level, int(step[(loss <= level * 1.05).argmax()])))
    return pd.DataFrame(rows, columns=[*RUN, "loss", "step"])


def seed_means(*tables: pd.DataFrame) -> pd.DataFrame:
    """gen_accuracy at the end of every seed, the mean over its trainings: tables of the same runs, trained anew each
    time. The seed is the unit of statistics, since two trainings of it share data and initial weights."""
    return per_seed(pd.concat([at_end(table)[[*RUN, "gen_accuracy"]] for table in tables]))


def _became(table: pd.DataFrame) -> pd.DataFrame:
    found = early_stopping(table).merge(crossings(table), on=RUN)
    if "train_loss" in table:
        found = found.merge(loss_saturation(table).rename(columns={"step": "flat_step"}), on=RUN)
    return found


@takes_results("val_accuracy", "gen_accuracy")
def runs(table: pd.DataFrame) -> pd.DataFrame:
    """One row a run that is counted: what `crossings`, `early_stopping` and, where the table has a training loss,
    `loss_saturation` (as loss and flat_step) say, all measures at the end by their names, and those at step 0 as
    <name>_before.

    Further: gain_from_saturation = gen_at_end - gen_at_saturation; val_held, the share of the evaluations after
    saturation with val_accuracy >= .99 (nan where there is none).
    """
    found, good, end = _became(table), counted(table), at_end(table).set_index(RUN)
    later = good[[*KEYS, "val_accuracy"]].merge(found[[*RUN, "saturation_step"]], on=RUN)
    later = later[later.step > later.saturation_step]
    held = (later.val_accuracy >= SATURATED).groupby([later[name] for name in RUN]).mean().rename("val_held")
    numbers = [name for name in end.select_dtypes("number") if name not in ("step", "train_loss", "failed_at")]
    before = good[good.step == 0].set_index(RUN)[numbers].add_suffix("_before")
    found = found.assign(gain_from_saturation=found.gen_at_end - found.gen_at_saturation).set_index(RUN)
    return found.join([held, end[numbers], before]).copy().reset_index()  # copied: one piece again


@takes_results("train_loss", "val_accuracy", "gen_accuracy")
def milestones(table: pd.DataFrame) -> pd.DataFrame:
    """One row a run that is counted: the steps loss_flat (see `loss_saturation`), val_99 (first val_accuracy >= .99)
    and gen_80 (first gen_accuracy >= .8), nan if never, and `first`, which of them comes first: its name, or "several".

    Source: paper, Appendix D: losses are flat before val saturates, and both long before generalization comes.
    """
    names = {"flat_step": "loss_flat", "saturation_step": "val_99", "first_step": "gen_80"}
    found = _became(table).rename(columns=names)[[*RUN, *names.values()]]
    steps = found[[*names.values()]]
    alone = steps.eq(steps.min(axis=1), axis=0).sum(axis=1) == 1
    return found.assign(first=steps.idxmin(axis=1).where(alone, "several"))


@dataclass(frozen=True)
class Depths:
    """The depths Figures 3b and 4 show. Where a role has no depth of its own, it is that of another."""

    small: int
    best: int
    deep: int

    def roles(self) -> dict[int, str]:
        """Depth -> role, in order of depth, each depth once; "best" wins over the others."""
        return dict(sorted({self.small: "smallest", self.deep: "deep", self.best: "best"}.items()))


@takes_results("gen_accuracy")
def choose_depths(table: pd.DataFrame, task: str) -> Depths:
    """The depths that Figures 3b and 4 show of a task. Raises where it has no sound run."""
    found = crossings(table[table.task == task]) if isinstance(task, str) else table[:0]
    if found.empty:
        raise GrokkitError(f"no run of {task!r} that did not fail: name one task of the table")
    return depths_of(found)


def depths_of(runs: pd.DataFrame) -> Depths:
    """small: the least depth. best: the highest mean gen_accuracy at the end (ties: the smaller depth).
    deep: the largest depth above best with a run that ever reaches 80 %, else the largest depth of all.

    runs: depth, last and ever of the runs of one task. Source: paper, Section 4.1, where deep is the largest model
    that groks at least once.
    """
    means = runs.groupby("depth")["last"].mean()
    best = int(means.idxmax())
    above = runs[(runs.depth > best) & (runs.ever > 0)]
    deep = above.depth.max() if len(above) else means.index.max()
    return Depths(int(means.index.min()), best, int(deep))


@takes_results()
def parseval_baselines(table: pd.DataFrame, task: str) -> tuple[dict[str, float], str]:
    """F1 of the branching baselines of a task, by name, and where they come from.

    Constant columns t_parseval_right, _left, _balanced, _random of the table, otherwise the published
    right-branching value (of the published sample), the red line of Figure 4.
    """
    rows, found = table[table.task == task], {}
    for name in ("right", "left", "balanced", "random"):
        values = rows.get(f"t_parseval_{name}", pd.Series(dtype=float)).dropna().unique()
        if len(values) > 1:
            raise GrokkitError(f"column t_parseval_{name} holds several values for {task}: a baseline is one number")
        if len(values):
            found[name] = float(values[0])
    if found:
        return found, "of the analysed sentences"
    known = published("fig4", task).set_index("quantity").value
    if "right_branching" not in known:
        raise GrokkitError(f"no published right-branching baseline for {task!r}: the paper draws question and tense")
    return {"right": float(known["right_branching"])}, "of the published sample"
