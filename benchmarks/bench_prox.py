"""History of `sparseopt.prox`: time and memory, and how far answers are from optimal.

The operators are direct: there are no iterations to count. What `track_*` reports is
computed here from the definitions, with the input and the answer alone.
"""

import numpy as np

from sparseopt import prox

SIZES = (10_000, 1_000_000)
TYPES = ("float32", "float64")


def normal(n, dtype="float64"):
    """Standard normal entries, the same in each run."""
    return np.random.default_rng(0).standard_normal(n).astype(dtype)


def shares_error(norms, kept, k, lam):
    """Distance of the sum of shares from k, relative to k: zero at the optimum.

    A group of norm a is multiplied by u / (u + lam), so that kept / a gives u.
    """
    inside = kept > 0
    a, b = norms[inside].astype(np.longdouble), kept[inside].astype(np.longdouble)
    # a share of one is b = a / (1 + lam)
    u = np.minimum(lam * b / (a - b), 1)
    return float(abs(u.sum() - k) / k)


def block_norms(x, size):
    return np.linalg.norm(x.reshape(-1, size), axis=1)


class Envelope:
    """Groups of one: the root of a piecewise linear function of n terms."""

    params = (SIZES, (0.01, 0.5), TYPES)
    param_names = ("n", "share", "dtype")

    def setup(self, n, share, dtype):
        self.x, self.k = normal(n, dtype), int(share * n)
        self.out = np.empty_like(self.x)

    def time_prox(self, n, share, dtype):
        prox.prox_wgsef(self.x, self.k, 0.5, out=self.out, n_threads=1)

    def time_value(self, n, share, dtype):
        prox.wgsef_value(self.x, self.k)

    def peakmem_prox(self, n, share, dtype):
        prox.prox_wgsef(self.x, self.k, 0.5, n_threads=1)

    def track_shares_error(self, n, share, dtype):
        self.time_prox(n, share, dtype)
        return shares_error(np.abs(self.x), np.abs(self.out), self.k, 0.5)


class EnvelopeStrength:
    """From nearly all entries kept to nearly the top k."""

    params = ((1e-3, 1.0, 1e3),)
    param_names = ("lam",)

    def setup(self, lam):
        self.x = normal(1_000_000)
        self.out = np.empty_like(self.x)

    def time_prox(self, lam):
        prox.prox_wgsef(self.x, 10_000, lam, out=self.out, n_threads=1)

    def track_shares_error(self, lam):
        self.time_prox(lam)
        return shares_error(np.abs(self.x), np.abs(self.out), 10_000, lam)


class EnvelopeGroups:
    """Blocks, labels of unequal groups, and weights, on a million entries."""

    params = (("blocks-5", "blocks-64", "labels", "weights"), TYPES)
    param_names = ("groups", "dtype")

    def setup(self, groups, dtype):
        self.x = x = normal(1_000_000, dtype)
        self.out, rng = np.empty_like(x), np.random.default_rng(1)
        weights = None
        if groups == "labels":
            self.groups = prox.Groups.of(rng.integers(0, x.size // 20, x.size), x.size)
        elif groups == "weights":
            self.groups, weights = None, rng.uniform(0.5, 2.0, x.size)
        else:
            self.groups = int(groups.removeprefix("blocks-"))
        self.k = x.size // 500
        self.options = {"groups": self.groups, "weights": weights}

    def time_prox(self, groups, dtype):
        prox.prox_wgsef(self.x, self.k, 0.5, out=self.out, **self.options)

    def peakmem_prox(self, groups, dtype):
        prox.prox_wgsef(self.x, self.k, 0.5, **self.options)

    def track_shares_error(self, groups, dtype):
        """Of blocks from outside; of the others from the shares that are returned."""
        w, info = prox.prox_wgsef(self.x, self.k, 0.5, return_info=True, **self.options)
        if isinstance(self.groups, int):
            norms = (block_norms(v, self.groups) for v in (self.x, w))
            return shares_error(*norms, self.k, 0.5)
        return float(abs(info.u.sum(dtype=np.longdouble) - self.k) / self.k)


class EnvelopeThreads:
    """The one class that uses more than one thread."""

    params = ((1, 2),)
    param_names = ("n_threads",)

    def setup(self, n_threads):
        self.x = normal(4_000_000)
        self.out = np.empty_like(self.x)

    def time_prox(self, n_threads):
        prox.prox_wgsef(self.x, 40_000, 0.5, out=self.out, n_threads=n_threads)


class EnvelopeRows:
    """Many short vectors: what a call costs beside its work, and along an axis."""

    def setup(self):
        self.x = normal(200_000).reshape(2000, 100)
        self.row = self.x[0].copy()

    def time_axis(self):
        prox.prox_wgsef(self.x, 10, 0.5, axis=1)

    def time_short(self):
        prox.prox_wgsef(self.row, 10, 0.5)


class Projections:
    """Simplex and l1 ball, to few and to many nonzeros."""

    params = (("simplex", "l1 ball"), SIZES, (1.0, 1000.0), TYPES)
    param_names = ("set", "n", "size", "dtype")

    def setup(self, name, n, size, dtype):
        self.x = normal(n, dtype)
        self.out = np.empty_like(self.x)
        functions = {"simplex": prox.project_simplex, "l1 ball": prox.project_l1_ball}
        self.project = functions[name]

    def time_project(self, name, n, size, dtype):
        self.project(self.x, size, out=self.out, n_threads=1)

    def peakmem_project(self, name, n, size, dtype):
        self.project(self.x, size, n_threads=1)

    def track_error(self, name, n, size, dtype):
        """Largest distance from the projection by sorting, in extended precision."""
        self.time_project(name, n, size, dtype)
        x = self.x.astype(np.longdouble)
        a = np.abs(x) if name == "l1 ball" else x
        order = np.sort(a)[::-1]
        levels = (np.cumsum(order) - size) / np.arange(1, n + 1)
        level = levels[np.count_nonzero(order > levels) - 1]
        exact = np.maximum(a - level, 0) * (np.sign(x) if name == "l1 ball" else 1)
        return float(np.abs(self.out - exact).max())


class TotalVariation:
    """The taut string on noise, on steps and on a walk."""

    params = (("noise", "steps", "walk"), SIZES)
    param_names = ("signal", "n")

    def setup(self, signal, n):
        noise = normal(n)
        rng = np.random.default_rng(1)
        self.x = {
            "noise": lambda: noise,
            "steps": lambda: (
                np.repeat(3 * rng.standard_normal(n // 1000), 1000) + noise
            ),
            "walk": lambda: np.cumsum(0.1 * rng.standard_normal(n)) + noise,
        }[signal]()
        self.out = np.empty_like(self.x)

    def time_prox(self, signal, n):
        prox.prox_tv1d(self.x, 5.0, out=self.out)

    def peakmem_prox(self, signal, n):
        prox.prox_tv1d(self.x, 5.0)

    def track_gap(self, signal, n):
        """Duality gap relative to the objective, plus how far the dual is outside."""
        w = prox.prox_tv1d(self.x, 5.0)
        dual = np.cumsum((self.x - w).astype(np.longdouble))
        jumps = np.diff(w.astype(np.longdouble))
        penalty = 5 * np.abs(jumps).sum()
        gap = penalty + dual[:-1] @ jumps
        objective = penalty + ((self.x - w) ** 2).sum() / 2
        outside = max(np.abs(dual).max() - 5.0, abs(dual[-1]), 0.0)
        return float(abs(gap) / objective + outside / 5.0)


class Slope:
    """Sorted l1 norm with the weights of the false discovery rate."""

    params = (SIZES, (0.1, 1.0))
    param_names = ("n", "scale")

    def setup(self, n, scale):
        self.x, self.lam = normal(n), scale * prox.slope_weights(n)
        self.out = np.empty_like(self.x)

    def time_prox(self, n, scale):
        prox.prox_slope(self.x, self.lam, out=self.out)

    def peakmem_prox(self, n, scale):
        prox.prox_slope(self.x, self.lam)

    def track_gap(self, n, scale):
        """Duality gap relative to the objective, plus how far the dual is outside."""
        w = prox.prox_slope(self.x, self.lam)
        dual = (self.x - w).astype(np.longdouble)
        lam = self.lam.astype(np.longdouble)
        penalty = np.sort(np.abs(w))[::-1] @ lam
        sums = np.cumsum(np.sort(np.abs(dual))[::-1])
        outside = max((sums / np.cumsum(lam)).max() - 1, 0)
        objective = penalty + (dual @ dual) / 2
        return float(abs(penalty - dual @ w) / objective + outside)


class SoftThreshold:
    """One pass over memory, beside a copy."""

    params = (SIZES, TYPES)
    param_names = ("n", "dtype")

    def setup(self, n, dtype):
        self.x = normal(n, dtype)
        self.out = np.empty_like(self.x)

    def time_prox(self, n, dtype):
        prox.prox_l1(self.x, 0.5, out=self.out)

    def time_copy(self, n, dtype):
        np.copyto(self.out, self.x)

    def peakmem_prox(self, n, dtype):
        prox.prox_l1(self.x, 0.5)

    def track_error(self, n, dtype):
        """Largest distance from the formula in NumPy."""
        self.time_prox(n, dtype)
        x = self.x.astype(float)
        exact = np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)
        return float(np.abs(self.out - exact).max())
