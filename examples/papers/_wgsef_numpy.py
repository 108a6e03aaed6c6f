"""Training with the envelope in plain NumPy: a network with one hidden layer.

A group is a neuron of the hidden layer, its weights and its bias: a row of ``W``.
"""

import numpy as np

from sparseopt.prox import prox_group_lasso, prox_wgsef

HIDDEN, BATCH, RATE, MOMENTUM = 128, 64, 0.1, 0.9
WARMUP, RAMP, CUT = 0.1, 0.3, 0.8  # parts of the training
LAST = 0.5  # where the step of the debiased envelope ends; at 1 it is a projection


class Network:
    """Hidden layer with a ReLU, then a softmax; the last column of both is a bias."""

    def __init__(self, n_features, n_classes, rng):
        bound = 1 / np.sqrt(n_features)
        self.W = rng.uniform(-bound, bound, (HIDDEN, n_features + 1))
        bound = 1 / np.sqrt(HIDDEN)
        self.V = rng.uniform(-bound, bound, (n_classes, HIDDEN + 1))

    def forward(self, X):
        hidden = np.maximum(X @ self.W[:, :-1].T + self.W[:, -1], 0)
        return hidden, hidden @ self.V[:, :-1].T + self.V[:, -1]

    def gradients(self, X, y):
        """Of the mean cross-entropy, in W and V."""
        hidden, scores = self.forward(X)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        error = scores / scores.sum(axis=1, keepdims=True)
        error[np.arange(len(y)), y] -= 1
        error /= len(y)
        back = (error @ self.V[:, :-1]) * (hidden > 0)
        return [
            np.column_stack([back.T @ X, back.sum(axis=0)]),
            np.column_stack([error.T @ hidden, error.sum(axis=0)]),
        ]

    def accuracy(self, X, y):
        return float((self.forward(X)[1].argmax(axis=1) == y).mean())

    def neurons(self):
        return int((self.W != 0).any(axis=1).sum())


def train(data, k, method, epochs, rng):
    """Train, cut to k neurons at 80 % of the steps, train on; what was reached."""
    X, X_test, y, y_test = data
    network = Network(X.shape[1], int(y.max()) + 1, rng)
    speed = [np.zeros_like(network.W), np.zeros_like(network.V)]
    per_epoch = len(X) // BATCH
    total = epochs * per_epoch
    found, support = {}, None
    for step in range(1, total + 1):
        if step % per_epoch == 1:
            order = rng.permutation(len(X))
        batch = order[:BATCH]
        order = np.roll(order, -BATCH)
        gradients = network.gradients(X[batch], y[batch])
        for weights, v, g in zip((network.W, network.V), speed, gradients, strict=True):
            v *= MOMENTUM
            v += g
            weights -= RATE * v
        if method == "dense":
            continue
        if support is None:
            network.W = _penalise(network.W, k, method, step / total)
            if step == round(CUT * total):
                found["neurons before the cut"] = network.neurons()
                norms = np.linalg.norm(network.W, axis=1)
                support = np.zeros(HIDDEN, dtype=bool)
                support[np.argsort(-norms, kind="stable")[:k]] = True
                network.W[~support] = 0
                found["accuracy at the cut"] = network.accuracy(X_test, y_test)
        else:
            network.W[~support] = 0
    return network, found | {
        "accuracy": network.accuracy(X_test, y_test),
        "neurons": network.neurons(),
    }


def _penalise(W, k, method, progress):
    """Proximal step with the penalty of this moment."""
    grown = min(1.0, (progress - WARMUP) / RAMP)
    if grown <= 0 or method == "magnitude":
        return W
    n = W.shape[1]
    if method == "envelope":
        return prox_wgsef(W, k, RATE * 0.1 * grown, groups=n)
    if method == "group lasso":
        return prox_group_lasso(W, RATE * 0.01 * grown, groups=n)
    step = LAST * 1e-3 ** (1 - grown)
    return prox_wgsef(W, k, step, groups=n, debias=1.0)
