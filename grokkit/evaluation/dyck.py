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

from itertools import accumulate

import numpy as np
import torch

from grokkit.data import Split, Vocabulary
from grokkit.data.dyck import MAX_DEPTH, closers
from grokkit.evaluation.decoding import length_batches, pad, tokens_at_once
from grokkit.evaluation.metrics import Items

LONG = 10  # tokens; paper, Section 3
DISTANCES = {"1": (1, 1), "3_9": (3, 9), "11_19": (11, 19), "21_49": (21, 49), "51_up": (51, np.inf)}


class DyckItems(Items):
    """The closing brackets of a split, the longest strings first; all splits alike.

    target, linear: int64 [N], the right closing bracket and the linear rule's; distance, depth: int64 [N].
    Raises GrokkitError for a string whose brackets do not match.
    """

    accuracy = {"published": "all_closers", "paper": "long_distance"}

    def __init__(self, split: Split, vocab: Vocabulary, device="cpu", contrast: bool = False):
        strings = sorted((line.split() for line in split.lines), key=len, reverse=True)
        found, self.starts = [], [0]  # starts: the first closing bracket of each string, and their number
        for number, words in enumerate(strings):
            opened = list(accumulate(words, lambda last, word: word if word.startswith("(") else last))
            for position, distance, depth in closers(" ".join(words)):
                answers = vocab.index[words[position]], vocab.index[f"{opened[position][1:]})"]
                found.append((number, position, distance, depth, *answers))
            self.starts.append(len(found))
        columns = np.ascontiguousarray(np.array(found, dtype=np.int64).reshape(-1, 6).T)
        number, position, self.distance, self.depth, self.target, self.linear = columns
        self.among = {"long_distance": self.distance >= LONG}
        for name, (low, high) in DISTANCES.items():
            self.among[f"distance_{name}"] = (self.distance >= low) & (self.distance <= high)
        self.among |= {f"depth_{depth}": self.depth == depth for depth in range(1, MAX_DEPTH + 1)}

        self.device = torch.device(device)
        # the prefix of the word at position p ends in table column p, where BOS is at 0
        prefixes = [[vocab.bos, *(vocab.index[word] for word in words[:-1])] for words in strings]
        self.table = pad(prefixes, dtype=torch.int16).to(device)
        self.lengths = [len(words) for words in strings]
        self.row, self.column = torch.tensor(number, device=device), torch.tensor(position, device=device)
        self.closers = torch.tensor([i for word, i in vocab.index.items() if word.endswith(")")], device=device)

    def hits(self, stack) -> dict[str, np.ndarray]:
        """Name of a measure -> bool [R, N]: whether the best closing bracket is the right one."""
        predicted = self.predict(stack)
        correct = predicted == self.target
        return {"all_closers": correct} | dict.fromkeys(self.among, correct) | {"linear_rule": predicted == self.linear}

    @torch.inference_mode()
    def predict(self, stack) -> np.ndarray:
        """The best closing bracket at every place of one, int64 [R, N], in the order of `target`."""
        predicted = torch.zeros(stack.runs, len(self), dtype=torch.int64, device=self.device)
        for rows in length_batches(self.lengths, stack.runs, tokens_at_once(stack)):
            items = slice(self.starts[rows.start], self.starts[rows.stop])
            hidden = stack.hidden(self.table[rows, : self.lengths[rows.start]].long())
            vectors = hidden[:, self.row[items] - rows.start, self.column[items]]  # [R, items, D]
            logits = stack.output(vectors.unsqueeze(2)).squeeze(2)[..., self.closers]
            predicted[:, items] = self.closers[logits.argmax(-1)]
        return predicted.cpu().numpy()
