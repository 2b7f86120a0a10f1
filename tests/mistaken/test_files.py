"""Kind 8: released files under any name, text as people's editors leave it, checkpoints as they are wrapped."""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mistaken.small import one_line, what_is_said
from shared import shared_path

import grokkit as gk
from grokkit.data import make_dyck
from grokkit.data.official import FILES, OfficialFile, blob_id

# -- released files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["question", "tense"])
@pytest.mark.parametrize(
    "names", [("{}.val", "{}.test"), ("validation.txt", "generalization.txt"), ("{}.gen", "{}.dev")]
)
def test_a_released_file_is_known_by_its_content_under_any_name(task, names, tmp_path):
    """structural-grokking calls dev "val", and gen "test"."""
    for ending, name in zip(("dev", "gen"), names):
        shutil.copy(shared_path(f"reference/splits/{task}.{ending}"), tmp_path / name.format(task))
    corpus = gk.TASKS[task].read(tmp_path)
    assert {name: len(corpus[name]) for name in corpus} == {"val": 1000, "gen": 10_000}


def test_files_of_another_task_are_told_which_they_are(tmp_path):
    shutil.copy(shared_path("reference/splits/question.dev"), tmp_path / "tense.dev")
    with pytest.raises(gk.GrokkitError, match="question") as caught:
        gk.TASKS["tense"].read(tmp_path)
    one_line(caught.value)


def test_a_changed_file_is_told_which_one_it_is_not(tmp_path):
    text = shared_path("reference/splits/question.dev").read_text()
    (tmp_path / "question.val").write_text(text.replace("newt", "yak"))
    with pytest.raises(gk.GrokkitError, match="question.val") as caught:
        gk.TASKS["question"].read(tmp_path)
    one_line(caught.value)


def test_other_files_beside_the_released_ones_are_left_alone(tmp_path):
    shutil.copy(shared_path("reference/splits/tense.dev"), tmp_path / "tense.val")
    (tmp_path / "README.md").write_bytes(b"\xff\xfe no text")
    (tmp_path / ".DS_Store").write_bytes(b"\0\1")
    (tmp_path / "question.train").write_text("mine")
    assert list(gk.TASKS["tense"].read(tmp_path)) == ["val"]


@pytest.mark.parametrize("kinds", [10, 20])
def test_dyck_files_of_other_languages_have_a_reader(kinds, tmp_path):
    """As the authors' repository names them."""
    for name in ("train", "val", "test"):
        (tmp_path / f"k-{kinds}_d-10_{name}.txt").write_text("(a (b b) a) END\n(a a) (c c) END\n")
    corpus = make_dyck(kinds, 10).read(tmp_path, verify=False)
    assert {name: corpus[name].lines for name in corpus} == dict.fromkeys(
        ("train", "val", "gen"), ["(a (b b) a)", "(a a) (c c)"]
    )


def test_a_dyck_file_of_ten_kinds_is_known_by_its_content_under_any_name(tmp_path, monkeypatch):
    """A made-up one: the released ones are not at hand."""
    data = b"(a (b b) a) END\n(a a) (c c) END\n"
    released = [OfficialFile("", split, "-", blob_id(data + bytes(n))) for n, split in enumerate(("gen", "train"))]
    monkeypatch.setitem(FILES, "dyck-10-10", tuple(released))
    (tmp_path / "mine.txt").write_bytes(data)
    assert {name: split.lines for name, split in make_dyck(10, 10).read(tmp_path).items()} == {
        "gen": ["(a (b b) a)", "(a a) (c c)"]
    }
    with pytest.raises(gk.GrokkitError, match="mine.txt"):
        gk.TASKS["dyck"].read(tmp_path)


def test_dyck_files_of_another_language_are_told_which_they_are(tmp_path):
    (tmp_path / "k-10_d-10_train.txt").write_text("(a a) END\n")
    with pytest.raises(gk.GrokkitError, match="k-10") as caught:
        gk.TASKS["dyck"].read(tmp_path)
    one_line(caught.value)


# -- texts ---------------------------------------------------------------------------------------------------

LINES = ["the newt slept . PRESENT\tthe newt sleeps .", "the yaks slept . PAST\tthe yaks slept ."]


@pytest.mark.parametrize(
    "data",
    [
        "\n".join(LINES).encode(),
        "\n".join(LINES).encode("utf-8-sig"),
        ("\r\n".join(LINES) + "\r\n").encode(),
        ("\r".join(LINES) + "\r").encode(),
        ("\n".join(LINES) + "\n\n").encode(),
        ("\n".join(line + " " for line in LINES) + "\n").encode("utf-8-sig"),
        ("\r\n".join(LINES) + "\r\n\x1a").encode(),
    ],
    ids=["plain", "byte order mark", "CR LF", "CR", "empty last line", "blanks at ends", "DOS end of file"],
)  # fmt: skip
def test_text_is_read_as_editors_leave_it(data, tmp_path):
    (tmp_path / "tense.dev").write_bytes(data)
    corpus = gk.TASKS["tense"].read(tmp_path, verify=False)
    assert corpus["val"].sources == ["the newt slept .", "the yaks slept ."]
    assert corpus["val"].targets == ["the newt sleeps .", "the yaks slept ."]


@pytest.mark.parametrize(
    "data", [b"\xef\xbb\xbf(a a) END\r\n(b b) END\r\n", b"(a a) END\r(b b) END", b"(a a)\n(b b)\n\n"]
)
def test_brackets_are_read_as_editors_leave_them(data, tmp_path):
    (tmp_path / "k-20_d-10_val.txt").write_bytes(data)
    assert gk.TASKS["dyck"].read(tmp_path, verify=False)["val"].lines == ["(a a)", "(b b)"]


def test_a_released_file_with_other_line_ends_is_the_released_one(tmp_path):
    """As git checks it out on Windows, or with a byte order mark."""
    text = shared_path("reference/splits/tense.dev").read_bytes()
    for number, data in enumerate((text.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + text)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "tense.dev").write_bytes(data)
        assert len(gk.TASKS["tense"].read(folder)["val"]) == 1000


def test_a_file_in_another_encoding_is_named(tmp_path):
    (tmp_path / "tense.dev").write_bytes("\n".join(LINES).encode("utf-16"))
    with pytest.raises(gk.GrokkitError, match="tense.dev.*UTF-8|UTF-8.*tense.dev"):
        gk.TASKS["tense"].read(tmp_path, verify=False)


def test_an_error_names_the_line_as_editors_count(tmp_path):
    (tmp_path / "tense.dev").write_bytes(b"\xef\xbb\xbf" + f"{LINES[0]}\r{LINES[1]}\rno tab\r".encode())
    with pytest.raises(gk.GrokkitError, match="line 3"):
        gk.TASKS["tense"].read(tmp_path, verify=False)


# -- checkpoints ---------------------------------------------------------------------------------------------

WIDTH, FFN, DEPTH, HEADS = 16, 24, 2, 4


def theirs(classes=101) -> dict[str, torch.Tensor]:
    """A state dict of the released code, with random numbers."""
    draw = torch.Generator().manual_seed(0)
    shapes = {
        "input_embedding.weight": (classes, WIDTH),
        "output_map.weight": (classes, WIDTH),
        "output_map.bias": (classes,),
    }
    for layer in range(DEPTH):
        name = f"trafo.encoder.layers.{layer}."
        shapes |= {
            f"{name}self_attn.data_to_q.weight": (WIDTH, WIDTH),
            f"{name}self_attn.data_to_kv.weight": (2 * WIDTH, WIDTH),
            f"{name}self_attn.multi_head_merge.weight": (WIDTH, WIDTH),
            f"{name}linear1.weight": (FFN, WIDTH),
            f"{name}linear1.bias": (FFN,),
            f"{name}linear2.weight": (WIDTH, FFN),
            f"{name}linear2.bias": (WIDTH,),
        }
        shapes |= {f"{name}norm{number}.{part}": (WIDTH,) for number in (1, 2) for part in ("weight", "bias")}
    return {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def logits(stack) -> np.ndarray:
    return stack.logits(torch.tensor([[100, 3, 7, 20]])).detach().numpy()


WRAPPINGS = {
    "module.": lambda state: {f"module.{name}": value for name, value in state.items()},
    "model.": lambda state: {f"model.{name}": value for name, value in state.items()},
    "_orig_mod.": lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
    "_orig_mod.module.": lambda state: {f"_orig_mod.module.{name}": value for name, value in state.items()},
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model_state_dict": lambda state: {
        "model_state_dict": state,
        "optimizer_state_dict": {"state": {}, "param_groups": []},
    },
    "model": lambda state: {"model": state, "step": 300_000, "args": {"lr": 1e-4}},
    "state_dict, module.": lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
    "none": lambda state: state,
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("from_file", [False, True])
def test_a_checkpoint_is_seen_through_its_wrapping(wrapping, from_file, tmp_path):
    given = WRAPPINGS[wrapping](theirs())
    if from_file:
        torch.save(given, tmp_path / "pytorch_model.bin")
        given = tmp_path / "pytorch_model.bin"
    assert (logits(gk.import_authors(given, heads=HEADS)) == logits(gk.import_authors(theirs(), heads=HEADS))).all()


def test_a_tied_checkpoint_needs_no_output_matrix():
    tied = theirs() | {"output_map.weight": theirs()["input_embedding.weight"]}
    without = {name: value for name, value in tied.items() if name != "output_map.weight"}
    assert (logits(gk.import_authors(without, heads=HEADS)) == logits(gk.import_authors(tied, heads=HEADS))).all()


def test_a_safetensors_file_is_read(tmp_path):
    from safetensors.torch import save_file

    save_file(theirs(), tmp_path / "model.safetensors")
    assert (
        logits(gk.import_authors(tmp_path / "model.safetensors", heads=HEADS))
        == logits(gk.import_authors(theirs(), heads=HEADS))
    ).all()


@pytest.mark.parametrize("heads", [4.0, np.int64(4)])
def test_heads_are_taken_by_value(heads):
    assert gk.import_authors(theirs(), heads=heads).config.heads == 4


@pytest.mark.parametrize("heads", [True, "4", None, 0, -4, 2.5])
def test_what_is_no_number_of_heads_is_refused(heads):
    with pytest.raises(gk.GrokkitError, match="heads"):
        gk.import_authors(theirs(), heads=heads)


@pytest.mark.parametrize("classes", [55, 23])
def test_other_words_than_those_of_a_task_are_asked_for(classes):
    """55 classes are no "question": the message names the number and the argument that says which task it is."""
    with pytest.raises(gk.GrokkitError, match=str(classes)) as caught:
        gk.import_authors(theirs(classes), heads=HEADS)
    assert "task" in one_line(caught.value)
    assert gk.import_authors(theirs(classes), heads=HEADS, task="question").config.vocabulary_size == classes - 2


@pytest.mark.parametrize("classes, task", [(71, "question"), (101, "tense"), (43, "dyck")])
def test_the_words_of_the_tasks_say_which_it_is(classes, task):
    assert gk.import_authors(theirs(classes), heads=HEADS).config.task == task


def test_two_state_dicts_in_one_file_are_asked_for(tmp_path):
    said = what_is_said(lambda: gk.import_authors({"model": theirs(), "ema": theirs()}, heads=HEADS))
    assert "model" in said and "ema" in said


def test_code_in_a_checkpoint_does_not_run_and_is_said(tmp_path):
    torch.save({"state_dict": theirs(), "args": argparse.Namespace(lr=1)}, tmp_path / "state.pt")
    with pytest.raises(gk.GrokkitError, match="state.pt") as caught:
        gk.import_authors(tmp_path / "state.pt", heads=HEADS)
    one_line(caught.value)


def test_a_path_may_be_a_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(theirs(), "state.pt")
    assert gk.import_authors("state.pt", heads=HEADS).config.depth == DEPTH
    assert gk.import_authors(Path("state.pt"), heads=HEADS).config.depth == DEPTH
