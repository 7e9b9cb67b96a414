"""What happens to files on their way: fields, lines, columns and bytes that are not what they were.

``damages`` draws one to three injuries; ``injured`` inflicts them on the bytes of a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

GARBAGE = [
    b"", b" ", b"abc", b"NaN", b"nan", b"inf", b"-inf", b"Infinity", b"1e308", b"-1e308", b"1e400",
    b"1e-320", b"-1", b"-5.5", b"0", b"-0.0", b"1.5", b"1e18", b"-1e18", b"9223372036854775807",
    b"-9223372036854775808", b"9223372036854775808", b"2147483648", b"9" * 400, b"0x10", b"1_000",
    b"1,5", b"1;5", b"1.234,5", b'"1,5"', b'"1,500"', b'"604,123.5"', b'"1.5"', b"1.5,", b",",
    b'"', b'"1', b'""', b"'1'", b"#", b"\\", b"true", b"null", b"None",
    b"[]", b"{}", b"&amp;", b"&x;", b"<", b"]]>", "é".encode(), "١٢".encode(), "⅓".encode(),
    "１".encode(), "\u2028".encode(), b"\xff\xfe", b"\x00", b"\x1a", b"x" * 5000, b"5" * 5000,
    b"1 2", b"1\t2", b"1e5", b"1e9", b"1e15", b"1970-01-01", b"-",
]  # fmt: skip
"""Among them what Python reads as a number and no one means as one."""


@dataclass(frozen=True)
class Injury:
    """``kind`` of it, where (two numbers that are taken modulo what there is), and with what."""

    kind: str
    a: int
    b: int
    garbage: bytes


def _fields(data: bytes, delimiter: bytes | None) -> list[list[bytes]]:
    return [line.split(delimiter) for line in data.split(b"\n")]


def _text(rows: Sequence[Sequence[bytes]], delimiter: bytes | None) -> bytes:
    return b"\n".join((delimiter or b" ").join(row) for row in rows)


def _on_lines(change: Callable) -> Callable:
    def apply(data: bytes, injury: Injury, delimiter: bytes | None) -> bytes:
        lines = data.split(b"\n")
        i, j = injury.a % len(lines), injury.b % len(lines)
        return b"\n".join(change(lines, i, j, injury.garbage))

    return apply


def _on_fields(change: Callable) -> Callable:
    """``change(row, i, j, garbage)`` in one line of the table."""

    def apply(data: bytes, injury: Injury, delimiter: bytes | None) -> bytes:
        table = _fields(data, delimiter)
        row = table[injury.a % len(table)]
        if row:
            change(row, injury.b % len(row), injury.b // 7 % len(row), injury.garbage)
        return _text(table, delimiter)

    return apply


def _on_columns(change: Callable) -> Callable:
    """The same change in every line that has such columns."""

    def apply(data: bytes, injury: Injury, delimiter: bytes | None) -> bytes:
        table = _fields(data, delimiter)
        width = max(len(table[0]), 1)
        i, j = injury.a % width, injury.b % width
        for row in table:
            if len(row) > max(i, j):
                change(row, i, j, injury.garbage)
        return _text(table, delimiter)

    return apply


def _on_bytes(change: Callable) -> Callable:
    def apply(data: bytes, injury: Injury, delimiter: bytes | None) -> bytes:
        i, j = sorted((injury.a % (len(data) + 1), injury.b % (len(data) + 1)))
        return change(data, i, j, injury.garbage)

    return apply


def _replace(row: list, i: int, j: int, garbage: bytes) -> None:
    row[i] = garbage


def _swap(row: list, i: int, j: int, garbage: bytes) -> None:
    row[i], row[j] = row[j], row[i]


def _drop(row: list, i: int, j: int, garbage: bytes) -> None:
    del row[i]


def _double(row: list, i: int, j: int, garbage: bytes) -> None:
    row.insert(i, row[i])


def _append(row: list, i: int, j: int, garbage: bytes) -> None:
    row.append(garbage)


def _quote(row: list, i: int, j: int, garbage: bytes) -> None:
    row[i] = b'"' + row[i] + b'"'


def _comma(row: list, i: int, j: int, garbage: bytes) -> None:
    row[i] = row[i].replace(b".", b",") if b"." in row[i] else row[i] + b",5"


def _quoted_comma(row: list, i: int, j: int, garbage: bytes) -> None:
    _comma(row, i, j, garbage)
    _quote(row, i, j, garbage)


def _swapped(lines: list, i: int, j: int, garbage: bytes) -> list:
    _swap(lines, i, j, garbage)
    return lines


TABLE: dict[str, Callable[[bytes, Injury, bytes | None], bytes]] = {
    "field replaced": _on_fields(_replace),
    "fields swapped": _on_fields(_swap),
    "field dropped": _on_fields(_drop),
    "field doubled": _on_fields(_double),
    "field added": _on_fields(_append),
    "field quoted": _on_fields(_quote),
    "field with a decimal comma": _on_fields(_comma),
    "quoted field with a decimal comma": _on_fields(_quoted_comma),
    "column added": _on_columns(_append),
    "column quoted": _on_columns(_quote),
    "column with decimal commas": _on_columns(_comma),
    "quoted column with decimal commas": _on_columns(_quoted_comma),
    "column replaced": _on_columns(_replace),
    "columns swapped": _on_columns(_swap),
    "column dropped": _on_columns(_drop),
    "column doubled": _on_columns(_double),
    "line replaced": _on_lines(lambda lines, i, j, garbage: [*lines[:i], garbage, *lines[i + 1 :]]),
    "line inserted": _on_lines(lambda lines, i, j, garbage: [*lines[:i], garbage, *lines[i:]]),
    "line dropped": _on_lines(lambda lines, i, j, garbage: lines[:i] + lines[i + 1 :]),
    "line doubled": _on_lines(lambda lines, i, j, garbage: [*lines[:i], lines[i], *lines[i:]]),
    "line moved": _on_lines(_swapped),
    "lines rotated": _on_lines(lambda lines, i, j, garbage: lines[i:] + lines[:i]),
    "lines lost": _on_lines(lambda lines, i, j, garbage: lines[: min(i, j)] + lines[max(i, j) :]),
    "cut off": _on_bytes(lambda data, i, j, garbage: data[:i]),
    "bytes lost": _on_bytes(lambda data, i, j, garbage: data[:i] + data[j:]),
    "bytes inserted": _on_bytes(lambda data, i, j, garbage: data[:i] + garbage + data[i:]),
    "byte flipped": _on_bytes(
        lambda data, i, j, garbage: (
            data[:i] + bytes([data[i] ^ (1 << j % 8)]) + data[i + 1 :] if i < len(data) else data
        )
    ),
    "nothing but garbage": lambda data, injury, delimiter: injury.garbage,
    "other delimiter": lambda data, injury, delimiter: data.replace(
        delimiter or b" ", [b";", b"\t", b"|", b",", b" "][injury.a % 5]
    ),
    "decimal comma": lambda data, injury, delimiter: data.replace(b".", b","),
    "carriage returns": lambda data, injury, delimiter: data.replace(b"\n", b"\r\n"),
    "returns alone": lambda data, injury, delimiter: data.replace(b"\n", b"\r"),
    "byte order mark": lambda data, injury, delimiter: b"\xef\xbb\xbf" + data,
    "utf-16": lambda data, injury, delimiter: data.decode("latin-1").encode("utf-16"),
    "quoted": lambda data, injury, delimiter: re.sub(rb"([^,\s]+)", rb'"\1"', data),
}

_VALUE = re.compile(rb"(?<=[>:\[,\"])[^<>:\[\],\"{}\n]+(?=[<\],\"}])")
"""What stands between two tags, or as a value in JSON."""
_ELEMENT = re.compile(rb"<(\w+)[^<>]*>[^<>]*(?:<(?!/?\1\b)[^<>]*>[^<>]*)*</\1>|\"\w+\": [^\[{,]+,")
"""An element without one of its own name inside; a field of a JSON document."""


def _on_matches(pattern: re.Pattern, change: Callable[[bytes, bytes], bytes]) -> Callable:
    def apply(data: bytes, injury: Injury, delimiter: bytes | None) -> bytes:
        found = list(pattern.finditer(data))
        if not found:
            return data
        one = found[injury.a % len(found)]
        return data[: one.start()] + change(one[0], injury.garbage) + data[one.end() :]

    return apply


TREE = {
    "value replaced": _on_matches(_VALUE, lambda text, garbage: garbage),
    "value emptied": _on_matches(_VALUE, lambda text, garbage: b""),
    "element dropped": _on_matches(_ELEMENT, lambda text, garbage: b""),
    "element doubled": _on_matches(_ELEMENT, lambda text, garbage: text + text),
    "element replaced": _on_matches(_ELEMENT, lambda text, garbage: garbage),
}
"""For XML and JSON, besides those of a table."""

KINDS = TABLE | TREE


def damages(tree: bool) -> st.SearchStrategy[list[Injury]]:
    """One to three injuries; those of a tree first, where there is one."""
    place = st.integers(0, 10_000)
    kinds = [*TREE, *TREE, *TREE, *TABLE] if tree else [*TABLE, *["field replaced"] * 12]
    one = st.builds(Injury, st.sampled_from(kinds), place, place, st.sampled_from(GARBAGE))
    return st.lists(one, min_size=1, max_size=3)


def injured(data: bytes, injuries: Sequence[Injury], delimiter: bytes | None) -> bytes:
    for injury in injuries:
        data = KINDS[injury.kind](data, injury, delimiter)
    return data
