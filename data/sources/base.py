"""The adapter interface: a source turns one raw file into the tracks of one or more recordings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from ..raw_tracks import RawTracks


class Source(ABC):
    """Base of all readers; a subclass is a frozen dataclass whose fields are its options.

    Checks, repairs, heading and speed from the motion, and the HDF5 file are not its business:
    every reader's rows take the same way through ``data.clean``.

    Attributes:
        version: raised when the reader's output changes; older outputs are then made again.
    """

    version: ClassVar[int]

    def companions(self, path: Path) -> Sequence[Path]:
        """Other files that reading ``path`` depends on; a change in them makes its output again.

        Raises:
            InputError: one is missing.
        """
        return ()

    @abstractmethod
    def read(self, path: Path) -> Iterator[RawTracks]:
        """Yields the recordings that a raw file holds, converted to metres and the road's axes.

        Raises:
            InputError: not such a file, or a field that cannot be read: with file, line, column
                and value where there are any.
        """
