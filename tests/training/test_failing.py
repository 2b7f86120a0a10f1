"""A run whose numbers are not finite fails alone, is written down as failed, and is not drawn again."""

import contextlib
import math

import numpy as np
import pandas as pd
import pytest
import torch
from trainings import run_steps, smoke, trainer

import grokkit.training.trainer as training
from grokkit.errors import GrokkitError
from grokkit.report import outcomes
from grokkit.report.results import missing, results
from grokkit.storage import checkpoint
from grokkit.storage.files import cell_folder


def test_nan_in_one_run_fails_that_run_alone():
    config = smoke()
    t = trainer(config, [42, 52])
    for _ in range(3):
        t._train_step()
    with torch.no_grad():
        t.stack.weights["output.bias"][0].fill_(math.nan)
    with pytest.warns(UserWarning, match="seed 42: its loss, weights or metrics are not finite at step 3"):
        table = t.run(False, None)
    lost, fine = table[table.seed == 42], table[table.seed == 52]
    assert lost["status"].tolist() == ["failed"] * 3 and (lost["failed_at"] == 3).all()  # steps 3, 10, 20
    assert lost["gen_accuracy"].isna().all() and lost["weight_norm"].isna().all()
    assert (fine["status"] == "ok").all() and fine["train_loss"].iloc[1:].notna().all()
    undisturbed = run_steps(config, [42, 52], 20)
    assert torch.allclose(undisturbed.stack.flat[1], t.stack.flat[1], atol=2e-4)


def test_broken_weights_are_found_where_no_loss_saw_them(tmp_path):
    """The last update breaks a run: its losses were finite, and an arg max over nan would give accuracies."""
    config, out = smoke(), cell_folder("smoke", "question", 2)
    t = trainer(config, [42, 52], out)
    t._evaluate()
    while t.step < config.steps:
        t._train_step()
    with torch.no_grad():
        t.stack.weights["output.bias"][0, 3] = math.nan
    with pytest.warns(UserWarning, match="seed 42: its loss, weights or metrics are not finite at step 20"):
        t._evaluate()
    t.folders.close()
    table = results(preset="smoke")
    lost = table[(table.seed == 42) & (table.step == 20)].iloc[0]
    assert lost.status == "failed" and lost.failed_at == 20
    assert np.isnan([lost[name] for name in ("train_loss", "val_accuracy", "gen_accuracy", "t_score")]).all()
    assert (table[table.seed == 52].status == "ok").all()
    assert outcomes.failed_runs(table).values.tolist() == [["question", 2, 42, 20]]
    assert set(outcomes.sound(table).seed) == {52}
    assert missing("smoke", ["question"], [2], [42, 52]) == []  # a failed run is not drawn again


@pytest.mark.parametrize(
    "metric, value, status",
    [
        ("t_score", math.inf, "failed"),
        ("gen_accuracy", math.nan, "failed"),
        ("t_score", math.nan, "ok"),  # a Config without a sample has none
    ],
)
def test_metrics_that_are_no_numbers_fail_the_run(metric, value, status, monkeypatch):
    t, analyse = trainer(smoke(), [42, 52]), training.analyse
    monkeypatch.setattr(training, "analyse", lambda *given: analyse(*given) | {metric: np.array([0.5, value])})
    with contextlib.nullcontext() if status == "ok" else pytest.warns(UserWarning, match="seed 52"):
        t._evaluate()
    assert [row["status"] for row in t.rows] == ["ok", status]
    assert math.isnan(t.rows[1]["val_accuracy"]) == (status == "failed") and t.rows[0]["val_accuracy"] >= 0


def test_all_runs_failed_is_an_error(tmp_path):
    t = trainer(smoke(), [42], tmp_path)
    t._evaluate()
    with torch.no_grad():
        t.stack.weights["output.bias"].fill_(math.inf)
    with pytest.warns(UserWarning), pytest.raises(GrokkitError, match="seed 42 are not finite at step 1"):
        t.run(False, None)
    assert pd.read_csv(tmp_path / "seed-42/metrics.csv")["status"].tolist() == ["ok", "failed"]
    assert checkpoint.saved_steps(tmp_path / "seed-42") == [0, 10]  # the last good one is kept
    again = trainer(smoke(), [42], tmp_path)
    again._train_step = None  # would raise if called: a failed run is not drawn a second time
    with pytest.raises(GrokkitError, match="seed 42 are not finite at step 1"):
        again.run(False, None)
