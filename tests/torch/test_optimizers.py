"""Steps of ProxSGD and ProxAdamW against NumPy, torch and optimality conditions."""

import copy
import io
import warnings

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from sparseopt.exceptions import ConvergenceWarning
from sparseopt.prox import L1, MCP, wgsef_conjugate, wgsef_value
from sparseopt.prox import prox_wgsef as prox_numpy
from sparseopt.torch import ProxAdamW, ProxSGD, param_groups

OPTIMIZERS = [ProxSGD, ProxAdamW]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def make_problem(n=60, p=6, m=12, dtype=torch.float64):
    X = torch.randn(n, p, dtype=dtype)
    y = (X[:, 0] > 0).long()
    net = torch.nn.Sequential(
        torch.nn.Linear(p, m), torch.nn.ReLU(), torch.nn.Linear(m, 2)
    ).to(dtype)
    return net, X, y


def closure_of(net, X, y, optimizer):
    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(X), y)
        loss.backward()
        return loss

    return closure


def train(net, X, y, optimizer, steps):
    closure = closure_of(net, X, y, optimizer)
    return [optimizer.step(closure).item() for _ in range(steps)]


# ------------------------------------------------------------------ without a penalty


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}],
)
def test_sgd_without_penalty_is_that_of_torch(options):
    net, X, y = make_problem()
    other = copy.deepcopy(net)
    train(net, X, y, ProxSGD(net.parameters(), lr=0.1, **options), 20)
    train(other, X, y, torch.optim.SGD(other.parameters(), lr=0.1, **options), 20)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_adamw_without_penalty_is_that_of_torch():
    net, X, y = make_problem()
    other = copy.deepcopy(net)
    train(net, X, y, ProxAdamW(net.parameters(), lr=0.01, weight_decay=0.1), 20)
    reference = torch.optim.AdamW(other.parameters(), lr=0.01, weight_decay=0.1)
    train(other, X, y, reference, 20)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


# ----------------------------------------------------------------- the proximal step


@pytest.mark.parametrize("debias", [0.0, 0.7])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_prox_sgd_is_explicit_proximal_sgd(debias, momentum, rng):
    """Least squares; a group is a row of the weight with its bias."""
    X, Y = rng.standard_normal((30, 5)), rng.standard_normal((30, 8))
    layer = torch.nn.Linear(5, 8).double()
    W = np.column_stack([layer.weight.detach(), layer.bias.detach()])
    group = {"params": list(layer.parameters()), "penalty": "wgsef", "k": 3}
    optimizer = ProxSGD([group], lr=0.05, momentum=momentum, lam=0.8, debias=debias)
    ones, speed = np.column_stack([X, np.ones(30)]), np.zeros_like(W)
    for _ in range(25):
        optimizer.zero_grad()
        error = layer(torch.from_numpy(X)) - torch.from_numpy(Y)
        (error**2).sum().mul(0.5 / 30).backward()
        optimizer.step()
        speed = momentum * speed + (ones @ W.T - Y).T @ ones / 30
        W = prox_numpy(W - 0.05 * speed, 3, 0.05 * 0.8, groups=6, debias=debias)
    got = np.column_stack([layer.weight.detach(), layer.bias.detach()])
    np.testing.assert_allclose(got, W, rtol=1e-10, atol=1e-13)
    assert ((got == 0) == (W == 0)).all()


def test_group_lasso_step_is_the_closed_form(rng):
    weight = torch.nn.Parameter(torch.from_numpy(rng.standard_normal((4, 3))))
    weight.grad = torch.zeros_like(weight)
    W = weight.detach().numpy().copy()
    group = {"params": [weight], "penalty": "group_lasso", "lam": 5.0}
    ProxSGD([group], lr=0.2).step()
    norms = np.linalg.norm(W, axis=1, keepdims=True)
    expected = W * np.maximum(0, 1 - 0.2 * 5.0 * np.sqrt(3) / norms)
    np.testing.assert_allclose(weight.detach(), expected, rtol=1e-12)
    assert (expected == 0).any()


def test_l1_step_is_soft_thresholding(rng):
    weight = torch.nn.Parameter(torch.from_numpy(rng.standard_normal((4, 3))))
    weight.grad = torch.zeros_like(weight)
    W = weight.detach().numpy().copy()
    ProxSGD([{"params": [weight], "penalty": "l1", "lam": 2.0}], lr=0.2).step()
    expected = np.sign(W) * np.maximum(0, np.abs(W) - 0.4)
    np.testing.assert_allclose(weight.detach(), expected, rtol=1e-12)


def test_l0_ball_keeps_the_k_largest_rows():
    weight = torch.nn.Parameter(torch.tensor([[3.0], [-5.0], [1.0], [4.0]]))
    weight.grad = torch.zeros_like(weight)
    ProxSGD([{"params": [weight], "penalty": "l0_ball", "k": 2}], lr=0.1).step()
    assert weight.flatten().tolist() == [0.0, -5.0, 0.0, 4.0]


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_penalty_object_acts_on_group_norms(cls):
    """With one step size for the layer it is the same as a group lasso."""
    net, X, y = make_problem()
    other = copy.deepcopy(net)
    extra = {"preconditioner": "layer"} if cls is ProxAdamW else {}
    for model, penalty in ((net, L1(1.0)), (other, "group_lasso")):
        group = {"params": list(model[0].parameters()), "penalty": penalty}
        rest = {"params": list(model[2].parameters())}
        options = {"lr": 0.01, "lam": 0.05, "weights": "ones"} | extra
        train(model, X, y, cls([group, rest], **options), 30)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_penalty_that_is_not_convex(rng):
    """Group MCP: shrinks groups of middle norm only."""
    weight = torch.nn.Parameter(
        torch.tensor([[0.1], [0.6], [5.0]], dtype=torch.float64)
    )
    weight.grad = torch.zeros_like(weight)
    ProxSGD([{"params": [weight], "penalty": MCP(0.5, 3.0)}], lr=1.0).step()
    expected = MCP(0.5, 3.0).prox(np.array([0.1, 0.6, 5.0]))
    np.testing.assert_allclose(weight.detach().flatten(), expected, rtol=1e-12)
    assert expected[0] == 0 and expected[2] == 5


@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize("preconditioner", ["group", "layer"])
def test_adamw_step_solves_its_subproblem(k, preconditioner, rng):
    """Fenchel's equality holds between the new point and what the step took off.

    ``y = D (z - w) / (alpha lam)`` is a subgradient of S_k at w if and only if
    ``S_k(w) + S_k*(y) = <w, y>``.
    """
    m, width, lr, lam, eps = 8, 4, 0.3, 0.9, 1e-8
    weight = torch.nn.Parameter(torch.from_numpy(rng.standard_normal((m, width))))
    d = rng.uniform(0.5, 2, m)
    group = {"params": [weight], "penalty": "wgsef", "k": k, "weights": d}
    optimizer = ProxAdamW(
        [group], lr=lr, lam=lam, eps=eps, debias=0, preconditioner=preconditioner
    )
    mean, square = np.zeros((m, width)), np.zeros((m, width))
    for t in range(1, 6):
        g = rng.standard_normal((m, width)) * rng.uniform(0.2, 3, (m, 1))
        W = weight.detach().numpy().copy()
        weight.grad = torch.from_numpy(g)
        optimizer.step()
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
        root = np.sqrt(square / (1 - 0.999**t)) + eps
        D = root.mean(axis=1) if preconditioner == "group" else np.full(m, root.mean())
        z = W - lr * (mean / (1 - 0.9**t)) / D[:, None]
        w = weight.detach().numpy()
        y = D[:, None] * (z - w) / (lr * lam)
        value = wgsef_value(w, k, groups=width, weights=d)
        dual = wgsef_conjugate(y, k, groups=width, weights=d)
        assert value + dual == pytest.approx(float((w * y).sum()), rel=1e-6)


def test_convex_problem_reaches_the_optimum(rng):
    """A constant penalty and full gradients: proximal gradient descent."""
    X, y = rng.standard_normal((50, 12)), rng.standard_normal(50)
    weight = torch.nn.Parameter(torch.zeros(1, 12, dtype=torch.float64))
    group = {"params": [weight], "penalty": "wgsef", "groups": "columns", "k": 4}
    optimizer = ProxSGD([group], lr=0.4, lam=0.3, debias=0.0)
    A, b = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(400):
        optimizer.zero_grad()
        ((A @ weight[0] - b) ** 2).sum().div(100).backward()
        optimizer.step()
    w = weight.detach().numpy()[0]
    v = -X.T @ (X @ w - y) / 50 / 0.3
    gap = wgsef_value(w, 4) + wgsef_conjugate(v, 4) - w @ v
    assert abs(gap) < 1e-9 * wgsef_value(w, 4)


# ------------------------------------------------------------- schedule, cut, budgets


@pytest.mark.parametrize("cls", OPTIMIZERS)
@pytest.mark.parametrize("lam", ["auto", 0.01])
@pytest.mark.parametrize("debias", [0.0, 1.0])
def test_exactly_k_rows_after_the_schedule(cls, lam, debias):
    net, X, y = make_problem(dtype=torch.float32)
    groups = param_groups(net, k=4, lam=lam, debias=debias)
    optimizer = cls(groups, lr=0.05 if cls is ProxSGD else 0.01, total_steps=100)
    losses = train(net, X, y, optimizer, 80)
    rows = torch.column_stack([net[0].weight, net[0].bias])
    assert int((rows != 0).any(dim=1).sum()) == 4
    support, frozen = optimizer.support()[0], rows.detach().clone()
    assert (rows[~support] == 0).all()
    losses += train(net, X, y, optimizer, 20)
    rows = torch.column_stack([net[0].weight, net[0].bias])
    assert torch.equal(optimizer.support()[0], support)
    assert not torch.signbit(rows[~support]).any()  # +0
    assert (rows[support] != frozen[support]).any()  # trained on
    assert losses[-1] < losses[0]
    assert (net[2].weight != 0).all()  # the output layer is not penalised


def test_the_penalty_waits_for_the_warm_up():
    net, X, y = make_problem()
    other = copy.deepcopy(net)
    optimizer = ProxSGD(param_groups(net, k=1, lam=5.0), lr=0.1, total_steps=100)
    train(net, X, y, optimizer, 10)
    train(other, X, y, torch.optim.SGD(other.parameters(), lr=0.1), 10)
    assert torch.equal(net[0].weight, other[0].weight)
    train(net, X, y, optimizer, 1)
    train(other, X, y, torch.optim.SGD(other.parameters(), lr=0.1), 1)
    assert not torch.equal(net[0].weight, other[0].weight)


def test_automatic_lam_starts_at_a_tenth_of_the_gradient():
    net, X, y = make_problem()
    optimizer = ProxSGD(param_groups(net, k=3), lr=0.1, total_steps=50)
    norms = []
    for _ in range(6):  # five steps of warm-up and the first with a penalty
        closure_of(net, X, y, optimizer)()
        grads = [p.grad.flatten() for p in net[0].parameters()]
        norms.append(float(torch.cat(grads).norm()))
        optimizer.step()
    start = optimizer.param_groups[0]["start"]
    W = torch.column_stack([net[0].weight, net[0].bias]).detach().norm(dim=1)
    # by homogeneity 2 S(w) = <S'(w), w>, so |S'(w)| >= 2 S(w) / |w|
    slope = 2 * (wgsef_value(W.numpy(), 3) - 0.5 * float((W**2).sum()))
    assert start * slope / float(W.norm()) <= 0.11 * np.mean(norms)
    assert start > 0


def test_cut_on_demand():
    net, X, y = make_problem()
    optimizer = ProxSGD(param_groups(net, k=2, lam=0.01), lr=0.1)
    train(net, X, y, optimizer, 10)
    optimizer.cut()
    assert int(optimizer.support()[0].sum()) == 2
    train(net, X, y, optimizer, 5)
    assert int(optimizer.support()[0].sum()) == 2


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_global_budget_is_shared_and_leaves_no_layer_empty(cls):
    net = torch.nn.Sequential(
        *(torch.nn.Linear(5, 20), torch.nn.ReLU()),
        *(torch.nn.Linear(20, 10), torch.nn.ReLU(), torch.nn.Linear(10, 2)),
    )
    with torch.no_grad():
        net[2].weight.mul_(1e-3)
        net[2].bias.mul_(1e-3)
    X, y = torch.randn(40, 5), torch.arange(40) % 2
    groups = param_groups(net, k=0.2, scope="global")
    optimizer = cls(groups, lr=0.01, total_steps=40)
    train(net, X, y, optimizer, 40)
    counts = [int(mask.sum()) for mask in optimizer.support()[:2]]
    assert sum(counts) == 6
    assert min(counts) >= 1


def test_fraction_is_rounded_up():
    for m, fraction, k in ((256, 0.1, 26), (30, 0.1, 3), (7, 0.01, 1), (5, 1.0, 5)):
        layer = torch.nn.Linear(2, m)
        group = {"params": list(layer.parameters()), "penalty": "wgsef", "k": fraction}
        optimizer = ProxSGD([group], lr=0.1)
        optimizer.cut()
        assert int(optimizer.support()[0].sum()) == k


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_half_space_never_goes_below_k(cls):
    net, X, y = make_problem()
    groups = param_groups(net, k=3, lam=0.001, debias=0.0, half_space=0.9999)
    optimizer = cls(groups, lr=0.01, total_steps=100)
    train(net, X, y, optimizer, 79)
    count = int(optimizer.support()[0].sum())
    assert 3 <= count < 12  # such a small penalty alone removes nothing
    train(net, X, y, optimizer, 21)
    assert int(optimizer.support()[0].sum()) == 3


def test_weights_decide_what_is_kept():
    weight = torch.nn.Parameter(torch.tensor([[1.0], [2.0], [3.0]]))
    group = {"params": [weight], "penalty": "wgsef", "k": 1, "weights": [100.0, 1, 1]}
    optimizer = ProxSGD([group], lr=0.1)
    optimizer.cut()
    assert weight.flatten().tolist() == [1.0, 0.0, 0.0]


# ----------------------------------------------------------------------------- groups


def _penalised_once(params, groups, k=1, lam=1.0):
    for p in params:
        p.grad = torch.zeros_like(p)
    group = {"params": params, "penalty": "wgsef", "groups": groups, "k": k}
    optimizer = ProxSGD([group], lr=0.5, lam=lam, debias=0.0)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("groups", "labels"),
    [
        ("filters", lambda s: np.arange(s[0])[:, None, None, None]),
        ("channels", lambda s: np.arange(s[1])[None, :, None, None]),
        ("kernels", lambda s: np.arange(s[0] * s[1]).reshape(*s[:2], 1, 1)),
        ("entries", lambda s: np.arange(np.prod(s)).reshape(s)),
    ],
)
def test_named_groups_of_a_convolution(groups, labels):
    conv = torch.nn.Conv2d(3, 4, 2, bias=False).double()
    before = conv.weight.detach().numpy().copy()
    numbers = np.broadcast_to(labels(before.shape), before.shape)
    _penalised_once([conv.weight], groups, k=2)
    expected = prox_numpy(before, 2, 0.5, groups=numbers.ravel())
    np.testing.assert_allclose(conv.weight.detach(), expected, rtol=1e-9)
    # the same through labels, and through a function
    for given in (numbers.copy(), lambda weight: torch.from_numpy(numbers.copy())):
        other = torch.nn.Parameter(torch.from_numpy(before.copy()))
        _penalised_once([other], given, k=2)
        np.testing.assert_allclose(other.detach(), expected, rtol=1e-9)


def test_labels_leave_negative_ones_free():
    weight = torch.nn.Parameter(torch.tensor([3.0, 1.0, 0.1, 0.2]).double())
    _penalised_once([weight], [0, -1, 1, 1])
    expected = prox_numpy([3.0, 1.0, 0.1, 0.2], 1, 0.5, groups=[0, -1, 1, 1])
    np.testing.assert_allclose(weight.detach(), expected)
    assert weight[1] == 1


def test_columns_leave_the_bias_alone():
    layer = torch.nn.Linear(3, 4)
    bias = layer.bias.detach().clone()
    optimizer = _penalised_once(list(layer.parameters()), "columns")
    assert torch.equal(layer.bias, bias)
    assert optimizer.support()[0].shape == (3,)


def test_normalisation_joins_its_filter():
    net = torch.nn.Sequential(
        *(torch.nn.Conv2d(1, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.ReLU()),
        *(torch.nn.Flatten(), torch.nn.Linear(6 * 16, 2)),
    )
    optimizer = ProxSGD(param_groups(net, k=2), lr=0.1, momentum=0.5, total_steps=20)
    X, y = torch.randn(10, 1, 6, 6), torch.arange(10) % 2
    train(net, X, y, optimizer, 20)
    gone = ~optimizer.support()[0]
    assert int(gone.sum()) == 4
    for p in optimizer.param_groups[0]["params"]:
        assert (p[gone] == 0).all()


# -------------------------------------------------------------------- state and types


@pytest.mark.parametrize("cls", OPTIMIZERS)
@pytest.mark.parametrize("at", [5, 25, 90])
def test_training_goes_on_from_a_saved_state(cls, at):
    """Saved in the warm-up, in the ramp and after the cut; read without pickle."""
    net, X, y = make_problem(dtype=torch.float32)
    labels = np.repeat(np.arange(12), 6)

    def make(model):
        group = {"params": [model[0].weight], "penalty": "wgsef", "k": 3}
        group["groups"] = lambda weight: torch.from_numpy(labels)
        rest = [model[0].bias, *model[2].parameters()]
        options = {"lr": 0.02, "total_steps": 100}
        return cls([group, {"params": rest, "weight_decay": 0.01}], **options)

    optimizer = make(net)
    train(net, X, y, optimizer, at)
    file = io.BytesIO()
    torch.save({"net": net.state_dict(), "opt": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other = copy.deepcopy(net)
    again = make(other)
    other.load_state_dict(saved["net"])
    again.load_state_dict(saved["opt"])
    train(net, X, y, optimizer, 100 - at)
    train(other, X, y, again, 100 - at)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert int(again.support()[0].sum()) == 3


def test_optimizer_can_be_copied():
    net, X, y = make_problem()
    optimizer = ProxSGD(param_groups(net, k=3), lr=0.1, momentum=0.9, total_steps=50)
    train(net, X, y, optimizer, 20)
    pair = copy.deepcopy((net, optimizer))
    train(net, X, y, optimizer, 30)
    train(pair[0], X, y, pair[1], 30)
    assert torch.equal(net[0].weight, pair[0][0].weight)
    assert "ProxSGD" in repr(optimizer)


@pytest.mark.parametrize("cls", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_types_are_kept(cls, dtype):
    net, X, y = make_problem(dtype=dtype)
    optimizer = cls(param_groups(net, k=3), lr=0.01, total_steps=30)
    train(net, X, y, optimizer, 30)
    assert net[0].weight.dtype == dtype
    assert int((net[0].weight != 0).any(dim=1).sum()) == 3


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_parameters_without_gradients_do_not_move(cls):
    net, X, y = make_problem()
    net[0].bias.requires_grad_(False)
    optimizer = cls(param_groups(net, k=3), lr=0.01, total_steps=10)
    before = net[0].weight.detach().clone()
    optimizer.step()
    assert torch.equal(net[0].weight, before)
    assert optimizer.param_groups[0]["step"] == 0
    train(net, X, y, optimizer, 10)
    assert int((net[0].weight != 0).any(dim=1).sum()) == 3
    assert int((net[0].bias != 0).sum()) == 3  # removed with its row


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_learning_rate_of_a_scheduler_may_be_zero(cls):
    net, X, y = make_problem()
    optimizer = cls(param_groups(net, k=3), lr=0.01, total_steps=20)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(1, t / 5))
    for _ in range(20):
        train(net, X, y, optimizer, 1)
        schedule.step()
    assert int(optimizer.support()[0].sum()) == 3


def test_frozen_support_survives_more_groups():
    net, X, y = make_problem()
    extra = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = ProxSGD(param_groups(net, k=3), lr=0.1, total_steps=10)
    train(net, X, y, optimizer, 10)
    optimizer.add_param_group({"params": [extra]})
    train(net, X, y, optimizer, 3)
    assert int(optimizer.support()[0].sum()) == 3
    assert optimizer.support()[-1] is None


# -------------------------------------------------------------------------- warnings


def test_warns_when_the_loss_comes_back():
    net, X, y = make_problem()
    groups = param_groups(net, k=1, lam=50.0, debias=0.0)
    optimizer = ProxSGD(groups, lr=0.2, total_steps=300)
    with pytest.warns(ConvergenceWarning, match="Decrease 'lam'") as caught:
        train(net, X, y, optimizer, 220)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_warns_when_fewer_than_k_groups_are_left():
    net, X, y = make_problem()
    groups = param_groups(net, k=6, penalty="group_lasso", lam=50.0)
    optimizer = ProxSGD(groups, lr=0.1, total_steps=20)
    match = "0 groups are not zero at the cut"
    with pytest.warns(ConvergenceWarning, match=match) as caught:
        train(net, X, y, optimizer, 20)
    assert caught[0].filename == __file__


def test_good_training_does_not_warn():
    net, X, y = make_problem()
    optimizer = ProxSGD(param_groups(net, k=3), lr=0.1, total_steps=150)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(net, X, y, optimizer, 150)
