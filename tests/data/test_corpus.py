"""Vocabularies, corpora, sizes and seeds."""

import hashlib

import numpy as np
import pytest

from grokkit.data import TASKS, Corpus, Split, Task, Vocabulary, token_table
from grokkit.data.corpus import bare_words, random_stream
from grokkit.errors import GrokkitError

SMALL = {"train": 300, "val": 40, "gen": 60}
QUESTION = TASKS["question"]


def test_vocabularies_are_sorted_and_number_padding_eos_and_bos_as_the_released_code_does():
    assert {name: task.vocab.size for name, task in TASKS.items()} == {"question": 69, "tense": 99, "dyck": 41}
    vocab = QUESTION.vocab
    assert vocab.words[0] == "<pad>" and list(vocab.words[1:]) == sorted(vocab.words[1:])
    assert (vocab.eos, vocab.bos, vocab.classes) == (69, 70, 71)


OFFICIAL_VAL = Corpus("question", QUESTION.vocab, "official", {"val": Split([])})
MINE = Task("mine", Vocabulary("a"), {"train": 1}, lambda seed=0, sizes=None: OFFICIAL_VAL)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: token_table(["the gnu"], QUESTION.vocab), "'gnu' is not one of the 68 words"),
        (lambda: QUESTION.vocab.decode([69]), "id 69 is no word"),
        (lambda: QUESTION.vocab.decode([-1]), "id -1 is no word"),
        (lambda: OFFICIAL_VAL["train"], "no split 'train'; there is: val"),
        (MINE.read, "no released files"),
        (lambda: MINE.gold_tree("a"), "no gold trees"),
        *((lambda seed=seed: QUESTION.generate(seed, SMALL), "seed") for seed in (-1, 1.5, "0", True)),
        *(
            (lambda task=task, split=split, size=size: TASKS[task].generate(0, {split: size}), message)
            for task in TASKS
            for split, size, message in (
                ("dev", 10, "split = 'dev': choose one of train, val, gen"),
                ("train", -1, "size of split 'train' .* not -1"),
                ("val", 1.5, "size of split 'val' .* not 1.5"),
                ("gen", True, "size of split 'gen' .* not True"),
            )
        ),
    ],
)
def test_what_is_not_there_is_refused(call, message):
    with pytest.raises(GrokkitError, match=message):
        call()


@pytest.mark.parametrize("task", TASKS)
def test_sizes_are_exact_and_default_to_table_1_and_lines_are_source_label_target(task):
    table_1 = (200_000, 20_000, 20_000) if task == "dyck" else (100_000, 1_000, 10_000)
    assert dict(TASKS[task].sizes) == dict(zip(SMALL, table_1, strict=True))
    corpus = TASKS[task].generate(2, SMALL)
    assert {name: len(corpus[name]) for name in SMALL} == SMALL
    assert "train" in corpus and "dev" not in corpus and corpus.get("dev") is None
    nothing = TASKS[task].generate(0, {"train": 0, "val": 0, "gen": 0})
    assert all(len(split) == 0 for split in nothing.values())
    for split in corpus.values() if task != "dyck" else ():
        for line, *parts in zip(split.lines, split.sources, split.labels, split.targets, strict=True):
            assert line == " ".join(parts)
            assert parts[0].endswith(" .") and parts[1] in {"quest", "decl", "PRESENT", "PAST"}


def digest(corpus: Corpus) -> str:
    text = "\n".join(line for split in corpus.values() for line in split.lines)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("task", "seed_0"), [("question", "5d5a94870bf22a57"), ("tense", "d2724153d0388679"), ("dyck", "9431642645901326")]
)
def test_a_seed_stands_for_the_same_sentences_in_every_version_of_this_kit(task, seed_0):
    state = np.random.get_state()[1].tolist()
    assert [digest(TASKS[task].generate(seed, SMALL)) == seed_0 for seed in (0, 1, 0)] == [True, False, True]
    assert np.random.get_state()[1].tolist() == state


@pytest.mark.parametrize("task", ["question", "dyck"])  # tense sets a tenth of its own train size aside on the way
def test_a_larger_train_split_begins_with_the_smaller_one(task):
    small, large = (TASKS[task].generate(3, {"train": n, "val": 0, "gen": 0})["train"].lines for n in (50, 300))
    assert large[:50] == small


def test_purposes_have_random_numbers_of_their_own():
    draws = [random_stream(seed, purpose).random(100) for seed in (0, 1) for purpose in ("a", "b")]
    correlations = np.corrcoef(draws)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 0.4  # 4 standard errors of a correlation of 100 pairs


@pytest.mark.parametrize("ending", ["", " .", " . quest", " quest"])
def test_label_and_punctuation_may_be_there_or_not(ending):
    words, label = bare_words("the newt does sleep" + ending, ("quest", "decl"))
    assert words == ["the", "newt", "does", "sleep"] and label == ("quest" if "quest" in ending else None)
    assert QUESTION.gold_tree("the newt does sleep" + ending) == (("the", "newt"), ("does", "sleep"))
    for rule in QUESTION.rules.values():
        assert rule("the newt does sleep" + ending) == "does the newt sleep ?"
