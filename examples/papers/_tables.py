"""Tables of a paper's results, as plain text and as Markdown.

Everything here starts from the results in their JSON form, so a page can be made again
from a stored file.
"""

CLAIM_HEADS = ("claim", "setting", "published", "here", "peer", "ratio", "verdict")
NUMERIC_HEADS = ("published", "here", "peer", "ratio")


def number(value, at_least=False):
    """Three significant digits; a value known only from below gets a sign."""
    if value is None:
        return "-"
    if value == 0:
        text = "0"
    elif float(value).is_integer() and abs(value) < 1e7:
        text = f"{int(value):,}"
    elif 1e-3 <= abs(value) < 1e5:
        digits = max(0, 2 - int(f"{value:e}".split("e")[1]))
        text = f"{value:,.{digits}f}"
    else:
        text = f"{value:.1e}"
    return f"≥ {text}" if at_least else text


def claim_cells(claim) -> tuple[str, ...]:
    """The cells of one judged claim, in the order of `CLAIM_HEADS`."""
    peer = number(claim["peer_value"], claim["peer_at_least"])
    if claim["peer_value"] is not None:
        peer = f"{peer} ({claim['peer']})"
    return (
        claim["text"],
        claim["setting"],
        number(claim["published"]),
        number(claim["here"], claim["at_least"]),
        peer,
        number(claim["ratio"], claim["at_least"]),
        claim["verdict"],
    )


def record_table(records):
    """Heads and rows of everything that was measured."""
    metrics = list(dict.fromkeys(name for r in records for name in r["values"]))
    heads = ("setting", "method", *metrics, "remark")
    rows = [
        (
            record["setting"],
            record["method"],
            *(
                number(record["values"].get(m), m in record["at_least"])
                for m in metrics
            ),
            record["note"],
        )
        for record in records
    ]
    return heads, rows


def text_table(heads, rows, *, right=()):
    """Align columns by spaces; columns named in `right` end flush right."""
    table = [tuple(heads), *rows]
    widths = [max(len(row[k]) for row in table) for k in range(len(heads))]

    def line(row):
        cells = (
            cell.rjust(width) if head in right else cell.ljust(width)
            for cell, width, head in zip(row, widths, heads, strict=True)
        )
        return "  ".join(cells).rstrip()

    return "\n".join(
        [line(heads), "  ".join("-" * w for w in widths), *map(line, rows)]
    )


def markdown_table(heads, rows, *, right=()):
    """The same table in Markdown."""
    rule = ["---:" if head in right else "---" for head in heads]
    body = [heads, rule, *rows]
    return "\n".join(
        f"| {' | '.join(c.replace('|', '&#124;') for c in row)} |" for row in body
    )


def provenance(paper) -> str:
    """One sentence that says where and how the numbers were made."""
    env = paper["environment"]
    versions = ", ".join(f"{name} {text}" for name, text in env["versions"].items())
    return (
        f"{paper['scale']} scale, seed {paper['seed']}, {paper['seconds']:.0f} s on "
        f"{env['cpu']} ({env['cores']} cores, threads: {env['threads']}), "
        f"commit {env['commit'] or 'unknown'}, {env['date']}; {versions}."
    )


def markdown_page(paper) -> str:
    """The paper's results as a Markdown page."""
    claims = markdown_table(
        CLAIM_HEADS, map(claim_cells, paper["claims"]), right=NUMERIC_HEADS
    )
    heads, rows = record_table(paper["records"])
    records = markdown_table(heads, rows, right=heads[2:-1])
    figures = "\n\n".join(f"![{f['caption']}]({f['file']})" for f in paper["figures"])
    return (
        f"# {paper['title']}\n\n{provenance(paper)}\n\n{claims}\n\n{figures}\n\n"
        f"## All measurements\n\n{records}\n"
    )
