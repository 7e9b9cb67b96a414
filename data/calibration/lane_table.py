"""Tables of real lanes: positions of vehicles along one or several lanes, at 10 Hz."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from .tables import DT_S, read_columns


@dataclass(frozen=True, eq=False)
class LaneTable:
    """Rows of a table of real lanes, sorted by vehicle and time.

    Attributes:
        path: the file.
        columns: by name.
        vehicle: ``(rows,)`` number that differs between slots and lanes.
    """

    path: Path
    columns: dict[str, np.ndarray]
    vehicle: np.ndarray

    @classmethod
    def read(cls, path: Path, required: tuple[str, ...]) -> LaneTable:
        """Reads a gzip-compressed CSV.

        Raises:
            InputError: see ``read_columns``.
        """
        columns = read_columns(path, ("vehicle_id", "time_s", *required), further=True)
        keys = [columns[name] for name in ("slot", "lane", "vehicle_id") if name in columns]
        if "y_m" in columns:  # vehicles that change lanes remain the same
            keys = [columns["slot"], columns["vehicle_id"]]
        _, vehicle = np.unique(np.stack(keys), axis=1, return_inverse=True)
        return cls(path, columns, vehicle.ravel())

    def where(self, chosen: np.ndarray) -> LaneTable:
        """The selected rows."""
        columns = {name: column[chosen] for name, column in self.columns.items()}
        return LaneTable(self.path, columns, self.vehicle[chosen])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    @cached_property
    def tracks(self) -> list[np.ndarray]:
        """Rows of each stretch of a vehicle without a gap."""
        jump = (np.diff(self.vehicle) != 0) | (np.abs(np.diff(self["time_s"]) - DT_S) > 0.02)
        return np.split(np.arange(len(self.vehicle)), np.flatnonzero(jump) + 1)
