"""Feeds every reader with damaged and senseless inputs: each is read, or refused in one line."""

import contextlib
import dataclasses
import io
import os
import pickle
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch
from synthetic import run as synthetic_run

from grokkit import cli, trees
from grokkit.commands import reproduce, settings
from grokkit.config import Config, preset
from grokkit.data import TASKS, dyck, token_table
from grokkit.data.official import FILES
from grokkit.errors import GrokkitError
from grokkit.model.transformer import TransformerStack
from grokkit.report.record import provenance
from grokkit.report.results import figures_root, results, run_folder
from grokkit.report.verdict import expected
from grokkit.storage import checkpoint
from grokkit.storage.digests import TABLE, described, read_file, write_files
from grokkit.storage.run_folder import RunFolder
from grokkit.storage.table import parse_rows
from grokkit.training.pretrained import import_authors

ODD = [
    "",
    " ",
    "\t",
    "\n",
    "\0",
    "\r",
    '"',
    "'",
    ",",
    "\\",
    "nan",
    "inf",
    "-1",
    "1e999",
    "1_000",
    "0x10",
    "²",
    "∞",
    "é",
    "\ud7ff",
    "<pad>",
    "None",
    "True",
    "[]",
    "{}",
    "((",
    "9" * 30,
    "9" * 5000,
    "[" * 2000,
    "-" * 3000 + "1",
    "1.5",
    "1e5",
    "+7",
    "٣",
    "\u2028",
    "\x85",
    "__import__('os').mkdir('exploded')",
]
VALUES = [
    *ODD,
    None,
    True,
    False,
    -1,
    0,
    1.5,
    float("nan"),
    float("inf"),
    10**400,
    1e300,
    (),
    [],
    {},
    [1],
    b"x",
    object(),
    complex(1, 1),
    lambda: 1,
]
"""What a field of a Config, an entry of a state dict and the like may be given by mistake."""


def spoiled(rng: random.Random, text: str) -> str:
    """A text with a few changes: characters, words or lines lost, doubled, swapped, or replaced by odd ones."""
    for _ in range(rng.randint(1, 3)):
        parts = rng.choice((list, str.split, lambda text: text.split("\n"), lambda text: text.split(",")))(text)
        glue = "," if "," in text and len(parts) == text.count(",") + 1 else " " if len(parts) < len(text) else ""
        glue = "\n" if parts == text.split("\n") else glue
        if not parts:
            return rng.choice(ODD)
        at, other = rng.randrange(len(parts)), rng.randrange(len(parts))
        change = rng.randrange(6)
        if change == 0:
            del parts[at]
        elif change == 1:
            parts.insert(at, parts[other])
        elif change == 2:
            parts[at], parts[other] = parts[other], parts[at]
        elif change == 3:
            parts = parts[:at]
        elif change == 4:
            parts[at] = rng.choice(ODD)
        else:
            parts.insert(at, rng.choice(ODD))
        text = glue.join(parts)
    return text


def spoiled_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes with a few changes; now and then noise, or a text that was spoiled as a text."""
    how = rng.randrange(4)
    if how == 0:
        return rng.randbytes(rng.randint(0, 200))
    if how == 1:
        return data[: rng.randint(0, len(data))]
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    return bytes(data)


def readers(folder: Path) -> Iterator[tuple[str, Callable[[random.Random], object]]]:
    """Name and function of every reader; the function makes one input and reads it."""
    os.environ |= {"GROKKIT_RUNS": str(folder / "runs"), "GROKKIT_FIGURES": str(folder / "figures")}
    cell = run_folder("smoke", "question", 1, [42])
    cell.mkdir(parents=True)
    config = preset("smoke", "question", 1)
    small = TransformerStack(config, [42])
    table = synthetic_run("question", 1, 42, preset="smoke", end=20, every=10)

    def spoil(path: Path, whole: bytes, rng: random.Random) -> Path:
        data = whole
        while data == whole:
            try:
                text = whole.decode() if rng.random() < 0.6 else None
            except UnicodeDecodeError:
                text = None
            data = spoiled_bytes(rng, whole) if text is None else spoiled(rng, text).encode("utf-8", "surrogatepass")
        path.write_bytes(data)
        return path

    def reset() -> None:
        for path in cell.iterdir():
            path.unlink()
        write_files(
            cell,
            {
                "config.json": CONFIG_JSON,
                "environment.json": '{"seconds": 1.5}\n',
                TABLE: table.to_csv(index=False),
            },
        )

    def official(task: str):
        place = folder / f"official-{task}"
        place.mkdir()
        corpus = TASKS[task].generate(0, {"train": 6, "val": 0, "gen": 0})["train"]
        whole = "".join(
            f"{line}\n" if task == "dyck" else f"{s} {label}\t{t}\n"
            for line, s, label, t in zip(
                corpus.lines,
                *((corpus.sources, corpus.labels, corpus.targets) if corpus.sources else [corpus.lines] * 3),
            )
        ).encode()
        name = FILES[task][0].name

        def read(rng):
            spoil(place / name, whole, rng)
            return TASKS[task].read(place, verify=rng.random() < 0.1)

        return read

    def folder_file(name: str, vouched: bool):
        """One file of a run folder; not vouched: its digest is right all the same, so that it gets past that."""

        def read(rng):
            digests = (
                contextlib.nullcontext() if vouched else mock.patch("grokkit.storage.digests._sha256", lambda data: "")
            )
            with digests:
                reset()
                spoil(cell / name, (cell / name).read_bytes(), rng)
                return rng.choice(
                    [
                        lambda: results("smoke", unfinished=True),
                        lambda: described(cell),
                        lambda: provenance("smoke", table),
                        lambda: parse_rows(read_file(cell, TABLE), (42,)),
                        lambda: RunFolder(cell, config, (42,)).open("cpu"),
                    ]
                )()

        return read

    def record(name: str):
        whole = {"results.csv": table.to_csv(index=False), "expected.csv": EXPECTED}[name].encode()

        def read(rng):
            place = figures_root() / "smoke"
            place.mkdir(parents=True, exist_ok=True)
            spoil(place / name, whole, rng)
            return results("smoke", source="record") if name == "results.csv" else expected("smoke")

        return read

    def saved(rng):
        for path in cell.iterdir():
            path.unlink()
        checkpoint.save(cell, 1, {"weights": small.flat, "count": torch.ones(3)}, config, [42])
        path = checkpoint.path_of(cell, 1)
        spoil(path, path.read_bytes(), rng)
        return checkpoint.load_latest(cell, config, [42])

    state = authors_state()

    def authors_file(rng):
        torch.save(state, folder / "state.pickle")
        return import_authors(spoil(folder / "state.pickle", (folder / "state.pickle").read_bytes(), rng), heads=2)

    def authors_objects(rng):
        broken = dict(state)
        for _ in range(rng.randint(1, 2)):
            name = rng.choice(list(broken))
            kind = rng.randrange(5)
            if kind == 0:
                broken[name] = rng.choice(VALUES)
            elif kind == 1:
                broken[rng.choice([*ODD, 3, None, spoiled(rng, name)])] = broken.pop(name)
            elif kind == 2:
                broken[name] = broken[name] * float("nan") if isinstance(broken[name], torch.Tensor) else None
            elif kind == 3:
                broken[name] = torch.zeros([rng.randint(0, 3) for _ in range(rng.randint(0, 3))])
            else:
                broken[name] = torch.zeros(2, dtype=rng.choice([torch.int64, torch.complex64, torch.bool]))
        if rng.random() < 0.2:
            (folder / "objects.pickle").write_bytes(pickle.dumps(rng.choice(VALUES[:-3])))
            return import_authors(folder / "objects.pickle")
        return import_authors(broken, heads=rng.choice([2, 2, 0, -1, 3, True]))

    def pick_value(rng):
        value = rng.choice(VALUES)
        return rng.choice([value, spoiled(rng, str(value))]) if isinstance(value, str) else value

    def fields(rng):
        name = rng.choice([field.name for field in dataclasses.fields(Config) if field.name not in ("preset", "task")])
        return preset("smoke", "tense", **{name: pick_value(rng)})

    def parameters(rng):
        name = rng.choice(["SEEDS", "DEPTHS", "PRESET", "BINS"])
        text = spoiled(rng, rng.choice(["42 52", "[1, 2]", "smoke", "3", "{'a': [1, (2, 3)]}"]))
        value = reproduce.parsed(name, text)
        if name in ("SEEDS", "DEPTHS"):
            assert value and all(type(number) is int for number in value) and len(set(value)) == len(value)

    def environment(rng):
        name, ask = rng.choice(
            [
                ("GROKKIT_PRESET", settings.default_preset),
                ("GROKKIT_SOURCE", settings.default_source),
                ("GROKKIT_SEEDS", lambda: settings.default_seeds("smoke")),
                ("GROKKIT_DEPTHS", lambda: settings.default_depths("smoke", "tense")),
            ]
        )
        text = spoiled(rng, rng.choice(["42 52", "smoke", "record"])).replace("\0", "")
        with mock.patch.dict(os.environ, {name: text}):
            return ask()

    def words(rng):
        task = TASKS[rng.choice(list(TASKS))]
        text = spoiled(rng, task.generate(1, {"train": 1, "val": 0, "gen": 0})["train"].lines[0])
        ids = task.vocab.encode(text)
        assert task.vocab.decode(ids) == " ".join(text.split())
        assert token_table([text], task.vocab)[0][0].tolist() == ids

    sentences = {
        name: TASKS[name].generate(2, {"train": 30, "val": 0, "gen": 0})["train"].sources
        for name in ("question", "tense")
    }

    def gold_trees(rng):
        name = rng.choice(list(sentences))
        source = spoiled(rng, rng.choice(sentences[name]))
        tree = TASKS[name].gold_tree(source)
        flat = [word for word in source.split() if word not in (".", "?", "quest", "decl", "PAST", "PRESENT")]
        assert trees.parseval(tree, tree).f1 == 1 and leaves(tree) == flat

    def rules(rng):
        name = rng.choice(list(sentences))
        rule = rng.choice(list(TASKS[name].rules.values()))
        return rule(
            spoiled(rng, rng.choice(sentences[name]) + rng.choice(["", " quest", " decl", " PAST", " PRESENT"]))
        )

    def brackets(rng):
        line = spoiled(rng, "(a (b b) a) (c c)")
        return rng.choice([dyck.closers, dyck.top_of_stack, dyck.last_opened, *TASKS["dyck"].rules.values()])(line)

    def command(rng):
        words = rng.choice(
            [
                "train --preset smoke --task tense --depth 1 --seeds 42 52 --minutes 1",
                "train --preset smoke --task tense --set width=16 --set steps=3 --out x",
                "sweep --preset smoke --tasks tense --depths 1 --seeds 42 --workers 1 --minutes 1",
                "status --preset smoke --tasks tense dyck --depths 1 2 --seeds 42",
                "reproduce fig2 --preset smoke --seeds 42 -p SEEDS 42",
                "record --preset smoke --seeds 1",
                "doctor x",
            ]
        ).split()
        at = rng.randrange(1, len(words))
        words[at] = rng.choice([spoiled(rng, words[at]), rng.choice(ODD)]).replace("\0", "")  # no argument holds it
        said = io.StringIO()
        quiet = mock.MagicMock(side_effect=GrokkitError("accepted"))
        with (
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(io.StringIO()),
            mock.patch("grokkit.training.trainer.Trainer", quiet),
            mock.patch("grokkit.commands.reproduce.run_notebook", quiet),
            mock.patch("grokkit.commands.doctor.report", return_value=0),
        ):
            try:
                code = cli.main(words)
            except SystemExit as end:
                code = end.code
        if code == 0:
            return
        assert code == 2 and said.getvalue().count("\n") == 1 and "Traceback" not in said.getvalue(), said.getvalue()
        if "accepted" not in said.getvalue():
            raise GrokkitError("refused by the command line")

    reset()
    yield from {
        "official question files": official("question"),
        "official tense files": official("tense"),
        "official dyck files": official("dyck"),
        "checkpoints": saved,
        "the authors' files": authors_file,
        "the authors' state dicts": authors_objects,
        "metrics.csv": folder_file(TABLE, False),
        "metrics.csv with digest": folder_file(TABLE, True),
        "config.json": folder_file("config.json", False),
        "environment.json": folder_file("environment.json", False),
        "digests.json": folder_file("digests.json", True),
        "results.csv": record("results.csv"),
        "expected.csv": record("expected.csv"),
        "fields of a Config": fields,
        "notebook parameters": parameters,
        "environment variables": environment,
        "words": words,
        "gold trees": gold_trees,
        "rules": rules,
        "bracket strings": brackets,
        "command lines": command,
    }.items()


CONFIG_JSON = '{"depth": 1, "format": 2, "learning_rate": 0.002, "preset": "smoke", "seeds": [42], "steps": 20}\n'
EXPECTED = "figure,quantity,task,depth,value,sd,n\nfig2,gen_at_end,question,1,0.5,0.1,3\nfig5,loss,tense,,1,0,2\n"


def leaves(tree) -> list[str]:
    return [tree] if isinstance(tree, str) else [leaf for child in tree for leaf in leaves(child)]


def authors_state() -> dict[str, torch.Tensor]:
    """A state dict of one layer in the authors' format, 4 channels wide."""
    layer = "trafo.encoder.layers.0."
    shapes = {
        "self_attn.data_to_q.weight": (4, 4),
        "self_attn.data_to_kv.weight": (8, 4),
        "self_attn.multi_head_merge.weight": (4, 4),
        "linear1.weight": (6, 4),
        "linear1.bias": (6,),
        "linear2.weight": (4, 6),
        "linear2.bias": (4,),
        "norm1.weight": (4,),
        "norm1.bias": (4,),
        "norm2.weight": (4,),
        "norm2.bias": (4,),
    }
    state = {layer + name: torch.ones(shape) for name, shape in shapes.items()}
    return state | {
        "input_embedding.weight": torch.ones(71, 4),
        "output_map.weight": torch.ones(71, 4),
        "output_map.bias": torch.ones(71),
    }


def run(folder: Path, inputs: int, seed: int) -> dict:
    """`inputs` inputs for each reader; how many were refused. AssertionError for any other end."""
    total, refused, kinds = 0, 0, 0
    with mock.patch.dict(os.environ), warnings.catch_warnings(), contextlib.chdir(folder):
        warnings.simplefilter("ignore")
        for name, read in readers(folder):
            kinds += 1
            for number in range(inputs):
                total += 1
                try:
                    read(random.Random(f"{seed} {name} {number}"))
                except GrokkitError as error:
                    assert str(error) and len(str(error).splitlines()) == 1, f"{name} {number}: {str(error)!r}"
                    refused += 1
                except Exception as error:
                    raise AssertionError(f"{name}, input {number} of seed {seed}: {error!r}") from error
        assert not (folder / "exploded").exists(), "code from an input was executed"
    return {"inputs": total, "readers": kinds, "refused": refused}
