"""Question-Formation and Tense-Inflection: generated corpora against the official files, and the rules.

Distributions are compared by chi-square tests. P_BOUND is the bound on the p-value of every one of them: a
right generator fails one test in a thousand, and seeds are fixed, so that the outcome is, too. The last test
of that part shows that the tests see the difference that a wrong grammar makes.
"""

from collections import Counter

import pytest
from full_corpora import full_corpus, official_corpus, same_distribution

from grokkit.data import TASKS, Split, english, question, tense
from grokkit.data.corpus import random_stream

P_BOUND = 0.001
MODULES = {"question": question, "tense": tense}
GRAMMARS = {"question": question.IN_DOMAIN, "tense": tense.GRAMMAR}
SETS = [(task, split) for task in MODULES for split in ("val", "gen")]
SEEDS = {"val": (0, 1), "gen": (0,)}  # val is small: two generated ones are compared with the official one


def pairs(task: str, split: str) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """(source, label, target) of the official and of the generated split."""

    def rows(part: Split) -> list[tuple[str, str, str]]:
        return list(zip(part.sources, part.labels, part.targets, strict=True))

    return rows(official_corpus(task)[split]), [
        row for seed in SEEDS[split] for row in rows(full_corpus(task, seed)[split])
    ]


def classes(task: str, source: str) -> tuple[str, ...]:
    """Word classes of a sentence, with the number of every noun, auxiliary and verb."""
    grammar = GRAMMARS[task]
    return grammar.constructions[grammar.construction_of(source.split()[:-1])].slots


FEATURES = {
    "modifiers and label": lambda task, row: (row[1], *MODULES[task].constructions(row[0])),
    "word classes": lambda task, row: classes(task, row[0]),
    "tokens": lambda task, row: len(" ".join(row).split()),
    "first words": lambda task, row: tuple(row[0].split()[:2]),
}


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize(("task", "split"), SETS)
def test_sentences_are_distributed_as_in_the_official_file(task, split, feature):
    theirs, ours = ((FEATURES[feature](task, row) for row in rows) for rows in pairs(task, split))
    assert same_distribution(theirs, ours) > P_BOUND


@pytest.mark.parametrize(("task", "split"), SETS)
def test_words_are_chosen_as_in_the_official_file(task, split):
    """Within every word class, and for auxiliaries and verbs apart for main clause and subordinate ones."""
    theirs, ours = pairs(task, split)
    main = {"question": question.main_auxiliary, "tense": tense.main_verb}[task]
    counts = [Counter(), Counter()]
    for count, rows in zip(counts, (theirs, ours), strict=True):
        for source, _, _ in rows:
            where = main(source)
            for i, (slot, word) in enumerate(zip(classes(task, source), source.split(), strict=False)):
                count[slot, i >= where if slot[:3] in ("Aux", "V_i", "V_t") else None, word] += 1
    groups = sorted({key[:2] for count in counts for key in count}, key=repr)
    assert len(groups) >= 9
    for group in groups:
        samples = [[key[2] for key in count.elements() if key[:2] == group] for count in counts]
        # about 20 classes in each of 4 sets, hence the bound of the whole divided by 20
        assert same_distribution(*samples) > P_BOUND / 20, group


@pytest.mark.parametrize(("task", "asked"), [("question", "quest"), ("tense", "PRESENT")])
def test_label_shares(task, asked):
    theirs, ours = pairs(task, "val")
    assert same_distribution([label for _, label, _ in theirs], [label for _, label, _ in ours]) > P_BOUND
    train = full_corpus(task)["train"].labels
    # measured on the official files (questions: DEVIATIONS.md, D2): .409 and about .411 in train,
    # 4 standard errors of a share of 100,000 are .0062
    assert train.count(asked) / len(train) == pytest.approx({"quest": 0.409, "PRESENT": 0.411}[asked], abs=0.0062)


def test_short_intransitives_run_out_along_the_stream():
    """6 x 26 x 2 x 9 = 2,808 sentences are a bare subject and a bare verb: 5,616 lines. DEVIATIONS.md, D5."""
    grammar = question.IN_DOMAIN
    share = sum(c.probability for c in grammar.constructions if english.modifiers(c.derivation) == ("none", "intr"))
    short = [question.constructions(source) == ("none", "intr") for source in full_corpus("question")["train"].sources]
    assert 5200 < sum(short) <= 5616
    assert sum(short[:2000]) > 0.8 * 2000 * share > 4 * sum(short[-2000:])


SUBJECTS = {"question": {"rci": 3204, "rct": 3463, "rco": 3333}, "tense": {"pp": 6045, "rco": 2005, "rct": 1950}}


@pytest.mark.parametrize("task", MODULES)
def test_subjects_of_the_generalization_set(task):
    theirs, ours = (Counter(MODULES[task].constructions(row[0])[0] for row in rows) for rows in pairs(task, "gen"))
    assert theirs == SUBJECTS[task] and set(ours) == set(theirs)
    assert task == "tense" or ours["rco"] == 3333


@pytest.mark.parametrize("task", MODULES)
def test_the_tests_can_tell_a_wrong_grammar(task):
    """Sentences drawn with the released file's weights are not those of the released val file."""
    wrong = {"question": question.RELEASED, "tense": tense.make_grammar(1 / 2)}[task]
    stream = wrong.stream(random_stream(0, "wrong"))
    drawn = [MODULES[task].constructions(" ".join(next(stream)[1])) for _ in range(3000)]
    theirs = [MODULES[task].constructions(source) for source, _, _ in pairs(task, "val")[0]]
    assert same_distribution(theirs, drawn) < 1e-6


# What is in which split


def test_question_splits_are_disjoint_and_withhold_what_the_recipe_withholds():
    corpus = full_corpus("question")
    in_domain = [*corpus["train"].lines, *corpus["val"].lines]
    assert len(set(in_domain)) == len(in_domain) == 101_000
    for split in ("train", "val"):
        for source, label in zip(corpus[split].sources, corpus[split].labels, strict=True):
            assert label == "decl" or question.constructions(source)[0] in ("none", "pp")
    gen = corpus["gen"]
    assert len(set(gen.sources)) == 10_000 and set(gen.labels) == {"quest"}
    for source, target in zip(gen.sources, gen.targets, strict=True):
        assert question.constructions(source)[0] in english.RELATIVE_CLAUSES
        first, last = (w for w in source.split() if w in question.AUXILIARIES)
        assert first != last and question.AUXILIARIES[first] == question.AUXILIARIES[last]
        assert target.split()[0] == last


def test_tense_splits_are_disjoint_and_withhold_what_the_recipe_withholds():
    corpus = full_corpus("tense")
    sources = [source for split in corpus.values() for source in split.sources]
    assert len(set(sources)) == len(sources) == 111_000

    def has_distractor(source: str) -> bool:
        """Whether the last noun before the main verb differs in number from the main subject."""
        subject = source.split()[: tense.main_verb(source)]
        numbers = [english.NOUN_NUMBER[word] for word in subject if word in english.NOUN_NUMBER]
        return numbers[0] != numbers[-1]

    distracted_past = 0
    for split in ("train", "val"):
        for source, label in zip(corpus[split].sources, corpus[split].labels, strict=True):
            distracted = has_distractor(source)
            distracted_past += distracted
            assert label == "PAST" or not distracted
    # PAST lines keep them: 1/2 of those with a PP, of those with an rco, of those with an rct
    share = distracted_past / sum(corpus[split].labels.count("PAST") for split in ("train", "val"))
    assert share == pytest.approx(1 / 6 + 1 / 18 + 1 / 18, abs=0.03)  # bare subjects run out, so it is more
    assert set(corpus["gen"].labels) == {"PRESENT"} and all(map(has_distractor, corpus["gen"].sources))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_small_generalization_sets_keep_the_quota(size):
    gen = question.generate(5, {"train": 10, "val": 5, "gen": size})["gen"]
    assert Counter(question.constructions(source)[0] for source in gen.sources)["rco"] == round(size / 3)


# Rules


@pytest.mark.parametrize("origin", [official_corpus, full_corpus])
@pytest.mark.parametrize(("task", "split"), SETS)
def test_every_target_is_the_hierarchical_rules(task, split, origin):
    part, rule = origin(task)[split], TASKS[task].rules["hierarchical"]
    for source, label, target in zip(part.sources, part.labels, part.targets, strict=True):
        assert rule(f"{source} {label}") == target


def agreement(task: str, rule: str, part: Split) -> float:
    """Share of the lines whose rated word, first of the question or main verb, the rule gets right."""
    rated = [i for i, label in enumerate(part.labels) if task == "tense" or label == "quest"]
    hits = 0
    for i in rated:
        position = 0 if task == "question" else tense.main_verb(part.sources[i])
        output = TASKS[task].rules[rule](f"{part.sources[i]} {part.labels[i]}").split()
        hits += output[position] == part.targets[i].split()[position]
    return hits / len(rated)


FLOORS = {  # the measured accuracies of the rules on the official files; DEVIATIONS.md, D9
    ("question", "val"): {"hierarchical": 1, "linear": 1, "last_auxiliary": 0.734},
    ("question", "gen"): {"hierarchical": 1, "linear": 0, "last_auxiliary": 1},
    ("tense", "val"): {"hierarchical": 1, "linear": 1, "copy": 0.564, "first_noun": 1},
    ("tense", "gen"): {"hierarchical": 1, "linear": 0, "first_noun": 1, "always_singular": 0.493},
}


@pytest.mark.parametrize(("task", "split", "rule"), [(*key, rule) for key in FLOORS for rule in FLOORS[key]])
def test_rule_floors_to_the_digit(task, split, rule):
    found = agreement(task, rule, official_corpus(task)[split])
    assert round(found, 3) == FLOORS[task, split][rule]
    if FLOORS[task, split][rule] in (0, 1):
        assert found == FLOORS[task, split][rule] == agreement(task, rule, full_corpus(task)[split])


RELATIVE = "my newt who doesn't read does eat ."
OBJECT = "my newt does like gnus who do eat ."


@pytest.mark.parametrize(
    ("task", "rule", "source", "target"),
    [
        ("question", "linear", RELATIVE, "doesn't my newt who read does eat ?"),
        ("question", "last_auxiliary", OBJECT, "do my newt does like gnus who eat ?"),
        ("question", "linear", "my newt does eat . decl", "my newt does eat ."),
        ("tense", "linear", "the newt near my yaks ate .", "the newt near my yaks eat ."),
        ("tense", "linear", "the newts who my yak amused ate .", "the newts who my yak amuses eats ."),
        ("tense", "first_noun", "the newts who my yak amused ate .", "the newts who my yak amuse eat ."),
        ("tense", "always_singular", "the newts read .", "the newts reads ."),
        ("tense", "copy", "the newts read .", "the newts read ."),
        ("tense", "hierarchical", "the newts ate . PAST", "the newts ate ."),
    ],
)
def test_rules_by_hand(task, rule, source, target):
    assert TASKS[task].rules[rule](source) == target
