"""What became of each run: crossings of a threshold, early stopping, saturation, the end, and which depths are shown.

Everything here reads the tidy table (one row per task, depth, seed, step) and returns small tables, one row a
run. A run that failed is in none of them but `failed_runs`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grokkit.errors import GrokkitError
from grokkit.report.published import published
from grokkit.storage.table import KEYS, RUN, refuse_two_configs

THRESHOLD = 0.8  # success of a run. Source: paper, Section 3.1, Figure 3a
SATURATED = 0.99  # in-domain accuracy that counts as saturated, the second reading of early stopping


def require(table: pd.DataFrame, *columns: str) -> None:
    """Raises where the table is empty or lacks a column: a missing metric is an error, never a zero."""
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise GrokkitError(f"the results table has no column {', '.join(absent)}: was it written by this version?")
    if table.empty:
        raise GrokkitError("the results table is empty: train the runs first, or read the record")


def one_experiment(table: pd.DataFrame) -> str:
    """The preset of a table. Raises where it mixes presets, whose numbers do not belong together, and where it
    holds a run's step twice."""
    require(table, "preset", *KEYS, "status")
    presets = sorted(set(table.preset))
    if len(presets) > 1:
        raise GrokkitError(f"the table mixes the presets {', '.join(presets)}: select one")
    if table.duplicated(KEYS).any():
        raise GrokkitError("the table holds several rows for the same task, depth, seed and step")
    refuse_two_configs(table)
    return presets[0]


def failed_runs(table: pd.DataFrame) -> pd.DataFrame:
    """task, depth, seed and step of every failed run: where its loss broke (column failed_at, if there is
    one), else its first row that is marked as failed."""
    require(table, *KEYS, "status")
    rows = table[table.status == "failed"]
    steps = rows.get("failed_at", rows.step).fillna(rows.step).astype(int)
    return rows[RUN].assign(step=steps).groupby(RUN, as_index=False).step.min()


def sound(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of runs that did not fail."""
    require(table, *KEYS, "status")
    refuse_two_configs(table)
    bad = (table.status == "failed").groupby([table[name] for name in RUN]).transform("any")
    return table[~bad]


def at_end(table: pd.DataFrame) -> pd.DataFrame:
    """The row at the last step of every sound run: what "at the end" means everywhere. Tasks end at different steps."""
    last = sound(table).sort_values("step").groupby(RUN, as_index=False).tail(1)
    return last.sort_values(RUN, ignore_index=True)


def before_and_end(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of every sound run at step 0 and at its end, told apart by the column `at`: "before" or "end"."""
    good = sound(table)
    return pd.concat([good[good.step == 0].assign(at="before"), at_end(good).assign(at="end")], ignore_index=True)


def _runs(table: pd.DataFrame, *columns: str) -> Iterator[tuple[tuple, np.ndarray, list[np.ndarray]]]:
    """(task, depth, seed), steps and values of the columns of each sound run, without the row before training."""
    require(table, *columns)
    trained = sound(table)
    for key, run in trained[trained.step > 0].sort_values("step").groupby(RUN):
        for name in columns:
            if not np.isfinite(run[name]).all():
                raise GrokkitError(f"{name} is missing in a run that did not fail: {dict(zip(RUN, key))}")
        yield key, run.step.to_numpy(), [run[name].to_numpy(float) for name in columns]


def crossings(table: pd.DataFrame) -> pd.DataFrame:
    """One row a sound run: ever, final (bool), share of evaluated steps with gen_accuracy at or above .8, first_step
    (nan if never), highest and last value. The row before training (step 0) is no evaluation of training.

    ever and final differ because the curves oscillate: the paper's "eventually crosses 80 %" is `ever`.
    """
    rows = []
    for key, step, (values,) in _runs(table, "gen_accuracy"):
        above = values >= THRESHOLD
        first = float(step[above.argmax()]) if above.any() else np.nan
        rows.append((*key, bool(above.any()), bool(above[-1]), above.mean(), first, values.max(), values[-1]))
    return pd.DataFrame(rows, columns=[*RUN, "ever", "final", "share", "first_step", "highest", "last"])


def early_stopping(table: pd.DataFrame) -> pd.DataFrame:
    """One row a sound run: where early stopping on in-domain accuracy would have stopped it, and what it missed.

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


def loss_saturation(table: pd.DataFrame) -> pd.DataFrame:
    """One row a sound run: loss, the median training loss over the last quarter of its evaluations, and step,
    the first evaluation with a loss at most 5 % above it.

    5 % because a language model's loss keeps creeping down with the learning rate long after it is flat to
    the eye.
    """
    rows = []
    for key, step, (loss,) in _runs(table, "train_loss"):
        level = float(np.median(loss[-max(1, len(loss) // 4) :]))
        rows.append((*key, level, int(step[(loss <= level * 1.05).argmax()])))
    return pd.DataFrame(rows, columns=[*RUN, "loss", "step"])


def milestones(table: pd.DataFrame) -> pd.DataFrame:
    """One row a sound run: the steps loss_flat (see `loss_saturation`), val_99 (first val_accuracy >= .99) and gen_80
    (first gen_accuracy >= .8), nan if never, and `first`, which of them comes first: its name, or "several".

    Source: paper, Appendix D: losses are flat before val saturates, and both long before generalization comes.
    """
    found = loss_saturation(table)[[*RUN, "step"]].merge(early_stopping(table)).merge(crossings(table), on=RUN)
    names = {"step": "loss_flat", "saturation_step": "val_99", "first_step": "gen_80"}
    found = found.rename(columns=names)[[*RUN, *names.values()]]
    steps = found[[*names.values()]]
    alone = steps.eq(steps.min(axis=1), axis=0).sum(axis=1) == 1
    return found.assign(first=steps.idxmin(axis=1).where(alone, "several"))


def seed_means(*tables: pd.DataFrame) -> pd.DataFrame:
    """gen_accuracy at the end of every seed, the mean over its trainings: tables of the same runs, trained anew each
    time. The seed is the unit of statistics, since two trainings of it share data and initial weights."""
    ends = pd.concat([at_end(table)[[*RUN, "gen_accuracy"]] for table in tables])
    return ends.groupby(RUN, as_index=False).gen_accuracy.mean()


@dataclass(frozen=True)
class Depths:
    """The depths Figures 3b and 4 show. Where a role has no depth of its own, it is that of another."""

    small: int
    best: int
    deep: int

    def roles(self) -> dict[int, str]:
        """Depth -> role, in order of depth, each depth once; "best" wins over the others."""
        return dict(sorted({self.small: "smallest", self.deep: "deep", self.best: "best"}.items()))


def choose_depths(table: pd.DataFrame, task: str) -> Depths:
    """small: the least depth. best: the highest mean gen_accuracy at the end (ties: the smaller depth).
    deep: the largest depth above best with a run that ever reaches 80 %, else the largest depth of all.

    Source: paper, Section 4.1, where deep is the largest model that groks at least once.
    """
    runs = crossings(table[table.task == task])
    if runs.empty:
        raise GrokkitError(f"no run of {task} that did not fail")
    means = runs.groupby("depth")["last"].mean()
    best = int(means.idxmax())
    above = runs[(runs.depth > best) & runs.ever]
    deep = above.depth.max() if len(above) else means.index.max()
    return Depths(int(means.index.min()), best, int(deep))


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
