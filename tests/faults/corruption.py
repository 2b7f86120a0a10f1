"""Damages the files of run folders at random: it must be noticed, and no number may come out wrong."""

import os
import pickle
import random
import shutil
import warnings
from collections import Counter
from pathlib import Path

import pandas as pd

from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.report.record import provenance
from grokkit.report.results import results
from grokkit.storage import checkpoint
from grokkit.storage.files import cell_folder, sha256
from grokkit.storage.run_folder import read_description
from grokkit.training.pretrained import load_stack
from grokkit.training.trainer import Trainer, train

SEEDS = (42, 52)
CONFIG = preset("smoke", "question", 1)
FILES = (
    "seed-52/run.json",
    "seed-52/metrics.csv",
    "seed-52/checkpoint-0000010.safetensors",
    "seed-52/checkpoint-0000020.safetensors",
)
DAMAGES = ("flip", "cut", "empty", "noise", "longer", "code", "line", "digit")


class Bomb:
    """Pickled, it makes a file when it is loaded by something that runs code."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def damage(content: bytes, how: str, rng: random.Random, bomb: Path) -> bytes:
    """The content with one damage; never the same content."""
    at = rng.randrange(len(content))
    if how == "flip":
        return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    if how == "cut":
        return content[:at]
    if how == "empty":
        return b""
    if how == "noise":
        return rng.randbytes(len(content))
    if how == "longer":
        return content + rng.randbytes(rng.randint(1, 20))
    if how == "code":
        return pickle.dumps(Bomb(bomb))
    if how == "line":  # one is lost
        lines = content.splitlines(keepends=True)
        del lines[rng.randrange(len(lines))]
        return b"".join(lines)
    digits = [i for i, byte in enumerate(content) if 48 <= byte < 58]
    at = rng.choice(digits) if digits else at
    return content[:at] + bytes([48 + (content[at] - 48 + rng.randint(1, 9)) % 10]) + content[at + 1 :]


class Reference:
    """A finished training and everything that must come out of a copy of it again."""

    def __init__(self, root: Path):
        os.environ["GROKKIT_RUNS"] = str(root / "reference")
        self.folder = cell_folder("smoke", "question", 1)
        self.table = train(CONFIG, SEEDS, self.folder, "cpu", progress=False)
        self.results = results("smoke")
        self.provenance = provenance("smoke", self.results)
        self.weights = load_stack("smoke", "question", 1, 52).flat
        # without its last row a table is the one before, which is whole
        self.accepted = read_description(self.folder / "seed-52")["metrics_sha256"]
        self.bytes = {name: (self.folder / name).read_bytes() for name in FILES}

    def try_one(self, root: Path, name: str, how: str, rng: random.Random) -> str:
        """Damages one file of a copy; what noticed it: "warning" or "error"."""
        os.environ["GROKKIT_RUNS"] = str(root)
        folder = cell_folder("smoke", "question", 1)
        shutil.copytree(self.folder, folder)
        spoiled = self.bytes[name]
        while spoiled == self.bytes[name] or sha256(spoiled) in self.accepted:
            spoiled = damage(self.bytes[name], how, rng, root / "exploded")
        (folder / name).write_bytes(spoiled)
        noticed = [self.same_or_refused(folder, look) for look in (self.read, self.load, self.describe)]
        if "checkpoint" in name:
            noticed.append(self.same_or_refused(folder, lambda: checkpoint.load(folder / name)))
            assert noticed[-1], "a damaged checkpoint was loaded"
        else:
            assert noticed[0], "a damaged table, or what vouches for it, was read"
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            refused = self.same_or_refused(folder, self.resume)
        told = any(name in str(warning.message) for warning in said)
        assert any(noticed) or refused or told, "nobody noticed"
        if refused:
            (folder / refused).unlink()  # the way out that the error names
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.resume()
        os.environ["GROKKIT_RUNS"] = str(root)
        self.read(), self.load()
        if "checkpoint" not in name:  # else the last steps, with their seconds, were trained once more
            self.describe()
        assert not (root / "exploded").exists(), "code from a file was executed"
        return "error" if any(noticed) or refused else "warning"

    def same_or_refused(self, folder: Path, look) -> str | None:
        """None where `look` sees what is right, else the name of the file that its one-line error names."""
        try:
            look()
        except GrokkitError as error:
            said = str(error)
            assert "\n" not in said and "move it away" in said, said
            return next(name for name in FILES if str(folder / name) in said)
        return None

    def read(self) -> None:
        pd.testing.assert_frame_equal(results("smoke", unfinished=True), self.results, check_exact=True)

    def load(self) -> None:
        assert load_stack("smoke", "question", 1, 52).flat.equal(self.weights)

    def describe(self) -> None:
        assert provenance("smoke", self.results) == self.provenance

    def resume(self) -> None:
        trainer = Trainer(CONFIG, SEEDS, cell_folder("smoke", "question", 1), "cpu")
        pd.testing.assert_frame_equal(trainer.run(False, None), self.table, check_exact=True, check_dtype=False)
        assert trainer.stack.flat[1:].equal(self.weights)


def run(root: Path, cases: int, seed: int) -> dict:
    """Damages `cases` copies, every file in every way in turn; counts of what noticed it."""
    rng = random.Random(seed)
    kinds = [(name, how) for how in DAMAGES for name in FILES]
    before, reference, found = os.environ.get("GROKKIT_RUNS"), Reference(root), Counter()
    try:
        for case in range(cases):
            name, how = kinds[case % len(kinds)]
            try:
                found[reference.try_one(root / f"case-{case}", name, how, rng)] += 1
            except Exception as error:
                raise AssertionError(f"case {case} of seed {seed}: {how} {name}: {error}") from error
            shutil.rmtree(root / f"case-{case}")
    finally:
        if before is None:
            os.environ.pop("GROKKIT_RUNS")
        else:
            os.environ["GROKKIT_RUNS"] = before
    return {"cases": cases, "files": len(FILES), "damages": len(DAMAGES), **found}
