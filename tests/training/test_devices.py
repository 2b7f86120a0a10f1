"""Devices by name and number, and the memory that a process keeps."""

import platform
import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch
from trainings import run_steps

from grokkit.errors import GrokkitError
from grokkit.presets import preset
from grokkit.training.devices import pick_device, prepare
from grokkit.training.memory import RESERVE, stack_bytes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("task", ["question", "dyck"])
def test_the_estimate_covers_what_is_allocated(task):
    """On the card itself, reserved memory too, with an evaluation."""
    config = preset("as-run", task, 6, train_size=5000, val_size=100, gen_size=100, steps=200, horizon=200)
    trainer = run_steps(config, [1, 2, 3], 200, "cuda")
    trainer._evaluate()
    assert torch.cuda.max_memory_reserved() < stack_bytes(config, [1, 2, 3], trainer.batches.lengths) / (1 - RESERVE)


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


def test_what_a_card_has_not_in_hardware_is_refused(monkeypatch):
    card = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    for capability, refused in {(7, 5): True, (8, 0): False, (9, 0): False}.items():
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=capability: found)
        prepare(card, "float32")
        for precision in ("tf32", "bf16"):
            with pytest.raises(GrokkitError, match="Tesla T4 has no") if refused else nullcontext():
                prepare(card, precision)
            prepare(torch.device("cpu"), precision)


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
