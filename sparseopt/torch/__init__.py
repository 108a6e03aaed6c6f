"""Training of sparse networks in PyTorch; importing this package imports torch."""

from sparseopt.torch import _installed as _installed
from sparseopt.torch._adamw import ProxAdamW
from sparseopt.torch._functional import prox_wgsef
from sparseopt.torch._param_groups import param_groups
from sparseopt.torch._sgd import ProxSGD
from sparseopt.torch._shrink import shrink
from sparseopt.torch._size import ModelSize, model_size

__all__ = [
    "ModelSize",
    "ProxAdamW",
    "ProxSGD",
    "model_size",
    "param_groups",
    "prox_wgsef",
    "shrink",
]
