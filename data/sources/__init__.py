"""One adapter a source: raw file → recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ppuu.recording import Recording

from . import commonroad, dlr, ngsim


@dataclass(frozen=True)
class Source:
    """A reader and the names of what it makes.

    Attributes:
        version: raised when the reader's output changes; older outputs are then made again.
        names: raw file → names of its recordings, known without reading it.
        read: raw file → its recordings, in the order of the names.
    """

    version: int
    names: Callable[[Path], Sequence[str]]
    read: Callable[[Path], Sequence[Recording]]


SOURCES = {
    "commonroad": Source(
        1, lambda path: [commonroad.name(path)], lambda path: [commonroad.read(path)]
    ),
    "dlr": Source(1, lambda path: dlr.NAMES, dlr.read),
    "ngsim": Source(1, lambda path: [path.stem], lambda path: [ngsim.read(path)]),
}
