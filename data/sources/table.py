"""Fast, chunked reading of text tables, with errors that name the first invalid field."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Int

from ppuu.runtime.errors import InputError

Column = tuple[int, str]
"""Position in the line (from 0) and numpy type: ``i8``, ``f8``, ``U<n>``, ``S<n>``, ..."""

_LINES_A_PIECE = 100_000
_LONGEST_SHOWN = 40


@dataclass(frozen=True, eq=False)
class Piece:
    """Some consecutive lines of a table.

    Attributes:
        rows: ``(n,)`` structured array, one field a column.
        line: ``(n,)`` line in the file, from 1.
    """

    rows: np.ndarray
    line: Int[np.ndarray, " n"]


def read_columns(
    path: Path,
    columns: Mapping[str, Column],
    width: int,
    delimiter: str | None = None,
    header_lines: int = 0,
) -> np.ndarray:
    """Reads some columns of a table at once; arguments and errors as for ``read_pieces``.

    Returns:
        ``(rows,)`` structured array; row ``k`` stands on line ``header_lines + k + 1``.

    Raises:
        InputError: also where a blank line stands between two rows.
    """
    pieces = list(read_pieces(path, columns, width, delimiter, header_lines))
    line = np.concatenate([piece.line for piece in pieces])
    moved = np.flatnonzero(line != header_lines + 1 + np.arange(len(line)))
    if len(moved):
        raise InputError(
            f"{path}, line {header_lines + moved[0] + 1}, column 1: it is blank; remove it"
        )
    return np.concatenate([piece.rows for piece in pieces])


def read_named_columns(
    path: Path,
    columns: Mapping[str, str],
    hint: str,
    spelling: Callable[[str], str] = str,
    optional: Collection[str] = (),
) -> np.ndarray:
    """Reads some columns of a CSV whose first line names them.

    Args:
        path: of the file.
        columns: name → numpy type.
        hint: what file it should be, for the message when a column is missing.
        spelling: of a name in the header, to the one in ``columns``.
        optional: names that may be missing; the result then has no such field.

    Returns:
        ``(rows,)`` structured array.

    Raises:
        InputError: as ``read_pieces``, or a column is missing.
    """
    header = [spelling(name) for name in read_header(path, ",")]
    for name in columns:
        if name not in header and name not in optional:
            raise InputError(f"{path}, line 1: column '{name}' is missing; {hint}")
    placed = {name: (header.index(name), kind) for name, kind in columns.items() if name in header}
    return read_columns(path, placed, len(header), ",", header_lines=1)


def read_header(path: Path, delimiter: str | None = None) -> list[str]:
    """The fields of the first line, without quotes and blanks around them.

    Raises:
        InputError: the file cannot be read or is empty.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            line = file.readline()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if not line:
        raise InputError(f"{path}: it is empty")
    return [field.strip().strip('"') for field in line.split(delimiter)]


def read_pieces(
    path: Path,
    columns: Mapping[str, Column],
    width: int,
    delimiter: str | None = None,
    header_lines: int = 0,
) -> Iterator[Piece]:
    """Reads some columns of a table, piece by piece, so that it may be larger than the memory.

    Blank lines are passed over. In a table with commas a number may be quoted and then have commas
    of its own between thousands.

    Args:
        path: of the text file.
        columns: name → position and type.
        width: fields that every line must have.
        delimiter: None for white space.
        header_lines: lines to pass over.

    Raises:
        InputError: missing, empty, or a line with a missing or unreadable field or a number that
            is not finite; with file, line, column and value.
    """
    parser = _Parser(path, columns, width, delimiter)
    number, empty = header_lines + 1, True
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            for _ in islice(file, header_lines):
                pass
            while lines := list(islice(file, _LINES_A_PIECE)):
                piece = parser.parse(lines, number)
                number += len(lines)
                if piece is not None:
                    empty = False
                    yield piece
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if empty:
        raise InputError(f"{path}: it holds no rows")


@dataclass(frozen=True)
class _Parser:
    path: Path
    columns: Mapping[str, Column]
    width: int
    delimiter: str | None

    def parse(self, lines: list[str], first_number: int) -> Piece | None:
        """The rows of some lines; None if all are blank."""
        number = first_number + np.arange(len(lines))
        if self.delimiter == ",":
            lines = [_unquoted(line) if '"' in line else line for line in lines]
        if not all(map(str.strip, lines)):
            full = [k for k, line in enumerate(lines) if line.strip()]
            lines, number = [lines[k] for k in full], number[full]
        if not lines:
            return None
        try:
            rows = self._load(lines)
        except ValueError:
            bad = self._first_unreadable(lines)
            raise self._explain(lines[bad], number[bad]) from None
        for name, (position, _) in self.columns.items():
            if rows[name].dtype.kind == "f":
                bad = np.flatnonzero(~np.isfinite(rows[name]))
                if len(bad):
                    text = lines[bad[0]].split(self.delimiter)[position]
                    raise self._bad(number[bad[0]], name, f"{shown(text)} is not a finite number")
        return Piece(rows, number)

    def _load(self, lines: Sequence[str], names: Sequence[str] | None = None) -> np.ndarray:
        names = list(self.columns) if names is None else names
        return np.loadtxt(
            lines,
            dtype=[(name, self.columns[name][1]) for name in names],
            delimiter=self.delimiter,
            usecols=[self.columns[name][0] for name in names],
            comments=None,
            ndmin=1,
            encoding=None,
        )

    def _first_unreadable(self, lines: Sequence[str]) -> int:
        """By halving: ``lines[:good]`` can be read, ``lines[:bad]`` cannot."""
        good, bad = 0, len(lines)
        while bad - good > 1:
            middle = (good + bad) // 2
            try:
                self._load(lines[good:middle])
                good = middle
            except ValueError:
                bad = middle
        return good

    def _explain(self, line: str, number: int) -> InputError:
        fields = line.split(self.delimiter)
        for name, (position, kind) in self.columns.items():
            if position >= len(fields):
                return InputError(
                    f"{self.path}, line {number}: column {position + 1} ({name}) is missing; "
                    f"it has {len(fields)} of {self.width} columns"
                )
            try:
                self._load([line], [name])
            except ValueError:
                what = {"i": "a whole number", "f": "a number"}.get(kind[0], "plain text")
                return self._bad(number, name, f"{shown(fields[position])} is not {what}")
        return InputError(f"{self.path}, line {number}: not readable; correct or remove the line")

    def _bad(self, number: int, name: str, what: str) -> InputError:
        column = self.columns[name][0] + 1
        return InputError(
            f"{self.path}, line {number}, column {column} ({name}): {what}; correct or remove the "
            "line"
        )


def shown(text: str) -> str:
    """A field as a message quotes it: in full unless it is very long."""
    text = text.strip()
    return f"'{text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + '…'}'"


def _unquoted(line: str) -> str:
    """A line of a CSV whose quoted fields may hold commas: the fields without both."""
    try:
        return ",".join(field.replace(",", "") for field in next(csv.reader([line])))
    except csv.Error:  # a field without end: refused as it stands
        return line
