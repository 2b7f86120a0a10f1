"""Weights in the record: few files, for those who want to ask a model without training one. See `storage.weights`."""

from collections.abc import Iterator

import pandas as pd

from grokkit.report.outcomes import at_end, crossings, early_stopping
from grokkit.storage.files import read_bytes, sha256, write_json
from grokkit.storage.run_folder import found_runs
from grokkit.storage.table import RUN
from grokkit.storage.weights import INDEX, recorded_folder, recorded_runs, save

MOST_BYTES = 12_000_000  # of all files of a preset: a clone is to stay small


def wanted_weights(table: pd.DataFrame) -> Iterator[tuple[tuple, float]]:
    """(task, depth, seed) and step, the most important first; several may be the same.

    Of each task the first seed that did not fail, whatever it did: at the middle depth at saturation, half way and the
    end. Of tasks with trees also the first seed that ends at the threshold or above, and the first that does not. Then
    the other depths of the first seed, at the end.
    """
    stops, runs = early_stopping(table).set_index(RUN), crossings(table)
    middle = {task: sorted(set(rows.depth))[rows.depth.nunique() // 2] for task, rows in runs.groupby("task")}
    first = {task: runs[(runs.task == task) & (runs.depth == depth)].seed.min() for task, depth in middle.items()}
    for task, depth in middle.items():
        stop = stops.loc[task, depth, first[task]]
        at = (stop.saturation_step, stop.end_step / 2, stop.end_step)
        yield from (((task, depth, first[task]), step) for step in at if step == step)
    with_trees = at_end(table).dropna(subset="t_parseval").task
    for task, depth in middle.items():
        for _, some in runs[(runs.task == task) & (runs.depth == depth) & runs.task.isin(with_trees)].groupby("final"):
            run = (task, depth, some.seed.min())
            yield run, stops.loc[run].end_step
    for run in stops.index:
        if run[2] == first[run[0]] and run[1] != middle[run[0]]:
            yield run, stops.loc[run].end_step


def record_weights(preset: str, table: pd.DataFrame) -> None:
    """Puts weights of the runs of a table into figures/<preset>/weights/, in the place of those that were there.

    A run whose folder has gone keeps those that it has there. Of a step that was not kept, the nearest that is there;
    index.json says which. What is too much is left out.
    """
    folder, entries, size = recorded_folder(preset), {}, 0
    runs: dict = {run[:3]: run for run in (*recorded_runs(preset), *found_runs(preset))}
    for key, at in wanted_weights(table):
        run = runs.get(key)
        if run is None or not run.steps():
            continue
        step = min(run.steps(), key=lambda there: abs(there - at))
        name = f"{run.task}-L{run.depth}-seed-{run.seed}-step-{step}.safetensors"
        if name in entries:
            continue
        described, weights = run.weights(step)
        if size + weights.nbytes > MOST_BYTES:
            continue
        size += weights.nbytes
        save(folder / name, described, step, weights)
        entry = {"preset": preset, "task": run.task, "depth": run.depth, "seed": run.seed, "step": step, "file": name}
        entries[name] = entry | {"sha256": sha256(read_bytes(folder / name)), "identity": described["identity"]}
    write_json(folder / INDEX, {"weights": list(entries.values())})
    for path in folder.glob("*.safetensors"):
        if path.name not in entries:
            path.unlink()
