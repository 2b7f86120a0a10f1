"""Dyck: for every closing bracket, is it the best of all closing brackets after the prefix before it?

Measures, as shares of the closing brackets of a split (all strings, all prefixes):

===========================  =================================================================================
all_closers                  every closing bracket counts (published metric; the released code stops after
                             5,000 prefixes, here all of them are taken)
long_distance                only brackets that close one opened 10 or more tokens before (paper, Section 3)
distance_<a>[_<b>]           brackets that close one opened a to b tokens before
depth_<d>                    brackets that close the d-th open one (1: outermost)
linear_rule                  the prediction closes the bracket that was opened last, closed again or not
===========================  =================================================================================

The distance is the difference of the two positions. A string between two partners is balanced, so distances
are odd, and "10 or more" comes to the same whether it counts this difference or the tokens between.
"""

import numpy as np
import torch

from grokkit.data import Split, Vocabulary
from grokkit.data.dyck import MAX_DEPTH, closers
from grokkit.evaluation.decoding import length_batches, pad
from grokkit.evaluation.shares import share

ACCURACY = {"published": "all_closers", "paper": "long_distance"}
LONG = 10  # tokens; paper, Section 3
DISTANCES = {"1": (1, 1), "3_9": (3, 9), "11_19": (11, 19), "21_49": (21, 49), "51_up": (51, np.inf)}


def last_opened(words: list[str]) -> list[str]:
    """The linear rule's prediction before each closing bracket of a string.

    >>> last_opened("(a (b b) a)".split())
    ['b)', 'b)']
    """
    found, last = [], ""
    for word in words:
        if word.startswith("("):
            last = f"{word[1:]})"
        else:
            found.append(last)
    return found


class DyckItems:
    """The closing brackets of a split, ready to be put to stacks again and again; all splits alike."""

    def __init__(self, split: Split, vocab: Vocabulary, device="cpu", contrast: bool = False):
        strings = sorted((line.split() for line in split.lines), key=len, reverse=True)
        self.device = torch.device(device)
        prefixes = [[vocab.bos, *(vocab.index[word] for word in words[:-1])] for words in strings]
        self.table = pad(prefixes, dtype=torch.int16).to(device)
        self.lengths = [len(words) for words in strings]
        brackets = [closers(" ".join(words)) for words in strings]
        self.starts = np.cumsum([0, *map(len, brackets)])  # first closing bracket of each string
        flat = [(row, *bracket) for row, found in enumerate(brackets) for bracket in found]
        row, position, distance, depth = zip(*flat) if flat else ([],) * 4
        # the prefix of the word at position p ends in table column p, where BOS is at 0
        self.row = torch.tensor(row, dtype=torch.int64, device=device)
        self.column = torch.tensor(position, dtype=torch.int64, device=device)
        self.distance, self.depth = np.array(distance, dtype=np.int64), np.array(depth, dtype=np.int64)
        self.closers = torch.tensor(
            [i for word, i in vocab.index.items() if word.endswith(")")], dtype=torch.int64, device=device
        )
        self.target = np.array([vocab.index[strings[r][p]] for r, p in zip(row, position)], dtype=np.int64)
        linear = [vocab.index[word] for words in strings for word in last_opened(words)]
        self.linear = np.array(linear, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.target)

    def counted(self, metric: str) -> int:
        """How many items the accuracy is a share of."""
        return int((self.distance >= LONG).sum()) if metric == "paper" else len(self)

    @torch.inference_mode()
    def predict(self, stack, tokens_at_once: int = 0) -> np.ndarray:
        """The best closing bracket at every place of one, int64 [R, N], in the order of `target`."""
        predicted = []
        for rows in length_batches(self.lengths, stack.runs, self.device, tokens_at_once):
            items = slice(int(self.starts[rows.start]), int(self.starts[rows.stop]))
            hidden = stack.hidden(self.table[rows, : self.lengths[rows.start]].long())
            vectors = hidden[:, self.row[items] - rows.start, self.column[items]]  # [R, items, D]
            scores = stack.output(vectors.unsqueeze(2)).squeeze(2)[..., self.closers]
            predicted.append(self.closers[scores.argmax(-1)])
        if not predicted:
            return np.zeros((stack.runs, 0), dtype=np.int64)
        return torch.cat(predicted, dim=1).cpu().numpy()

    def measure(self, stack, metric: str) -> dict[str, np.ndarray]:
        """Name of the measure -> float64 [R]; "accuracy" is the one that `metric` names."""
        predicted = self.predict(stack)
        correct = predicted == self.target
        shares = {"all_closers": share(correct), "long_distance": share(correct, self.distance >= LONG)}
        return (
            {"accuracy": shares[ACCURACY[metric]]}
            | shares
            | {
                f"distance_{name}": share(correct, (self.distance >= low) & (self.distance <= high))
                for name, (low, high) in DISTANCES.items()
            }
            | {f"depth_{depth}": share(correct, self.depth == depth) for depth in range(1, MAX_DEPTH + 1)}
            | {"linear_rule": share(predicted == self.linear)}
        )
