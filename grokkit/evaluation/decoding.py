"""Greedy decoding of all runs of a stack at once, and batches that bound memory.

In one forward pass the model reads a guess of its whole output, such as the right answer, and says a token after each
of its tokens. What it says is its own output up to the first token that differs from the guess, and the next guess.
So each pass decides a token at least, and all that were guessed; a trained model needs one or two (Song et al. 2021,
"Accelerating feedforward computation via parallel nonlinear equation solving", Jacobi iteration).

Dimension letters: R runs, N prompts, B prompts of one batch, T tokens, M new tokens, K outputs followed,
V vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from grokkit.errors import GrokkitError
from grokkit.model.memory import room

TOKENS_AT_ONCE = {"cpu": 2**12}
"""Tokens of all runs in one forward pass, elsewhere as the memory allows: changes no result but by rounding."""

ANY = -1
"""Stands for every token in the `followed` outputs of `Prompts`."""


def tokens_at_once(stack) -> int:
    """Tokens of all runs that one forward pass may take."""
    if stack.device.type in TOKENS_AT_ONCE:
        return TOKENS_AT_ONCE[stack.device.type]
    c = stack.config
    return room(stack) // (4 * (2 * c.ffn_width + 4 * c.width + 2 * c.vocabulary_size))


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
    expected: for each prompt the first guess, EOS included; see the head of this file. The arg max is the same
    with it and without, but where two scores differ by no more than rounding.
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
        self.device = torch.device(device)
        # the sizes of batches are needed on the host, without waiting for the device
        self._lengths, self._limits = [len(prompts[n]) for n in order], [limits[n] for n in order]
        self.order, self.lengths, self.limits = (
            torch.tensor(numbers, dtype=torch.int64, device=self.device)
            for numbers in (order, self._lengths, self._limits)
        )
        guesses = expected or [()] * len(prompts)
        read = [[*prompts[n], *guesses[n][: limits[n]]] for n in order]
        self.read = pad(read, width=max(self._lengths, default=0) + room).to(self.device)  # [N, T + M]
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
        sizes = [length + limit for length, limit in zip(self._lengths, self._limits)]
        for batch in length_batches(sizes, stack.runs, tokens_at_once(stack)):
            found, first = self._decode(stack, batch)
            tokens[:, self.order[batch], : found.shape[2]] = found
            if len(choices):
                chosen[:, self.order[batch]] = choices[first[..., choices].argmax(-1)]
        return tokens, (chosen if len(choices) else None)

    def _decode(self, stack, batch: slice) -> tuple[Tensor, Tensor]:
        """The outputs of one batch, int64 [R, B, M], and the scores of their first tokens, [R, B, V + 2]."""
        limits, room = self.limits[batch], max(self._limits[batch])
        last, followed = self.lengths[batch] - 1, self.followed[batch, :, :room]
        read = self.read[batch, : self._lengths[batch.start] - 1 + room].expand(stack.runs, -1, -1)
        slots = torch.arange(room, device=self.device)
        run = torch.arange(stack.runs, device=self.device).unsqueeze(1)
        rows = torch.arange(len(limits), device=self.device).expand(stack.runs, -1)  # those that go on, of each run
        tokens, first = torch.zeros(*rows.shape, room, dtype=torch.int64, device=self.device), None
        while rows.shape[1]:
            at = last[rows].unsqueeze(-1) + slots  # where the tokens before the new ones stand, [R, rows, M]
            logits = stack.logits_at(read, at)
            first = logits[:, :, 0] if first is None else first
            said = logits.argmax(-1)
            follows = ((said.unsqueeze(2) == followed[rows]) | (followed[rows] == ANY)).cumprod(-1).any(2)
            ends = (said == stack.config.vocabulary_size) | (slots == limits[rows].unsqueeze(-1) - 1) | ~follows
            # it is the model's own as long as all before it was guessed, and none was the last of its output
            guessed = (said[..., :-1] == read.gather(2, at[..., 1:])) & ~ends[..., :-1]
            own = F.pad(guessed.cumprod(-1), (1, 0), value=1).bool()
            tokens[run, rows] = said * own
            going = ~(ends & own).any(-1)
            most = int(going.sum(1).max())  # of a run; the host has to wait for this number
            # outputs that have ended run along with those of other runs: what is said of them stays the same
            kept = going.int().argsort(dim=1, descending=True, stable=True)[:, :most]
            read, rows = read.scatter(2, at[..., 1:], said[..., :-1])[run, kept], rows.gather(1, kept)
        return tokens, first


def greedy(stack, prompts: Sequence[Sequence[int]], max_new: int | Sequence[int]) -> Tensor:
    """Greedy continuations of token lists, int64 [R, N, max_new]: each ends with EOS or at its limit, then 0.

    prompts: [BOS] + source + label as tokens, of any lengths; max_new: see `Prompts`.
    """
    return Prompts(prompts, max_new, stack.device).decode(stack)[0]
