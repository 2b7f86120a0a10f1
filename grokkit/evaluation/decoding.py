"""Greedy decoding of all runs of a stack at once, with a key/value cache, and batches that bound memory.

Dimension letters: R runs, N prompts, B prompts of one batch, T tokens, M new tokens, V vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from grokkit.errors import GrokkitError

TOKENS_AT_ONCE = {"cpu": 2**13, "cuda": 2**17}
"""Tokens of all runs together in one forward pass: bounds the memory, changes no result but by rounding.
At D = 512, L = 10 the key/value cache of decoding then takes 0.3 GB on the CPU and 5 GB on a GPU."""


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
    for all or one for each prompt. Raises GrokkitError for an empty prompt or a limit below 1.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], max_new: int | Sequence[int], device="cpu",
                 tokens_at_once: int = 0):
        limits = [max_new] * len(prompts) if isinstance(max_new, int) else list(max_new)
        if len(limits) != len(prompts):
            raise GrokkitError(f"{len(prompts)} prompts but {len(limits)} limits: give one limit a prompt")
        if any(len(prompt) == 0 for prompt in prompts) or any(limit < 1 for limit in limits):
            raise GrokkitError("a prompt is empty or has a limit below 1: give [BOS] + words and room")
        order = sorted(range(len(prompts)), key=lambda n: (-len(prompts[n]), -limits[n], n))
        self.device = torch.device(device)
        self.tokens_at_once = tokens_at_once
        self.order = torch.tensor(order, dtype=torch.int64, device=self.device)
        self.table = pad([prompts[n] for n in order]).to(device)
        self.lengths = torch.tensor([len(prompts[n]) for n in order], device=self.device)
        self.limits = torch.tensor([limits[n] for n in order], device=self.device)
        # the sizes of batches are needed on the host, without waiting for the device
        self._lengths = [len(prompts[n]) for n in order]
        self._limits = [limits[n] for n in order]

    def __len__(self) -> int:
        return len(self._lengths)

    @torch.inference_mode()
    def decode(self, stack, choices: Sequence[int] = ()) -> tuple[Tensor, Tensor | None]:
        """The greedy continuations of all prompts under all runs.

        choices: tokens among which the first new one is looked up as well, for metrics that compare a few.
        Returns (tokens, chosen). tokens: int64 [R, N, M]; each row ends with EOS or at its limit, then 0.
        chosen: int64 [R, N], which of `choices` scores highest right after the prompt; None without choices.
        """
        width = max(self._limits, default=0)
        tokens = torch.zeros(stack.runs, len(self), width, dtype=torch.int64, device=self.device)
        among = torch.tensor(list(choices), dtype=torch.int64, device=self.device)
        chosen = torch.zeros(stack.runs, len(self), dtype=torch.int64, device=self.device)
        sizes = [length + limit for length, limit in zip(self._lengths, self._limits)]
        for rows in length_batches(sizes, stack.runs, self.device, self.tokens_at_once):
            room = max(self._limits[rows])
            table = self.table[rows, : self._lengths[rows.start]]
            new, scores = _decode_batch(stack, table, self.lengths[rows], self.limits[rows], room)
            tokens[:, self.order[rows], :room] = new
            if len(choices):
                chosen[:, self.order[rows]] = among[scores[..., among].argmax(-1)]
        return tokens, (chosen if len(choices) else None)


def greedy(stack, prompts: Sequence[Sequence[int]], max_new: int | Sequence[int]) -> Tensor:
    """Greedy continuations of token lists, int64 [R, N, max_new]: each ends with EOS or at its limit, then 0.

    prompts: [BOS] + source + label as tokens, of any lengths; max_new: see `Prompts`.
    """
    return Prompts(prompts, max_new, stack.device).decode(stack)[0]


def _decode_batch(stack, table: Tensor, lengths: Tensor, limits: Tensor, room: int) -> tuple[Tensor, Tensor]:
    """One batch: new tokens [R, B, room] and the scores [R, B, V + 2] of the first of them."""
    eos = stack.config.vocabulary_size
    hidden, cache = stack.prefill(table, room)
    last = hidden[:, torch.arange(len(table), device=table.device), lengths - 1].unsqueeze(2)  # [R, B, 1, D]
    scores = first = stack.output(last).squeeze(2)
    new = torch.zeros(stack.runs, len(table), room, dtype=torch.int64, device=table.device)
    done = torch.zeros(stack.runs, len(table), dtype=torch.bool, device=table.device)
    for step in range(room):
        token = scores.argmax(-1)
        new[..., step] = token.masked_fill(done, 0)
        done |= (token == eos) | (step + 1 >= limits)
        if step + 1 == room or bool(done.all()):
            break
        # finished rows run along: their tokens are thrown away, and a batch has prompts of similar length
        scores = stack.output(stack.decode(token, lengths + step, cache)).squeeze(2)
    return new, first
