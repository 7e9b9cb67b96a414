"""Fast, chunked reading of text tables, with errors that name the first invalid field."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from ppuu.runtime.errors import InputError

Column = tuple[int, str]
"""Position in the line (from 0) and numpy type: ``i8``, ``f8``, ``U<n>``, ``S<n>``, ..."""

_LINES_A_PIECE = 100_000
_LONGEST_SHOWN = 40
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)
"""A number with commas between its thousands."""


@dataclass(frozen=True)
class Dialect:
    """How a table separates its fields and writes its numbers.

    Attributes:
        delimiter: between two fields; None for white space.  Beside any other, a field may stand in
            double quotes and then hold the delimiter.
        decimal: mark of the numbers.
        thousands: whether a number may have commas between its thousands.
        cure: what to do about a number with the other mark, for the message.
    """

    delimiter: str | None = ","
    decimal: Literal[".", ","] = "."
    thousands: bool = False
    cure: str = "write it with a decimal point"

    def split(self, line: str) -> list[str]:
        """The fields of a line, without quotes.

        Raises:
            csv.Error: a quoted field goes on after its quotes, or has no end.
        """
        if self.delimiter is None:
            return line.split()
        if '"' not in line:
            return line.rstrip("\n").split(self.delimiter)
        return next(csv.reader([line], delimiter=self.delimiter, strict=True))

    def join(self, fields: Sequence[str]) -> str:
        """The line that ``split`` gives these fields for."""
        delimiter = self.delimiter or " "
        return delimiter.join(
            '"' + field.replace('"', '""') + '"' if delimiter in field or '"' in field else field
            for field in fields
        )

    def number(self, text: str) -> str | None:
        """A number as Python reads it; None if it has another mark than it should."""
        if self.decimal == ",":
            return None if "." in text else text.replace(",", ".")
        if self.thousands and _GROUPED.fullmatch(text.strip()):
            return text.replace(",", "")
        return None if "," in text else text


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
    dialect: Dialect = Dialect(),
    header_lines: int = 0,
) -> np.ndarray:
    """Reads some columns of a table at once; arguments and errors as for ``read_pieces``.

    Returns:
        ``(rows,)`` structured array; row ``k`` stands on line ``header_lines + k + 1``.

    Raises:
        InputError: also where a blank line stands between two rows.
    """
    pieces = list(read_pieces(path, columns, width, dialect, header_lines))
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
    header = [spelling(name) for name in read_header(path)]
    for name in columns:
        if name not in header and name not in optional:
            raise InputError(f"{path}, line 1: column '{name}' is missing; {hint}")
    placed = {name: (header.index(name), kind) for name, kind in columns.items() if name in header}
    return read_columns(path, placed, len(header), header_lines=1)


def read_header(path: Path, delimiter: str | None = ",") -> list[str]:
    """The fields of the first line, without quotes and blanks around them.

    Raises:
        InputError: the file cannot be read or is empty, or a quoted field has no end.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            line = file.readline()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if not line:
        raise InputError(f"{path}: it is empty")
    try:
        return [field.strip() for field in Dialect(delimiter).split(line)]
    except csv.Error as error:
        raise InputError(f"{path}, line 1, header: {error}; correct the quotes") from None


def read_pieces(
    path: Path,
    columns: Mapping[str, Column],
    width: int,
    dialect: Dialect = Dialect(),
    header_lines: int = 0,
) -> Iterator[Piece]:
    """Reads some columns of a table, piece by piece, so that it may be larger than the memory.

    Blank lines are passed over.

    Args:
        path: of the text file.
        columns: name → position and type.
        width: fields that every line must have, no more and no less.
        dialect: of the table.
        header_lines: lines to pass over.

    Raises:
        InputError: missing, empty, or a line with missing or extra fields, an unreadable field, a
            number with the wrong decimal mark or one that is not finite; with file, line, column
            and value.
    """
    parser = _Parser(path, columns, width, dialect)
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
    dialect: Dialect

    def parse(self, lines: list[str], first_number: int) -> Piece | None:
        """The rows of some lines; None if all are blank."""
        number = first_number + np.arange(len(lines))
        if not all(map(str.strip, lines)):
            full = [k for k, line in enumerate(lines) if line.strip()]
            lines, number = [lines[k] for k in full], number[full]
        if not lines:
            return None
        lines = self._uniform(lines, number)
        try:
            rows = self._load(lines)
        except ValueError:
            bad = self._first_unreadable(lines)
            raise self._explain(lines[bad], number[bad]) from None
        for name, (position, _) in self.columns.items():
            if rows[name].dtype.kind == "f":
                bad = np.flatnonzero(~np.isfinite(rows[name]))
                if len(bad):
                    text = self.dialect.split(lines[bad[0]])[position]
                    raise self._bad(number[bad[0]], name, f"{shown(text)} is not a finite number")
        return Piece(rows, number)

    def _uniform(self, lines: list[str], number: Int[np.ndarray, " n"]) -> list[str]:
        """Lines of as many fields as there must be, their numbers as Python reads them."""
        delimiter, foreign = self.dialect.delimiter, self.dialect.decimal == ","
        if delimiter is None and not foreign:  # the fast ways: lines stay as they are
            fields = [len(line.split()) for line in lines]
        elif delimiter is not None and not foreign and not any('"' in line for line in lines):
            fields = [line.count(delimiter) + 1 for line in lines]
        else:
            return [self._rewritten(line, at) for line, at in zip(lines, number, strict=True)]
        wrong = np.flatnonzero(np.array(fields) != self.width)
        if len(wrong):
            raise self._miscounted(fields[wrong[0]], number[wrong[0]])
        return lines

    def _rewritten(self, line: str, number: int) -> str:
        try:
            fields = self.dialect.split(line)
        except csv.Error as error:
            raise InputError(
                f"{self.path}, line {number}, one of the columns: {error}; correct the quotes"
            ) from None
        if len(fields) != self.width:
            raise self._miscounted(len(fields), number)
        for name, (position, kind) in self.columns.items():
            if kind[0] in "if":
                text = self.dialect.number(fields[position])
                if text is None:
                    raise self._other_mark(number, name, fields[position])
                fields[position] = text
        return self.dialect.join(fields)

    def _miscounted(self, found: int, number: int) -> InputError:
        return InputError(
            f"{self.path}, line {number}: {found} columns instead of {self.width}; correct or "
            "remove the line"
        )

    def _load(self, lines: Sequence[str], names: Sequence[str] | None = None) -> np.ndarray:
        names = list(self.columns) if names is None else names
        return np.loadtxt(
            lines,
            dtype=[(name, self.columns[name][1]) for name in names],
            delimiter=self.dialect.delimiter,
            usecols=[self.columns[name][0] for name in names],
            comments=None,
            quotechar=None if self.dialect.delimiter is None else '"',
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
        fields = self.dialect.split(line)
        for name, (position, kind) in self.columns.items():
            try:
                self._load([line], [name])
            except ValueError:
                text = fields[position]
                if kind[0] in "if" and self.dialect.decimal == "." and "," in text:
                    return self._other_mark(number, name, text)
                what = {"i": "a whole number", "f": "a number"}.get(kind[0], "plain text")
                return self._bad(number, name, f"{shown(text)} is not {what}")
        return InputError(
            f"{self.path}, line {number}, one of the columns: not readable; correct or remove the "
            "line"
        )

    def _other_mark(self, number: int, name: str, text: str) -> InputError:
        """A number such as ``1,5`` where the mark is a point."""
        mark = {".": "comma", ",": "point"}[self.dialect.decimal]
        return self._bad(number, name, f"{shown(text)} has a {mark}", self.dialect.cure)

    def _bad(
        self, number: int, name: str, what: str, cure: str = "correct or remove the line"
    ) -> InputError:
        column = self.columns[name][0] + 1
        return InputError(f"{self.path}, line {number}, column {column} ({name}): {what}; {cure}")


def as_number(text: str) -> float:
    """A number in digits; NaN for anything else, such as ``1_000``, which Python reads as well."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def shown(text: str) -> str:
    """A field as a message quotes it: in full unless it is very long."""
    text = text.strip()
    return f"'{text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + '…'}'"
