"""Ratings: seconds of fifteen sweeps, and errors of models that chose themselves.

Every split takes a tenth of the ratings away; parameters are chosen by five-fold
cross-validation over the rest, eight points for each package and then four around the
best. Wider grids, of ranks, kinds of ridges and ridges of biases, came first: these
points are around their choices.
"""

import importlib
import os
import warnings
from functools import partial
from itertools import product

import _completion_peers as peers
import _harness as h
import numpy as np
from joblib import Parallel, delayed
from scipy import sparse

from sparseopt.completion import MatrixFactorizer, MatrixFactorizerCV
from sparseopt.datasets import load_insteval, load_movielens_small

SPLITS, FOLDS, RANK = 3, 5, 60
# Splits of the accuracy section: none that grids or defaults were looked for on.
FRESH = 1000
# Ridges of the biases: those that the model of biases alone chooses on every split.
BIAS_REG = {"MovieLens": (4.0, 3.0), "InstEval": (16.0, 4.0)}
# Largest error of ours as a part of that of biases alone.
BOUND = {"MovieLens": 0.985, "InstEval": 0.998}


def tables(quick):
    """Data sets by short name; the smaller one alone in the quick form."""
    out = {"InstEval": load_insteval()}
    if not quick:
        out["MovieLens"] = load_movielens_small()
    return out


def split(data, seed):
    """Training and test triplets."""
    order = np.random.default_rng(seed).permutation(len(data.values))
    held = len(order) // 10
    return tuple(
        (data.rows[at], data.cols[at], data.values[at])
        for at in (order[held:], order[:held])
    )


def rmse(predict, test, train):
    """Error at held-out ratings; where a package has no answer the mean is taken."""
    rows, cols, values = test
    found = np.asarray(predict(rows, cols), dtype=np.float64)
    found = np.where(np.isfinite(found), found, train[2].mean())
    return float(np.sqrt(np.mean(np.square(found - values))))


# -- packages: functions of (training triplets, shape, ...) that return a call --------


def ours(train, shape, k, **options):
    """Our factorizer in float32."""
    rows, cols, values = train
    values = values.astype(np.float32)

    def call():
        model = MatrixFactorizer(k, n_threads=1, random_state=0, **options)
        return model.fit_ratings(rows, cols, values, shape=shape).predict

    return call


def cmfrec(train, shape, k, lam, bias, cg_steps=3, last=True):
    """Alternating least squares with biases, in float32; `last`: exact at the end."""
    package = importlib.import_module("cmfrec")
    rows, cols, values = train
    X = sparse.coo_matrix((values.astype(np.float32), (rows, cols)), shape=shape)

    def call():
        model = package.CMF(
            k=k,
            lambda_=[*bias, lam, lam, 0.0, 0.0],
            niter=15,
            max_cg_steps=cg_steps,
            finalize_chol=last,
            precompute_for_predictions=False,
            nthreads=1,
            use_float=True,
            verbose=False,
        )
        return model.fit(X).predict

    return call


def surprise(train, shape, k, reg, epochs=20, lr=0.005, bias_reg=None):
    """Stochastic gradient factorisation with biases; tables are made beforehand."""
    package = importlib.import_module("surprise")
    rows, cols, values = train
    frame = importlib.import_module("pandas").DataFrame(
        {"user": rows, "item": cols, "rating": values}
    )
    scale = package.Reader(rating_scale=(values.min(), values.max()))
    data = package.Dataset.load_from_df(frame, scale).build_full_trainset()
    own = {} if bias_reg is None else {"reg_bu": bias_reg, "reg_bi": bias_reg}

    def call():
        model = package.SVD(
            n_factors=k,
            n_epochs=epochs,
            lr_all=lr,
            reg_all=reg,
            random_state=0,
            **own,
        ).fit(data)
        return lambda rows, cols: [
            model.predict(i, j, clip=False).est for i, j in zip(rows, cols, strict=True)
        ]

    return call


# -- seconds --------------------------------------------------------------------------

# Ridges that cross-validation finds, see `accuracy`.
OURS = {
    "MovieLens": {"alpha": 3.7, "reg": 0.25},
    "InstEval": {"alpha": 5.7, "reg": 0.25},
}
RIDGES = {"MovieLens": (12.0, 0.1), "InstEval": (18.0, 0.15)}


def ratings(quick, limit):
    """Fifteen sweeps of rank 40 on the same splits, errors as means of three."""
    results, bars = [], []
    for name, data in tables(quick).items():
        lam, reg = RIDGES[name]
        bias = BIAS_REG[name]
        own = {**OURS[name], "bias_reg": bias, "max_iter": 15, "tol_obj": 0.0}
        makes = {"sparseopt": ("sparseopt", partial(ours, **own))}
        make = partial(cmfrec, lam=lam, bias=bias)
        makes["cmfrec CG"] = "cmfrec", make
        make = partial(make, cg_steps=2, last=False)
        makes["cmfrec CG, 2 steps"] = "cmfrec", make
        make = partial(surprise, reg=reg, epochs=15)
        makes["surprise SVD"] = "scikit-surprise", make
        title = f"{data.name}, 15 sweeps, k = 40"
        found = _seconds(title, data, makes, limit)
        peers.show(found, title)
        results += found
        for peer, least in zip(found[1:], (4, 4, 3), strict=True):
            bars.append(_seconds_bar(name, least, found[0], peer))
    return results, bars


def _seconds(title, data, makes, limit):
    """Outcomes: error of three splits, seconds of the first."""
    splits = [split(data, seed) for seed in range(SPLITS)]
    out, calls = [], []
    for candidate, (package, make) in makes.items():
        if h.version(package) is None:
            out.append(h.Outcome(title, candidate, "not installed"))
            continue
        fits = [make(train, data.shape, 40) for train, _ in splits]
        errors = [
            rmse(h.timed(fit)[0], test, train)
            for fit, (train, test) in zip(fits, splits, strict=True)
        ]
        calls.append(fits[0])
        out.append(
            h.Outcome(
                title, candidate, "ok", error=float(np.mean(errors)), call=fits[0]
            )
        )
    return h.race(out, repeats=5, budget=limit)


def _seconds_bar(name, least, own, peer):
    title = f"{name}, 15 sweeps, {peer.candidate}"
    target = f">= {least}x, RMSE no worse"
    if peer.status == "not installed":
        return h.Bar(title, target, "not installed", False)
    ratio = peer.seconds / own.seconds
    text = f"{ratio:.1f}x, {own.error:.4f} against {peer.error:.4f}"
    return h.Bar(title, target, text, ratio >= least and own.error <= peer.error)


# -- accuracy -------------------------------------------------------------------------


def _chosen(make, points, ridge, train, shape):
    """Predictor with the point of the lowest error over folds of the training part.

    As ours do: twice two more values of ``ridge`` around the best, each time half as
    far from it; ratios of the grid are equal.
    """
    fold = np.random.default_rng(0).permutation(len(train[2])) % FOLDS
    totals = []

    def score(point):
        total = 0.0
        for f in range(FOLDS):
            kept, held = (tuple(x[at] for x in train) for at in (fold != f, fold == f))
            predict = make(kept, shape, RANK, **point)()
            total += len(held[2]) * rmse(predict, held, kept) ** 2
        totals.append((total, len(totals), point))

    for point in points:
        score(point)
    values = sorted({point[ridge] for point in points})
    ratio = values[1] / values[0]
    for _ in range(2):
        ratio **= 0.5
        best = min(totals)[-1]
        for factor in (ratio, 1 / ratio):
            score({**best, ridge: best[ridge] * factor})
    best = min(totals)[-1]
    return make(train, shape, RANK, **best)(), best


def _fit_bias_only(train, shape, bias):
    """The model of biases alone: factors under a ridge that leaves nothing of them."""
    return ours(train, shape, 1, alpha=1e6, reg="frobenius", bias_reg=bias)(), {}


def _fit_ours(train, shape, bias):
    """Strengths of the ridge, from our own cross-validation."""
    rows, cols, values = train
    model = MatrixFactorizerCV(
        (RANK,),
        n_alphas=8,
        bias_reg=(bias,),
        cv=FOLDS,
        max_iter=15,
        tol_obj=0.0,
        n_threads=1,
        random_state=0,
    )
    model.fit_ratings(rows, cols, values.astype(np.float32), shape=shape)
    return model.predict, model.best_params_


def _fit_cmfrec(train, shape, bias):
    """Strengths of the ridge; one that grows with the count is worse on every split."""
    points = [{"lam": lam} for lam in np.geomspace(8.0, 30.0, 8)]
    return _chosen(partial(cmfrec, bias=bias), points, "lam", train, shape)


def _fit_surprise(train, shape, bias):
    """Strengths of the ridge, and two lengths of the run."""
    points = [
        {"reg": reg, "epochs": epochs, "lr": lr, "bias_reg": 0.05}
        for reg, (epochs, lr) in product(
            np.geomspace(0.08, 0.2, 4), ((20, 0.005), (40, 0.01))
        )
    ]
    return _chosen(surprise, points, "reg", train, shape)


MODELS = {
    "bias only": ("sparseopt", _fit_bias_only),
    "sparseopt": ("sparseopt", _fit_ours),
    "cmfrec": ("cmfrec", _fit_cmfrec),
    "surprise": ("scikit-surprise", _fit_surprise),
}


def _error(fit, data, seed, bias):
    """Error on one split and the parameters chosen."""
    train, test = split(data, FRESH + seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predict, chosen = fit(train, data.shape, bias)
        return rmse(predict, test, train), chosen


def accuracy(quick, limit):
    """Errors with parameters chosen on the training part, mean of three splits."""
    rows, bars = [], []
    for name, data in tables(quick).items():
        models = {
            model: fit for model, (package, fit) in MODELS.items() if h.version(package)
        }
        jobs = list(product(models, range(1 if quick else SPLITS)))
        found = Parallel(n_jobs=min(4, os.cpu_count()))(
            delayed(_error)(models[model], data, seed, BIAS_REG[name])
            for model, seed in reversed(jobs)
        )
        errors = {model: [] for model in models}
        for (model, seed), (error, chosen) in zip(reversed(jobs), found, strict=True):
            errors[model].append(error)
            rows.append(
                {"data": name, "model": model, "split": seed, "rmse": error}
                | {"chosen": chosen}
            )
        means = {model: float(np.mean(e)) for model, e in errors.items()}
        print(f"{data.name}: error with parameters from cross-validation")
        table = [
            (m, f"{means[m]:.4f}", f"{means[m] / means['bias only']:.4f}")
            for m in models
        ]
        h.print_table(("model", "RMSE", "of bias only"), table)
        bars += _accuracy_bars(name, means)
    return rows, bars


def _accuracy_bars(name, means):
    own, ratio = means["sparseopt"], means["sparseopt"] / means["bias only"]
    bound = BOUND[name]
    bars = [
        h.Bar(
            f"{name}, RMSE of bias only", f"<= {bound}", f"{ratio:.4f}", ratio <= bound
        )
    ]
    for peer in ("cmfrec", "surprise"):
        if peer in means:
            text, met = f"{own:.4f} against {means[peer]:.4f}", own < means[peer]
        else:
            text, met = "not installed", False
        bars.append(h.Bar(f"{name}, RMSE below {peer}", "lower", text, met))
    return bars
