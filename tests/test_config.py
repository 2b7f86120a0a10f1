"""Presets are what the sources say, and values that make no sense are refused in one line."""

import dataclasses

import pytest

from grokkit.config import Config
from grokkit.errors import GrokkitError
from grokkit.presets import DEPTHS, PRESETS, SEEDS, preset


def test_as_run_and_as_written_differ_in_what_the_sources_say():
    run, written = preset("as-run", "question", 6), preset("as-written", "question", 6)
    assert set(run.differing_fields(written)) == {"preset", "heads", "tied", "schedule", "clip_norm", "metric"}
    assert (run.heads, written.heads) == (8, 4) and (run.clip_norm, written.clip_norm) == (1.0, 10.0)
    assert (run.width, run.ffn_width, run.epsilon, run.batch_size, run.steps) == (512, 2048, 1e-7, 8, 300_000)
    assert run.weight_decay == 0 and run.dropout == 0.1 and run.eval_every == 3_000


def test_dyck_stops_at_400k_of_a_million():
    dyck = preset("as-run", "dyck", 6)
    assert (dyck.steps, dyck.horizon, dyck.eval_every) == (400_000, 1_000_000, 10_000)
    assert (dyck.train_size, dyck.val_size, dyck.gen_size) == (200_000, 20_000, 20_000)


def test_learning_rate_schedules():
    linear = preset("as-run", "question", 6)
    assert linear.learning_rate_factor(0) == pytest.approx(1e-4)
    assert linear.learning_rate_factor(9_999) == 1.0
    assert linear.learning_rate_factor(155_000) == pytest.approx(0.5)
    assert linear.learning_rate_factor(299_999) == pytest.approx(0.0, abs=1e-5)
    assert all(linear.learning_rate_factor(s) >= linear.learning_rate_factor(s + 1) for s in range(10_000, 10_100))
    constant = preset("as-written", "question", 6)
    assert constant.learning_rate_factor(299_999) == 1.0


def test_sizes_of_the_vocabularies_and_the_papers_seeds_and_depths():
    assert [preset("smoke", task).vocabulary_size for task in ("question", "tense", "dyck")] == [69, 99, 41]
    assert SEEDS["as-run"] == (42, 52, 62, 72, 82, 92, 102, 112, 122, 132)
    assert DEPTHS["as-run"]["tense"] == (2, 4, 6, 8, 10)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_every_task(name):
    for task in PRESETS[name]:
        assert preset(name, task).task == task
        assert PRESETS[name][task].depth in DEPTHS[name][task]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"depth": 0}, "depth = 0"),
        ({"depth": 2.5}, "depth = 2.5"),
        ({"depth": "4"}, "depth = '4'"),
        ({"tied": "off"}, "tied"),
        ({"tied": 1}, "tied = 1"),
        ({"dropout": False}, "dropout"),
        ({"learning_rate": 10**400}, "learning_rate"),
        ({"heads": [2]}, "heads"),
        ({"preset": "laptop"}, "preset = 'laptop'"),
        ({"heads": 7}, "heads = 7 does not divide"),
        ({"widht": 3}, "no field 'widht'"),
        ({"schedule": "cosine"}, "linear, constant"),
        ({"dropout": 1.0}, "dropout"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"batch_size": -1}, "batch_size"),
        ({"steps": 500_000}, "horizon"),
        ({"precision": "fp8"}, "float32, tf32, bf16"),
        ({"metric": "best"}, "published, paper"),
        ({"data_source": "web"}, "generated, official"),
        ({"width": 9, "heads": 9}, "even"),
        ({"warmup_steps": -5}, "warmup_steps"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"depth": True}, "depth = True"),
    ],
)
def test_bad_values_are_one_line(changes, message):
    with pytest.raises(GrokkitError, match=message) as caught:
        preset("as-run", "question", **{"depth": 6} | changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", dataclasses.fields(Config), ids=lambda field: field.name)
def test_no_field_takes_nonsense(field):
    for nonsense in (object(), None, [], float("nan"), *([""] if field.default != "" else [])):
        with pytest.raises(GrokkitError, match=f"^{field.name} = "):
            preset("smoke", "tense").replace(**{field.name: nonsense})


def test_unknown_preset_and_task():
    with pytest.raises(GrokkitError, match="unknown preset 'huge': choose one of as-run"):
        preset("huge", "question")
    with pytest.raises(GrokkitError, match="unknown task 'poetry': choose one of question"):
        preset("laptop", "poetry")


def test_a_config_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset("smoke", "tense").width = 3
    assert isinstance(preset("smoke", "tense").replace(width=32), Config)
