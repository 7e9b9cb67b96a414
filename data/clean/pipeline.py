"""From raw tracks to a recording."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.runtime.config import to_json
from ppuu.runtime.errors import InputError

from ..raw_tracks import RawTracks
from ..roads.from_tracks import derive
from .checks import check_values
from .config import CleanConfig
from .dynamics import (
    Dynamics,
    from_columns,
    from_positions,
    implausible,
    saturated_actions,
    summary,
)
from .motion import motion, speed_of, towed_heading
from .origin import around_origin
from .overlaps import overlapping_pairs
from .report import Report, Tally
from .smoothing import frames_lost, smoothed
from .tracks import Tracks, filled, split, without_short


def recording(rows: RawTracks, config: CleanConfig = CleanConfig()) -> Recording:
    """Checks and repairs the rows and builds the recording.

    Added to the provenance: ``frame``, the recording's axes relative to those of the file (its
    origin and ``angle_rad``: ``LocalFrame``), ``clean`` (the configuration), ``report`` and
    ``first_frame``.

    Raises:
        InputError: an impossible value, or no remaining track.
    """
    config.check()
    check_values(rows)
    rows = around_origin(rows)
    tally, dt_s = Tally(), rows.dt_s
    tally.dropped.update(rows.left_out)
    tracks = split(rows, config, tally)
    tracks = without_short(tracks, config, dt_s, frames_lost(config), rows.file, tally)
    read = filled(tracks, tally)
    tracks = smoothed(read, config, dt_s, tally)
    tracks = _centred(tracks, dt_s) if rows.at_front else tracks
    tracks = _moving(tracks, config, dt_s)
    implausible_rows, implausible_tracks = implausible(
        _dynamics(tracks, dt_s), tracks, config.bounds
    )
    if config.drop_implausible:
        tracks = _without(
            tracks, [entry["track"] for entry in implausible_tracks], rows.file, tally
        )
    made = _assembled(tracks, rows)
    first_frame = int(tracks.frame.min())
    report = Report(
        rows_read=len(rows.frame) + sum(rows.left_out.values()),
        vehicles_read=len(np.unique(rows.vehicle)),
        rows_kept=made.rows,
        tracks_kept=made.vehicles,
        dropped={why: int(count) for why, count in tally.dropped.items()},
        repaired=dict(tally.repaired),
        on_road_share=round(float(made.road.drivable(np.stack([made.x_m, made.y_m], 1)).mean()), 6),
        overlaps=_overlaps(made, first_frame) if config.find_overlaps else [],
        implausible=implausible_rows,
        implausible_tracks=implausible_tracks,
        statistics=_statistics(read, tracks, config, dt_s),
        saturated_actions=saturated_actions(made),
    )
    added = {
        "frame": rows.local_frame.as_json(),
        "clean": to_json(config),
        "first_frame": first_frame,
        "report": asdict(report),
    }
    return replace(made, provenance={**rows.provenance, **added})


def _centred(tracks: Tracks, dt_s: float) -> Tracks:
    """Positions of the centre and headings, from positions of the front bumper."""
    half_m = 0.5 * tracks.length_m
    heading = towed_heading(
        tracks.x_m, tracks.y_m, tracks.pointer, half_m, dt_s, tracks.heading_rad
    )
    behind_m = half_m[tracks.track]
    return replace(
        tracks,
        x_m=tracks.x_m - behind_m * np.cos(heading),
        y_m=tracks.y_m - behind_m * np.sin(heading),
        heading_rad=heading,
        speed_mps=None,
    )


def _moving(tracks: Tracks, config: CleanConfig, dt_s: float) -> Tracks:
    """Missing headings and speeds from the motion."""
    heading, speed = tracks.heading_rad, tracks.speed_mps
    if speed is None and config.smoothing == "path":
        speed = speed_of(tracks.x_m, tracks.y_m, tracks.pointer, dt_s)
    if heading is None or speed is None:
        motion_heading, motion_speed = motion(tracks.x_m, tracks.y_m, tracks.pointer, dt_s)
        heading = motion_heading if heading is None else heading
        speed = motion_speed if speed is None else speed
    return replace(
        tracks, heading_rad=np.remainder(heading + np.pi, 2 * np.pi) - np.pi, speed_mps=speed
    )


def _dynamics(tracks: Tracks, dt_s: float) -> Dynamics:
    assert tracks.speed_mps is not None
    assert tracks.heading_rad is not None
    return from_columns(tracks.speed_mps, tracks.heading_rad, tracks.pointer, dt_s)


def _without(tracks: Tracks, unwanted: list[int], file: str, tally: Tally) -> Tracks:
    """The tracks without implausible ones."""
    rows = np.isin(tracks.track, unwanted)
    tally.drop("track with a row beyond the bounds", rows.sum())
    if rows.all():
        raise InputError(f"{file}: every track has a row beyond the bounds; check units or bounds")
    return tracks.with_rows(~rows)


def _statistics(read: Tracks, written: Tracks, config: CleanConfig, dt_s: float) -> dict:
    sources = {
        "positions_read": from_positions(read.x_m, read.y_m, read.pointer, dt_s),
        "columns_written": _dynamics(written, dt_s),
    }
    if config.smoothing != "none":
        smooth = from_positions(written.x_m, written.y_m, written.pointer, dt_s)
        sources["positions_written"] = smooth
    return {source: summary(dynamics, config.bounds) for source, dynamics in sources.items()}


def _overlaps(made: Recording, first_frame: int) -> list[dict]:
    """The overlapping pairs, with frame numbers as in the raw file."""
    pairs = overlapping_pairs(made)
    return [pair | {"at_frame": pair["at_frame"] + first_frame} for pair in pairs]


def _assembled(tracks: Tracks, rows: RawTracks) -> Recording:
    """The recording, starting at frame 0, with its road."""
    made = Recording(
        frame=tracks.frame - tracks.frame.min(),
        x_m=tracks.x_m,
        y_m=tracks.y_m,
        heading_rad=tracks.heading_rad,
        speed_mps=tracks.speed_mps,
        vehicle_pointer=tracks.pointer,
        vehicle_id=tracks.vehicle,
        length_m=tracks.length_m,
        width_m=tracks.width_m,
        road=rows.road if rows.road is not None else Road.from_lanes([]),
        dt_s=rows.dt_s,
        name=rows.name,
    )
    return made if rows.road is not None else replace(made, road=derive(made))
