"""The same training on a CUDA device."""

import copy

import pytest

pytest.importorskip("torch")

import torch

from sparseopt.prox import prox_wgsef as prox_any
from sparseopt.torch import (
    ProxAdamW,
    ProxSGD,
    model_size,
    param_groups,
    prox_wgsef,
    shrink,
)

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _needs_cuda():
    if not torch.cuda.is_available():
        pytest.skip("this torch sees no CUDA device")
    torch.manual_seed(0)


def train(net, X, y, cls, **options):
    optimizer = cls(param_groups(net, k=4, **options), lr=0.01, total_steps=60)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("cls", [ProxSGD, ProxAdamW])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lam": 0.05, "half_space": 0.1},
        {"preconditioner": "diag", "debias": 0.0, "eps": 1e-4},
    ],
)
def test_device_does_not_matter(cls, options):
    if "preconditioner" in options and cls is ProxSGD:
        pytest.skip("ProxSGD has one step size")
    net = torch.nn.Sequential(
        *(torch.nn.Linear(6, 12), torch.nn.ReLU(), torch.nn.Linear(12, 2))
    ).double()
    X = torch.randn(60, 6).double()
    y = (X[:, 0] > 0).long()
    other = copy.deepcopy(net).cuda()
    train(net, X, y, cls, **options)
    optimizer = train(other, X.cuda(), y.cuda(), cls, **options)
    assert optimizer.support()[0].is_cuda
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b.cpu(), rtol=1e-6, atol=1e-9)
        assert torch.equal(a == 0, b.cpu() == 0)
    smaller = shrink(other, X[:3].cuda())
    assert smaller[0].out_features == 4
    assert next(smaller.parameters()).is_cuda
    assert model_size(smaller).params == 4 * 7 + 5 * 2


def test_gradient():
    x = torch.randn(20, dtype=torch.float64)
    grads = []
    for device in ("cpu", "cuda"):
        z = x.to(device).requires_grad_(True)
        (prox_wgsef(z, 4, 0.5) ** 2).sum().backward()
        grads.append(z.grad.cpu())
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("groups", [None, 4])
@pytest.mark.parametrize("k", [20, 2000, 30_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_long_vectors(groups, k, dtype):
    """A sample and what it leaves open, against the kernels."""
    x = torch.randn(300_000, dtype=dtype)
    expected, known = prox_any(x, k, 0.5, groups=groups, return_info=True)
    w, info = prox_any(x.cuda(), k, 0.5, groups=groups, return_info=True)
    assert w.is_cuda and w.dtype == dtype
    # the kernels subtract a level, which rounds like the largest entries
    tol = 4 * torch.finfo(dtype).eps * float(x.abs().max())
    torch.testing.assert_close(w.cpu(), expected, rtol=0.0, atol=tol)
    assert info.n_groups == known.n_groups
