"""Machines that share runs: each has its own disk (GROKKIT_RUNS), and a folder is what all reach."""

import warnings

import pandas as pd
import pytest

from grokkit.cli import main
from grokkit.errors import GrokkitError
from grokkit.presets import preset
from grokkit.report.results import results
from grokkit.storage.files import cell_folder, run_folder
from grokkit.sweep import local as sweep
from grokkit.sweep.shared import Shared
from grokkit.training.trainer import train

pytest.importorskip("fsspec")
ASKED = ("smoke", ["question"], [1], [42, 52])


@pytest.fixture
def machine(tmp_path, monkeypatch):
    def use(name):
        monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / name))

    return use


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "shared")


def run(url, **options):
    sweep.run(*ASKED, progress=False, storage=url, **options)


def test_a_run_goes_on_on_another_machine_to_the_bit(machine, url, monkeypatch):
    machine("a")
    run(url, until=10)
    machine("b")
    run(url, workers=1)
    assert {step for saves in Shared(url).saves("smoke").values() for step, _ in saves[:1]} == {20}
    expected = pd.concat([train(preset("smoke", "question", 1), [s], progress=False) for s in (42, 52)])
    expected = expected.reset_index(drop=True)
    columns = list(expected.columns)
    found = results(*ASKED)[columns].sort_values(["seed", "step"], ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=True)
    steps = [found["steps"] for found in _description()["environments"]]
    assert sum(steps) == 20
    for name in ("c", "a"):  # a third, which trains nothing, and the first
        machine(name)
        monkeypatch.setattr(sweep, "_run_here", None)
        run(url)
        pd.testing.assert_frame_equal(results(*ASKED)[columns].sort_values(["seed", "step"], ignore_index=True), found)


def _description():
    from grokkit.storage.run_folder import read_description

    return read_description(run_folder(cell_folder("smoke", "question", 1), 42))


def test_processes_share_too(machine, url, monkeypatch):
    monkeypatch.setattr(sweep, "SMALL", 0)
    machine("a")
    run(url, workers=2)
    assert len(Shared(url).saves("smoke")) == 2


def test_what_is_here_already_is_put_up(machine, url):
    machine("a")
    sweep.run(*ASKED, progress=False)
    run(url)
    assert len(Shared(url).saves("smoke")) == 2


def test_half_a_save_is_not_seen_and_a_damaged_one_passed_over(machine, url):
    machine("a")
    run(url, until=10)
    run(url)
    (newest, path), (older, _) = Shared(url).saves("smoke")["smoke", "question", 1, 42]
    assert (newest, older) == (20, 10)
    shared = Shared(url)
    shared.fs.pipe_file(f"{path}/metrics.csv", b"cut")
    half = f"{path.rpartition('/')[0]}/save-0000030-abcdef"
    shared.fs.pipe_file(f"{half}/metrics.csv", b"half")
    machine("b")
    with pytest.warns(UserWarning, match="save-0000020.* is passed over .*metrics.csv is damaged"):
        run(url)
    assert set(results(*ASKED).step) == {0, 10, 20}


def test_only_the_newest_saves_stay(machine, url):
    machine("a")
    for until in (10, None):
        run(url, until=until)
        run(url, until=until)
    shared = Shared(url)
    for _ in range(3):
        shared.put(("smoke", "question", 1, 42))
    assert len(shared.saves("smoke")["smoke", "question", 1, 42]) == 2


def test_two_machines_that_train_the_same_runs_give_one_table(machine, url):
    machine("a")
    sweep.run(*ASKED, progress=False)
    machine("b")
    sweep.run(*ASKED, progress=False)
    for name in ("a", "b"):
        machine(name)
        run(url)
        for seed in (42, 52):
            Shared(url).put(("smoke", "question", 1, seed))
    machine("c")
    run(url)
    assert not results(*ASKED).duplicated(["task", "depth", "seed", "step"]).any()
    assert len(results(*ASKED)) == 6


def test_other_data_under_the_same_name_is_refused_before_anything_is_trained(machine, url):
    machine("a")
    cell = cell_folder("smoke", "question", 1)
    train(preset("smoke", "question", 1, width=32), [42], cell, progress=False)
    Shared(url).put(("smoke", "question", 1, 42))
    machine("b")
    with pytest.raises(GrokkitError, match="width is 32 there, 16 here"):
        run(url)
    machine("c")
    train(preset("smoke", "question", 1), [42], cell_folder("smoke", "question", 1), progress=False, until=10)
    with pytest.raises(GrokkitError, match="another run than .*, with another config or other data"):
        run(url)


@pytest.mark.parametrize("given", ["/proc/no/such", "nothing://there/x", ""])
def test_a_storage_that_cannot_be_written_is_one_line(machine, given):
    machine("a")
    with warnings.catch_warnings(), pytest.raises(GrokkitError) as error:
        run(given)
    assert "\n" not in str(error.value) and "storage" in str(error.value)


def test_status_fetches_tables_trains_nothing_and_puts_nothing_up(machine, url, capsys):
    machine("a")
    run(url, until=10)
    machine("b")
    train(preset("smoke", "question", 1), [62], cell_folder("smoke", "question", 1), progress=False)
    asked = ["status", "--preset", "smoke", "--tasks", "question", "--depths", "1", "--seeds", "42", "62"]
    assert main([*asked, "--storage", url]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == "question 1 62 - 42 to 10 -".split()
    assert not list(run_folder(cell_folder("smoke", "question", 1), 42).glob("*.safetensors"))
    assert {run[3] for run in Shared(url).saves("smoke")} == {42, 52}
    assert main([*asked, "--storage", url, "--source", "record"]) == 2
    assert "--storage holds runs" in capsys.readouterr().err
