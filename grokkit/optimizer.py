"""One training step of a stack: loss, backward, clip per run, AdamW. Runs never see each other's gradients."""

import torch
import torch.nn.functional as F
from torch import Tensor

from grokkit.config import Config
from grokkit.model import TransformerStack
from grokkit.packing import PAD, Packed
from grokkit.randomness import Dropout, dropout_keys

def token_losses(stack: TransformerStack, batch: Packed, dropout: Dropout | None = None) -> Tensor:
    """Mean cross entropy over all tokens of the batch, words and EOS alike, float [R], in nats a token.

    Source: DEVIATIONS.md, D25.
    """
    logits = stack.packed_logits(batch, dropout)
    losses = F.cross_entropy(
        logits.flatten(0, 1).float(), batch.targets.flatten(), ignore_index=PAD, reduction="none"
    ).view(batch.targets.shape)
    return losses.sum(1) / (batch.targets != PAD).sum(1)


class StackOptimizer:
    """AdamW on the flat parameter table of a stack, every run a parameter group of its own.

    Gradients are one flat table [R, P] too: clipping is a row-wise norm.
    """

    def __init__(self, stack: TransformerStack, config: Config):
        self.config = config
        self.stack = stack
        self.weights = [weight.requires_grad_(True) for weight in stack.weights.values()]
        self.gradients = torch.zeros_like(stack.flat)
        columns = self.gradients.split([weight[0].numel() for weight in self.weights], dim=1)
        self.views = [column.view(weight.shape) for column, weight in zip(columns, self.weights)]
        self.rows = [stack.flat[r] for r in range(stack.runs)]
        for r, row in enumerate(self.rows):
            row.grad = self.gradients[r]
        self.adamw = torch.optim.AdamW(
            [{"params": [row]} for row in self.rows],
            lr=config.learning_rate, betas=(config.beta1, config.beta2), eps=config.epsilon,
            weight_decay=config.weight_decay, fused=True,
        )

    def step(self, batch: Packed, step: int) -> Tensor:
        """Trains on one batch; returns each run's loss before the update, float [R], on the device."""
        config, device = self.config, self.stack.device
        dropout = None
        if config.dropout:
            keys = dropout_keys(self.stack.seeds, step).to(device)
            dropout = Dropout(config.dropout, keys, batch.lengths)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            losses = token_losses(self.stack, batch, dropout)
        # a run's loss depends on its own weights alone, so the sum's gradient is every run's own
        for view, gradient in zip(self.views, torch.autograd.grad(losses.sum(), self.weights)):
            view.copy_(gradient)
        factors = (config.clip_norm / (self.gradients.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1.0)
        if device.type != "cpu" or (factors < 1).any():  # on a CPU looking is free, and a pass over all is not
            self.gradients.mul_(factors)
        for group in self.adamw.param_groups:
            group["lr"] = config.learning_rate * config.learning_rate_factor(step)
        self.adamw.step()
        return losses.detach()

    def state(self) -> dict[str, Tensor]:
        """First and second moments [R, P] and the number of updates [R]; zeros before the first step."""
        zero = torch.zeros_like(self.rows[0])
        states = [self.adamw.state.get(row, {}) for row in self.rows]
        return {
            "exp_avg": torch.stack([s.get("exp_avg", zero) for s in states]),
            "exp_avg_sq": torch.stack([s.get("exp_avg_sq", zero) for s in states]),
            "updates": torch.stack([torch.as_tensor(s.get("step", 0.0)).cpu() for s in states]),
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` gave."""
        for r, row in enumerate(self.rows):
            self.adamw.state[row] = {
                "step": state["updates"][r].clone().to(row.device),
                "exp_avg": state["exp_avg"][r].to(row.device).clone(),
                "exp_avg_sq": state["exp_avg_sq"][r].to(row.device).clone(),
            }
