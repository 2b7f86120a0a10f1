"""Greedy decoding of all runs of a stack at once, with a key/value cache, and batches that bound memory.

A prompt is decoded in two parts. First comes teacher forcing: in one forward pass the model reads an output that
it may well give, such as the right answer, and its own output is the same up to the first token where it
disagrees. From there on it is decoded a token at a time. A trained model needs the first part only.

Dimension letters: R runs, N prompts, B prompts of one batch, T tokens, M new tokens, K outputs followed,
V vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from grokkit.errors import GrokkitError
from grokkit.model.memory import room

TOKENS_AT_ONCE = {"cpu": 2**12}
"""Tokens of all runs together in one forward pass, elsewhere as the memory allows: changes no result but by rounding.
At D = 512, L = 10 the key/value cache of decoding then takes 0.2 GB."""

ANY = -1
"""Stands for every token in the `followed` outputs of `Prompts`."""


def tokens_at_once(stack, cached: bool) -> int:
    """Tokens of all runs that one forward pass may take. cached: it keeps their keys and values."""
    if stack.device.type in TOKENS_AT_ONCE:
        return TOKENS_AT_ONCE[stack.device.type]
    c = stack.config
    of_a_pass, cache = 2 * c.ffn_width + 4 * c.width, 2 * c.depth * c.width if cached else 0
    # floats a token: the cache while a layer is computed, or with the copy of three quarters of it that goes on
    return room(stack) // (4 * max(cache + of_a_pass, 7 * cache // 4))


def length_batches(lengths: Sequence[int], runs: int, tokens: int) -> Iterator[slice]:
    """Slices of a list of sequences sorted by length, the longest first, each fit for one forward pass.

    lengths: tokens of each sequence, descending. tokens: of all runs, in a pass.

    >>> list(length_batches([4, 4, 2, 2, 1], runs=2, tokens=16))
    [slice(0, 2, None), slice(2, 5, None)]
    """
    start = 0
    while start < len(lengths):
        rows = max(1, tokens // (runs * max(1, int(lengths[start]))))
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
    expected: for each prompt the output to compare with first, EOS included; see the head of this file. The
    arg max is the same with it and without, but where two scores differ by no more than rounding.
    followed: for each prompt K outputs, ANY standing for every token. A prompt whose output begins like none of
    them is not decoded further, for measures that ask for these outputs only.
    Raises GrokkitError for an empty prompt, a limit below 1, and lists that are not as long as `prompts`.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        max_new: int | Sequence[int],
        device="cpu",
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
        room = max(limits, default=0)
        self.device, self.compares = torch.device(device), expected is not None
        # the sizes of batches are needed on the host, without waiting for the device
        self._lengths, self._limits = [len(prompts[n]) for n in order], [limits[n] for n in order]
        self.order, self.lengths, self.limits = (
            torch.tensor(numbers, dtype=torch.int64, device=self.device)
            for numbers in (order, self._lengths, self._limits)
        )
        self.table = pad([prompts[n] for n in order]).to(self.device)
        expected = [expected[n] for n in order] if expected else [()] * len(order)
        self.expected = pad(expected, width=room)[:, :room].to(self.device)  # [N, M]
        if followed:
            every = pad([output for n in order for output in followed[n]], width=room)[:, :room]
            followed = every.reshape(len(order), -1, room)
        else:
            followed = torch.full((len(order), 1, room), ANY)
        self.followed = followed.to(self.device)  # [N, K, M]

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
        tokens = torch.zeros(stack.runs, len(self), max(self._limits, default=0), dtype=torch.int64, device=self.device)
        choices = torch.tensor(list(choices), dtype=torch.int64, device=self.device)
        chosen = torch.zeros(stack.runs, len(self), dtype=torch.int64, device=self.device)
        compares = self.compares  # for as long as that is worthwhile
        sizes = [length + limit for length, limit in zip(self._lengths, self._limits)]
        for batch in length_batches(sizes, stack.runs, tokens_at_once(stack, cached=True)):
            width, room = self._lengths[batch.start], max(self._limits[batch])
            outputs = _Outputs(stack, self.lengths[batch], self.limits[batch], self.followed[batch, :, :room])
            expected = self.expected[batch, : room - 1 if compares else 0]
            logits = outputs.begin(self.table[batch, :width], expected)
            if compares:  # a token that is compared costs less than half of one that is decoded on its own
                compares = 2 * int(outputs.count.sum()) >= stack.runs * sum(self._limits[batch])
            outputs.finish()
            tokens[:, self.order[batch], :room] = outputs.tokens
            if len(choices):
                chosen[:, self.order[batch]] = choices[logits[..., choices].argmax(-1)]
            del outputs, logits  # their cache, before the next one is made
        return tokens, (chosen if len(choices) else None)


def greedy(stack, prompts: Sequence[Sequence[int]], max_new: int | Sequence[int]) -> Tensor:
    """Greedy continuations of token lists, int64 [R, N, max_new]: each ends with EOS or at its limit, then 0.

    prompts: [BOS] + source + label as tokens, of any lengths; max_new: see `Prompts`.
    """
    return Prompts(prompts, max_new, stack.device).decode(stack)[0]


class _Outputs:
    """What follows the prompts of one batch, while it grows.

    tokens: int64 [R, B, M], of which the first `count`, int64 [R, B], are decided; the others are 0.
    lengths, limits: int64 [B], of the prompts and of their outputs. followed: int64 [B, K, M].
    """

    def __init__(self, stack, lengths: Tensor, limits: Tensor, followed: Tensor):
        self.stack, self.limits, self.followed = stack, limits, followed
        self.eos, room = stack.config.vocabulary_size, followed.shape[-1]
        self.last = (lengths - 1).expand(stack.runs, -1)  # position of each prompt's last token
        self.slots = torch.arange(room, device=lengths.device)  # of the new tokens, 0 .. M - 1
        self.tokens = torch.zeros(*self.last.shape, room, dtype=torch.int64, device=lengths.device)
        self.count = torch.ones_like(self.last)

    def begin(self, prompts: Tensor, expected: Tensor) -> Tensor:
        """The first token of each output, and those after it as long as all before are as expected.

        prompts: int64 [B, T], padded behind; expected: int64 [B, M - 1], or [B, 0] to stop after the first token.
        Returns the logits of the first token, float [R, B, V + 2].
        """
        self.cache = self.stack.prefill(prompts[:, : max(1, prompts.shape[1] - 1)], len(self.slots) + 1)
        read = torch.cat([prompts.gather(1, self.last[0].unsqueeze(1)), expected], dim=1)
        slots = self.slots[: read.shape[1]]
        positions = self.last.unsqueeze(-1) + slots
        logits = self.stack.output(self.stack.decode(read.expand(len(positions), -1, -1), positions, self.cache))
        answers = logits.argmax(-1)  # the token after each one that was read
        # an answer is the model's own as long as all before it were as expected and none was the last of its output
        agrees = (answers[..., :-1] == expected) & (expected != self.eos) & (slots[:-1] < self.limits[:, None] - 1)
        self.count += agrees.cumprod(-1).sum(-1)
        self.tokens[..., : len(slots)] = answers.masked_fill(slots >= self.count.unsqueeze(-1), 0)
        return logits[:, :, 0]

    def going(self) -> Tensor:
        """Which outputs have not ended, bool [R, B]."""
        newest = self.tokens.gather(2, self.count.unsqueeze(-1) - 1).squeeze(-1)
        undecided = self.slots >= self.count[..., None, None]
        alike = (self.tokens.unsqueeze(2) == self.followed) | (self.followed == ANY) | undecided
        return (newest != self.eos) & (self.count < self.limits) & alike.all(-1).any(-1)

    def finish(self) -> None:
        """Decodes the outputs that have not ended, a token at a time."""
        run, cache = torch.arange(len(self.last), device=self.slots.device).unsqueeze(1), self.cache
        rows = torch.arange(len(self.limits), device=self.slots.device).expand_as(self.last)  # those in the cache
        while True:
            going = self.going().gather(1, rows)
            most = int(going.sum(1).max())  # of a run; the host has to wait for this number
            if not most:
                return
            if 4 * most <= 3 * rows.shape[1]:  # many have ended: go on without them
                kept = going.int().argsort(dim=1, descending=True, stable=True)[:, :most]
                rows, going, cache = rows.gather(1, kept), going.gather(1, kept), cache.rows(kept)
            count = self.count.gather(1, rows)
            newest = self.tokens[run, rows, count - 1].unsqueeze(-1)
            positions = (self.last.gather(1, rows) + count).unsqueeze(-1)
            token = self.stack.output(self.stack.decode(newest, positions, cache)).squeeze(2).argmax(-1)
            # outputs that have ended run along with those of other runs; what is decoded for them is dropped
            slot = count.clamp(max=len(self.slots) - 1)
            self.tokens[run, rows, slot] = torch.where(going, token, self.tokens[run, rows, slot])
            self.count[run, rows] = count + going
