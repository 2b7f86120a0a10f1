"""The command line: quick to start, one line for a user's mistake, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
import types

import pandas as pd
import pytest

import grokkit.training
from grokkit import cli
from grokkit.presets import DEPTHS, SEEDS
from grokkit.signals import Stopped, raised_signals


def one_line(capsys) -> str:
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


def test_help_needs_no_torch():
    script = (
        "import runpy, sys\nsys.argv = ['grokkit', '--help']\n"
        "try: runpy.run_module('grokkit', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "print({'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules))\n"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.endswith("set()\n")
    for command in ("train", "sweep", "status", "record", "doctor", "reproduce", "download"):
        assert command in shown


TRAIN = "train --preset smoke --task tense"


@pytest.mark.parametrize(
    "line, expected",
    [
        ("train --preset huge --task tense", "'huge'"),
        ("train --preset smoke --task chess", "'chess'"),
        (f"{TRAIN} --depth 0", "depth = 0"),
        (f"{TRAIN} --set wide=3 --out x", "'wide'"),
        (f"{TRAIN} --set width", "FIELD=VALUE"),
        (f"{TRAIN} --set heads=3 --out x", "heads = 3"),
        (f"{TRAIN} --set width={'(' * 300} --out x", "width"),
        (f"{TRAIN} --seeds 42 42", "none twice"),
        (f"{TRAIN} --seeds many", "'42 52 62'"),
        (f"{TRAIN} --seeds True", "seeds"),
        (f"{TRAIN} --depth 4.5", "depth"),
        (f"{TRAIN} --depth True", "depth"),
        *((f"{TRAIN} --out x --minutes {text}", "minutes") for text in ("nan", "-1")),
        *((f"{TRAIN} --out x --set tied={text}", "tied") for text in ("maybe", "", "None", "2")),
        *((f"{TRAIN} --out x --set dropout={text}", "dropout") for text in ("off", "False", "None")),
        *((f"{TRAIN} --out x --set width={text}", "width") for text in ("wide", "16.5", "None", "True")),
        *((f"{TRAIN} --out x --set learning_rate={text}", "learning_rate") for text in ("nan", "[1]")),
        *((f"{TRAIN} --out x --set {name}", name.split("=")[0]) for name in ("schedule=1", "task=question", "seed=1")),
        (f"{TRAIN} --out x --set preset=laptop", "preset"),
        (f"{TRAIN} --out x --set width=8 --set width=16", "width"),
        (f"{TRAIN} --out x --set tied=on --set tied=on", "tied"),
        (f"{TRAIN} --out x --depth 1 --set depth=2", "depth"),
        (f"{TRAIN} --device abacus", "'abacus'"),
        ("status --preset smoke --tasks chess", "'chess'"),
        ("status --preset smoke --source memory", "'memory'"),
        ("status --preset smoke --depths -1", "depths"),
        ("sweep --preset huge", "'huge'"),
        ("train --preset smoke", "--task"),
        ("download chess", "'chess'"),
        ("reproduce fig6", "'fig6'"),
        *((f"reproduce run -p SEEDS {text}", "SEEDS") for text in ("4.5", "True", "['a']")),
        *((f"reproduce run -p DEPTHS {text}", "DEPTHS") for text in ("0", "None")),
        ("reproduce run -p PRESET huge", "PRESET"),
        ("reproduce run -p SOURCE memory", "SOURCE"),
        ("record --preset smoke --tasks poetry", "'poetry'"),
        ("sweep --preset smoke --tasks tense,poetry", "'poetry'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(line, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(line.split()) == 2
    assert expected in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["", "fly", "status --colour red", "sweep --workers x", "train --minutes soon"])
def test_bad_syntax_is_one_line_and_exit_2(line, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(line.split())
    assert end.value.code == 2
    assert "--help" in one_line(capsys)


def test_train_saves_in_the_cells_folder_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path))
    command = "train --preset smoke --task question --depth 1 --seeds 42,52".split()
    assert cli.main(command) == 0
    tables = [pd.read_csv(tmp_path / f"smoke/question/L1/seed-{seed}/metrics.csv") for seed in (42, 52)]
    assert [set(table.seed) for table in tables] == [{42}, {52}]
    first = capsys.readouterr().out.splitlines()
    assert cli.main(command) == 0
    assert capsys.readouterr().out.splitlines() == [line for line in first if "of memory" not in line]  # no cost now

    assert cli.main("status --preset smoke --tasks question --depths 1 --seeds 42 62".split()) == 0
    shown = capsys.readouterr().out.splitlines()[-1].split()
    assert shown == ["question", "1", "42", "-", "-", "62"]


def test_train_takes_changes_and_another_folder(tmp_path, capsys):
    out = tmp_path / "mine"
    changes = "--set width=8.0 --set steps=2 --set eval_every=2 --set schedule=constant --set tied=No --set dropout=0"
    assert cli.main([*f"{TRAIN} --depth 2.0 --seeds 1.0 {changes} --set learning_rate=1 --out".split(), str(out)]) == 0
    assert pd.read_csv(out / "seed-1/metrics.csv").step.tolist() == [0, 2]
    config = json.loads((out / "seed-1/run.json").read_text())["config"]
    wanted = {"width": 8, "depth": 2, "learning_rate": 1.0, "schedule": "constant", "tied": False, "dropout": 0.0}
    assert wanted.items() <= config.items() and type(config["depth"]) is int


def test_sweep_gets_the_cells(monkeypatch):
    calls = []
    fake = types.ModuleType("grokkit.sweep")
    fake.run = lambda *arguments, **named: calls.append((*arguments, *named.values()))
    monkeypatch.setitem(sys.modules, "grokkit.sweep", fake)
    assert (
        cli.main("sweep --preset smoke --tasks tense --depths 2,1 --minutes 3 --until 15000 --shard 3/16".split()) == 0
    )
    assert cli.main("sweep --preset laptop --seeds 7 --workers 2 --device cpu --storage x".split()) == 0
    assert calls == [
        ("smoke", ("tense",), (2, 1), SEEDS["smoke"], None, None, 3.0, 15000, "3/16", None),
        ("laptop", tuple(DEPTHS["laptop"]), DEPTHS["laptop"], (7,), "cpu", 2, None, None, None, "x"),
    ]


def test_interruption_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt("stopped after step 3 of 20, saved in x")  # as Stopped in grokkit.training

    monkeypatch.setattr(grokkit.training, "train", interrupted)
    assert cli.main(TRAIN.split()) == 130
    assert capsys.readouterr().err == "\ngrokkit: stopped after step 3 of 20, saved in x\n"


def test_record_takes_what_is_finished_unless_told_otherwise(monkeypatch, capsys):
    fake = types.ModuleType("grokkit.report.record")
    fake.record = lambda *arguments: arguments
    monkeypatch.setitem(sys.modules, "grokkit.report.record", fake)
    assert cli.main(["record", "--preset", "smoke"]) == 0
    assert cli.main("record --preset smoke --tasks tense --seeds 1,2".split()) == 0
    assert capsys.readouterr().out.splitlines() == [
        "('smoke', None, None, None, None)",
        "('smoke', 'tense', None, '1,2', None)",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_ends_as_by_ctrl_c_unless_the_signal_is_ignored(number):
    before = signal.getsignal(number)
    try:
        signal.signal(number, signal.SIG_IGN)  # as nohup does
        with raised_signals():
            os.kill(os.getpid(), number)
        signal.signal(number, signal.SIG_DFL)
        with pytest.raises(Stopped) as stopped, raised_signals():
            os.kill(os.getpid(), number)
            time.sleep(1)
        assert stopped.value.signal == number and signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
