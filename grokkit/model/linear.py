"""Products with the weight matrices of all runs, whose gradients go straight to where they are wanted.

Autograd would make a tensor of every gradient, to be copied into the optimizer's table afterwards: for batches as
small as the paper's, 8 sentences for 19 million weights, that is more traffic than all activations of the step.

Dimension letters: R runs, N rows.
"""

from collections.abc import Callable

import torch
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


def product(x: Tensor, matrix: Tensor, bias: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """x [R, N, in] times matrix [R, in, out] plus bias [R, out]: [R, N, out], written to `out` where that is given.

    Without gradient.
    """
    small = x[0].numel() * matrix.shape[2] < SMALL
    if _ONEDNN is None or small or x.device.type != "cpu" or x.dtype != torch.float32:
        if bias is not None:
            return torch.baddbmm(bias.unsqueeze(1), x, matrix, out=out)
        return torch.bmm(x, matrix, out=out)
    if len(x) == 1:  # no loop, no copy: small models notice
        products = _ONEDNN(x, matrix[0].t(), None if bias is None else bias[0], "none", [], "")
        return products if out is None else out.copy_(products)
    biases = [None] * len(x) if bias is None else bias
    return torch.stack([_ONEDNN(a, b.t(), c, "none", [], "") for a, b, c in zip(x, matrix, biases)], out=out)


class Linear(torch.autograd.Function):
    """x [R, N, in], matrix [R, in, out], bias [R, out] or None -> x matrix + bias, [R, N, out].

    of_matrix, of_bias: where the gradients of the two are written, over what was there; where it is None, autograd
    gets them. A weight with such a place may be used once in a step.
    """

    @staticmethod
    def forward(
        ctx,
        x: Tensor,
        matrix: Tensor,
        bias: Tensor | None,
        of_matrix: Tensor | None = None,
        of_bias: Tensor | None = None,
    ) -> Tensor:
        ctx.places, ctx.kind = (of_matrix, of_bias), matrix.dtype
        device = x.device.type
        if torch.is_autocast_enabled(device):
            kind = torch.get_autocast_dtype(device)
            x, matrix, bias = x.to(kind), matrix.to(kind), None if bias is None else bias.to(kind)
        ctx.save_for_backward(x, matrix)
        return product(x, matrix, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        x, matrix = ctx.saved_tensors
        of_matrix, of_bias = ctx.places
        _, with_matrix, with_bias, *_ = ctx.needs_input_grad
        of_x = product(gradient, matrix.transpose(1, 2))
        if with_matrix and of_matrix is not None and of_matrix.dtype == gradient.dtype:
            product(x.transpose(1, 2), gradient, out=of_matrix)
        elif with_matrix:
            found = product(x.transpose(1, 2), gradient)
            of_matrix = found if of_matrix is None else of_matrix.copy_(found)
        if with_bias:
            of_bias = torch.sum(gradient, 1, dtype=ctx.kind, out=of_bias)
        returned = [None if place is not None else found for place, found in zip(ctx.places, (of_matrix, of_bias))]
        return of_x, *returned, None, None
