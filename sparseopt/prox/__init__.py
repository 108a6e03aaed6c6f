"""Proximal operators, projections and penalties."""

from sparseopt.prox._affine import AffineSet, project_affine
from sparseopt.prox._calculus import (
    MoreauConjugate,
    MoreauEnvelope,
    Scaled,
    SeparableSum,
    Translated,
)
from sparseopt.prox._calculus_maps import Intersection, Orthonormal, ProximalAverage
from sparseopt.prox._calculus_sum import Clipped, PlusRidge, Positive
from sparseopt.prox._cardinality import project_group_l0_ball, project_l0_ball
from sparseopt.prox._elementwise import prox_elastic_net, prox_l1, prox_ridge
from sparseopt.prox._group import (
    prox_group_lasso,
    prox_group_linf,
    prox_l2,
    prox_linf,
    prox_sparse_group_lasso,
    prox_tree,
)
from sparseopt.prox._groups import Groups
from sparseopt.prox._ksupport import project_ksupport_ball, prox_box_norm, prox_ksupport
from sparseopt.prox._losses import (
    prox_hinge,
    prox_huber,
    prox_kl,
    prox_logistic,
    prox_pinball,
    prox_squared_hinge,
)
from sparseopt.prox._nonconvex import (
    prox_l0,
    prox_l_half,
    prox_l_two_thirds,
    prox_log_sum,
    prox_lq,
    prox_mcp,
    prox_scad,
)
from sparseopt.prox._penalties_envelope import WGSEF, BoxNorm, KSupport
from sparseopt.prox._penalties_group import GroupLasso, SparseGroupLasso
from sparseopt.prox._penalties_nonconvex import L0, MCP, SCAD, LogSum, Lq
from sparseopt.prox._penalties_norms import L2, GroupLinf, Linf
from sparseopt.prox._penalties_separable import L1, ElasticNet, NoPenalty, Ridge
from sparseopt.prox._penalties_sets import (
    Box,
    ConvexSet,
    L0Ball,
    L1Ball,
    NonNegative,
    Simplex,
)
from sparseopt.prox._penalties_spectral import SpectralBoxNorm, SpectralKSupport
from sparseopt.prox._penalties_structured import SLOPE, TV1D, TV2D, FusedLasso, Nuclear
from sparseopt.prox._penalties_tree import TreeGroupLasso
from sparseopt.prox._penalties_trend import TrendFilter
from sparseopt.prox._penalty import Coordinate, Penalty
from sparseopt.prox._sets import (
    project_box,
    project_halfspace,
    project_hyperplane,
    project_l2_ball,
    project_linf_ball,
    project_psd,
    project_soc,
)
from sparseopt.prox._simplex import (
    project_capped_simplex,
    project_l1_ball,
    project_simplex,
)
from sparseopt.prox._slope import prox_slope, slope_weights
from sparseopt.prox._spectral import (
    project_rank,
    prox_nuclear,
    prox_rank,
    prox_schatten,
    prox_spectral_ksupport,
)
from sparseopt.prox._trend import prox_trend_filter
from sparseopt.prox._tv import prox_fused_lasso, prox_isotonic, prox_tv1d
from sparseopt.prox._tv2d import prox_tv2d
from sparseopt.prox._wgsef import EnvelopeInfo, prox_wgsef
from sparseopt.prox._wgsef_blocks import prox_wgsef_blocks
from sparseopt.prox._wgsef_jvp import prox_wgsef_jvp
from sparseopt.prox._wgsef_value import wgsef_conjugate, wgsef_subgradient, wgsef_value

__all__ = [
    "L0",
    "L1",
    "L2",
    "MCP",
    "SCAD",
    "SLOPE",
    "TV1D",
    "TV2D",
    "WGSEF",
    "AffineSet",
    "Box",
    "BoxNorm",
    "Clipped",
    "ConvexSet",
    "Coordinate",
    "ElasticNet",
    "EnvelopeInfo",
    "FusedLasso",
    "GroupLasso",
    "GroupLinf",
    "Groups",
    "Intersection",
    "KSupport",
    "L0Ball",
    "L1Ball",
    "Linf",
    "LogSum",
    "Lq",
    "MoreauConjugate",
    "MoreauEnvelope",
    "NoPenalty",
    "NonNegative",
    "Nuclear",
    "Orthonormal",
    "Penalty",
    "PlusRidge",
    "Positive",
    "ProximalAverage",
    "Ridge",
    "Scaled",
    "SeparableSum",
    "Simplex",
    "SparseGroupLasso",
    "SpectralBoxNorm",
    "SpectralKSupport",
    "Translated",
    "TreeGroupLasso",
    "TrendFilter",
    "project_affine",
    "project_box",
    "project_capped_simplex",
    "project_group_l0_ball",
    "project_halfspace",
    "project_hyperplane",
    "project_ksupport_ball",
    "project_l0_ball",
    "project_l1_ball",
    "project_l2_ball",
    "project_linf_ball",
    "project_psd",
    "project_rank",
    "project_simplex",
    "project_soc",
    "prox_box_norm",
    "prox_elastic_net",
    "prox_fused_lasso",
    "prox_group_lasso",
    "prox_group_linf",
    "prox_hinge",
    "prox_huber",
    "prox_isotonic",
    "prox_kl",
    "prox_ksupport",
    "prox_l0",
    "prox_l1",
    "prox_l2",
    "prox_l_half",
    "prox_l_two_thirds",
    "prox_linf",
    "prox_log_sum",
    "prox_logistic",
    "prox_lq",
    "prox_mcp",
    "prox_nuclear",
    "prox_pinball",
    "prox_rank",
    "prox_ridge",
    "prox_scad",
    "prox_schatten",
    "prox_slope",
    "prox_sparse_group_lasso",
    "prox_spectral_ksupport",
    "prox_squared_hinge",
    "prox_tree",
    "prox_trend_filter",
    "prox_tv1d",
    "prox_tv2d",
    "prox_wgsef",
    "prox_wgsef_blocks",
    "prox_wgsef_jvp",
    "slope_weights",
    "wgsef_conjugate",
    "wgsef_subgradient",
    "wgsef_value",
]
