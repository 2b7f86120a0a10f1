"""The command line: quick to start, one line for a user's mistake, exit codes."""

import importlib
import subprocess
import sys
import types
from pathlib import Path

import pandas as pd
import pytest

import grokkit.training
from grokkit import cli
from grokkit.commands import settings
from grokkit.commands.doctor import CHECKS, Finding, report
from grokkit.config import DEPTHS, SEEDS
from grokkit.errors import GrokkitError

ROOT = Path(__file__).resolve().parents[1]


def one_line(capsys) -> str:
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


def test_help_needs_no_torch():
    """The module itself is light; what `import grokkit` brings in is not its matter."""
    script = (
        "import sys, types\n"
        "package = types.ModuleType('grokkit')\n"
        "package.__path__ = [sys.argv[1]]\n"
        "sys.modules['grokkit'] = package\n"
        "from grokkit.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", script, str(ROOT / "grokkit")], capture_output=True, text=True, check=True
    ).stdout
    for command in ("train", "sweep", "status", "doctor", "reproduce", "download"):
        assert command in output


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["train", "--preset", "huge", "--task", "tense"], "'huge'"),
        (["train", "--preset", "smoke", "--task", "chess"], "'chess'"),
        (["train", "--preset", "smoke", "--task", "tense", "--depth", "0"], "depth = 0"),
        (["train", "--preset", "smoke", "--task", "tense", "--set", "wide=3", "--out", "x"], "'wide'"),
        (["train", "--preset", "smoke", "--task", "tense", "--set", "width"], "FIELD=VALUE"),
        (["train", "--preset", "smoke", "--task", "tense", "--set", "heads=3", "--out", "x"], "heads = 3"),
        (["train", "--preset", "smoke", "--task", "tense", "--set", "width=32"], "--out"),
        (["train", "--preset", "smoke", "--task", "tense", "--seeds", "42", "42"], "none twice"),
        (["train", "--preset", "smoke", "--task", "tense", "--seeds", "many"], "'42 52 62'"),
        (["train", "--preset", "smoke", "--task", "tense", "--device", "abacus"], "'abacus'"),
        (["status", "--preset", "smoke", "--tasks", "chess"], "'chess'"),
        (["status", "--preset", "smoke", "--source", "memory"], "'memory'"),
        (["status", "--preset", "smoke", "--depths", "-1"], "depths"),
        (["sweep", "--preset", "huge"], "'huge'"),
        (["download", "chess"], "'chess'"),
        (["reproduce", "fig6"], "'fig6'"),
        (["reproduce", "fig2", "-p", "SEEDS", "4.5"], "SEEDS"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    assert expected in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["train"],
        ["status", "--colour", "red"],
        ["sweep", "--workers", "x"],
    ],
)
def test_bad_syntax_is_one_line_and_exit_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert "--help" in one_line(capsys)


def test_train_saves_in_the_cells_folder_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    command = ["train", "--preset", "smoke", "--task", "question", "--depth", "1", "--seeds", "42,52"]
    assert cli.main(command) == 0
    tables = [pd.read_csv(tmp_path / f"smoke/question/L1/seed-{seed}/metrics.csv") for seed in (42, 52)]
    assert [set(table.seed) for table in tables] == [{42}, {52}]
    first = capsys.readouterr().out
    assert cli.main(command) == 0
    assert capsys.readouterr().out == first

    question = ["status", "--preset", "smoke", "--tasks", "question", "--depths", "1", "--seeds", "42", "62"]
    assert cli.main(question) == 0
    shown = capsys.readouterr().out.splitlines()[-1].split()
    assert shown == ["question", "1", "42", "-", "-", "62"]


def test_train_takes_changes_and_another_folder(tmp_path, capsys):
    out = tmp_path / "mine"
    changes = ["--set", "width=8", "--set", "steps=2", "--set", "eval_every=2", "--set", "schedule=constant"]
    command = ["train", "--preset", "smoke", "--task", "tense", "--seeds", "1", "--out", str(out)]
    assert cli.main(command + changes) == 0
    assert pd.read_csv(out / "seed-1/metrics.csv").step.tolist() == [0, 2]
    text = (out / "seed-1/run.json").read_text()
    assert '"width": 8' in text and '"schedule": "constant"' in text


def test_sweep_gets_the_cells(monkeypatch):
    calls = []
    fake = types.ModuleType("grokkit.sweep")
    fake.run = lambda *arguments: calls.append(arguments)
    monkeypatch.setitem(sys.modules, "grokkit.sweep", fake)
    command = ["sweep", "--preset", "smoke", "--tasks", "tense", "--depths", "2,1", "--minutes", "3"]
    assert cli.main(command) == 0
    command = ["sweep", "--preset", "laptop", "--seeds", "7", "--workers", "2", "--device", "cpu"]
    assert cli.main(command) == 0
    depths = DEPTHS["laptop"]
    assert calls == [
        ("smoke", ["tense"], {"tense": [2, 1]}, list(SEEDS["smoke"]), None, None, 3.0),
        ("laptop", list(depths), {task: list(depths[task]) for task in depths}, [7], "cpu", 2, None),
    ]


def test_interruption_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt("stopped after step 3 of 20, saved in x")  # as Stopped in grokkit.training

    monkeypatch.setattr(grokkit.training, "train", interrupted)
    assert cli.main(["train", "--preset", "smoke", "--task", "tense"]) == 130
    assert capsys.readouterr().err == "\ngrokkit: stopped after step 3 of 20, saved in x\n"


def test_record_takes_what_is_finished_unless_told_otherwise(monkeypatch, capsys):
    fake = types.ModuleType("grokkit.report.record")
    fake.record = lambda *arguments: arguments
    monkeypatch.setitem(sys.modules, "grokkit.report.record", fake)
    assert cli.main(["record", "--preset", "smoke"]) == 0
    assert cli.main(["record", "--preset", "smoke", "--tasks", "tense", "--seeds", "1,2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "('smoke', None, None, None)",
        "('smoke', ['tense'], None, [1, 2])",
    ]


def test_main_module_is_the_command(monkeypatch):
    assert importlib.import_module("grokkit.__main__").main is cli.main


def test_doctor_fails_only_on_a_fail(monkeypatch, capsys):
    assert report() in (0, 1)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("[OK] ", "[WARN] ", "[FAIL] ")) for line in lines[:-1])
    assert any("torch" in line for line in lines) and len(lines) > len(CHECKS)

    monkeypatch.setattr("grokkit.commands.doctor.CHECKS", (lambda: [Finding("WARN", "old")],))
    assert report() == 0
    monkeypatch.setattr("grokkit.commands.doctor.CHECKS", (lambda: [Finding("FAIL", "none")],))
    assert report() == 1
    monkeypatch.setattr("grokkit.commands.doctor.CHECKS", (lambda: 1 / 0,))
    assert report() == 1
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_doctor_tells_what_pip_misses(monkeypatch, capsys):
    said = "grokkit 0.1.0 requires tqdm, which is not installed.\nother 1 requires x, which is not installed.\n"
    monkeypatch.setattr("subprocess.run", lambda *_, **__: types.SimpleNamespace(returncode=1, stdout=said))
    monkeypatch.setattr("grokkit.commands.doctor.CHECKS", [check for check in CHECKS if check.__name__ == "_versions"])
    assert report() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("[FAIL] grokkit 0.1.0 requires tqdm") and lines[2].startswith("[WARN] other 1")


def test_doctor_sees_a_folder_that_cannot_be_written(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / "file" / "runs"))
    assert cli.main(["doctor"]) == 1
    assert "[FAIL] cannot write to" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, value, ask",
    [
        ("GROKKIT_PRESET", "huge", settings.default_preset),
        ("GROKKIT_SEEDS", "42 42", lambda: settings.default_seeds("smoke")),
        ("GROKKIT_SEEDS", "9" * 19, lambda: settings.default_seeds("smoke")),
        ("GROKKIT_SEEDS", "-1", lambda: settings.default_seeds("smoke")),
        ("GROKKIT_SEEDS", ",", lambda: settings.default_seeds("smoke")),
        ("GROKKIT_DEPTHS", "0", lambda: settings.default_depths("smoke", "tense")),
        ("GROKKIT_SOURCE", "memory", settings.default_source),
    ],
)
def test_settings_refuse_wrong_values(name, value, ask, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(GrokkitError, match=name):
        ask()


def test_settings_read_the_environment(monkeypatch):
    assert settings.default_seeds("smoke") == list(SEEDS["smoke"])
    assert settings.default_depths("smoke", "dyck") == list(DEPTHS["smoke"]["dyck"])
    assert settings.default_source() == "runs"
    for name, value in (("PRESET", "smoke"), ("SEEDS", "1,2"), ("DEPTHS", "[3]"), ("SOURCE", "record")):
        monkeypatch.setenv(f"GROKKIT_{name}", value)
    assert settings.default_preset() == "smoke"
    assert settings.default_seeds("smoke") == [1, 2]
    assert settings.default_depths("smoke", "tense") == [3]
    assert settings.default_source() == "record"


def test_default_preset_follows_the_device(monkeypatch):
    for there, expected in ((True, "as-run"), (False, "laptop")):
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        assert settings.default_preset() == expected
