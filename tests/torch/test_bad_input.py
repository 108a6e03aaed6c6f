"""Wrong arguments of the optimizers: the error names parameter and value."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from sparseopt import prox
from sparseopt.prox import L1
from sparseopt.torch import (
    ProxAdamW,
    ProxSGD,
    model_size,
    param_groups,
    prox_wgsef,
    shrink,
)


def layer(dtype=torch.float32):
    weight = torch.nn.Parameter(torch.ones(4, 3, dtype=dtype))
    return {"params": [weight], "penalty": "wgsef", "k": 2}


CASES = [
    (ValueError, "'lr' parameter of sparseopt.torch.ProxSGD", {}, {"lr": -1.0}),
    (TypeError, "'lr'", {}, {"lr": "fast"}),
    (ValueError, "'momentum'", {}, {"momentum": 1.0}),
    (TypeError, "'nesterov'", {}, {"nesterov": 1.0}),
    (ValueError, "'penalty'", {"penalty": "l3"}, {}),
    (TypeError, "'penalty'", {"penalty": 3}, {}),
    (ValueError, "int in .1, 4., the number of groups", {"k": 5}, {}),
    (ValueError, "'k'", {"k": 0}, {}),
    (ValueError, "fraction .* Got 1.5", {"k": 1.5}, {}),
    (ValueError, "fraction .* Got nan", {"k": float("nan")}, {}),
    (TypeError, "'k' .* Got True", {"k": True}, {}),
    (TypeError, "'k' .* Got '3'", {"k": "3"}, {}),
    (ValueError, "'k' .* must be given", {"k": None}, {}),
    (ValueError, "'lam' .* Got -1", {"lam": -1.0}, {}),
    (ValueError, "'lam' .* Got nan", {"lam": float("nan")}, {}),
    (ValueError, "'lam' .* Got 'best'", {"lam": "best"}, {}),
    (ValueError, "'debias' .* Got 1.1", {"debias": 1.1}, {}),
    (ValueError, "'groups' .* Got 'cells'", {"groups": "cells"}, {}),
    (ValueError, "4 dimensions|2 dimensions", {"groups": "channels"}, {"flat": True}),
    (ValueError, "one for each of 12 entries. Got 2", {"groups": [0, 1]}, {}),
    (TypeError, "must be integers", {"groups": np.ones(12)}, {}),
    (ValueError, "not negative. Got none", {"groups": -np.ones(12, int)}, {}),
    (ValueError, "Got none with 1", {"groups": 2 * (np.arange(12) % 2)}, {}),
    (ValueError, "shape .4,.. Got .3,", {"weights": [1.0, 2.0, 3.0]}, {}),
    (ValueError, "positive and finite", {"weights": [1.0, 2.0, 0.0, 1.0]}, {}),
    (ValueError, "'weights' .* Got 'big'", {"weights": "big"}, {}),
    (ValueError, "'weight_decay' .* Got 0.1", {"weight_decay": 0.1}, {}),
    (ValueError, "'scope'", {}, {"scope": "model"}),
    (ValueError, "'total_steps'", {}, {"total_steps": 0}),
    (TypeError, "'total_steps'", {}, {"total_steps": 10.5}),
    (ValueError, r"warmup \+ ramp = 0.9", {}, {"warmup": 0.6}),
    (ValueError, "'cut'", {}, {"cut": 1.5}),
    (ValueError, "'half_space'", {}, {"half_space": 1.0}),
]


@pytest.mark.parametrize(("error", "match", "group", "options"), CASES)
def test_bad_argument(error, match, group, options):
    options = dict(options)
    given = layer() | group
    if options.pop("flat", False):
        given["params"] = [torch.nn.Parameter(torch.ones(4))]
    with pytest.raises(error, match=match):
        ProxSGD([given], **{"lr": 0.1, **options})


def test_tensor_that_does_not_fit_the_groups():
    given = layer()
    given["params"] = [*given["params"], torch.nn.Parameter(torch.ones(3))]
    with pytest.raises(ValueError, match=r"Got shape \(3,\) at position 1"):
        ProxSGD([given], lr=0.1)


def test_complex_parameters():
    with pytest.raises(ValueError, match="Complex data not supported"):
        ProxSGD([layer(torch.complex64)], lr=0.1)


def test_sparse_gradients():
    table = torch.nn.Embedding(4, 3, sparse=True)
    optimizer = ProxSGD(table.parameters(), lr=0.1)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="sparse gradients"):
        optimizer.step()


@pytest.mark.parametrize("betas", [(0.9,), (0.9, 1.0), (-0.1, 0.9)])
def test_betas(betas):
    with pytest.raises(ValueError, match="'betas'"):
        ProxAdamW([layer()], betas=betas)


def test_global_budget_needs_one_penalty():
    other = layer() | {"k": 3}
    with pytest.raises(ValueError, match=r"'k' .* must be the same .* Got 3 and 2"):
        ProxSGD([layer(), other], lr=0.1, scope="global")


def test_global_budget_is_checked_at_once():
    with pytest.raises(ValueError, match=r"int in \[1, 8\].* Got 9"):
        groups = [layer() | {"k": 9} for _ in range(2)]
        ProxSGD(groups, lr=0.1, scope="global")


def test_a_bad_group_is_not_added():
    optimizer = ProxSGD([layer()], lr=0.1)
    with pytest.raises(ValueError, match="'k'"):
        optimizer.add_param_group(layer() | {"k": 9})
    assert len(optimizer.param_groups) == 1


def test_unknown_module_to_skip():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    with pytest.raises(ValueError, match=r"'skip' .* Got 'head'"):
        param_groups(net, k=1, skip=["head"])
    assert len(param_groups(net, k=1, skip=["0"])) == 1


def test_no_model():
    for function in (lambda net: param_groups(net, k=1), model_size, shrink):
        with pytest.raises(TypeError, match=r"'model' parameter .* must be a Module"):
            function([1])
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    assert len(param_groups(net, k=1, skip="0")) == 1


def test_tensors_without_data():
    x = torch.empty(4, device="meta")
    for function in (lambda x: prox_wgsef(x, 1), prox.prox_l1, prox.project_simplex):
        with pytest.raises(ValueError, match="device 'meta'"):
            function(x)


@pytest.mark.parametrize("penalty", ["wgsef", "group_lasso", L1(0.1)])
@pytest.mark.parametrize("optimizer", [ProxSGD, ProxAdamW])
def test_training_that_diverges_is_seen(optimizer, penalty):
    """NaN does not become zero, and is no group to keep."""
    group = layer() | {"penalty": penalty, "lam": 0.1}
    made = optimizer([group], lr=0.1)
    (weight,) = group["params"]
    weight.grad = torch.full_like(weight, torch.nan)
    made.step()
    assert weight.isnan().all()
    with pytest.raises(ValueError, match=r"'params' must be finite.*4 of 4 groups"):
        made.cut()


@pytest.mark.parametrize("lam", [1e-300, 1e300])
@pytest.mark.parametrize("debias", [0.0, 1.0])
@pytest.mark.parametrize("optimizer", [ProxSGD, ProxAdamW])
def test_strengths_beyond_float32(optimizer, debias, lam):
    group = layer() | {"lam": lam, "debias": debias}
    made = optimizer([group], lr=0.1)
    (weight,) = group["params"]
    weight.grad = torch.linspace(-0.1, 0.1, 12).reshape(4, 3)
    made.step()
    assert weight.isfinite().all()
    assert lam > 1 or bool((weight != 0).all())
