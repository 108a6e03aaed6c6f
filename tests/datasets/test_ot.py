"""Transport problems: sizes, marginals, seeds, errors, and nothing downloaded."""

import sys

import numpy as np
import pytest

from sparseopt import datasets
from sparseopt.datasets import (
    make_assignment,
    make_clouds,
    make_digits_pair,
    make_faces_pair,
    make_grid_pair,
    ot_benchmark_names,
    ot_benchmark_set,
)

METRICS = ("sqeuclidean", "euclidean", "cityblock")


def check_problem(problem):
    C, a, b = problem.C, problem.a, problem.b
    assert C.shape == (len(a), len(b))
    assert C.dtype == a.dtype == b.dtype == np.float64
    assert C.flags.c_contiguous
    assert C.min() >= 0
    assert C.max() <= 1
    for weights in (a, b):
        assert weights.min() > 0
        np.testing.assert_allclose(weights.sum(), 1, rtol=1e-12)
    assert problem.name


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: make_assignment(7, 5, random_state=seed),
        lambda seed: make_assignment(7, rank=2, random_state=seed),
        lambda seed: make_clouds(7, 5, 3, random_state=seed),
        lambda seed: make_clouds(30, n_clusters=3, random_state=seed),
        lambda seed: make_clouds(30, weights="heavy", random_state=seed),
        lambda seed: make_clouds(7, weights="uniform", dim=1, random_state=seed),
        lambda seed: make_grid_pair(9, crop=9, random_state=seed),
    ],
)
def test_seeded(make):
    first, again, other = make(3), make(3), make(4)
    check_problem(first)
    for x, y in zip(first[:3], again[:3], strict=True):
        np.testing.assert_array_equal(x, y)
    assert any((x != y).any() for x, y in zip(first[:3], other[:3], strict=True))
    check_problem(make(np.random.default_rng(3)))


@pytest.mark.parametrize("metric", METRICS)
def test_image_pairs(metric):
    for problem in (
        make_grid_pair(8, metric),
        make_digits_pair(2, 3, metric),
        make_faces_pair(0, 7, metric),
    ):
        check_problem(problem)
        assert metric in problem.name


def test_grid_cost_is_the_distance_of_pixels():
    C = make_grid_pair(3, "cityblock").C
    # corners (0, 0) and (2, 2) are 4 apart, neighbours 1
    np.testing.assert_allclose(C[0], np.array([0, 1, 2, 1, 2, 3, 2, 3, 4]) / 4)
    np.testing.assert_array_equal(C, C.T)


@pytest.mark.parametrize("image", ["moon", "page", "text", "brick", "grass", "gravel"])
def test_shipped_images(image):
    check_problem(make_grid_pair(10, images=(image, "camera")))


def test_digits_keep_inked_pixels_only():
    problem = make_digits_pair()
    assert problem.C.shape == (718, 519)


def test_threshold_leaves_less_ink():
    whole, part = make_digits_pair(), make_digits_pair(threshold=0.5)
    assert 0.15 < part.C.shape[0] / 784 < 0.35
    assert part.C.shape[1] < whole.C.shape[1]
    assert part.a.sum() == pytest.approx(1) and (part.a > 0).all()
    # a pixel of full ink keeps half of it, which is still the largest mass
    assert part.a.max() > whole.a.max()


def test_heavy_weights_span_many_orders():
    a = make_clouds(500, weights="heavy", random_state=0).a
    assert a.max() / a.min() > 1e15


def test_low_rank_cost():
    C = make_assignment(20, rank=2, random_state=0).C
    assert np.linalg.matrix_rank(C) == 2
    assert C.max() == 1


def test_one_point():
    check_problem(make_clouds(1, random_state=0))
    check_problem(make_grid_pair(1))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: make_assignment(0), ValueError, r"'n'.*\[1, inf\).*Got 0"),
        (lambda: make_assignment(2.5), TypeError, "'n'.*Got 2.5"),
        (lambda: make_assignment(3, rank=0), ValueError, "'rank'"),
        (lambda: make_clouds(3, weights="equal"), ValueError, "'weights'.*heavy"),
        (lambda: make_clouds(3, metric="l2"), ValueError, "'metric'.*cityblock"),
        (lambda: make_grid_pair(3, images=("camera",)), ValueError, "'images'.*two"),
        (lambda: make_grid_pair(3, images=("camera", "cat")), ValueError, "'cat'"),
        (lambda: make_grid_pair(3, images="camera"), TypeError, "'images'"),
        (lambda: make_grid_pair(3, crop=400), ValueError, "'crop'.*303.*coins"),
        (lambda: make_digits_pair(0, 1797), ValueError, "'j'.*1796"),
        (lambda: make_faces_pair(-1), ValueError, "'i'.*99"),
        (lambda: ot_benchmark_set(names=["x"]), ValueError, "'names'.*Got 'x'"),
    ],
)
def test_bad_input(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_missing_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(ImportError, match=r"skimage.*not installed"):
        make_grid_pair(4)


def test_benchmark_names():
    names, quick = ot_benchmark_names(), ot_benchmark_names(quick=True)
    assert len(set(names)) == len(names)
    assert set(quick) < set(names)
    assert {"assignment-4000", "grid-l2-4096", "grid-l1-2025"} <= set(names)
    assert sum(name.startswith("unseen-") for name in names) >= 8


@pytest.mark.parametrize("name", ot_benchmark_names(quick=True))
def test_benchmark_problem(name):
    (problem,) = ot_benchmark_set(names=[name])
    check_problem(problem)
    assert problem.name == name
    assert 1e-4 <= problem.reg <= 1e-1
    assert max(problem.C.shape) <= 3000


def test_set_is_lazy():
    problems = datasets.ot_benchmark_set(names=["unseen-crop-l1-289-0", "grid-l2-4096"])
    assert next(problems).C.shape == (289, 289)
