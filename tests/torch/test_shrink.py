"""Smaller networks compute the same; sizes are counted right."""

import copy

import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F
from torch import nn

from sparseopt.torch import ProxSGD, model_size, param_groups, shrink


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@torch.no_grad()
def zero_rows(module, rows, bias=0.0):
    module.weight[rows] = 0
    if module.bias is not None:
        module.bias[rows] = bias


@torch.no_grad()
def randomise(net):
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 2)
            module.bias.normal_()
    return net


@torch.no_grad()
def assert_same(net, smaller, *shape):
    net.eval()
    smaller.eval()
    x = torch.randn(shape, dtype=next(net.parameters()).dtype)
    torch.testing.assert_close(net(x), smaller(x), rtol=1e-4, atol=1e-5)


def perceptron(**options):
    return nn.Sequential(
        *(nn.Linear(5, 16, **options), nn.ReLU()),
        *(nn.Linear(16, 12, **options), nn.Tanh(), nn.Linear(12, 3, **options)),
    )


def lenet():
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3, padding=1), nn.Sigmoid(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Dropout(), nn.Linear(72, 20), nn.BatchNorm1d(20)),
        *(nn.GELU(), nn.Linear(20, 4)),
    )


def test_rows_and_matching_columns_go():
    net = perceptron()
    zero_rows(net[0], slice(4, 16))
    zero_rows(net[2], slice(0, 9))
    smaller = shrink(net)
    assert [smaller[i].weight.shape for i in (0, 2, 4)] == [(4, 5), (3, 4), (3, 3)]
    assert (smaller[0].in_features, smaller[0].out_features) == (5, 4)
    assert_same(net, smaller, 7, 5)


def test_constants_go_into_the_next_bias():
    net = perceptron()
    zero_rows(net[0], slice(0, 5), bias=0.7)
    zero_rows(net[2], [1, 2], bias=-0.4)
    smaller = shrink(net)
    assert [smaller[i].out_features for i in (0, 2)] == [11, 10]
    assert_same(net, smaller, 7, 5)


def test_a_bias_is_made_where_there_is_none():
    net = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2, bias=False))
    zero_rows(net[0], [0, 3])  # the sigmoid of zero is a half
    smaller = shrink(net)
    assert smaller[2].bias is not None
    assert smaller[0].out_features == 2
    assert_same(net, smaller, 7, 3)


def test_what_nothing_reads_goes():
    net = perceptron()
    with torch.no_grad():
        net[2].weight[:, [0, 1, 2]] = 0
        net[4].weight[:, 5:] = 0
    smaller = shrink(net)
    assert [smaller[i].out_features for i in (0, 2)] == [13, 5]
    assert_same(net, smaller, 7, 5)


def test_removal_goes_on_through_layers():
    """A neuron that feeds removed neurons only goes, too."""
    net = perceptron()
    with torch.no_grad():
        net[2].weight[:8, :4] = 0
        net[2].weight[:8, 4:] = torch.randn(8, 12)
        net[2].weight[8:] = 0
        net[2].weight[8:, :4] = torch.randn(4, 4)
        net[4].weight[:, 8:] = 0
    smaller = shrink(net)
    assert [smaller[i].out_features for i in (0, 2)] == [12, 8]
    assert_same(net, smaller, 7, 5)


def test_convolutions_normalisation_and_flatten():
    net = randomise(lenet())
    zero_rows(net[0], [0, 2, 3])
    zero_rows(net[1], [0, 2])
    with torch.no_grad():
        net[1].bias[3] = 9  # a constant in front of padding
    zero_rows(net[4], [1, 5], bias=0.3)
    zero_rows(net[9], slice(0, 15))
    smaller = shrink(net, torch.randn(2, 1, 16, 16))
    assert smaller[0].out_channels == smaller[1].num_features == 4
    assert smaller[4].out_channels == 6
    assert smaller[9].weight.shape == (5, 54)
    assert_same(net, smaller, 3, 1, 16, 16)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [0, 1])
def test_constant_in_front_of_padding(mode, padding):
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.Conv2d(4, 2, 3, padding=padding, padding_mode=mode),
    )
    zero_rows(net[0], [1], bias=0.5)
    smaller = shrink(net)
    kept = mode == "zeros" and padding
    assert smaller[0].out_channels == (4 if kept else 3)
    assert_same(net, smaller, 2, 1, 9, 9)


class Residual(nn.Module):
    """Two blocks with skip connections, one with a depthwise convolution."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.a = nn.Conv2d(8, 12, 3, padding=1, bias=False)
        self.a_norm = nn.BatchNorm2d(12)
        self.b, self.b_norm = nn.Conv2d(12, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.each = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        x = F.relu(x + self.b_norm(self.b(F.relu(self.a_norm(self.a(x))))))
        x = F.max_pool2d(F.relu(self.each(x)), 4)
        return F.log_softmax(self.head(x.view(x.size(0), -1)), dim=1)


def test_skip_connections_share_their_channels():
    net = randomise(Residual())
    first, second, rest = param_groups(net, k=0.5)
    shapes = sorted(tuple(p.shape) for p in first["params"] if p.ndim > 1)
    assert shapes == [(8, 1, 3, 3), (8, 3, 3, 3), (8, 12, 3, 3)]
    assert [p.shape[0] for p in second["params"]] == [12, 12, 12]
    assert [tuple(p.shape) for p in rest["params"]] == [(5, 32), (5,)]
    with torch.no_grad():
        for p in first["params"]:
            p[[1, 4, 6]] = 0
        for p in second["params"]:
            p[2:] = 0
    smaller = shrink(net, torch.randn(1, 3, 8, 8))
    assert isinstance(smaller, Residual)
    assert smaller.stem.out_channels == smaller.b.out_channels == 5
    assert smaller.each.groups == smaller.each.in_channels == 5
    assert smaller.a.out_channels == 2
    assert_same(net, smaller, 2, 3, 8, 8)


def test_one_side_of_an_addition_is_not_enough():
    net = randomise(Residual())
    zero_rows(net.b, [0, 1])
    zero_rows(net.b_norm, [0, 1])
    smaller = shrink(net)
    assert smaller.stem.out_channels == 8
    assert_same(net, smaller, 2, 3, 8, 8)


def test_a_layer_keeps_one_neuron():
    net = perceptron()
    zero_rows(net[0], slice(None))
    smaller = shrink(net)
    assert smaller[0].out_features == smaller[2].out_features == 1
    assert_same(net, smaller, 7, 5)


def test_nothing_to_remove():
    net = randomise(lenet())
    smaller = shrink(net)
    for a, b in zip(net.parameters(), smaller.parameters(), strict=True):
        assert torch.equal(a, b)


def test_model_is_not_changed_and_result_can_be_trained():
    net = perceptron().double()
    zero_rows(net[0], slice(8, 16))
    net[2].bias.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    smaller = shrink(net)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert smaller[0].weight.dtype == torch.float64
    assert not smaller[2].bias.requires_grad
    smaller(torch.randn(3, 5).double()).sum().backward()
    assert smaller[0].weight.grad.shape == (8, 5)


def test_trained_network_shrinks_to_k():
    net = lenet()
    optimizer = ProxSGD(param_groups(net, k=0.25), lr=0.05, total_steps=30)
    X, y = torch.randn(16, 1, 16, 16), torch.arange(16) % 4
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(net(X), y).backward()
        optimizer.step()
    smaller = shrink(net, X)
    assert smaller[0].out_channels == 2
    assert smaller[4].out_channels == 2
    assert smaller[9].out_features == 5
    before, after = model_size(net, X), model_size(smaller, X)
    assert after.params < before.params / 3
    assert after.flops < before.flops / 3


# ----------------------------------------------------------------- what is not followed


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.one(x) * torch.sigmoid(self.two(x))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(3, 3)

    def forward(self, x):
        return self.one(self.one(x))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 5)), "'1', a LSTM"),
        (nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)), "'0', a Conv2d with groups=2"),
        (Gate(), "'mul', a call of mul"),
        (Twice(), "'one', used twice"),
        (Branching(), "without branches that depend on the data"),
        (nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2)), "takes 5 channels where 4"),
        (nn.Sequential(nn.Conv1d(2, 3, 2), nn.Flatten(0)), "'1', a Flatten"),
    ],
)
def test_unsupported_model(model, message):
    for function in (shrink, param_groups):
        with pytest.raises(ValueError, match=message):
            function(model)


def test_not_a_model():
    with pytest.raises(
        TypeError, match=r"'model' parameter of sparseopt\.torch\.shrink"
    ):
        shrink(torch.ones(3))


# ---------------------------------------------------------------------------- counting


def test_operations_are_twice_the_multiplications():
    net = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.Flatten()),
        nn.Linear(4 * 36, 5, bias=False),
    )
    size = model_size(net, torch.zeros(3, 2, 6, 6))
    assert size.params == 4 * 9 + 4 + 4 * 36 * 5
    assert size.flops == 2 * (36 * 4 * 9 + 4 * 36 * 5)
    assert model_size(net).flops is None


def test_transposed_convolution():
    net = nn.ConvTranspose2d(3, 2, 2, stride=2, bias=False)
    assert model_size(net, torch.zeros(1, 3, 4, 4)).flops == 2 * 16 * 3 * 2 * 4


def test_zeros_are_counted_out():
    net = perceptron()
    zero_rows(net[0], [0, 1])
    assert model_size(net).nonzero == model_size(net).params - 2 * 6
