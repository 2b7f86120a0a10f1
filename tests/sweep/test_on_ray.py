"""A sweep on Ray: what a task makes of what can happen to it and, where Ray is, the shortest sweep of all.

Clusters, kills and Ctrl-C: tests/cluster.
"""

import pandas as pd
import pytest
from ray_nodes import patient

from grokkit.errors import GrokkitError
from grokkit.presets import preset
from grokkit.report.results import results
from grokkit.signals import Stopped
from grokkit.storage.table import KEYS
from grokkit.sweep import on_ray, plan
from grokkit.training.stacks import AllFailed
from grokkit.training.trainer import train


@pytest.mark.parametrize(
    "error, said",
    [
        (AllFailed("every run has failed", pd.DataFrame()), ""),  # a result
        (GrokkitError("run.json is damaged"), "run.json is damaged"),
        (Stopped("saved"), on_ray.STOPPED),
    ],
)
def test_a_training_that_ends_badly_is_told_and_not_tried_again(monkeypatch, error, said):
    """Ray tries again what raises because its node has gone; here nothing is raised."""

    def train_job(*given):
        raise error

    monkeypatch.setattr(on_ray, "train_job", train_job)
    assert on_ray._train(plan("smoke", "question", 1, [42])[0], "unused", 1, 0) == said


def test_a_sweep_on_ray_gives_the_rows_of_a_local_one(tmp_path, monkeypatch):
    ray = patient(monkeypatch)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        on_ray.run_on_ray("smoke", "question", 1, [42, 52], str(tmp_path), progress=False)
    finally:
        ray.shutdown()
    expected = pd.concat([train(preset("smoke", "question", 1), [s], progress=False) for s in (42, 52)])
    found = results("smoke")[list(expected.columns)]
    pd.testing.assert_frame_equal(found, expected.sort_values(KEYS, ignore_index=True), check_exact=True)
