"""What makes a run: another value of any field, another split, another seed is another run, refused by its name."""

import pytest

from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.storage.identity import Run, refuse_other_run

CONFIG = preset("smoke", "tense", 1)
SPLITS = {"train": "0f", "val": "1f"}
OTHERS = {
    "preset": "laptop",
    "task": "question",
    "data_source": "official",
    "dyck_structure": "whole",
    "heads": 4,
    "width": 32,
    "tied": True,
    "dropout": 0.2,
    "schedule": "constant",
    "steps": 19,
    "beta1": 0.8,
    "beta2": 0.9,
    "metric": "paper",
    "precision": "bf16",
    "data_files": "ab",
    "score": "first",
}


def test_every_field_of_a_config_and_every_split_count():
    found = Run(CONFIG, 42, SPLITS).described()
    identities = {found["identity"]}
    decisive = {name: value for name, value in vars(CONFIG).items() if name != "data_path"}  # a place decides nothing
    for name, value in decisive.items():
        run = Run(CONFIG.replace(**{name: OTHERS[name] if name in OTHERS else value + 1}), 42, SPLITS)
        with pytest.raises(GrokkitError, match=f"there belongs to another config.*: {name} is [^;]*$"):
            refuse_other_run("there", found, run)
        identities.add(run.identity)
    assert len(identities) == len(decisive)  # all but `preset`, which only names it, make another run
    for splits, said in (({"train": "0f", "val": "2f"}, "val"), ({"train": "0f"}, "val"), (SPLITS | {"x": "3f"}, "x")):
        with pytest.raises(GrokkitError, match=f"other data: the sentences of {said} are others there: keep"):
            refuse_other_run("there", found, Run(CONFIG, 42, splits))
        assert Run(CONFIG, 42, splits).identity not in identities
    with pytest.raises(GrokkitError, match="holds seed 42, not 62"):
        refuse_other_run("there", found, Run(CONFIG, 62, SPLITS))
    refuse_other_run("there", found, Run(preset("smoke", "tense", 1), 42, dict(SPLITS)))
    refuse_other_run("there", found, Run(CONFIG.replace(data_path="/elsewhere"), 42, SPLITS))


def test_the_identity_is_of_the_config_and_the_data_and_stays_what_it_is():
    assert Run(CONFIG, 42, SPLITS).identity == Run(CONFIG, 52, SPLITS).identity == "4c4146949f3fd7f4"


def test_at_a_constant_rate_the_steps_to_come_are_no_part_of_the_identity():
    for config, same in ((CONFIG, False), (CONFIG.replace(schedule="constant"), True)):
        longer = config.replace(steps=30, horizon=40)
        assert (Run(longer, 42, SPLITS).identity == Run(config, 42, SPLITS).identity) is same
