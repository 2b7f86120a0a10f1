"""A sweep on Ray: what a task makes of what can happen to it and, where Ray is, the shortest sweep of all.

Clusters, kills and Ctrl-C: tests/cluster.
"""

from types import SimpleNamespace

import pandas as pd
import pytest

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


def test_ctrl_c_has_all_tasks_stop_before_it_is_passed_on(monkeypatch):
    """With a stand-in for Ray, which is asked to wait when the signal comes."""
    told = []

    def wait(refs):
        raise KeyboardInterrupt

    task, stop = (SimpleNamespace(remote=call) for call in (lambda *given: ["ref"], lambda: told.append("stop")))
    ray = SimpleNamespace(get=lambda found: found, wait=wait, exceptions=SimpleNamespace(RayError=RuntimeError))
    monkeypatch.setattr(on_ray, "_hand_of", lambda *given: SimpleNamespace(task=task, stop=stop))
    with pytest.raises(KeyboardInterrupt):
        on_ray._round(ray, "unused", "smoke", plan("smoke", "question", 1, [42]), 1, 0, False)
    assert told == ["stop"]


def test_a_sweep_on_ray_gives_the_rows_of_a_local_one(tmp_path):
    ray = pytest.importorskip("ray")
    try:
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    except Exception as error:  # of a busy machine: Ray gives its own programs half a minute
        pytest.skip(f"Ray does not start here: {error}")
    try:
        on_ray.run_on_ray("smoke", "question", 1, [42, 52], str(tmp_path), progress=False)
    finally:
        ray.shutdown()
    expected = pd.concat([train(preset("smoke", "question", 1), [s], progress=False) for s in (42, 52)])
    found = results("smoke")[list(expected.columns)]
    pd.testing.assert_frame_equal(found, expected.sort_values(KEYS, ignore_index=True), check_exact=True)
