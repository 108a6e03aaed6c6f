"""Reproduce the published experiments and compare the numbers.

Run ``python examples/papers/run.py --quick`` for a check of every paper in well under
a minute each, or ``--full`` for the sizes of the papers.
"""

import argparse
import os
import sys
from pathlib import Path

from _report import write_report
from _runner import discover, run_paper
from _tables import CLAIM_HEADS, NUMERIC_HEADS, claim_cells, text_table

_COLOURS = {"better": "32", "within": "32", "worse": "31"} | dict.fromkeys(
    ("cut short", "not run"), "33"
)


def main(argv: list[str] | None = None) -> int:
    """Run the chosen papers; return 1 if a claim that must hold does not."""
    args = _parse(argv)
    papers, failed = [], []
    for name in args.names or discover():
        paper, outcomes = run_paper(name, args.scale, args.seed, args.out)
        papers.append(paper)
        failed += [outcome for outcome in outcomes if outcome.fails(args.scale)]
        _show(paper)
    report = write_report(papers, args.out)
    print(f"\nFigures, tables and the report page: {report}")
    for outcome in failed:
        claim = outcome.claim
        print(f"FAILED  {claim.text} ({claim.setting}): {outcome.verdict}")
    return 1 if failed else 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = discover()
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}"
    )
    scale = parser.add_mutually_exclusive_group()
    for choice, text in (
        ("quick", "small budgets, under 30 s a paper (default)"),
        ("full", "the paper's own sizes and budgets"),
    ):
        scale.add_argument(
            f"--{choice}", dest="scale", action="store_const", const=choice, help=text
        )
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.set_defaults(scale="quick")
    args = parser.parse_args(argv)
    if unknown := sorted(set(args.names) - set(known)):
        parser.error(
            f"unknown paper {', '.join(unknown)}; there are: {', '.join(known)}"
        )
    return args


def _show(paper: dict) -> None:
    rows = [claim_cells(claim) for claim in paper["claims"]]
    head, rule, *lines = text_table(CLAIM_HEADS, rows, right=NUMERIC_HEADS).splitlines()
    print(f"\n{paper['title']}\n\n{head}\n{rule}")
    for line, row in zip(lines, rows, strict=True):
        print(_coloured(line, verdict=row[-1]))


def _coloured(line: str, verdict: str) -> str:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return line
    return f"{line.removesuffix(verdict)}\x1b[{_COLOURS[verdict]}m{verdict}\x1b[0m"


if __name__ == "__main__":
    sys.exit(main())
