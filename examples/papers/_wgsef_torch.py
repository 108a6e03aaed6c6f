"""Training with the envelope in PyTorch: networks, data and one run."""

import time
import warnings

import numpy as np
import torch
from torch import nn

from sparseopt.exceptions import ConvergenceWarning
from sparseopt.torch import ProxSGD, model_size, param_groups, shrink

RATE, MOMENTUM, BATCH = 0.1, 0.9, 64


def perceptron():
    """The network of the digits."""
    return nn.Sequential(
        *(nn.Linear(64, 256), nn.ReLU()),
        *(nn.Linear(256, 128), nn.ReLU()),
        nn.Linear(128, 10),
    )


def convolutional():
    """A network in the manner of LeNet-5, with batch normalisation."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 5), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(512, 128), nn.ReLU()),
        nn.Linear(128, 10),
    )


def tensors(data):
    """Arrays of a split as tensors."""
    X, X_test, y, y_test = data
    images = [torch.as_tensor(a, dtype=torch.float32) for a in (X, X_test)]
    labels = [torch.as_tensor(a, dtype=torch.int64) for a in (y, y_test)]
    return images[0], images[1], labels[0], labels[1]


@torch.no_grad()
def _accuracy(network, X, y):
    network.eval()
    right = float((network(X).argmax(dim=1) == y).double().mean())
    network.train()
    return right


def train(make, data, k, options, epochs, seed):
    """Train with some options of `ProxSGD`; the network and what was reached.

    A penalty that is too strong says so by a warning; here its numbers do.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _train(make, data, k, options, epochs, seed)


def _train(make, data, k, options, epochs, seed):
    torch.manual_seed(seed)
    X, X_test, y, y_test = data
    network = make()
    dense = options.get("penalty") == "dense"
    groups = network.parameters() if dense else param_groups(network, k=k, **options)
    per_epoch = len(X) // BATCH
    total = epochs * per_epoch
    optimizer = ProxSGD(groups, lr=RATE, momentum=MOMENTUM, total_steps=total)
    found, step, start = {}, 0, time.perf_counter()
    for _ in range(epochs):
        order = torch.randperm(len(X))
        for batch in order[: per_epoch * BATCH].split(BATCH):
            step += 1
            last = step == round(0.8 * total) and not dense
            if last:
                found["neurons before the cut"] = _count(optimizer)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(X[batch]), y[batch])
            loss.backward()
            optimizer.step()
            if last:
                found["accuracy at the cut"] = _accuracy(network, X_test, y_test)
    found["accuracy"] = _accuracy(network, X_test, y_test)
    found["seconds"] = time.perf_counter() - start
    found["neurons"] = 0 if dense else _count(optimizer)
    found["asked"] = sum(-(-g.shape[0] * k // 1) for g in _masks(optimizer))
    return network, found


def _masks(optimizer):
    return [mask for mask in optimizer.support() if mask is not None]


def _count(optimizer):
    return sum(int(mask.sum()) for mask in _masks(optimizer))


@torch.no_grad()
def reduced(network, X):
    """Sizes before and after, and how much the outputs differ."""
    network.eval()
    smaller = shrink(network)
    before, after = (model_size(net, X[:1]) for net in (network, smaller))
    times = [_seconds(net, X) for net in (network, smaller)]
    return {
        "parameters left": after.params / before.params,
        "operations left": after.flops / before.flops,
        "speed-up of inference": times[0] / times[1],
        "largest difference": float((network(X) - smaller(X)).abs().max()),
    }


def _seconds(network, X):
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        network(X)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
