"""Parameters of penalties: errors, names, shapes of coefficients."""

import copy
import math

import numpy as np
import pytest

from sparseopt import prox as p

NAN = math.nan
W = [0.5, 1.0, 2.0, 3.0]


def tree(groups, **options):
    return p.TreeGroupLasso(groups=groups, **options)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: p.L1(-1.0), ValueError, r"'lam' .*prox\.L1 must be a float in \[0"),
        (lambda: p.L1(NAN), ValueError, "'lam' parameter of sparseopt.prox.L1"),
        (lambda: p.L1(math.inf), ValueError, "Got inf"),
        (lambda: p.L1("a"), TypeError, "'lam' parameter"),
        (lambda: p.L1(True), TypeError, "Got True"),
        (lambda: p.L1(1j), TypeError, "'lam' parameter"),
        (lambda: p.L1(positive=1), TypeError, "'positive' parameter"),
        (lambda: p.L1(weights=[1.0, -2.0]), ValueError, "Got -2.0 at index 1"),
        (lambda: p.L1(weights=[1.0, NAN]), ValueError, "Got nan at index 1"),
        (lambda: p.L1(weights=["a"]), TypeError, "'weights' array"),
        (lambda: p.L1(weights=[1j]), ValueError, "must be real"),
        (lambda: p.L1(weights=3.0), TypeError, "one or two dimensions"),
        (lambda: p.ElasticNet(1.0, 1.5), ValueError, "'l1_ratio' parameter"),
        (lambda: p.Ridge(-1), ValueError, "'lam' parameter"),
        (lambda: p.MCP(1.0, 1.0), ValueError, "'gamma' parameter"),
        (lambda: p.SCAD(1.0, 2.0), ValueError, "'gamma' parameter"),
        (lambda: p.LogSum(1.0, 0.0), ValueError, "'eps' parameter"),
        (lambda: p.Lq(1.0, 0.0), ValueError, "'q' parameter"),
        (lambda: p.Lq(1.0, 2.5), ValueError, "'q' parameter"),
        (lambda: p.L0Ball(1.5), TypeError, "'k' parameter of sparseopt.prox.L0Ball"),
        (lambda: p.L0Ball(-1), ValueError, "'k' parameter"),
        (lambda: p.WGSEF(0), ValueError, "'k' parameter of sparseopt.prox.WGSEF"),
        (lambda: p.WGSEF(True), TypeError, "'k' parameter"),
        (lambda: p.WGSEF(1, debias=2.0), ValueError, "'debias' parameter"),
        (lambda: p.KSupport(2.0), TypeError, "'k' parameter"),
        (lambda: p.BoxNorm(1.0, 0.5, 2.0), ValueError, "'lower' parameter"),
        (lambda: p.BoxNorm(0.0, 1.0, 0.0), ValueError, "'total' parameter"),
        (lambda: p.GroupLasso(groups=0), ValueError, "'groups' parameter"),
        (lambda: p.GroupLasso(groups="a"), TypeError, "'groups' parameter"),
        (lambda: p.GroupLasso(groups=2.0), TypeError, "'groups' parameter"),
        (lambda: p.GroupLasso(weights="cube"), ValueError, "'weights' parameter"),
        (lambda: p.GroupLasso(weights=[0.0]), ValueError, "finite and positive"),
        (lambda: p.GroupLasso(rows=1), TypeError, "'rows' parameter"),
        (lambda: p.SLOPE([1.0, 2.0]), ValueError, "must not increase"),
        (lambda: p.SLOPE([1.0, -2.0]), ValueError, "'lam' array"),
        (lambda: p.SLOPE([1.0], weights=[1.0]), ValueError, "must be None"),
        (lambda: p.TV1D(weights=[-1.0]), ValueError, "'weights' array"),
        (lambda: p.FusedLasso(1.0, -0.1), ValueError, "'l1_ratio' parameter"),
        (lambda: p.TV2D(tol=0.0), ValueError, "'tol' parameter"),
        (lambda: tree([[0, 1], [1, 2]]), ValueError, "must be a tree.*groups 0 and 1"),
        (lambda: tree([[0, 1, 2], [2, 3], [2]]), ValueError, "such as 2. See"),
        (lambda: tree([]), ValueError, "must hold a group"),
        (lambda: tree([[0], []]), ValueError, "at position 1"),
        (lambda: tree([[0, 0]]), ValueError, "Got 0 in group 0"),
        (lambda: tree([[-1, 0]]), ValueError, "Got -1 in group 0"),
        (lambda: tree([[0.5]]), TypeError, "at position 0"),
        (lambda: tree(3), TypeError, "'groups' parameter"),
        (lambda: tree([[0]], weights=[1.0, 2.0]), ValueError, "each of 1 groups"),
        (lambda: tree([[0]], weights=[0.0]), ValueError, "Got 0.0 at index 0"),
        (lambda: tree([[0]], weights=["a"]), TypeError, "'weights' array"),
        (lambda: tree([[0]], weights="cube"), ValueError, "'weights' parameter"),
        (lambda: p.TrendFilter(1.0, 4), ValueError, "'order' parameter"),
        (lambda: p.TrendFilter(1.0, 1.0), TypeError, "'order' parameter"),
        (lambda: p.TrendFilter(tol=0.0), ValueError, "'tol' parameter"),
        (lambda: p.SpectralKSupport(0), ValueError, "'k' parameter"),
        (lambda: p.SpectralBoxNorm(1.0, 0.5, 2.0), ValueError, "'lower' parameter"),
        (lambda: p.Box(1.0, 0.0), ValueError, "Got 1.0 and 0.0"),
        (lambda: p.Box(NAN), ValueError, "must not be NaN"),
        (lambda: p.Box([0.0, 1.0], [1.0] * 3), ValueError, "one shape"),
        (lambda: p.Box("a"), TypeError, "'lower' parameter"),
        (lambda: p.Simplex(0.0), ValueError, "'total' parameter"),
        (lambda: p.L1Ball(-1.0), ValueError, "'radius' parameter"),
        (lambda: p.L1().with_lam(-1.0), ValueError, "'lam' parameter"),
    ],
)
def test_bad_parameters(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("penalty", "shape", "match"),
    [
        (p.L1(weights=[1.0, 2.0]), (3,), r"shape \(2,\)"),
        (p.Box([0.0, 1.0], 2.0), (3,), r"shape \(2,\)"),
        (p.GroupLasso(groups=2), (3,), "divisor"),
        (p.GroupLasso(groups=[[0, 1], [1, 2]]), (3,), "disjoint"),
        (p.GroupLasso(groups=[[0, 9]]), (3,), "indices in"),
        (p.GroupLasso(groups=3, weights=[1.0, 2.0]), (3,), "shape"),
        (p.WGSEF(4), (3,), "'k' parameter"),
        (p.SLOPE([2.0, 1.0]), (3,), "weights"),
        (p.TV1D(weights=[2.0]), (3,), "weights"),
        (p.TreeGroupLasso(groups=[[0, 4]]), (3,), "indices in"),
        (p.SpectralKSupport(4), (3, 5), "'k' parameter"),
        (p.SpectralKSupport(2), (3,), "2 dimensions"),
        (p.SpectralBoxNorm(0.5, 1.0, 1.0), (3, 5), "'total' parameter"),
    ],
)
def test_coefficients_that_do_not_fit(penalty, shape, match):
    with pytest.raises(ValueError, match=match):
        penalty.prox(np.ones(shape))


def test_repr_names_what_differs():
    assert repr(p.L1(0.5)) == "L1(lam=0.5)"
    assert repr(p.L1(1.0, weights=[1.0, 2.0])) == (
        "L1(lam=1.0, weights=<array of shape (2,)>)"
    )
    assert repr(p.WGSEF(3, 0.5, rows=True)) == "WGSEF(k=3, lam=0.5, rows=True)"
    assert repr(p.NonNegative()) == "NonNegative()"
    assert repr(p.Box(-1.0, 1.0)) == "Box(lower=-1.0, upper=1.0)"


def test_given_arrays_are_not_kept():
    weights = np.ones(3)
    groups = np.array([0, 0, 1])
    penalties = p.L1(weights=weights), p.GroupLasso(groups=groups, weights=None)
    values = [penalty.value(np.ones(3)) for penalty in penalties]
    weights[0], groups[0] = 9.0, 1
    assert [penalty.value(np.ones(3)) for penalty in penalties] == values


def test_numpy_scalars_are_numbers():
    penalty = p.L1(np.float32(0.5))
    assert type(penalty.lam) is float
    assert type(p.L0Ball(np.int64(2)).k) is int


def test_copies_are_apart():
    penalty = p.GroupLasso(1.0, groups=2)
    x = np.arange(4.0)
    other = penalty.with_lam(2.0)
    assert other.value(x) == 2.0 * penalty.value(x)
    assert penalty.lam == 1.0
    again = copy.deepcopy(penalty)
    np.testing.assert_array_equal(again.prox(x), penalty.prox(x))


def test_rows_of_a_matrix():
    """With rows the outputs share groups, without each output has its own."""
    w = np.random.default_rng(0).standard_normal((6, 3))
    groups = [[0, 4], [1, 2]]
    joint = p.GroupLasso(0.7, groups=groups, rows=True)
    apart = p.GroupLasso(0.7, groups=groups)
    size = np.sqrt(2)
    expected = sum(size * np.linalg.norm(w[g]) for g in groups)
    assert joint.value(w) == pytest.approx(0.7 * expected)
    expected = sum(size * np.linalg.norm(w[g, t]) for g in groups for t in range(3))
    assert apart.value(w) == pytest.approx(0.7 * expected)
    columns = [apart.prox(w[:, t].copy()) for t in range(3)]
    np.testing.assert_allclose(apart.prox(w), np.stack(columns, axis=1))
    assert joint.subdiff_distance(w, w).shape == (2 + 2 * 3,)  # free entries last
    assert apart.subdiff_distance(w, w).shape == (2 * 3 + 2 * 3,)
    assert joint.groups(6).m == 2
    l21 = p.GroupLasso(0.7, rows=True)
    assert l21.value(w) == pytest.approx(0.7 * np.linalg.norm(w, axis=1).sum())
    assert p.GroupLasso(0.7).value(w) == pytest.approx(0.7 * np.abs(w).sum())


def test_row_counts_of_the_envelope():
    """k rows, not k entries, are free of the relaxation."""
    w = np.zeros((5, 4))
    w[1], w[3] = 1.0, -2.0
    assert p.WGSEF(2, rows=True).value(w) == pytest.approx(0.5 * np.sum(w * w))
    assert p.WGSEF(2).value(w) > 0.5 * np.sum(w * w)


def test_what_separates():
    assert p.L1().groups(5).m == 5
    assert p.GroupLasso(groups=[[0, 1], [3]]).groups(5).m == 2
    assert p.L2().groups(5).m == 1
    for penalty in (p.WGSEF(2), p.SLOPE(), p.TV1D(), p.KSupport(2), p.Nuclear()):
        assert penalty.groups(5) is None
        assert penalty.coordinate(5) is None


def test_no_conjugate_without_convexity():
    for penalty in (p.MCP(), p.L0(), p.Lq(1.0, 0.5), p.WGSEF(2, debias=0.5)):
        assert not penalty.is_convex
        with pytest.raises(NotImplementedError, match="no known conjugate"):
            penalty.conjugate(np.ones(3))
        with pytest.raises(NotImplementedError, match="no known conjugate"):
            penalty.dual_scale(np.ones(3))


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_extreme_scales(scale):
    """Homogeneous penalties are that at any scale."""
    x = scale * np.array([3.0, -2.0, 1.0, 0.5])
    norms = p.GroupLasso(groups=2), p.L2(), p.KSupport(2), p.SLOPE(), p.Linf()
    tree_norm = tree([[0, 1, 2], [1, 2]])
    for penalty in (*norms, p.SparseGroupLasso(groups=2), p.FusedLasso(), tree_norm):
        unit = penalty.value(x / scale)
        assert penalty.value(x) == pytest.approx(scale * unit, rel=1e-12)
        dual = penalty.dual_norm(x / scale)
        assert penalty.dual_norm(x) == pytest.approx(scale * dual, rel=1e-12)


def test_fixed_point_distance_asks_whether_leaving_pays():
    """At 0 every slope is a subgradient of l0, but a large one pays."""
    w, grad = np.zeros(2), np.array([0.1, 5.0])
    assert not p.L0(1.0).subdiff_distance(w, grad).any()
    distance = p.L0(1.0).fixed_point_distance(w, grad, 1.0)
    np.testing.assert_array_equal(distance, [0.0, 5.0])


def test_sizes_of_groups_may_be_numpy_integers():
    for penalty in (p.GroupLasso(groups=np.int64(2)), p.WGSEF(1, groups=np.int8(2))):
        parts = penalty.groups(4)  # the method, and not the number
        assert parts is None or parts.m == 2
        assert "groups=2" in repr(penalty)


def test_labels_may_be_columns_and_ranges():
    pandas = pytest.importorskip("pandas")
    w = np.array([3.0, 4.0, 0.0, 12.0])
    labels = pandas.Series(["b", "b", "a", "a"])
    for groups in (labels, labels.astype("category"), pandas.Series([1, 1, 0, 0])):
        penalty = p.GroupLasso(groups=groups, weights=pandas.Series([1.0, 2.0]))
        assert penalty.value(w) == pytest.approx(12.0 + 2.0 * 5.0)
        assert copy.deepcopy(penalty).value(w) == penalty.value(w)
    assert p.GroupLasso(groups=range(4)).value(w) == pytest.approx(19.0)


@pytest.mark.parametrize(
    ("penalty", "shape", "match"),
    [
        (p.TV1D(weights=np.ones(5)), (4,), "one number for each difference of 4"),
        (p.Nuclear(), (4,), "penalty of matrices.*Got 'coef' of shape"),
        (p.Translated(p.L1(), np.ones(3)), (4,), r"'shift' array .*shape \(4,\)"),
        (p.Orthonormal(p.L1(), np.eye(3)), (4,), "'matrix' array .*each coefficient"),
    ],
)
def test_coefficients_of_another_shape(penalty, shape, match):
    for method in (penalty.value, penalty.conjugate):
        with pytest.raises(ValueError, match=match):
            method(np.ones(shape))


def test_shift_by_one_number():
    v = np.array([0.5, -0.25])
    assert p.Translated(p.L1(), 2.0).conjugate(v) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda bad: p.L1(weights=bad), "'weights' array must have rows"),
        (lambda bad: p.GroupLasso(weights=bad), "'weights' array must have rows"),
        (lambda bad: p.SLOPE(bad), "'lam' array must have rows"),
        (lambda bad: p.Box(bad, 1.0), "'lower' array must have rows"),
        (lambda bad: tree([[0]], weights=bad), "'weights' array must have rows"),
        (lambda bad: p.prox_wgsef([1.0, 2.0], 1, weights=bad), "'weights' array must"),
        (lambda bad: p.prox_wgsef([1.0, 2.0], 1, costs=bad), "'costs' array must"),
        (lambda bad: p.project_simplex([1.0], weights=bad), "'weights' array must"),
        (lambda bad: p.project_capped_simplex([1.0], 1.0, upper=bad), "'upper' array"),
    ],
)
def test_ragged_lists(make, match):
    with pytest.raises(ValueError, match=match):
        make([[0.0, 1.0], [2.0]])


def test_matrices_are_no_slope_weights():
    for make in (lambda: p.SLOPE([[2.0, 1.0]]), lambda: p.SLOPE(weights=[[]])):
        with pytest.raises(ValueError, match="must have 1 dimension"):
            make()


def test_projections_that_are_none():
    first = p.ConvexSet(lambda w: w[:1])
    for method in (first.value, first.prox):
        with pytest.raises(ValueError, match=r"'projection' of .*ConvexSet must .*\(3"):
            method(np.ones(3))


@pytest.mark.parametrize("name", [*p.__all__])
def test_points_may_be_lists(name):
    """Each method answers as it does for the array."""
    make = getattr(p, name)
    given = {"KSupport": (2,), "WGSEF": (2,), "L0Ball": (2,)}.get(name, ())
    base = (p.Penalty, p.ConvexSet)
    if not (isinstance(make, type) and issubclass(make, p.Penalty)) or make in base:
        return
    try:
        penalty = make(*given)
    except TypeError:  # made of other penalties
        penalty = make(p.L1()) if name in ("Positive", "Scaled") else p.L1()
    w = np.array([[0.5, 1.0], [2.0, 3.0]] if name[:7] in ("Nuclear", "TV2D") else W)
    for method in ("value", "prox", "conjugate", "critical_lam"):
        call = getattr(penalty, method)
        try:
            expected = call(w)
        except NotImplementedError:
            continue
        np.testing.assert_array_equal(call(w.tolist()), expected)
    distance = penalty.subdiff_distance(w.tolist(), -w)
    np.testing.assert_array_equal(distance, penalty.subdiff_distance(w, -w))
    np.testing.assert_array_equal(penalty.prox(w=w, step=0.5), penalty.prox(w, 0.5))
    with pytest.raises(TypeError, match="'w' array must hold real numbers"):
        penalty.prox(["a", "b"])


def test_sums_of_many():
    total = sum([p.L1(0.25), p.Ridge(0.5)])
    assert total.value([2.0]) == (p.L1(0.25) + p.Ridge(0.5)).value([2.0])
    with pytest.raises(TypeError, match="unsupported operand"):
        1 + p.L1()


def test_labels_that_are_hashes():
    """They differ by less than float64 resolves."""
    labels = np.array([2**63, 2**63 + 1, 2**63], dtype=np.uint64)
    assert p.Groups.of(labels, 3).m == 2
    assert [part.tolist() for part in p.Groups.of(labels, 3).lists()] == [[0, 2], [1]]
