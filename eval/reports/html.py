"""Parts of self-contained HTML pages: style, and pictures and videos inside."""

from __future__ import annotations

import base64
import io

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
    """A file as a data URL."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def figure_bytes(figure) -> bytes:
    """A matplotlib figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return buffer.getvalue()
