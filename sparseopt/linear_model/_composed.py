"""Sums of penalties, and penalties of a linear image of the coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from sparseopt._core._params import Interval, check_params, describe
from sparseopt._core._tunable import Tunable
from sparseopt.linear_model._design import Design
from sparseopt.linear_model._gap import has_conjugate
from sparseopt.prox import L1, FusedLasso, GroupLasso, Groups, Penalty


class Composed(Tunable):
    """The penalty ``P(A w)`` of a linear image of the coefficients.

    Such a penalty has no proximal operator of its own; `minimize_composite` splits it
    off, with solver "admm" or "pdhg".  A list of penalties, composed or not, is their
    sum: ``[L1(0.1), Composed(L1(0.5), D)]``.

    Parameters
    ----------
    penalty : Penalty
        A convex penalty with a proximal operator.
    linear_map : array-like, sparse matrix or LinearOperator of shape (m, p)
        The map A; with several outputs it is applied to each column.

    See Also
    --------
    overlapping_group_lasso : Groups that share coefficients.

    Examples
    --------
    Differences of neighbours: the fused lasso.

    >>> import numpy as np
    >>> from sparseopt.linear_model import Composed, LeastSquares, minimize_composite
    >>> from sparseopt.prox import L1
    >>> y = np.array([0.0, 0.1, 0.0, 3.0, 3.1])
    >>> D = np.diff(np.eye(5), axis=0)
    >>> datafit = LeastSquares(np.eye(5), y)
    >>> result = minimize_composite(datafit, [L1(0.01), Composed(L1(0.1), D)])
    >>> result.coef.round(3)
    array([0.15, 0.15, 0.15, 2.75, 2.75])
    """

    is_convex = True

    def __init__(self, penalty: Penalty, linear_map: Any) -> None:
        if not isinstance(penalty, Penalty) or not penalty.is_convex:
            raise TypeError(
                "The 'penalty' parameter of sparseopt.linear_model.Composed must be a "
                f"convex penalty of sparseopt.prox. Got {describe(penalty)}."
            )
        self.penalty = penalty
        self.linear_map = linear_map
        self._map = Design(linear_map, "linear_map")
        self.shape = (self._map.n, self._map.p)

    def __repr__(self) -> str:
        return f"Composed({self.penalty!r}, linear_map of shape {self.shape})"

    def value(self, w: np.ndarray) -> float:
        """``P(A w)``.

        Parameters
        ----------
        w : ndarray of shape (p,) or (p, n_outputs)
            Coefficients.

        Returns
        -------
        float
            Value of the penalty.
        """
        return self.penalty.value(self.matvec(w))

    def matvec(self, w: np.ndarray) -> np.ndarray:
        """``A w``.

        Parameters
        ----------
        w : ndarray of shape (p,) or (p, n_outputs)
            Coefficients.

        Returns
        -------
        ndarray of shape (m,) or (m, n_outputs)
            Their image.
        """
        return self._map.matvec(w)

    def rmatvec(self, v: np.ndarray) -> np.ndarray:
        """``A' v``.

        Parameters
        ----------
        v : ndarray of shape (m,) or (m, n_outputs)
            A point of the image's space.

        Returns
        -------
        ndarray of shape (p,) or (p, n_outputs)
            Its image under the transposed map.
        """
        return self._map.rmatvec(v)


def overlapping_group_lasso(
    lam: float, groups: Any, n_features: int, *, weights: Any = "sqrt"
) -> Composed:
    """Group lasso whose groups may share coefficients: ``sum_g weights_g |w_g|``.

    Parameters
    ----------
    lam : float
        Strength of the penalty.
    groups : list or dict of array-like of int
        Indices of each group; an index may be in several.
    n_features : int
        Number of coefficients.
    weights : {"sqrt", "size"}, array-like or None, default="sqrt"
        Weights of the groups; "sqrt" is the root of their sizes, None is 1.

    Returns
    -------
    Composed
        A group lasso of the coefficients, repeated for each group that they are in.

    Notes
    -----
    Features are zero where any of their groups is zero; for supports that are unions of
    groups, repeat the columns of X instead.

    References
    ----------
    .. [1] R. Jenatton, J.-Y. Audibert, F. Bach, "Structured Variable Selection with
       Sparsity-Inducing Norms", JMLR 12, 2011, Section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.linear_model import overlapping_group_lasso
    >>> penalty = overlapping_group_lasso(1.0, [[0, 1], [1, 2]], 3, weights=None)
    >>> penalty.value(np.array([3.0, 4.0, 3.0]))
    10.0
    """
    check_params(
        overlapping_group_lasso,
        {
            "lam": [Interval(0, np.inf, closed="left")],
            "n_features": [Interval(1, None, integer=True)],
        },
        {"lam": lam, "n_features": n_features},
    )
    if isinstance(groups, dict):
        groups = list(groups.values())
    if isinstance(groups, str) or not np.iterable(groups):
        raise TypeError(
            "The 'groups' parameter of sparseopt.linear_model.overlapping_group_lasso "
            f"must be a list of index arrays. Got {describe(groups)}."
        )
    lists = [Groups.of([group], n_features).indices for group in groups]
    if not lists:
        raise ValueError(
            "The 'groups' parameter of sparseopt.linear_model.overlapping_group_lasso "
            "must hold a group. Got none."
        )
    indices = np.concatenate(lists)
    size = len(indices)
    select = sparse.csr_array(
        (np.ones(size), indices, np.arange(size + 1)), shape=(size, n_features)
    )
    labels = np.repeat(np.arange(len(lists)), [len(part) for part in lists])
    return Composed(GroupLasso(lam, groups=labels, weights=weights), select)


class Block:
    """One term of a sum: a penalty and its map, None for the coefficients themselves.

    `dual` is a point of the penalty's subdifferential that the solver has found.
    """

    def __init__(self, term: Penalty | Composed, shape: tuple[int, ...]) -> None:
        self.penalty = term.penalty if isinstance(term, Composed) else term
        self.map = term if isinstance(term, Composed) else None
        size = shape[0] if self.map is None else self.map.shape[0]
        # sets that the image has to be in are met in the limit only
        self.has_conjugate = not (self.map and self.penalty.is_indicator)
        self.has_conjugate &= has_conjugate(self.penalty, (size, *shape[1:]))
        self.dual: np.ndarray | None = None
        self.image: np.ndarray | None = None

    def matvec(self, w: np.ndarray) -> np.ndarray:
        return w if self.map is None else self.map.matvec(w)

    def rmatvec(self, v: np.ndarray) -> np.ndarray:
        return v if self.map is None else self.map.rmatvec(v)


class Terms(Penalty):
    """A sum of penalties during one solve, with the parts of its dual point.

    The conjugate of a sum is the least sum of conjugates over all ways to write a dual
    point as a sum.  Solvers leave a part in each block; where a block has no map it
    takes what the others leave, so that every dual point is written exactly, and the
    bound is a certificate.  Without such a block there is no gap, and the residual is
    that of the optimality conditions: slopes in units of `slope`, that at zero, and
    images in units of `length`, over which that slope would use up the loss.
    """

    def __init__(self, terms: list[Penalty | Composed], shape: tuple[int, ...]) -> None:
        self.given = terms
        blocks = [Block(term, shape) for term in terms]
        self.is_convex = all(block.penalty.is_convex for block in blocks)
        free = [block for block in blocks if block.map is None]
        plain = next((block for block in free if block.has_conjugate), None)
        self.plain: Block | None = plain or next(iter(free), None)
        self.slope = self.length = 1.0
        self.blocks = [block for block in blocks if block is not self.plain]
        self._ray: np.ndarray | None = None

    def __repr__(self) -> str:
        return " + ".join(repr(term) for term in self.given)

    def value(self, w: np.ndarray) -> float:
        total = 0.0 if self.plain is None else self.plain.penalty.value(w)
        for block in self.blocks:
            if not (block.map and block.penalty.is_indicator):
                total += block.penalty.value(block.matvec(w))
        return total

    def prox(self, w: Any, step: float = 1.0, out: Any = None) -> np.ndarray:
        raise NotImplementedError(
            "A sum of penalties has no proximal operator; use solver 'admm' or 'pdhg'."
        )

    def leave(self, points: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Take the dual and the image of each block that a solver has found."""
        for block, (dual, image) in zip(self.blocks, points, strict=True):
            block.dual, block.image = dual, image
        self._ray = None

    def duals(self) -> list[tuple[np.ndarray | None, np.ndarray | None]]:
        """What `leave` was last given, or None at the start."""
        return [(block.dual, block.image) for block in self.blocks]

    def _split(self, v: np.ndarray) -> tuple[float, np.ndarray]:
        """Factor of the blocks' duals, and what they leave of v.

        The first v after new duals is what they belong to; on its ray they are scaled
        with it.
        """
        ray = v if self._ray is None else self._ray
        square = float(np.vdot(ray, ray))
        factor = float(np.vdot(v, ray)) / square if square > 0 else 1.0
        if np.abs(v - factor * ray).max(initial=0.0) > 1e-9 * np.abs(v).max(initial=0):
            ray, factor = v, 1.0
        self._ray = ray
        for block in self.blocks:
            if block.dual is not None:
                v = v - factor * block.rmatvec(block.dual)
        return factor, v

    def _plain(self) -> Block:
        """The block that takes the rest, of a sum whose conjugate has a bound."""
        parts = [self.plain, *self.blocks]
        if self.plain is None or any(b is None or not b.has_conjugate for b in parts):
            raise NotImplementedError("This sum of penalties has no known conjugate")
        return self.plain

    def dual_scale(self, v: np.ndarray) -> float:
        plain = self._plain()
        factor, rest = self._split(v)
        scale = plain.penalty.dual_scale(rest)
        for block in self.blocks:
            if block.dual is not None:
                scale = min(scale, block.penalty.dual_scale(factor * block.dual))
        return scale

    def conjugate(self, v: np.ndarray) -> float:
        """Bound from above, on the ray of the last call of `dual_scale`."""
        plain = self._plain()
        factor, rest = self._split(v)
        total = plain.penalty.conjugate(rest)
        for block in self.blocks:
            dual = 0.0 * block.matvec(v) if block.dual is None else factor * block.dual
            total += block.penalty.conjugate(dual)
        return total

    def subdiff_distance(self, w: np.ndarray, grad: np.ndarray) -> np.ndarray:
        """Residuals of the optimality conditions, in units of the gradient."""
        _, rest = self._split(-grad)
        if self.plain is not None:
            parts = [self.plain.penalty.subdiff_distance(w, -rest)]
        else:
            parts = [np.abs(rest)]
        for block in self.blocks:
            if block.image is None:
                parts.append(np.array(np.inf))
                continue
            image = block.matvec(w)
            size = max(self.length, float(np.abs(image).max(initial=0.0)))
            parts.append((self.slope / size) * np.abs(image - block.image))
        return np.concatenate([np.ravel(part) for part in parts])


def as_penalty(penalty: Any, shape: tuple[int, ...], owner: str) -> Penalty:
    """The penalty itself, or what a list of penalties and composed ones stands for."""
    if isinstance(penalty, Penalty):
        return penalty
    terms = list(penalty) if isinstance(penalty, (list, tuple)) else [penalty]
    for term in terms:
        if not isinstance(term, (Penalty, Composed)):
            raise TypeError(
                f"The 'penalty' parameter of {owner} must be a penalty of "
                "sparseopt.prox, a Composed one, or a list of them. "
                f"Got {describe(term)}."
            )
        if isinstance(term, Composed) and term.shape[1] != shape[0]:
            raise ValueError(
                f"The 'linear_map' in the 'penalty' parameter of {owner} must have "
                f"{shape[0]} columns. Got {term.shape[1]}."
            )
    if not terms:
        raise ValueError(
            f"The 'penalty' parameter of {owner} must not be an empty list. Got []."
        )
    plain = _added([term for term in terms if isinstance(term, Penalty)])
    composed = [term for term in terms if isinstance(term, Composed)]
    if not composed and len(plain) == 1:
        return plain[0]
    return Terms([*plain, *composed], shape)


def exact_form(penalty: Penalty, shape: tuple[int, ...]) -> Penalty:
    """The penalty, or the same one with a proximal operator of its own.

    An l1 norm and that of the differences of neighbours are a fused lasso, which needs
    no splitting.
    """
    if not isinstance(penalty, Terms) or len(shape) > 1 or len(penalty.given) != 2:
        return penalty
    plain, term = penalty.given
    if not isinstance(term, Composed) or isinstance(plain, Composed):
        return penalty
    level, jump = _l1_level(plain), _l1_level(term.penalty)
    if level is None or jump is None:
        return penalty
    # without an l1 part the dual ball is flat, and there is no gap
    if not level > 0 or term.shape != (shape[0] - 1, shape[0]):
        return penalty
    if term._map.kind == "operator":
        return penalty
    A = sparse.csr_array(term._map.X)
    A.eliminate_zeros()
    if A.nnz != 2 * A.shape[0] or np.any(np.diff(A.indptr) != 2):
        return penalty
    A.sort_indices()
    at, value = A.indices.reshape(-1, 2), A.data.reshape(-1, 2)
    order = np.arange(A.shape[0])
    differ = np.array_equal(at, np.column_stack([order, order + 1]))
    if not differ or np.any(np.abs(value) != 1) or np.any(value.sum(axis=1) != 0):
        return penalty
    return FusedLasso(level + jump, level / (level + jump))


def _l1_level(penalty: Penalty) -> float | None:
    """Strength of a plain l1 norm, None for other penalties."""
    plain = type(penalty) is L1 and penalty.weights is None and not penalty.positive
    return float(penalty.lam) if plain and isinstance(penalty, L1) else None


def _added(penalties: list[Penalty]) -> list[Penalty]:
    """Penalties, added up where the sum has an exact proximal operator."""
    out: list[Penalty] = []
    for new in penalties:
        for place, old in enumerate(out):
            try:
                out[place] = old + new
                break
            except NotImplementedError:
                continue
        else:
            out.append(new)
    return out
