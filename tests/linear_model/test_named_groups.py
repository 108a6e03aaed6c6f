"""Groups by name: dictionaries, names of columns, series of pandas and polars.

Every form is compared with the same groups by position, which have tests of their own.
"""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparseopt.linear_model import (
    LeastSquares,
    ProximalClassifier,
    ProximalRegressor,
    ProximalRegressorCV,
    SparseEnvelopeClassifier,
    SparseEnvelopeRegressor,
    SparseEnvelopeRegressorCV,
    best_subset,
    overlapping_group_lasso,
)
from sparseopt.prox import (
    MCP,
    WGSEF,
    GroupLasso,
    GroupLinf,
    Groups,
    Scaled,
    SparseGroupLasso,
    TreeGroupLasso,
    prox_group_lasso,
)

pandas = pytest.importorskip("pandas")
COLUMNS = ["age", "sex", "weight", "height", "pulse", "iron", "zinc"]
BY_NAME = {"body": ["weight", "height"], "blood": ["pulse", "iron", "zinc"]}
BY_PLACE = [[2, 3], [4, 5, 6]]  # age and sex are free
LABELS = ["who", "who", "body", "body", "blood", "blood", "blood"]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 7))
    y = X[:, 0] - X[:, 2] + 2.0 * X[:, 3] + 0.1 * rng.standard_normal(80)
    return pandas.DataFrame(X, columns=COLUMNS), y


PENALTIES = {
    "lasso": lambda groups: GroupLasso(0.3, groups=groups),
    "sparse": lambda groups: SparseGroupLasso(0.3, groups=groups),
    "linf": lambda groups: GroupLinf(0.3, groups=groups),
    "wgsef": lambda groups: WGSEF(1, 0.3, groups=groups),
    "tree": lambda groups: TreeGroupLasso(0.3, groups=groups),
    "scaled": lambda groups: Scaled(GroupLasso(0.3, groups=groups), 0.5),
    "list": lambda groups: [MCP(0.01), GroupLasso(0.3, groups=groups)],
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("form", [dict, lambda groups: list(groups.values())])
@pytest.mark.parametrize("kind", [name for name in PENALTIES if name != "list"])
def test_names_of_columns_are_their_positions(kind, form, data):
    frame, y = data
    make = PENALTIES[kind]
    model = ProximalRegressor(make(form(BY_NAME))).fit(frame, y)
    by_place = ProximalRegressor(make(BY_PLACE)).fit(frame.to_numpy(), y)
    np.testing.assert_array_equal(model.coef_, by_place.coef_)
    # the parameters are those of the user, so that another frame may follow
    other = frame[COLUMNS[::-1]]
    again = clone(model).fit(other, y)
    np.testing.assert_allclose(again.coef_[::-1], model.coef_, atol=1e-6)


def test_names_in_sums_of_penalties(data):
    frame, y = data
    models = [
        ProximalRegressor(
            [GroupLasso(0.1, groups=groups), GroupLasso(0.1, groups=[[0, 6]])]
        ).fit(X, y)
        for groups, X in ((BY_NAME, frame), (BY_PLACE, frame.to_numpy()))
    ]
    np.testing.assert_array_equal(models[0].coef_, models[1].coef_)


def test_names_of_kept_groups(data):
    frame, y = data
    model = ProximalRegressor(GroupLasso(0.3, groups=BY_NAME)).fit(frame, y)
    assert model.group_names_.tolist() == ["body", "blood"]
    assert model.group_names_[model.group_support_].tolist() == ["body"]
    model.set_params(penalty=GroupLasso(0.3, groups=BY_PLACE)).fit(frame, y)
    assert model.group_support_.tolist() == [0]
    assert not hasattr(model, "group_names_")
    assert not hasattr(ProximalRegressor().fit(frame, y), "group_support_")
    chosen = ProximalRegressorCV(
        GroupLasso(groups=BY_NAME, weights=None), criterion="ebic"
    ).fit(frame, y)
    assert chosen.group_names_[chosen.group_support_].tolist() == ["body"]
    signs = ProximalClassifier(GroupLasso(0.1, groups=BY_NAME)).fit(frame, y > 0)
    assert signs.group_names_[signs.group_support_].tolist() == ["body"]


@pytest.mark.parametrize("groups", [BY_NAME, list(BY_NAME.values())])
def test_envelope_estimators_take_names(groups, data):
    frame, y = data
    X = frame.to_numpy()
    for model, target in [
        (SparseEnvelopeRegressor(1, 0.1), y),
        (SparseEnvelopeClassifier(1, 0.1), y > 0),
        (SparseEnvelopeClassifier(1, 0.1), np.digitize(y, [-1, 1])),
        (SparseEnvelopeRegressorCV([1, 2], 0.1, criterion="ebic"), y),
        (SparseEnvelopeRegressorCV([1, 2], 0.1, cv=3), y),
    ]:
        named = clone(model).set_params(groups=groups).fit(frame, target)
        placed = clone(model).set_params(groups=BY_PLACE).fit(X, target)
        np.testing.assert_array_equal(named.coef_, placed.coef_)
        np.testing.assert_array_equal(named.group_support_, placed.group_support_)
        assert hasattr(named, "group_names_") == isinstance(groups, dict)
        assert not hasattr(placed, "group_names_")


def test_names_in_a_pipeline_that_is_searched(data):
    frame, y = data
    pipe = make_pipeline(
        StandardScaler(), ProximalRegressor(GroupLasso(groups=BY_NAME))
    ).set_output(transform="pandas")
    grid = {"proximalregressor__penalty__lam": [0.01, 0.3, 3.0]}
    search = GridSearchCV(pipe, grid, cv=3, error_score="raise").fit(frame, y)
    assert search.best_params_ == {"proximalregressor__penalty__lam": 0.01}


# ----------------------------------------------------------------------------- labels


def _series(library):
    if library == "polars":
        return pytest.importorskip("polars").Series(LABELS)
    return pandas.Series(LABELS, dtype=library)


@pytest.mark.parametrize("library", ["object", "string", "category", "polars"])
def test_labels_in_a_series(library, data):
    frame, y = data
    labels = _series(library)
    model = ProximalRegressor(GroupLasso(0.3, groups=labels)).fit(frame, y)
    plain = ProximalRegressor(GroupLasso(0.3, groups=LABELS)).fit(frame, y)
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    assert model.group_names_.tolist() == ["blood", "body", "who"]
    assert model.group_names_[model.group_support_].tolist() == ["body", "who"]
    envelope = SparseEnvelopeRegressor(1, 0.1, groups=labels).fit(frame, y)
    assert envelope.group_names_[envelope.group_support_].tolist() == ["body"]


def test_nullable_integers_are_labels():
    labels = pandas.Series([0, 0, 1, 1, 2, 2, 2], dtype="Int64")
    groups = Groups.of(labels, 7)
    assert groups.sizes.tolist() == [2, 2, 3]
    assert GroupLasso(groups=labels).groups(7).sizes.tolist() == [2, 2, 3]
    with pytest.raises(TypeError, match="'groups' parameter must be an int, labels"):
        Groups.of(pandas.Series([0, 1, None], dtype="Int64"), 3)


def test_a_series_with_names_is_matched_by_name(data):
    frame, y = data
    labels = pandas.Series(LABELS, index=COLUMNS)
    plain = ProximalRegressor(GroupLasso(0.3, groups=LABELS)).fit(frame, y)
    for shuffled in (labels, labels.sort_index()):
        model = ProximalRegressor(GroupLasso(0.3, groups=shuffled)).fit(frame, y)
        np.testing.assert_array_equal(model.coef_, plain.coef_)
        envelope = SparseEnvelopeRegressor(1, 0.1, groups=shuffled).fit(frame, y)
        assert envelope.support_.tolist() == [2, 3]
    # without names of columns labels are in the order of the coefficients
    assert GroupLasso(groups=labels).groups(7).lists()[1].tolist() == [2, 3]
    short = labels.drop("iron")
    with pytest.raises(ValueError, match="Got 6 for 7 columns, none for 'iron'"):
        ProximalRegressor(GroupLasso(groups=short)).fit(frame, y)
    with pytest.raises(ValueError, match="Got 8 for 7 columns"):
        longer = pandas.concat([labels, pandas.Series({"x": "who"})])
        ProximalRegressor(GroupLasso(groups=longer)).fit(frame, y)


# ------------------------------------------------------------- functions without names


def test_dictionaries_of_positions_need_no_names(data):
    frame, y = data
    by_place = dict(zip(BY_NAME, BY_PLACE, strict=True))
    w = np.arange(1.0, 8.0)
    np.testing.assert_array_equal(
        prox_group_lasso(w, 2.0, groups=by_place),
        prox_group_lasso(w, 2.0, groups=BY_PLACE),
    )
    groups = Groups.of(by_place, 7)
    assert groups.names.tolist() == ["body", "blood"]
    assert Groups.of({"one": 3, "more": range(2)}, 5).lists()[0].tolist() == [3]
    datafit = LeastSquares(frame, y)
    found = best_subset(datafit, 1, groups=by_place)
    assert found.group_support.tolist() == [0]
    overlap = overlapping_group_lasso(1.0, {"a": [0, 1], "b": [1, 2]}, 3)
    same = overlapping_group_lasso(1.0, [[0, 1], [1, 2]], 3)
    assert overlap.value(np.ones(3)) == same.value(np.ones(3))
    assert GroupLasso(groups=by_place).value(w) == GroupLasso(groups=BY_PLACE).value(w)


def test_names_by_hand():
    penalty = SparseGroupLasso(1.0, 0.2, groups=BY_NAME).with_columns(COLUMNS)
    other = SparseGroupLasso(1.0, 0.2, groups=BY_PLACE)
    w = np.arange(1.0, 8.0)
    assert penalty.value(w) == other.value(w)
    total = GroupLasso(0.1, groups=BY_NAME) + GroupLasso(0.2, groups=BY_NAME)
    assert total.lam == 0.1 + 0.2
    assert MCP(0.1).with_columns(COLUMNS).lam == 0.1


def test_what_is_wrong_with_names(data):
    frame, y = data
    for groups in (BY_NAME, list(BY_NAME.values())):
        with pytest.raises(ValueError, match=r"data frame with names.*Got 'weight'"):
            ProximalRegressor(GroupLasso(groups=groups)).fit(frame.to_numpy(), y)
        with pytest.raises(ValueError, match=r"data frame with names.*Got 'weight'"):
            SparseEnvelopeRegressor(1, groups=groups).fit(frame.to_numpy(), y)
    with pytest.raises(ValueError, match="a column 'size', which there is not"):
        ProximalRegressor(GroupLasso(groups=[["size"], ["age"]])).fit(frame, y)
    twice = {"a": ["age", "sex"], "b": ["sex"]}
    with pytest.raises(ValueError, match="Got index 1 2 times"):
        SparseEnvelopeRegressor(1, groups=twice).fit(frame, y)
    with pytest.raises(ValueError, match="must hold a group"):
        GroupLasso(groups={}).value(np.ones(2))
    with pytest.raises(ValueError, match="empty group"):
        GroupLasso(groups={"a": [], "b": [0]}).value(np.ones(2))
