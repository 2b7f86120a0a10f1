"""Two checkouts compared on one machine: `python tests/helpers/freeze.py OTHER_CHECKOUT` says what differs.

Corpora, weights and tables after 200 steps, charts, trees, decoded tokens, verdict frames of the record and the data
that every figure draws become digests; `frozen.json` keeps those that no processor changes. Both train by the step of
torch (GROKKIT_NATIVE=0): the native step is compared with that one, within rounding, in tests/training/test_native.py.
"""

import hashlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ("fig2", "fig3a", "fig3b", "fig4", "fig5")
TRAININGS = {
    "question, dropout": ("question", (42,), {"dropout": 0.1}),
    "tense, tied": ("tense", (42,), {"tied": True, "depth": 2}),
    "tense, bf16": ("tense", (42,), {"precision": "bf16"}),
    "dyck, three runs": ("dyck", (42, 52, 62), {}),
}


def digest(parts: Iterable) -> str:
    """A short SHA-256 over texts and arrays; of arrays, type, shape and bytes."""
    found = hashlib.sha256()
    for part in parts:
        if not isinstance(part, str):
            part = np.ascontiguousarray(part)
            found.update(f"{part.dtype}{part.shape}".encode())
        found.update(part.encode() if isinstance(part, str) else part.tobytes())
        found.update(b"\0")
    return found.hexdigest()[:16]


def corpora() -> dict[str, str]:
    """The three generated corpora, seed 0, sizes of Table 1."""
    import grokkit as gk

    found = {}
    for name in ("question", "tense", "dyck"):
        corpus = gk.TASKS[name].generate(seed=0)
        parts = [line for split in corpus.splits.values() for line in split.lines]
        found[f"corpus {name}"] = digest(parts)
    return found


def verdicts(table: pd.DataFrame) -> dict[str, str]:
    """The verdict frames of the record, numbers at nine significant digits."""
    import grokkit as gk

    return {f"verdict {name}": digest([gk.verdict(table, name).to_csv(float_format="%.9g")]) for name in FIGURES}


def drawn(table: pd.DataFrame) -> dict[str, str]:
    """Lines, bands, markers and bars of all figures that show a table, at nine significant digits."""
    import grokkit as gk

    found = {}
    for name in FIGURES:
        parts = []
        for axes in getattr(gk.figures, name)(table).axes:
            parts += [np.asarray(line.get_xydata(), float) for line in axes.lines]
            parts += [np.asarray(path.vertices, float) for c in axes.collections for path in c.get_paths()]
            parts += [np.asarray(c.get_offsets(), float) for c in axes.collections]
            parts += [np.asarray(patch.get_path().vertices, float) for patch in axes.patches]
        found[f"drawn {name}"] = digest(sorted(digest([np.char.mod("%.9g", part + 0.0)]) for part in parts))
    return found


def trainings() -> dict[str, str]:
    """Weights and tables after 200 steps; then charts, trees and decoded tokens of 50 sentences under those weights."""
    import grokkit as gk
    from grokkit.evaluation import greedy
    from grokkit.training import Trainer

    found = {}
    for name, (task, seeds, changes) in TRAININGS.items():
        config = gk.preset("smoke", task).replace(steps=200, horizon=200, eval_every=100, **changes)
        trainer = Trainer(config, seeds, None, "cpu")
        table = trainer.run(False, None)
        stack, vocab = trainer.stack, trainer.corpus.vocab
        found[f"weights {name}"] = digest([*stack.weights, *(w.detach().numpy() for w in stack.weights.values())])
        found[f"table {name}"] = digest(
            [table[sorted({*table} - {"identity", "preset", "changes"})].to_csv(index=False)]
        )  # it has come since
        split = trainer.corpus["val"]
        sentences = [text.removesuffix(" .") for text in (split.sources or split.lines)[:50]]
        charts = gk.trees.sci_charts(stack, sentences, vocab)
        trees = [str(gk.trees.project(chart[0], how)) for chart in charts for how in ("greedy", "exact")]
        found[f"charts {name}"], found[f"trees {name}"] = digest(charts), digest(trees)
        prompts = [[vocab.bos, *vocab.encode(sentence)] for sentence in sentences]
        found[f"decoded {name}"] = digest([greedy(stack, prompts, 12).numpy()])
    return found


def measure(processor_too: bool = True) -> dict[str, str]:
    """All digests of the checkout that is imported; without `processor_too`, those that are the same everywhere."""
    os.environ["GROKKIT_FIGURES"] = str(ROOT / "figures")
    import grokkit as gk

    warnings.simplefilter("ignore")
    depths = {"question": [2, 4, 6], "tense": [2, 4, 5], "dyck": [4]}
    record = gk.results("laptop", depths=depths, source="record")
    found = corpora() | verdicts(record)
    return found | drawn(record) | trainings() if processor_too else found


def digests_of(checkout: Path) -> dict[str, str]:
    """The digests of another checkout, measured by this file with that checkout's code."""
    path = os.pathsep.join([str(checkout), str(Path(__file__).parent)])
    command = [sys.executable, "-c", "import freeze, json; print(json.dumps(freeze.measure()))"]
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "GROKKIT_NATIVE": "0"}
    ended = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{checkout}:\n{ended.stderr}")
    return json.loads(ended.stdout)


def main() -> int:
    """Prints the digests that differ between this checkout and the one that is named; 1 if there are any."""
    there, here = digests_of(Path(sys.argv[1]).resolve()), digests_of(ROOT)
    differing = [name for name in there | here if there.get(name) != here.get(name)]
    print("\n".join(f"differs: {name}" for name in differing) or f"all {len(here)} digests are equal")
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
