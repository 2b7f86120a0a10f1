"""Stacks whose memory does not suffice are halved and go on; what a GPU says otherwise is one line. On the CPU, with
errors that are raised on purpose."""

import gc
import weakref

import pandas as pd
import pytest
import torch

from grokkit.errors import GrokkitError
from grokkit.evaluation.evaluator import Evaluator
from grokkit.presets import preset
from grokkit.storage.checkpoint import saved_steps
from grokkit.storage.files import run_folder
from grokkit.sweep import local as sweep
from grokkit.training import Trainer, train
from grokkit.training import trainer as module
from grokkit.training.stacks import error_of_gpu

CONFIG = preset("smoke", "tense", 1)
TEXT = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 11.76 GiB"


def out_of_memory(monkeypatch, most: int, step: int, tasks=("tense",)) -> list:
    """From this step on, more than `most` runs at once do not fit; returns weak references to all trainers."""
    made, init, real = [], Trainer.__init__, Trainer._train_step

    def noted(trainer, *given):
        made.append(weakref.ref(trainer))
        init(trainer, *given)

    def failing(trainer):
        if trainer.config.task in tasks and trainer.step >= step and trainer.stack.runs > most:
            raise torch.OutOfMemoryError(TEXT)
        real(trainer)

    monkeypatch.setattr(Trainer, "__init__", noted)
    monkeypatch.setattr(Trainer, "_train_step", failing)
    return made


@pytest.mark.parametrize("most", [2, 1])
def test_a_stack_is_halved_and_goes_on_from_its_checkpoint(tmp_path, monkeypatch, capsys, most):
    whole = train(CONFIG, [1, 2, 3], tmp_path / "whole", "cpu", progress=False)
    made = out_of_memory(monkeypatch, most, step=15)
    begun = []
    monkeypatch.setattr(module.Trainer, "_open", lambda t, f, real=Trainer._open: (real(t, f), begun.append(t.step)))
    table = train(CONFIG, [1, 2, 3], tmp_path / "halved", "cpu", progress=False)
    pd.testing.assert_frame_equal(table, whole, check_dtype=False, rtol=1e-4, atol=1e-5)
    assert begun[0] == 0 and set(begun[1:]) == {10}
    said = capsys.readouterr().err
    assert "tense L1: CUDA out of memory: trained 2 at a time" in said and "Traceback" not in said
    gc.collect()
    assert all(trainer() is None for trainer in made)


def test_one_run_that_does_not_fit_is_one_line_and_nothing_is_lost(tmp_path, monkeypatch):
    out_of_memory(monkeypatch, 0, step=15)
    with pytest.raises(GrokkitError, match="CUDA out of memory: end what else uses the card .*goes on from there"):
        train(CONFIG, [1], tmp_path, "cpu", progress=False)
    assert saved_steps(run_folder(tmp_path, 1))[-1] == 10
    monkeypatch.undo()
    assert train(CONFIG, [1], tmp_path, "cpu", progress=False).step.max() == 20


def test_the_other_cells_of_a_sweep_go_on(monkeypatch):
    out_of_memory(monkeypatch, 0, step=5)
    with pytest.raises(GrokkitError, match="tense L1 seeds 42: CUDA out of memory"):
        sweep.run("smoke", ["question", "tense", "dyck"], [1], [42], device="cpu", progress=False)
    assert [job.config.task for job in sweep.plan("smoke", None, [1], [42])] == ["tense"]


def test_an_evaluation_is_measured_again_in_smaller_pieces(monkeypatch):
    real, tries = Evaluator.__call__, []

    def failing(evaluator, stack):
        tries.append(stack.bytes_at_once)
        if len(tries) in (2, 3):
            raise torch.OutOfMemoryError(TEXT)
        return real(evaluator, stack)

    monkeypatch.setattr(Evaluator, "__call__", failing)
    table = train(CONFIG, [1], None, "cpu", progress=False)
    assert tries == [2**31, 2**31, 2**30, 2**29, 2**29]  # at steps 0, 10 and 20
    monkeypatch.undo()
    pd.testing.assert_frame_equal(table, train(CONFIG, [1], None, "cpu", progress=False))


def test_what_a_gpu_says_is_one_line_and_other_errors_stay_what_they_are():
    for text in ("CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"):
        assert "end what else uses the card" in str(error_of_gpu(RuntimeError(text)))
    lost = str(error_of_gpu(RuntimeError("CUDA error: an illegal memory access was encountered\nmore")))
    assert "restart the kernel" in lost and "more" not in lost
    assert error_of_gpu(RuntimeError("shape mismatch")) is None


def test_what_keeps_a_trainer_keeps_only_its_weights():
    """As a notebook keeps the trainer of its last exception."""
    trainer = Trainer(CONFIG, [1, 2], None, "cpu")
    moments = [weakref.ref(tensor) for state in trainer.update.adamw.state.values() for tensor in state.values()]
    gradients = weakref.ref(trainer.update.flat.grad)
    trainer.run(False, None)
    gc.collect()
    assert gradients() is None and all(moment() is None for moment in moments)
    assert trainer.update.graphs is None and torch.isfinite(trainer.stack.flat).all()
