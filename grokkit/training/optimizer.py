"""What a stack is trained on, its loss, and how: clipping per run and AdamW."""

import torch
import torch.nn.functional as F
from torch import Tensor

from grokkit.config import Config
from grokkit.model.dropout import Dropout
from grokkit.model.packing import PAD, Packed
from grokkit.model.transformer import TransformerStack, aligned, whole_rows


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
    """Clipping per run, then AdamW on the flat parameter table of a stack, [R, P].

    The gradient is one flat table too: clipping is a row-wise norm. rate: the learning rate, a number on the device.
    """

    def __init__(self, stack: TransformerStack, config: Config):
        self.config = config
        self.parameters = stack.parameter_count()
        self.flat = whole_rows(stack.flat)
        self.weights = [weight.requires_grad_(True) for weight in stack.weights.values()]
        self.flat.grad = self.gradients = torch.zeros_like(self.flat)
        columns = self.gradients[:, : self.parameters].split([weight[0].numel() for weight in self.weights], dim=1)
        self.places = [column.view(weight.shape) for column, weight in zip(columns, self.weights)]
        stack.places = dict(zip(stack.weights, self.places))
        self.rate = torch.tensor(config.learning_rate, device=stack.device)
        self.adamw = torch.optim.AdamW(
            [self.flat],
            lr=self.rate,
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
            weight_decay=config.weight_decay,
            fused=True,
            capturable=stack.device.type == "cuda",
        )

    def step(self, losses: Tensor) -> None:
        """One update for the losses of the runs, float [R]; runs never see each other's."""
        # a run's loss depends on its own weights alone, so the sum's gradient is every run's own
        gradients = torch.autograd.grad(losses.sum(), self.weights, allow_unused=True)
        for place, gradient in zip(self.places, gradients):
            if gradient is not None:  # the others have been written already, by `Linear`
                place.copy_(gradient)
        factors = (self.config.clip_norm / (self.gradients.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1.0)
        # on the CPU looking is free, and a pass over all gradients is not
        if self.flat.device.type != "cpu" or not (factors >= 1).all():
            self.gradients.mul_(factors)
        self.adamw.step()

    def state(self) -> dict[str, Tensor]:
        """First and second moments [R, P] and the number of updates [R]; zeros before the first step."""
        state = self.adamw.state.get(self.flat, {})
        updates = torch.as_tensor(state.get("step", 0.0)).cpu().float()
        moments = {
            name: state.get(name, torch.zeros_like(self.flat))[:, : self.parameters]
            for name in ("exp_avg", "exp_avg_sq")
        }
        return moments | {"updates": updates.expand(len(self.flat)).contiguous()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` gave."""
        device = self.flat.device
        self.adamw.state[self.flat] = {
            "step": state["updates"][0].clone().to(device),
            "exp_avg": whole_rows(aligned(state["exp_avg"].to(device))),
            "exp_avg_sq": whole_rows(aligned(state["exp_avg_sq"].to(device))),
        }
