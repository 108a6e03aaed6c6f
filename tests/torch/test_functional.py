"""The gradient of the proximal operator of the envelope."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from sparseopt import prox
from sparseopt.torch import prox_wgsef

CASES = [
    {"k": 3, "lam": 0.3},
    {"k": 1, "lam": 2.0},
    {"k": 12, "lam": 0.4},
    {"k": 3, "lam": 0.0},
    {"k": 2, "lam": 0.5, "groups": 3, "weights": [1.0, 2.0, 0.5, 3.0]},
    {"k": 2, "lam": 0.4, "groups": 3, "weights": "sqrt"},
    {"k": 2, "lam": 0.2, "groups": [0] * 3 + [-1] * 2 + [1] * 3 + [2] * 4},
    {"k": 4, "lam": 0.6, "debias": 1.0},
    {"k": 2, "lam": 0.3, "groups": [[0, 5], [1, 2, 3], [4], [7, 9]], "debias": 0.5},
]


@pytest.mark.parametrize("options", CASES)
def test_gradient_is_that_of_finite_differences(options):
    torch.manual_seed(3)
    x = torch.randn(12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: prox_wgsef(x, **options), x)


@pytest.mark.parametrize("options", CASES)
def test_value_is_that_of_the_function(options, rng):
    x = rng.standard_normal((3, 4))
    w = prox_wgsef(torch.from_numpy(x), **options)
    assert w.shape == (3, 4)
    expected = prox.prox_wgsef(x, **options)
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-12, atol=1e-15)


def test_type_is_kept():
    x = torch.randn(20, requires_grad=True)
    w = prox_wgsef(x, 4, 0.5)
    w.sum().backward()
    assert w.dtype == x.grad.dtype == torch.float32


def test_few_groups_and_zeros():
    x = torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    prox_wgsef(x, 2, 1.0).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad[0] == 0.5


def test_bad_input():
    with pytest.raises(TypeError, match=r"'x' .* must be a Tensor. Got list"):
        prox_wgsef([1.0, 2.0], 1)
    with pytest.raises(ValueError, match="'k'"):
        prox_wgsef(torch.ones(3), 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_its_type(dtype, rng):
    x = torch.from_numpy(rng.standard_normal(12)).to(dtype).requires_grad_()
    w = prox_wgsef(x, 3, 0.5)
    w.sum().backward()
    assert w.dtype == x.grad.dtype == dtype
    expected = prox_wgsef(x.detach().float(), 3, 0.5).to(dtype)
    assert torch.equal(w.detach(), expected)
