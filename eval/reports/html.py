"""What self-contained HTML pages are made of: style, tables, pictures inside."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1d2733; background: #fbfbf9;
       max-width: 74rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.9rem; margin-bottom: .2rem; } h2 { margin-top: 2.4rem; font-size: 1.25rem; }
p.lead { color: #51606f; margin-top: 0; }
table { border-collapse: collapse; font-size: .84rem; width: 100%; }
th, td { text-align: right; padding: .34rem .5rem; border-bottom: 1px solid #e3e3dc;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; font-weight: 600; }
td small { color: #75828f; display: block; font-size: .74rem; }
.scroll { overflow-x: auto; } img, video { max-width: 100%; display: block; }
figure { margin: 1rem 0; } figcaption { color: #51606f; font-size: .88rem; }
code { background: #efefe9; padding: .1rem .3rem; border-radius: 3px; }
"""


def inline(data: bytes, kind: str) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


_PLAIN = (1.0, None)
_PERCENT = (100.0, 1)
_METRES = (1.0, 1)
"""Scale and digits of a column."""


def _format(column: str) -> tuple[float, int | None]:
    if column.endswith("s") and column[-2].isdigit():
        return _PLAIN
    return _METRES if column.endswith(("_m", "_mps")) else _PERCENT


def _cell(value: Any, scale: float, digits: int | None) -> str:
    """With so many digits after the point; without a number, three that count."""
    if not isinstance(value, dict):
        return html.escape("" if value is None else str(value))
    if value["value"] is None:
        return "–"
    form = ".3g" if digits is None else f".{digits}f"
    middle = f"{scale * value['value']:{form}}"
    if value["low"] is None:
        return middle
    low, high = (f"{scale * value[end]:{form}}" for end in ("low", "high"))
    return f"{middle}<small>{low} – {high}</small>"


def results_table(rows: Sequence[dict], columns: Sequence[str]) -> str:
    """Rows of a results file as an HTML table, intervals below the numbers."""
    head = "".join(f"<th>{html.escape(c.replace('_', ' '))}</th>" for c in columns)
    body = []
    for row in rows:
        cells = "".join(
            f"<td>{_cell(row.get(column), *_format(column))}</td>" for column in columns
        )
        body.append(f"<tr><td>{html.escape(row['name'])}</td>{cells}</tr>")
    return f'<div class="scroll"><table><tr><th></th>{head}</tr>{"".join(body)}</table></div>'


def figure_bytes(figure) -> bytes:
    """A matplotlib figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return buffer.getvalue()
