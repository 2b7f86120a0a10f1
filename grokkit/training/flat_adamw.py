"""AdamW on one flat table of weights [R, P] and one of gradients, and what of it a checkpoint keeps."""

import torch
from torch import Tensor

from grokkit.config import Config
from grokkit.model.parameters import padded_view
from grokkit.model.transformer import TransformerStack

MOMENTS = ("exp_avg", "exp_avg_sq")


def flat_adamw(stack: TransformerStack, config: Config) -> tuple[Tensor, torch.optim.AdamW]:
    """The table of weights with what lies between its rows, its `.grad` of the same shape, and AdamW on it.

    So clipping is a row-wise norm and the optimizer one kernel. From now on the weights of the stack ask for gradients,
    which `Linear` writes into `stack.grad_views`, views into the table. The learning rate is a number on the device.
    """
    flat = padded_view(stack.flat)
    flat.grad = torch.zeros_like(flat)
    sizes = [weight[0].numel() for weight in stack.weights.values()]
    columns = flat.grad[:, : stack.parameter_count()].split(sizes, dim=1)
    for (name, weight), column in zip(stack.weights.items(), columns):
        stack.grad_views[name] = column.view(weight.requires_grad_(True).shape)
    c, lr, on_cuda = config, torch.tensor(config.learning_rate, device=stack.device), stack.device.type == "cuda"
    adamw = torch.optim.AdamW(
        [flat], lr, (c.beta1, c.beta2), c.epsilon, weight_decay=c.weight_decay, fused=True, capturable=on_cuda
    )
    adamw.state[flat] = {name: torch.zeros_like(flat) for name in MOMENTS}
    adamw.state[flat]["step"] = torch.zeros((), device=stack.device)
    return flat, adamw


def saved(stack: TransformerStack, adamw: torch.optim.AdamW) -> dict[str, Tensor]:
    """Weights, first and second moments [R, P] and the number of updates [R]."""
    (state,) = adamw.state.values()
    moments = {name: state[name][:, : stack.parameter_count()] for name in MOMENTS}
    return moments | {"weights": stack.flat, "updates": state["step"].cpu().expand(stack.runs).contiguous()}


def restore(stack: TransformerStack, adamw: torch.optim.AdamW, tensors: dict[str, Tensor]) -> None:
    """Takes back what `saved` gave."""
    (state,) = adamw.state.values()
    stack.flat.copy_(tensors["weights"])
    state["step"].copy_(tensors["updates"][0])
    for name in MOMENTS:
        state[name][:, : stack.parameter_count()].copy_(tensors[name])
