"""Products with weights, against float64 and autograd, whichever library makes them."""

import pytest
import torch

from grokkit.model import linear
from grokkit.model.linear import Linear, product

RUNS = pytest.mark.parametrize("runs", [1, 3])
needs_onednn = pytest.mark.skipif(linear._ONEDNN is None, reason="no product of oneDNN here")
CLOSE = {"atol": 2e-5, "rtol": 1e-5}
CLOSE_IN_BF16 = {"atol": 0.1, "rtol": 0.02}


@pytest.fixture(params=["MKL", pytest.param("oneDNN", marks=needs_onednn)])
def library(monkeypatch, request):
    """Takes oneDNN for products of any size, or for none."""
    monkeypatch.setattr(linear, "SMALL", 0)
    if request.param == "MKL":
        monkeypatch.setattr(linear, "_ONEDNN", None)


def tensors(runs: int, rows=37, inputs=12, outputs=20, dtype=torch.float32) -> list[torch.Tensor]:
    """x, weight, bias, and a gradient of the result."""
    rng = torch.Generator().manual_seed(0)
    shapes = (runs, rows, inputs), (runs, inputs, outputs), (runs, outputs), (runs, rows, outputs)
    return [torch.randn(shape, generator=rng, dtype=torch.float64).to(dtype) for shape in shapes]


def exact(x, weight, bias, grad_output):
    """Value and gradients of x, weight, bias, in float64, by autograd."""
    x, weight, bias = (t.double().detach().clone().requires_grad_() for t in (x, weight, bias))
    value = torch.einsum("rni,rio->rno", x, weight) + bias[:, None]
    return value.detach(), torch.autograd.grad(value, [x, weight, bias], grad_output.double())


def assert_all_close(found, expected, **close):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, **close)


@RUNS
@pytest.mark.parametrize("written", [False, True])
def test_gradients_go_to_autograd_or_are_written(library, runs, written):
    given = tensors(runs)
    value, gradients = exact(*given)
    weights = [t.clone().requires_grad_() for t in given[:3]]
    # views as the optimizer has them: columns of one table, nothing that lies side by side for two runs
    table = torch.full((runs, 12 * 20 + 20), torch.nan)
    views = (table[:, : 12 * 20].view(runs, 12, 20), table[:, 12 * 20 :]) if written else (None, None)
    output = Linear.apply(*weights, *views)
    found = torch.autograd.grad(output, weights, given[3], allow_unused=True)
    if written:
        assert found[1] is None and found[2] is None
        found = found[0], *views
    assert_all_close([output, *found], [value, *gradients], **CLOSE)


@RUNS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_products_of_all_layouts(library, runs, dtype):
    x, weight, bias, grad_output = tensors(runs, dtype=dtype)
    value, (grad_x, grad_weight, _) = exact(x, weight, bias, grad_output)
    found = [
        product(x, weight, bias),
        product(grad_output, weight.transpose(1, 2)),
        product(x.transpose(1, 2), grad_output),
        product(x.transpose(1, 2), grad_output, out=torch.empty_like(weight)),
    ]
    assert {t.dtype for t in found} == {dtype}
    expected = value, grad_x, grad_weight, grad_weight
    assert_all_close(found, expected, **(CLOSE_IN_BF16 if dtype == torch.bfloat16 else CLOSE))


def test_both_libraries_make_the_same_step(monkeypatch):
    """A product of the paper's size: sums of 512 terms, in float32 either way."""
    x, weight, bias, _ = tensors(1, 200, 512, 2048)
    value = (torch.einsum("rni,rio->rno", x.double(), weight.double()) + bias[:, None]).float()
    assert (product(x, weight, bias) - value).abs().max() < 5e-4  # the largest entries are about 110
    monkeypatch.setattr(linear, "_ONEDNN", None)
    assert (product(x, weight, bias) - value).abs().max() < 5e-4


def test_under_autocast_weights_and_their_gradients_stay_float32():
    x, weight, bias, grad_output = tensors(2)
    value, gradients = exact(x, weight, bias, grad_output)
    weights = [t.requires_grad_() for t in (x, weight, bias)]
    views = torch.zeros_like(weight), torch.zeros_like(bias)
    with torch.autocast("cpu", torch.bfloat16):
        output = Linear.apply(*weights, *views)
    assert output.dtype == torch.bfloat16
    grad_x, *_ = torch.autograd.grad(output, weights, grad_output.bfloat16(), allow_unused=True)
    assert grad_x.dtype == torch.float32
    assert_all_close([output, grad_x, *views], [value, *gradients], **CLOSE_IN_BF16)


def test_what_needs_no_gradient_gets_none():
    x, weight, bias, grad_output = tensors(2)
    view = torch.full_like(weight, 7.0)
    (grad_x,) = torch.autograd.grad(Linear.apply(x.requires_grad_(), weight, bias, view, None), x, grad_output)
    torch.testing.assert_close(grad_x, grad_output @ weight.transpose(1, 2))
    assert (view == 7).all()
