"""Kills a training of a stack with SIGKILL again and again; what comes out must equal an uninterrupted one.

    python tests/faults/kills.py FOLDER KILLS SEED    prints what happened as JSON

Each training is a child that is forked from this process, which itself never trains, so that a child costs
milliseconds. Kinds of kills: at a random moment; by a watcher, as soon as the temporary file of a checkpoint or
of the table is there; and by the child itself at a write of a checkpoint, of the table or of another file,
where the temporary file is cut at a random place, whole but not yet renamed, or just renamed. So it is also killed
between the saves of the two runs of its stack.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from unittest import mock

SEEDS = (42, 52)
KINDS = ("moment", "watched", "checkpoint", "table", "other")
STAGES = ("cut", "before the rename", "after the rename")


def config():
    from grokkit.config import preset

    return preset(
        "smoke", "tense", 2, width=48, heads=4, ffn_width=64, dropout=0.1, steps=105, horizon=105, eval_every=10
    )


def results_so_far(**options):
    """The table of these runs; smoke is taken to be what they are trained with."""
    from grokkit.presets import PRESETS
    from grokkit.report.results import results

    with mock.patch.dict(PRESETS["smoke"], {"tense": config()}):
        return results("smoke", ["tense"], [2], **options)


def train_in_child(folder: Path, prepare=lambda: None) -> int:
    """Starts a training of the cell in `folder`; the child's process id. Its exit code is 0 when it has finished."""
    child = os.fork()
    if child:
        return child
    try:
        from grokkit.training.trainer import train

        prepare()
        train(config(), SEEDS, folder, "cpu", progress=False)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def kill_at_write(kind: str, stage: str, count: int, share: float) -> None:
    """In the child: it kills itself at its `count`-th write of a file of this kind."""
    replace, left = os.replace, [count]

    def wanted(name: str) -> bool:
        return {"checkpoint": name.startswith("checkpoint-"), "table": name == "metrics.csv"}.get(
            kind, not name.startswith("checkpoint-") and name != "metrics.csv"
        )

    def counting(source, target):
        left[0] -= wanted(Path(target).name)
        if left[0] == 0:
            if stage == "cut":
                os.truncate(source, int(share * os.path.getsize(source)))
            elif stage == "after the rename":
                replace(source, target)
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = counting


def kill_once(folder: Path, rng: random.Random, kind: str) -> tuple[bool, str]:
    """One training and one kill: whether it was killed before it had finished, and how."""
    stage = rng.choice(STAGES)
    count, share, delay = rng.randint(1, 6), rng.random(), rng.uniform(0, 0.5)
    if kind in ("moment", "watched"):
        child = train_in_child(folder)
        end = time.monotonic() + (delay if kind == "moment" else 20)
        prefix = rng.choice((".checkpoint-", ".metrics.csv"))
        ended, status = 0, 0
        while not ended and time.monotonic() < end:
            if kind == "watched" and any(folder.glob(f"*/{prefix}*")):
                break
            if kind == "moment":
                time.sleep(0.001)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
    else:
        child = train_in_child(folder, lambda: kill_at_write(kind, stage, count, share))
        status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True, kind if kind in ("moment", "watched") else f"{kind}, {stage}"
    assert os.WEXITSTATUS(status) == 0, "a training failed"
    return False, "finished"


def check_what_is_left(folder: Path, reference: dict, before: dict) -> dict:
    """What a killed training leaves can be read, is a part of the reference, and is no less than before.

    Returns how much there is of each run: its rows, and the step of its newest checkpoint, -1 for none.
    """
    from grokkit.errors import GrokkitError
    from grokkit.storage import checkpoint
    from grokkit.storage.files import run_folder

    there = {(kind, seed): -1 for kind in ("rows", "checkpoint") for seed in SEEDS}
    try:
        rows = results_so_far(unfinished=True)
    except GrokkitError as error:
        assert "no finished run" in str(error), error  # nothing was written yet
        rows = reference["rows"].iloc[:0]
    merged = rows.merge(reference["rows"], how="left", indicator=True)
    assert (merged["_merge"] == "both").all(), "a row that the uninterrupted run does not have"
    steps = sorted(set(reference["rows"].step))
    for seed in SEEDS:
        own = rows[rows.seed == seed].step.tolist()
        assert own == steps[: len(own)], "a row is missing, or there twice"
        saved = checkpoint.saved_steps(run_folder(folder, seed))
        if saved:
            checkpoint.load(checkpoint.path_of(run_folder(folder, seed), saved[-1]))
        there |= {("rows", seed): len(own), ("checkpoint", seed): max(saved, default=-1)}
    assert all(there[key] >= before.get(key, -1) for key in there), "something was lost"
    return there


def final_state(folder: Path) -> dict:
    """All that must be equal at the end: the tables' bytes, the tensors but the seconds, the files' names."""
    from grokkit.storage import checkpoint
    from grokkit.storage.files import run_folder

    state = {"rows": results_so_far()}
    for path in (run_folder(folder, seed) for seed in SEEDS):
        tensors, labels = checkpoint.load(checkpoint.path_of(path, config().steps))
        state |= {
            f"table of {path.name}": (path / "metrics.csv").read_bytes(),
            f"tensors of {path.name}": {n: t.numpy().tobytes() for n, t in tensors.items() if n != "seconds"},
            f"labels of {path.name}": {name: text for name, text in labels.items() if name != "environments"},
            f"names in {path.name}": sorted(file.name for file in path.iterdir() if file.name != ".lock"),
        }
    return state


def run(root: Path, kills: int, seed: int) -> dict:
    """At least `kills` kills, over as many whole trainings as that takes."""
    import torch

    from grokkit.data.loading import load_corpus
    from grokkit.evaluation.analysis import analysis_sample
    from grokkit.storage.files import cell_folder

    def fresh(name: str) -> Path:
        os.environ["GROKKIT_RUNS"] = str(root / name)
        folder = cell_folder("smoke", "tense", 2)
        folder.mkdir(parents=True)
        return folder

    # kept in memory for the children: data, parses, and what torch imports late
    analysis_sample(load_corpus(config()), config())
    torch.optim.AdamW([torch.zeros(1)])
    start, rng = time.monotonic(), random.Random(seed)
    folder = fresh("reference")
    assert os.waitstatus_to_exitcode(os.waitpid(train_in_child(folder), 0)[1]) == 0
    reference = final_state(folder)
    done, trainings, half_written = Counter(), 0, 0
    while done.total() < kills:
        folder, there, trainings = fresh(f"killed-{trainings}"), {}, trainings + 1
        while True:
            if done.total() >= kills:  # the last training may finish in peace
                assert os.waitstatus_to_exitcode(os.waitpid(train_in_child(folder), 0)[1]) == 0
                break
            killed, how = kill_once(folder, rng, KINDS[done.total() % len(KINDS)])
            if not killed:
                break
            done[how] += 1
            half_written += any(folder.glob("*/.*.tmp"))
            there = check_what_is_left(folder, reference, there)
        ours = final_state(folder)
        for name in ours.keys() - {"rows"}:
            assert ours[name] == reference[name], f"the {name} differ from the uninterrupted run"
    rows = len(reference["rows"])
    return {
        "kills": done.total(),
        "by kind": dict(sorted(done.items())),
        "trainings": trainings,
        "rows": rows,
        "kills that left a temporary file": half_written,
        "seconds": round(time.monotonic() - start, 1),
    }


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
