"""Fits that go on: factors written to a file now and then."""

from __future__ import annotations

import os
import zipfile

import numpy as np

from sparseopt._core._arrays import as_floats, check_finite
from sparseopt._core._monitor import State
from sparseopt._core._params import Interval, check_params
from sparseopt.completion._chunks import as_path

_FACTORS = (("U", 2), ("s", 1), ("V", 2))


class Checkpoint:
    """Callback that writes the factors to a file now and then.

    The file is replaced as a whole: what stops the process leaves the last one.

    Parameters
    ----------
    path : path
        An npz file, without pickles.
    every : int, default=10
        Iterations between two files.

    See Also
    --------
    load_checkpoint : The start for a fit that goes on.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sparseopt.completion import Checkpoint, complete, load_checkpoint
    >>> from sparseopt.datasets import make_low_rank
    >>> X, *_ = make_low_rank(50, 40, 2, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "fit.npz"
    ...     first = complete(X, 2, callback=Checkpoint(path, every=5))
    ...     again = complete(X, 2, init=load_checkpoint(path))
    >>> again.n_iter < first.n_iter
    True
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 10) -> None:
        check_params(
            type(self), {"every": [Interval(1, None, integer=True)]}, {"every": every}
        )
        self.path, self.every = as_path(path, "path"), int(every)
        if self.path.is_dir() or not self.path.absolute().parent.is_dir():
            # better now than after the first iterations
            raise FileNotFoundError(
                "The 'path' parameter of sparseopt.completion.Checkpoint must be a "
                f"file in a directory that exists. Got {str(self.path)!r}."
            )

    def __call__(self, state: State) -> bool:
        if state.n_iter % self.every == 0:
            U, s, V = state.factors
            part = self.path.with_name(self.path.name + ".part")
            with part.open("wb") as file:
                np.savez(file, U=U, s=s, V=V, n_iter=state.n_iter)
            part.replace(self.path)
        return False


def load_checkpoint(
    path: str | os.PathLike[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Read the pair for ``init`` with which a fit goes on from a `Checkpoint`.

    Parameters
    ----------
    path : path
        File that a `Checkpoint` wrote; nothing in it is unpickled.

    Returns
    -------
    U : ndarray of shape (m, k)
        Left factor, times the singular values.
    V : ndarray of shape (n, k)
        Right factor.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or not one of a `Checkpoint`.

    Examples
    --------
    See `Checkpoint`.
    """
    path = as_path(path, "path")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            U, s, V = (as_floats(file[name], name, ndim=d) for name, d in _FACTORS)
        if not (len(s) == U.shape[1] == V.shape[1]):
            raise ValueError(f"factors of shapes {U.shape}, {s.shape} and {V.shape}")
        for name, F in (("U", U), ("s", s), ("V", V)):
            check_finite(F, name)
    except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"The file {str(path)!r} must be one that a Checkpoint wrote. "
            f"It is damaged or another: {error}"
        ) from error
    return U * s.astype(U.dtype), V
