"""The native step against torch's own layers in float64 and against the step of torch, and how it is compiled.

`make test-native` runs this file under other vectors and under sanitizers: CXX says how the step is compiled.
"""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from oracle import small_corpus
from torch_model import PlainTraining
from trainings import trainer

from grokkit.model.parameters import ALIGNMENT
from grokkit.model.transformer import TransformerStack
from grokkit.presets import preset
from grokkit.storage.run_folder import read_description
from grokkit.training.batches import Batches
from grokkit.training.flat_adamw import MOMENTS
from grokkit.training.native import build
from grokkit.training.native.step import suits
from grokkit.training.step import TrainingStep

CPU = torch.device("cpu")
SMALL = dict(width=32, heads=2, ffn_width=48, batch_size=6, warmup_steps=5, beta2=0.98)
CELLS = [("question", 1, False), ("tense", 2, True), ("dyck", 3, False), ("tense", 4, False), ("question", 6, True)]
DROPOUT = pytest.mark.parametrize("dropout", [0.0, 0.1])
cells = pytest.mark.parametrize("task, depth, tied", CELLS)


pytestmark = pytest.mark.skipif(bool(build.why_not()), reason=build.why_not())


def config_of(task: str, depth: int, **changes):
    return preset("laptop", task, depth, **SMALL | changes)


def a_step(monkeypatch, native: bool, config, seeds=(1, 2, 3), lines=None) -> TrainingStep:
    """A step on the lines of a task; two of them are a single word, so that batches are ragged."""
    monkeypatch.setenv("GROKKIT_NATIVE", str(int(native)))
    corpus = small_corpus(config.task)
    lines = lines or [*corpus["train"].lines[:100], *corpus.vocab.words[3:5]]
    stack = TransformerStack(config, seeds)
    batches = Batches(lines, corpus.vocab, config.batch_size, config.heads, stack.seeds, CPU)
    step = TrainingStep(stack, config, batches)
    assert bool(step.native) == native
    return step


def taken(step: TrainingStep, number: int) -> np.ndarray:
    """The losses of all runs before this update, which is made."""
    step.loss_sum.zero_()
    step.take(number)
    return step.loss_sum.numpy().copy()


def plain(step: TrainingStep) -> list[PlainTraining]:
    return [PlainTraining(step.stack, run, step.batches) for run in range(step.stack.runs)]


@cells
@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)])
def test_losses_and_gradients_are_those_of_float64(monkeypatch, task, depth, tied, seeds):
    step = a_step(monkeypatch, True, config_of(task, depth, tied=tied, clip_norm=1e9), seeds)
    step.flat.grad[:, : step.stack.parameter_count()] = math.nan  # nothing is left of the step before
    runs = plain(step)
    losses, expected = taken(step, 0), [run.take(0) for run in runs]
    assert losses == pytest.approx(expected, abs=2e-6)  # float32 has 24 bits, and losses are about 5
    count = step.stack.parameter_count()
    for found, run in zip(step.flat.grad[:, :count].double(), runs):
        exact = run.flat(lambda weight: weight.grad)
        assert (found - exact).norm() < 2e-6 * exact.norm()
    assert not step.flat.grad[:, count:].any()  # what lies between the rows of the table


@pytest.mark.parametrize("lines", [["some yak"], ["some"], ["some", "yak", "some yak", "some"]])
def test_one_sentence_and_sentences_of_one_word(monkeypatch, lines):
    config = config_of("tense", 2, batch_size=len(lines), clip_norm=1e9)
    lines = [line.replace("yak", small_corpus("tense").vocab.words[5]) for line in lines]
    lines = [line.replace("some", small_corpus("tense").vocab.words[3]) for line in lines]
    step = a_step(monkeypatch, True, config, lines=lines)
    runs = plain(step)
    assert taken(step, 0) == pytest.approx([run.take(0) for run in runs], abs=2e-6)
    for found, run in zip(step.flat.grad.double(), runs):
        exact = run.flat(lambda weight: weight.grad)
        assert (found[: len(exact)] - exact).norm() < 2e-6 * exact.norm()


def without_kinks(step: TrainingStep) -> None:
    """Half of the hidden units are always on, the others always off. Where a sum of float32 stands at 0 to the last
    bit, a ReLU is on or off by rounding, and the weights part within some steps, those of torch and of float64 too."""
    for name, bias in step.stack.weights.items():
        if name.endswith("ffn1.bias"):
            bias.data.copy_(30.0 * (torch.arange(bias.shape[1]) % 2) - 15)


APART = {1: 1e-7, 10: 1e-6, 200: 1e-5}
"""Of the length of all weights, as updates of float32 weights are rounded and Adam divides small gradients by small."""


@cells
@pytest.mark.parametrize(
    "steps, seeds, changes",
    [(10, (1, 2, 3), {"clip_norm": 0.05, "weight_decay": 0.1}), (200, (4,), {"learning_rate": 5e-4})],
    ids=["clipped", "200 steps"],
)
def test_weights_and_moments_stay_those_of_float64(monkeypatch, task, depth, tied, steps, seeds, changes):
    """After 1, 10 and 200 updates, where the step of torch is held to the same."""
    config = config_of(task, depth, tied=tied, **changes)
    both = [a_step(monkeypatch, it, config, seeds) for it in (True, False)]
    for step in both:
        without_kinks(step)
    runs, clipped = plain(both[0]), 0
    for number in range(steps):
        expected = [run.take(number) for run in runs]
        clipped += sum(run.norm > config.clip_norm for run in runs)
        for step in both:
            assert taken(step, number) == pytest.approx(expected, abs=2e-6)
        if number + 1 not in (1, 10, 200):
            continue
        exact = torch.stack([run.flat() for run in runs])
        for step in both:
            assert (step.stack.flat - exact).norm() < APART[number + 1] * exact.norm()
        moments, theirs = ([step.adamw.state[step.flat][name] for name in MOMENTS] for step in both)
        for found, same in zip(moments, theirs):
            assert (found - same).norm() < 1e-5 * same.norm()
    assert clipped == steps * len(seeds) or "clip_norm" not in changes


def bf16_or_skip(precision: str) -> None:
    if precision == "bf16" and not build.library().has_bf16():
        pytest.skip("this processor, or what is compiled for, multiplies no bf16")


@pytest.fixture
def threads():
    """Sets the number of threads, which is given back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


WIDE = dict(width=320, heads=4, ffn_width=352, batch_size=5)  # parts of three threads are of different size


def gradients_without_kinks(monkeypatch, native: bool, config):
    """Losses and gradients of a first step in which no ReLU stands near 0."""
    step = a_step(monkeypatch, native, config.replace(clip_norm=1e9), (1, 2))
    without_kinks(step)
    return taken(step, 0), step.flat.grad


@cells
@pytest.mark.parametrize("dropout, changes", [(0.0, WIDE), (0.3, {}), (0.3, WIDE)], ids=["wide", "dropped", "both"])
def test_wide_models_and_dropout_are_those_of_torch(monkeypatch, threads, task, depth, tied, dropout, changes):
    """Dropout decides the same in both; wide models take several threads."""
    threads(3)
    config = config_of(task, depth, tied=tied, dropout=dropout, **changes)
    (losses, exact), (found, grads) = (gradients_without_kinks(monkeypatch, it, config) for it in (False, True))
    assert found == pytest.approx(losses, abs=3e-6)
    assert ((grads - exact).norm(dim=1) < 3e-6 * exact.norm(dim=1)).all()


@cells
def test_bf16_loses_no_more_than_that_of_torch(monkeypatch, threads, task, depth, tied):
    """Beside float32. torch also rounds what products give and the gradients of weights."""
    bf16_or_skip("bf16")
    threads(3)
    config = config_of(task, depth, tied=tied, dropout=0.3, **WIDE)
    (losses, exact), theirs, ours = (
        gradients_without_kinks(monkeypatch, native, config.replace(precision=precision))
        for native, precision in ((False, "float32"), (False, "bf16"), (True, "bf16"))
    )
    assert ours[0] == pytest.approx(losses, abs=1e-2)
    lost = [(grads - exact).norm() / exact.norm() for _, grads in (ours, theirs)]
    assert 1e-4 < lost[0] < 1.1 * lost[1] < 0.1  # it is rounded


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_however_many_threads_make_it_every_bit_is_the_same(monkeypatch, threads, precision):
    bf16_or_skip(precision)
    config, weights = config_of("dyck", 2, dropout=0.1, precision=precision, clip_norm=0.1, **WIDE), []
    for number in (1, 2, 5):
        threads(number)
        step = a_step(monkeypatch, True, config)
        losses = [taken(step, n) for n in range(6)]
        hidden = step.native.hidden(torch.arange(1, 40).expand(3, 7, -1))
        weights.append([step.stack.flat.clone(), torch.tensor(np.array(losses)), hidden])
    assert all(torch.equal(a, b) for other in weights[1:] for a, b in zip(weights[0], other))
    assert weights[0][1].diff(dim=0).any() and weights[0][2].isfinite().all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("name", ["output.bias", "output.weight", "layers.1.ffn1.weight", "layers.0.qkv"])
def test_numbers_that_break_are_noticed_when_torch_notices_them(monkeypatch, name, value):
    """In one run of three, whose neighbours are as they are without it, to the bit."""
    config = config_of("tense", 2)
    sound, *both = [a_step(monkeypatch, it, config) for it in (True, True, False)]
    for step in both:
        step.stack.weights[name].data[1].view(-1)[7] = value
    for number in range(3):
        for step in (sound, *both):
            step.take(number)
    native, torchs = both
    assert native.failed_at.tolist() == torchs.failed_at.tolist()
    assert native.failed_at[[0, 2]].tolist() == [-1, -1] and (value == 1e30 or native.failed_at[1] >= 1)
    assert torch.equal(native.stack.flat[[0, 2]], sound.stack.flat[[0, 2]])
    assert torch.equal(native.stack.flat[1].isfinite().all(), torchs.stack.flat[1].isfinite().all())


@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)])
def test_hidden_vectors_are_those_of_torch(monkeypatch, seeds):
    """Of rows shorter and longer than training's, before and after an update; gradients are left to torch."""
    step = a_step(monkeypatch, True, config_of("tense", 3), seeds)
    for rows, length in ((1, 1), (20, 7), (7, 120), (13, 33)):
        tokens = torch.randint(1, 60, (len(seeds), rows, length))
        with torch.no_grad():
            found, positions = step.stack.hidden(tokens), torch.arange(length)
            torch.testing.assert_close(found, step.stack.hidden(tokens, positions), rtol=1e-5, atol=1e-5)
            assert not torch.equal(found, step.stack.hidden(tokens, positions)) or length == 1, "both are torch's"
        step.take(rows)
    step.stack.hidden(tokens[0]).sum().backward()


@DROPOUT
def test_a_run_is_the_same_to_the_bit_in_whatever_company(monkeypatch, dropout):
    config = config_of("dyck", 2, dropout=dropout)
    alone, stack = a_step(monkeypatch, True, config, (2,)), a_step(monkeypatch, True, config, (1, 2, 3))
    for number in range(20):
        alone.take(number), stack.take(number)
    assert torch.equal(alone.stack.flat[0], stack.stack.flat[1])


TINY = dict(train_size=200, val_size=10, gen_size=10, analysis_sentences=5, steps=12, horizon=12, eval_every=6)


def trained(monkeypatch, out, until: dict[int, bool], dropout: float):
    """A training that is stopped and goes on at these steps, by the native step or not."""
    for end, native in until.items():
        monkeypatch.setenv("GROKKIT_NATIVE", str(int(native)))
        t = trainer(config_of("question", 2, dropout=dropout, **TINY), [42, 52], out)
        assert bool(t.update.native) == native
        if not t.rows:
            t._evaluate()
        while t.step < end:
            t._train_step()
            if t._lacking():
                t._evaluate()
        t._save()
        t.folders.close()
    return t


@DROPOUT
def test_stop_and_go_on_equals_uninterrupted(monkeypatch, tmp_path, dropout):
    whole = trained(monkeypatch, tmp_path / "whole", {12: True}, dropout)
    cut = trained(monkeypatch, tmp_path / "cut", {5: True, 12: True}, dropout)
    assert torch.equal(whole.stack.flat, cut.stack.flat)
    pd.testing.assert_frame_equal(whole.table(), cut.table(), check_exact=True, check_dtype=False)


@DROPOUT
@pytest.mark.parametrize("first", [True, False])
def test_either_step_goes_on_where_the_other_stopped(monkeypatch, tmp_path, first, dropout):
    """The files are the same, and the folder says who made which steps."""
    torchs = trained(monkeypatch, tmp_path / "torch", {12: False}, dropout)
    both = trained(monkeypatch, tmp_path / "both", {5: first, 12: not first}, dropout)
    assert (both.stack.flat - torchs.stack.flat).norm() < APART[10] * torchs.stack.flat.norm()
    said = [(e["training_step"], e["steps"]) for e in read_description(tmp_path / "both/seed-52")["environments"]]
    assert said == list(zip(("native", "torch") if first else ("torch", "native"), (5, 7)))


@pytest.mark.parametrize(
    "changes, device",
    [
        ({"precision": "tf32"}, "cpu"),
        ({"heads": 4}, "cpu"),  # 8 channels a head
        ({"ffn_width": 40}, "cpu"),
        ({}, "cuda"),
    ],
)
def test_everything_else_is_left_to_torch(changes, device):
    assert suits(config_of("tense", 2), CPU)
    assert not suits(config_of("tense", 2, **changes), torch.device(device))


def test_weights_whose_rows_are_not_aligned_take_the_step_of_torch():
    config, corpus = config_of("tense", 1), small_corpus("tense")
    stack = TransformerStack(config, (1, 2))
    stack = TransformerStack(config, (1, 2), flat=stack.flat.clone())  # one row right behind the other
    assert stack.flat.shape[1] % ALIGNMENT
    batches = Batches(corpus["train"].lines[:100], corpus.vocab, config.batch_size, config.heads, stack.seeds, CPU)
    assert TrainingStep(stack, config, batches).native is None
