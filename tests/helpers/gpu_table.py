"""The tables of docs/gpu.md and docs/many_machines.md, by a small model of cost. No card has confirmed it yet.

A step takes its products at 70 % of the card's float32 rate, and after that its traffic at 70 % of its bandwidth:
36 bytes a parameter (weights, gradients, moments), and of attention 14 passes over the weights of each sentence.
An evaluation is a forward pass over the tokens that it reads, at the same rate, and seconds of the host.
"""

import numpy as np

from grokkit.data.loading import load_corpus
from grokkit.model.parameters import parameter_count
from grokkit.presets import preset
from grokkit.training.batches import lengths_of_lines, sorted_lengths
from grokkit.training.memory import stack_bytes

CARDS = {  # float32 TFLOP/s and GB/s, from the makers' data sheets
    "T4": (8.1, 320),
    "L4": (30.3, 300),
    "RTX 3060": (12.7, 360),
    "RTX 4090": (82.6, 1008),
    "A100": (19.5, 1555),
    "H100": (67.0, 3350),
}
SHARE, HOST, SEEDS = 0.7, 5.0, list(range(42, 142, 10))


def cells() -> dict[str, list]:
    """Figure -> its as-run cells."""
    tense = [preset("as-run", "tense", depth) for depth in (2, 4, 6, 8, 10)]
    question = [preset("as-run", "question", depth) for depth in (2, 4, 6, 8, 10)]
    one = [preset("as-run", "question"), preset("as-run", "tense"), preset("as-run", "dyck")]
    return {"question L6": [preset("as-run", "question", 6)], "Figure 2": one, "Figure 3": question + tense}


def hours(config, lengths: np.ndarray, teraflops: float, gigabytes: float, runs: int = 10) -> float:
    """Of so many runs of a cell, trained as one stack. A card that one run leaves idle is not in the model."""
    sizes = sorted_lengths(lengths, SEEDS[:runs], config.batch_size, 2000).astype(float)
    tokens, squares = sizes.sum(2).mean(1).sum(), (sizes.max(0) ** 2).sum(1).mean() * runs
    parameters, rate, band = parameter_count(config), SHARE * teraflops * 1e12, SHARE * gigabytes * 1e9
    traffic = 36 * parameters * runs + 4 * 14 * config.depth * config.heads * squares
    step = 6 * parameters * tokens / rate + traffic / band
    read = config.gen_size + config.val_size + 2 * config.analysis_sentences  # sentences, with what they have in common
    evaluation = 2 * parameters * runs * read * 2 * lengths.mean() / rate + HOST
    return (config.steps * step + config.steps / config.eval_every * evaluation) / 3600


def shared_out(hours: list[float], cards: int) -> float:
    """When the last of so many cards has finished, the longest cells first, as a sweep orders them."""
    loads = [0.0] * cards
    for each in sorted(hours, reverse=True):
        loads[loads.index(min(loads))] += each
    return max(loads)


def main() -> None:
    all_cells, lines = cells(), {}
    for config in {c for some in all_cells.values() for c in some}:
        lines.setdefault(config.task, lengths_of_lines(load_corpus(config)["train"].lines))
    print("| hours (estimated) |", " | ".join(CARDS), "|")
    for name, some in all_cells.items():
        found = [sum(hours(c, lines[c.task], *card) for c in some) for card in CARDS.values()]
        print(f"| {name} | " + " | ".join(f"{h:.0f}" for h in found), "|")
    whole = all_cells["Figure 3"] + [preset("as-run", "dyck")]
    for name in ("T4", "A100", "H100"):
        found = [hours(c, lines[c.task], *CARDS[name]) for c in whole]
        single = [hours(c, lines[c.task], *CARDS[name], runs=1) for c in whole for _ in SEEDS]
        times = [shared_out(found, n) for n in (1, 2, 4, 8)] + [shared_out(single, n) for n in (8, 16, 32, 110)]
        print(f"| all cells, {name}; as single runs | " + " | ".join(f"{time:.1f}" for time in times), "|")
    for task, depths in (("question", (2, 6, 10)), ("tense", (10,)), ("dyck", (6,))):
        for depth in depths:
            need = [stack_bytes(preset("as-run", task, depth), SEEDS[:n], lines[task]) / 1e9 for n in (1, 10)]
            print(f"| {task} L{depth} | {need[0]:.1f} | {need[1]:.1f} |")


if __name__ == "__main__":
    main()
