"""Pages and tables made from what our scripts measured; no number is typed by hand.

Paper pages come from ``benchmarks/results/papers/NAME.json`` (written by
``examples/papers/run.py``), the tables of speed from ``benchmarks/results/*.json``
(written by ``benchmarks/peers``), tables of statuses and libraries from the package.
"""

import importlib
import json
import shutil
import sys
from pathlib import Path

from sparseopt import Status
from sparseopt._core._array_api import SUPPORT

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
RESULTS = ROOT / "benchmarks" / "results"
_BADGES = {
    "better": "{bdg-success}",
    "within": "{bdg-success}",
    "worse": "{bdg-danger}",
    "cut short": "{bdg-warning}",
    "not run": "{bdg-warning}",
}
LIBRARIES = ("numpy", "array_api_strict", "torch", "cupy")


def setup(app):
    """Write all pages before Sphinx looks for its sources."""
    app.connect("config-inited", lambda app, config: make_pages())
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def make_pages():
    """Write the generated pages; what no script has measured says so."""
    sys.path.insert(0, str(ROOT / "examples" / "papers"))
    (DOCS / "_generated").mkdir(exist_ok=True)
    _write("_generated/speed.md", _speed_tables())
    _write("_generated/status.md", _status_table())
    _write("_generated/array_api.md", _array_table())
    shutil.rmtree(DOCS / "papers" / "generated", ignore_errors=True)
    runner = importlib.import_module("_runner")
    for name in runner.discover():
        _write(f"papers/generated/{name}.md", _paper_page(runner, name))


def _write(path, text):
    """Leave a file of the same content alone, so that Sphinx does not read it again."""
    file = DOCS / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


# -- papers ----------------------------------------------------------------------------


def _paper_page(runner, name):
    tables = importlib.import_module("_tables")
    stored = RESULTS / "papers" / f"{name}.json"
    module = importlib.import_module(name)
    lead = "\n\n".join(module.__doc__.split("\n\n")[1:])
    if not stored.exists():
        return f"# {module.TITLE}\n\n{lead}\n\nNo stored results yet.\n"
    paper = json.loads(stored.read_text(encoding="utf-8"))
    records = [runner.Record(**record) for record in paper["records"]]
    figures = runner.draw(name, module, records, DOCS / "papers" / "generated")
    settings = dict.fromkeys(claim["setting"] for claim in paper["claims"])
    claims = "\n\n".join(_claims(tables, paper, setting) for setting in settings)
    heads, rows = tables.record_table(paper["records"])
    everything = tables.markdown_table(heads, rows, right=heads[2:-1])
    pictures = "\n\n".join(map(_picture, figures))
    return f"""# {module.TITLE}

{lead}

## Claims

{claims}

A verdict compares *here* with *published*; the accepted band belongs to the claim and
was fixed before the run. "≥" marks a number known only from below, because the run was
cut short; nothing is extrapolated.

## Figures

{pictures}

## All measurements

:::{{dropdown}} Every method in every setting
{everything}
:::

Measured by `python examples/papers/run.py {name} --{paper["scale"]}`:
{tables.provenance(paper)}
"""


def _claims(tables, paper, setting):
    """One table for the claims of a setting, with a badge for each verdict."""
    rows = []
    for claim in paper["claims"]:
        if claim["setting"] == setting:
            text, _, *numbers, verdict = tables.claim_cells(claim)
            rows.append((text, *numbers, f"{_BADGES[verdict]}`{verdict}`"))
    heads = [head for head in tables.CLAIM_HEADS if head != "setting"]
    table = tables.markdown_table(heads, rows, right=tables.NUMERIC_HEADS)
    return f"### {setting[0].upper()}{setting[1:]}\n\n{table}"


def _picture(figure):
    file, caption = figure["file"], figure["caption"]
    return (
        f"![{caption}]({file}){{.only-light}}\n![{caption}](dark/{file}){{.only-dark}}\n\n"
        f"*{caption}*"
    )


# -- speed -----------------------------------------------------------------------------


def _speed_tables():
    parts = [_speed_table(path) for path in sorted(RESULTS.glob("*.json"))]
    return "\n\n".join(filter(None, parts)) or "No stored measurements yet.\n"


def _speed_table(path):
    """Our median time beside the fastest peer's, for every problem of a report."""
    report = json.loads(path.read_text(encoding="utf-8"))
    lines = {}  # a problem measured in two sections counts where it comes first
    for section in report["sections"].values():
        outcomes = [o for o in section if isinstance(o, dict) and "candidate" in o]
        for problem in dict.fromkeys(o["problem"] for o in outcomes):
            line = _speed_line(
                problem, [o for o in outcomes if o["problem"] == problem]
            )
            if line:
                lines.setdefault(problem, line)
    if not lines:
        return ""
    env = report["environment"]
    versions = ", ".join(
        f"{k} {v}" for k, v in env["versions"].items() if v != "not installed"
    )
    head = "| problem | sparseopt | fastest peer | its time | ratio |"
    return "\n".join(
        [
            head,
            "| --- | ---: | --- | ---: | ---: |",
            *lines.values(),
            "",
            f"Medians by `benchmarks/peers/{path.stem}.py` at equal accuracy; "
            f"{env['cpu']}, threads: {env['threads']}; {versions}; "
            f"commit {env['commit'][:12]}, {env['date']}.",
        ]
    )


def _speed_line(problem, outcomes):
    ours = next((o for o in outcomes if o["candidate"] == "sparseopt"), None)
    # exact transport is another problem, shown in the script's own tables for scale
    peers = [
        o
        for o in outcomes
        if not o["candidate"].startswith("sparseopt")
        and "emd" not in o["candidate"]
        and o["status"] in ("ok", "over limit")
    ]
    if ours is None or ours["status"] != "ok" or not peers:
        return None
    best = min(peers, key=lambda o: (o["status"] != "ok", o["seconds"]))
    bound = "≥ " if best["status"] == "over limit" else ""
    return (
        f"| {problem} | {_seconds(ours['seconds'])} | {best['candidate']} | "
        f"{bound}{_seconds(best['seconds'])} | "
        f"{bound}{best['seconds'] / ours['seconds']:.3g} |"
    )


def _seconds(value):
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


# -- tables from the package -----------------------------------------------------------


def _status_table():
    rows = [f"| `{status}` | {status.advice} |" for status in Status]
    return "\n".join(
        ["| status | what it means and what to try |", "| --- | --- |", *rows]
    )


def _array_table():
    names = ["NumPy", "array-api-strict", "torch", "CuPy"]
    rows = [
        f"| `sparseopt.{function}` | "
        + " | ".join("yes" if name in libraries else "" for name in LIBRARIES)
        + " |"
        for function, libraries in sorted(SUPPORT.items())
    ]
    rule = "| --- " * (len(names) + 1) + "|"
    return "\n".join([f"| function | {' | '.join(names)} |", rule, *rows])
