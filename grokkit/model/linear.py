"""Products with the weight matrices of all runs, whose gradients are written straight into the optimizer's table.

Autograd would make a new tensor for every gradient, to be copied into that table afterwards: for batches as small as
the paper's, 8 sentences for 19 million weights, that is more traffic than all activations of the step.

Dimension letters: R runs, N rows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def _find_onednn() -> Callable | None:
    """oneDNN's x W^T + b for float32, where the processor has AVX-512; None where it is not to be had.

    Products in float32 go to MKL in torch, which leaves half of the vector width unused on processors of AMD: oneDNN
    takes half the time there. torch offers it under this name to its own compiler; if the name goes, MKL stays.
    """
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return None
    try:
        one = torch.ones(1, 1)
        torch.ops.mkldnn._linear_pointwise(one, one, None, "none", [], "")
    except (AttributeError, RuntimeError, TypeError):
        return None
    return torch.ops.mkldnn._linear_pointwise


_ONEDNN = _find_onednn()
SMALL = 2**23
"""Multiplications up to which a product goes to MKL all the same: a call of oneDNN takes 10 microseconds more."""


def product(
    x: Float[Tensor, "R N inputs"],
    weight: Float[Tensor, "R inputs outputs"],
    bias: Float[Tensor, "R outputs"] | None = None,
    out: Float[Tensor, "R N outputs"] | None = None,
) -> Float[Tensor, "R N outputs"]:
    """x times weight plus bias, written to `out` where that is given. Without gradient."""
    small = x[0].numel() * weight.shape[2] < SMALL
    if _ONEDNN is None or small or x.device.type != "cpu" or x.dtype != torch.float32:
        if bias is not None:
            return torch.baddbmm(bias.unsqueeze(1), x, weight, out=out)
        return torch.bmm(x, weight, out=out)
    if len(x) == 1:  # no loop, no copy: small models notice
        products = _ONEDNN(x, weight[0].t(), None if bias is None else bias[0], "none", [], "")
        return products if out is None else out.copy_(products)
    biases = [None] * len(x) if bias is None else bias
    return torch.stack([_ONEDNN(a, b.t(), c, "none", [], "") for a, b, c in zip(x, weight, biases)], out=out)


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Within the block float32 products are those of this precision; torch's switch is of the whole process."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class Linear(torch.autograd.Function):
    """x [R, N, in], weight [R, in, out], bias [R, out] or None -> x weight + bias, [R, N, out].

    grad_weight, grad_bias: where the gradients of the two are written, over what was there; where one is None,
    autograd gets the gradient. A weight whose gradient is written so may be used once in a step.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, grad_weight=None, grad_bias=None) -> Tensor:
        ctx.grad_views, ctx.dtype = (grad_weight, grad_bias), weight.dtype
        device = x.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output: Tensor):
        x, weight = ctx.saved_tensors
        weight_view, bias_view = ctx.grad_views
        _, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        grad_x = product(grad_output, weight.transpose(1, 2))
        grad_weight = grad_bias = None  # nothing for autograd: not needed, or written to its view
        if needs_weight and weight_view is None:
            grad_weight = product(x.transpose(1, 2), grad_output)
        elif needs_weight and weight_view.dtype == grad_output.dtype:
            product(x.transpose(1, 2), grad_output, out=weight_view)
        elif needs_weight:
            weight_view.copy_(product(x.transpose(1, 2), grad_output))
        if needs_bias:
            found = torch.sum(grad_output, 1, dtype=ctx.dtype, out=bias_view)
            grad_bias = found if bias_view is None else None
        return grad_x, grad_weight, grad_bias, None, None
