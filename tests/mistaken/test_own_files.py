"""Kind 11: own data as people leave them, a TSV file or a folder of McCoy's format; a mistake is told with its line."""

from pathlib import Path

import pandas as pd
import pytest
from mistaken.agreement import agreement, config_of, spoil, write
from mistaken.small import one_line, refused, run_files, train, what_is_said

import grokkit as gk


def test_a_file_is_read_as_editors_leave_it_and_val_may_be_called_dev(tmp_path, own_tasks):
    plain, table = gk.task_from_files(write(tmp_path / "plain.tsv")), agreement()
    table = table.assign(split=table.split.replace("val", "dev"))  # as in the released files
    other = gk.task_from_files(write(tmp_path / "other.tsv", table, encoding="utf-8-sig", lineterminator="\r\n"))
    assert other.vocab == plain.vocab and dict(other.sizes) == dict(plain.sizes)


@pytest.mark.parametrize(
    "column, value",
    [("split", "tests"), ("split", ""), ("source", ""), ("target", ""), ("label", ""), ("label", "zwei Worte"),
     ("tree", "((a b) c)"), ("tree", "((der Bär"), ("nearest", "")],
)  # fmt: skip
def test_an_error_names_its_line(column, value, tmp_path, own_tasks, capsys):
    path = write(tmp_path / "wrong.tsv", spoil(9, column, value))
    with pytest.raises(gk.GrokkitError, match=r"line 9\b") as caught:
        gk.task_from_files(path)
    assert "wrong.tsv" in one_line(caught.value) and "wrong" not in gk.TASKS
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


def test_no_file_and_an_unknown_score_are_refused(path):
    for given in ("no-such-file.tsv", "", None, 4):
        with pytest.raises(gk.GrokkitError):
            gk.task_from_files(given)
    for score in ("last", None, "Verb"):
        with pytest.raises(gk.GrokkitError, match="whole") as caught:
            gk.task_from_files(path, score=score)
        assert "first" in str(caught.value) and "verb" in str(caught.value)


@pytest.mark.parametrize("split, lines_of", [("train", ["train", "gen"]), ("gen", ["val"]), (None, [])])
def test_it_is_said_where_train_separates_the_rules_or_gen_does_not(split, lines_of, tmp_path, own_tasks):
    table = agreement()
    lines = table[table.split.isin(lines_of)].assign(split=split)
    path = write(tmp_path / "told.tsv", pd.concat([table[table.split != split], lines]))
    said = what_is_said(lambda: gk.task_from_files(path))
    assert (split in said and "nearest" in said) if split else said == ""


PASSIVE = [
    ("der Fuchs tröstete den Bären .", "passiv", "der Bär wurde von dem Fuchs getröstet ."),
    ("die Vögel nervten den Käfer , der lachte .", "decl", "die Vögel nervten den Käfer , der lachte ."),
    ("mein Orang-Utan neben dem Öfchen schlief .", "decl", "mein Orang-Utan neben dem Öfchen schlief ."),
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
    folder = folder_of(tmp_path / "data", name, endings, "\r\n", "\ufeff")
    for other in (f"{name}.gr", f"{name}.dev.json", "to_json.sh", "Readme.md"):
        (folder / other).write_text("something else")
    task = gk.task_from_files(folder, score="first")
    assert task.name == name
    corpus = gk.load_corpus(config_of(task))
    assert corpus["val"].sources == [source for source, _, _ in PASSIVE]
    assert corpus["gen"].targets == [target for _, _, target in PASSIVE]
    assert {"Öfchen", "Orang-Utan", ",", "passiv"} <= set(task.vocab.words)
    assert not [word for word in task.vocab.words if "\ufeff" in word or "\r" in word]
    assert len(train(config_of(gk.task_from_files(folder)), [1], minutes=0)) == 1 and not run_files(folder)


def test_parts_of_gen_are_gen_where_there_is_no_whole_and_without_any_it_is_told(tmp_path, own_tasks):
    folder = folder_of(tmp_path / "data", "passiv", ("train", "dev"))
    with pytest.raises(gk.GrokkitError, match=r"\bgen\b"):
        gk.task_from_files(folder)
    folder_of(folder, "passiv", ("gen_rc_o", "gen_rc_s"))
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
