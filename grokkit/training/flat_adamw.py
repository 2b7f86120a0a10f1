"""AdamW on one flat table of weights [R, P] and one of gradients, and what of it a checkpoint keeps."""

import torch
from torch import Tensor

from grokkit.config import Config
from grokkit.model.parameters import padded_view, with_aligned_rows
from grokkit.model.transformer import TransformerStack


def flat_adamw(stack: TransformerStack, config: Config) -> tuple[Tensor, torch.optim.AdamW]:
    """The table of the weights with what lies between its rows, `.grad` of the same shape, and AdamW on it.

    So that clipping is a row-wise norm, and the optimizer one kernel. The weights of the stack ask for gradients
    afterwards, which `Linear` writes into `stack.grad_views`, views into the table of gradients. The learning rate is a
    number on the device.
    """
    flat = padded_view(stack.flat)
    flat.grad = torch.zeros_like(flat)
    sizes = [weight[0].numel() for weight in stack.weights.values()]
    columns = flat.grad[:, : stack.parameter_count()].split(sizes, dim=1)
    for (name, weight), column in zip(stack.weights.items(), columns):
        weight.requires_grad_(True)
        stack.grad_views[name] = column.view(weight.shape)
    adamw = torch.optim.AdamW(
        [flat],
        lr=torch.tensor(config.learning_rate, device=stack.device),
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        fused=True,
        capturable=stack.device.type == "cuda",
    )
    return flat, adamw


def saved(stack: TransformerStack, adamw: torch.optim.AdamW) -> dict[str, Tensor]:
    """Weights, first and second moments [R, P] and the number of updates [R]; zeros before the first one."""
    (flat,) = adamw.param_groups[0]["params"]
    state = adamw.state.get(flat, {})
    updates = torch.as_tensor(state.get("step", 0.0)).cpu().float()
    moments = {name: state.get(name, torch.zeros_like(flat)) for name in ("exp_avg", "exp_avg_sq")}
    moments = {name: moment[:, : stack.parameter_count()] for name, moment in moments.items()}
    return moments | {"weights": stack.flat, "updates": updates.expand(stack.runs).contiguous()}


def restore(stack: TransformerStack, adamw: torch.optim.AdamW, tensors: dict[str, Tensor]) -> None:
    """Takes back what `saved` gave; before the first step, since recorded graphs keep the moments that they saw."""
    (flat,) = adamw.param_groups[0]["params"]
    stack.flat.copy_(tensors["weights"])
    adamw.state[flat] = {
        "step": tensors["updates"][0].clone().to(flat.device),
        "exp_avg": padded_view(with_aligned_rows(tensors["exp_avg"].to(flat.device))),
        "exp_avg_sq": padded_view(with_aligned_rows(tensors["exp_avg_sq"].to(flat.device))),
    }
