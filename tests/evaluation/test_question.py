"""Question metrics: rules that are followed exactly, and outputs that are put together word by word."""

from itertools import product

from full_corpora import official_corpus
from oracle import Oracle, lively_stack, small_corpus

from grokkit.data import TASKS, Split
from grokkit.data.question import main_auxiliary
from grokkit.evaluation.question import QuestionItems

VOCAB = TASKS["question"].vocab


def measured(split: Split, stack, metric="paper", contrast=True) -> dict[str, list[float]]:
    shares = QuestionItems(split, VOCAB, contrast=contrast).measure(stack, metric)
    return {name: values.round(3).tolist() for name, values in shares.items()}


def test_rules_on_the_official_files():
    corpus = official_corpus("question")
    stack = Oracle("question", "hierarchical", "linear", "last_auxiliary")
    val = measured(corpus["val"], stack, "published", contrast=False)
    for name in ("accuracy", "first_auxiliary", "first_word"):
        assert val[name] == [1, 1, 0.734]
    assert val["last_auxiliary"][::2] == [0.734, 1]
    gen = measured(corpus["gen"], stack, "published")
    expected = dict.fromkeys(
        ("accuracy", "first_auxiliary", "first_word", "full_sentence", "last_auxiliary"), [1, 0, 1]
    )
    expected |= {"prefix_main_delete_main": [1, 0, 1], "accuracy_rci": [1, 0, 1], "accuracy_rco": [1, 0, 1]}
    expected |= {"accuracy_rct": [1, 0, 1], "linear_rule": [0, 1, 0], "prefix_first_delete_first": [0, 1, 0]}
    assert {name: values for name, values in gen.items() if any(values)} == expected
    items = QuestionItems(corpus["gen"], VOCAB, contrast=True)
    assert (len(QuestionItems(corpus["val"], VOCAB)), len(items)) == (406, 10_000)
    assert {name: kind.sum() for name, kind in items.among.items()} == {
        "accuracy_rci": 3204,
        "accuracy_rct": 3463,
        "accuracy_rco": 3333,
    }


def test_categories_are_told_apart():
    """Outputs with every auxiliary in front and every one deleted, by string operations of their own."""
    auxiliaries = ("do", "does", "don't", "doesn't")

    def output(front, deleted):
        def rule(prompt):
            words = prompt.split()[:-2]
            first = next(i for i, word in enumerate(words) if word in auxiliaries)
            at = {"first": first, "main": main_auxiliary(prompt)}
            form = words[at[front]] if front in at else next(w for w in auxiliaries if w not in words)
            rest = [word for i, word in enumerate(words) if i != at.get(deleted)]
            return " ".join([form, *rest, "?"])

        return rule

    pairs = list(product(("main", "first", "other"), ("main", "first", "none")))
    babble = [lambda prompt: "does ?", lambda prompt: ""]
    found = measured(small_corpus("question")["gen"], Oracle("question", *(output(*pair) for pair in pairs), *babble))
    for r, pair in enumerate(pairs):
        assert {name: values[r] for name, values in found.items() if name.startswith("prefix_")} == {
            f"prefix_{a}_delete_{b}": (a, b) == pair for a, b in pairs
        }
    assert found["other_output"] == [0] * 9 + [1] * 2
    assert found["accuracy"][:9] == [1] * 3 + [0] * 6 and found["full_sentence"] == [1] + [0] * 10


def test_an_auxiliary_of_the_same_form_counts_as_the_main_one():
    source = "my raven that does sleep does change ."
    split = Split.of_pairs([(source, "quest", "does my raven that does sleep change ?")])
    found = measured(split, Oracle("question", "linear"))
    assert {name for name, values in found.items() if values == [1]} == {
        *("accuracy", "first_auxiliary", "first_word", "last_auxiliary", "accuracy_rci"),
        *("linear_rule", "prefix_main_delete_first"),
    }


def test_quest_lines_only_are_counted():
    val = small_corpus("question")["val"]
    quest = [triple for triple in zip(val.sources, val.labels, val.targets) if triple[1] == "quest"]
    stack = lively_stack("question")
    assert 0 < len(quest) < len(val)
    few, many = (measured(split, stack, contrast=False) for split in (Split.of_pairs(quest), val))
    assert few == many


def test_a_whole_sentence_needs_its_end():
    rule = TASKS["question"].rules["hierarchical"]
    endless = Oracle("question", lambda prompt: rule(prompt) + " the")
    found = measured(small_corpus("question")["val"], endless, contrast=False)
    assert found["full_sentence"] == [0] and found["first_word"] == [1]
