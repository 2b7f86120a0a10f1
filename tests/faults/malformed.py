"""Feeds every reader with damaged and senseless inputs: each is read, or refused in one line."""

import contextlib
import dataclasses
import io
import os
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import hypothesis
import torch
from authors import authors_state
from hypothesis import strategies as st
from synthetic import run as synthetic_run

from grokkit import cli, trees
from grokkit.commands import reproduce, settings
from grokkit.config import Config, preset
from grokkit.data import TASKS, dyck, token_table
from grokkit.data.official import FILES
from grokkit.data.tree import leaves
from grokkit.errors import GrokkitError
from grokkit.report.record import provenance
from grokkit.report.results import results
from grokkit.report.verdict import expected
from grokkit.storage.files import cell_folder, figures_root, run_folder, runs_root
from grokkit.storage.identity import Run
from grokkit.storage.run_folder import RunFolder, read_description
from grokkit.training.pretrained import import_authors

ODD = [*" \t\n\0\r\"',\\²∞é٣\ud7ff\u2028\x85", "", "nan", "inf", "-1", "1e999", "1_000", "0x10", "1.5", "1e5", "+7"]
ODD += ["<pad>", "None", "True", "[]", "{}", "((", "9" * 30, "9" * 5000, "[" * 2000, "-" * 3000 + "1"]
ODD += ["__import__('os').mkdir('exploded')"]
VALUES = [*ODD, None, True, False, -1, 0, 1.5, float("nan"), float("inf"), 10**400, 1e300, (), [], {}, [1], b"x"]
VALUES += [complex(1, 1), object(), lambda: 1]
"""What a field of a Config, an entry of a state dict and the like may be given by mistake."""


@st.composite
def spoiled(draw, text: str) -> str:
    """A text with a few changes: characters, words, lines or cells lost, doubled, swapped, or replaced by odd ones."""
    for _ in range(draw(st.integers(1, 3))):
        glue = draw(st.sampled_from(["", " ", "\n", ","]))
        parts = text.split(glue) if glue else list(text)
        if not parts:
            return draw(st.sampled_from(ODD))
        at, other = draw(st.integers(0, len(parts) - 1)), draw(st.integers(0, len(parts) - 1))
        odd = draw(st.sampled_from([*ODD, parts[other]]))
        new = draw(st.sampled_from([[], [odd], [odd, parts[at]], [parts[at], parts[at]]]))
        parts = parts[:at] if draw(st.integers(0, 5)) == 0 else [*parts[:at], *new, *parts[at + 1 :]]
        text = glue.join(parts)
    return text


@st.composite
def spoiled_bytes(draw, data: bytes) -> bytes:
    """Bytes with a few changes, cut, or noise; never the same."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.binary(max_size=200))
    if kind == 1:
        return data[: draw(st.integers(0, len(data) - 1))]
    try:
        text = data.decode() if kind == 2 else ""
    except UnicodeDecodeError:
        text = ""
    if text:
        return draw(spoiled(text).filter(lambda found: found != text)).encode("utf-8", "surrogatepass")
    at = draw(st.integers(0, len(data) - 1))
    byte = draw(st.integers(0, 255).filter(lambda byte: byte != data[at]))
    return data[:at] + bytes([byte]) + draw(st.binary(max_size=2)) + data[at + 1 :]


def file_readers(folder: Path) -> Iterator[tuple[str, Path, Callable[[], object]]]:
    """Name, a good file, and what reads it."""
    for task in TASKS:
        file = FILES[task][0]
        corpus, place = TASKS[task].generate(0, {"train": 6, "val": 0, "gen": 0})["train"], folder / f"official-{task}"
        pairs = zip(corpus.sources or [], corpus.labels or [], corpus.targets or [])
        lines = corpus.lines if task == "dyck" else [f"{source} {label}\t{target}" for source, label, target in pairs]
        place.mkdir()
        (place / file.name).write_text("".join(f"{line}\n" for line in lines))
        yield f"official {task} files", place / file.name, lambda t=task, p=place: TASKS[t].read(p, verify=False)

    table = synthetic_run("question", 1, 42, preset="smoke", end=20, every=10)
    cell, record = cell_folder("smoke", "question", 1), figures_root() / "smoke"
    ours = RunFolder(run_folder(cell, 42), Run(preset("smoke", "question", 1), 42, {"train": "0f"}))
    rows = table.assign(failed_at=float("nan")).to_dict("records")
    ours.lock.acquire()
    ours.save(20, {"weights": torch.ones(1, 9), "count": torch.ones(1)}, rows, 1.5, [42])
    ours.close()

    def read_run():
        read_description(ours.path), provenance("smoke", table), results("smoke", "question", unfinished=True)
        try:
            return ours.find()
        finally:
            ours.close()

    for name in ("run.json", "metrics.csv", "checkpoint-0000020.safetensors"):
        yield name, ours.path / name, read_run
    shutil.copytree(Path(__file__).parents[1] / "storage/format_2/smoke/tense", runs_root() / "smoke/tense")
    for name in ("config.json", "environment.json", "metrics.csv", "digests.json"):
        path = cell_folder("smoke", "tense", 1) / "seeds-42-52" / name
        yield f"{name} of format 2", path, lambda: (results("smoke", "tense"), provenance("smoke", results("smoke")))
    record.mkdir(parents=True)
    table.to_csv(record / "results.csv", index=False)
    yield "results.csv", record / "results.csv", lambda: results("smoke", source="record")
    (record / "expected.csv").write_text(EXPECTED)
    yield "expected.csv", record / "expected.csv", lambda: expected("smoke")
    torch.save(authors_state(width=4, ffn=6, depth=1), folder / "state.pickle")
    yield "the authors' files", folder / "state.pickle", lambda: import_authors(folder / "state.pickle", heads=2)


def readers(folder: Path) -> Iterator[tuple[str, st.SearchStrategy, Callable[[object], object]]]:
    """Name of a reader, its inputs, and the function that reads one."""
    for name, path, read in file_readers(folder):
        good = path.read_bytes()

        def read_spoiled(data, path=path, read=read, good=good):
            path.write_bytes(data)
            try:
                return read()
            finally:
                path.write_bytes(good)

        yield name, spoiled_bytes(good), read_spoiled

    state, odd = authors_state(width=4, ffn=6, depth=1), st.sampled_from(VALUES)
    tensors = st.lists(st.integers(0, 3), max_size=3).map(torch.zeros) | st.sampled_from(
        [torch.zeros(2, dtype=dtype) for dtype in (torch.int64, torch.complex64, torch.bool)]
        + [torch.tensor([torch.nan])]
    )
    changes = st.dictionaries(st.sampled_from([*state, "", 3, None, "x.weight"]), odd | tensors, min_size=1, max_size=2)
    changed = st.tuples(changes, st.sampled_from([2, 2, 0, -1, 3, True]))  # the second: heads
    yield "the authors' state dicts", changed, lambda given: import_authors(state | given[0], given[1])
    pickles = st.sampled_from(VALUES[:-2]).map(pickle.dumps)
    yield "the authors' pickles", pickles, lambda data: import_authors(_written(folder / "objects.pickle", data))

    names = [field.name for field in dataclasses.fields(Config) if field.name not in ("preset", "task")]
    fields = st.tuples(st.sampled_from(names), odd | spoiled("0.5"))
    yield "fields of a Config", fields, lambda given: preset("smoke", "tense", **dict([given]))

    texts = st.sampled_from(["42 52", "[1, 2]", "smoke", "record", "3", "{'a': [1, (2, 3)]}"]).flatmap(spoiled)
    parameters = st.tuples(st.sampled_from(["SEEDS", "DEPTHS", "PRESET", "BINS"]), texts)
    yield "notebook parameters", parameters, lambda given: reproduce.parsed(*given)
    variables = {
        "GROKKIT_PRESET": settings.default_preset,
        "GROKKIT_SOURCE": settings.default_source,
        "GROKKIT_SEEDS": settings.given_seeds,
        "GROKKIT_DEPTHS": settings.given_depths,
    }

    def ask(given):
        with mock.patch.dict(os.environ, {given[0]: given[1].replace("\0", "")}):
            return variables[given[0]]()

    yield "environment variables", st.tuples(st.sampled_from(list(variables)), texts), ask

    lines = {name: task.generate(2, {"train": 30, "val": 0, "gen": 0})["train"] for name, task in TASKS.items()}
    of_a_task = st.sampled_from(list(lines)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(lines[name].lines).flatmap(spoiled))
    )
    yield "words", of_a_task, lambda given: read_words(TASKS[given[0]].vocab, given[1])
    yield "rules", of_a_task, lambda given: [rule(given[1]) for rule in TASKS[given[0]].rules.values()]
    sources = st.sampled_from(["question", "tense"]).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(lines[name].sources).flatmap(spoiled))
    )
    yield "gold trees", sources, lambda given: read_gold_tree(*given)
    for read in (dyck.closers, dyck.top_of_stack, dyck.last_opened):
        yield f"brackets, {read.__name__}", spoiled("(a (b b) a) (c c)"), read
    yield "command lines", st.sampled_from(COMMANDS).flatmap(spoiled_command), run_command


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read_words(vocab, text: str) -> None:
    ids = vocab.encode(text)
    assert vocab.decode(ids) == " ".join(text.split())
    assert token_table([text], vocab)[0][0].tolist() == ids


def read_gold_tree(task: str, source: str) -> None:
    tree = TASKS[task].gold_tree(source)
    assert trees.parseval(tree, tree).f1 == 1
    flat = [word for word in source.split() if word not in (".", "?", "quest", "decl", "PAST", "PRESENT")]
    assert leaves(tree) == flat


COMMANDS = """train --preset smoke --task tense --depth 1 --seeds 42 52 --minutes 1
train --preset smoke --task tense --set width=16 --set steps=3 --out x
sweep --preset smoke --tasks tense --depths 1 --seeds 42 --workers 1 --minutes 1
status --preset smoke --tasks tense dyck --depths 1 2 --seeds 42
reproduce fig2 --preset smoke --seeds 42 -p SEEDS 42
record --preset smoke --seeds 1
doctor x""".splitlines()


def spoiled_command(command: str) -> st.SearchStrategy:
    words = command.split()
    place = st.integers(1, len(words) - 1)
    return place.flatmap(lambda at: spoiled(words[at]).map(lambda word: words[:at] + [word] + words[at + 1 :]))


def run_command(words: list[str]) -> None:
    said, quiet = io.StringIO(), mock.MagicMock(side_effect=GrokkitError("accepted"))
    with (
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(io.StringIO()),
        mock.patch("grokkit.training.trainer.Trainer", quiet),
        mock.patch("grokkit.commands.reproduce.run_notebook", quiet),
        mock.patch("grokkit.commands.doctor.report", return_value=0),
    ):
        try:
            code = cli.main([word.replace("\0", "") for word in words])  # no argument holds it
        except SystemExit as end:
            code = end.code
    if code == 0:
        return
    assert code == 2 and said.getvalue().count("\n") == 1 and "Traceback" not in said.getvalue(), said.getvalue()
    if "accepted" not in said.getvalue():
        raise GrokkitError("refused by the command line")


EXPECTED = "figure,quantity,task,depth,value,sd,n\nfig2,gen_at_end,question,1,0.5,0.1,3\nfig5,loss,tense,,1,0,2\n"


def try_inputs(strategy: st.SearchStrategy, read: Callable, inputs: int, seed: int) -> list[bool]:
    """About `inputs` inputs; of each, whether it was refused. AssertionError for any other end."""
    refused = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def try_one(given):
        refused.append(False)
        try:
            read(given)
        except GrokkitError as error:
            assert str(error) and len(str(error).splitlines()) == 1, repr(str(error))
            refused[-1] = True

    try_one()
    return refused


def run(folder: Path, inputs: int, seed: int) -> dict:
    """About `inputs` inputs for each reader; how many were refused."""
    found = {}
    places = {"GROKKIT_RUNS": str(folder / "runs"), "GROKKIT_FIGURES": str(folder / "figures")}
    with mock.patch.dict(os.environ, places), warnings.catch_warnings(), contextlib.chdir(folder):
        warnings.simplefilter("ignore")
        for name, strategy, read in readers(folder):
            try:
                found[name] = try_inputs(strategy, read, inputs, seed)
            except BaseException as error:
                error.add_note(f"the reader: {name}")
                raise
        assert not (folder / "exploded").exists(), "code from an input was executed"
    return {"inputs": sum(map(len, found.values())), "readers": len(found), "refused": sum(map(sum, found.values()))}
