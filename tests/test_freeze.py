"""What must not change unnoticed on any machine: the three corpora, and the verdicts on the committed record."""

import json
from pathlib import Path

import freeze


def test_corpora_and_verdicts_are_those_that_were_frozen():
    frozen = json.loads(Path(freeze.__file__).with_name("frozen.json").read_text())
    assert freeze.measure(processor_too=False) == frozen
