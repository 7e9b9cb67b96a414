"""Interface of readers: from a raw file to the raw tracks of one or more recordings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..raw_tracks import RawTracks


class Source(ABC):
    """Base of all readers; a subclass is a frozen dataclass whose fields are its options.

    Checks, repairs, derived headings and speeds and the HDF5 file are common to all readers
    (``data.clean``).
    """

    def companions(self, path: Path) -> Sequence[Path]:
        """Other files that the output depends on.

        Raises:
            InputError: one is missing.
        """
        return ()

    @abstractmethod
    def read(self, path: Path) -> Iterator[RawTracks]:
        """Yields the recordings that a raw file holds, converted to metres and the road's axes.

        Raises:
            InputError: another format or an invalid field; with file, line, column and value.
        """
