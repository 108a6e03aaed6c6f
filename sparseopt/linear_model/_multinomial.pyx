"""Block coordinate descent for the cross entropy of classes.

A block is the row of coefficients of one feature.  Its step is a proximal one for a given
curvature; the probabilities of the samples that the feature touches are kept up to date.
Arguments are not validated here.
"""
from libc.math cimport exp, fabs, sqrt
from libc.stdint cimport int32_t, int64_t

import numpy as np

ctypedef fused real:
    float
    double

ctypedef fused index:
    int32_t
    int64_t


cdef inline double clipped(double x, double t, bint positive) noexcept nogil:
    if positive and x < 0.0:
        return 0.0
    return x - t if x > t else x + t if x < -t else 0.0


cdef class Model:
    """Predictions and probabilities of the samples, and the penalty of a row:
    ``l1 |w|_1 + l2 |w|^2 / 2 + group |w|_2``, each with weights of its own for a row."""

    cdef double[:, ::1] z, p
    cdef const double[:, ::1] y
    cdef const double[::1] s, curvature, l1, l2, group
    cdef double[:, ::1] w
    cdef double[::1] b, g, new
    cdef const double[::1] curvature_b
    cdef bint positive, free
    cdef int K

    def __init__(self, dict arrays, bint positive, bint fit_intercept):
        self.z, self.y, self.s = arrays["z"], arrays["y"], arrays["s"]
        self.w, self.b, self.curvature = arrays["w"], arrays["b"], arrays["curvature"]
        self.l1, self.l2, self.group = arrays["l1"], arrays["l2"], arrays["group"]
        self.curvature_b = arrays["curvature_b"]
        self.K = <int>self.z.shape[1]
        self.p = np.zeros((self.z.shape[0], self.K))
        self.g, self.new = np.zeros(self.K), np.zeros(self.K)
        self.positive, self.free = positive, fit_intercept
        self.refresh()

    def refresh(self):
        """Probabilities of all samples from their predictions."""
        cdef int64_t i
        with nogil:
            for i in range(self.z.shape[0]):
                self.softmax(i)

    cdef inline void softmax(self, int64_t i) noexcept nogil:
        cdef double top = self.z[i, 0], total = 0.0
        cdef int k
        for k in range(1, self.K):
            top = max(top, self.z[i, k])
        for k in range(self.K):
            self.p[i, k] = exp(self.z[i, k] - top)
            total += self.p[i, k]
        for k in range(self.K):
            self.p[i, k] /= total

    cdef inline void pull(self, int64_t i, double x) noexcept nogil:
        """Add the part of one sample to the gradient."""
        cdef int k
        x *= self.s[i]
        for k in range(self.K):
            self.g[k] += x * (self.p[i, k] - self.y[i, k])

    cdef inline void push(self, int64_t i, double x) noexcept nogil:
        """Move the predictions of one sample along the step in `new`."""
        cdef int k
        for k in range(self.K):
            self.z[i, k] += x * self.new[k]
        self.softmax(i)

    cdef inline double propose(self, int64_t j) noexcept nogil:
        """Step of block j, left in `new`; the largest entry, in units of the gradient."""
        cdef double h = self.curvature[j], norm = 0.0, most = 0.0, u
        cdef int k
        for k in range(self.K):
            u = clipped(self.w[j, k] - self.g[k] / h, self.l1[j] / h, self.positive)
            self.new[k] = u
            norm += u * u
        norm = sqrt(norm)
        u = 0.0
        if norm * h > self.group[j]:
            u = 1.0 if self.group[j] == 0.0 else 1.0 - self.group[j] / (norm * h)
        u /= 1.0 + self.l2[j] / h
        for k in range(self.K):
            norm = u * self.new[k]
            self.new[k] = norm - self.w[j, k]
            self.w[j, k] = norm
            most = max(most, fabs(self.new[k]))
        return most * h

    cdef double move_intercept(self) noexcept nogil:
        """Step of the intercepts."""
        cdef int64_t i
        cdef double most = 0.0
        cdef int k
        for k in range(self.K):
            self.g[k] = 0.0
        for i in range(self.z.shape[0]):
            self.pull(i, 1.0)
        for k in range(self.K):
            self.new[k] = -self.g[k] / self.curvature_b[0]
            self.b[k] += self.new[k]
            most = max(most, fabs(self.g[k]))
        if most > 0.0:
            for i in range(self.z.shape[0]):
                self.push(i, 1.0)
        return most


def dense_epoch(Model model, const real[::1, :] X, const int64_t[::1] cols):
    """One step of each column; the largest, in units of the gradient."""
    cdef int64_t a, j, i, n = X.shape[0]
    cdef int k
    cdef double worst = 0.0, moved
    with nogil:
        if model.free:
            worst = model.move_intercept()
        for a in range(cols.shape[0]):
            j = cols[a]
            if model.curvature[j] == 0.0:
                continue
            for k in range(model.K):
                model.g[k] = 0.0
            for i in range(n):
                model.pull(i, X[i, j])
            moved = model.propose(j)
            if moved > 0.0:
                worst = max(worst, moved)
                for i in range(n):
                    model.push(i, X[i, j])
    return worst


def sparse_epoch(Model model, const real[::1] data, const index[::1] indices,
                 const index[::1] indptr, const int64_t[::1] cols):
    """One step of each column of a CSC matrix; the largest, in units of the gradient."""
    cdef int64_t a, j, e
    cdef int k
    cdef double worst = 0.0, moved
    with nogil:
        if model.free:
            worst = model.move_intercept()
        for a in range(cols.shape[0]):
            j = cols[a]
            if model.curvature[j] == 0.0:
                continue
            for k in range(model.K):
                model.g[k] = 0.0
            for e in range(indptr[j], indptr[j + 1]):
                model.pull(indices[e], data[e])
            moved = model.propose(j)
            if moved > 0.0:
                worst = max(worst, moved)
                for e in range(indptr[j], indptr[j + 1]):
                    model.push(indices[e], data[e])
    return worst
