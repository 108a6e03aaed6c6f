"""Matrix completion: the kernels on NumPy arrays beside torch tensors on a device.

Prints a table: seconds to sort the entries, of a sweep (two half-steps, the median) and
of a whole fit, and its relative error on all entries.  Kernels are shown with their
default method, and with the exact half-steps that tensors on a device have.  Runs
without a GPU too: tensors of the host are fitted by the kernels, and the last line of
each problem tells what it costs to hand them over.  asv does not run it.

    python benchmarks/gpu_completion.py [--device cuda] [--dtype float32] [--quick]
"""

import argparse
import statistics
import time
import warnings

import numpy as np

# m, n, k, oversampling
QUICK = ((1000, 800, 10, 5.0), (3000, 2000, 20, 5.0))
FULL = (
    *QUICK,
    (5000, 3000, 50, 4.0),
    (20_000, 10_000, 20, 10.0),
    (20_000, 10_000, 100, 4.0),
    (100_000, 20_000, 20, 8.0),
)
ROW = "{:>7} {:>7} {:>4} {:>10}  {:<18} {:>8} {:>9} {:>6} {:>8} {:>9}"


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", help="torch device; cuda if there is one, else cpu")
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float64", help="of entries"
    )
    parser.add_argument("--quick", action="store_true", help="two small sizes")
    parser.add_argument("--repeat", type=int, default=3, help="fits; the median counts")
    return parser.parse_args()


def fit(complete, X, k, options):
    """A result with seconds before the first sweep ends, of a sweep, and in all."""
    stamps = []

    def stamp(state):
        # the objective was read from the device: all before it is done
        stamps.append(time.perf_counter())

    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what does not converge the error tells
        result = complete(X, k, callback=stamp, random_state=0, **options)
    total = time.perf_counter() - start
    sweep = statistics.median(np.diff(stamps)) if len(stamps) > 1 else np.nan
    return result, sweep, total


def methods_of(X, device):
    """Input, function that sorts it, and options of each method."""
    import torch

    from sparseopt._core._array_api import is_on_host
    from sparseopt.completion._input import as_entries
    from sparseopt.completion._portable_entries import device_entries

    rows, cols = X.tocoo().coords
    host = rows.astype(np.int64), cols.astype(np.int64), X.data
    tensors = tuple(torch.asarray(x).to(device) for x in host)

    def sort_host():
        as_entries(host, shape=X.shape)

    def sort_device():
        device_entries(tensors, weights=None, dtype=None, shape=X.shape)

    sort_tensors = sort_host if is_on_host(tensors[2]) else sort_device
    return {
        "kernels": (host, sort_host, {}),
        "kernels, exact": (host, sort_host, {"solver": "als-exact"}),
        f"torch, {device}": (tensors, sort_tensors, {}),
    }


def compare(truth, X, device, repeat):
    """Rows of the table: methods take turns."""
    import torch

    from sparseopt.completion import complete

    k, methods = len(truth.s), methods_of(X, device)
    runs = {name: [] for name in methods}
    found = {}
    for _ in range(repeat):
        for name, (entries, sort, options) in methods.items():
            start = time.perf_counter()
            sort()
            sorting = time.perf_counter() - start
            options = {**options, "shape": X.shape}
            found[name], *times = fit(complete, entries, k, options)
            runs[name].append((sorting, *times))
    for name, result in found.items():
        sorting, sweep, total = map(statistics.median, zip(*runs[name], strict=True))
        factors = (result.U, result.s, result.V)
        U, s, V = (torch.as_tensor(x).cpu().double().numpy() for x in factors)
        yield (
            *X.shape, k, X.nnz, name, f"{sorting:.3f}", f"{sweep:.4f}", result.n_iter,
            f"{total:.2f}", f"{truth.relative_error(U * s, V):.1e}",
        )  # fmt: skip


def main():
    args = parse_args()
    import torch

    from sparseopt.datasets import make_low_rank

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if "cuda" in device else "host"
    print(f"torch {torch.__version__} on {device} ({name}), {args.dtype}")
    titles = ("m", "n", "k", "entries", "method", "sort", "sweep")
    print(ROW.format(*titles, "sweeps", "fit", "error"))
    warm = make_low_rank(100, 80, 2, random_state=0)  # loads libraries
    list(compare(warm, warm.X.astype(args.dtype), device, 1))
    for m, n, k, oversampling in QUICK if args.quick else FULL:
        truth = make_low_rank(m, n, k, oversampling=oversampling, random_state=0)
        for row in compare(truth, truth.X.astype(args.dtype), device, args.repeat):
            print(ROW.format(*row), flush=True)


if __name__ == "__main__":
    main()
