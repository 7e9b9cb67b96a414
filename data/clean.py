"""Checks and repairs that every reader shares, and the report of what they did.

A reader hands over ``RawTracks``; ``recording`` refuses what cannot be true, mends what can be
mended, counts every repair, and returns the recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch

from ppuu.errors import InputError
from ppuu.geometry import boxes_overlap, clearance
from ppuu.recording import Recording
from ppuu.road import Road
from ppuu.units import seconds_to_frames

from .motion import motion, towed_heading
from .raw import RawTracks
from .roads.from_tracks import derive

LONGEST_FILLED_GAP = 5
"""Missing frames that are still interpolated (half a second of NGSIM); more split the track."""
SHORTEST_TRACK_S = 1.0
FASTEST_MPS = 80.0
"""A step beyond this is two vehicles under one number, not one vehicle."""
ROUNDING_MPS = 0.01
"""Speeds this little below zero are rounding; set to zero and counted."""

_NUMBERS = ("x_m", "y_m", "heading_rad", "speed_mps", "recorded_speed_mps", "length_m", "width_m")


@dataclass(frozen=True)
class Report:
    """What was read, kept, dropped and repaired, and why; JSON values only.

    Attributes:
        rows_read, vehicles_read: as in the file.
        rows_kept, tracks_kept: as in the recording, filled rows included.
        dropped: reason → rows.
        repaired: reason → count.
        on_road_share: rows whose centre lies on a lane.
        overlaps: pairs of boxes that overlap at some frame (``overlapping_pairs``).
    """

    rows_read: int
    vehicles_read: int
    rows_kept: int
    tracks_kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    repaired: Mapping[str, int] = field(default_factory=dict)
    on_road_share: float = 1.0
    overlaps: list[dict] = field(default_factory=list)

    def table(self) -> str:
        """A short table to print."""
        lines = [
            ("read", f"{self.rows_read:,} rows of {self.vehicles_read:,} vehicles"),
            ("kept", f"{self.rows_kept:,} rows in {self.tracks_kept:,} tracks"),
            *(("dropped", f"{count:,} rows: {why}") for why, count in self.dropped.items()),
            *(("repaired", f"{count:,} × {why}") for why, count in self.repaired.items()),
            ("on a lane", f"{100 * self.on_road_share:.2f} % of the rows"),
        ]
        pairs = sorted(self.overlaps, key=lambda pair: -pair["depth_m"])
        deepest = ", ".join(
            f"{pair['vehicles'][0]}/{pair['vehicles'][1]} by {pair['depth_m']:.2f} m"
            for pair in pairs[:3]
        )
        if pairs:
            lines.append(("overlapping", f"pairs of boxes: {len(pairs)}; deepest {deepest}"))
        return "\n".join(f"  {name:<12}{text}" for name, text in lines)


def recording(rows: RawTracks) -> Recording:
    """Checks and mends the rows and makes the recording.

    To the reader's provenance it adds ``report`` and ``first_frame``.

    Raises:
        InputError: a value that cannot be true, or nothing is left.
    """
    if not len(rows.frame):
        raise InputError(f"{rows.file}: it holds no row of a moving vehicle")
    check(rows)
    dt_s = rows.dt_s
    dropped, repaired = Counter(rows.left_out), Counter()
    order = np.lexsort((rows.frame, rows.vehicle))
    vehicle, frame = rows.vehicle[order], rows.frame[order].astype(np.int64)
    columns = {"x_m": rows.x_m[order], "y_m": rows.y_m[order]}
    if rows.heading_rad is not None:
        columns["heading_rad"] = rows.heading_rad[order]
    if rows.speed_mps is not None:
        negative = rows.speed_mps < 0
        if negative.any():
            repaired["speed of -0.01 to 0 m/s set to 0"] = int(negative.sum())
        columns["speed_mps"] = np.maximum(rows.speed_mps[order], 0.0)

    missing = np.diff(frame) - 1
    step_m = np.hypot(np.diff(columns["x_m"]), np.diff(columns["y_m"]))
    same = vehicle[1:] == vehicle[:-1]
    long_gap = same & (missing > LONGEST_FILLED_GAP)
    jump = same & ~long_gap & (step_m > FASTEST_MPS * dt_s * (missing + 1))
    for why, where in (
        (f"track split at a gap of more than {LONGEST_FILLED_GAP} frames", long_gap),
        (f"track split at a jump (faster than {FASTEST_MPS:.0f} m/s)", jump),
    ):
        if where.any():
            repaired[why] = int(where.sum())
    starts = np.concatenate([[0], np.flatnonzero(~same | long_gap | jump) + 1, [len(frame)]])

    shortest = seconds_to_frames(SHORTEST_TRACK_S, dt_s)
    kept = {key: [] for key in ("frame", "x_m", "y_m", "heading_rad", "speed_mps")}
    vehicles, lengths, widths = [], [], []
    for first, last in zip(starts[:-1], starts[1:], strict=True):
        own = frame[first:last]
        full = np.arange(own[0], own[-1] + 1)
        if len(full) < shortest:
            dropped[f"track shorter than {SHORTEST_TRACK_S:.0f} s"] += last - first
            continue
        if len(full) > len(own):
            repaired["frame filled by interpolation"] += len(full) - len(own)
        track = {key: _fill(column[first:last], own, full) for key, column in columns.items()}
        if "heading_rad" in columns:
            track["heading_rad"] = _fill(np.unwrap(columns["heading_rad"][first:last]), own, full)
        length_m = np.median(rows.length_m[order[first:last]])
        if rows.at_front:
            heading = towed_heading(track["x_m"], track["y_m"], 0.5 * length_m, dt_s)
            track["heading_rad"] = heading
            track["x_m"] = track["x_m"] - 0.5 * length_m * np.cos(heading)
            track["y_m"] = track["y_m"] - 0.5 * length_m * np.sin(heading)
        if "heading_rad" not in track or "speed_mps" not in track:
            heading, speed = motion(track["x_m"], track["y_m"], dt_s)
            track = {"heading_rad": heading, "speed_mps": speed} | track
        track["heading_rad"] = np.remainder(track["heading_rad"] + np.pi, 2 * np.pi) - np.pi
        track["frame"] = full
        for key, values in track.items():
            kept[key].append(values)
        vehicles.append(vehicle[first])
        lengths.append(length_m)
        widths.append(np.median(rows.width_m[order[first:last]]))
    if not vehicles:
        raise InputError(
            f"{rows.file}: no track of at least {SHORTEST_TRACK_S:.0f} s; is it the right file?"
        )

    counts = [len(track) for track in kept["frame"]]
    flat = {key: np.concatenate(tracks) for key, tracks in kept.items()}
    first_frame = int(flat["frame"].min())
    flat["frame"] = flat["frame"] - first_frame
    made = Recording(
        **flat,
        vehicle_pointer=np.concatenate([[0], np.cumsum(counts)]),
        vehicle_id=np.array(vehicles),
        length_m=np.array(lengths),
        width_m=np.array(widths),
        road=rows.road if rows.road is not None else Road.from_lanes([]),
        dt_s=dt_s,
        name=rows.name,
    )
    if rows.road is None:
        made = replace(made, road=derive(made))
    report = Report(
        rows_read=len(rows.frame) + sum(rows.left_out.values()),
        vehicles_read=len(np.unique(rows.vehicle)),
        rows_kept=made.rows,
        tracks_kept=made.vehicles,
        dropped={why: int(count) for why, count in dropped.items()},
        repaired={why: int(count) for why, count in repaired.items()},
        on_road_share=round(float(made.road.drivable(np.stack([made.x_m, made.y_m], 1)).mean()), 6),
        overlaps=overlapping_pairs(made),
    )
    return replace(
        made, provenance={**rows.provenance, "first_frame": first_frame, "report": asdict(report)}
    )


def check(rows: RawTracks) -> None:
    """Refuses rows that cannot be true.

    Raises:
        InputError: a value that is not finite, a negative speed, a box without size, or two rows
            of one vehicle in one frame; with file, line, vehicle and frame.
    """
    for key in _NUMBERS:
        values = getattr(rows, key)
        bad = [] if values is None else np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise InputError(f"{rows.place(bad[0])}: {key} is not a number; mend or remove it")
    for speed_mps in (rows.speed_mps, rows.recorded_speed_mps):
        if speed_mps is None:
            continue
        bad = np.flatnonzero(speed_mps < -ROUNDING_MPS)
        if len(bad):
            raise InputError(
                f"{rows.place(bad[0])}: its speed is negative "
                f"({speed_mps[bad[0]]:.3f} m/s); mend or remove the row"
            )
    bad = np.flatnonzero((rows.length_m <= 0) | (rows.width_m <= 0))
    if len(bad):
        size = f"{rows.length_m[bad[0]]:.2f} m x {rows.width_m[bad[0]]:.2f} m"
        raise InputError(f"{rows.place(bad[0])}: its box has no size ({size}); mend the row")
    order = np.lexsort((rows.frame, rows.vehicle))
    vehicle, frame = rows.vehicle[order], rows.frame[order]
    bad = np.flatnonzero((vehicle[1:] == vehicle[:-1]) & (frame[1:] == frame[:-1]))
    if len(bad):
        raise InputError(
            f"{rows.place(order[bad[0] + 1])}: a second row of this vehicle in this frame; "
            "keep one of them"
        )


def overlapping_pairs(recording: Recording) -> list[dict]:
    """Pairs of recorded boxes that share area at some frame: errors of the recording.

    Returns:
        One ``{"vehicles": [id, id], "frames": count, "depth_m": deepest penetration}`` a pair,
        deepest first.
    """
    order = np.lexsort((recording.x_m, recording.frame))
    vehicle = recording.row_vehicle[order]
    frame, x_m, y_m = (getattr(recording, key)[order] for key in ("frame", "x_m", "y_m"))
    length_m, width_m = recording.length_m[vehicle], recording.width_m[vehicle]
    reach_m = float(np.hypot(recording.length_m, recording.width_m).max())
    boxes = np.stack([x_m, y_m, recording.heading_rad[order], length_m, width_m], axis=1)
    pairs = []
    # Sorted by x within a frame, all partners within reach follow within a few places.
    for ahead in range(1, len(frame)):
        near = (frame[ahead:] == frame[:-ahead]) & (x_m[ahead:] - x_m[:-ahead] < reach_m)
        if not near.any():
            break
        near &= np.abs(y_m[ahead:] - y_m[:-ahead]) < reach_m
        first = np.flatnonzero(near)
        pairs.append(np.stack([first, first + ahead], axis=1))
    pairs = np.concatenate(pairs) if pairs else np.zeros((0, 2), int)
    both = torch.from_numpy(boxes)[torch.from_numpy(pairs)]
    overlap = boxes_overlap(*both.unbind(1))
    depth_m = -clearance(*both[overlap].unbind(1)).numpy()
    found: dict[tuple[int, int], list[float]] = {}
    for (a, b), depth in zip(pairs[overlap.numpy()], depth_m, strict=True):
        found.setdefault(tuple(sorted((int(vehicle[a]), int(vehicle[b])))), []).append(depth)
    listed = [
        {
            "vehicles": [int(recording.vehicle_id[k]) for k in pair],
            "frames": len(depths),
            "depth_m": round(float(max(depths)), 3),
        }
        for pair, depths in found.items()
    ]
    return sorted(listed, key=lambda pair: -pair["depth_m"])


def _fill(values: np.ndarray, own: np.ndarray, full: np.ndarray) -> np.ndarray:
    return np.asarray(values, float) if len(own) == len(full) else np.interp(full, own, values)
