"""Makes grokkit/report/curves.csv and leave_out.csv from the raw published curves:
`python tests/helpers/derive_curves.py ../shared/reference/published`.

curves.csv: the released runs at each step. leave_out.csv: how many values of a cell lie inside the band when plotted
runs, one to three at a time, are left out and judged by all others (grokkit/report/openings.py): for each last step
`until`, m values, the number of groups, mean of k (expected) and its 5 % quantile (least: the smallest k that at least
5 % of the groups do not exceed). Where a group lacks values, as some of Dyck do, its k is scaled to m, and a group
that has less than half of them does not count.
"""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from grokkit.presets import PAPER_SEEDS
from grokkit.report.openings import CURVE, LEAST_RUNS, MOST_LEFT_OUT, half_width
from grokkit.report.published import LAST_STEP

FILES = {"accuracy.csv": "released accuracies", "trees.csv": "released tree scores"}


def released(folder: Path) -> pd.DataFrame:
    """task, depth, metric, step, seed, value, source of all released runs, up to where the plots end."""
    parts = [
        pd.read_csv(folder / name)
        .melt(["task", "depth", "seed", "step"], var_name="metric")
        .dropna()
        .assign(source=text)
        for name, text in FILES.items()
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows.step <= rows.task.map(LAST_STEP)]


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """n, mean, sd, least and greatest at each step, of all runs and of the plotted ones ("both": they are the same)."""
    found = []
    more = ~rows.seed.isin(PAPER_SEEDS)
    twenty = rows.groupby(CURVE).seed.transform(lambda seeds: not set(seeds) <= set(PAPER_SEEDS)).astype(bool)
    for name, chosen in (("all", twenty), ("plotted", twenty & ~more), ("both", ~twenty)):
        at = rows[chosen].groupby([*CURVE, "step", "source"]).value
        found.append(at.agg(n="count", mean="mean", sd="std", least="min", greatest="max").assign(seeds=name))
    table = pd.concat(found).reset_index().sort_values([*CURVE, "seeds", "step"])
    return table[[*CURVE, "step", "seeds", "n", "mean", "sd", "least", "greatest", "source"]]


def leave_out(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each cell: k of m for all groups of 1, 2 and 3 plotted runs, summed up for each `until`."""
    found = []
    for (task, depth), cell in rows.groupby(["task", "depth"]):
        values = cell.pivot(index="seed", columns=["step", "metric"], values="value").sort_index(axis=1)
        values = values.loc[:, values.count() >= LEAST_RUNS]
        steps = values.columns.get_level_values("step")
        last = ~pd.Series(steps).duplicated(keep="last").to_numpy()
        seeds = [seed for seed in values.index if seed in PAPER_SEEDS]
        for n in range(1, MOST_LEFT_OUT + 1):
            inside, there = (
                np.cumsum(part, axis=1)[:, last]
                for part in zip(*(_judge(values, group, task) for group in combinations(seeds, n)))
            )
            m = np.arange(1, len(steps) + 1)[last]
            for column, until in enumerate(steps[last]):
                full = there[:, column] * 2 >= m[column]
                k = m[column] * inside[full, column] / there[full, column]
                if len(k):
                    least = int(np.quantile(k, 0.05, method="inverted_cdf") + 1e-9)
                    found.append((task, depth, until, n, m[column], len(k), k.mean(), least))
    return pd.DataFrame(found, columns=["task", "depth", "until", "n", "m", "groups", "expected", "least"])


def _judge(values: pd.DataFrame, group: tuple, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Whether the mean of a group lies inside the band of all others, and whether it can be said, for each value."""
    others, mine = values.drop(list(group)), values.loc[list(group)]
    frame = pd.DataFrame({"published": others.mean(), "published_sd": others.std(), "published_n": others.count()})
    frame = frame.assign(task=task, n=len(group), metric=values.columns.get_level_values("metric"))
    there = (mine.notna().all() & (others.count() >= LEAST_RUNS)).to_numpy()
    near = np.abs(mine.mean() - others.mean()).to_numpy() <= half_width(frame)
    return near & there, there


def main(folder: Path, out: Path) -> None:
    rows = released(folder)
    for name, table in (("curves", curves(rows)), ("leave_out", leave_out(rows))):
        table.to_csv(out / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).resolve().parents[2] / "grokkit" / "report")
