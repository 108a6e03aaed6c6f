"""SinkhornTransport: maps of fitted and new points, labels, pipelines, bad input."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparseopt import ot
from sparseopt.exceptions import ConvergenceWarning
from sparseopt.ot import SinkhornTransport


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 3)), rng.normal(size=(55, 3)) + np.array([4, 0, 0])


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cityblock"])
@pytest.mark.parametrize("norm", ["max", "median", None])
def test_fit_is_solve_on_the_scaled_cost(clouds, metric, norm):
    Xs, Xt = clouds
    C = cdist(Xs, Xt, metric)
    scale = {"max": C.max(), "median": np.median(C), None: 1.0}[norm]
    model = SinkhornTransport(0.05, metric=metric, norm=norm, tol=1e-11)
    model.fit(Xs, Xt=Xt)
    np.testing.assert_allclose(model.cost_, C / scale, rtol=1e-12)
    expected = ot.solve(C / scale, reg=0.05, tol=1e-11)
    np.testing.assert_allclose(model.coupling_, expected.plan, atol=1e-12)
    assert model.result_.converged
    assert model.scale_ == pytest.approx(scale)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cityblock"])
def test_softmin_map_of_fitted_points_is_the_barycentric_map(clouds, metric):
    Xs, Xt = clouds
    model = SinkhornTransport(0.02, metric=metric, tol=1e-12).fit(Xs, Xt=Xt)
    rows = model.coupling_ / model.coupling_.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.transform(Xs), rows @ Xt, atol=1e-9)
    columns = model.coupling_ / model.coupling_.sum(axis=0)
    np.testing.assert_allclose(model.inverse_transform(Xt), columns.T @ Xs, atol=1e-7)


def test_new_points_do_not_depend_on_the_others(clouds):
    Xs, Xt = clouds
    model = SinkhornTransport(0.02).fit(Xs, Xt=Xt)
    new = Xs[:7] + 0.1
    together = model.transform(new)
    for point, image in zip(new, together, strict=True):
        np.testing.assert_allclose(model.transform(point[None])[0], image, atol=1e-12)
    # images are averages of target points
    assert (together >= Xt.min(axis=0)).all() and (together <= Xt.max(axis=0)).all()


def test_nearest_keeps_the_offset(clouds):
    Xs, Xt = clouds
    model = SinkhornTransport(0.02, out_of_sample="nearest").fit(Xs, Xt=Xt)
    fitted = model.transform(Xs)
    np.testing.assert_allclose(fitted, model.result_.a_to_b(Xt), atol=1e-12)
    nudge = np.array([1e-3, -1e-3, 0])
    np.testing.assert_allclose(model.transform(Xs + nudge), fitted + nudge, atol=1e-12)
    back = model.inverse_transform(Xt)
    np.testing.assert_allclose(back, model.result_.b_to_a(Xs), atol=1e-12)


def test_tiny_reg_and_far_points_give_no_nan(clouds):
    Xs, Xt = clouds
    model = SinkhornTransport(1e-5).fit(Xs, Xt=Xt)
    assert np.isfinite(model.transform(Xs * 1e3)).all()


def test_a_shift_is_found(clouds):
    Xs, _ = clouds
    moved = SinkhornTransport(1e-3, norm=None).fit(Xs, Xt=Xs + 10).transform(Xs)
    np.testing.assert_allclose(moved, Xs + 10, atol=1e-6)


def test_masses(clouds):
    Xs, Xt = clouds
    mu_s = np.linspace(0, 1, 40)
    mu_t = np.r_[np.zeros(5), np.ones(50)] * mu_s.sum() / 50
    model = SinkhornTransport(0.1).fit(Xs, Xt=Xt, mu_s=mu_s, mu_t=mu_t)
    np.testing.assert_allclose(model.mu_s_, mu_s, atol=1e-12)
    np.testing.assert_allclose(model.mu_t_, mu_t, atol=1e-7)
    assert (model.coupling_[0] == 0).all() and (model.coupling_[:, :5] == 0).all()
    assert np.isfinite(model.transform(Xs)).all()
    assert np.isfinite(model.inverse_transform(Xt)).all()
    nearest = clone(model).set_params(out_of_sample="nearest")
    nearest.fit(Xs, Xt=Xt, mu_s=mu_s, mu_t=mu_t)
    assert np.isfinite(nearest.transform(Xs)).all()


def test_labels_keep_classes_apart():
    rng = np.random.default_rng(2)
    Xs, Xt = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    y, yt = np.arange(30) % 2, (np.arange(30) + 1) % 2
    free = SinkhornTransport(1e-2).fit(Xs, y, Xt, yt=None)
    bound = SinkhornTransport(1e-2).fit(Xs, y, Xt, yt=yt)
    differ = y[:, None] != yt
    assert free.coupling_[differ].sum() > 0.1
    assert bound.coupling_[differ].sum() < 1e-9
    unknown = SinkhornTransport(1e-2).fit(Xs, y, Xt, yt=np.full(30, -1))
    np.testing.assert_allclose(unknown.coupling_, free.coupling_, atol=1e-12)
    np.testing.assert_array_equal(bound.transform_labels(y), yt)
    names = np.array(["cat", "dog"])[y]
    assert set(bound.transform_labels(names)) == {"cat", "dog"}


def test_domain_adaptation_in_a_pipeline():
    rng = np.random.default_rng(3)
    y = np.arange(200) % 2
    Xs = rng.normal(scale=0.3, size=(200, 2)) + np.c_[y * 2.0, y * 0.0]
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    Xt = Xs[rng.permutation(200)] @ turn + [3, -2]
    yt = ((Xt - [3, -2]) @ turn.T)[:, 0] > 1
    plain = LogisticRegression().fit(Xs, y).score(Xt, yt)
    mover = make_pipeline(SinkhornTransport(1e-3))
    moved = mover.fit(Xs, None, sinkhorntransport__Xt=Xt).transform(Xs)
    adapted = LogisticRegression().fit(moved, y).score(Xt, yt)
    assert plain < 0.8 < adapted


def test_pipeline_without_a_target_maps_to_itself(clouds):
    Xs, _ = clouds
    pipe = make_pipeline(StandardScaler(), SinkhornTransport(1e-4))
    with pytest.warns(UserWarning, match="no target 'Xt'"):
        out = pipe.fit_transform(Xs)
    np.testing.assert_allclose(out, pipe[0].transform(Xs), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_are_kept(clouds, dtype):
    Xs, Xt = (X.astype(dtype) for X in clouds)
    for kind in ("softmin", "nearest"):
        model = SinkhornTransport(0.05, out_of_sample=kind).fit(Xs, Xt=Xt)
        assert model.coupling_.dtype == dtype
        assert model.transform(Xs).dtype == dtype
        assert model.inverse_transform(Xt).dtype == dtype


def test_one_point_and_equal_points():
    model = SinkhornTransport().fit([[1.0, 2.0]], Xt=[[5.0, 6.0]])
    np.testing.assert_allclose(model.transform([[0.0, 0.0]]), [[5.0, 6.0]])
    same = np.ones((4, 2))
    moved = SinkhornTransport().fit(same, Xt=same).transform(same)
    np.testing.assert_allclose(moved, same)


BAD = [
    ({"reg": 0}, ValueError, "'reg' parameter of .*SinkhornTransport.*Got 0"),
    ({"metric": "cosine"}, ValueError, "'metric'.*'cityblock'.*'cosine'"),
    ({"norm": "mean"}, ValueError, "'norm'.*'max'.*'mean'"),
    ({"out_of_sample": "far"}, ValueError, "'out_of_sample'.*'far'"),
    ({"limit_max": -1}, ValueError, "'limit_max'.*-1"),
    ({"method": "emd"}, ValueError, "'method'.*'emd'"),
    ({"tol": 0}, ValueError, "'tol'"),
]


@pytest.mark.parametrize(("params", "error", "text"), BAD)
def test_bad_parameters(clouds, params, error, text):
    Xs, Xt = clouds
    with pytest.raises(error, match=text):
        SinkhornTransport(**params).fit(Xs, Xt=Xt)


def test_bad_data(clouds):
    Xs, Xt = clouds
    with pytest.raises(ValueError, match=r"'Xt'.*3 features.*Got 2"):
        SinkhornTransport().fit(Xs, Xt=Xt[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        SinkhornTransport().fit(Xs, Xt=np.where(Xt > 4, np.nan, Xt))
    model = SinkhornTransport(0.1).fit(Xs, Xt=Xt)
    with pytest.raises(ValueError, match=r"'ys'.*length 40.*5"):
        model.transform_labels(np.zeros(5))
    with pytest.raises(ValueError, match=r"'X'.*3 features.*Got 1"):
        model.inverse_transform(Xt[:, :1])
    with pytest.raises(ValueError, match="one label for each of the 55 samples"):
        SinkhornTransport(0.1).fit(Xs, np.zeros(40), Xt, np.zeros(3))


def test_target_labels_alone(clouds):
    Xs, Xt = clouds
    with pytest.raises(ValueError, match=r"'yt'.*'y'"):
        SinkhornTransport(0.1).fit(Xs, Xt=Xt, yt=np.zeros(55))


def test_overflowing_features(clouds):
    Xs, Xt = clouds
    with pytest.raises(ValueError, match=r"'sqeuclidean' distances.*overflow"):
        SinkhornTransport(0.1).fit(Xs * 1e200, Xt=Xt)
    model = SinkhornTransport(0.1).fit(Xs, Xt=Xt)
    with pytest.raises(ValueError, match=r"distances.*overflow"):
        model.transform(Xs * 1e200)


def test_fitted_samples_are_copies(clouds):
    Xs, Xt = clouds
    kept = Xs.copy()
    model = SinkhornTransport(0.1).fit(Xs, Xt=Xt)
    before = model.transform(kept)
    Xs[:] = 0
    Xt[:] = 0
    np.testing.assert_array_equal(model.transform(kept), before)


def test_feature_names(clouds):
    pandas = pytest.importorskip("pandas")
    Xs, Xt = (pandas.DataFrame(X, columns=list("abc")) for X in clouds)
    model = SinkhornTransport(0.1).fit(Xs, Xt=Xt)
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    assert model.transform(Xs).shape == (40, 3)
    with pytest.raises(ValueError, match="feature names"):
        SinkhornTransport(0.1).fit(Xs, Xt=Xt[["b", "a", "c"]])


def test_target_as_second_argument(clouds):
    Xs, Xt = clouds
    model = SinkhornTransport(0.05).fit(Xs, Xt)
    wanted = SinkhornTransport(0.05).fit(Xs, Xt=Xt)
    np.testing.assert_array_equal(model.coupling_, wanted.coupling_)
    with pytest.raises(ValueError, match=r"'Xt'.*3 features.*Got 2"):
        SinkhornTransport().fit(Xs, Xt[:, :2])


@pytest.mark.parametrize("labels", [np.arange(30) % 2, np.array(["x", "y"] * 15)])
def test_labelled_points_follow_the_plan(labels):
    """The formula for new points knows no labels; fitted points have their own rows."""
    rng = np.random.default_rng(4)
    Xs, Xt = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    model = SinkhornTransport(1e-2, tol=1e-12).fit(Xs, labels, Xt, labels[::-1])
    rows = model.coupling_ / model.coupling_.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.transform(Xs), rows @ Xt, atol=1e-9)
    columns = model.coupling_ / model.coupling_.sum(axis=0)
    np.testing.assert_allclose(model.inverse_transform(Xt), columns.T @ Xs, atol=1e-9)
    for k in range(30):
        np.testing.assert_allclose(model.transform(Xs[k : k + 1])[0], rows[k] @ Xt)
        back = model.inverse_transform(Xt[k : k + 1])[0]
        np.testing.assert_allclose(back, columns[:, k] @ Xs)


@pytest.mark.parametrize("name", ["mu_s", "mu_t"])
def test_bad_masses_are_named(clouds, name):
    Xs, Xt = clouds
    n = len(Xs) if name == "mu_s" else len(Xt)
    cases = [(np.ones(3), f"length {n}. Got length 3"), (-np.ones(n), "negative")]
    for masses, text in cases:
        with pytest.raises(ValueError, match=f"'{name}'.*{text}"):
            SinkhornTransport().fit(Xs, Xt=Xt, **{name: masses})


def test_clone_and_parameters(clouds):
    Xs, Xt = clouds
    model = SinkhornTransport(0.3, norm=None, max_iter=7, out_of_sample="nearest")
    twin = clone(model.fit(Xs * 1e-3, Xt=Xt * 1e-3))
    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "coupling_")


def test_limits_reach_the_solver(clouds):
    Xs, Xt = clouds
    model = SinkhornTransport(1e-4, method="sinkhorn", max_iter=2)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model.fit(Xs, Xt=Xt)
    assert model.n_iter_ == 2
    seen = []
    model = SinkhornTransport(1e-4, callback=lambda state: seen.append(state.n_iter))
    model.fit(Xs, Xt=Xt)
    assert seen == list(range(1, model.n_iter_ + 1))


def test_feature_names_out():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(
        np.random.default_rng(0).normal(size=(6, 2)), columns=["u", "v"]
    )
    names = SinkhornTransport(reg=0.1).fit(X, Xt=X).get_feature_names_out()
    assert list(names) == ["u", "v"]
