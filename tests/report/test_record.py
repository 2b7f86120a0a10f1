"""Finished runs become a record, with where they come from."""

import json

import pandas as pd
import pytest

from grokkit.errors import GrokkitError
from grokkit.report.record import record
from grokkit.report.results import results
from grokkit.sweep import local as sweep


def test_record_round_trips(tmp_path, monkeypatch):
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("GROKKIT_FIGURES", str(tmp_path / "figures"))
    with pytest.raises(GrokkitError, match="no finished run"):
        record("smoke")
    sweep.run("smoke", ["tense"], [1], [42, 52], workers=1, progress=False)
    folder = record("smoke", ["tense"], [1], [42, 52])
    runs, recorded = results("smoke"), results("smoke", source="record")
    # the record keeps six significant digits
    pd.testing.assert_frame_equal(runs, recorded, rtol=1e-5, check_dtype=False)
    provenance = json.loads((folder / "provenance.json").read_text())
    assert list(provenance["cells"]) == ["tense L1 seed 42", "tense L1 seed 52"]
    cell = provenance["cells"]["tense L1 seed 52"]
    assert cell["seconds"] > 0 and (cell["until"], cell["environments"]) == (20, [0])
    assert {"torch", "commit", "processor"} <= provenance["environments"][0].keys()
    assert (folder / "expected.csv").exists()
