"""The corpus that a config asks for."""

import dataclasses

import pytest

from grokkit.config import preset
from grokkit.data import TASKS, loading
from grokkit.errors import GrokkitError


def stand_in(monkeypatch, task: str, corpus) -> None:
    """Released files of the task that hold this corpus."""
    monkeypatch.setitem(TASKS, task, dataclasses.replace(TASKS[task], read=lambda: corpus))


@pytest.mark.parametrize("task", TASKS)
def test_a_generated_corpus_has_the_configs_seed_sizes_and_limit(task):
    config = preset("smoke", task, data_seed=3, train_size=40, val_size=8, gen_size=9)
    options = {"max_tokens": config.max_tokens, "structure": config.dyck_structure} if task == "dyck" else {}
    corpus = loading.load_corpus(config)
    assert corpus == TASKS[task].generate(3, {"train": 40, "val": 8, "gen": 9}, **options)
    assert loading.load_corpus(config.replace(depth=2)) is corpus  # cells share it


def test_of_official_dyck_strings_those_within_the_limit_are_taken(monkeypatch):
    corpus = TASKS["dyck"].generate(0, {"train": 60, "val": 20, "gen": 20}, max_tokens=24)
    stand_in(monkeypatch, "dyck", corpus)
    config = preset("smoke", "dyck", data_source="official", max_tokens=10)
    for name, split in loading.load_corpus(config).items():
        assert split.lines == [line for line in corpus[name].lines if len(line.split()) <= 10]
    assert loading.load_corpus(config.replace(max_tokens=0)) == corpus


def test_official_files_stand_beside_generated_data_only_where_they_are(monkeypatch):
    config = preset("smoke", "tense")
    corpus = TASKS["tense"].generate(0, {"train": 5, "val": 5, "gen": 5})
    stand_in(monkeypatch, "tense", corpus)
    assert loading.official_corpus(config) is corpus
    assert loading.official_corpus(config.replace(data_source="official")) is None
    stand_in(monkeypatch, "tense", dataclasses.replace(corpus, splits={"val": corpus["val"]}))
    assert loading.official_corpus(config) is None


def test_files_that_are_not_there_are_no_further_corpus_and_no_training_data(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = preset("smoke", "question")
    assert loading.official_corpus(config) is None
    with pytest.raises(GrokkitError, match=r"official\.download\('question'\)"):
        loading.load_corpus(config.replace(data_source="official"))
