"""Entropic transport solvers of other packages, in the settings worth trying.

Every call returns the plan, or the potentials for ours; `marginal_error` looks at both
from outside.
"""

import os
from functools import partial

import numpy as np
from _harness import Candidate, Variant

# POT would load all array libraries there are, with their threads
for _name in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW"):
    os.environ[f"POT_BACKEND_DISABLE_{_name}"] = "1"

SSNS_LINEAR_SOLVERS = {0: "CG", 1: "LDLT", 2: "LLT"}


def marginal_error(problem, answer):
    """L1 distance of both marginals, over all entries in float64, from an answer."""
    if isinstance(answer, tuple):
        f, g = answer
        plan = np.subtract(np.add.outer(f, g), problem.C)
        plan /= problem.reg
        np.exp(plan, out=plan)
    else:
        plan = np.asarray(answer)
    rows, columns = plan.sum(axis=1), plan.sum(axis=0)
    error = abs(rows - problem.a).sum() + abs(columns - problem.b).sum()
    return error if np.isfinite(error) else np.inf


def _ours(problem, tol, max_iter, *, with_plan=False, **options):
    import sparseopt.ot

    C, a, b, reg, _ = problem
    options = {"n_threads": 1, **options}

    def call():
        result = sparseopt.ot.solve(C, a, b, reg, tol=tol, **options)
        return result.plan if with_plan else result.potentials

    return call


def ours(name="sparseopt", **options):
    """This library in its default configuration, or with the options given."""
    variant = Variant("default", partial(_ours, **options), can_fork=False)
    return Candidate(name, "sparseopt", [variant])


def _regot(problem, tol, max_iter, *, solver, **options):
    import regot

    C, a, b, reg, _ = problem
    C = np.asfortranarray(C)
    solve = getattr(regot, f"sinkhorn_{solver}")
    return lambda: solve(C, a, b, reg, tol=tol, max_iter=max_iter, **options).plan


def regot_ssns():
    """regot's safe and sparse Newton method with each of its linear solvers."""
    return Candidate(
        "regot ssns",
        "regot",
        [
            Variant(name, partial(_regot, solver="ssns", method=k), max_iter=1000)
            for k, name in sorted(SSNS_LINEAR_SOLVERS.items(), reverse=True)
        ],
    )


def regot_others():
    """The rest of regot's entropic solvers."""
    caps = {"newton": 500, "splr": 5000, "sparse_newton": 5000, "lbfgs_dual": 20_000}
    caps |= {"bcd": 10**6, "apdagd": 10**6}
    return [
        Candidate(
            f"regot {solver}",
            "regot",
            [Variant("default", partial(_regot, solver=solver), max_iter=cap)],
        )
        for solver, cap in caps.items()
    ]


def _pot(problem, tol, max_iter, *, method, **options):
    import ot

    C, a, b, reg, _ = problem
    common = {"method": method, "numItermax": max_iter, "stopThr": tol}
    return lambda: ot.sinkhorn(a, b, C, reg, **common, **options)


def _pot_scaling(problem, tol, max_iter, *, inner=100, **options):
    outer = max(1, max_iter // inner)
    options["numInnerItermax"] = inner
    method = "sinkhorn_epsilon_scaling"
    return _pot(problem, tol, outer, method=method, **options)


def pot_solvers():
    """POT's solvers for small regularisation."""
    stabilized = "sinkhorn_stabilized"
    log = Variant("default", partial(_pot, method="sinkhorn_log"), 10**6)
    return [
        Candidate("POT sinkhorn_log", "POT", [log]),
        Candidate(
            "POT stabilized",
            "POT",
            [
                Variant("default", partial(_pot, method=stabilized), 10**6),
                Variant(
                    "check every 100",
                    partial(_pot, method=stabilized, print_period=100),
                    10**6,
                ),
            ],
        ),
        Candidate(
            "POT epsilon_scaling",
            "POT",
            [
                Variant("default", _pot_scaling, 10**6),
                Variant("epsilon0=1", partial(_pot_scaling, epsilon0=1.0), 10**6),
                Variant(
                    "epsilon0=1, 1000 inner",
                    partial(_pot_scaling, epsilon0=1.0, inner=1000),
                    10**6,
                ),
            ],
        ),
    ]


def _emd(problem, tol, max_iter):
    import ot

    C, a, b, _, _ = problem
    return lambda: ot.emd(a, b, C, numItermax=10**8)


def pot_emd():
    """Exact transport by POT's network simplex: another problem, for scale."""
    return Candidate("POT emd (exact)", "POT", [Variant("default", _emd)])


def _ott(problem, tol, max_iter, *, momentum=1.0, anneal=False):
    import jax

    jax.config.update("jax_enable_x64", True)
    from ott.geometry import epsilon_scheduler, geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import acceleration, sinkhorn

    C, a, b, reg, _ = problem
    C, a, b = (jax.numpy.asarray(x) for x in (C, a, b))
    epsilon = epsilon_scheduler.Epsilon(reg, init=1 / reg, decay=0.9) if anneal else reg
    solver = sinkhorn.Sinkhorn(
        threshold=tol,
        max_iterations=max_iter,
        inner_iterations=10,
        momentum=acceleration.Momentum(value=momentum),
    )

    @jax.jit
    def run(C, a, b):
        geom = geometry.Geometry(cost_matrix=C, epsilon=epsilon)
        return solver(linear_problem.LinearProblem(geom, a=a, b=b)).matrix

    def call():
        return np.asarray(run(C, a, b).block_until_ready())

    call()  # compiles
    return call


def ott_jax():
    """ott-jax on the CPU, compiled and warm, in double precision."""
    return Candidate(
        "ott-jax",
        "ott-jax",
        [
            Variant("default", _ott, 20_000, can_fork=False),
            Variant("annealed", partial(_ott, anneal=True), 20_000, can_fork=False),
        ],
    )


def _mdot(problem, tol, max_iter):
    import mdot_tnt
    import torch

    torch.set_num_threads(1)
    C, a, b, reg, _ = problem
    C, a, b = (torch.from_numpy(x) for x in (C, a, b))
    return lambda: mdot_tnt.solve_OT(
        a, b, C, gamma_f=1 / reg, return_plan=True, round=False
    ).numpy()


def mdot_tnt():
    """Mirror descent with truncated Newton steps."""
    return Candidate(
        "MDOT-TNT", "mdot-tnt", [Variant("default", _mdot, can_fork=False)]
    )
