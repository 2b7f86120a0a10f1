"""Kind 11: own data as people leave them, a TSV file or a folder of McCoy's format; a mistake is told with its line."""

from pathlib import Path

import pandas as pd
import pytest
from mistaken.agreement import agreement, config_of, spoil, write
from mistaken.small import one_line, refused, run_files, train, what_is_said

import grokkit as gk


@pytest.mark.parametrize("options", [{"encoding": "utf-8-sig", "lineterminator": "\r\n"}, {"lineterminator": "\r"}])
def test_a_file_is_read_as_editors_leave_it(options, tmp_path, own_tasks):
    plain = gk.task_from_files(write(tmp_path / "plain.tsv"))
    other = gk.task_from_files(write(tmp_path / "other.tsv", **options))
    assert other.vocab == plain.vocab and dict(other.sizes) == dict(plain.sizes)


def test_val_may_be_called_dev(tmp_path, own_tasks):
    """As in the released files."""
    table = agreement()
    task = gk.task_from_files(write(tmp_path / "dev.tsv", table.assign(split=table.split.replace("val", "dev"))))
    assert "val" in dict(task.sizes)


@pytest.mark.parametrize(
    "column, value",
    [("split", "tests"), ("split", ""), ("source", ""), ("target", ""), ("label", ""), ("label", "zwei Worte"),
     ("tree", "((a b) c)"),
     ("tree", "((der Bär"), ("nearest", "")],
)  # fmt: skip
def test_an_error_names_its_line(column, value, tmp_path, own_tasks):
    with pytest.raises(gk.GrokkitError, match=r"line 9\b") as caught:
        gk.task_from_files(write(tmp_path / "wrong.tsv", spoil(9, column, value)))
    assert "wrong.tsv" in one_line(caught.value) and "wrong" not in gk.TASKS


def test_a_mistake_in_own_data_is_one_line_on_the_command_line(tmp_path, own_tasks, capsys):
    path = write(tmp_path / "wrong.tsv", spoil(9, "split", "tests"))
    assert "line 9" in refused(capsys, "train", "--preset", "smoke", "--data", str(path), "--seeds", "1")


@pytest.mark.parametrize("needed", ["split", "source", "label", "target", "train", "val", "gen"])
def test_a_column_or_split_that_is_needed_is_named(needed, tmp_path, own_tasks):
    table = agreement()
    table = table.drop(columns=needed) if needed in table else table[table.split != needed]
    with pytest.raises(gk.GrokkitError, match=rf"\b{needed}\b"):
        gk.task_from_files(write(tmp_path / "wrong.tsv", table))


def test_words_of_val_and_gen_that_train_never_shows_are_said(tmp_path, own_tasks):
    """They are in the vocabulary, but nothing can be learned about them."""
    table = spoil(len(agreement()) + 1, "source", "der Lindwurm schlief").drop(columns="tree")
    path = write(tmp_path / "words.tsv", table)
    assert "Lindwurm" in what_is_said(lambda: gk.task_from_files(path))


@pytest.mark.parametrize("given", ["no-such-file.tsv", "", None, 4])
def test_no_file_is_named(given, own_tasks):
    with pytest.raises(gk.GrokkitError):
        gk.task_from_files(given)


@pytest.mark.parametrize("score", ["last", None, "Verb"])
def test_an_unknown_score_is_refused_with_the_choices(score, path):
    with pytest.raises(gk.GrokkitError, match="whole") as caught:
        gk.task_from_files(path, score=score)
    assert "first" in str(caught.value) and "verb" in str(caught.value)


@pytest.mark.parametrize("split, lines_of", [("train", ["train", "gen"]), ("gen", ["val"])])
def test_it_is_said_where_train_separates_the_rules_or_gen_does_not(split, lines_of, tmp_path, own_tasks):
    table = agreement()
    lines = table[table.split.isin(lines_of)].assign(split=split)
    path = write(tmp_path / "told.tsv", pd.concat([table[table.split != split], lines]))
    said = what_is_said(lambda: gk.task_from_files(path))
    assert split in said and "nearest" in said


def test_nothing_is_said_where_train_is_ambiguous_and_gen_is_not(path):
    assert what_is_said(lambda: gk.task_from_files(path)) == ""


PASSIVE = [
    ("der Fuchs tröstete den Bären .", "passiv", "der Bär wurde von dem Fuchs getröstet ."),
    ("die Vögel nervten den Käfer , der lachte .", "decl", "die Vögel nervten den Käfer , der lachte ."),
    (
        "mein Orang-Utan neben dem Öfchen tröstete die Füchse .",
        "decl",
        "mein Orang-Utan neben dem Öfchen tröstete die Füchse .",
    ),
]


def folder_of(folder: Path, name: str, endings=("train", "dev", "test", "gen"), newline="\n", bom="") -> Path:
    folder.mkdir(exist_ok=True)
    for ending in endings:
        lines = [f"{source} {label}\t{target}" for source, label, target in PASSIVE]
        (folder / f"{name}.{ending}").write_bytes((bom + newline.join(lines) + newline).encode())
    return folder


@pytest.mark.parametrize(
    "name, endings",
    [("passiv_de_nps", ("train", "dev", "test", "gen")), ("question_have.de", ("train", "val", "gen", "gen_rc_o"))],
)
def test_a_folder_of_mccoys_format_is_a_task(name, endings, tmp_path, own_tasks):
    """German and passive ones too; beside them lie grammars, scripts, JSON copies and parts of gen."""
    folder = folder_of(tmp_path / "data", name, endings)
    for other in (f"{name}.gr", f"{name}.dev.json", "to_json.sh", "Readme.md"):
        (folder / other).write_text("something else")
    task = gk.task_from_files(folder, score="first")
    assert task.name == name
    corpus = gk.load_corpus(config_of(task))
    assert corpus["val"].sources == [source for source, _, _ in PASSIVE]
    assert corpus["gen"].targets == [target for _, _, target in PASSIVE]
    assert {"Öfchen", "Orang-Utan", ",", "passiv"} <= set(task.vocab.words)


@pytest.mark.parametrize("options", [{"newline": "\r"}, {"newline": "\r\n", "bom": "\ufeff"}])
def test_a_folder_is_read_as_editors_leave_it(options, tmp_path, own_tasks):
    task = gk.task_from_files(folder_of(tmp_path / "data", "passiv", **options))
    assert "der" in task.vocab.words and not [word for word in task.vocab.words if "\ufeff" in word or "\r" in word]


def test_parts_of_gen_are_gen_where_there_is_no_whole(tmp_path, own_tasks):
    folder = folder_of(tmp_path / "data", "passiv", ("train", "dev", "gen_rc_o", "gen_rc_s"))
    assert gk.task_from_files(folder).sizes["gen"] == 2 * len(PASSIVE)


def test_two_data_sets_in_a_folder_are_asked_for(tmp_path, own_tasks):
    """`name` says which."""
    folder = folder_of(folder_of(tmp_path / "data", "question_have"), "question_have.de")
    with pytest.raises(gk.GrokkitError, match="question_have.*question_have.de|question_have.de.*question_have"):
        gk.task_from_files(folder)
    assert gk.task_from_files(folder, name="question_have.de").name == "question_have.de"


def test_a_line_without_a_tab_is_named(tmp_path, own_tasks):
    folder = folder_of(tmp_path / "data", "passiv")
    with open(folder / "passiv.dev", "a") as handle:
        handle.write("no tab here .\n")
    with pytest.raises(gk.GrokkitError, match=r"passiv\.dev.*line 4\b"):
        gk.task_from_files(folder)


def test_a_folder_without_gen_is_told_so(tmp_path, own_tasks):
    with pytest.raises(gk.GrokkitError, match=r"\bgen\b"):
        gk.task_from_files(folder_of(tmp_path / "data", "passiv", ("train", "dev")))


def test_the_papers_own_files_can_be_own_data(tmp_path, own_tasks):
    """Trained on a part of them, say; the whole line scored."""
    folder = tmp_path / "data"
    folder.mkdir()
    for ending in ("train", "dev", "gen"):
        split = gk.TASKS["tense"].generate(0, {"train": 30, "val": 10, "gen": 10})[{"dev": "val"}.get(ending, ending)]
        (folder / f"part.{ending}").write_text(
            "".join(
                f"{source} {label}\t{target}\n"
                for source, label, target in zip(split.sources, split.labels, split.targets)
            )
        )
    assert len(train(config_of(gk.task_from_files(folder)), [1], minutes=0)) == 1
    assert not run_files(folder)
