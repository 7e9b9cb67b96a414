"""Text tables, read fast; and the first bad line found, named, when that fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ppuu.errors import InputError

Column = tuple[int, str]
"""Position in the line (from 0) and numpy type: ``i8``, ``f8`` or ``U<n>``."""


def read_columns(
    path: Path,
    columns: Mapping[str, Column],
    width: int,
    delimiter: str | None = None,
    header_lines: int = 0,
) -> np.ndarray:
    """Reads some columns of a table.

    Args:
        path: of the text file.
        columns: name → position and type.
        width: fields that every line must have.
        delimiter: None for white space.
        header_lines: lines to pass over.

    Returns:
        ``(rows,)`` structured array; row ``k`` stands on line ``header_lines + k + 1``.

    Raises:
        InputError: missing, empty, or a line with a missing or unreadable field; with file,
            line, column and value.
    """
    try:
        table = np.loadtxt(
            path,
            dtype=[(name, kind) for name, (_, kind) in columns.items()],
            delimiter=delimiter,
            skiprows=header_lines,
            usecols=[position for position, _ in columns.values()],
            comments=None,
            ndmin=1,
            encoding="utf-8",
        )
    except (ValueError, OverflowError) as error:
        raise _explain(path, columns, width, delimiter, header_lines, error) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if not len(table):
        raise InputError(f"{path}: it holds no rows")
    return table


def _explain(
    path: Path,
    columns: Mapping[str, Column],
    width: int,
    delimiter: str | None,
    header_lines: int,
    error: Exception,
) -> InputError:
    """The first line that breaks the rules, as a message."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if number <= header_lines or not line.strip():
                continue
            fields = line.split(delimiter)
            for name, (position, kind) in columns.items():
                if position >= len(fields):
                    return InputError(
                        f"{path}, line {number}: column {position + 1} ({name}) is missing; "
                        f"it has {len(fields)} of {width} columns"
                    )
                if not _readable(fields[position].strip(), kind):
                    return InputError(
                        f"{path}, line {number}, column {position + 1} ({name}): "
                        f"'{fields[position].strip()}' is not a number; mend or remove the line"
                    )
    return InputError(f"{path}: not readable as a table ({error})")


def _readable(text: str, kind: str) -> bool:
    if kind.startswith("U"):
        return True
    convert: Callable = int if kind.startswith("i") else float
    try:
        return math.isfinite(convert(text))
    except ValueError:
        return False
