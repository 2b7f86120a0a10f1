"""Greedy decoding of all runs of a stack at once, with a key/value cache, and batches that bound memory.

Dimension letters: R runs, N prompts, B prompts of one batch, T tokens, M new tokens, V vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from grokkit.errors import GrokkitError

TOKENS_AT_ONCE = {"cpu": 2**12, "cuda": 2**17}
"""Tokens of all runs together in one forward pass: bounds the memory, changes no result but by rounding.
At D = 512, L = 10 the key/value cache of decoding then takes 0.2 GB on the CPU and 5 GB on a GPU."""

ANY = -1
"""Stands for every token in the `followed` outputs of `Prompts`."""


def length_batches(lengths: Sequence[int], runs: int, device, tokens_at_once: int = 0) -> Iterator[slice]:
    """Slices of a list of sequences sorted by length, the longest first, each fit for one forward pass.

    lengths: tokens of each sequence, descending. tokens_at_once: 0 for the default of the device.

    >>> list(length_batches([4, 4, 2, 2, 1], runs=2, device="cpu", tokens_at_once=16))
    [slice(0, 2, None), slice(2, 5, None)]
    """
    budget = tokens_at_once or TOKENS_AT_ONCE.get(torch.device(device).type, TOKENS_AT_ONCE["cpu"])
    start = 0
    while start < len(lengths):
        rows = max(1, budget // (runs * max(1, int(lengths[start]))))
        yield slice(start, min(start + rows, len(lengths)))
        start += rows


def pad(rows: Sequence[Sequence[int]], dtype=torch.int64, width: int = 0) -> Tensor:
    """Token lists of different lengths as one table [N, T] on the CPU, padded behind with 0; T >= width."""
    table = torch.zeros(len(rows), max(max(map(len, rows), default=0), width), dtype=dtype)
    for n, tokens in enumerate(rows):
        table[n, : len(tokens)] = torch.tensor(tokens, dtype=dtype)
    return table


class Prompts:
    """Prompts that are decoded again and again: sorted, padded and moved to the device once.

    prompts: N token lists, each with [BOS] at the front. max_new: the limit of new tokens, EOS counted, one
    for all or one for each prompt.
    expected: for each prompt the output that is hoped for, EOS included. As long as outputs are much like
    these, they are compared with them in one forward pass, and decoding begins where they part.
    The arg max is the same either way but where two scores differ by no more than rounding.
    followed: for each prompt a few outputs, ANY standing for every token. A row that begins like none of them
    is not decoded further, for measures that ask for these outputs only.
    Raises GrokkitError for an empty prompt, a limit below 1, and lists that are not as long as `prompts`.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        max_new: int | Sequence[int],
        device="cpu",
        tokens_at_once: int = 0,
        expected: Sequence[Sequence[int]] | None = None,
        followed: Sequence[Sequence[Sequence[int]]] | None = None,
    ):
        limits = [max_new] * len(prompts) if isinstance(max_new, int) else list(max_new)
        for what, given in (("limits", limits), ("expected outputs", expected), ("followed outputs", followed)):
            if given is not None and len(given) != len(prompts):
                raise GrokkitError(f"{len(prompts)} prompts but {len(given)} {what}: give one for each prompt")
        if any(len(prompt) == 0 for prompt in prompts) or any(limit < 1 for limit in limits):
            raise GrokkitError("a prompt is empty or has a limit below 1: give [BOS] + words and room")
        order = sorted(range(len(prompts)), key=lambda n: (-len(prompts[n]), -limits[n], n))
        width = max(limits, default=0)
        self.device = torch.device(device)
        self.tokens_at_once = tokens_at_once
        self.order = torch.tensor(order, dtype=torch.int64, device=self.device)
        self.table = pad([prompts[n] for n in order]).to(device)
        self.lengths = torch.tensor([len(prompts[n]) for n in order], device=self.device)
        self.limits = torch.tensor([limits[n] for n in order], device=self.device)
        self.expected = None if expected is None else _outputs([expected[n] for n in order], width).to(device)
        self.followed = (
            None
            if not followed
            else _outputs([output for n in order for output in followed[n]], width)
            .view(len(order), len(followed[0]), width)
            .to(device)
        )
        # the sizes of batches are needed on the host, without waiting for the device
        self._lengths = [len(prompts[n]) for n in order]
        self._limits = [limits[n] for n in order]

    def __len__(self) -> int:
        return len(self._lengths)

    @torch.inference_mode()
    def decode(self, stack, choices: Sequence[int] = ()) -> tuple[Tensor, Tensor | None]:
        """The greedy continuations of all prompts under all runs.

        choices: tokens among which the first new one is looked up as well, for metrics that compare a few.
        Returns (tokens, chosen). tokens: int64 [R, N, M]; each row ends with EOS or at its limit, or where it
        has left all `followed` outputs, then 0. chosen: int64 [R, N], which of `choices` scores highest right
        after the prompt; None without choices.
        """
        width = max(self._limits, default=0)
        tokens = torch.zeros(stack.runs, len(self), width, dtype=torch.int64, device=self.device)
        among = torch.tensor(list(choices), dtype=torch.int64, device=self.device)
        chosen = torch.zeros(stack.runs, len(self), dtype=torch.int64, device=self.device)
        sizes = [length + limit for length, limit in zip(self._lengths, self._limits)]
        worthwhile = self.expected is not None
        for rows in length_batches(sizes, stack.runs, self.device, self.tokens_at_once):
            room = max(self._limits[rows])
            followed = None if self.followed is None else self.followed[rows, :, :room]
            batch = _Batch(
                stack,
                self.table[rows, : self._lengths[rows.start]],
                self.lengths[rows],
                self.limits[rows],
                followed,
                room,
            )
            scores = batch.begin(self.expected[rows, : room - 1] if worthwhile else None)
            if worthwhile:  # a token in a pass with others costs less than half of one decoded on its own
                worthwhile = 2 * int(batch.count.sum()) >= stack.runs * sum(self._limits[rows])
            batch.decode()
            tokens[:, self.order[rows], :room] = batch.new
            if len(choices):
                chosen[:, self.order[rows]] = among[scores[..., among].argmax(-1)]
        return tokens, (chosen if len(choices) else None)


def greedy(stack, prompts: Sequence[Sequence[int]], max_new: int | Sequence[int]) -> Tensor:
    """Greedy continuations of token lists, int64 [R, N, max_new]: each ends with EOS or at its limit, then 0.

    prompts: [BOS] + source + label as tokens, of any lengths; max_new: see `Prompts`.
    """
    return Prompts(prompts, max_new, stack.device).decode(stack)[0]


class _Batch:
    """One batch while it is decoded. new: int64 [R, B, M], the tokens so far, `count` [R, B] of them, then 0.

    table: int64 [B, T], the prompts; lengths, limits: int64 [B]; followed: int64 [B, K, M]; room: M.
    """

    def __init__(self, stack, table: Tensor, lengths: Tensor, limits: Tensor, followed: Tensor | None, room: int):
        self.stack, self.limits, self.followed = stack, limits, followed
        self.lengths = lengths.expand(stack.runs, -1)
        self.last = table.gather(1, lengths.unsqueeze(1) - 1)  # of the prompts, [B, 1]
        self.cache = stack.prefill(table[:, : max(1, table.shape[1] - 1)], room + 1)
        self.runs = torch.arange(stack.runs, device=table.device).unsqueeze(1)
        self.places = torch.arange(room, device=table.device)
        self.new = torch.zeros(*self.lengths.shape, room, dtype=torch.int64, device=table.device)
        self.count = torch.ones_like(self.lengths)

    def begin(self, expected: Tensor | None) -> Tensor:
        """The first tokens: one, or all that are like `expected`, int64 [B, M - 1], and one more. Returns the
        scores of the very first, [R, B, V + 2]."""
        fed = self.last if expected is None else torch.cat([self.last, expected], dim=1)
        where = self.lengths.unsqueeze(-1) - 1 + self.places[: fed.shape[1]]
        fed = fed.expand(self.stack.runs, -1, -1)
        scores = self.stack.output(self.stack.decode(fed, where, self.cache))
        new = scores.argmax(-1)
        if expected is not None:
            # the token after place m counts if all up to m are as expected, none ends the row or is its last
            like = (new[..., :-1] == expected) & (expected != self.stack.config.vocabulary_size)
            like &= self.places[:-1] < self.limits.unsqueeze(-1) - 1
            self.count += like.cumprod(-1).sum(-1)
        self.new[..., : new.shape[-1]] = new.masked_fill(self.places[: new.shape[-1]] >= self.count.unsqueeze(-1), 0)
        return scores[:, :, 0]

    def going(self) -> Tensor:
        """bool [R, B]: the rows that have not ended."""
        last = self.new.gather(2, self.count.unsqueeze(-1) - 1).squeeze(-1)
        going = (last != self.stack.config.vocabulary_size) & (self.count < self.limits)
        if self.followed is not None:
            beyond = self.places >= self.count[..., None, None]
            same = (self.new.unsqueeze(2) == self.followed) | (self.followed == ANY) | beyond
            going &= same.all(-1).any(-1)
        return going

    def decode(self) -> None:
        """Goes on with the rows that have not ended, a token at a time."""
        rows, cache = torch.arange(self.new.shape[1], device=self.new.device).expand_as(self.count), self.cache
        while True:
            going = self.going().gather(1, rows)
            left = int(going.sum(1).max())  # the most of a run; the host has to wait for this number
            if not left:
                return
            if 4 * left <= 3 * rows.shape[1]:  # others run along: their tokens are thrown away
                which = going.int().argsort(dim=1, descending=True, stable=True)[:, :left]
                rows, going, cache = rows.gather(1, which), going.gather(1, which), cache.rows(which)
            count = self.count.gather(1, rows)
            token = self.new[self.runs, rows, count - 1].unsqueeze(-1)
            where = (self.lengths.gather(1, rows) + count - 1).unsqueeze(-1)
            token = self.stack.output(self.stack.decode(token, where, cache)).squeeze(2).argmax(-1)
            place = count.clamp(max=len(self.places) - 1)
            self.new[self.runs, rows, place] = torch.where(going, token, self.new[self.runs, rows, place])
            self.count[self.runs, rows] = count + going


def _outputs(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    """Token lists as one table [N, width], padded behind with 0."""
    return pad(rows, width=width)[:, :width]
