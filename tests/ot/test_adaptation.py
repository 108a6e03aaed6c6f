"""SinkhornTransport where labels are odd, and as a step whose target is routed."""

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sparseopt.ot import SinkhornTransport

NAN = float("nan")


@pytest.fixture
def samples(rng):
    """Classes lie across each other, so that free transport mixes them."""
    k = np.arange(40) % 2
    return rng.normal(size=(40, 2)), k, rng.normal(size=(40, 2)), k[::-1]


def crossing(model, differ):
    return model.coupling_[differ].sum() / model.coupling_.sum()


@pytest.mark.parametrize(
    "names",
    [[0, 1], [-1, 1], [1, -1], [-1.0, 1.0], ["a", "b"], [False, True], [-1, -2]],
)
@pytest.mark.parametrize("kind", [np.array, list])
def test_names_of_classes_do_not_matter(names, kind, samples):
    Xs, k, Xt, kt = samples
    y, yt = (kind(np.array(names)[i].tolist()) for i in (k, kt))
    model = SinkhornTransport(1e-2).fit(Xs, y, Xt, yt)
    assert crossing(model, k[:, None] != kt) < 1e-12
    free = SinkhornTransport(1e-2).fit(Xs, y, Xt)
    assert crossing(free, k[:, None] != kt) > 0.1


@pytest.mark.parametrize(
    ("names", "unknown"),
    [([0, 1], -1), ([0, 1], None), ([-1.0, 1.0], NAN), ([-1, 1], None),
     (["a", "b"], None), (["a", "b"], -1), ([0.0, 1.0], -1)],
)  # fmt: skip
def test_unknown_labels_are_free(names, unknown, samples):
    Xs, k, Xt, kt = samples
    y, yt = (np.array(names, dtype=object)[i] for i in (k, kt))
    yt[:20] = unknown
    if isinstance(unknown, float):
        yt = yt.astype(float)
    model = SinkhornTransport(1e-2).fit(Xs, y, Xt, yt)
    differ = k[:, None] != kt
    assert crossing(model, differ & (np.arange(40) >= 20)) < 1e-12
    assert crossing(model, differ & (np.arange(40) < 20)) > 0.05
    nothing = SinkhornTransport(1e-2).fit(Xs, y, Xt, np.full(40, unknown))
    free = SinkhornTransport(1e-2).fit(Xs, y, Xt)
    np.testing.assert_allclose(nothing.coupling_, free.coupling_, atol=1e-12)


@pytest.mark.parametrize("side", ["y", "yt"])
def test_continuous_labels_are_refused(side, samples, rng):
    Xs, k, Xt, kt = samples
    labels = {"y": k, "yt": kt, side: rng.normal(size=40)}
    with pytest.raises(ValueError, match=f"'{side}' array must hold labels of classes"):
        SinkhornTransport().fit(Xs, labels["y"], Xt, labels["yt"])


@pytest.mark.parametrize("out_of_sample", ["softmin", "nearest", "identity"])
@pytest.mark.parametrize("labelled", [True, False])
def test_the_image_of_a_point_does_not_depend_on_its_company(
    out_of_sample, labelled, samples
):
    Xs, k, Xt, kt = samples
    Xs[7] = Xs[4] = Xs[3]  # with the classes 1, 0, 1
    Xt[9] = Xt[8]
    model = SinkhornTransport(1e-2, out_of_sample=out_of_sample)
    model.fit(Xs, k, Xt, kt if labelled else None)
    for move, X in ((model.transform, Xs), (model.inverse_transform, Xt)):
        new = np.r_[X, X + 0.05]
        whole = move(new)
        order = np.random.default_rng(0).permutation(len(new))
        np.testing.assert_allclose(move(new[order]), whole[order], atol=1e-12)
        alone = np.vstack([move(x[None]) for x in new])
        np.testing.assert_allclose(alone, whole, atol=1e-12)
    if out_of_sample != "nearest":
        # equal points share what the plan gives them together
        rows = model.coupling_[[3, 4, 7]].sum(axis=0)
        np.testing.assert_allclose(
            model.transform(Xs[3:4])[0], rows @ Xt / rows.sum(), atol=1e-7
        )


def test_labels_of_points_without_mass(samples):
    """They get the label that a little mass would bring, as if solved with it."""
    Xs, k, _, _ = samples
    Xs = Xs * 0.3 + np.c_[4 * k, 0 * k]
    Xt = Xs + 0.2
    mu = np.where(np.arange(40) < 30, 1.0, 0.0)
    names = np.array(["left", "right"])[k]
    model = SinkhornTransport(1e-2).fit(Xs, Xt=Xt, mu_t=mu / mu.sum())
    np.testing.assert_array_equal(model.transform_labels(names), names)
    tiny = np.where(mu > 0, mu, 1e-12)
    little = SinkhornTransport(1e-2).fit(Xs, Xt=Xt, mu_t=tiny / tiny.sum())
    np.testing.assert_array_equal(little.transform_labels(names), names)


def test_a_median_of_zero_is_said():
    X = np.r_[np.zeros((30, 2)), np.ones((5, 2))]
    with pytest.raises(ValueError, match=r"norm=.median.*norm=.max."):
        SinkhornTransport(norm="median").fit(X, Xt=X)
    same = np.ones((4, 2))  # nothing to scale: any plan is optimal
    model = SinkhornTransport(norm="median").fit(same, Xt=same)
    assert model.result_.converged


def test_a_forgotten_target_warns(samples):
    with pytest.warns(UserWarning, match="no target 'Xt'") as seen:
        SinkhornTransport(0.1).fit(samples[0])
    assert seen[0].filename == __file__


def adaptation(rng, n):
    y = np.arange(n) % 2
    Xs = rng.normal(scale=0.3, size=(n, 2)) + np.c_[2.0 * y, 0.0 * y]
    Xt = rng.normal(scale=0.3, size=(n, 2)) + np.c_[2.0 * y, 0.0 * y] + [2.0, 1.0]
    return Xs, y, Xt, y


@pytest.mark.parametrize("labels", [False, True])
def test_the_target_is_routed(labels, rng):
    """Through a scaler, whose step the target takes too; nothing else moves it."""
    Xs, y, Xt, yt = adaptation(rng, 120)
    unknown = np.where(np.arange(120) < 100, -1, yt)
    target = {"Xt": 100 * Xt, **({"yt": unknown} if labels else {})}
    wanted = dict.fromkeys(target, True)
    with sklearn.config_context(enable_metadata_routing=True):
        move = SinkhornTransport(1e-3, out_of_sample="identity")
        move.set_fit_request(**wanted)
        steps = [("scale", StandardScaler()), ("move", move)]
        steps.append(("classify", LogisticRegression()))
        pipe = Pipeline(steps, transform_input=["Xt"])
        pipe.fit(100 * Xs, y, **target)
        scaled = pipe[0].transform(100 * Xt)
        np.testing.assert_array_equal(pipe["move"].Xt_, scaled)
        # points of the target stay where they are, so that the pipeline is right
        score = pipe.score(100 * Xt, yt)
        assert score == pipe[-1].score(scaled, yt) >= 0.95
        assert LogisticRegression().fit(Xs, y).score(Xt, yt) < 0.8
        alone = SinkhornTransport(1e-3).fit(pipe[0].transform(100 * Xs), Xt=scaled)
        if not labels:
            np.testing.assert_array_equal(alone.coupling_, pipe["move"].coupling_)


def test_a_target_that_nobody_asked_for_is_an_error(rng):
    Xs, y, Xt, _ = adaptation(rng, 20)
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = Pipeline([("m", SinkhornTransport()), ("c", LogisticRegression())])
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="Xt"):
            pipe.fit(Xs, y, Xt=Xt)
        masses = np.ones(20) / 20
        move = SinkhornTransport(1e-2).set_fit_request(Xt=True, mu_s=True, mu_t=True)
        pipe = Pipeline([("m", move), ("c", LogisticRegression())])
        pipe.fit(Xs, y, Xt=Xt, mu_s=masses, mu_t=masses)
        assert pipe["m"].Xt_.shape == Xt.shape
