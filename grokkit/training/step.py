"""The training step of R runs at once: batch, losses, gradients, clip, AdamW. Nothing in it waits for the device.

On a CPU the same step in C++ is taken where it can be compiled (`grokkit.training.native`); this one is what it is
held to.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from grokkit.config import Config
from grokkit.model.dropout import dropout_keys, dropout_of_step
from grokkit.model.linear import matmul_precision
from grokkit.model.packing import PAD, Shape, shape_of
from grokkit.model.transformer import TransformerStack
from grokkit.training.batches import Batches
from grokkit.training.devices import Graphs
from grokkit.training.flat_adamw import flat_adamw
from grokkit.training.memory import shape_on_gpu
from grokkit.training.native.step import native_step


class TrainingStep:
    """Updates of all runs at once, one after the other.

    loss_sum: float [R], the losses since it was last set to 0; failed_at: int64 [R], the first step (from 1) whose loss
    was not finite, -1 before. Both are on the device.
    """

    def __init__(self, stack: TransformerStack, config: Config, batches: Batches):
        self.stack, self.config, self.batches = stack, config, batches
        self.flat, self.adamw = flat_adamw(stack, config)
        runs, device = stack.runs, stack.device
        self.loss_sum = torch.zeros(runs, device=device)
        self.failed_at = torch.full((runs,), -1, dtype=torch.int64, device=device)
        # what changes from step to step, for `update` to read
        self.line_indices = torch.zeros(runs, config.batch_size, dtype=torch.int64, device=device)
        self.keys = torch.zeros(runs, dtype=torch.int64, device=device)
        self.number = torch.zeros((), dtype=torch.int64, device=device)
        self.lr = self.adamw.param_groups[0]["lr"]
        self.graphs = Graphs(device) if device.type == "cuda" else None
        self.native = native_step(config, device, batches, self.adamw)
        stack.compiled_hidden = self.native and self.native.hidden

    def take(self, step: int) -> None:
        """Makes update number `step` (from 0)."""
        line_indices = self.batches.line_indices(step)
        self._send(self.line_indices, torch.from_numpy(line_indices))
        if self.config.dropout:
            self._send(self.keys, dropout_keys(self.stack.seeds, step))
        self._send(self.number, torch.tensor(step + 1))
        learning_rate = self.config.learning_rate * self.config.learning_rate_factor(step)
        if self.native:
            return self._note(self.native(self.line_indices, self.keys, learning_rate))
        self._send(self.lr, torch.tensor(learning_rate))
        lengths = self.batches.lengths[line_indices]
        with matmul_precision(self.config.precision):
            if self.graphs:
                self.graphs.run(self.update, *shape_on_gpu(self.config, lengths))
            else:
                self.update(shape_of(lengths))

    def _send(self, target: Tensor, value: Tensor) -> None:
        # pinned memory is not used again before the copy is done: torch sees to that
        target.copy_(value.pin_memory() if self.graphs else value, non_blocking=True)

    def let_go(self) -> None:
        """Of graphs, gradients and moments: no step can be made any more, the weights stay."""
        self.graphs = self.native = None
        self.adamw.state.clear()
        self.flat.grad = None
        self.stack.grad_views.clear()

    def update(self, shape: Shape) -> None:
        """One update of all runs, which never see each other's losses."""
        c, grad = self.config, self.flat.grad
        # batch: the tokens of all sentences side by side, without padding
        batch = self.batches.pack(self.line_indices, shape)
        dropout = dropout_of_step(c.dropout, self.keys, batch.lengths) if c.dropout else None
        # losses
        with torch.autocast(self.flat.device.type, torch.bfloat16, enabled=c.precision == "bf16"):
            losses = token_losses(self.stack.packed_logits(batch, dropout), batch.targets)
        # gradients: a run's loss depends on its own weights alone, so those of the sum are each run's own
        grads = torch.autograd.grad(losses.sum(), list(self.stack.weights.values()), allow_unused=True)
        for view, found in zip(self.stack.grad_views.values(), grads):
            if found is not None:  # the others have been written already, by `Linear`
                view.copy_(found)
        # clip: each run by its own norm; on a CPU looking is free, and a pass over all gradients is not
        scale = (c.clip_norm / (grad.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1.0)
        if grad.device.type != "cpu" or not (scale >= 1).all():
            grad.mul_(scale)
        # AdamW
        self.adamw.step()
        self._note(losses.detach())

    def _note(self, losses: Tensor) -> None:
        self.failed_at.copy_(torch.where(~losses.isfinite() & (self.failed_at < 0), self.number, self.failed_at))
        self.loss_sum += losses


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy over all tokens of each run, words and EOS alike, float32 [R], in nats a token.

    logits: [R, N, V + 2]; targets: int64 [R, N], PAD in rows without a token. Source: DEVIATIONS.md, D25.
    """
    loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=PAD, reduction="none")
    return loss.view(targets.shape).sum(1) / (targets != PAD).sum(1)
