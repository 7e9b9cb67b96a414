"""Raw tracks: the rows of one recording from a raw file, in metres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from ppuu.recordings.road import Road

from .roads.frame import LocalFrame


@dataclass(frozen=True, eq=False)
class RawTracks:
    """The rows of one recording in any order, neither checked nor repaired.

    Axes are those of the recording: x (roughly) along the road, y to its left, headings
    counter-clockwise from x.

    Attributes:
        name: of the recording.
        file: the raw file, for messages.
        dt_s: seconds between two frames.
        road: lanes; None if the source has no map: they are derived from the tracks
            (``data.roads.from_tracks``).
        vehicle: ``(n,)`` number in the source.
        frame: ``(n,)`` frame number in the source.
        x_m, y_m: ``(n,)`` centre of the box (see ``at_front``).
        length_m, width_m: ``(n,)``.
        heading_rad: ``(n,)``; None if the source has none: it is derived from the motion.
        speed_mps: ``(n,)``; likewise.
        line: ``(n,)`` line in the file, from 1; None if the file has no lines.
        fields: field of this class → name in the file, for messages (``in_columns``).
        recorded_speed_mps: ``(n,)`` a speed column that is checked but not used, since it does not
            integrate to the positions.
        at_front: positions are those of the middle of the front bumper, without headings; headings
            are derived, and positions moved back by half a length.
        left_out: reason → number of rows omitted by the reader.
        local_frame: these axes relative to the file's (in metres, y to the left of x).
        provenance: of the file; JSON values only.
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
    local_frame: LocalFrame = LocalFrame(0.0, 0.0, 0.0)
    provenance: Mapping = field(default_factory=dict)

    def place(self, row: int, *fields: str) -> str:
        """Location of a row and the affected fields, for messages."""
        line = "" if self.line is None else f", line {self.line[row]}"
        called = dict.fromkeys(self.fields[name] for name in fields if name in self.fields)
        place = ", ".join([f"{self.file}{line}", *called])
        return f"{place}: vehicle {self.vehicle[row]}, frame {self.frame[row]}"


def in_columns(**names: str) -> dict[str, str]:
    """``RawTracks.fields`` of a table: field → name of its column."""
    return {key: f"column '{name}'" for key, name in names.items()}
