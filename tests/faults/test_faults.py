"""Killed, damaged, fed with nonsense: the short version of what `make test-faults` does (faults.py)."""

import corruption
import faults
import malformed


def test_a_killed_training_loses_nothing(tmp_path):
    assert faults.kills(tmp_path, 6, seed=0)["kills"] >= 6


def test_damage_is_noticed_and_no_number_is_wrong(tmp_path):
    found = corruption.run(tmp_path, 4 * len(corruption.FILES), seed=0)
    assert found["error"] == found["cases"]


def test_nonsense_is_refused_in_one_line(tmp_path):
    found = malformed.run(tmp_path, 8, seed=0)
    assert found["inputs"] > 150 and found["refused"] > found["inputs"] / 2
