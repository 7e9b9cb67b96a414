"""NGSIM: text files of one site and period, or the open-data portal's CSV of all.

Source: US-DOT, Next Generation Simulation vehicle trajectories; feet, 10 Hz, Local Y along the
road and measured at the middle of the front bumper, Local X to the right.

Periods: one table may hold several, with vehicle numbers that repeat. Contiguous periods have no
gap between them, but each counts its frames from its own start: ``Global_Time - 100 * Frame_ID`` is
constant within one (checked on the rows at hand: three vehicles of I-80, one of US-101) and differs
by minutes between two.

Streets: Local Y runs north along the street at both, for vehicles of all directions; the heading
follows from the motion, so a southbound box lies north of its front bumper. PPUU applies the
northbound offset to all, and turns Peachtree's axes by half a turn; neither is done here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError
from ppuu.units import feet_to_metres

from ..raw_tracks import RawTracks, in_columns
from ..roads import sites
from ..roads.from_tracks import straight_lanes
from .base import Source
from .ngsim_files import Layout, find_layout
from .ngsim_layouts import AXES
from .ngsim_sites import MINUTE_MS, SITES, Site, named_in
from .table import Dialect, Piece, read_pieces

DT_S = 0.1
_FRAME_MS = 100
_FEWEST_ROWS = 10
"""A period with fewer rows is a broken line, not a period."""
_OTHER = "other"

# Compact, as the portal's file has twelve million rows.
_NEEDED = {
    "Vehicle_ID": "i4",
    "Frame_ID": "i4",
    "Global_Time": "i8",
    "Local_X": "f8",
    "Local_Y": "f8",
    "v_length": "f4",
    "v_Width": "f4",
    "v_Vel": "f4",
    "Lane_ID": "i4",
}
_FIELDS = in_columns(
    vehicle="Vehicle_ID", frame="Frame_ID", x_m="Local_Y", y_m="Local_X", length_m="v_length",
    width_m="v_Width", recorded_speed_mps="v_Vel",
)  # fmt: skip
_DIRECTIONS = {b"": 0, b"NA": 0, b"0": 0, b"1": 1, b"2": 2, b"3": 3, b"4": 4}
_LONGEST_WORD = "S16"

Table = dict[str, np.ndarray]
"""Rows of one site: the columns of ``_NEEDED``, ``line``, and what else there is."""


@dataclass(frozen=True)
class Ngsim(Source):
    """NGSIM, all four sites: text files of a period (18 or 24 columns) or the portal's CSV of all.

    Text: blanks, tabs or commas, with or without a header. CSV: its header in any order; one
    recording a site and period, called e.g. us101-0750 (local time). Both give the same recording.

    x is Local Y and y is minus Local X, so that y = 0 is the left edge of the survey and all
    periods of a site share their axes. The box's centre is towed by the front bumper, which
    gives the heading. Speed comes from the smoothed displacement, not from the Velocity column,
    which does not integrate to the positions; it is checked all the same.

    Roads: I-80 and US-101 from NGSIM's CAD drawings; at the streets strips along the tracks, as no
    drawing is at hand; elsewhere straight lanes through the median position of each lane number.

    Public domain; https://data.transportation.gov, search for "NGSIM".

    Attributes:
        site: of a text file (auto: as its name tells; other: lanes from the lane column); of the
            portal's CSV, the only site to keep (auto: all).
        drop_blacklisted: leave out the vehicles of PPUU's hand-made lists; known for I-80 only.
        fewest_frames: leave out vehicles whose Total_Frames is less (PPUU: 50 at Peachtree).
        from_m: leave out rows whose front is before this x.
        to_m: leave out rows whose front is beyond this x.
    """

    site: Literal["auto", "i80", "us101", "lankershim", "peachtree", "other"] = "auto"
    drop_blacklisted: bool = False
    fewest_frames: int = 0
    from_m: float | None = None
    to_m: float | None = None

    def read(self, path: Path) -> Iterator[RawTracks]:
        """One recording a site and period, sites by name, periods by time."""
        needed = dict(_NEEDED)
        if self.fewest_frames:
            needed["Total_Frames"] = "i4"
        layout = find_layout(path, list(needed))
        tables = self._tables(path, layout, needed)
        for name in sorted(tables):
            table = tables.pop(name)
            periods = _periods(table, path)
            for number, rows in enumerate(periods):
                own = {key: values[rows] for key, values in table.items()}
                yield self._recording(
                    own, SITES.get(name), path, number if len(periods) > 1 else None
                )

    def _tables(self, path: Path, layout: Layout, needed: dict[str, str]) -> dict[str, Table]:
        """Site name → its rows."""
        further = {key: _LONGEST_WORD for key in ("Direction", "Location") if key in layout.names}
        columns = {key: (layout.position(key), kind) for key, kind in (needed | further).items()}
        dialect = Dialect(layout.delimiter, thousands=True)
        pieces = read_pieces(path, columns, len(layout.names), dialect, layout.header_lines)
        parts: dict[str, list[Table]] = defaultdict(list)
        for piece in pieces:
            table = {key: piece.rows[key] for key in needed} | {"line": piece.line.astype(np.int32)}
            if "Direction" in further:
                table["direction"] = _directions(piece, path)
            for name, own in self._by_site(piece, path).items():
                parts[name].append({key: values[own] for key, values in table.items()})
        if not parts:
            raise InputError(f"{path}: it holds no row of {self.site}; leave out --site")
        return {
            name: {key: np.concatenate([part[key] for part in own]) for key in own[0]}
            for name, own in parts.items()
        }

    def _by_site(self, piece: Piece, path: Path) -> dict[str, Bool[np.ndarray, " n"]]:
        if "Location" not in (piece.rows.dtype.names or ()):
            site = named_in(path.name) if self.site == "auto" else SITES.get(self.site)
            return {site.name if site else _OTHER: np.ones(len(piece.rows), bool)}
        words = piece.rows["Location"]
        if not np.isin(words, [site.location.encode() for site in SITES.values()]).all():
            words = np.char.lower(words)
        by_name = {name: words == site.location.encode() for name, site in SITES.items()}
        unknown = np.flatnonzero(~np.logical_or.reduce(list(by_name.values())))
        if len(unknown):
            word = bytes(words[unknown[0]]).decode("latin-1")
            known = ", ".join(site.location for site in SITES.values())
            raise InputError(
                f"{path}, line {piece.line[unknown[0]]}, column Location: '{word}' is no site; "
                f"there are {known}"
            )
        wanted = SITES if self.site == "auto" else (self.site,)
        return {name: own for name, own in by_name.items() if name in wanted and own.any()}

    def _recording(
        self, table: Table, site: Site | None, path: Path, number: int | None
    ) -> RawTracks:
        start_ms = int(table["Global_Time"].min())
        slot = site.slot(start_ms) if site else None
        name = f"{site.name}-{slot}" if site and slot else path.stem
        if slot is None and number is not None:
            name = f"{path.stem}-{number + 1}"
        x_m, y_m = (
            feet_to_metres(sign * table[key]) for sign, key in ((1, "Local_Y"), (-1, "Local_X"))
        )
        street = "direction" in table and table["direction"].any()
        try:
            road = None if street else _road(site, x_m, y_m, table["Lane_ID"])
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        kept, left_out = self._filter(table, x_m, site, slot, path)
        return RawTracks(
            name=name,
            file=str(path),
            dt_s=DT_S,
            road=road,
            vehicle=table["Vehicle_ID"][kept].astype(np.int64),
            frame=table["Frame_ID"][kept].astype(np.int64),
            x_m=x_m[kept],
            y_m=y_m[kept],
            length_m=feet_to_metres(table["v_length"][kept].astype(float)),
            width_m=feet_to_metres(table["v_Width"][kept].astype(float)),
            line=table["line"][kept],
            fields=_FIELDS,
            at_front=True,
            recorded_speed_mps=feet_to_metres(table["v_Vel"][kept].astype(float)),
            left_out=left_out,
            provenance={
                "site": site.name if site else _OTHER,
                "start_global_time_ms": start_ms,
                "axes": AXES,
            },
        )

    def _filter(
        self, table: Table, x_m: Float[np.ndarray, " n"], site: Site | None, slot: str | None,
        path: Path,
    ) -> tuple[Bool[np.ndarray, " n"], dict[str, int]]:  # fmt: skip
        """Rows to keep, and reason → rows left out."""
        rules: dict[str, Bool[np.ndarray, " n"]] = {}
        if self.drop_blacklisted:
            listed = site.blacklists.get(slot or "") if site else None
            if listed is None:
                raise InputError(
                    f"{path}: no blacklist is known for {site.name if site else 'this file'} "
                    f"{slot or ''}: PPUU's are public for I-80's three periods only; "
                    "leave out --drop-blacklisted"
                )
            rules["on PPUU's blacklist"] = np.isin(table["Vehicle_ID"], listed)
        if self.fewest_frames:
            few = table["Total_Frames"] < self.fewest_frames
            rules[f"of a vehicle with fewer than {self.fewest_frames} frames"] = few
        if self.from_m is not None:
            rules[f"before x = {self.from_m:g} m"] = x_m < self.from_m
        if self.to_m is not None:
            rules[f"beyond x = {self.to_m:g} m"] = x_m > self.to_m
        kept, left_out = np.ones(len(x_m), bool), {}
        for why, out in rules.items():
            left_out[why] = int((out & kept).sum())
            kept &= ~out
        return kept, {why: count for why, count in left_out.items() if count}


def _periods(table: Table, path: Path) -> list[Int[np.ndarray, " own"]]:
    """The rows of each period, by time."""
    offset = table["Global_Time"] - _FRAME_MS * table["Frame_ID"].astype(np.int64)
    offsets = np.unique(offset)
    starts = offsets[1:][np.diff(offsets) > MINUTE_MS]
    period = np.searchsorted(starts, offset, side="right")
    counts = np.bincount(period)
    odd = np.flatnonzero(counts < _FEWEST_ROWS)
    if len(odd) and len(counts) > 1:
        row = np.flatnonzero(period == odd[0])[0]
        raise InputError(
            f"{path}, line {table['line'][row]}, columns 'Frame_ID' and 'Global_Time': "
            f"{table['Frame_ID'][row]} and {table['Global_Time'][row]} fit no other row; "
            "correct or remove the line"
        )
    return [np.flatnonzero(period == k) for k in range(len(counts))]


def _directions(piece: Piece, path: Path) -> Int[np.ndarray, " n"]:
    """1 to 4; 0 where the field is empty."""
    words = piece.rows["Direction"]
    made = np.full(len(words), -1, np.int8)
    for word, value in _DIRECTIONS.items():
        made[words == word] = value
    bad = np.flatnonzero(made < 0)
    if len(bad):
        word = bytes(words[bad[0]]).decode("latin-1")
        raise InputError(
            f"{path}, line {piece.line[bad[0]]}, column Direction: '{word}' is no direction "
            "(1 to 4); correct or remove the line"
        )
    return made


def _road(
    site: Site | None,
    x_m: Float[np.ndarray, " n"],
    y_m: Float[np.ndarray, " n"],
    lane: Int[np.ndarray, " n"],
) -> Road:
    for drawn in sites.DRAWN:
        if site is not None and site.name == drawn:
            return sites.road(drawn)
    return Road.from_lanes(straight_lanes(x_m, y_m, lane))
