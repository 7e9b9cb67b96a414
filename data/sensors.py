"""Recordings as a sensor would have measured them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from ppuu.perception.camera_shift import CameraShift
from ppuu.perception.sensors import EXACT, SENSORS, NoisePart, Sensor, SensorName
from ppuu.recordings.recording import Recording
from ppuu.runtime.config import to_json

from .clean import CleanConfig
from .clean import recording as cleaned
from .raw_tracks import RawTracks

_MEMORIES = 8
"""Memories until noise that starts at zero has its variance, within a hundred-thousandth."""

_VEHICLES, _CAMERAS = 1, 2
"""Streams of random numbers."""


def seen_by(
    recording: Recording, sensor: SensorName, seed: int, clean: CleanConfig = CleanConfig()
) -> Recording:
    """The recording as a sensor would have given it, after the usual checks and repairs.

    ``exact`` returns the recording itself.  ``sensor`` and its seed are added to the provenance.
    """
    if SENSORS[sensor] == EXACT:
        return recording
    rows = raw_tracks(recording, SENSORS[sensor], seed)
    origin = {**recording.provenance, "sensor": {"name": sensor, "seed": seed}}
    origin["sensor"]["noise"] = to_json(SENSORS[sensor])
    return cleaned(replace(rows, name=f"{recording.name}-{sensor}", provenance=origin), clean)


def raw_tracks(recording: Recording, sensor: Sensor, seed: int) -> RawTracks:
    """Noisy positions, without headings and speeds, of the frames in which a vehicle is detected.

    A vehicle's noise depends on the seed, its number and its own track, not on other vehicles.
    """
    reach = 0.5 * recording.length_m[recording.row_vehicle] if sensor.front else 0.0
    cos, sin = np.cos(recording.heading_rad), np.sin(recording.heading_rad)
    x, y = recording.x_m + reach * cos, recording.y_m + reach * sin
    detected, along, across = _vehicle_errors(recording, sensor, seed)
    along = _forward(recording, along + _shift(sensor, seed, recording.x_m))
    x, y = x + along * cos - across * sin, y + along * sin + across * cos
    if sensor.quantum_m:
        x, y = (np.round(value / sensor.quantum_m) * sensor.quantum_m for value in (x, y))
    vehicle = recording.row_vehicle
    return RawTracks(
        name=recording.name,
        file=recording.name,
        dt_s=recording.dt_s,
        road=recording.road,
        vehicle=recording.vehicle_id[vehicle][detected],
        frame=recording.frame[detected],
        x_m=x[detected],
        y_m=y[detected],
        length_m=recording.length_m[vehicle][detected],
        width_m=recording.width_m[vehicle][detected],
        at_front=sensor.front,
        provenance=recording.provenance,
    )


def _vehicle_errors(
    recording: Recording, sensor: Sensor, seed: int
) -> tuple[Bool[np.ndarray, " rows"], Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Rows in which a vehicle is detected, and errors along and across."""
    counts = np.diff(recording.vehicle_pointer)
    parts = (*sensor.along, *sensor.across)
    before = [round(_MEMORIES * part.memory_s / recording.dt_s) for part in parts]
    white = [np.zeros((len(counts), start + counts.max())) for start in before]
    detected = np.ones(recording.rows, bool)
    path = _path_m(recording)
    for vehicle, random in enumerate(_randoms(recording, seed)):
        rows = slice(*recording.vehicle_pointer[vehicle : vehicle + 2])
        late_m = sensor.late_m * random.random() * (recording.frame[rows.start] > 0)
        detected[rows] = path[rows] - path[rows.start] >= late_m
        detected[rows] &= ~_lost(sensor, recording.dt_s, counts[vehicle], random)
        for values, start in zip(white, before, strict=True):
            end = start + counts[vehicle]
            values[vehicle, :end] = random.standard_normal(end)
    column = _clock(recording, sensor)
    errors = [
        _filtered(part, values, recording.dt_s)[:, start:]
        for part, values, start in zip(parts, white, before, strict=True)
    ]
    along, across = (
        _at(sum(own, np.zeros((len(counts), counts.max()))), recording.row_vehicle, column)
        for own in (errors[: len(sensor.along)], errors[len(sensor.along) :])
    )
    return detected, along, across


def _randoms(recording: Recording, seed: int) -> Iterator[np.random.Generator]:
    """A generator for each track, from its number and first frame."""
    for number, first in zip(recording.vehicle_id, recording.first_frame, strict=True):
        yield np.random.default_rng([seed, _VEHICLES, int(number) % 2**64, int(first)])


def _filtered(
    part: NoisePart, white: Float[np.ndarray, "vehicles frames"], dt_s: float
) -> Float[np.ndarray, "vehicles frames"]:
    from scipy.signal import lfilter  # half a second, which no other command need wait for

    return np.asarray(lfilter(*part.recursion(dt_s), white))


def _lost(sensor: Sensor, dt_s: float, frames: int, random: np.random.Generator) -> np.ndarray:
    """``(frames,)`` where a vehicle is lost."""
    lost = np.zeros(frames, bool)
    for first in np.flatnonzero(random.random(frames) < sensor.lost_per_h * dt_s / 3600):
        lost[first : first + 1 + int(random.exponential(sensor.lost_s) / dt_s)] = True
    return lost


def _path_m(recording: Recording) -> Float[np.ndarray, " rows"]:
    """Distance driven; only differences within a track have a meaning."""
    step = np.hypot(np.diff(recording.x_m, prepend=0.0), np.diff(recording.y_m, prepend=0.0))
    step[recording.vehicle_pointer[:-1]] = 0.0
    return np.cumsum(step)


def _clock(recording: Recording, sensor: Sensor) -> Float[np.ndarray, " rows"]:
    """Frames since a track's first one, by a clock that slows down with the vehicle."""
    pace = np.minimum(recording.speed_mps.astype(float) / sensor.standstill_mps, 1.0)
    steps = np.append(0.0, 0.5 * (pace[1:] + pace[:-1]))
    steps[recording.vehicle_pointer[:-1]] = 0.0
    total = np.cumsum(steps)
    return total - total[recording.vehicle_pointer[:-1]][recording.row_vehicle]


def _at(
    values: Float[np.ndarray, "vehicles frames"],
    vehicle: np.ndarray,
    column: Float[np.ndarray, " rows"],
) -> Float[np.ndarray, " rows"]:
    """Values between two columns, by linear interpolation."""
    before = np.floor(column).astype(int)
    after = np.minimum(before + 1, values.shape[1] - 1)
    earlier, later = values[vehicle, before], values[vehicle, after]
    return earlier + (column - before) * (later - earlier)


def _shift(
    sensor: Sensor, seed: int, x_m: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, " rows"]:
    """The cameras' shift at every row."""
    entropy = np.random.SeedSequence([seed, _CAMERAS]).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(entropy[0]))
    numbers = torch.tensor([[sensor.camera_m, sensor.seam_m, sensor.shift_m]]).double()
    shift = CameraShift.draw(*numbers.unbind(-1), generator=generator)
    return shift.at(torch.from_numpy(x_m)[None])[0].numpy()


def _forward(recording: Recording, along: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Errors such that no vehicle seems to reverse: then it stays where it was, as in NGSIM."""
    path = _path_m(recording)
    furthest = path + along
    for first, last in zip(
        recording.vehicle_pointer[:-1], recording.vehicle_pointer[1:], strict=True
    ):
        np.maximum.accumulate(furthest[first:last], out=furthest[first:last])
    return furthest - path
