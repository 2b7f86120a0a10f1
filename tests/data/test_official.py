"""The released files: what the reader refuses, and the download, with files instead of the network."""

import dataclasses
import re
import subprocess

import pytest
from shared import shared_path

from grokkit.data import TASKS, official
from grokkit.data.official import FILES, blob_id, download
from grokkit.errors import GrokkitError

GOOD = {
    "question": "the newt does sleep . quest\tdoes the newt sleep ?",
    "tense": "the newt near my yaks ate . PRESENT\tthe newt near my yaks eats .",
    "dyck": "(a (b b) a) (c c) END",
}
DEV = {"question": "question.dev", "tense": "tense.dev", "dyck": "k-20_d-10_val.txt"}


def test_blob_ids_are_gits(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"some\ntext\0and more")
    try:
        answer = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    assert blob_id(path.read_bytes()) == answer.stdout.strip()


@pytest.mark.parametrize("task", ["question", "tense"])
def test_released_files_have_their_ids_and_are_read(task):
    folder = shared_path(f"reference/splits/{task}.dev").parent
    corpus = TASKS[task].read(folder)
    assert corpus.source == "official" and corpus.task == task and corpus.vocab == TASKS[task].vocab
    assert {name: len(split) for name, split in corpus.items()} == {"val": 1000, "gen": 10_000}
    raw = (folder / f"{task}.dev").read_text().splitlines()
    assert corpus["val"].lines == [line.replace("\t", " ") for line in raw]
    with pytest.raises(GrokkitError, match=r"official .* corpus has no split 'train'; there is: val, gen"):
        corpus["train"]


def test_every_released_file_is_known_with_a_pinned_commit():
    four = ["train", "val", "gen", "test"]
    known = {task: [file.split for file in files] for task, files in FILES.items()}
    assert known == {"question": four, "tense": four, "dyck": four[:3], "dyck-10-10": four[:3]}
    files = [file for files in FILES.values() for file in files]
    assert len({file.blob for file in files}) == len({file.url for file in files}) == 14
    for file in files:
        assert re.fullmatch(rf"https://raw\.githubusercontent\.com/\S+/[0-9a-f]{{40}}/\S+/{file.name}", file.url)
        assert re.fullmatch("[0-9a-f]{40}", file.blob)


# The reader


@pytest.mark.parametrize("ending", ["\n", "", "\r\n"])
@pytest.mark.parametrize("task", TASKS)
def test_files_of_ones_own_are_read_without_verification(tmp_path, task, ending):
    newline = ending or "\n"
    (tmp_path / DEV[task]).write_bytes((GOOD[task] + newline + GOOD[task] + ending).encode())
    corpus = TASKS[task].read(tmp_path, verify=False)
    line = GOOD[task].replace("\t", " ").removesuffix(" END")
    assert list(corpus) == ["val"] and corpus["val"].lines == [line, line]
    if task != "dyck":
        split = corpus["val"]
        assert split.lines[0] == f"{split.sources[0]} {split.labels[0]} {split.targets[0]}"


@pytest.mark.parametrize("task", TASKS)
def test_missing_and_wrong_files_are_named_with_the_way_out(tmp_path, task):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(GrokkitError, match=rf"{folder.name} holds none .*{DEV[task]}.*download\('{task}'\)"):
            TASKS[task].read(folder)
    (tmp_path / DEV[task]).write_text(GOOD[task] + "\n")
    with pytest.raises(GrokkitError, match=f"{DEV[task]} is not the released file .*blob id.*verify=False"):
        TASKS[task].read(tmp_path)
    (tmp_path / DEV[task]).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GrokkitError, match=f"{DEV[task]} is no UTF-8 text"):
        TASKS[task].read(tmp_path, verify=False)


@pytest.mark.parametrize(
    ("task", "line", "message"),
    [
        ("question", "the newt does sleep . quest does the newt sleep ?", "a tab"),
        ("question", "the newt does sleep . ask\tdoes the newt sleep ?", "quest, decl"),
        ("question", "the newt does sleep quest\tdoes the newt sleep ?", "ends in"),
        ("question", "the newt does sleep . quest\t", "a target"),
        ("question", "the newt do sleep . quest\tdo the newt sleep ?", "cannot parse"),
        ("question", "the newt does sleep . quest\tdoes the gnu sleep ?", "'gnu' is not one of the 68 words"),
        ("tense", "the newt sleeps . PAST\tthe newt sleeps .", "no word 'sleeps'"),
        ("dyck", "(a (b b) END", "unbalanced"),
        ("dyck", "(a (z z) a) END", "'(z' is not one of the 40 words"),
        ("dyck", "", "empty"),
        ("dyck", " ".join(["(a"] * 11 + ["a)"] * 11), "11 deep, at most 10"),
    ],
)  # fmt: skip
def test_wrong_lines_are_refused_with_file_and_line_number(tmp_path, task, line, message):
    (tmp_path / DEV[task]).write_text(f"{GOOD[task]}\n{line}\n{GOOD[task]}\n")
    with pytest.raises(GrokkitError, match=f"{DEV[task]}, line 2: .*{re.escape(message)}"):
        TASKS[task].read(tmp_path, verify=False)


# The download


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that stands for the network; by their blob ids, the files in it are the released ones."""
    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    files = []
    for number, file in enumerate(FILES["question"], start=1):
        (folder / file.name).write_text(number * (GOOD["question"] + "\n"))
        blob = blob_id((folder / file.name).read_bytes())
        files.append(dataclasses.replace(file, blob=blob, folder=folder.as_uri() + "/"))
    monkeypatch.setitem(official.FILES, "question", tuple(files))
    return folder


def test_a_download_is_verified_and_kept_in_the_cache_or_where_it_is_told_to(server, tmp_path):
    cache, mine = tmp_path / "cache" / "grokkit", tmp_path / "mine" / "files"
    with pytest.raises(GrokkitError, match=r"download\('question'\)"):
        TASKS["question"].read()
    assert not cache.exists()  # nothing is fetched unless asked for
    assert (download("question"), download("question", mine)) == (cache, mine)
    for folder in (cache, mine):
        assert sorted(path.name for path in folder.iterdir()) == sorted(file.name for file in FILES["question"])
    assert list(TASKS["question"].read()) == ["train", "val", "gen", "test"]
    for path in server.iterdir():
        path.unlink()
    assert download("question") == cache  # what is there is not fetched again


def test_a_wrong_download_is_refused_and_leaves_no_file_and_so_is_a_changed_one(server, tmp_path):
    (server / "question.dev").write_text("something else")
    with pytest.raises(GrokkitError, match=r"question\.dev is not the released file"):
        download("question")
    cache = tmp_path / "cache" / "grokkit"
    assert [path.name for path in cache.iterdir()] == ["question.train"]
    (cache / "question.train").write_text("something else")
    with pytest.raises(GrokkitError, match=r"question\.train is not the released file"):
        download("question")
    assert (cache / "question.train").read_text() == "something else"


def test_without_network_the_error_tells_the_manual_way(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    address = "http://127.0.0.1:1/"  # port 1 refuses
    files = tuple(dataclasses.replace(file, folder=address) for file in FILES["tense"])
    monkeypatch.setitem(official.FILES, "tense", files)
    with pytest.raises(GrokkitError, match=f"cannot download tense.train .*fetch {address}tense.train .*{tmp_path}"):
        download("tense", tmp_path)
    assert not list(tmp_path.iterdir())


def test_unknown_tasks_and_folders_that_cannot_be_made_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GrokkitError, match="cannot write to .*name another folder"):
        download("question", tmp_path / "file" / "folder")
    with pytest.raises(GrokkitError, match="'translation'"):
        download("translation")
