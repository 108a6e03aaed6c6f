"""The compiled loops against NumPy twins, at every instruction-set level."""

import itertools

import numpy as np
import pytest
from scipy import sparse

from sparseopt.linear_model import _kernels
from sparseopt.prox import (
    L0,
    L1,
    MCP,
    SCAD,
    Box,
    ElasticNet,
    LogSum,
    Lq,
    NoPenalty,
)

PENALTIES = [
    L1(0.3),
    L1(0.3, positive=True),
    ElasticNet(0.4, 0.6),
    MCP(0.3, 2.5),
    SCAD(0.3, 3.7),
    LogSum(0.3, 0.4),
    Lq(0.3, 0.5),
    Lq(0.3, 2 / 3),
    L0(0.2),
    Box(-0.3, 0.5),
    NoPenalty(),
]


@pytest.fixture(params=[0, 1, 2], autouse=True)
def level(request):
    yield _kernels.set_simd_level(request.param)
    _kernels.set_simd_level(2)


def _arguments(penalty):
    form = penalty.coordinate(1)
    first, second = (*form.params, 0.0, 0.0)[:2]
    return _kernels.KINDS[form.kind], form.lam, first, second, form.positive


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
@pytest.mark.parametrize("step", [0.2, 1.0, 6.0])
def test_prox_is_that_of_the_penalty(penalty, step, rng):
    u = np.concatenate([np.linspace(-3, 3, 121), 0.1 * rng.standard_normal(20)])
    out = np.empty_like(u)
    _kernels.prox_coordinates(u, np.full_like(u, step), *_arguments(penalty), out)
    expected = penalty.prox(u, step)

    def cost(v):
        parts = [penalty.value(np.array([x])) for x in v]
        return step * np.array(parts) + (v - u) ** 2 / 2

    # at jumps either end is right
    np.testing.assert_allclose(cost(out), cost(expected), rtol=1e-12, atol=1e-14)


def _descend(H, c, penalty, n_epochs):
    w = np.zeros(len(c))
    for _ in range(n_epochs):
        for j in range(len(c)):
            slope = H[j] @ w - c[j]
            w[j] = penalty.prox(np.array([w[j] - slope / H[j, j]]), 1 / H[j, j])[0]
    return w


@pytest.mark.parametrize("penalty", [L1(0.3), MCP(0.3, 5.0), Box(-0.2, 0.4)], ids=repr)
def test_sweeps_of_all_forms_agree(penalty, rng):
    A = np.asfortranarray(rng.standard_normal((30, 12)) / 4)
    b = rng.standard_normal(30)
    weights, args = np.ones(12), _arguments(penalty)
    expected = _descend(A.T @ A, A.T @ b, penalty, 3)

    w, g = np.zeros(12), -A.T @ b
    assert _kernels.cd_gram(A.T @ A, g, w, weights, *args, 3, 0.0)[0] == 3
    np.testing.assert_allclose(w, expected, atol=1e-13)
    np.testing.assert_allclose(g, A.T @ (A @ w - b), atol=1e-13)

    w, e = np.zeros(12), -b
    square = np.sum(A**2, axis=0)
    _kernels.cd_dense(A, e, w, square, weights, *args, 3, 0.0)
    np.testing.assert_allclose(w, expected, atol=1e-13)
    np.testing.assert_allclose(e, A @ w - b, atol=1e-13)


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_sparse_sweeps_centre_without_centring(index, rng):
    n = 25
    S = sparse.random_array((n, 10), density=0.4, rng=rng, format="csc")
    unit = np.full(n, 1 / np.sqrt(n))
    mean = S.T @ unit
    A = S.toarray() - np.outer(unit, mean)
    b = rng.standard_normal(n)
    b -= unit * (unit @ b)
    penalty = L1(0.05)
    expected = _descend(A.T @ A, A.T @ b, penalty, 4)
    w, e, offset = np.zeros(10), -b, np.zeros(1)
    square = np.sum(A**2, axis=0)
    pattern = S.indices.astype(index), S.indptr.astype(index)
    _kernels.cd_csc(
        S.data, *pattern, e, offset, mean, w, square, np.ones(10),
        *_arguments(penalty), 4, 0.0,
    )  # fmt: skip
    np.testing.assert_allclose(w, expected, atol=1e-13)
    np.testing.assert_allclose(e - offset[0] * unit, A @ w - b, atol=1e-13)


def test_block_sweeps(rng):
    A = rng.standard_normal((40, 9)) / 5
    H, c = A.T @ A, A.T @ rng.standard_normal(40)
    ptr = np.array([0, 2, 6, 9])
    top = np.array([np.linalg.eigvalsh(H[i:j, i:j])[-1] for i, j in _pairs(ptr)])
    level, level1 = np.array([0.02, 0.05, 0.0]), np.array([0.01, 0.0, 0.02])
    w, g = np.zeros(9), -c
    _kernels.bcd_gram(H, g, w, ptr, top, level, level1, np.empty(4), 5, 0.0)
    expected = np.zeros(9)
    for _ in range(5):
        for k, (i, j) in enumerate(_pairs(ptr)):
            u = expected[i:j] - (H @ expected - c)[i:j] / top[k]
            u = np.sign(u) * np.maximum(np.abs(u) - level1[k] / top[k], 0)
            norm = np.linalg.norm(u)
            expected[i:j] = u * max(0, 1 - level[k] / top[k] / norm) if norm else 0
    np.testing.assert_allclose(w, expected, atol=1e-13)
    np.testing.assert_allclose(g, H @ w - c, atol=1e-13)


def _pairs(ptr):
    return list(itertools.pairwise(ptr))


@pytest.mark.parametrize("p", [1, 3, 4, 130])
def test_sums_over_columns(p, dtype, rng):
    X = rng.standard_normal((17, p)).astype(dtype)
    r, cols = rng.standard_normal(17), np.array([p - 1, 0])
    expected = X.astype(np.float64).T @ r
    F = np.asfortranarray(X)
    out, some, none = np.empty(p), np.empty(2), np.empty(0)
    _kernels.column_dots(F, r, cols, out, True, 2)
    _kernels.column_dots(F, r, cols, some, False, 1)
    _kernels.column_dots(F, r, np.empty(0, dtype=np.int64), none, False, 1)
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    np.testing.assert_allclose(some, expected[cols], rtol=1e-12)
    _kernels.row_dots(np.ascontiguousarray(X), r, out, 2)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-14)
    square, mean, s = np.empty(p), np.empty(p), rng.uniform(size=17)
    _kernels.column_moments(F, s, square, mean, 2)
    np.testing.assert_allclose(square, s @ X.astype(np.float64) ** 2, rtol=1e-12)
    np.testing.assert_allclose(mean, s @ X.astype(np.float64), rtol=1e-11)


def test_sparse_sums(dtype, index_dtype, rng):
    S = sparse.random_array((20, 9), density=0.3, rng=rng, format="csc").astype(dtype)
    r, out = rng.standard_normal(20), np.empty(9)
    pattern = S.indices.astype(index_dtype), S.indptr.astype(index_dtype)
    none = np.empty(0, dtype=np.int64)
    _kernels.csc_dots(S.data, *pattern, r, none, out, True, 2)
    np.testing.assert_allclose(out, S.astype(np.float64).T @ r, rtol=1e-12)
    some = np.empty(2)
    cols = np.array([8, 3])
    _kernels.csc_dots(S.data, *pattern, r, cols, some, False, 1)
    np.testing.assert_allclose(some, out[cols])
