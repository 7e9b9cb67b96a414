"""What a reader hands over: the rows of one recording as they stand in the raw file, in metres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from ppuu.recordings.road import Road


@dataclass(frozen=True, eq=False)
class RawTracks:
    """The rows of one recording, in any order, neither checked nor mended.

    Everything is in the axes of the recording to be: x (roughly) along the road, y to its left,
    headings counter-clockwise from x.

    Attributes:
        name: what the recording will be called.
        file: the raw file, for messages.
        dt_s: seconds between two frame numbers.
        road: lanes; None where the source has no map: then they follow from the tracks
            (``data.roads.from_tracks``).
        vehicle: ``(n,)`` the source's own number.
        frame: ``(n,)`` frame number as recorded.
        x_m, y_m: ``(n,)`` centre of the box (see ``at_front``).
        length_m, width_m: ``(n,)``.
        heading_rad: ``(n,)``; None where the source has none: then it follows from the motion.
        speed_mps: ``(n,)``; None as above.
        line: ``(n,)`` line in the file, from 1; None where it has no lines.
        fields: field of this class → what the file calls it, for messages (``in_columns``).
        recorded_speed_mps: ``(n,)`` a speed column that is checked but not used, where the source's
            speeds do not integrate to its positions.
        at_front: positions are of the middle of the front bumper, without headings; the heading
            follows from them, and they are moved half a length back along it.
        left_out: reason → rows that the reader has left out already.
        provenance: what the reader knows about the file; JSON values only.
    """

    name: str
    file: str
    dt_s: float
    road: Road | None
    vehicle: Int[np.ndarray, " n"]
    frame: Int[np.ndarray, " n"]
    x_m: Float[np.ndarray, " n"]
    y_m: Float[np.ndarray, " n"]
    length_m: Float[np.ndarray, " n"]
    width_m: Float[np.ndarray, " n"]
    heading_rad: Float[np.ndarray, " n"] | None = None
    speed_mps: Float[np.ndarray, " n"] | None = None
    line: Int[np.ndarray, " n"] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    recorded_speed_mps: Float[np.ndarray, " n"] | None = None
    at_front: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)
    provenance: Mapping = field(default_factory=dict)

    def place(self, row: int, *fields: str) -> str:
        """Where a row stands, and which of its fields are meant, for messages."""
        line = "" if self.line is None else f", line {self.line[row]}"
        called = dict.fromkeys(self.fields[name] for name in fields if name in self.fields)
        place = ", ".join([f"{self.file}{line}", *called])
        return f"{place}: vehicle {self.vehicle[row]}, frame {self.frame[row]}"


def in_columns(**names: str) -> dict[str, str]:
    """``RawTracks.fields`` of a table: field → name of its column."""
    return {key: f"column '{name}'" for key, name in names.items()}
