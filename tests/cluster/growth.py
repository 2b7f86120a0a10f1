"""What a plan, a status and the table of many finished runs cost, in seconds and memory.

`python tests/cluster/growth.py 100 1000 10000` prints a line for each number of runs; with `as-run` before the numbers,
of that preset.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd

from grokkit.presets import preset
from grokkit.storage.files import cell_folder, run_folder, sha256
from grokkit.storage.identity import Run
from grokkit.storage.run_folder import FORMAT

CELLS = {
    "laptop": [("question", 2), ("question", 4), ("tense", 2), ("dyck", 4)],  # 29, 29, 57 and 15 rows a run
    "as-run": [("question", 2), ("question", 4), ("tense", 2), ("dyck", 6)],  # 101, 101, 101 and 41
}


def fabricate(name: str, runs: int, pattern: pd.DataFrame) -> list[int]:
    """So many finished runs of a preset in GROKKIT_RUNS, without checkpoints; their seeds. pattern: a row of a real
    run, whose numbers are drawn anew for each row."""
    seeds = list(range(runs // len(CELLS[name])))
    for task, depth in CELLS[name]:
        config = preset(name, task, depth)
        run = Run(config, 0, dict.fromkeys(("train", "val", "gen"), "0" * 64))
        steps = np.arange(0, config.steps + 1, config.eval_every)
        table = pattern.loc[[0] * len(steps)].reset_index(drop=True)
        measured = table.columns[table.columns.get_loc("train_loss") : table.columns.get_loc("status")]
        table[measured] = np.random.default_rng(depth).random((len(steps), len(measured)))
        table = table.assign(preset=name, task=task, depth=depth, step=steps, identity=run.identity)
        for seed in seeds:
            text = table.assign(seed=seed).to_csv(index=False, lineterminator="\n")
            described = Run(config, seed, run.splits).described()
            described |= {"format": FORMAT, "environments": [], "metrics_sha256": [sha256(text)]}
            folder = run_folder(cell_folder(name, task, depth), seed)
            folder.mkdir(parents=True)
            (folder / "metrics.csv").write_text(text)
            vouched = described | {"sha256": sha256(json.dumps(described, sort_keys=True))}
            (folder / "run.json").write_text(json.dumps(vouched))
    return seeds


def measure(preset_name: str, seeds: int) -> dict[str, float]:
    """Seconds of a processor for each, which hold on a busy machine too, and the peak memory [GB] of this process."""
    from grokkit.report.results import results, status
    from grokkit.sweep import plan

    cells = {task: [d for t, d in CELLS[preset_name] if t == task] for task, _ in CELLS[preset_name]}
    configs = [preset(preset_name, task, depth) for task, depth in CELLS[preset_name]]
    found, sizes = {}, []
    for name, what in (
        ("plan", lambda: plan(preset_name, None, cells, range(seeds))),
        ("status", lambda: status(preset_name).finished.map(len).sum()),
        ("results", lambda: results(preset_name)),
    ):
        begun = time.process_time()
        sizes.append(what())
        found[name] = time.process_time() - begun
        found[f"{name}_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    assert sizes[0] == [] and sizes[1] == seeds * len(configs)
    assert len(sizes[2]) == seeds * sum(1 + config.steps // config.eval_every for config in configs)
    return found | {"rows": len(sizes[2])}


def measured(runs: int, name: str = "laptop") -> dict[str, float]:
    """The same in a process of its own, over runs that are made for it."""
    from grokkit.training.trainer import train

    pattern = train(preset("smoke", "tense", 1), [0], progress=False).iloc[[1]].reset_index(drop=True)
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("GROKKIT_RUNS")
        os.environ["GROKKIT_RUNS"] = folder
        try:
            seeds = fabricate(name, runs, pattern)
            command = [sys.executable, __file__, "--measure", name, str(len(seeds))]
            return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        finally:
            os.environ.pop("GROKKIT_RUNS")
            if before is not None:
                os.environ["GROKKIT_RUNS"] = before


def line(runs: int, f: dict[str, float]) -> str:
    """The figures in words."""
    return (
        f"{runs:>6,} runs, {f['rows']:>8,} rows: plan {f['plan']:.1f} s, status {f['status']:.1f} s,"
        f" results {f['results']:.1f} s; memory {f['plan_gb']:.2f}, {f['status_gb']:.2f}, {f['results_gb']:.2f} GB"
    )


if __name__ == "__main__":
    if sys.argv[1] == "--measure":
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
        sys.exit()
    chosen = sys.argv[1] if sys.argv[1] in CELLS else "laptop"
    for number in map(int, sys.argv[1 + (chosen == sys.argv[1]) :]):
        print(line(number, measured(number, chosen)), flush=True)
