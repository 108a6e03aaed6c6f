"""Transport problems: costs with two marginals, seeded or from shipped images."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Literal, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from sparseopt._core._optional import require
from sparseopt._core._params import Interval, Options, validate_params
from sparseopt._core._random import RandomState, as_generator

# Gray images whose files are part of every scikit-image installation: the others of
# `skimage.data` would be downloaded.
IMAGES = ("brick", "camera", "coins", "grass", "gravel", "moon", "page", "text")
Metric = Literal["sqeuclidean", "euclidean", "cityblock"]
METRICS = ("sqeuclidean", "euclidean", "cityblock")
N_DIGITS = 1797
N_FACES = 100
DIGIT_SIZE = 28

_COUNT = Interval(1, None, integer=True)
_DIGIT = [Interval(0, N_DIGITS - 1, integer=True)]
_FACE = [Interval(0, N_FACES - 1, integer=True)]
_METRIC = [Options(*METRICS)]


class OTProblem(NamedTuple):
    """Transport problem without regularisation.

    Parameters
    ----------
    C : ndarray of shape (n, m)
        Cost, float64, C-contiguous, largest entry at most 1.
    a : ndarray of shape (n,)
        Source marginal, positive, sums to 1.
    b : ndarray of shape (m,)
        Target marginal, positive, sums to 1.
    name : str
        What the problem is, with its sizes.

    Examples
    --------
    >>> from sparseopt.datasets import make_assignment
    >>> C, a, b, name = make_assignment(3, random_state=0)
    >>> b.sum()
    np.float64(1.0)
    """

    C: np.ndarray
    a: np.ndarray
    b: np.ndarray
    name: str


@validate_params(
    {
        "n": [_COUNT],
        "m": [_COUNT, None],
        "rank": [_COUNT, None],
        "random_state": ["random_state"],
    }
)
def make_assignment(
    n: int,
    m: int | None = None,
    *,
    rank: int | None = None,
    random_state: RandomState = None,
) -> OTProblem:
    """Random cost with uniform marginals.

    Parameters
    ----------
    n : int
        Number of rows.
    m : int, optional
        Number of columns, by default `n`.
    rank : int, optional
        If given, the cost is a product of nonnegative uniform factors of this rank,
        divided by its largest entry; by default entries are independent and uniform
        on [0, 1].
    random_state : int, RandomState or Generator, optional
        Source of randomness.

    Returns
    -------
    OTProblem
        Cost in [0, 1], marginals `1/n` and `1/m`.

    Examples
    --------
    >>> from sparseopt.datasets import make_assignment
    >>> problem = make_assignment(4, random_state=0)
    >>> problem.C.shape, problem.name
    ((4, 4), 'assignment 4 x 4')
    """
    rng = as_generator(random_state)
    m = n if m is None else m
    if rank is None:
        cost, kind = rng.random((n, m)), "assignment"
    else:
        cost = rng.random((n, rank)) @ rng.random((rank, m))
        cost, kind = cost / cost.max(), f"rank-{rank} assignment"
    return OTProblem(cost, _uniform(n), _uniform(m), f"{kind} {n} x {m}")


@validate_params(
    {
        "n": [_COUNT],
        "m": [_COUNT, None],
        "dim": [_COUNT],
        "weights": [Options("uniform", "random", "heavy")],
        "n_clusters": [_COUNT, None],
        "metric": _METRIC,
        "random_state": ["random_state"],
    }
)
def make_clouds(
    n: int,
    m: int | None = None,
    dim: int = 2,
    *,
    weights: Literal["uniform", "random", "heavy"] = "random",
    n_clusters: int | None = None,
    metric: Metric = "sqeuclidean",
    random_state: RandomState = None,
) -> OTProblem:
    """Two point clouds from different Gaussians, or from Gaussian clusters.

    Parameters
    ----------
    n : int
        Number of source points, drawn from the standard normal distribution.
    m : int, optional
        Number of target points, by default `n`; they are sheared, shrunk and shifted.
    dim : int, default=2
        Dimension.
    weights : {"uniform", "random", "heavy"}, default="random"
        Marginals: all equal, uniform on [0, 1], or Dirichlet(0.1), whose entries span
        many orders of magnitude.
    n_clusters : int, optional
        If given, each cloud is a mixture of this many tight clusters.
    metric : {"sqeuclidean", "euclidean", "cityblock"}, default="sqeuclidean"
        Cost between points, divided by its largest entry.
    random_state : int, RandomState or Generator, optional
        Source of randomness.

    Returns
    -------
    OTProblem
        Cost in [0, 1] and marginals.

    Examples
    --------
    >>> from sparseopt.datasets import make_clouds
    >>> C, a, b, name = make_clouds(5, 3, dim=2, random_state=0)
    >>> C.shape, name
    ((5, 3), 'clouds 2-D 5 x 3')
    """
    rng = as_generator(random_state)
    m = n if m is None else m
    shear = 0.85 * np.eye(dim) + 0.5 * np.eye(dim, k=1)
    source = _points(rng, n, dim, n_clusters)
    target = _points(rng, m, dim, n_clusters) @ shear + 1.0
    a, b = (_weights(rng, size, weights) for size in (n, m))
    kind = f"clouds {dim}-D" if n_clusters is None else f"{n_clusters} clusters {dim}-D"
    return OTProblem(_cost(source, target, metric), a, b, f"{kind} {n} x {m}")


@validate_params(
    {
        "size": [_COUNT],
        "metric": _METRIC,
        "images": [tuple, list],
        "crop": [_COUNT, None],
        "random_state": ["random_state"],
    }
)
def make_grid_pair(
    size: int,
    metric: Metric = "sqeuclidean",
    *,
    images: Sequence[str] = ("camera", "coins"),
    crop: int | None = None,
    random_state: RandomState = None,
) -> OTProblem:
    """Two gray images as measures on one pixel grid.

    Parameters
    ----------
    size : int
        Pixels along each side; the problem has `size**2` rows and columns.
    metric : {"sqeuclidean", "euclidean", "cityblock"}, default="sqeuclidean"
        Cost between pixel positions, divided by its largest entry.
    images : pair of str, default=("camera", "coins")
        Names of images that scikit-image ships: brick, camera, coins, grass, gravel,
        moon, page, text.
    crop : int, optional
        Side in pixels of a random window that is cut from each image before it is
        resized; by default the whole image is used.
    random_state : int, RandomState or Generator, optional
        Chooses the windows; not used without `crop`.

    Returns
    -------
    OTProblem
        Cost in [0, 1]; marginals are intensities plus 1e-6 of the largest one.

    Examples
    --------
    >>> from sparseopt.datasets import make_grid_pair
    >>> problem = make_grid_pair(8, "cityblock")
    >>> problem.C.shape, problem.name
    ((64, 64), 'camera-coins 8 x 8 cityblock')
    """
    if len(images) != 2 or not set(images) <= set(IMAGES):
        raise ValueError(
            "The 'images' parameter of sparseopt.datasets.make_grid_pair must be two "
            f"of {', '.join(IMAGES)}. Got {images!r}."
        )
    rng = as_generator(random_state)
    a, b = (_intensities(_image(name, size, crop, rng)) for name in images)
    name = f"{images[0]}-{images[1]} {size} x {size} {metric}"
    return OTProblem(_grid_cost(size, metric), a, b, name)


@validate_params(
    {
        "i": _DIGIT,
        "j": _DIGIT,
        "metric": _METRIC,
        "threshold": [Interval(0, 1, closed="left")],
    }
)
def make_digits_pair(
    i: int = 0,
    j: int = 1,
    metric: Metric = "sqeuclidean",
    *,
    threshold: float = 0.0,
) -> OTProblem:
    """Two handwritten digits, enlarged to 28 x 28, as measures on their inked pixels.

    Parameters
    ----------
    i, j : int, default=0, 1
        Numbers of the digits in `sklearn.datasets.load_digits`, at most 1796.
    metric : {"sqeuclidean", "euclidean", "cityblock"}, default="sqeuclidean"
        Cost between pixel positions, divided by its largest entry on the whole grid.
    threshold : float, default=0.0
        Share of the largest intensity that is taken off all pixels; what is negative
        then has no ink. Enlarging blurs the digits over most pixels: 0.5 leaves a
        quarter of them, as in images that were drawn at this size.

    Returns
    -------
    OTProblem
        The default pair has 718 rows and 519 columns.

    Examples
    --------
    >>> from sparseopt.datasets import make_digits_pair
    >>> make_digits_pair(0, 1).C.shape
    (718, 519)
    """
    images = load_digits().images
    x, y = (_resized(images[k], DIGIT_SIZE).ravel() for k in (i, j))
    x, y = (np.maximum(v - threshold * v.max(), 0.0) for v in (x, y))
    cost = _grid_cost(DIGIT_SIZE, metric)[np.ix_(x > 0, y > 0)]
    a, b = x[x > 0] / x.sum(), y[y > 0] / y.sum()
    return OTProblem(cost, a, b, f"digits {i}-{j} {len(a)} x {len(b)} {metric}")


@validate_params(
    {
        "i": _FACE,
        "j": _FACE,
        "metric": _METRIC,
    }
)
def make_faces_pair(
    i: int = 0, j: int = 1, metric: Metric = "sqeuclidean"
) -> OTProblem:
    """Two gray faces of 25 x 25 pixels as measures on one grid.

    Parameters
    ----------
    i, j : int, default=0, 1
        Numbers of the faces in `skimage.data.lfw_subset`, at most 99.
    metric : {"sqeuclidean", "euclidean", "cityblock"}, default="sqeuclidean"
        Cost between pixel positions, divided by its largest entry.

    Returns
    -------
    OTProblem
        625 rows and columns; marginals are intensities plus 1e-6 of the largest one.

    Examples
    --------
    >>> from sparseopt.datasets import make_faces_pair
    >>> make_faces_pair(0, 1).C.shape
    (625, 625)
    """
    faces = _skimage("data").lfw_subset()
    a, b = (_intensities(faces[k]) for k in (i, j))
    size = faces.shape[1]
    return OTProblem(_grid_cost(size, metric), a, b, f"faces {i}-{j} {metric}")


def _uniform(n: int) -> np.ndarray:
    return np.full(n, 1.0 / n)


def _weights(rng: np.random.Generator, n: int, kind: str) -> np.ndarray:
    if kind == "uniform":
        return _uniform(n)
    if kind == "random":
        w = rng.random(n)
    else:
        # Gamma(0.1) draws, as Gamma(1.1) times a power of a uniform: small ones do not
        # vanish. The floor keeps every weight positive.
        w = rng.gamma(1.1, size=n) * rng.random(n) ** 10
        w = np.maximum(w, 1e-30 * w.max())
    return w / w.sum()


def _points(
    rng: np.random.Generator, n: int, dim: int, n_clusters: int | None
) -> np.ndarray:
    if n_clusters is None:
        return rng.standard_normal((n, dim))
    centres = rng.standard_normal((n_clusters, dim))
    labels = rng.integers(n_clusters, size=n)
    return centres[labels] + 0.02 * rng.standard_normal((n, dim))


def _cost(x: np.ndarray, y: np.ndarray, metric: Metric) -> np.ndarray:
    cost = cdist(x, y, metric)
    largest = cost.max()
    return cost / largest if largest > 0 else cost


def _grid_cost(size: int, metric: Metric) -> np.ndarray:
    points = np.indices((size, size), dtype=float).reshape(2, -1).T
    return _cost(points, points, metric)


def _skimage(module: str) -> ModuleType:
    return require(f"skimage.{module}", "image data", extra="examples")


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    return _skimage("transform").resize(image, (size, size), order=1)


def _image(
    name: str, size: int, crop: int | None, rng: np.random.Generator
) -> np.ndarray:
    image = getattr(_skimage("data"), name)().astype(float)
    if crop is not None:
        if crop > min(image.shape):
            raise ValueError(
                "The 'crop' parameter of sparseopt.datasets.make_grid_pair must be at "
                f"most {min(image.shape)} for the image {name!r}. Got {crop}."
            )
        top, left = (rng.integers(side - crop + 1) for side in image.shape)
        image = image[top : top + crop, left : left + crop]
    return image if image.shape == (size, size) else _resized(image, size)


def _intensities(image: np.ndarray) -> np.ndarray:
    w = image.ravel().astype(float)
    w += 1e-6 * w.max()
    return w / w.sum()
