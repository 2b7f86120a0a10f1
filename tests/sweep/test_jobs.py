"""The parts of a plan: every run in one of them, of equal work, whatever is finished."""

import random
import re
import subprocess
import sys
from collections import Counter

import pytest

from grokkit.cli import main
from grokkit.errors import GrokkitError
from grokkit.presets import preset
from grokkit.storage.run_folder import found_runs
from grokkit.sweep import plan
from grokkit.sweep.jobs import part
from grokkit.training.trainer import train


@pytest.mark.parametrize("n", [1, 16, 333])
def test_parts_of_10_000_runs_are_disjoint_complete_and_balanced(n):
    draw = random.Random(n)
    work = [draw.choice([2, 4, 6, 8, 10]) * draw.choice([300_000, 400_000]) for _ in range(10_000)]
    parts = [part(f"{k}/{n}", range(10_000), work) for k in range(1, n + 1)]
    assert [run for some in parts for run in some] == list(range(10_000))
    for some in parts:
        assert abs(sum(work[run] for run in some) - sum(work) / n) <= max(work)


def test_more_parts_than_runs_leave_some_empty():
    parts = [part(f"{k}/5", "ab", [1, 1]) for k in range(1, 6)]
    assert sorted(run for some in parts for run in some) == ["a", "b"]
    assert part("1/3", [], []) == []


def test_parts_of_the_plan_of_10_000_runs():
    seeds = range(2_000)  # of five cells
    found = Counter()
    for k in range(1, 8):
        jobs = plan("smoke", seeds=seeds, shard=f"{k}/7")
        found.update((job.config.task, job.config.depth, seed) for job in jobs for seed in job.seeds)
        works = sum(job.work for job in jobs)
        assert abs(works - sum(job.work for job in plan("smoke", seeds=seeds)) / 7) <= 40
    assert len(found) == 10_000 and set(found.values()) == {1}


def test_a_part_does_not_depend_on_what_is_finished():
    def seeds(k):
        return [seed for job in plan("smoke", "question", 1, range(4), shard=f"{k}/2") for seed in job.seeds]

    assert (seeds(1), seeds(2)) == ([0, 1], [2, 3])
    cell = preset("smoke", "question", 1)
    train(cell, [0], plan("smoke", "question", 1, [0])[0].out, progress=False)
    assert (seeds(1), seeds(2)) == ([1], [2, 3])  # passed over, and nothing has moved


def test_sweeps_over_all_parts_train_everything():
    for k in (1, 2):
        assert main(f"sweep --preset smoke --tasks question --depths 1 --shard {k}/2".split()) == 0
        assert len(plan("smoke", "question", 1)) == 2 - k
        assert len(plan("smoke", "question", 1, shard="2/2")) == 2 - k


@pytest.mark.parametrize("shard", ["0/4", "5/4", "a/b", "3", "1/0", "-1/4", ""])
def test_what_is_no_part_is_refused_in_one_line(shard):
    with pytest.raises(GrokkitError, match="write k/n, the part k of n"):
        plan("smoke", shard=shard)


@pytest.mark.parametrize(
    "options, line",
    [
        ("--engine ray --shard 1/2 --storage x", "--engine ray and --shard"),
        ("--engine spark", "--engine spark: it can be ray"),
        ("--gpus 2", "--gpus belongs to --engine ray"),
        ("--engine ray", "--engine ray needs --storage URL"),
        ("--engine ray --storage x", "Ray is not installed: pip install 'grokkit\\[ray]'"),
        ("--shard 5/4", "shard = '5/4': write k/n"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_trained(options, line, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    assert main(f"sweep --preset smoke {options}".split()) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert re.search(line, said) and found_runs("smoke") == []


def test_neither_the_kit_nor_a_local_sweep_needs_ray_or_fsspec():
    code = (
        "import sys; sys.modules |= {'ray': None, 'fsspec': None};"
        "import grokkit as gk; gk.sweep.run('smoke', 'question', 1, 42, progress=False)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
