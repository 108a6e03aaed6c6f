"""Proximal steps of ProxAdamW with a step size for each entry, by certificates."""

from itertools import combinations

import cvxpy as cp
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from sparseopt.prox import L1, wgsef_conjugate, wgsef_value
from sparseopt.torch import ProxAdamW, param_groups
from sparseopt.torch._unit import Unit

LABELS = np.array([0, 2, 1, 1, -1, 0, 2, 3, 3, 3, 0, -1])


def make_unit(tensors, **group) -> Unit:
    group = {"params": tensors, "penalty": "wgsef", "lam": 1.0, **group}
    return ProxAdamW([group], debias=group.pop("debias", 0.0))._units()[0]


def step(z, p, **group):
    """The step from z with precisions p, by the optimizer's own machinery."""
    param = torch.nn.Parameter(torch.from_numpy(z.copy()))
    unit = make_unit([param], **group)
    with torch.no_grad():
        unit.penalise([[torch.from_numpy(p.copy())]], 1.0)
    return param.detach().numpy()


def draw(rng, shape, spread):
    z = rng.standard_normal(shape)
    return z, np.exp(rng.uniform(-spread, spread, shape))


def fenchel(w, y, k, groups, weights):
    """How far y is from being a subgradient of the envelope at w, relative."""
    options = {"groups": groups, "weights": weights}
    value = wgsef_value(w, k, **options)
    dual = wgsef_conjugate(y, k, **options)
    gap = value + dual - float((w * y).sum())
    return abs(gap) / max(value, dual, 1e-300)


@pytest.mark.parametrize("k", [1, 3, 7, 8])
@pytest.mark.parametrize("spread", [0.0, 1.0, 7.0])
@pytest.mark.parametrize("debias", [0.0, 0.6, 1.0])
def test_step_is_optimal(k, spread, debias, rng):
    """``p (z - w) / lam + debias d w`` is a subgradient of the envelope at w."""
    for _ in range(5):
        z, p = draw(rng, (8, 5), spread)
        d = rng.uniform(0.5, 2, 8)
        lam = 10 ** rng.uniform(-2, 1)
        if debias:
            lam = 0.9 * min(lam, float((p.min(axis=1) / d).min()) / debias)
        w = step(z, p, k=k, lam=lam, weights=d, debias=debias)
        y = p * (z - w) / lam + debias * d[:, None] * w
        # rounding of z - w, which y divides by the penalty
        noise = 4e-16 * float((p * np.abs(z)).max() / lam / np.abs(y).max())
        assert fenchel(w, y, k, 5, d) <= 1e-13 + 4 * noise
        assert np.count_nonzero(np.abs(w).sum(axis=1)) >= k


def test_step_minimises_what_a_conic_solver_minimises(rng):
    for case in range(6):
        m, g, k = 5, 3, 1 + case % 4
        z, p = draw(rng, (m, g), 2.0)
        d, lam = rng.uniform(0.5, 2, m), 10 ** rng.uniform(-1, 1)
        w = step(z, p, k=k, lam=lam, weights=d)
        v, u, t = cp.Variable((m, g)), cp.Variable(m), cp.Variable(m)
        rules = [u >= 0, u <= 1, cp.sum(u) <= k]
        rules += [
            cp.norm(cp.hstack([2 * v[j], t[j] - u[j]])) <= t[j] + u[j] for j in range(m)
        ]
        goal = 0.5 * cp.sum(cp.multiply(p, cp.square(v - z))) + 0.5 * lam * d @ t
        best = cp.Problem(cp.Minimize(goal), rules).solve(solver=cp.CLARABEL)
        own = 0.5 * float((p * (w - z) ** 2).sum())
        own += lam * wgsef_value(w, k, groups=g, weights=d)
        # the solver's point is feasible up to its tolerance of 1e-8
        assert own <= best + 1e-7 * max(1.0, abs(best))
        np.testing.assert_allclose(w, v.value, atol=2e-4)


@pytest.mark.parametrize("penalty", ["wgsef", "group_lasso", "l0_ball", "l1"])
@pytest.mark.parametrize("debias", [0.0, 0.8])
def test_equal_precisions_in_a_group_give_the_closed_form(penalty, debias, rng):
    m, g = (9, 4)
    for case in range(8):
        z, _ = draw(rng, (m, g), 0)
        p = np.exp(rng.uniform(-2, 2, m))
        k = None if penalty in ("group_lasso", "l1") else 1 + case
        options = {"k": k, "lam": 0.3 * rng.uniform(0.1, 1), "penalty": penalty}
        options["debias"] = debias
        if penalty == "l1":
            p = np.exp(rng.uniform(-2, 2, (m, g)))
            given = torch.from_numpy(p.reshape(-1))
        else:
            given = torch.from_numpy(p)
            p = np.repeat(p[:, None], g, axis=1)
        param = torch.nn.Parameter(torch.from_numpy(z.copy()))
        with torch.no_grad():
            make_unit([param], **options).penalise([given], 1.0)
        found = step(z, p, **options)
        np.testing.assert_allclose(found, param.detach(), rtol=0, atol=1e-13)
        assert ((found == 0) == (param.detach().numpy() == 0)).all()


def test_group_lasso_step_is_optimal(rng):
    for _ in range(10):
        z, p = draw(rng, (10, 4), 4.0)
        lam = 10 ** rng.uniform(-1, 1)
        w = step(z, p, penalty="group_lasso", lam=lam, weights="ones")
        norms = np.linalg.norm(w, axis=1, keepdims=True)
        zero = norms[:, 0] == 0
        slopes = np.linalg.norm(p * z, axis=1)
        assert (slopes[zero] <= lam * (1 + 1e-14)).all()
        rest = p * (z - w) - lam * w / np.where(norms > 0, norms, 1)
        scale = np.abs(p * z).max(axis=1)
        assert (np.abs(rest).max(axis=1)[~zero] <= 1e-14 * (scale + lam)[~zero]).all()


def test_l0_ball_step_is_the_best_choice(rng):
    z, p = draw(rng, (7, 3), 2.0)
    w = step(z, p, penalty="l0_ball", k=3)
    energy = (p * z * z).sum(axis=1)
    best = max(combinations(range(7), 3), key=lambda s: energy[list(s)].sum())
    expected = np.zeros_like(z)
    expected[list(best)] = z[list(best)]
    np.testing.assert_array_equal(w, expected)


def test_free_entries_and_labels(rng):
    z, p = draw(rng, 12, 2.0)
    w = step(z, p, k=2, lam=0.7, groups=LABELS)
    np.testing.assert_array_equal(w[LABELS < 0], z[LABELS < 0])
    inside = LABELS >= 0
    y = (p * (z - w) / 0.7)[inside]
    assert fenchel(w[inside], y, 2, LABELS[inside], None) <= 1e-13


def test_several_tensors_are_one_group(rng):
    """A weight with a bias is what one matrix of both is."""
    z, p = draw(rng, (6, 4), 2.0)
    parts = [torch.nn.Parameter(torch.tensor(x)) for x in (z[:, :3], z[:, 3])]
    with torch.no_grad():
        unit = make_unit(parts, k=2, lam=0.4)
        unit.penalise([[torch.tensor(p[:, :3]), torch.tensor(p[:, 3])]], 1.0)
    w = np.column_stack([part.detach() for part in parts])
    np.testing.assert_allclose(w, step(z, p, k=2, lam=0.4), rtol=1e-12, atol=1e-14)


def test_special_points(rng):
    z, p = draw(rng, (6, 4), 2.0)
    z[2:] = 0
    for k in (1, 2, 3, 6):
        w = step(z, p, k=k, lam=0.5)
        assert (w[2:] == 0).all() and not np.signbit(w[2:]).any()
    np.testing.assert_array_equal(step(0 * z, p, k=2), 0 * z)
    np.testing.assert_allclose(step(z, p, k=2, lam=0.5)[:2], (p * z / (p + 0.5))[:2])
    tied = np.ones((6, 4))
    w = step(tied, tied, k=3, lam=0.5)
    assert fenchel(w, (tied - w) / 0.5, 3, 4, None) <= 1e-14
    z[0, 0] = np.nan
    for penalty in ("wgsef", "group_lasso", "l0_ball"):
        k = None if penalty == "group_lasso" else 1
        assert np.isnan(step(z, p, k=k, penalty=penalty)).all()  # and it ends


def test_penalty_of_a_debiased_step_is_cut_down(rng):
    """The strength is limited by the smallest precision of a group that is not zero."""
    z, p = draw(rng, (6, 4), 1.0)
    w = step(z, p, k=2, lam=1e6, debias=1.0)
    lam = 0.95 * p.min()
    y = p * (z - w) / lam + w
    assert fenchel(w, y, 2, 4, None) <= 1e-12


# ------------------------------------------------------------------------- training


def make_problem(dtype=torch.float32):
    torch.manual_seed(0)
    X = torch.randn(60, 6, dtype=dtype)
    y = (X[:, 0] > 0).long()
    net = torch.nn.Sequential(
        *(torch.nn.Linear(6, 12), torch.nn.ReLU()),
        *(torch.nn.Linear(12, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)),
    )
    return net.to(dtype), X, y


def train(net, X, y, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(X), y)
        loss.backward()
        optimizer.step()
    return float(loss.detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("options", [{"debias": 0.0}, {}, {"lam": 0.01, "debias": 0.0}])
def test_training(dtype, options):
    net, X, y = make_problem(dtype)
    groups = param_groups(net, k=3, preconditioner="diag", **options)
    optimizer = ProxAdamW(groups, lr=0.01, total_steps=100)
    assert train(net, X, y, optimizer, 100) < 0.6
    assert net[0].weight.dtype == dtype
    for layer in (net[0], net[2]):
        assert int((layer.weight != 0).any(dim=1).sum()) == 3


def test_a_step_of_training_is_optimal():
    net, X, y = make_problem(torch.float64)
    groups = param_groups(net, k=3, lam=0.05, debias=0.0)
    optimizer = ProxAdamW(groups, lr=0.02, preconditioner="diag", eps=1e-4)
    train(net, X, y, optimizer, 5)
    params = list(net[0].parameters())
    before = [p.detach().clone() for p in params]
    train(net, X, y, optimizer, 1)
    z, w, p = [], [], []
    for old, param in zip(before, params, strict=True):
        state = optimizer.state[param]
        root = (state["exp_avg_sq"] / (1 - 0.999 ** state["step"])).sqrt() + 1e-4
        mean = state["exp_avg"] / (1 - 0.9 ** state["step"])
        z.append(old - 0.02 * mean / root)
        p.append(root / 0.02)
        w.append(param.detach())
    z, w, p = (
        np.column_stack([a.reshape(12, -1).numpy() for a in x]) for x in (z, w, p)
    )
    assert fenchel(w, p * (z - w) / 0.05, 3, 7, None) <= 1e-9


def test_global_budget():
    net, X, y = make_problem()
    with torch.no_grad():
        for parameter in net[2].parameters():
            parameter.mul_(1e-3)
    groups = param_groups(net, k=0.2, scope="global", debias=0.0)
    optimizer = ProxAdamW(groups, lr=0.01, total_steps=40, preconditioner="diag")
    train(net, X, y, optimizer, 40)
    counts = [int(mask.sum()) for mask in optimizer.support()[:2]]
    assert sum(counts) == 4 and min(counts) >= 1


def test_parameters_without_gradients():
    net, X, y = make_problem()
    net[0].bias.requires_grad_(False)
    groups = param_groups(net, k=3, debias=0.0)
    optimizer = ProxAdamW(groups, lr=0.01, total_steps=20, preconditioner="diag")
    train(net, X, y, optimizer, 20)
    assert int((net[0].bias != 0).sum()) == 3


def test_a_penalty_object_has_one_step():
    weight = torch.nn.Parameter(torch.ones(4, 3))
    with pytest.raises(ValueError, match=r"'preconditioner' .* Got 'diag' and L1"):
        ProxAdamW([{"params": [weight], "penalty": L1()}], preconditioner="diag")
