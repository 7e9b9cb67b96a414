"""Fits the sensor ``ngsim`` to real lanes: ``python -m data.fit_sensors --help``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ppuu.perception.sensors import NGSIM_JSON, NoisePart, Sensor
from ppuu.runtime.command import run
from ppuu.runtime.config import to_json
from ppuu.runtime.files import atomic_write, sha256

from .calibration.lane_table import LaneTable
from .calibration.noise_statistics import (
    SMOOTHING_DEGREE,
    SMOOTHING_FRAMES,
    autocovariance,
    roughness,
    spectrum,
    without_shift,
)
from .calibration.sensor_figure import draw
from .calibration.tables import DT_S

LAGS = np.array([1, 2, 3, 5, 7, 10, 15, 20, 25, 30])
"""Frames at which the autocovariance is fitted."""

_SPEED_PLACE_M = 5.0
"""Length of road that has a mean speed of its own."""
_FASTEST_MOTION_HZ = 0.8
"""Above this frequency the motion along the road is taken for noise: reconstructed
pairs hold 0.02 % of their variance above 0.5 Hz."""
_FASTEST_WANDER_HZ = 0.5
"""The same across the road; vehicles sway more slowly, over several seconds."""
_SLOWEST_PIXELS_HZ = 2.0
"""Above this frequency lateral positions hold less than a centimetre in all."""
_I80_CAMERA_M = 503.0 / 7
"""Seven cameras over 503 m (NGSIM I-80 data analysis, Cambridge Systematics 2005)."""
_FOOT_DECIMALS_M = 0.001 * 0.3048
_LONGEST_LOSS_S = 3.0
"""A vehicle that is back in its lane sooner was lost; changing lanes twice takes longer."""
_ENTRY_M = 50.0
"""Tracks of lane 1 that begin farther on came from the lane beside it."""
_LANE_CHANGE_S = 5.0


@dataclass(frozen=True, eq=False)
class Readings:
    """Difference of two readings of the same vehicles, without what depends on the place.

    Attributes:
        shift_m: ``(places,)`` mean by 10 m of road.
        tracks: the rest, of each track.
    """

    shift_m: Float[np.ndarray, " places"]
    tracks: list[np.ndarray]

    @classmethod
    def of(cls, table: LaneTable) -> Readings:
        """From the columns x_original_m and x_reextracted_m."""
        difference = table["x_original_m"] - table["x_reextracted_m"]
        rest, shift = without_shift(difference, table["x_original_m"])
        return cls(shift, [rest[rows] for rows in table.tracks if len(rows) > 1])


def expected_autocovariance(
    covariance: np.ndarray, lengths: np.ndarray, lags: np.ndarray
) -> np.ndarray:
    """What ``autocovariance`` is on average for noise of a known covariance.

    A track's own mean takes part of the slow noise with it, the more the shorter the track.

    Args:
        covariance: ``(frames,)`` at the lags 0, 1, ….
        lengths: frames of the tracks.
        lags: frames.
    """
    from scipy.linalg import toeplitz

    total, count = np.zeros(len(lags)), np.zeros(len(lags))
    for length, times in zip(*np.unique(lengths, return_counts=True), strict=True):
        matrix = toeplitz(covariance[:length])
        mean = matrix.mean(0)
        matrix = matrix - mean[:, None] - mean[None, :] + mean.mean()
        for index, lag in enumerate(lags.tolist()):
            if lag < length:
                total[index] += times * np.trace(matrix, lag)
                count[index] += times * (length - lag)
    return total / count


def model_spectrum(parts: tuple[NoisePart, ...], frequency_hz: np.ndarray) -> np.ndarray:
    """Density (m²/Hz, one-sided) of noise that is sampled every 0.1 s."""
    lag = np.arange(1, 300)
    angle = 2 * np.pi * np.outer(frequency_hz, lag * DT_S)
    sensor = Sensor(along=parts)
    series = sensor.covariance("along", lag * DT_S) @ np.cos(angle).T
    return 2 * DT_S * (sensor.covariance("along", np.zeros(1)) + 2 * series)


def fit_along(
    readings: Readings, frequency_hz: np.ndarray, density: np.ndarray
) -> tuple[NoisePart, ...]:
    """Parts of the error along the road: of the readings' difference and the raw spectrum.

    Both readings have the slower parts, independently; the fastest is the original's alone, as the
    other reading has next to nothing there (spectrum above 1 Hz: less than a tenth).

    Returns:
        Slowest first.
    """
    from scipy.optimize import least_squares

    found = autocovariance(readings.tracks, np.append(0, LAGS))
    lengths = np.array([len(track) for track in readings.tracks])
    lengths = np.maximum(10 * np.round(lengths / 10).astype(int), 2)
    lag_s = np.arange(lengths.max()) * DT_S
    fast_band = frequency_hz >= _FASTEST_MOTION_HZ

    def errors(logs: np.ndarray) -> np.ndarray:
        *slow, fast = _parts(logs)
        covariance = sum(2 * part.covariance(lag_s) for part in slow) + fast.covariance(lag_s)
        expected = expected_autocovariance(covariance, lengths, np.append(0, LAGS))
        expected_density = model_spectrum((*slow, fast), frequency_hz[fast_band])
        # 1 % of the variance counts as much as 10 % of the density at one frequency.
        ratio = np.log(expected_density / density[fast_band])
        return np.concatenate([(expected - found) / found[0] / 0.01, ratio / 0.1])

    low = np.log([0.03, 0.3, 0.03, 0.3, 0.003, 0.02])
    start = np.log([0.4, 1.5, 0.4, 0.5, 0.1, 0.1])
    high = np.log([2.0, 10.0, 2.0, 10.0, 0.5, 0.25])
    return _parts(least_squares(errors, start, bounds=(low, high)).x)


def _parts(logs: np.ndarray) -> tuple[NoisePart, ...]:
    """From the logarithms of standard deviations and memories, in turn."""
    return tuple(NoisePart(*np.exp(pair).tolist()) for pair in logs.reshape(-1, 2))


@dataclass(frozen=True, eq=False)
class Seams:
    """How much faster vehicles seem to be at a place: seams between cameras.

    Attributes:
        edge_m: ``(places + 1,)`` where a place begins, 5 m long.
        excess: ``(places,)`` mean speed, less its running median over 105 m, by the mean speed.
        speed_mps: mean over all places.
    """

    edge_m: Float[np.ndarray, " edges"]
    excess: Float[np.ndarray, " places"]
    speed_mps: float

    @classmethod
    def of(cls, lane: LaneTable) -> Seams:
        """From the positions of many vehicles on one lane."""
        from scipy.ndimage import median_filter

        rows = np.concatenate([track[:-1] for track in lane.tracks])
        speed = (lane["x_m"][rows + 1] - lane["x_m"][rows]) / DT_S
        place = (lane["x_m"][rows] / _SPEED_PLACE_M).astype(int)
        count = np.bincount(place)
        common = np.flatnonzero(count > 0.5 * count.max())
        first, last = common[0], common[-1] + 1
        mean = (np.bincount(place, speed) / np.maximum(count, 1))[first:last]
        smooth = median_filter(mean, 21, mode="nearest")
        edges = np.arange(first, last + 1) * _SPEED_PLACE_M
        return cls(edges, (mean - smooth) / mean, float(speed.mean()))

    def shift_m(self, x_m: np.ndarray) -> np.ndarray:
        """How far ahead vehicles seem to be at places: the integral of the excess."""
        shift = np.append(0.0, np.cumsum(self.excess) * _SPEED_PLACE_M)
        return np.interp(x_m, self.edge_m, shift)


def fit_shift(readings: Readings, seams: Seams) -> tuple[float, float]:
    """Standard deviation of a camera's shift at its ends, and the width of the seams.

    Linear interpolation between two independent values keeps two thirds of their variance.  A seam
    of width w adds ``(end - begin) / w`` to the speed, by the speed, on the fraction w / camera of
    the road.
    """
    shift_m = float(readings.shift_m.std() / np.sqrt(2) / np.sqrt(2 / 3))
    seam_m = 2 * shift_m**2 / (_I80_CAMERA_M * np.mean(seams.excess**2))
    return shift_m, float(np.clip(seam_m, _SPEED_PLACE_M, 0.5 * _I80_CAMERA_M))


def fit_standstill(tables: list[LaneTable], parts: tuple[NoisePart, ...]) -> float:
    """Speed below which the noise slows down: roughness by speed, relative to 6 to 15 m/s.

    The model's roughness at a slower pace is that of the covariance at shorter lags.
    """
    from scipy.signal import savgol_coeffs

    edges = np.array([0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0])
    found, speeds = [], []
    for table in tables:
        speed, rest = roughness(table["x_m"], table.tracks, table["x_m"])
        moving = rest[(speed >= 6.0) & (speed < 15.0)].std()
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            own = (speed >= low) & (speed < high)
            if own.sum() >= 100:
                found.append(rest[own].std() / moving)
                speeds.append(0.5 * (low + high))
    kernel = -savgol_coeffs(SMOOTHING_FRAMES, SMOOTHING_DEGREE)
    kernel[SMOOTHING_FRAMES // 2] += 1.0
    lag_s = np.subtract.outer(*[np.arange(SMOOTHING_FRAMES) * DT_S] * 2)
    sensor = Sensor(along=parts)

    def rough(pace: np.ndarray) -> np.ndarray:
        return (
            np.array([kernel @ sensor.covariance("along", p * lag_s) @ kernel for p in pace]) ** 0.5
        )

    def error(standstill_mps: float) -> float:
        pace = np.minimum(np.array(speeds) / standstill_mps, 1.0)
        return float(((np.log(rough(pace) / rough(np.ones(1))) - np.log(found)) ** 2).sum())

    return min(np.arange(0.2, 4.0, 0.05).tolist(), key=error)


def fit_across(table: LaneTable, memory_s: float) -> NoisePart:
    """The error across, of the spectrum of lateral positions of vehicles in their lane.

    Whatever is faster than vehicles sway is taken for noise.  There only the ratio of variance and
    cubed memory can be identified, so the memory is that of the strongest part along the road.
    """
    keeping = []
    reach = round(_LANE_CHANGE_S / DT_S)
    for rows in table.tracks:
        crossing = np.flatnonzero(np.diff(table["lane"][rows])) + 1
        keeping += [table["y_m"][part[reach:-reach]] for part in np.split(rows, crossing)]
    frequency, density = spectrum(keeping)
    band = (frequency >= _FASTEST_WANDER_HZ) & (frequency < _SLOWEST_PIXELS_HZ)
    unit = model_spectrum((NoisePart(1.0, memory_s),), frequency[band])
    return NoisePart(float(np.exp(0.5 * np.log(density[band] / unit).mean())), memory_s)


def fit_lateness(lane: LaneTable) -> float:
    """Distance within which nine of ten tracks begin, of those that begin at the section's end."""
    _, first = np.unique(lane.vehicle, return_index=True)
    begin = lane["x_m"][first]
    return float(np.quantile(begin[begin < _ENTRY_M], 0.9))


def fit_losses(lanes: LaneTable) -> tuple[float, float]:
    """Losses an hour of a vehicle, and their mean duration."""
    gap_s = np.diff(lanes["time_s"]) - DT_S
    lost = (np.diff(lanes.vehicle) == 0) & (gap_s > 0.5 * DT_S) & (gap_s < _LONGEST_LOSS_S)
    hours = len(lanes.vehicle) * DT_S / 3600
    return float(lost.sum() / hours), float(gap_s[lost].mean()) if lost.any() else 1.0


def fit(lanes: LaneTable, reextracted: LaneTable, us101: LaneTable) -> Sensor:
    """The sensor that made these tables."""
    lane_1 = lanes.where((lanes["lane"] == 1) & (lanes["slot"] == 400))
    readings = Readings.of(reextracted)
    seams = Seams.of(lane_1)
    steady = lane_1["x_m"] - seams.shift_m(lane_1["x_m"])
    frequency, density = spectrum([steady[rows] for rows in lane_1.tracks])
    along = fit_along(readings, frequency, density)
    strongest = max(along, key=lambda part: part.std_m)
    shift_m, seam_m = fit_shift(readings, seams)
    lost_per_h, lost_s = fit_losses(lanes)
    slow_lanes = [
        lanes.where((lanes["lane"] == 7) & (lanes["slot"] == slot)) for slot in (400, 500)
    ]

    def rounded(value: float) -> float:
        return float(f"{value:.4g}")

    def rounded_parts(parts: tuple[NoisePart, ...]) -> tuple[NoisePart, ...]:
        return tuple(NoisePart(rounded(p.std_m), rounded(p.memory_s)) for p in parts)

    return Sensor(
        along=rounded_parts(along),
        across=rounded_parts((fit_across(us101, strongest.memory_s),)),
        standstill_mps=rounded(fit_standstill([*slow_lanes, us101], along)),
        camera_m=rounded(_I80_CAMERA_M),
        seam_m=rounded(seam_m),
        shift_m=rounded(shift_m),
        quantum_m=_FOOT_DECIMALS_M,
        late_m=rounded(fit_lateness(lane_1)),
        lost_per_h=rounded(lost_per_h),
        lost_s=rounded(lost_s),
        front=True,
    )


def main(
    lanes: Path,
    reextracted: Path,
    us101: Path,
    out: Path = NGSIM_JSON,
    figure: Path | None = None,
) -> None:
    """Fits the sensor ``ngsim`` and writes its numbers as JSON.

    Args:
        lanes: whole lanes of I-80 as NGSIM gives them, CSV, gzip: slot, lane, vehicle_id, time_s,
            x_m.
        reextracted: lane 1 of it, read twice from the same video: vehicle_id, time_s,
            x_original_m, x_reextracted_m.
        us101: tracks of US-101 with lateral positions: slot, vehicle_id, time_s, x_m, y_m, lane.
        out: the numbers; the program reads those beside ``ppuu/perception/sensors.py``.
        figure: also draw the real errors beside those of generated traffic, to this PNG.
    """
    tables = (
        LaneTable.read(lanes, ("slot", "lane", "x_m")),
        LaneTable.read(reextracted, ("x_original_m", "x_reextracted_m")),
        LaneTable.read(us101, ("slot", "x_m", "y_m", "lane")),
    )
    sensor = fit(*tables)
    content = {
        "source": "NGSIM I-80 and US-101 (US-DOT open data), and lane 1 re-extracted",
        "command": "python -m data.fit_sensors",
        "files": {path.name: sha256(path) for path in (lanes, reextracted, us101)},
        "sensor": to_json(sensor),
    }
    with atomic_write(out) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
    if figure is not None:
        draw(tables[0], Readings.of(tables[1]).tracks, sensor, figure)
    parts = ", ".join(f"{part.std_m:g} m for {part.memory_s:g} s" for part in sensor.along)
    print(f"{out}: along the road {parts}")


if __name__ == "__main__":
    run(main)
