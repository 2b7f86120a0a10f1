"""Vocabularies, token tables, corpora, sizes and seeds."""

import hashlib

import numpy as np
import pytest

from grokkit.data import TASKS, Corpus, Split, Task, Vocabulary, token_table
from grokkit.data.corpus import bare_words, random_stream
from grokkit.errors import GrokkitError

SMALL = {"train": 300, "val": 40, "gen": 60}


def test_vocabulary_sizes_are_those_of_the_released_code():
    assert {name: task.vocab.size for name, task in TASKS.items()} == {
        "question": 69,
        "tense": 99,
        "dyck": 41,
    }


def test_vocabulary_is_sorted_and_numbers_padding_eos_and_bos():
    vocab = TASKS["question"].vocab
    assert vocab.words[0] == "<pad>" and list(vocab.words[1:]) == sorted(vocab.words[1:])
    assert (vocab.eos, vocab.bos, vocab.classes) == (69, 70, 71)
    line = "the newt doesn't sleep . quest doesn't the newt sleep ?"
    assert vocab.decode(vocab.encode(line)) == line


@pytest.mark.parametrize("call", [lambda v: v.encode("the gnu"), lambda v: token_table(["the gnu"], v)])
def test_unknown_words_are_named(call):
    with pytest.raises(GrokkitError, match="'gnu'"):
        call(TASKS["question"].vocab)


@pytest.mark.parametrize("ids", [[69], [-1]])
def test_ids_out_of_range_are_refused(ids):
    with pytest.raises(GrokkitError, match="no word"):
        TASKS["question"].vocab.decode(ids)


@pytest.mark.parametrize("task", TASKS)
def test_token_table_holds_every_line(task):
    corpus = TASKS[task].generate(1, SMALL)
    lines = corpus["gen"].lines
    tokens, lengths = token_table(lines, corpus.vocab)
    assert tokens.dtype == np.int16 and lengths.dtype == np.int64
    assert tokens.shape == (60, lengths.max())
    for row, length, line in zip(tokens, lengths, lines, strict=True):
        assert corpus.vocab.decode(row[:length]) == line
        assert not row[length:].any()


def test_token_table_of_nothing_is_empty():
    tokens, lengths = token_table([], TASKS["dyck"].vocab)
    assert tokens.shape == (0, 0) and lengths.shape == (0,)


@pytest.mark.parametrize("task", TASKS)
def test_sizes_are_exact_and_default_to_table_1(task):
    assert dict(TASKS[task].sizes) == (
        {"train": 200_000, "val": 20_000, "gen": 20_000}
        if task == "dyck"
        else {"train": 100_000, "val": 1_000, "gen": 10_000}
    )
    corpus = TASKS[task].generate(0, SMALL)
    assert {name: len(corpus[name]) for name in SMALL} == SMALL
    nothing = TASKS[task].generate(0, {"train": 0, "val": 0, "gen": 0})
    assert all(len(split) == 0 for split in nothing.values())


@pytest.mark.parametrize("task", ["question", "tense"])
def test_lines_are_source_label_target(task):
    for split in TASKS[task].generate(2, SMALL).values():
        assert len(split) == len(split.sources) == len(split.labels) == len(split.targets)
        for line, *parts in zip(split.lines, split.sources, split.labels, split.targets, strict=True):
            assert line == " ".join(parts)
            assert parts[0].endswith(" .") and parts[1] in {"quest", "decl", "PRESENT", "PAST"}


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"dev": 10}, "'dev'"), ({"train": -1}, "-1"), ({"train": 1.5}, "1.5"), ({"gen": True}, "True")],
)
@pytest.mark.parametrize("task", TASKS)
def test_bad_sizes_are_refused(task, sizes, message):
    with pytest.raises(GrokkitError, match=message):
        TASKS[task].generate(0, sizes)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(GrokkitError, match="seed"):
        TASKS["question"].generate(seed, SMALL)


def test_a_missing_split_is_named_with_what_there_is():
    corpus = Corpus("question", TASKS["question"].vocab, "official", {"val": Split([])})
    with pytest.raises(GrokkitError, match="no split 'train'; there is: val"):
        corpus["train"]
    assert "train" not in corpus and corpus.get("train") is None and list(corpus) == ["val"]


def test_a_task_of_ones_own_needs_no_files_and_no_trees():
    vocab = Vocabulary(["a"])
    task = Task("mine", vocab, {"train": 1}, lambda seed=0, sizes=None: Corpus("mine", vocab, "generated", {}))
    assert task.generate().vocab is vocab
    for call in (task.read, lambda: task.gold_tree("a")):
        with pytest.raises(GrokkitError):
            call()


def digest(corpus: Corpus) -> str:
    text = "\n".join(line for split in corpus.values() for line in split.lines)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("task", TASKS)
def test_a_corpus_depends_on_its_seed_alone(task):
    first = digest(TASKS[task].generate(7, SMALL))
    state = np.random.get_state()[1].tolist()
    TASKS[task].generate(8, SMALL)
    assert np.random.get_state()[1].tolist() == state
    assert digest(TASKS[task].generate(7, SMALL)) == first
    assert digest(TASKS[task].generate(8, SMALL)) != first


@pytest.mark.parametrize("task", TASKS)
def test_a_larger_train_split_begins_with_the_smaller_one(task):
    small, large = (TASKS[task].generate(3, {"train": n, "val": 0, "gen": 0})["train"].lines for n in (50, 300))
    assert task == "tense" or large[:50] == small  # tense sets a tenth of its own train size aside on the way


def test_purposes_have_random_numbers_of_their_own():
    draws = [random_stream(seed, purpose).random(100) for seed in (0, 1) for purpose in ("a", "b")]
    correlations = np.corrcoef(draws)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 0.4  # 4 standard errors of a correlation of 100 pairs


@pytest.mark.parametrize("ending", ["", " .", " . quest", " quest"])
def test_label_and_punctuation_may_be_there_or_not(ending):
    words, label = bare_words("the newt does sleep" + ending, ("quest", "decl"))
    assert words == ["the", "newt", "does", "sleep"] and label == ("quest" if "quest" in ending else None)
    assert TASKS["question"].gold_tree("the newt does sleep" + ending) == (("the", "newt"), ("does", "sleep"))
    for rule in TASKS["question"].rules.values():
        assert rule("the newt does sleep" + ending) == "does the newt sleep ?"


def test_corpora_stay_what_they_are():
    """A seed stands for the same sentences in every version of this kit."""
    assert {name: digest(task.generate(0, SMALL)) for name, task in TASKS.items()} == {
        "question": "5d5a94870bf22a57",
        "tense": "d2724153d0388679",
        "dyck": "9431642645901326",
    }
