"""Products with weights, against float64 and autograd, whichever library makes them."""

import pytest
import torch

from grokkit.model import linear
from grokkit.model.linear import Linear, product

RUNS = pytest.mark.parametrize("runs", [1, 3])
ONEDNN = pytest.mark.parametrize(
    "onednn",
    [
        False,
        pytest.param(
            True,
            marks=pytest.mark.skipif(
                linear._ONEDNN is None, reason="this processor or this torch offers no product of oneDNN"
            ),
        ),
    ],
)


@pytest.fixture
def library(monkeypatch, request):
    """Takes oneDNN for products of any size, or for none."""
    monkeypatch.setattr(linear, "SMALL", 0)
    if not request.getfixturevalue("onednn"):
        monkeypatch.setattr(linear, "_ONEDNN", None)


def tensors(runs: int, rows=37, inputs=12, outputs=20, dtype=torch.float32) -> list[torch.Tensor]:
    """x, matrix, bias, and a gradient of the result."""
    rng = torch.Generator().manual_seed(0)
    shapes = (runs, rows, inputs), (runs, inputs, outputs), (runs, outputs), (runs, rows, outputs)
    return [torch.randn(shape, generator=rng, dtype=torch.float64).to(dtype) for shape in shapes]


def exact(x, matrix, bias, gradient):
    """Value and gradients of x, matrix, bias, in float64, by autograd."""
    x, matrix, bias = (t.double().detach().clone().requires_grad_() for t in (x, matrix, bias))
    value = torch.einsum("rni,rio->rno", x, matrix) + bias[:, None]
    return value.detach(), torch.autograd.grad(value, [x, matrix, bias], gradient.double())


@RUNS
@ONEDNN
def test_gradients_go_to_autograd_or_to_their_place(library, onednn, runs):
    given = tensors(runs)
    value, gradients = exact(*given)
    weights = [t.clone().requires_grad_() for t in given[:3]]
    for place in (False, True):
        # places as the optimizer has them: columns of one table, nothing that lies side by side for two runs
        table = torch.full((runs, 12 * 20 + 20), torch.nan)
        places = (table[:, : 12 * 20].view(runs, 12, 20), table[:, 12 * 20 :]) if place else (None, None)
        found = Linear.apply(*weights, *places)
        torch.testing.assert_close(found.double(), value, atol=2e-5, rtol=1e-5)
        back = torch.autograd.grad(found, weights, given[3], allow_unused=True)
        if place:
            assert back[1] is None and back[2] is None
            back = back[0], *places
        for one, expected in zip(back, gradients):
            torch.testing.assert_close(one.double(), expected, atol=2e-5, rtol=1e-5)


@RUNS
@ONEDNN
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_products_of_all_layouts(library, onednn, runs, dtype):
    x, matrix, bias, gradient = tensors(runs, dtype=dtype)
    close = {"atol": 0.1, "rtol": 0.02} if dtype == torch.bfloat16 else {"atol": 2e-5, "rtol": 1e-5}
    value, (of_x, of_matrix, _) = exact(x, matrix, bias, gradient)
    for found, expected in (
        (product(x, matrix, bias), value),
        (product(gradient, matrix.transpose(1, 2)), of_x),
        (product(x.transpose(1, 2), gradient), of_matrix),
        (product(x.transpose(1, 2), gradient, out=torch.empty_like(matrix)), of_matrix),
    ):
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), expected, **close)


def test_both_libraries_make_the_same_step(monkeypatch):
    """A product of the paper's size: sums of 512 terms, in float32 either way."""
    x, matrix, bias, _ = tensors(1, 200, 512, 2048)
    value = (torch.einsum("rni,rio->rno", x.double(), matrix.double()) + bias[:, None]).float()
    assert (product(x, matrix, bias) - value).abs().max() < 5e-4  # the largest entries are about 110
    monkeypatch.setattr(linear, "_ONEDNN", None)
    assert (product(x, matrix, bias) - value).abs().max() < 5e-4


def test_under_autocast_weights_and_their_gradients_stay_float32():
    x, matrix, bias, gradient = tensors(2)
    value, gradients = exact(x, matrix, bias, gradient)
    weights = [t.requires_grad_() for t in (x, matrix, bias)]
    places = torch.zeros_like(matrix), torch.zeros_like(bias)
    with torch.autocast("cpu", torch.bfloat16):
        found = Linear.apply(*weights, *places)
    assert found.dtype == torch.bfloat16
    (of_x, _, _) = torch.autograd.grad(found, weights, gradient.bfloat16(), allow_unused=True)
    assert of_x.dtype == torch.float32
    for one, expected in zip((of_x, *places), gradients):
        torch.testing.assert_close(one.double(), expected, atol=0.1, rtol=0.02)
    torch.testing.assert_close(found.double(), value, atol=0.1, rtol=0.02)


def test_what_needs_no_gradient_gets_none():
    x, matrix, bias, gradient = tensors(2)
    place = torch.full_like(matrix, 7.0)
    (of_x,) = torch.autograd.grad(Linear.apply(x.requires_grad_(), matrix, bias, place, None), x, gradient)
    torch.testing.assert_close(of_x, gradient @ matrix.transpose(1, 2))
    assert (place == 7).all()


def test_second_derivatives_are_refused():
    x, matrix, bias, gradient = (t.requires_grad_() for t in tensors(1))
    (of_x,) = torch.autograd.grad(Linear.apply(x, matrix, bias), x, gradient, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        of_x.sum().backward()
