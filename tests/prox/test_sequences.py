"""Total variation, monotone fits and SLOPE against duals, twins and known cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from sparseopt import prox
from sparseopt.prox import _sequences

DATA = {
    "noise": lambda n, rng: rng.standard_normal(n),
    "walk": lambda n, rng: np.cumsum(rng.standard_normal(n)),
    "steps": lambda n, rng: (
        np.repeat(rng.standard_normal(n // 20 + 1) * 3, 20)[:n]
        + 0.3 * rng.standard_normal(n)
    ),
    "ramp": lambda n, rng: np.arange(n) * 0.1,
    "constant": lambda n, rng: np.full(n, 2.5),
    "ties": lambda n, rng: rng.integers(-2, 3, n).astype(float),
    "heavy": lambda n, rng: rng.standard_cauchy(n),
    "alternating": lambda n, rng: (-1.0) ** np.arange(n),
    "chirp": lambda n, rng: np.cos(np.arange(n) ** 2 / (n + 1)),
}


def certify_variation(x, u, level, l1=0.0, tol=1e-12):
    """A dual certificate: running sums of the residual within the tube, at its edge
    with the sign of every jump."""
    x, u = x.astype(np.float64), u.astype(np.float64)
    scale = tol * (1 + np.abs(x).sum() + np.max(level, initial=0.0))
    if l1:  # a soft threshold of a solution: what it took away has |.| <= l1
        return
    dual = np.cumsum(x - u)
    assert abs(dual[-1]) <= scale
    dual = dual[:-1]
    assert (np.abs(dual) <= level + scale).all()
    jumps = np.diff(u)
    clear = np.abs(jumps) > scale
    level = np.broadcast_to(level, jumps.shape)
    assert (np.abs(dual + np.sign(jumps) * level)[clear] <= scale).all()


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("n", [1, 2, 3, 50, 3000, 100_000])
def test_variation_certificate(kind, n, rng):
    x = DATA[kind](n, rng)
    for lam in (0.0, 1e-3, 0.2, 1.0, 7.0, 300.0, 1e9):
        u = prox.prox_tv1d(x, lam)
        certify_variation(x, u, lam)
        if lam == 0:
            assert np.allclose(u, x, rtol=1e-15)
        if lam == 1e9:
            assert np.allclose(u, x.mean(), rtol=1e-9, atol=1e-9)
    weights = rng.uniform(0, 2, max(n - 1, 0)) * (rng.uniform(size=max(n - 1, 0)) < 0.8)
    for lam in (0.1, 1.0, 20.0):
        u = prox.prox_tv1d(x, lam, weights=weights)
        certify_variation(x, u, lam * weights)


@pytest.mark.parametrize("level", ["baseline", "v3", "v4"])
def test_variation_in_stretches(level, dtype, rng):
    """Short pieces in long sequences: eight stretches at a time where that exists."""
    found = _sequences.set_simd_level(["baseline", "v3", "v4"].index(level))
    try:
        if found != level:
            pytest.skip(f"no {level} here")
        for n in (24_570, 70_001):
            for kind in ("noise", "ties", "heavy", "alternating"):
                x = DATA[kind](n, rng).astype(dtype)
                for lam in (0.05, 0.6, 3.0):
                    u = np.empty((1, n))
                    wide = x.astype(np.float64)
                    _sequences.total_variation(wide[None], None, lam, 0.0, u)
                    certify_variation(wide, u[0], lam)
                    narrow = prox.prox_tv1d(x, lam)
                    assert np.allclose(narrow, u[0], rtol=1e-6, atol=1e-6)
            # parts where pieces are long between parts where they are short
            x = DATA["noise"](n, rng) * np.repeat([1.0, 1e-3, 1.0, 0.0, 1.0], n)[::5]
            for lam in (0.1, 1.0):
                certify_variation(x, prox.prox_tv1d(x, lam), lam)
    finally:
        _sequences.set_simd_level(2)


def test_variation_where_the_direct_way_reads_again(rng):
    """The cone stays open for long and closes far back: quadratic without a limit."""
    n = 40_000
    x = np.zeros(n)
    x[::2], x[1::2] = 1.0, -1.0
    x += np.linspace(1e-3, -1e-3, n) ** 3 * 1e6
    for lam in (1.0, 1.01, 5.0, 50.0):
        certify_variation(x, prox.prox_tv1d(x, lam), lam)
    mixed = np.concatenate([rng.standard_normal(70_000), np.zeros(70_000), x])
    for lam in (0.1, 1.0, 30.0):
        certify_variation(mixed, prox.prox_tv1d(mixed, lam), lam)


@settings(max_examples=150)
@given(
    st.lists(st.integers(-4, 4), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5]),
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=11, max_size=11),
)
def test_variation_with_ties(values, lam, weights):
    x, w = np.array(values, dtype=float), np.array(weights[: len(values) - 1])
    certify_variation(x, prox.prox_tv1d(x, lam), lam)
    certify_variation(x, prox.prox_tv1d(x, lam, weights=w), lam * w)


def test_fused_lasso(rng):
    cp = pytest.importorskip("cvxpy")
    x, weights = rng.standard_normal(15) + 0.5, rng.uniform(0, 2, 14)
    w = cp.Variable(15)
    objective = (
        cp.sum_squares(w - x) / 2
        + 0.4 * cp.norm1(cp.multiply(weights, cp.diff(w)))
        + 0.3 * cp.norm1(w)
    )
    cp.Problem(cp.Minimize(objective)).solve(solver="CLARABEL")
    found = prox.prox_fused_lasso(x, 0.4, 0.3, weights=weights)
    assert np.abs(found - w.value).max() <= 1e-5
    step = prox.prox_l1(prox.prox_tv1d(x, 0.4, weights=weights), 0.3)
    assert np.allclose(found, step, atol=1e-15)


SEQUENCES = {
    "tv": lambda x, **k: prox.prox_tv1d(x, 0.7, **k),
    "fused": lambda x, **k: prox.prox_fused_lasso(x, 0.5, 0.2, **k),
    "isotonic": prox.prox_isotonic,
    "slope": lambda x, **k: prox.prox_slope(
        x, np.linspace(1, 0.2, x.shape[k["axis"]] if "axis" in k else x.size), **k
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_layouts_types_and_axes(name, layout, rng):
    operator = SEQUENCES[name]
    x = layout(2 * rng.standard_normal((6, 8)))
    before = x.copy()
    found = operator(x)
    assert (operator(np.array(x).ravel()).reshape(6, 8) == found).all()
    single = operator(x.astype(np.float32))
    assert single.dtype == np.float32
    assert np.abs(single - found).max() <= 5e-6 * np.abs(found).max()
    rows = operator(x, axis=1)
    for i in range(6):
        assert (rows[i] == operator(np.array(x[i]))).all()
    assert (operator(x.T, axis=0) == rows.T).all()
    assert (x == before).all()
    same = np.array(x)
    assert operator(same, axis=1, out=same) is same
    assert (same == rows).all()
    same = np.array(x.T)
    assert (operator(same, axis=0, out=same) == rows.T).all()
    assert operator(np.empty(0)).shape == (0,)
    assert operator(np.array([0.5])).shape == (1,)
    # slices of one entry, in memory like the rows that are worked on
    flat = np.arange(5.0)[None]
    operator(flat, axis=0)
    assert (flat == np.arange(5.0)).all()


@pytest.mark.parametrize("name", SEQUENCES)
def test_not_finite(name):
    operator = SEQUENCES[name]
    for bad in (np.nan, np.inf):
        x = np.ones((3, 5))
        x[1, 2] = bad
        with pytest.raises(ValueError, match="'x' array must be finite"):
            operator(x)
        found = operator(x, axis=1, check_finite=False)
        assert np.isnan(found).all(axis=1).tolist() == [False, True, False]
        assert np.isnan(operator(x, check_finite=False)).all()


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_extreme_scales(scale, rng):
    x = rng.standard_normal(300)
    lam = np.linspace(1, 0.1, 300)
    for plain, scaled in (
        (prox.prox_tv1d(x, 0.7), prox.prox_tv1d(scale * x, 0.7 * scale)),
        (prox.prox_isotonic(x), prox.prox_isotonic(scale * x)),
        (prox.prox_slope(x, lam), prox.prox_slope(scale * x, scale * lam)),
        (prox.prox_slope(x, lam), prox.prox_slope(scale * x, lam, step=scale)),
    ):
        assert np.allclose(scaled / scale, plain, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("n", [1, 2, 5, 400, 20_000])
def test_isotonic(kind, n, rng):
    x = DATA[kind](n, rng)
    weights = rng.uniform(0.1, 3, n)
    for w in (None, weights):
        for increasing in (True, False):
            found = prox.prox_isotonic(x, weights=w, increasing=increasing)
            wanted = isotonic_regression(x, sample_weight=w, increasing=increasing)
            assert np.allclose(found, wanted, rtol=1e-11, atol=1e-11 * abs(x).max())


def slope_twin(x, lam):
    """Sort, subtract, pool, clip, put back."""
    magnitude = np.abs(x)
    order = np.argsort(-magnitude, kind="stable")
    fitted = isotonic_regression(magnitude[order] - lam, increasing=False)
    result = np.empty_like(magnitude)
    result[order] = np.maximum(fitted, 0)
    return np.sign(x) * result


WEIGHTS = {
    "bh": prox.slope_weights,
    "oscar": lambda n: 1e-2 + np.linspace(2, 0, n),
    "constant": lambda n: np.full(n, 0.4),
    "zeros": lambda n: np.r_[np.linspace(1, 0, n - n // 2), np.zeros(n // 2)],
    "first": lambda n: np.r_[3.0, np.zeros(n - 1)],
    "none": np.zeros,
}


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("n", [1, 2, 3, 300, 6000])
def test_slope(kind, weights, n, rng):
    x = DATA[kind](n, rng)
    lam = WEIGHTS[weights](n)
    for step in (1e-3, 0.3, 1.0, 10.0):
        found = prox.prox_slope(x, lam, step=step)
        wanted = slope_twin(x, step * lam)
        size = np.abs(x).max()
        assert np.allclose(found, wanted, rtol=1e-11, atol=1e-12 * size)
    ordered = np.sort(np.abs(x))[::-1]
    assert np.allclose(prox.prox_slope(ordered, lam), slope_twin(ordered, lam))


def test_slope_sorting(rng):
    """Buckets that are large, of few values, or of a range too wide for a word."""
    n = 20_000
    wide = 10.0 ** rng.uniform(-300, 300, n)
    lumps = rng.choice([1.0, 1 + 2.0**-40, 1 + 2.0**-39, 5.0], n)
    near = 1 + rng.integers(0, 1 << 30, n) * 2.0**-52
    skewed = np.r_[near[: n // 2], 10.0 ** rng.uniform(-5, 8, n - n // 2)]
    tiny = np.r_[rng.uniform(size=n // 2) * 1e-310, rng.uniform(size=n // 2)]
    for x in (wide, lumps, near, skewed, tiny):
        lam = np.linspace(1, 0.5, n) * 1e-3 * np.median(x)
        found = prox.prox_slope(x, lam)
        wanted = slope_twin(x, lam)
        assert np.allclose(found, wanted, rtol=1e-10, atol=1e-12 * np.median(x))


def test_slope_is_the_prox(rng):
    cp = pytest.importorskip("cvxpy")
    x, lam = 2 * rng.standard_normal(9), np.sort(rng.uniform(0, 1.5, 9))[::-1]
    w = cp.Variable(9)
    drops = lam - np.r_[lam[1:], 0]
    norm = sum(drops[k] * cp.sum_largest(cp.abs(w), k + 1) for k in range(9))
    cp.Problem(cp.Minimize(cp.sum_squares(w - x) / 2 + norm)).solve(solver="CLARABEL")
    found = prox.prox_slope(x, lam)
    assert np.abs(found - w.value).max() <= 1e-4
    # Moreau: the rest is in the dual ball, where sums of the k largest stay below
    rest = np.sort(np.abs(x - found))[::-1]
    assert (np.cumsum(rest) <= np.cumsum(lam) + 1e-12).all()


def test_slope_weights():
    for kind in ("bh", "oscar", "linear"):
        for n in (0, 1, 7):
            weights = prox.slope_weights(n, kind)
            assert weights.shape == (n,)
            assert (np.diff(weights) <= 0).all()
            assert (weights > 0).all()
    assert prox.prox_slope([3.0, -1.0], 1.5).tolist() == [1.5, 0]
    assert (prox.prox_slope([3.0, -1.0], [1.5, 1.5]) == [1.5, 0]).all()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: prox.prox_tv1d(x, -1.0), "'lam'"),
        (lambda x: prox.prox_tv1d(x, weights=np.ones(4)), r"shape \(3,\). Got \(4,\)"),
        (lambda x: prox.prox_tv1d(x, weights=[1, -1, 1]), "not be negative"),
        (lambda x: prox.prox_tv1d(x, weights=[1, np.inf, 1]), "must be finite"),
        (lambda x: prox.prox_fused_lasso(x, 1.0, -1.0), "'lam_l1'"),
        (lambda x: prox.prox_isotonic(x, weights=[1, 0, 1, 1]), "must be positive"),
        (lambda x: prox.prox_slope(x, -1.0), "Got -1.0"),
        (lambda x: prox.prox_slope(x, [1, 2, 3, 4]), "Got 1.0 before 2.0 at index 1"),
        (lambda x: prox.prox_slope(x, [1, 1, 1, -1]), "Got -1.0 at index 3"),
        (lambda x: prox.prox_slope(x, [1, np.nan, 0, 0]), "Got nan at index 1"),
        (lambda x: prox.prox_slope(x, [1, 1]), r"shape \(4,\). Got \(2,\)"),
        (lambda x: prox.prox_slope(x, 1.0, step=0.0), "'step'"),
        (lambda x: prox.slope_weights(-1), "'n'"),
        (lambda x: prox.slope_weights(3, "no"), "'kind'"),
        (lambda x: prox.slope_weights(3, q=1.0), "'q'"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises(ValueError, match=text):
        call(np.ones(4))
