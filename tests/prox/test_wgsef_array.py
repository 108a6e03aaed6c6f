"""The envelope's prox for other array libraries, its derivative, and blocks."""

import importlib

import numpy as np
import pytest

from sparseopt._core._array_api import to_numpy
from sparseopt.prox import (
    Groups,
    prox_wgsef,
    prox_wgsef_blocks,
    prox_wgsef_jvp,
)
from sparseopt.prox import _wgsef_array as portable
from sparseopt.prox._blocks import make_blocks
from sparseopt.prox._wgsef_array import array_prox


def options_of(case, n, rng):
    groups = [None, 3, rng.integers(-1, n // 4, size=n)][case % 3]
    m = Groups.of(groups, n).m
    return m, {
        "groups": groups,
        "weights": rng.uniform(0.5, 2, m) if case % 2 else None,
        "costs": rng.uniform(0.5, 2, m) if case % 4 == 1 else None,
    }


@pytest.fixture(params=["selects", "newton"])
def search(request, monkeypatch):
    """Both searches: with selections, and for libraries that have none."""
    if request.param == "newton":
        monkeypatch.setattr(portable, "_selects", lambda xp: False)
    return request.param


@pytest.mark.parametrize("case", range(12))
def test_portable_form(xp, search, case, rng):
    if xp.__name__ == "torch":
        xp = importlib.import_module("array_api_compat.torch")
    for n in (12, 900):
        m, options = options_of(case, n, rng)
        for x in (
            rng.normal(size=n),
            rng.standard_cauchy(n),
            np.round(rng.normal(size=n)),
        ):
            x *= 10 ** rng.uniform(-3, 3)
            k, lam = int(rng.integers(1, m + 1)), 10 ** rng.uniform(-3, 3)
            debias = min(1.0, 0.2 / lam)
            expected, info = prox_wgsef(
                x, k, lam, debias=debias, return_info=True, **options
            )
            blocks = make_blocks(prox_wgsef, n, k, *options.values())
            w, u, eta = array_prox(xp, xp.asarray(x), blocks, lam, debias)
            tol = 1e-12 * np.abs(x).max()
            np.testing.assert_allclose(np.asarray(w), expected, rtol=0, atol=tol)
            if ((info.u > 1e-6) & (info.u < 1 - 1e-6)).any():  # else any of a range
                assert float(eta) == pytest.approx(info.eta, rel=1e-9)
            np.testing.assert_allclose(np.asarray(u), info.u, atol=1e-9 * (1 + lam))


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("kind", ["normal", "cauchy", "ties", "misleading"])
def test_portable_form_of_long_vectors(kind, case, rng):
    """A sample and a selection come first; a sample that misleads does no harm."""
    n = 40_000 + 20 * case
    x = rng.standard_cauchy(n) if kind == "cauchy" else rng.normal(size=n)
    x = np.round(3 * x) if kind == "ties" else x
    blocks = make_blocks(prox_wgsef, n, 5)
    if kind == "misleading":  # small where the sample looks, for groups of one
        drawn = np.random.default_rng(0).integers(0, n, size=portable._SAMPLE // 4)
        x[drawn] *= 1e-3
    m, options = options_of(case, n - n % 3, rng)
    if kind == "misleading":
        m, options["groups"], options["costs"] = n - n % 3, None, None
        options["weights"] = None
    x = x[: n - n % 3]
    for k in (1, 300, m // 10, m // 2, m - 1):
        lam = 10 ** rng.uniform(-2, 1)
        w, info = prox_wgsef(x, k, lam, return_info=True, **options)
        blocks = make_blocks(prox_wgsef, x.size, k, *options.values())
        found, u, _ = array_prox(np, x, blocks, lam, 0.0)
        tol = 1e-12 * np.abs(x).max()
        np.testing.assert_allclose(found, w, rtol=0, atol=tol)
        np.testing.assert_allclose(u, info.u, atol=1e-9 * (1 + lam))


def test_portable_form_of_odd_input(xp, search):
    if xp.__name__ == "torch":
        xp = importlib.import_module("array_api_compat.torch")
    blocks = make_blocks(prox_wgsef, 4, 2)
    for x in (np.zeros(4), np.array([1.0, 0, 0, 0]), np.array([5e-324, 1, 1, 1])):
        w, _, _ = array_prox(xp, xp.asarray(x), blocks, 1.0, 0.0)
        np.testing.assert_allclose(np.asarray(w), prox_wgsef(x, 2), atol=1e-15)
    for bad in (np.nan, np.inf, -np.inf):
        for groups in (None, 2, [[0, 1], [3]]):
            blocks = make_blocks(prox_wgsef, 4, 1, groups)
            for place in range(4):
                x = np.array([1.0, 4.0, 2.0, 3.0])
                x[place] = bad
                with np.errstate(invalid="ignore"):  # of NumPy alone
                    w, u, _ = array_prox(xp, xp.asarray(x), blocks, 1.0, 0.0)
                assert np.isnan(np.asarray(w)).all() and np.isnan(np.asarray(u)).all()


def test_arrays_of_other_libraries(xp, rng):
    x = rng.normal(size=(4, 6))
    w, info = prox_wgsef(xp.asarray(x), 5, groups=2, return_info=True)
    expected, known = prox_wgsef(x, 5, groups=2, return_info=True)
    assert type(w) is type(xp.asarray(x))
    np.testing.assert_allclose(np.asarray(w), expected, atol=1e-14)
    np.testing.assert_allclose(np.asarray(info.u), known.u, atol=1e-14)
    v = rng.normal(size=(4, 6))
    slope = prox_wgsef_jvp(xp.asarray(x), xp.asarray(v), 5, groups=2)
    known = prox_wgsef_jvp(x, v, 5, groups=2)
    np.testing.assert_allclose(np.asarray(slope), known, atol=1e-13)
    if xp is not np:
        with pytest.raises(TypeError, match="'out'"):
            prox_wgsef(xp.asarray(x), 5, out=np.empty((4, 6)))


def test_arrays_of_a_device(rng):
    """One that NumPy cannot read, as a GPU's: no kernels."""
    strict = pytest.importorskip("array_api_strict")

    def there(x):
        return strict.asarray(x, device=strict.Device("device1"))

    x, v = rng.normal(size=(2, 4, 6))
    w, info = prox_wgsef(there(x), 5, groups=2, return_info=True)
    expected, known = prox_wgsef(x, 5, groups=2, return_info=True)
    assert w.device == info.u.device == strict.Device("device1")
    np.testing.assert_allclose(to_numpy(w), expected, atol=1e-14)
    np.testing.assert_allclose(to_numpy(info.u), known.u, atol=1e-14)
    slope = prox_wgsef_jvp(there(x), there(v), 5, groups=2)
    known = prox_wgsef_jvp(x, v, 5, groups=2)
    np.testing.assert_allclose(to_numpy(slope), known, atol=1e-13)
    with pytest.raises(NotImplementedError, match="'axis'"):
        prox_wgsef(there(x), 2, axis=0)


@pytest.mark.parametrize("case", range(12))
def test_derivative(case, rng):
    n, h = 24, 1e-6
    m, options = options_of(case, n, rng)
    for _ in range(4):
        x, v, z = rng.normal(size=(3, n))
        args = (int(rng.integers(1, m + 1)), 10 ** rng.uniform(-2, 1))
        options["debias"] = min(0.9, 0.2 / args[1])
        slope = prox_wgsef_jvp(x, v, *args, **options)
        up, down = (prox_wgsef(x + s * v, *args, **options) for s in (h, -h))
        np.testing.assert_allclose(slope, (up - down) / (2 * h), atol=1e-6)
        other = prox_wgsef_jvp(x, z, *args, **options)
        assert z @ slope == pytest.approx(v @ other, abs=1e-10)  # symmetric


def test_derivative_at_special_points():
    zeros = np.zeros(4)
    np.testing.assert_array_equal(prox_wgsef_jvp(zeros, zeros + 1, 2), zeros)
    v = np.array([1.0, -2.0, 3.0, 4.0])
    np.testing.assert_array_equal(prox_wgsef_jvp(zeros + 2, v, 2, 0.0), v)
    np.testing.assert_allclose(prox_wgsef_jvp(v, v, 4, 1.0), v / 2)
    assert prox_wgsef_jvp(v.astype(np.float32), v, 2).dtype == np.float32
    big = prox_wgsef_jvp(1e200 * v, v, 2, 0.3)
    np.testing.assert_allclose(big, prox_wgsef_jvp(v, v, 2, 0.3), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"groups": 3, "weights": "sqrt"}])
def test_gradients_of_torch(options, rng):
    torch = pytest.importorskip("torch")
    x = torch.tensor(rng.normal(size=30), requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: prox_wgsef(z, 4, 0.7, **options), x)
    v = torch.tensor(rng.normal(size=30))
    (prox_wgsef(x, 4, 0.7, **options) * v).sum().backward()
    slope = prox_wgsef_jvp(x, v, 4, 0.7, **options)
    np.testing.assert_allclose(x.grad.numpy(), slope.numpy(), atol=1e-12)


def test_recorded_tensors_give_the_same_point(rng):
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor(rng.normal(size=(40, 5)), dtype=dtype)
        for groups in (None, 5, [[0, 7], [9, 11, 150]]):
            plain, known = prox_wgsef(x, 2, 0.7, groups=groups, return_info=True)
            z = x.clone().requires_grad_()
            w, info = prox_wgsef(z, 2, 0.7, groups=groups, return_info=True)
            assert w.requires_grad and w.dtype == dtype
            # the kernels subtract a level, which rounds like the largest entries
            tol = 4 * torch.finfo(dtype).eps * float(x.abs().max())
            torch.testing.assert_close(w.detach(), plain, rtol=0.0, atol=tol)
            np.testing.assert_allclose(info.u.detach().numpy(), known.u, atol=tol)
            assert torch.equal(z.detach(), x)
            assert ((w * x).detach() >= 0).all()  # no sign changes by rounding
    z = torch.tensor([1.0, np.nan, 3.0], requires_grad=True)
    assert prox_wgsef(z, 1, check_finite=False).isnan().all()
    # the result is a function of what is recorded: a second derivative exists
    z = torch.tensor([3.0, 4.0, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda y: prox_wgsef(y, 1, 0.5, groups=2), z)


DATA = {
    "normal": lambda rng, n: rng.normal(size=n),
    "sorted": lambda rng, n: np.sort(rng.standard_cauchy(n)),
    "ties": lambda rng, n: rng.integers(0, 3, size=n).astype(float),
    "zero": lambda rng, n: np.zeros(n),
    "huge": lambda rng, n: 1e300 * rng.normal(size=n),
}


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("n", [600, 120_000])
@pytest.mark.parametrize("size", [1, 4])
def test_blocks(kind, n, size, rng):
    x = DATA[kind](rng, n)
    cuts = np.sort(rng.integers(0, n // size, size=5)) * size
    blocks = [*np.split(x, cuts), np.empty((0, size))]
    for k in (3, n // size // 10, n // size // 2):
        parts = list(prox_wgsef_blocks(blocks, k, 0.8, group_size=size))
        assert [part.shape for part in parts] == [block.shape for block in blocks]
        expected = prox_wgsef(x, k, 0.8, groups=size)
        found = np.concatenate([part.ravel() for part in parts])
        tol = 1e-14 * np.abs(x).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=tol)


def test_blocks_of_files_and_types(tmp_path, rng):
    x = rng.normal(size=(700, 100)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    parts = list(
        prox_wgsef_blocks([mapped[i : i + 100] for i in range(0, 700, 100)], 99)
    )
    found = np.concatenate(parts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, prox_wgsef(x, 99), atol=1e-6)
    assert list(prox_wgsef_blocks([], 3)) == []


def test_blocks_that_are_not_finite():
    blocks = [np.ones(5), np.array([1.0, np.nan])]
    with pytest.raises(ValueError, match="'blocks' array must be finite"):
        prox_wgsef_blocks(blocks, 2)
    parts = prox_wgsef_blocks(blocks, 2, check_finite=False)
    assert all(np.isnan(part).all() for part in parts)


def dask_source(name):
    """A dask collection, and the blocks in memory that it stands for."""
    dask, array = pytest.importorskip("dask"), pytest.importorskip("dask.array")
    x = np.random.default_rng(3).normal(size=(90, 1000))
    rows = [x[i : i + 20] for i in range(0, 90, 20)]
    whole = array.from_array(x, chunks=(20, 1000))
    if name == "tiles":
        source = array.from_array(x, chunks=(20, (700, 300)))
        return source, [part for y in rows for part in (y[:, :700], y[:, 700:])]
    if name == "float32":
        return whole.astype(np.float32), [part.astype(np.float32) for part in rows]
    if name == "computed":
        return 2.0 * whole.ravel(), [2.0 * part for part in rows]
    if name.startswith("bag"):
        bag = pytest.importorskip("dask.bag")
        if name == "bag of arrays":
            return bag.from_sequence(rows, npartitions=2), rows
        return bag.from_delayed([dask.delayed([part]) for part in rows]), rows
    return {
        "array": whole,
        "unknown sizes": whole[whole > -1e9].ravel(),
        "delayed": [dask.delayed(part) for part in rows],
        "arrays": [array.from_array(part, chunks=7) for part in rows],
    }[name], rows


DASK = ("array", "tiles", "float32", "computed", "unknown sizes", "bag of arrays")
DASK += ("bag of one array each", "delayed", "arrays")


@pytest.mark.parametrize("name", DASK)
@pytest.mark.parametrize("size", [1, 10])
def test_blocks_of_dask(name, size):
    """What is computed part by part equals, to the last bit, what lies in memory."""
    source, rows = dask_source(name)
    expected = list(prox_wgsef_blocks(rows, 400, group_size=size))
    found = list(prox_wgsef_blocks(source, 400, group_size=size))
    assert len(found) == len(expected)
    for part, other in zip(found, expected, strict=True):
        assert part.dtype == other.dtype
        np.testing.assert_array_equal(part.reshape(other.shape), other)
    if name == "array":
        whole = prox_wgsef(np.concatenate(rows), 400, groups=size)
        tol = 1e-14 * np.abs(np.concatenate(rows)).max()
        np.testing.assert_allclose(np.concatenate(found), whole, rtol=0, atol=tol)


def test_blocks_of_a_bag_of_numbers(rng):
    bag = pytest.importorskip("dask.bag")
    x = rng.normal(size=1000)
    source = bag.from_sequence(x.tolist(), npartitions=3)
    parts = list(prox_wgsef_blocks(source, 50))
    np.testing.assert_allclose(np.concatenate(parts), prox_wgsef(x, 50), atol=1e-14)


def test_blocks_of_dask_are_checked():
    array = pytest.importorskip("dask.array")
    source = array.from_array(np.array([1.0, np.nan, 2.0, 3.0]), chunks=2)
    with pytest.raises(ValueError, match="'blocks' array must be finite"):
        prox_wgsef_blocks(source, 2)
    with pytest.raises(ValueError, match=r"'group_size' .* Got 3 for one of 2"):
        prox_wgsef_blocks(array.ones(4, chunks=2), 1, group_size=3)
    with pytest.raises(TypeError, match="can be started again"):
        prox_wgsef_blocks(iter([np.ones(3)]), 1)
