"""Elementwise operators against brute force, their formulas and known cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseopt import prox
from sparseopt.prox import _map_kernels as kernels
from sparseopt.prox._formulas import FORMULAS


def _mcp(w, lam, gamma):
    m = np.abs(w)
    inside = lam * m - m**2 / (2 * gamma)
    return np.where(m <= gamma * lam, inside, gamma * lam**2 / 2)


def _scad(w, lam, gamma):
    m = np.abs(w)
    middle = (2 * gamma * lam * m - m**2 - lam**2) / (2 * (gamma - 1))
    flat = lam**2 * (gamma + 1) / 2
    return np.where(m <= lam, lam * m, np.where(m <= gamma * lam, middle, flat))


# operator of x, and the penalty that it minimises with |w - x|^2 / 2
PENALTIES = {
    "l1": (lambda x: prox.prox_l1(x, 0.7), lambda w: 0.7 * np.abs(w)),
    "positive": (
        lambda x: prox.prox_l1(x, 0.7, positive=True),
        lambda w: np.where(w < 0, np.inf, 0.7 * w),
    ),
    "elastic net": (
        lambda x: prox.prox_elastic_net(x, 1.5, 0.3),
        lambda w: 1.5 * (0.3 * np.abs(w) + 0.35 * w**2),
    ),
    "ridge": (lambda x: prox.prox_ridge(x, 1.5), lambda w: 0.75 * w**2),
    "l0": (lambda x: prox.prox_l0(x, 0.8), lambda w: 0.8 * (w != 0)),
    "log sum 1": (
        lambda x: prox.prox_log_sum(x, 0.9, 1.3),
        lambda w: 0.9 * np.log1p(np.abs(w) / 1.3),
    ),
    "log sum 2": (
        lambda x: prox.prox_log_sum(x, 2.0, 0.1),
        lambda w: 2.0 * np.log1p(np.abs(w) / 0.1),
    ),
    "half": (lambda x: prox.prox_l_half(x, 0.8), lambda w: 0.8 * np.abs(w) ** 0.5),
    "two thirds": (
        lambda x: prox.prox_l_two_thirds(x, 0.8),
        lambda w: 0.8 * np.abs(w) ** (2 / 3),
    ),
}
for _q in (0.01, 0.2, 0.5, 2 / 3, 0.95, 1, 1.01, 1.3, 1.9, 2):
    PENALTIES[f"power {_q:.3g}"] = (
        lambda x, q=_q: prox.prox_lq(x, 0.6, q),
        lambda w, q=_q: 0.6 * np.abs(w) ** q,
    )
for _gamma, _step in ((3.0, 1.0), (1.5, 1.4), (2.0, 2.0), (1.5, 4.0)):
    PENALTIES[f"mcp {_gamma} {_step}"] = (
        lambda x, g=_gamma, t=_step: prox.prox_mcp(x, 0.9, g, step=t),
        lambda w, g=_gamma, t=_step: t * _mcp(w, 0.9, g),
    )
for _gamma, _step in ((3.7, 1.0), (2.5, 1.5), (2.5, 2.0), (2.5, 3.4), (2.5, 6.0)):
    PENALTIES[f"scad {_gamma} {_step}"] = (
        lambda x, g=_gamma, t=_step: prox.prox_scad(x, 0.9, g, step=t),
        lambda w, g=_gamma, t=_step: t * _scad(w, 0.9, g),
    )


def brute_force(penalty, x, spread=1.0):
    """Least value of the objective on a fine grid, refined around the best point."""
    grid = np.linspace(-2 * abs(x) - spread, 2 * abs(x) + spread, 8_001)
    grid = np.append(grid, [0.0, x])
    values = penalty(grid) + (grid - x) ** 2 / 2
    best = values.min()
    for start in grid[np.argsort(values)[:3]]:
        width = grid[1] - grid[0]
        for _ in range(4):
            local = np.append(np.linspace(start - width, start + width, 201), 0.0)
            values = penalty(local) + (local - x) ** 2 / 2
            start, width = local[values.argmin()], width / 50
            best = min(best, values.min())
    return best


@pytest.mark.parametrize("name", PENALTIES)
def test_global_minimum(name):
    operator, penalty = PENALTIES[name]
    points = np.concatenate([np.linspace(-4, 4, 41), [0.7, 0.9, 1.26491106, 6.0]])
    found = operator(points)
    for x, w in zip(points, found, strict=True):
        value = penalty(np.array([w]))[0] + (w - x) ** 2 / 2
        assert value <= brute_force(penalty, x) + 1e-12 * (1 + value)


@pytest.mark.parametrize("name", PENALTIES)
def test_float32(name, rng):
    operator, _ = PENALTIES[name]
    points = 3 * rng.standard_normal(3000)
    single = points.astype(np.float32)
    found, wanted = operator(single), operator(single.astype(np.float64))
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() <= 5e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("name", PENALTIES)
def test_symmetric_monotone_and_layouts(name, rng, layout):
    operator, _ = PENALTIES[name]
    points = layout(np.sort(3 * rng.standard_normal(60)).reshape(12, 5))
    before = points.copy()
    found = operator(points)
    assert found.shape == points.shape
    assert (points == before).all()
    order = np.argsort(points, axis=None)
    assert (np.diff(found.ravel()[order]) >= -1e-13).all()
    if name != "positive":
        assert (operator(-points) == -found).all()
    zeros = operator(np.array([0.0, -0.0, 1e-300 if "power 1.9" not in name else 0]))
    assert not zeros[:2].any()


@pytest.fixture(params=["baseline", "v3", "v4"])
def level(request):
    """Run the test on kernels of this instruction set; skip where it is missing."""
    number = ["baseline", "v3", "v4"].index(request.param)
    found = kernels.set_simd_level(number)
    if found == request.param:
        yield found
    kernels.set_simd_level(2)
    if found != request.param:
        pytest.skip(f"no {request.param} here")


# parameters and second array of each kind of kernel
KINDS = {
    "SOFT": ((0.7, 0.5), None),
    "SOFT_POS": ((0.7, 0.5), None),
    "WSOFT": ((0.7, 1.0, 0.4), "weights"),
    "WSOFT_POS": ((0.7, 1.0, 0.4), "weights"),
    "FIRM": ((0.4, 1.7, 1.1), None),
    "SCAD": ((0.5, 1.0, 2.0, 1.5), None),
    "LOG_SUM": ((1.1, 0.5, 1.6, 1.8), None),
    "HALF": ((0.9,), None),
    "TWO_THIRDS": ((0.9,), None),
    "POWER": ((0.9, 0.3, 0.15), None),
    "POWER_CONVEX": ((-0.3, 1.4), None),
    "HUBER": ((0.7, 0.8), "targets"),
    "HINGE": ((0.7,), "labels"),
    "SQ_HINGE": ((0.7,), "labels"),
    "PINBALL": ((-0.2, 0.5), "targets"),
    "LOGISTIC": ((3.0, np.log(3.0)), "labels"),
    "KL": ((0.7,), "weights"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 37, 1000])
def test_kernel_and_its_formula(kind, size, dtype, level, rng):
    params, other = KINDS[kind]
    x = (2 * rng.standard_normal(size)).astype(dtype)
    x[0] = 0
    second = {
        None: None,
        "weights": np.abs(rng.standard_normal(size)).astype(dtype),
        "labels": rng.choice([-1, 1], size).astype(dtype),
        "targets": rng.standard_normal(size).astype(dtype),
    }[other]
    out = np.empty_like(x)
    code = getattr(kernels, kind)
    assert kernels.apply(code, x, second, np.array(params), out)
    wanted = FORMULAS[code](np, x, params, second)
    assert np.allclose(out, wanted, rtol=0, atol=20 * np.finfo(dtype).eps)
    again = x.copy()
    assert kernels.apply(code, again, second, np.array(params), again)
    assert (again == out).all()
    for bad in (np.nan, np.inf, -np.inf):
        spoiled = x.copy()
        spoiled[size // 2] = bad
        assert not kernels.apply(code, spoiled, second, np.array(params), out)
        if np.isnan(bad):
            assert np.isnan(out[size // 2])
            assert np.isnan(out).sum() == 1
        if second is not None:
            spoiled = second.copy()
            spoiled[size // 2] = bad
            assert not kernels.apply(code, x, spoiled, np.array(params), out)


@pytest.mark.parametrize("scale", [1e-150, 1e-60, 1e60, 1e150])
def test_extreme_scales(scale, rng):
    """Operators are homogeneous when their parameters are scaled along."""
    x = 3 * rng.standard_normal(500)
    for plain, scaled in (
        (prox.prox_l1(x, 0.7), prox.prox_l1(scale * x, 0.7 * scale)),
        (prox.prox_mcp(x, 0.7), prox.prox_mcp(scale * x, 0.7 * scale)),
        (prox.prox_scad(x, 0.7), prox.prox_scad(scale * x, 0.7 * scale)),
        (prox.prox_l0(x, 0.7), prox.prox_l0(scale * x, 0.7 * scale * scale)),
        (prox.prox_l_half(x, 0.7), prox.prox_l_half(scale * x, 0.7 * scale**1.5)),
        (prox.prox_lq(x, 0.7, 0.8), prox.prox_lq(scale * x, 0.7 * scale**1.2, 0.8)),
        (prox.prox_lq(x, 0.7, 1.5), prox.prox_lq(scale * x, 0.7 * scale**0.5, 1.5)),
        (
            prox.prox_log_sum(x, 0.7, 0.4),
            prox.prox_log_sum(scale * x, 0.7 * scale * scale, 0.4 * scale),
        ),
    ):
        assert np.allclose(scaled / scale, plain, rtol=1e-12, atol=1e-15)


def test_known_cases():
    x = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    assert prox.prox_l1(x, 1.0).tolist() == [-2, 0, 0, 0, 2]
    assert prox.prox_l1(x, 1.0, positive=True).tolist() == [0, 0, 0, 0, 2]
    weights = [0, 1, 2, 0.5, 1]
    assert prox.prox_l1(x, 1.0, weights=weights).tolist() == [-3, 0, 0, 0.5, 2]
    positive = prox.prox_l1(x, 1.0, weights=weights, positive=True)
    assert positive.tolist() == [0, 0, 0, 0.5, 2]
    net = prox.prox_elastic_net(x, 2.0, 0.5, weights=weights)
    assert np.allclose(net, [-3, 0, 0, 1 / 3, 1])
    assert (prox.prox_elastic_net(x, 2.0, 1.0) == prox.prox_l1(x, 2.0)).all()
    assert (prox.prox_lq(x, 0.5, 1) == prox.prox_l1(x, 0.5)).all()
    for operator in (prox.prox_l1, prox.prox_l0, prox.prox_l_half, prox.prox_log_sum):
        assert np.allclose(operator(x, 0.0), x, rtol=1e-15)
    assert prox.prox_lq(x, 0.0, 0.3).tolist() == x.tolist()
    assert prox.prox_l1(2.5, 1.0) == 1.5
    assert prox.prox_l1([3, 1], 1).dtype == np.float64


@given(
    st.lists(st.floats(-1e6, 1e6), max_size=20),
    st.floats(0, 1e6),
)
def test_moreau_identity(points, lam):
    """x is the sum of the operator of lam |.| and the projection on its dual ball."""
    x = np.array(points)
    rest = prox.project_linf_ball(x, lam)
    assert np.allclose(prox.prox_l1(x, lam) + rest, x, rtol=1e-15)


def test_output_and_overlap(rng):
    x = rng.standard_normal((6, 4))
    wanted = prox.prox_l1(x, 0.3)
    for out in (np.empty((6, 4)), np.empty((4, 6)).T, np.empty((12, 8))[::2, ::2]):
        assert prox.prox_l1(x, 0.3, out=out) is out
        assert (out == wanted).all()
    same = x.copy()
    assert prox.prox_l1(same, 0.3, out=same) is same
    assert (same == wanted).all()
    same = x.T.copy().T
    assert (prox.prox_l1(same, 0.3, out=same) == wanted).all()
    long = rng.standard_normal(11)
    wanted = prox.prox_l1(long[:10], 0.3)
    assert (prox.prox_l1(long[:10], 0.3, out=long[1:]) == wanted).all()
    assert prox.prox_l1(np.empty((0, 3)), 1.0).shape == (0, 3)


def test_not_finite():
    x = np.array([1.0, np.nan, -np.inf, 3.0])
    for operator in (prox.prox_l1, prox.prox_l0, prox.prox_mcp, prox.prox_l_half):
        with pytest.raises(ValueError, match="'x' array must be finite"):
            operator(x, 1.0)
        with pytest.raises(ValueError, match="must be finite"):
            operator(x, 1.0, out=x)
        found = operator(x, 1.0, check_finite=False)
        assert np.isnan(found).tolist() == [False, True, False, False]
        assert found[2] == -np.inf
    assert np.isnan(x[1])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: prox.prox_l1(x, -1.0), ValueError, r"'lam' .*float in \[0, inf\)"),
        (lambda x: prox.prox_l1(x, np.nan), ValueError, "Got nan"),
        (lambda x: prox.prox_l1(x, "1"), TypeError, "'lam'"),
        (lambda x: prox.prox_l1(x, 1.0, weights=[1.0]), ValueError, "shape"),
        (
            lambda x: prox.prox_l1(x, 1.0, weights=[1.0, -1.0, 0.0]),
            ValueError,
            "'weights' array must not be negative. Got -1.0 at index 1",
        ),
        (
            lambda x: prox.prox_l1(x, 1.0, weights=[1.0, np.nan, 0.0]),
            ValueError,
            "'weights' array must be finite",
        ),
        (lambda x: prox.prox_l1(x * 1j), ValueError, "Complex data not supported"),
        (lambda x: prox.prox_l1(["a"]), TypeError, "real numbers"),
        (lambda x: prox.prox_l1(x, out=np.empty(2)), ValueError, "'out'"),
        (lambda x: prox.prox_l1(x, out=[0.0] * 3), TypeError, "'out'"),
        (
            lambda x: prox.prox_l1(x, out=np.empty(3, np.float32)),
            ValueError,
            "dtype float64",
        ),
        (lambda x: prox.prox_l1(x, positive=1), TypeError, "'positive'"),
        (lambda x: prox.prox_elastic_net(x, 1.0, 1.5), ValueError, "'l1_ratio'"),
        (lambda x: prox.prox_mcp(x, 1.0, 1.0), ValueError, "'gamma'"),
        (lambda x: prox.prox_mcp(x, 1.0, step=0.0), ValueError, "'step'"),
        (lambda x: prox.prox_scad(x, 1.0, 2.0), ValueError, "'gamma'"),
        (lambda x: prox.prox_log_sum(x, 1.0, 0.0), ValueError, "'eps'"),
        (lambda x: prox.prox_lq(x, 1.0, 0.0), ValueError, "'q'"),
        (lambda x: prox.prox_lq(x, 1.0, 2.5), ValueError, "'q'"),
        (lambda x: prox.prox_l0(x, True), TypeError, "'lam'"),
    ],
)
def test_bad_input(call, error, text):
    with pytest.raises(error, match=text):
        call(np.ones(3))


def test_array_libraries(xp, rng):
    x = rng.standard_normal((4, 6)) * 3
    foreign = xp.asarray(x)
    weights = np.abs(rng.standard_normal((4, 6)))
    for operator, _ in PENALTIES.values():
        found = operator(foreign)
        assert type(found) is type(foreign)
        assert np.allclose(np.asarray(found), operator(x), rtol=1e-12, atol=1e-14)
    found = prox.prox_l1(foreign, 0.3, weights=xp.asarray(weights))
    assert np.allclose(np.asarray(found), prox.prox_l1(x, 0.3, weights=weights))
    out = xp.asarray(np.zeros((4, 6)))
    assert prox.prox_l1(foreign, 0.3, out=out) is out
    assert np.allclose(np.asarray(out), prox.prox_l1(x, 0.3))
    with pytest.raises(ValueError, match="finite"):
        prox.prox_l1(foreign * np.inf)
