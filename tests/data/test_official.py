"""The released files: what the reader refuses, and the download, with files instead of the network."""

import dataclasses
import re
import subprocess

import pytest
from shared import shared_path

from grokkit.data import TASKS, make_dyck, official
from grokkit.data.official import FILES, OfficialFile, blob_id, download, text_lines
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


@pytest.mark.parametrize("names", [("{}.val", "{}.test"), ("validation.txt", "mine.txt"), ("{}.gen", "{}.dev")])
def test_they_are_known_by_their_content_under_any_name_and_with_any_line_ends(names, tmp_path):
    """structural-grokking calls dev "val", and gen "test"; other files beside them are left alone."""
    dev, gen = (shared_path(f"reference/splits/tense.{ending}").read_bytes() for ending in ("dev", "gen"))
    (tmp_path / names[0].format("tense")).write_bytes(dev.replace(b"\n", b"\r\n"))
    (tmp_path / names[1].format("tense")).write_bytes(b"\xef\xbb\xbf" + gen)
    (tmp_path / "README.md").write_bytes(b"\xff\xfe no text")
    (tmp_path / ".DS_Store").write_bytes(b"\0\1")
    (tmp_path / "question.train").write_text("mine")
    corpus = TASKS["tense"].read(tmp_path)
    assert {name: len(split) for name, split in corpus.items()} == {"val": 1000, "gen": 10_000}


def test_files_of_another_task_or_language_and_changed_ones_are_named(tmp_path):
    text = shared_path("reference/splits/question.dev").read_text()
    (tmp_path / "tense.dev").write_text(text)
    with pytest.raises(GrokkitError, match="it is question.dev"):
        TASKS["tense"].read(tmp_path)
    (tmp_path / "question.val").write_text(text.replace("newt", "yak"))
    with pytest.raises(GrokkitError, match="question.val"):
        TASKS["question"].read(tmp_path)
    (tmp_path / "k-10_d-10_train.txt").write_text("(a a) END\n")
    with pytest.raises(GrokkitError, match="k-10"):
        TASKS["dyck"].read(tmp_path)


@pytest.mark.parametrize("kinds", [10, 20])
def test_dyck_files_of_other_languages_have_a_reader(kinds, tmp_path, monkeypatch):
    """As the authors' repository names them; and known by content, of made-up ones: those of ten are not at hand."""
    data, lines = b"(a (b b) a) END\n(a a) (c c) END\n", ["(a (b b) a)", "(a a) (c c)"]
    for name in ("train", "val", "test"):
        (tmp_path / f"k-{kinds}_d-10_{name}.txt").write_bytes(data)
    found = make_dyck(kinds, 10).read(tmp_path, verify=False)
    assert {name: found[name].lines for name in found} == dict.fromkeys(("train", "val", "gen"), lines)
    monkeypatch.setitem(FILES, "dyck-10-10", (OfficialFile("", "gen", "-", blob_id(data)),))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.txt").write_bytes(data)
    assert [split.lines for split in make_dyck(10, 10).read(tmp_path / "other").values()] == [lines]
    with pytest.raises(GrokkitError, match="mine.txt"):
        TASKS["dyck"].read(tmp_path / "other")


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


TWO = ["one line", "another ."]


@pytest.mark.parametrize(
    "data",
    [
        "\n".join(TWO).encode(),
        "\n".join(TWO).encode("utf-8-sig"),
        ("\r\n".join(TWO) + "\r\n").encode(),
        ("\r".join(TWO) + "\r").encode(),
        ("\n".join(TWO) + "\n\n").encode(),
        ("\r\n".join(TWO) + "\r\n\x1a").encode(),
    ],
    ids=["plain", "byte order mark", "CR LF", "CR", "empty last line", "DOS end of file"],
)
def test_text_is_read_as_editors_leave_it(data):
    assert text_lines("here", data) == TWO


@pytest.mark.parametrize("task", TASKS)
def test_files_of_ones_own_are_read_without_verification(tmp_path, task):
    """With a byte order mark, blanks at ends and Windows line ends; of Dyck the word END may be missing."""
    text = f"{GOOD[task]} \r\n{GOOD[task].removesuffix(' END')}\r\n"
    (tmp_path / DEV[task]).write_bytes(text.encode("utf-8-sig"))
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
