"""Layout of an NGSIM file, detected from its first line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ppuu.runtime.errors import InputError

from .ngsim_layouts import HIGHWAY, PORTAL, STREET
from .table import read_header


@dataclass(frozen=True)
class Layout:
    """Layout of a file.

    Attributes:
        names: of all columns in order, as in ``PORTAL``; ones that are unknown stay as they are.
        delimiter: None for white space.
        header_lines: 0 or 1.
    """

    names: Sequence[str]
    delimiter: str | None
    header_lines: int

    def position(self, name: str) -> int:
        """Of a column, from 0."""
        return list(self.names).index(name)


def find_layout(path: Path, needed: Sequence[str]) -> Layout:
    """The layout of a file, from its first line.

    Raises:
        InputError: neither a header that has the needed columns nor 18 or 24 fields.
    """
    delimiter = "," if len(read_header(path, ",")) > 1 else None
    fields = read_header(path, delimiter)
    if not fields or not fields[0][:1].isalpha():
        if len(fields) not in (len(HIGHWAY), len(STREET)):
            missing = [name for name in needed if HIGHWAY.index(name) >= len(fields)]
            lacks = f"; missing: {', '.join(missing)}" if missing else ""
            raise InputError(
                f"{path}, line 1: {len(fields)} columns; NGSIM has {len(HIGHWAY)} (highways) or "
                f"{len(STREET)} (streets){lacks}"
            )
        return Layout(HIGHWAY if len(fields) == len(HIGHWAY) else STREET, delimiter, 0)
    known = {_key(name): name for name in PORTAL}
    names = tuple(known.get(_key(field), field) for field in fields)
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(
            f"{path}, line 1: the header lacks {', '.join(missing)}; NGSIM's columns are called "
            f"{', '.join(HIGHWAY)}"
        )
    return Layout(names, delimiter, 1)


def _key(name: str) -> str:
    """A column's name however it is spelt."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
