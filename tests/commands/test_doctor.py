"""The doctor: a line a finding, and an exit code that says whether something has to be mended."""

import types

import pytest

from grokkit import cli
from grokkit.commands import doctor


def test_every_line_has_a_level(capsys):
    assert doctor.report() in (0, 1)
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
    assert doctor.report() == code
    assert line in capsys.readouterr().out


def test_tells_what_pip_misses(monkeypatch, capsys):
    said = "grokkit 0.1.0 requires tqdm, which is not installed.\nother 1 requires x, which is not installed.\n"
    monkeypatch.setattr("subprocess.run", lambda *_, **__: types.SimpleNamespace(returncode=1, stdout=said))
    monkeypatch.setattr(doctor, "CHECKS", (doctor._versions,))
    assert doctor.report() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("[FAIL] grokkit 0.1.0 requires tqdm") and lines[2].startswith("[WARN] other 1")


def test_sees_a_folder_that_cannot_be_written(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / "file" / "runs"))
    assert cli.main(["doctor"]) == 1
    assert "[FAIL] cannot write to" in capsys.readouterr().out
