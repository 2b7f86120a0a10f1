"""A model is asked about a sentence: the same answers, charts and weights as elsewhere, and pictures that hold them."""

import io

import numpy as np
import pytest
import torch
from mistaken.agreement import config_of, write
from oracle import lively_stack, small_corpus
from PIL import Image

import grokkit as gk
from grokkit import ask
from grokkit.data import Split
from grokkit.evaluation.dyck import DyckItems
from grokkit.evaluation.tense import TenseItems

TENSE = "the newt who the yaks admired remembered her unicorns"
QUESTION = "the newt that doesn't admire my yaks does remember the peacocks ."
DYCK = "(a (b b) (c c) (d (e e)"


@pytest.fixture(params=["question", "tense", "dyck"])
def asked(request):
    task = request.param
    return lively_stack(task, (1,)), task, {"question": QUESTION, "tense": TENSE, "dyck": DYCK}[task]


def test_the_answer_is_what_the_logits_say_word_by_word(asked):
    stack, task, sentence = asked
    found, vocab = gk.look(stack, task, sentence), gk.TASKS[task].vocab
    tokens, said = [vocab.bos, *vocab.encode(found.asked)], []
    allowed = [i for word, i in vocab.index.items() if word.endswith(")")] if task == "dyck" else range(vocab.classes)
    for _ in found.answer.split():
        scores = stack.logits(torch.tensor([tokens]))[0, 0, -1].tolist()
        said.append(max(allowed, key=scores.__getitem__))
        tokens.append(said[-1])
    assert vocab.decode(said) == found.answer


def test_the_answers_are_those_that_the_evaluator_measures():
    corpus, stack = small_corpus("tense"), lively_stack("tense", (1,))
    items = TenseItems(corpus["gen"], corpus.vocab)
    tokens, _ = items.prompts.decode(stack)
    for n, source in enumerate(corpus["gen"].sources[:10]):
        answer = gk.look(stack, "tense", source).answer.split()
        measured = [corpus.vocab.words[i] for i in tokens[0, n].tolist() if 0 < i < corpus.vocab.size]
        assert answer[: len(measured)] == measured
    corpus, stack = small_corpus("dyck"), lively_stack("dyck", (1,))
    words = corpus["gen"].lines[0].split()
    items = DyckItems(Split([" ".join(words)]), corpus.vocab)
    prefixes = [" ".join(words[:i]) for i, word in enumerate(words) if word.endswith(")")]
    assert [gk.look(stack, "dyck", p).answer for p in prefixes] == corpus.vocab.decode(items.predict(stack)[0]).split()


def test_chart_tree_and_score_are_those_of_the_library(asked):
    stack, task, sentence = asked
    found = gk.look(stack, task, sentence)
    (chart,) = gk.trees.sci_charts(stack, [" ".join(found.words)], gk.TASKS[task].vocab)
    assert np.array_equal(found.chart, chart[0], equal_nan=True)
    if task == "dyck":
        assert found.gold is None and found.parseval is None
    else:
        assert found.gold == gk.TASKS[task].gold_tree(sentence)
        assert found.parseval == gk.trees.parseval(gk.trees.project(chart[0]), found.gold)
        assert gk.trees.parseval(found.tree, found.gold) == found.parseval


def test_the_attention_of_the_asked_word_is_split_up_by_head(asked):
    stack, task, sentence = asked
    found = gk.look(stack, task, sentence)
    config = stack.config
    assert len(found.attention) == config.depth * config.heads
    assert np.allclose(found.attention.drop(columns=["layer", "head"]).sum(axis=1), 1, atol=1e-5)
    parts = {name: [found.words[i] for i in places] for name, places in found.parts.items()}
    assert (
        parts
        == {
            "question": {"main auxiliary": ["does"], "other auxiliary": ["doesn't"]},
            "tense": {"subject": ["newt"], "distractor": ["yaks"]},
            "dyck": {"open bracket": ["(d"], "last opened": ["(e"]},
        }[task]
    )


def test_a_word_and_its_copy_in_the_answer_count_as_one(monkeypatch):
    stack, vocab = lively_stack("tense", (1,)), gk.TASKS["tense"].vocab
    answer = gk.TASKS["tense"].rules["hierarchical"](f"{TENSE} .")
    monkeypatch.setattr(ask, "greedy", lambda *_: torch.tensor([[[*vocab.encode(answer), vocab.eos]]]))
    found = gk.look(stack, "tense", TENSE)
    assert found.answer == answer == found.rules["hierarchical"] and found.place == 6
    words = ["", *found.asked.split(), *answer.split()[:6]]  # what the model has read when it says "remembers"
    weights = stack.attention(torch.tensor([[vocab.bos, *vocab.encode(" ".join(words[1:]))]]))
    for row in found.attention.itertuples():
        seen = weights[row.layer - 1][0, 0, row.head - 1, -1].numpy()
        for name, word in (("subject", "newt"), ("distractor", "yaks")):
            assert words.count(word) == 2
            assert getattr(row, name) == pytest.approx(sum(w for w, at in zip(seen, words) if at == word), abs=1e-6)


def test_label_and_full_stop_may_be_left_out():
    stack = lively_stack("tense", (1,))
    for ending in ("", " .", " PRESENT", " . PRESENT"):
        found = gk.look(stack, gk.TASKS["tense"], TENSE + ending)
        assert found.asked == f"{TENSE} . PRESENT"
        assert [answer.split()[6] for answer in found.rules.values()] == ["remembers", "remember"]


def test_a_copy_and_what_is_no_sentence_can_be_asked_too():
    stack = lively_stack("question", (1,))
    assert gk.look(stack, "question", f"{QUESTION} decl").rules["hierarchical"] == QUESTION
    odd = gk.look(stack, "question", "admire the the")
    assert odd.rules == {} and odd.gold is None and [*odd.parts] == ["1 admire", "2 the", "3 the"]
    assert "no rule" in repr(odd) and odd._repr_png_()
    assert gk.look(lively_stack("dyck", (1,)), "dyck", "(a a)").rules == {"linear": "a)"}  # none is open


@pytest.mark.parametrize(
    "said, seeds, task, sentence",
    [
        ("cat, saw, dog: not among the 98 words of tense, which are . PAST", (1,), "tense", "my cat saw the dog ."),
        ("words of dyck", (1,), "dyck", "(a newt"),
        ("has 2 runs: choose one of them, as in stack.run", (1, 2), "tense", TENSE),
        ("trained on tense, not on dyck", (1,), "dyck", "(a"),
        ("no words", (1,), "tense", " . PRESENT"),
        ("poetry", (1,), "poetry", TENSE),
        ("None is no sentence: give one as a text", (1,), "tense", None),
        ("is no sentence", (1,), "tense", [TENSE]),
        ("is no stack: give one", None, "tense", TENSE),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(said, seeds, task, sentence):
    for stack in [lively_stack("tense", seeds)] if seeds else [{}, None, {250: "runs/"}]:
        with pytest.raises(gk.GrokkitError, match=said):
            gk.look(stack, task, sentence)


def test_a_task_of_ones_own_can_be_asked(tmp_path):
    task = gk.task_from_files(write(tmp_path / "agree.tsv"))
    try:
        found = gk.look(gk.TransformerStack(config_of(task), [1]), "agree", "der Bär neben den Häusern schlief")
        assert found.asked == "der Bär neben den Häusern schlief jetzt" and found.place == 5
        assert [*found.rules] == ["hierarchical", "nearest"] and found.parseval is not None
        assert found._repr_png_()
    finally:
        del gk.TASKS["agree"]


def size_of(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


def test_the_picture_shows_all_of_it_and_nothing_is_clipped(asked):
    stack, task, sentence = asked
    several = task == "tense"
    found = gk.look({250: stack, 7000: stack} if several else stack, task, sentence)
    figure = found.figure()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 > -0.02 and box.y0 > -0.02 and box.x1 < width + 0.02 and box.y1 < height + 0.02
    panels = [axes.get_tightbbox() for axes in figure.axes]
    assert not any(panel.overlaps(text.get_window_extent()) for panel in panels for text in figure.texts)
    titles = [axes.get_title() for axes in figure.axes]
    assert sum("attention that gives" in title for title in titles) == 1 + several
    shown = [text.get_text() for text in figure.texts]
    one = found[250] if several else found
    for text in (one.asked, *one.rules.values(), one.answer):
        assert set(text.split()) <= set(shown)
    png, said = found._repr_png_()
    assert len(png) < 300_000 and size_of(png)[0] == pytest.approx(125 * width, abs=2)
    assert one.answer in said["alt"]


def test_with_somebody_at_the_notebook_a_slider_chooses_the_step(monkeypatch):
    pytest.importorskip("ipywidgets")
    stack, other = lively_stack("dyck", (1,)), lively_stack("dyck", (2,))
    found = gk.look({0: stack, 20: other}, "dyck", DYCK)
    assert found._repr_mimebundle_() == {}  # here nobody is
    monkeypatch.setattr(ask, "_somebody_is_there", lambda: True)
    assert "application/vnd.jupyter.widget-view+json" in found._repr_mimebundle_()
    choose, picture = found.slider().children
    first = picture.value
    choose.value = 20
    assert picture.value == found[20]._repr_png_()[0] != first
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    assert found._repr_mimebundle_() == {}
