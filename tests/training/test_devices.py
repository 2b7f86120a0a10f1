"""What a stack takes, against what is really allocated, and how stacks are split."""

import platform
import subprocess
import sys

import pytest
import torch
from trainings import run_steps

from grokkit.errors import GrokkitError
from grokkit.presets import preset
from grokkit.training.devices import pick_device, runs_that_fit, stack_bytes

LENGTHS = [12, 20, 24, 30]


def test_ten_runs_of_the_paper_take_a_few_gigabytes():
    config = preset("as-run", "question", 6)
    # 19.0 M parameters a run, 20 bytes each, and activations of about 190 rows
    assert 3.8e9 < stack_bytes(config, 10, LENGTHS) < 5.5e9
    assert stack_bytes(config, 10, LENGTHS) == pytest.approx(10 * stack_bytes(config, 1, LENGTHS), rel=1e-6)
    for gigabytes, runs in {80: 10, 4.0: 5, 2.0: 3, 1.0: 1, 0.1: 1}.items():  # split into equal parts
        assert runs_that_fit(config, 10, LENGTHS, int(gigabytes * 1e9)) == runs


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("task", ["question", "dyck"])
def test_the_estimate_covers_what_is_allocated(task):
    config = preset("as-run", task, 6, train_size=5000, val_size=100, gen_size=100)
    torch.cuda.reset_peak_memory_stats()
    trainer = run_steps(config, [1, 2, 3], 200, "cuda")
    assert torch.cuda.max_memory_allocated() < stack_bytes(config, 3, trainer.batches.lengths)


@pytest.fixture
def two_cards(monkeypatch):
    """A machine with two CUDA devices, as far as torch is asked how many, and which is the current one."""
    for name, value in {"is_available": True, "device_count": 2, "current_device": 1}.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)


def test_a_device_has_its_number(two_cards):
    assert str(pick_device()) == str(pick_device("cuda")) == "cuda:1"
    assert str(pick_device("cuda:0")) == "cuda:0"
    with pytest.raises(GrokkitError, match="'cuda:7': there are 2 here, cuda:0 to cuda:1"):
        pick_device("cuda:7")


FAULTS = """
import resource, torch
from grokkit.training.devices import keep_freed_memory

def faults():  # pages that the system hands out while 10 times 40 MB are taken and given back
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        kept = [torch.zeros(2**20) for _ in range(10)]
        del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
usual = faults()
keep_freed_memory()
faults()
print(usual, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are not told anything")
def test_freed_memory_is_used_again():
    usual, kept = map(int, subprocess.check_output([sys.executable, "-c", FAULTS], text=True).split())
    assert kept < 0.1 * usual or kept < 100
