"""The metrics: against rules that are followed exactly, and against slow versions of themselves."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from full_corpora import full_corpus
from oracle import Oracle, lively_stack
from shared import shared_path

from grokkit.config import preset
from grokkit.data import TASKS, Corpus, Split, Vocabulary
from grokkit.data.english import DETERMINERS, NOUN_NUMBER, PREPOSITIONS, RELATIVES
from grokkit.data.question import main_auxiliary
from grokkit.errors import GrokkitError
from grokkit.evaluation import Evaluator, evaluate
from grokkit.evaluation.dyck import DyckItems
from grokkit.evaluation.question import QuestionItems
from grokkit.evaluation.tense import TenseItems, part_of_speech

SIZES = {"train": 2000, "val": 80, "gen": 80}
CORPORA = {
    name: task.generate(3, SIZES, **({"max_tokens": 40} if name == "dyck" else {})) for name, task in TASKS.items()
}


def oracle(task: str, *rules: str) -> Oracle:
    return Oracle(preset("smoke", task), TASKS[task].vocab, [TASKS[task].rules[rule] for rule in rules])


def official(task: str) -> Corpus:
    splits = {}
    for name, ending in (("val", "dev"), ("gen", "gen")):
        lines = shared_path(f"reference/splits/{task}.{ending}").read_text().splitlines()
        pairs = [line.rsplit("\t", 1) for line in lines if line]
        splits[name] = Split.of_pairs([(*left.rsplit(" ", 1), right) for left, right in pairs])
    return Corpus(task, TASKS[task].vocab, "official", splits)


# -- question ------------------------------------------------------------------------------------------------


def test_question_rules_on_the_official_files():
    corpus = official("question")
    stack = oracle("question", "hierarchical", "linear", "last_auxiliary")
    val = QuestionItems(corpus["val"], corpus.vocab)
    gen = QuestionItems(corpus["gen"], corpus.vocab, contrast=True)
    assert (len(val), len(gen)) == (406, 10_000)
    measured = val.measure(stack, "published")
    for name in ("accuracy", "first_auxiliary", "first_word"):
        assert measured[name].tolist()[:2] == [1, 1] and round(measured[name][2], 3) == 0.734
    assert round(measured["last_auxiliary"][0], 3) == 0.734 and measured["last_auxiliary"][2] == 1
    measured = gen.measure(stack, "published")
    for name in (
        "accuracy",
        "first_auxiliary",
        "first_word",
        "full_sentence",
        "last_auxiliary",
        "accuracy_rci",
        "accuracy_rco",
        "accuracy_rct",
        "prefix_main_delete_main",
    ):
        assert measured[name].tolist() == [1, 0, 1], name
    for name in ("linear_rule", "prefix_first_delete_first"):
        assert measured[name].tolist() == [0, 1, 0], name
    assert Counter(gen.kinds.tolist()) == {"rci": 3204, "rct": 3463, "rco": 3333}


def test_question_categories_are_told_apart():
    """Outputs with every auxiliary in front and every one deleted, by string operations of their own."""
    corpus, auxiliaries = CORPORA["question"], ("do", "does", "don't", "doesn't")

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
    stack = Oracle(preset("smoke", "question"), corpus.vocab, [output(*pair) for pair in pairs])
    measured = QuestionItems(corpus["gen"], corpus.vocab, contrast=True).measure(stack, "paper")
    for r, (front, deleted) in enumerate(pairs):
        assert {name: values[r] for name, values in measured.items() if name.startswith("prefix_")} == {
            f"prefix_{a}_delete_{b}": float((a, b) == (front, deleted)) for a, b in pairs
        }
    assert measured["other_output"].tolist() == [0] * 9
    assert measured["accuracy"].tolist() == [1] * 3 + [0] * 6
    babble = Oracle(preset("smoke", "question"), corpus.vocab, [lambda prompt: "does ?", lambda prompt: ""])
    measured = QuestionItems(corpus["gen"], corpus.vocab, contrast=True).measure(babble, "paper")
    assert measured["other_output"].tolist() == [1, 1] and measured["full_sentence"].tolist() == [0, 0]


def test_an_auxiliary_of_the_same_form_counts_as_the_main_one():
    vocab, rule = TASKS["question"].vocab, TASKS["question"].rules["linear"]
    source = "my raven that does sleep does change ."
    split = Split.of_pairs([(source, "quest", "does my raven that does sleep change ?")])
    items = QuestionItems(split, vocab, contrast=True)
    measured = items.measure(Oracle(preset("smoke", "question"), vocab, [rule]), "paper")
    assert measured["accuracy"] == 1 and measured["full_sentence"] == 0
    assert measured["prefix_main_delete_first"] == 1 and measured["prefix_first_delete_first"] == 0
    assert measured["linear_rule"] == 1


def test_question_counts_quest_lines_only_and_needs_eos():
    corpus = CORPORA["question"]
    val = corpus["val"]
    quest = [i for i, label in enumerate(val.labels) if label == "quest"]
    only = Split.of_pairs([(val.sources[i], val.labels[i], val.targets[i]) for i in quest])
    stack = lively_stack("question")
    few, many = (QuestionItems(split, corpus.vocab).measure(stack, "published") for split in (only, val))
    assert 0 < len(quest) < len(val) and all((few[name] == many[name]).all() for name in few)
    rule = TASKS["question"].rules["hierarchical"]
    endless = Oracle(preset("smoke", "question"), corpus.vocab, [lambda prompt: rule(prompt) + " the"])
    measured = QuestionItems(val, corpus.vocab).measure(endless, "paper")
    assert measured["full_sentence"] == 0 and measured["first_word"] == 1


# -- tense ---------------------------------------------------------------------------------------------------


def test_tense_rules_on_the_official_files():
    corpus = official("tense")
    stack = oracle("tense", "hierarchical", "linear", "copy", "first_noun", "always_singular")
    measured = TenseItems(corpus["val"], corpus.vocab).measure(stack, "published")
    for name in ("accuracy", "main_verb_pos", "main_verb"):
        assert measured[name][[0, 1, 3]].tolist() == [1, 1, 1] and round(measured[name][2], 3) == 0.564
    assert measured["accuracy_past"].tolist() == [1] * 5
    gen = TenseItems(corpus["gen"], corpus.vocab, contrast=True)
    measured = gen.measure(stack, "published")
    for name in ("accuracy", "main_verb_pos", "main_verb"):
        assert measured[name][[0, 1, 3]].tolist() == [1, 0, 1] and round(measured[name][4], 3) == 0.493
    assert measured["full_sentence"][:2].tolist() == [1, 0]
    assert measured["linear_rule"][[0, 1, 3]].tolist() == [0, 1, 0]
    assert measured["first_noun"][[0, 1, 3]].tolist() == [1, 0, 1] and measured["always_singular"][4] == 1
    assert Counter(gen.modifiers.tolist()) == {"pp": 6045, "rco": 2005, "rct": 1950}


def plain_tags(vocab: Vocabulary) -> dict[str, str]:
    others = {"<pad>", ".", "PRESENT", "PAST"}
    tags = {}
    for words, tag in zip((DETERMINERS, NOUN_NUMBER, PREPOSITIONS, RELATIVES, others), "DNPR?"):
        tags |= dict.fromkeys(words, tag)
    return {word: tags.get(word, "V") for word in vocab.words}


def test_part_of_speech_condition_against_strings():
    """Targets spoiled in many ways, judged by string comparison after the released code's steps."""
    corpus, rng = CORPORA["tense"], np.random.default_rng(0)
    vocab, split = corpus.vocab, corpus["val"]
    tags = plain_tags(vocab)
    items = TenseItems(split, vocab)
    width = items.target.shape[1]
    outputs = np.zeros((40, len(split), width), dtype=np.int64)
    expected = np.zeros((40, len(split)), dtype=bool)
    for r, n in product(range(40), range(len(split))):
        words = split.targets[n].split()
        for _ in range(rng.integers(0, 3)):
            place = int(rng.integers(len(words)))
            kind = rng.integers(5)
            same = [w for w, tag in tags.items() if tag == tags[words[place]] != "?"]
            words[place] = rng.choice(same) if same and kind < 3 else words[place]
            if kind == 3:
                words[place] = rng.choice(vocab.words[1:])
            elif kind == 4:
                del words[-1]
        limit = len(split.targets[n].split()) + 1
        outputs[r, n, : len(words) + 1] = [*vocab.encode(" ".join(words)), vocab.eos][:limit]
        said, goal = (w[:-1] if w[-1] == "." else w for w in (words, split.targets[n].split()))
        said, goal = ([tags[word] for word in words] for words in (said, goal))
        expected[r, n] = said == goal and "?" not in said
    assert (items.same_parts_of_speech(outputs) == expected).all()
    assert 0.2 < expected.mean() < 0.9
    of_classes = part_of_speech(vocab)
    assert (of_classes[[0, vocab.eos, vocab.bos]] == 0).all()
    assert len({(tags[w], of_classes[i]) for w, i in vocab.index.items()}) == 6


def test_the_stop_is_optional_but_an_end_is_needed():
    corpus, rule = CORPORA["tense"], TASKS["tense"].rules["hierarchical"]
    spoil = (
        lambda text: text,
        lambda text: text[:-2],
        lambda text: text + " .",
        lambda text: text[:-2] + " the",
        lambda text: "",
    )
    rules = [lambda prompt, change=change: change(rule(prompt)) for change in spoil]
    stack = Oracle(preset("smoke", "tense"), corpus.vocab, rules)
    measured = TenseItems(corpus["val"], corpus.vocab).measure(stack, "published")
    assert measured["main_verb_pos"].tolist() == [1, 1, 0, 0, 0]
    assert measured["main_verb"].tolist() == [1, 1, 1, 1, 0]
    assert measured["full_sentence"].tolist() == [1, 0, 0, 0, 0]


# -- dyck ----------------------------------------------------------------------------------------------------


def test_dyck_rules_and_chance():
    corpus = CORPORA["dyck"]
    stack = oracle("dyck", "hierarchical", "linear")
    measured = DyckItems(corpus["gen"], corpus.vocab).measure(stack, "published")
    for name, values in measured.items():
        if name != "linear_rule" and not np.isnan(values[0]):
            assert values[0] == 1, name
    assert measured["linear_rule"][1] == 1 and measured["linear_rule"][0] == measured["accuracy"][1]
    assert measured["distance_1"].tolist() == [1, 1] and np.isnan(measured["distance_51_up"]).all()
    hits: dict[str, list[bool]] = {"long_distance": [], "distance_11_19": [], "depth_2": []}
    for line in corpus["gen"].lines:
        opened = []
        for position, word in enumerate(words := line.split()):
            if word.startswith("("):
                last = word[1]
                opened.append(position)
                continue
            distance, depth = position - opened[-1], len(opened)
            hit = last == words[opened.pop()][1]
            hits["long_distance"] += [hit] * (distance >= 10)
            hits["distance_11_19"] += [hit] * (11 <= distance <= 19)
            hits["depth_2"] += [hit] * (depth == 2)
    for name, found in hits.items():
        assert measured[name][1] == np.mean(found) and len(found) > 20


def test_dyck_floors_at_full_size():
    """Last-opened bracket: .621 on val, .565 on gen, .05 from distance 10 on (.0713 of val closers)."""
    corpus = full_corpus("dyck")
    for name, floor, strings in (("val", 0.621, 4000), ("gen", 0.565, 1000)):
        items = DyckItems(Split(corpus[name].lines[:strings]), corpus.vocab)
        hits, far = items.linear == items.target, items.distance >= 10
        # 4 standard errors of one string as the unit: 4 * .2 / sqrt(4000) and 4 * .1 / sqrt(1000)
        assert abs(hits.mean() - floor) < 0.013
        # 4 standard errors, doubled because the closers of one string are not independent
        assert abs(hits[far].mean() - 0.05) < 8 * np.sqrt(0.05 * 0.95 / far.sum())
        assert set(items.distance % 2) == {1}
        if name == "val":
            assert abs(far.mean() - 0.0713) < 0.012


def test_dyck_predictions_equal_one_prefix_at_a_time():
    corpus = CORPORA["dyck"]
    strings = sorted((line.split() for line in corpus["gen"].lines[:40]), key=len, reverse=True)
    items = DyckItems(Split(corpus["gen"].lines[:40]), corpus.vocab)
    stack = lively_stack("dyck", seeds=(4, 5))
    closers = [corpus.vocab.index[word] for word in corpus.vocab.words if word.endswith(")")]
    expected, targets = [], []
    for words in strings:
        for position in (i for i, word in enumerate(words) if word.endswith(")")):
            prefix = [corpus.vocab.bos, *corpus.vocab.encode(" ".join(words[:position]))]
            scores = stack.logits(torch.tensor([prefix]))[:, 0, -1]
            expected.append(torch.tensor(closers)[scores[:, closers].argmax(-1)].numpy())
            targets.append(corpus.vocab.index[words[position]])
    assert len(closers) == 20
    for tokens_at_once in (0, 1, 300):
        assert (items.predict(stack, tokens_at_once) == np.array(expected).T).all()
    assert (items.target == targets).all()


# -- all of it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_evaluate_gives_every_run_its_columns(task):
    corpus, stack = CORPORA[task], lively_stack(task, seeds=(7, 8, 9))
    configs = [stack.config.replace(metric=metric) for metric in ("published", "paper")]
    published, paper = (evaluate(stack, corpus, config) for config in configs)
    assert list(published)[:2] == ["val_accuracy", "gen_accuracy"] and list(published) == list(paper)
    which = {
        "question": ("first_auxiliary", "first_word"),
        "tense": ("main_verb_pos", "main_verb"),
        "dyck": ("all_closers", "long_distance"),
    }[task]
    for split, (measured, name) in product(("val", "gen"), zip((published, paper), which)):
        assert (measured[f"{split}_accuracy"] == measured[f"{split}_{name}"]).all()
    for values in published.values():
        assert values.shape == (3,) and values.dtype == np.float64
        assert np.isnan(values).all() or ((0 <= values) & (values <= 1)).all()
    alone = evaluate(stack.run(1), corpus, stack.config)
    for name, values in published.items():
        assert np.array_equal(alone[name], values[1:2], equal_nan=True), name
    evaluator = Evaluator(corpus, stack.config)
    first, again = evaluator(stack), evaluator(stack)
    assert all(np.array_equal(first[name], again[name], equal_nan=True) for name in published)


def test_official_files_give_a_column():
    corpus = official("question")
    gen = Split.of_pairs(list(zip(corpus["gen"].sources, corpus["gen"].labels, corpus["gen"].targets))[:500])
    corpus = Corpus("question", corpus.vocab, "official", {"gen": gen})
    config = preset("smoke", "question")
    stack = oracle("question", "linear", "hierarchical")
    measured = Evaluator(CORPORA["question"], config, official=corpus)(stack)
    assert measured["gen_official_accuracy"].tolist() == [0, 1]


def test_a_broken_run_does_not_stop_the_evaluation():
    stack = lively_stack("question")
    stack.flat[0] = float("nan")
    measured = evaluate(stack, CORPORA["question"], stack.config)
    alone = evaluate(stack.run(1), CORPORA["question"], stack.config)
    assert all(measured[name][1] == alone[name][0] for name in measured)


def test_nothing_to_count_is_an_error_in_one_line():
    question, dyck = CORPORA["question"], CORPORA["dyck"]
    flat = Split(["(a a) (b b)"] * 3)
    empty = Split([])
    cases = [
        (Corpus("dyck", dyck.vocab, "generated", {**dyck.splits, "val": flat}), {"metric": "paper"}),
        (Corpus("dyck", dyck.vocab, "generated", {**dyck.splits, "gen": empty}), {}),
        (
            Corpus(
                "question",
                question.vocab,
                "generated",
                {
                    **question.splits,
                    "val": Split.of_pairs([("the newt does sleep .", "decl", "the newt does sleep .")]),
                },
            ),
            {},
        ),
        (Corpus("chess", question.vocab, "generated", dict(question.splits)), {}),
        (dyck, {"task": "tense"}),
    ]
    for corpus, changes in cases:
        config = preset("smoke", corpus.task if corpus.task in TASKS else "question")
        config = config.replace(**({"task": corpus.task} | changes))
        with pytest.raises(GrokkitError) as caught:
            Evaluator(corpus, config)
        assert "\n" not in str(caught.value)
    with pytest.raises(GrokkitError):
        Evaluator(question, preset("smoke", "question"), official=dyck)
    measured = Evaluator(cases[0][0], preset("smoke", "dyck"))(oracle("dyck", "hierarchical"))
    assert np.isnan(measured["val_long_distance"]).all() and measured["val_accuracy"] == 1
