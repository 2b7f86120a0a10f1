"""The doctor: a line a finding, and an exit code that says whether something has to be mended."""

import os
import re
import types

import pytest
import torch

from grokkit import cli
from grokkit.commands import doctor, gpu_check
from grokkit.model import dropout
from grokkit.presets import preset
from grokkit.training import Trainer


def test_every_line_has_a_level(capsys):
    assert doctor.report(doctor.CHECKS) in (0, 1)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("[OK] ", "[WARN] ", "[FAIL] ")) for line in lines[:-1])
    assert any("torch" in line for line in lines) and len(lines) > len(doctor.CHECKS)


@pytest.mark.parametrize(
    "check, code, line",
    [
        (lambda: [("WARN", "old")], 0, "[WARN] old"),
        (lambda: [("FAIL", "none")], 1, "[FAIL] none"),
        (lambda: 1 / 0, 1, "ZeroDivisionError"),
    ],
)
def test_only_a_fail_fails(check, code, line, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", (check,))
    assert doctor.report(doctor.CHECKS) == code
    assert line in capsys.readouterr().out


def test_tells_what_pip_misses(monkeypatch, capsys):
    said = "grokkit 0.1.0 requires tqdm, which is not installed.\nother 1 requires x, which is not installed.\n"
    monkeypatch.setattr("subprocess.run", lambda *_, **__: types.SimpleNamespace(returncode=1, stdout=said))
    monkeypatch.setattr(doctor, "CHECKS", (doctor._versions,))
    assert doctor.report(doctor.CHECKS) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("[FAIL] grokkit 0.1.0 requires tqdm") and lines[2].startswith("[WARN] other 1")


def test_sees_a_folder_that_cannot_be_written(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / "file" / "runs"))
    assert cli.main(["doctor"]) == 1
    assert "[FAIL] cannot write to" in capsys.readouterr().out


CPU = torch.device("cpu")


def test_two_cpus_pass_the_check_of_a_gpu():
    found = list(gpu_check.compare(CPU, CPU))
    assert [level for level, _ in found] == ["OK"] * 3 and "0.0e+00 apart" in found[0][1]


@pytest.mark.parametrize("trainer, line", [(1, "weights .* apart"), (2, "recorded steps and plain ones: .* differ")])
def test_a_step_that_is_lost_is_found(trainer, line, monkeypatch):
    """As a device would lose it that reads a batch before it is there. Trainers: CPU, GPU; recorded, plain."""
    made, init, real = [], Trainer.__init__, Trainer._train_step

    def noted(self, *given):
        made.append(self)
        init(self, *given)

    def step(self):
        real(self)
        if made.index(self) == trainer and self.step == 7:
            self.stack.flat[0, 100] += 0.001

    monkeypatch.setattr(Trainer, "__init__", noted)
    monkeypatch.setattr(Trainer, "_train_step", step)
    found = list(gpu_check.compare(CPU, CPU))
    assert [level for level, _ in found].count("FAIL") == 1
    assert found[trainer - 1][0] == "FAIL" and re.search(line, found[trainer - 1][1])


def test_dropout_that_is_not_its_formula_is_found(monkeypatch):
    real, calls = dropout.times_hashed, []

    def other(x, hashes, site, *arguments):
        calls.append(1)
        return real(x, hashes, site + len(calls) % 2, *arguments)

    monkeypatch.setattr(dropout, "times_hashed", other)
    assert list(gpu_check.compare(CPU, CPU))[2] == ("FAIL", "dropout on cpu is not its formula")


def test_without_a_gpu_the_check_says_so(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert cli.main(["doctor", "--gpu"]) == 1
    assert "[FAIL] device 'cuda' is not available here" in capsys.readouterr().out


def test_a_driver_that_is_too_old_is_no_failure(monkeypatch, tmp_path, capsys):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert doctor.report((doctor._devices,)) == 0
    assert "[WARN] an NVIDIA driver is there, but this torch" in capsys.readouterr().out


def test_hours_follow_from_timed_steps(monkeypatch):
    """On the CPU, with models of the smoke preset in the place of the paper's: 10 runs of 5 depths of two tasks."""
    tiny = {task: preset("smoke", task, 1, train_size=100, steps=3600, horizon=3600) for task in ("question", "tense")}
    monkeypatch.setattr(gpu_check, "AS_RUN", tiny)
    monkeypatch.setattr(gpu_check, "TIMED", 4)
    monkeypatch.setattr(gpu_check, "median", lambda times: 2.0)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    said = [text for _, text in gpu_check.speed(CPU)]
    assert said[0] == "as-run question L2: 10 of 10 runs at once, 2000.0 ms a step" and len(said) == 11
    assert said[9].startswith("as-run tense L10") and "about 20 hours" in said[-1]  # 10 cells, 3,600 steps of 2 s


def test_the_driver_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_check.driver() == ""
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 550.54.15\necho 550.54.15\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert gpu_check.driver() == "550.54.15"
