"""Parts of self-contained HTML pages: style and tables."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

STYLE = """
:root { color-scheme: light; --ink: #1c2733; --soft: #5b6875; --line: #e2e4e0; --blue: #1d5f8a; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: #fafaf8;
       max-width: 64rem; margin: 2.2rem auto 4rem; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.3rem; margin: 0; }
h3 { font-size: .95rem; margin: 1.6rem 0 .4rem; }
p { margin: .25rem 0; } .soft, figcaption, small { color: var(--soft); font-size: .86rem; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px;
          padding: 1.3rem 1.5rem; margin-top: 1.6rem; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; }
th, td { text-align: right; padding: .28rem .5rem; border-bottom: 1px solid var(--line);
         font-variant-numeric: tabular-nums; }
th { font-weight: 600; color: var(--soft); }
th:first-child, td:first-child, .moves :nth-child(2) { text-align: left; }
td.left { text-align: left; } a { color: var(--blue); }
.scroll { overflow-x: auto; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; }
figure { margin: .4rem 0; } img, svg { width: 100%; height: auto; display: block; }
svg text { font-size: 10px; fill: var(--soft); } svg path { fill: none; }
svg .panel { fill: #f4f4f1; }
svg image { image-rendering: pixelated; }
svg .lane { stroke: #c2410c; vector-effect: non-scaling-stroke; }
svg .axis { stroke: #9aa5b0; } svg .limit { stroke: #c2410c; stroke-dasharray: 3 3; }
svg .area { fill: #cfe1ee; stroke: var(--blue); }
svg .positions_read { fill: #e3e5e8; stroke: #a3acb6; }
svg .positions_written { stroke: #2f8f5b; stroke-width: 1.4; }
svg .columns_written { stroke: var(--blue); stroke-width: 1.6; }
.key i { display: inline-block; width: 1.1rem; height: .6rem; margin: 0 .3rem 0 .9rem; }
"""


class Html(str):
    """Text that is already HTML."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls where it is too wide."""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{cells("th", head)}</tr>{body}</table></div>'


def cells(tag: str, row: Sequence[str], left: bool = False) -> str:
    """The cells of a row; text that is not ``Html`` is escaped."""
    kind = ' class="left"' if left else ""
    return "".join(
        f"<{tag}{kind}>{cell if isinstance(cell, Html) else html.escape(cell)}</{tag}>"
        for cell in row
    )
