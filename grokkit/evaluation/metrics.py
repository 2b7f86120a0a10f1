"""What all metrics have in common: the items of a split, what a model gets right among them, and its share.

Dimension letters: R runs, N items.
"""

from collections.abc import Mapping

import numpy as np

from grokkit.errors import GrokkitError


def share(hits: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """The share of items that are hits, per run: bool [R, N] -> float64 [R].

    among: bool [N], the items that count; all by default. NaN where no item counts, never 0.

    >>> share(np.array([[True, False, True], [False, False, True]]), np.array([True, True, False]))
    array([0.5, 0. ])
    >>> share(np.array([[True, False]]), np.array([False, False]))
    array([nan])
    """
    counted = hits if among is None else hits[:, among]
    if counted.shape[1] == 0:
        return np.full(len(hits), np.nan)
    return counted.sum(axis=1) / counted.shape[1]


class Items:
    """The items of one split, and what is measured on them: the base class of the metrics of a task.

    A subclass is made from (split, vocab, device, contrast), once a split; contrast is true for all splits but
    val, where the rules of a task agree. It says three things:

    - `accuracy`: a config's metric -> the name of the measure that it takes for the accuracy
    - `hits(stack)`: name of a measure -> bool [R, N], the items that each run gets right
    - `among`: name of a measure -> bool [N], the items that it counts, where it does not count all. A name that
      `hits` does not have is the accuracy on these items

    To add a measure, add an entry to `hits`; the table then has it as val_<name> and gen_<name>.

    >>> class Guesses(Items):
    ...     accuracy = {"published": "even", "paper": "even"}
    ...     among = {"accuracy_first_two": np.array([True, True, False])}
    ...     def hits(self, stack):
    ...         return {"even": np.array([[True, False, False]]), "odd": np.array([[False, True, True]])}
    >>> {name: values.round(2).tolist() for name, values in Guesses().measure(None, "paper").items()}
    {'accuracy': [0.33], 'even': [0.33], 'odd': [0.67], 'accuracy_first_two': [0.5]}
    """

    accuracy: Mapping[str, str] = {}
    among: Mapping[str, np.ndarray] = {}
    target: np.ndarray  # int64 [N, ..], the right answers

    def __len__(self) -> int:
        return len(self.target)

    def hits(self, stack) -> dict[str, np.ndarray]:
        """Name of a measure -> bool [R, N], for every run and item. The name that `accuracy` gives is there."""
        raise NotImplementedError

    def counted(self, metric: str) -> int:
        """How many items the accuracy is a share of."""
        among = self.among.get(self._accuracy_name(metric))
        return len(self) if among is None else int(among.sum())

    def measure(self, stack, metric: str) -> dict[str, np.ndarray]:
        """Name of a measure -> float64 [R], the shares 0 .. 1 of a stack; first "accuracy", which `metric` picks.

        A measure that counts no item is nan. Raises GrokkitError for a metric that `accuracy` does not have.
        """
        name, hits = self._accuracy_name(metric), self.hits(stack)
        hits = {"accuracy": hits[name]} | hits | {group: hits[name] for group in self.among if group not in hits}
        among = {**self.among, "accuracy": self.among.get(name)}
        return {measure: share(hit, among.get(measure)) for measure, hit in hits.items()}

    def _accuracy_name(self, metric: str) -> str:
        if metric not in self.accuracy:
            raise GrokkitError(f"{type(self).__name__} has no {metric} accuracy: name its measure in `accuracy`")
        return self.accuracy[metric]
