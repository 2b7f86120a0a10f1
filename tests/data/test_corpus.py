"""Vocabularies, token tables, corpora, sizes and seeds."""

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
    line = "the newt doesn't sleep . quest doesn't the newt sleep ?"
    assert vocab.decode(vocab.encode(line)) == line


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: QUESTION.vocab.encode("the gnu"), "'gnu' is not one of the 68 words"),
        (lambda: token_table(["the gnu"], QUESTION.vocab), "'gnu' is not one of the 68 words"),
        (lambda: QUESTION.vocab.decode([69]), "id 69 is no word"),
        (lambda: QUESTION.vocab.decode([-1]), "id -1 is no word"),
        *((lambda seed=seed: QUESTION.generate(seed, SMALL), "seed") for seed in (-1, 1.5, "0", True)),
        *(
            (lambda task=task, name=name, size=size: TASKS[task].generate(0, {name: size}), f"{word}.*{size}|no split")
            for task in TASKS
            for name, size, word in (
                ("dev", 10, ""),
                ("train", -1, "size"),
                ("val", 1.5, "size"),
                ("gen", True, "size"),
            )
        ),
    ],
)
def test_what_is_not_there_is_refused(call, message):
    with pytest.raises(GrokkitError, match=message):
        call()


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
    tokens, lengths = token_table([], corpus.vocab)
    assert tokens.shape == (0, 0) and lengths.shape == (0,)


@pytest.mark.parametrize("task", TASKS)
def test_sizes_are_exact_and_default_to_table_1(task):
    table_1 = (200_000, 20_000, 20_000) if task == "dyck" else (100_000, 1_000, 10_000)
    assert dict(TASKS[task].sizes) == dict(zip(SMALL, table_1, strict=True))
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


def test_a_missing_split_is_named_with_what_there_is():
    corpus = Corpus("question", QUESTION.vocab, "official", {"val": Split([])})
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
