"""What a result computes later: from the cost that was solved, or not at all."""

import pickle

import numpy as np
import pytest

from sparseopt import ot

LATER = {
    "plan": lambda r: r.plan,
    "sparse_plan": lambda r: r.sparse_plan.toarray(),
    "marginals": lambda r: r.marginals[0],
    "marginal_a": lambda r: r.marginal_a,
    "marginal_b": lambda r: r.marginal_b,
    "dual_gap": lambda r: r.dual_gap,
    "a_to_b": lambda r: r.a_to_b(np.eye(7)),
    "b_to_a": lambda r: r.b_to_a(np.eye(9)),
    "apply": lambda r: r.apply(np.ones(7)),
    "apply_transpose": lambda r: r.apply_transpose(np.ones(9)),
}


@pytest.fixture
def problem(rng):
    a, b = rng.random(9), rng.random(7)
    a[2] = b[4] = 0.0
    return rng.random((9, 7)), a / a.sum(), b / b.sum()


@pytest.mark.parametrize("name", LATER)
@pytest.mark.parametrize("order", ["C", "F", "strided", "float32"])
def test_a_changed_cost_is_an_error(name, order, problem):
    C, a, b = problem
    C = {
        "C": lambda: C.copy(), "F": lambda: np.asfortranarray(C),
        "strided": lambda: np.repeat(C, 2, axis=1)[:, ::2],
        "float32": lambda: C.astype(np.float32),
    }[order]()  # fmt: skip
    result = ot.solve(C, a, b, 0.1)
    copied = ot.solve(C, a, b, 0.1, copy=True)
    wanted = LATER[name](ot.solve(C, a, b, 0.1))
    again = pickle.loads(pickle.dumps(result))
    C /= 2
    with pytest.raises(ValueError, match="'C' array was changed after it was passed"):
        LATER[name](result)
    for right in (copied, again):
        np.testing.assert_array_equal(LATER[name](right), wanted)
    C *= 2  # exactly what it was
    np.testing.assert_array_equal(LATER[name](result), wanted)


def test_what_was_made_before_stays(problem):
    C, a, b = problem
    result = ot.solve(C, a, b, 0.1)
    plan, before = result.plan, result.plan.copy()
    C[:] = 0
    np.testing.assert_array_equal(result.plan, before)
    assert result.plan is plan


def test_names_of_pot_and_products(problem, rng):
    C, a, b = problem
    result = ot.solve(C, a, b, 0.1)
    P = result.plan
    for name, side in (("a", 0), ("b", 1)):
        found = getattr(result, f"potential_{name}")
        np.testing.assert_array_equal(found, result.potentials[side])
        found = getattr(result, f"marginal_{name}")
        np.testing.assert_allclose(found, P.sum(axis=1 - side), atol=1e-15)
    for shape in ((), (1,), (3,)):
        v, u = rng.normal(size=(7, *shape)), rng.normal(size=(9, *shape))
        np.testing.assert_allclose(result.apply(v), P @ v, atol=1e-15)
        np.testing.assert_allclose(result.apply_transpose(u), P.T @ u, atol=1e-15)
    single = ot.solve(C.astype(np.float32), a, b, 0.1)
    assert single.apply(np.ones(7, np.float32)).dtype == np.float32
    with pytest.raises(ValueError, match=r"'v'.*7"):
        result.apply(np.ones(9))
    with pytest.raises(ValueError, match=r"'u'.*9"):
        result.apply_transpose(np.ones((7, 2)))
    with pytest.raises(ValueError, match=r"'v'.*dimensions"):
        result.apply(np.ones((7, 2, 2)))


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("reg", [1e-1, 1e-5])
def test_loaded_with_its_cost_a_result_has_its_plan(real, reg, problem, tmp_path):
    C, a, b = problem
    C = C.astype(real)
    result = ot.solve(C, a, b, reg, tol=1e-5)
    result.save(tmp_path / "result")
    plain = ot.OTResult.load(tmp_path / "result")
    with pytest.raises(ValueError, match=r"OTResult.load\(path, C=C\)"):
        plain.plan  # noqa: B018
    for cost in (C, np.asfortranarray(C), C.tolist() if real is np.float64 else C):
        loaded = ot.OTResult.load(tmp_path / "result", C=cost)
        for value in LATER.values():
            np.testing.assert_allclose(value(loaded), value(result), atol=1e-12)
    for wrong in (C / 2, C[::-1], 1 - C):
        with pytest.raises(ValueError, match="'C' array is not the cost"):
            ot.OTResult.load(tmp_path / "result", C=wrong)
    with pytest.raises(ValueError, match=r"'C' array must have the shape \(9, 7\)"):
        ot.OTResult.load(tmp_path / "result", C=C.T)
    with pytest.raises(ValueError, match="'C' array was changed"):
        C /= 2
        loaded = ot.OTResult.load(tmp_path / "result", C=2 * C)
        loaded._cost[0] = 0
        loaded.plan  # noqa: B018
