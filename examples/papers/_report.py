"""One self-contained HTML page for all papers of a run."""

import base64
import html
from collections import Counter
from pathlib import Path

from _tables import (
    CLAIM_HEADS,
    NUMERIC_HEADS,
    claim_cells,
    provenance,
    record_table,
)

_HERE = Path(__file__).parent
_VERDICTS = ("better", "within", "worse", "cut short", "not run")


def write_report(papers, out):
    """Write ``report.html`` to `out` and return its path."""
    nav = "".join(f'<a href="#{p["name"]}">{_text(p["name"])}</a>' for p in papers)
    body = "\n".join(_section(paper, out) for paper in papers)
    page = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Paper reproductions - sparseopt</title>
<style>{(_HERE / "_report.css").read_text(encoding="utf-8")}</style>
<header>
<h1>Paper reproductions</h1>
<p>Published numbers of the methods in sparseopt, measured again. A verdict compares
<em>here</em> with <em>published</em>; its band was fixed before the run.</p>
<nav>{nav}</nav>
</header>
<main>
{body}
</main>
</html>
"""
    path = out / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _section(paper, out):
    heads, rows = record_table(paper["records"])
    lead = "".join(f"<p>{_text(paragraph)}</p>" for paragraph in paper["about"])
    return f"""<section id="{paper["name"]}">
<h2>{_text(paper["title"])}</h2>
{lead}
{_chips(paper["claims"])}
{_claim_table(paper["claims"])}
{"".join(_figure(figure, out) for figure in paper["figures"])}
<details><summary>All measurements</summary>
{_table(heads, rows, numeric=heads[2:-1])}
</details>
<p class="meta">{_text(provenance(paper))}</p>
</section>"""


def _chips(claims):
    count = Counter(claim["verdict"] for claim in claims)
    chips = (
        f'<span class="pill {_slug(v)}">{count[v]} {v}</span>'
        for v in _VERDICTS
        if count[v]
    )
    return f'<p class="chips">{" ".join(chips)}</p>'


def _claim_table(claims):
    def row(claim):
        cells = [_text(cell) for cell in claim_cells(claim)]
        pill = f'<span class="pill {_slug(cells[-1])}">{cells[-1]}</span>'
        note = f"<small>{_text(claim['note'])}</small>" if claim["note"] else ""
        low, high = claim["accept"]
        tip = f"{claim['source']}; accepted ratio {low:.3g} to {high:.3g}"
        return f'<tr title="{_text(tip)}">', [*cells[:-1], pill + note]

    return _markup(CLAIM_HEADS, map(row, claims), NUMERIC_HEADS)


def _table(heads, rows, numeric):
    return _markup(heads, (("<tr>", map(_text, row)) for row in rows), numeric)


def _markup(heads, rows, numeric):
    """A table from rows of (opening tag, cells that are already HTML)."""

    def line(tag, cells):
        css = (' class="num"' if head in numeric else "" for head in heads)
        return "".join(
            f"<{tag}{c}>{cell}</{tag}>" for c, cell in zip(css, cells, strict=True)
        )

    body = "".join(f"{opening}{line('td', cells)}</tr>" for opening, cells in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{line("th", heads)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _figure(figure, out):
    light, dark = (_data_uri(out / part / figure["file"]) for part in ("", "dark"))
    return (
        "<figure><picture>"
        f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{_text(figure["caption"])}">'
        f"</picture><figcaption>{_text(figure['caption'])}</figcaption></figure>"
    )


def _data_uri(path):
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(
        "ascii"
    )


def _slug(verdict):
    return verdict.replace(" ", "-")


def _text(text):
    return html.escape(str(text))
