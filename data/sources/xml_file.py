"""XML files with line numbers of elements, for messages."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ppuu.runtime.errors import InputError

from .table import as_number, shown

_LARGEST_WHOLE = 1e15


class XmlFile:
    """The elements of a file, plain or gzip.

    Args:
        path: of the file.

    Attributes:
        root: the outermost element.

    Raises:
        InputError: it cannot be read, or is not XML.
    """

    def __init__(self, path: Path):
        self._path = path
        builder, parser = TreeBuilder(), expat.ParserCreate()
        places: list[tuple[int, int]] = []

        def begin(tag: str, attributes: dict[str, str]) -> None:
            places.append((parser.CurrentLineNumber, parser.CurrentColumnNumber + 1))
            builder.start(tag, attributes)

        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = begin, builder.end
        parser.CharacterDataHandler = builder.data
        try:
            with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
                parser.ParseFile(file)
        except (LookupError, ValueError) as error:
            # So expat reports an encoding that it does not know or cannot decode.
            raise InputError(
                f"{path}, line 1, header: its encoding cannot be read ({error}); save it as UTF-8"
            ) from None
        except (OSError, EOFError, zlib.error, expat.ExpatError) as error:
            raise InputError(f"{path}: not readable as XML ({error}); fetch it again") from None
        self.root: Element = builder.close()
        # Tags begin in document order, which is how iter() goes.
        self._places = dict(zip(self.root.iter(), places, strict=True))

    def line(self, element: Element) -> int:
        """Of its tag, from 1."""
        return self._places[element][0]

    def place(self, element: Element) -> str:
        """File, line and column of its tag, for messages."""
        line, column = self._places[element]
        return f"{self._path}, line {line}, column {column}"

    def child(self, element: Element, tag: str) -> float:
        """The number that a child (or deeper, ``a/b``) holds.

        Raises:
            InputError: there is no such child, or no finite number in it.
        """
        found: Element | None = element
        for part in tag.split("/"):  # step by step: find() is fast with a bare tag only
            found = None if found is None else found.find(part)
        if found is None:
            raise InputError(f"{self.place(element)}: <{element.tag}> has no <{tag}>")
        return self.number(found, f"<{tag}>", found.text)

    def whole(self, element: Element, name: str, value: float) -> int:
        """A number of an element as an integer.

        Raises:
            InputError: it is none, or too large.
        """
        if value != round(value) or abs(value) > _LARGEST_WHOLE:
            raise InputError(
                f"{self.place(element)}: {name} is {value:g}, not a whole number; correct it"
            )
        return int(value)

    def number(self, element: Element, name: str, text: str | None) -> float:
        """The text of an element as a finite number.

        Raises:
            InputError: not a finite number.
        """
        value = as_number(text or "")
        if not math.isfinite(value):
            raise InputError(
                f"{self.place(element)}: {name} is {shown(text or '')}, not a number; "
                "correct or remove it"
            )
        return value
