"""One table as text, Markdown and HTML: the same rows, columns and numbers."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..statistics.metric import Metric, Row


@dataclass(frozen=True)
class Column:
    """How one column is written.

    Attributes:
        key: of the rows' entries.
        heading: what stands above; the key without one.
        scale: numbers are multiplied by it.
        digits: after the decimal point; without, four significant digits.
    """

    key: str
    heading: str = ""
    scale: float = 1.0
    digits: int | None = None

    @property
    def title(self) -> str:
        """What stands above."""
        return self.heading or self.key

    def number(self, value: float) -> str:
        """A number as it is written; ``-`` for what is not finite."""
        if not math.isfinite(value):
            return "-"
        value *= self.scale
        if self.digits is not None:
            return f"{value:.{self.digits}f}"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

    def cell(self, value: Any) -> tuple[str, tuple[str, str] | None]:
        """An entry and, if it has one, the ends of its interval."""
        if isinstance(value, Mapping):  # read back from a results file
            value = Metric(**{k: math.nan if v is None else v for k, v in value.items()})
        if isinstance(value, Metric):
            ends = self.number(value.low), self.number(value.high)
            return self.number(value.value), ends if math.isfinite(value.low) else None
        if isinstance(value, float) or (self.digits is not None and isinstance(value, int)):
            return self.number(value), None
        return "" if value is None else str(value), None


def percent(*keys: str, digits: int = 1) -> tuple[Column, ...]:
    """Columns of fractions, written as percentages."""
    return tuple(Column(key, scale=100.0, digits=digits) for key in keys)


def plain(*keys: str, digits: int | None = None) -> tuple[Column, ...]:
    """Columns of numbers as they are."""
    return tuple(Column(key, digits=digits) for key in keys)


def text_table(rows: Sequence[Row], columns: Sequence[Column] | None = None) -> str:
    """Aligned text; a metric reads ``value [low, high]``.

    Args:
        rows: entries by key.
        columns: which of them, and how; without, all in the order of their first appearance.
    """
    if not rows:
        return "(no rows)"
    columns = _all_columns(rows) if columns is None else columns
    cells = _cells(rows, columns)
    widths = [
        max(len(column.title), *(len(line[k]) for line in cells))
        for k, column in enumerate(columns)
    ]
    lines = [[column.title for column in columns], ["-" * width for width in widths], *cells]
    right = _numeric(rows, columns)
    return "\n".join(
        "  ".join(
            text.rjust(width) if numeric else text.ljust(width)
            for text, width, numeric in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def markdown_table(rows: Sequence[Row], columns: Sequence[Column] | None = None) -> str:
    """As ``text_table``, in Markdown."""
    columns = _all_columns(rows) if columns is None else columns
    rules = ["--:" if numeric else "---" for numeric in _numeric(rows, columns)]
    lines = [[column.title for column in columns], rules, *_cells(rows, columns)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def html_table(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """As ``text_table``, in HTML: rows' names first, intervals below the numbers."""
    titles = (column.title.replace("_", " ") for column in columns)
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join(
        f"<tr><td>{html.escape(str(row['name']))}</td>"
        + "".join(f"<td>{_html_cell(column, row)}</td>" for column in columns)
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr><th></th>{head}</tr>{body}</table></div>'


def _html_cell(column: Column, row: Row) -> str:
    text, interval = column.cell(row.get(column.key))
    below = "" if interval is None else f"<small>{' – '.join(interval)}</small>"
    return html.escape(text) + below


def _all_columns(rows: Sequence[Row]) -> list[Column]:
    """Commits are for the file; a table would be lost in them."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [Column(key) for key in keys if key != "commit"]


def _numeric(rows: Sequence[Row], columns: Sequence[Column]) -> list[bool]:
    """Which columns hold no words, and so are aligned to the right."""
    return [all(not isinstance(row.get(column.key), str) for row in rows) for column in columns]


def _cells(rows: Sequence[Row], columns: Sequence[Column]) -> list[list[str]]:
    pairs = [[column.cell(row.get(column.key)) for column in columns] for row in rows]
    return [
        [text if ends is None else f"{text} [{', '.join(ends)}]" for text, ends in line]
        for line in pairs
    ]
