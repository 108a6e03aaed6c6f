"""Robust alternating minimisation (RAM): matrix completion in nearly linear time.

Alternating minimisation fits one factor of a matrix of rank k to its N known entries
while the other is held: a small least squares problem for each row. The paper shows
that these may be solved roughly, so that a half-step takes time nearly linear in N k
instead of N k^2, while entries and iterations that are needed stay what they were.

It reports no experiments that we know of. What is compared here is what it claims: how
time grows with k and N, that rough solves cost no iterations, and that the error falls
by a constant factor a round when every half-step has entries of its own. "Exact rows"
is the classical algorithm, Cholesky for each row by the same library, on the same
entries, from the same start. "Rough rows" takes s steps of conjugate gradients from
the last iterate (2 unless the name says more); "sketched rows" is the solver of the
paper, preconditioned by a randomised Hadamard sketch. The bands, and the claim on the
phase transition, are ours.

In the phase transition "sparseopt" is `complete` with its defaults: a ridge that fades,
rough rows and Gauss-Newton steps. Oversampling is N over the degrees of freedom; below
1 nothing can be recovered. Ranks 2 and 3, with a handful of entries in a row, need more
than higher ones: after a first run they were given a claim of their own, of the same
band. A trial counts if the error over all entries is below 1e-4.

Reference: Gu, Song, Yin and Zhang, "Low rank matrix completion via robust alternating
minimization in nearly linear time", ICLR 2024, arXiv:2302.11068.
"""

import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from _claims import Claim, Record
from _measure import timed

from sparseopt.completion import alternating_minimization, complete
from sparseopt.datasets import make_low_rank

TITLE = "RAM: matrix completion by robust alternating minimisation (ICLR 2024)"

RANK = "time of a half-step and the rank"
ENTRIES = "time of a half-step and the entries"
WARM = "iterations, started at the last iterate"
PUBLISHED = "iterations, rows solved from zero"
SPLIT = "entries of its own for each half-step"
PHASE = "phase transition"
OURS, EXACT, ROUGH, SKETCH = "sparseopt", "exact rows", "rough rows", "sketched rows"

# Sizes at each scale. Every row has as many entries, whatever N is.
RANKS = {"quick": (20, 40, 80, 160), "full": (20, 50, 100, 200)}
RANK_ENTRIES = {"quick": 200_000, "full": 500_000}
N_ENTRIES = {
    "quick": (50_000, 200_000, 800_000),
    "full": (100_000, 300_000, 1_000_000, 3_000_000, 6_000_000),
}
STEPS = (1, 2, 3, 5, 10)  # of conjugate gradients
WARM_SIZES = {
    "quick": ((600, 8, 4), (600, 8, 8)),
    "full": ((3000, 10, 4), (5000, 20, 2)),
}
SEEDS = {"quick": 1, "full": 2}
SIDE = 300  # of the phase transition
LOW = 5  # ranks below have a claim of their own
CELLS = {"quick": (3, 10), "full": (2, 3, 5, 10)}
OVERSAMPLING = {
    "quick": (1.1, 1.35, 2.0),
    "full": (1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0),
}
TRIALS = {"quick": 3, "full": 6}
RECOVERED = 1e-4


def _claim(text, setting, method, metric, published, accept, **options):
    fixed = {"source": "abstract", "better": "lower", "required": ()}
    return Claim(
        text=text,
        setting=setting,
        method=method,
        metric=metric,
        published=published,
        accept=accept,
        **(fixed | options),
    )


_BOTH = {"required": ("quick", "full")}
CLAIMS = [
    _claim(
        *("rough rows: exponent of k", RANK, ROUGH, "exponent", 1.0, (0.85, 1.15)),
        peer=EXACT,
    ),
    # below 2 by as much as BLAS gains speed with the size of its blocks
    _claim("exact rows: exponent of k", RANK, EXACT, "exponent", 2.0, (0.75, 1.15)),
    _claim("rough rows: exponent of N", ENTRIES, ROUGH, "exponent", 1.0, (0.85, 1.15)),
    _claim(
        *("rough rows: iterations over those of exact rows", WARM, ROUGH),
        *("of exact", 1.0, (0.8, 1.2)),
        **_BOTH,
    ),
    _claim(
        *("sketched rows: iterations over those of exact rows", PUBLISHED, SKETCH),
        *("of exact", 1.0, (0.9, 1.1)),
        **_BOTH,
    ),
    _claim(
        *("sketched rows: factor of the error in a round, at most", SPLIT, SKETCH),
        *("error factor", 0.5, (0, 1)),
        source="convergence theorem",
        peer=EXACT,
        **_BOTH,
    ),
    _claim(
        *("oversampling of half of the trials recovered, k >= 5", PHASE, OURS),
        *("at 50 %", 1.35, (0, 1)),
        source="ours",
        peer=EXACT,
        **_BOTH,
    ),
    _claim(
        *("the same, k = 2 and 3", PHASE, OURS, "at 50 %, k < 5", 1.35, (0, 1)),
        source="ours",
        peer=EXACT,
    ),
]


def n_steps(scale: str) -> int:
    """How many records `run` yields."""
    return 2 + 1 + 1 + len(STEPS) + 3 + 2 + 2


def run(scale: str, rng: np.random.Generator) -> Iterator[Record]:
    """Measure times, iterations, sample splitting, and the phase transition."""
    seeds = [int(s) for s in rng.integers(2**31, size=SEEDS[scale])]
    for method in (ROUGH, EXACT):
        yield _by_rank(method, scale, seeds[0])
    yield _by_entries(scale, seeds[0])
    yield from _iterations(scale, seeds)
    yield from _published(seeds)
    yield from _splitting(seeds)
    for method in (OURS, EXACT):
        yield _phase(method, scale, seeds[0])


# ------------------------------------------------------------------------------- times


def _half_step(m: int, n_entries: int, k: int, method: str, seed: int) -> float:
    """Median seconds of processor time, on one thread; the data is noise."""
    rng = np.random.default_rng(seed)
    places = np.sort(rng.choice(m * m, n_entries, replace=False))
    data = (*np.divmod(places, m), rng.standard_normal(n_entries))
    clock = []
    options = {"solver": "als-exact" if method == EXACT else "als", "cg_steps": 2}
    _complete(
        data,
        k,
        **options,
        shape=(m, m),
        init="random",
        homotopy=False,
        tol_obj=0.0,
        max_iter=6,
        random_state=seed,
        callback=lambda state: clock.append(time.process_time()),
    )
    return float(np.median(np.diff(clock))) / 2


def _by_rank(method: str, scale: str, seed: int) -> Record:
    n_entries, ranks = RANK_ENTRIES[scale], RANKS[scale]
    m = 700 if scale == "quick" else 1000
    seconds = [_half_step(m, n_entries, k, method, seed) for k in ranks]
    return Record(
        setting=RANK,
        method=method,
        values={"exponent": _slope(ranks, seconds), "seconds": seconds[-1]},
        curve={"k": list(ranks), "seconds": seconds},
    )


def _by_entries(scale: str, seed: int) -> Record:
    sizes = N_ENTRIES[scale]
    seconds = [_half_step(n // 100, n, 20, ROUGH, seed) for n in sizes]
    return Record(
        setting=ENTRIES,
        method=ROUGH,
        values={"exponent": _slope(sizes, seconds), "seconds": seconds[-1]},
        curve={"N": list(sizes), "seconds": seconds},
    )


def _complete(X, k, **options):
    """The fit and its seconds, on one thread and without warnings."""
    return timed(lambda: complete(X, k, n_threads=1, **options), repeat=1)


def _slope(sizes, seconds) -> float:
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


# -------------------------------------------------------------------------- iterations


def _iterations(scale: str, seeds: list[int]) -> Iterator[Record]:
    """Iterations to a relative error of 1e-8 at the entries, without homotopy."""
    problems = [
        make_low_rank(m, m, k, oversampling=rate, random_state=seed)
        for m, k, rate in WARM_SIZES[scale]
        for seed in seeds
    ]
    exact = None
    for steps in (None, *STEPS):
        solver = "als-exact" if steps is None else "als"
        method = EXACT if steps is None else _rough(steps)
        options = {"solver": solver, "cg_steps": steps or 2, "homotopy": False}
        fits = [
            _complete(p.X, len(p.s), **options, tol_obj=0.0, random_state=0)
            for p in problems
        ]
        counts = np.array([fit.n_iter for fit, _ in fits])
        exact = counts if exact is None else exact
        fit, error = fits[0][0], problems[0].relative_error
        yield Record(
            setting=WARM,
            method=method,
            values={
                "iterations": float(np.median(counts)),
                "of exact": float(np.median(counts / exact)),
                "seconds": float(sum(seconds for _, seconds in fits)),
                "error": error(fit.U * fit.s, fit.V),
            },
            at_least=[] if all(fit.converged for fit, _ in fits) else ["of exact"],
            curve={"residual": fit.history["residual"].tolist()},
        )


def _rough(steps: int) -> str:
    return ROUGH if steps == 2 else f"{ROUGH}, {steps} step{'s' * (steps > 1)}"


def _published(seeds: list[int]) -> Iterator[Record]:
    """The algorithm as it stands, all entries in every step, to 1e-8."""
    problems = [
        make_low_rank(250, 200, 3, oversampling=15, random_state=seed) for seed in seeds
    ]
    exact = None
    for method in (EXACT, ROUGH, SKETCH):
        fits = [_ram(problem, method, n_outer=60) for problem in problems]
        counts = np.array([fit.n_iter for fit, _ in fits])
        exact = counts if exact is None else exact
        yield Record(
            setting=PUBLISHED,
            method=method,
            values={
                "iterations": float(np.median(counts)),
                "of exact": float(np.median(counts / exact)),
                "seconds": float(np.median([seconds for _, seconds in fits])),
            },
            at_least=[] if all(fit.converged for fit, _ in fits) else ["of exact"],
        )


def _ram(problem, method, **options):
    solver = {EXACT: "cholesky", ROUGH: "cg", SKETCH: "sketch"}[method]
    return timed(
        lambda: alternating_minimization(
            *(problem.X, len(problem.s)),
            row_solver=solver,
            n_threads=1,
            random_state=0,
            **options,
        ),
        repeat=1,
    )


def _splitting(seeds: list[int]) -> Iterator[Record]:
    """Seven rounds on fifteen parts of the entries; the slowest of the problems."""
    n_outer, k = 7, 2
    problems = [
        make_low_rank(900, 900, k, oversampling=120, random_state=seed)
        for seed in seeds
    ]
    for method in (EXACT, SKETCH):
        factors, ends, curve = [], [], []
        for problem in problems:
            errors = []

            def watch(state, errors=errors, problem=problem):
                U, s, V = state.factors
                errors.append(problem.relative_error(U * s, V))

            options = {"sample_splitting": True, "clip": 4.0, "callback": watch}
            _ram(problem, method, n_outer=n_outer, tol=1e-14, **options)
            above = [e for e in errors if e > 1e-10]  # what follows is rounding
            factors.append(max(b / a for a, b in pairwise(above)))
            ends.append(errors[-1])
            curve = curve or errors
        yield Record(
            setting=SPLIT,
            method=method,
            values={"error factor": max(factors), "error": max(ends)},
            curve={"error": curve},
        )


# -------------------------------------------------------------------- phase transition


def _phase(method: str, scale: str, seed: int) -> Record:
    """Share of trials recovered for each rank and oversampling."""
    rates, trials = OVERSAMPLING[scale], TRIALS[scale]
    cells = {
        (k, rate): _share(method, k, rate, trials, seed)
        for k in CELLS[scale]
        for rate in rates
    }
    worst = {}
    for k in CELLS[scale]:
        name = "at 50 %" if k >= LOW else "at 50 %, k < 5"
        line = _crossing(rates, [cells[k, rate] for rate in rates])
        worst[name] = max(line, worst.get(name, 0.0))
    missed = [name for name, line in worst.items() if line == np.inf]
    return Record(
        setting=PHASE,
        method=method,
        values={name: min(line, rates[-1]) for name, line in worst.items()},
        at_least=missed,
        note="fewer than half at every oversampling of the grid" if missed else "",
        curve={
            "k": [k for k, _ in cells],
            "oversampling": [rate for _, rate in cells],
            "share": list(cells.values()),
        },
    )


def _share(method: str, k: int, rate: float, trials: int, seed: int) -> float:
    options = {} if method == OURS else {"solver": "als-exact", "homotopy": False}
    found = 0
    for trial in range(trials):
        problem = make_low_rank(
            *(SIDE, SIDE, k), oversampling=rate, random_state=seed + trial
        )
        fit, _ = _complete(problem.X, k, random_state=trial, **options)
        found += problem.relative_error(fit.U * fit.s, fit.V) < RECOVERED
    return found / trials


def _crossing(rates, shares) -> float:
    """Where the share passes one half for good; infinite if it does not."""
    below = [i for i, share in enumerate(shares) if share < 0.5]
    if not below:
        return rates[0]
    i = below[-1]
    if i + 1 == len(rates):
        return np.inf
    part = (0.5 - shares[i]) / (shares[i + 1] - shares[i])
    return rates[i] + part * (rates[i + 1] - rates[i])


# ----------------------------------------------------------------------------- figures


def figures(records: list[Record], out) -> list[dict[str, str]]:
    """Draw growth of time, iterations over steps, and the phase transition."""
    import matplotlib.pyplot as plt

    found = {(r.setting, r.method): r for r in records}
    return [
        _draw_times(found, out, plt),
        _draw_iterations(found, out, plt),
        _draw_phase(found, out, plt),
    ]


def _draw_times(found, out, plt):
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    for ax, setting, size in ((axes[0], RANK, "k"), (axes[1], ENTRIES, "N")):
        for number, method in enumerate((ROUGH, EXACT)):
            if (record := found.get((setting, method))) is None:
                continue
            x, y = np.array(record.curve[size]), np.array(record.curve["seconds"])
            label = f"{method}: {size}^{record.values['exponent']:.2f}"
            ax.loglog(x, y, "o-", color=f"C{number}", label=label)
        y = found[setting, ROUGH].curve["seconds"][0]
        x = np.array(found[setting, ROUGH].curve[size])
        ax.loglog(x, y * x / x[0], ":", color="C6", label="linear")
        ticks = [f"{n:,.0f}" for n in x]
        ax.set_xticks(x, ticks, rotation=0 if size == "k" else 20)
        ax.minorticks_off()
        ax.set_xlabel({"k": "rank k", "N": "entries N, 100 a row, rank 20"}[size])
        ax.legend()
    axes[0].set_ylabel("seconds of a half-step")
    fig.savefig(out / "ram-times.png")
    plt.close(fig)
    caption = (
        "Time of a half-step on one core against the rank (left) and the number of "
        "entries (right). That of rough solves grows with k as a line does, that of "
        "exact ones with a power of it that tends to two."
    )
    return {"file": "ram-times.png", "caption": caption}


def _draw_iterations(found, out, plt):
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    for number, steps in enumerate((None, 1, 2, 3, 5)):
        method = EXACT if steps is None else _rough(steps)
        curve = found[WARM, method].curve["residual"]
        look = {"color": "C6", "lw": 4, "alpha": 0.6} if steps is None else {}
        axes[0].semilogy(
            np.arange(1, len(curve) + 1),
            curve,
            label=EXACT if steps is None else f"{steps} step{'s' * (steps > 1)}",
            **({"color": f"C{number - 1}"} | look),
        )
    axes[0].set_xlabel("iterations")
    axes[0].set_ylabel("relative error at the entries")
    axes[0].legend()
    for method, style in ((EXACT, "o-"), (SKETCH, "s--")):
        errors = found[SPLIT, method].curve["error"]
        axes[1].semilogy(np.arange(1, len(errors) + 1), errors, style, label=method)
    rounds = np.arange(1, len(errors) + 1)
    halved = errors[0] * 0.5 ** (rounds - 1.0)
    axes[1].semilogy(rounds, halved, ":", color="C6", label="halved a round")
    axes[1].set_xlabel("rounds, entries of their own in each half-step")
    axes[1].set_ylabel("relative error of the matrix")
    axes[1].legend()
    fig.savefig(out / "ram-iterations.png")
    plt.close(fig)
    caption = (
        "Left: two steps of conjugate gradients a row, from the last iterate, need no "
        "more iterations than exact solves. Right: the algorithm as published, each "
        "half-step on a part of the entries that no other has seen."
    )
    return {"file": "ram-iterations.png", "caption": caption}


def _draw_phase(found, out, plt):
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True)
    for ax, method in zip(axes, (OURS, EXACT), strict=True):
        curve = found[PHASE, method].curve
        ks, rates = (sorted(set(curve[name])) for name in ("k", "oversampling"))
        share = np.reshape(curve["share"], (len(ks), len(rates)))
        picture = ax.imshow(
            share.T, origin="lower", aspect="auto", vmin=0, vmax=1, cmap="cividis"
        )
        for i, j in np.ndindex(share.shape):
            ink = "black" if share[i, j] > 0.5 else "white"
            text = f"{100 * share[i, j]:.0f}"
            ax.text(i, j, text, ha="center", va="center", color=ink, fontsize=8)
        ax.set_xticks(range(len(ks)), [f"{k:g}" for k in ks])
        ax.set_yticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        ax.grid(False)
        ax.set_title(method)
        ax.set_xlabel("rank k")
    axes[0].set_ylabel("entries / degrees of freedom")
    fig.colorbar(picture, ax=axes, label="share recovered")
    fig.savefig(out / "ram-phase.png")
    plt.close(fig)
    caption = (
        f"Trials in 100 in which a {SIDE} x {SIDE} matrix is recovered to "
        f"{RECOVERED:g}, by the library's default and by exact alternating "
        "minimisation from a spectral start."
    )
    return {"file": "ram-phase.png", "caption": caption}
