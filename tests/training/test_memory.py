"""What a stack takes on a card: the estimate against the bytes that are held (helpers/held.py), without a card."""

import numpy as np
import pytest
import torch
from held import Held, as_on_a_gpu

from grokkit.data.loading import load_corpus
from grokkit.errors import GrokkitError
from grokkit.evaluation import internals
from grokkit.evaluation.analysis import analysis_sample
from grokkit.evaluation.decoding import Prompts
from grokkit.evaluation.evaluator import Evaluator
from grokkit.model import memory as room
from grokkit.model.parameters import parameter_count, with_aligned_rows
from grokkit.model.transformer import TransformerStack
from grokkit.presets import preset
from grokkit.training import memory
from grokkit.training.batches import Batches, lengths_of_lines
from grokkit.training.devices import MOST_GRAPHS
from grokkit.training.step import TrainingStep
from grokkit.trees import sci_charts


def seeds_of(runs: int) -> list[int]:
    return list(range(42, 42 + 10 * runs, 10))


def held_at_most(config, runs: int) -> tuple[int, int]:
    """Bytes that a training holds on a card at its largest, and what was said before."""
    patch, corpus = pytest.MonkeyPatch(), load_corpus(config)
    lengths, seeds = lengths_of_lines(corpus["train"].lines), seeds_of(runs)
    sample = analysis_sample(corpus, config).sentences
    answers: list[int] = []  # to what decoding asks: how many outputs go on
    decode = Prompts._decode

    def decoded(prompts, stack, batch):
        answers[:] = [3 * (batch.stop - batch.start) // 4, 0]
        return decode(prompts, stack, batch)

    patch.setattr(Prompts, "_decode", decoded)
    with as_on_a_gpu(patch, Held(lambda tensor: answers.pop(0) if answers else 0)) as held:
        flat = with_aligned_rows(torch.empty(runs, parameter_count(config), device="meta"))
        stack = TransformerStack(config, seeds, "meta", flat)
        batches = Batches(corpus["train"].lines, corpus.vocab, config.batch_size, config.heads, stack.seeds, "meta")
        step = TrainingStep(stack, config, batches)
        evaluator = Evaluator(corpus, config, "meta")
        del flat
        largest = {True: 0, False: 0}
        for recorded, shape in largest_of(config, seeds, lengths):
            with torch.enable_grad():
                largest[recorded] = max(largest[recorded], held.of(lambda shape=shape: step.update(shape)))
        works = [getattr(items, "prompts", None) for items in evaluator.items.values()]
        works = [lambda p=p: p.decode(stack) for p in works if p] or [
            lambda items=items: items.predict(stack) for items in evaluator.items.values()
        ]
        works += [lambda: sci_charts(stack, sample, corpus.vocab)]
        works += [lambda: internals.attention_sparsity(stack, sample, corpus.vocab)]
        works += [lambda: internals.released_attention_entropy(stack, sample, corpus.vocab)]
        pieces = [held.of(work) for work in works]
        kept = held.now
    patch.undo()
    return kept + largest[True] + max(*largest.values(), *pieces), memory.stack_bytes(config, seeds, lengths)


def largest_of(config, seeds, lengths):
    """The recorded shape, and the one that is not, with the most rows and with the most squares."""
    sizes = memory.sorted_lengths(lengths, seeds, config.batch_size, config.steps)
    rows, squares = sizes.sum(2).max(0), (sizes.max(0).astype(int) ** 2).sum(1)
    steps = np.unique([np.argsort(-rows)[:40], np.argsort(-squares)[:40]])
    shapes = {memory.shape_on_gpu(config, sizes[:, step]) for step in steps}
    for recorded in (True, False):
        for size in (lambda s: s.rows, lambda s: sum(n * width**2 for n, width in s.groups)):
            some = [shape for shape, own in shapes if own == recorded]
            if some:
                yield recorded, max(some, key=size)


def test_the_estimate_is_never_below_and_little_above_what_is_held():
    config = preset("as-run", "question", 6, train_size=2000, steps=3000, horizon=3000, val_size=20, gen_size=1500)
    held, said = held_at_most(config.replace(analysis_sentences=200), 3)
    assert held <= said <= 1.25 * held, (held, said)


@pytest.mark.long
@pytest.mark.parametrize(
    "task, depth, runs", [("question", 6, 1), ("question", 6, 10), ("question", 10, 1), ("question", 10, 10)]
)
def test_the_estimate_at_full_size(task, depth, runs):
    held, said = held_at_most(preset("as-run", task, depth), runs)
    assert held <= said <= 1.25 * held, (held, said)


@pytest.mark.long
@pytest.mark.parametrize("runs", [1, 10])
def test_the_estimate_of_dyck_at_full_size(runs):
    """The largest steps of 400,000; the sample is small, charts of long strings would take minutes to count."""
    config = preset("as-run", "dyck", 6).replace(analysis_sentences=50)
    held, said = held_at_most(config, runs)
    assert held <= said <= 1.25 * held, (held, said)


def test_the_largest_step_of_a_training_is_found():
    config = preset("as-run", "dyck", 6, train_size=500, steps=400, horizon=400, batch_size=4)
    corpus, seeds = load_corpus(config), [1, 2]
    batches = Batches(corpus["train"].lines, corpus.vocab, 4, config.heads, tuple(seeds), "cpu")
    sizes = memory.sorted_lengths(batches.lengths, seeds, 4, 400)
    each = [batches.lengths[batches.line_indices(step)] for step in range(400)]
    assert np.array_equal(sizes, np.stack(each, axis=1))
    found = [(memory.step_bytes(config, 2, s), own) for s, own in (memory.shape_on_gpu(config, e) for e in each)]
    expected = max(n for n, own in found if own), max(n for n, _ in found)
    assert memory.largest_steps(config, seeds, batches.lengths) == expected


def test_runs_that_do_not_fit_are_trained_in_equal_parts(monkeypatch, capsys):
    config, card = preset("as-run", "question", 6, train_size=100, steps=100, horizon=100), torch.device("cuda", 0)
    lengths = lengths_of_lines(load_corpus(config)["train"].lines)
    each = memory.stack_bytes(config, seeds_of(10), lengths) - memory.stack_bytes(config, seeds_of(9), lengths)
    assert 3e8 < each < 5e8  # 19.0 M parameters of 16 bytes, and activations of about 190 rows
    for gigabytes, runs in {80: 10, 5.0: 5, 4.0: 3, 3.1: 1, 0.1: 1}.items():
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=gigabytes: int(free * 1e9))
        assert memory.runs_that_fit(config, seeds_of(10), card, tell=True) == runs
        said = capsys.readouterr().out
        assert (f"trained {runs} at a time" in said) == (runs < 10)
    assert memory.runs_that_fit(config, seeds_of(10), torch.device("cpu")) == 10


def test_most_steps_of_one_run_of_dyck_are_replayed_and_ten_are_not_recorded():
    """Ten runs keep a card busy as they are: a coarser shape would only cost them."""
    config = preset("as-run", "dyck", 6, train_size=8000)
    lengths = lengths_of_lines(load_corpus(config)["train"].lines)
    seen, replayed, steps = {}, 0, 20_000
    sizes = memory.sorted_lengths(lengths, [42], config.batch_size, steps)
    for step in range(steps):
        shape, recorded = memory.shape_on_gpu(config, sizes[:, step])
        known = seen.get(shape)
        replayed += bool(known)
        if recorded and not known:
            seen[shape] = known is False and sum(map(bool, seen.values())) < MOST_GRAPHS
    assert replayed > 0.85 * steps
    ten = memory.sorted_lengths(lengths, seeds_of(10), config.batch_size, 200)
    assert np.mean([memory.shape_on_gpu(config, ten[:, step])[1] for step in range(200)]) < 0.2


def test_free_memory_counts_what_torch_keeps_and_does_not_use(monkeypatch):
    numbers = {"mem_get_info": (10, 100), "memory_reserved": 50, "memory_allocated": 20}
    for name, value in numbers.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert room.free_bytes(torch.device("cuda", 1)) == 40


def test_an_evaluation_that_does_not_fit_is_measured_in_smaller_pieces():
    stack, pieces = TransformerStack(preset("smoke", "question", 1), [1]), []

    def measure():
        pieces.append(stack.bytes_at_once)
        if stack.bytes_at_once > 2**28:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "measured"

    assert room.with_less_room(stack, measure) == "measured"
    assert pieces == [2**31, 2**30, 2**29, 2**28]

    def never():
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        room.with_less_room(stack, never)
    assert not issubclass(torch.OutOfMemoryError, GrokkitError)
