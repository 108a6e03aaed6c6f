"""Find the papers, run one, judge it and write what came out."""

import importlib
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
from _claims import Outcome, Record, judge
from _environment import environment
from _plots import plot_claims
from _progress import progress
from _style import theme
from _tables import markdown_page

_HERE = Path(__file__).parent


def discover() -> list[str]:
    """Names of the paper modules beside this file."""
    names = (path.stem for path in _HERE.glob("*.py"))
    return sorted(name for name in names if name != "run" and not name.startswith("_"))


def run_paper(
    name: str, scale: str, seed: int, out: Path
) -> tuple[dict, list[Outcome]]:
    """Run one paper, write its files to `out`; its JSON form and its outcomes."""
    module = importlib.import_module(name)
    start, where = time.perf_counter(), environment()
    records = []
    with progress(name, module.n_steps(scale)) as step:
        for record in module.run(scale, np.random.default_rng(seed)):
            records.append(record)
            step(_one_line(record))
    seconds = time.perf_counter() - start
    outcomes = judge(module.CLAIMS, records)
    paper = {
        "name": name,
        "title": module.TITLE,
        "about": [" ".join(p.split()) for p in module.__doc__.split("\n\n")[1:]],
        "scale": scale,
        "seed": seed,
        "seconds": seconds,
        "environment": where,
        "claims": [outcome.as_dict() for outcome in outcomes],
        "figures": draw(name, module, records, out),
        "records": [asdict(record) for record in records],
    }
    paper = _plain(paper)
    text = json.dumps(paper, indent=1, allow_nan=False)
    (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(markdown_page(paper), encoding="utf-8")
    return paper, outcomes


def draw(
    name: str, module: ModuleType, records: list[Record], out: Path
) -> list[dict[str, str]]:
    """Draw the paper's figures in both looks; the dark ones go to ``out/dark``."""
    import matplotlib

    matplotlib.use("Agg")
    outcomes = judge(module.CLAIMS, records)
    claims = {
        "file": f"{name}-claims.png",
        "caption": "Measured over published value of every claim, with its accepted "
        "range in grey. An arrow is a value known only from below.",
    }
    for look, folder in (("dark", out / "dark"), ("light", out)):
        folder.mkdir(parents=True, exist_ok=True)
        with theme(look):
            own = module.figures(records, folder)
            plot_claims(outcomes, folder / claims["file"])
    return [*own, claims]


def _one_line(record: Record) -> str:
    numbers = ", ".join(
        f"{name} {'>= ' if name in record.at_least else ''}{value:.4g}"
        for name, value in record.values.items()
    )
    return f"{record.setting} / {record.method}  {numbers or record.note}"


def _plain(value):
    """NumPy scalars and arrays as Python values, floats cut to six digits."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
