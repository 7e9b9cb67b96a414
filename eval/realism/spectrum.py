"""What no vehicle can do: the errors of a recording's positions along the road."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from data.calibration.tables import read_columns, stretches
from ppuu.recordings.recording import Recording

from .road_coordinates import RoadCoordinates, tracks
from .smoothing import long_enough, smooth

WINDOW_S = 12.8
FAST_HZ = 0.5


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Motion along the road by frequency.

    Attributes:
        roughness_m: standard deviation of positions about a smooth curve (Savitzky-Golay, order 3,
            2.1 s).
        fast_fraction: fraction of the variance of speed within 12.8 s that is above 0.5 Hz.
        frequency_hz: ``(frequencies,)``.
        density: ``(frequencies,)`` power spectral density of speed, (m/s)²/Hz.
    """

    roughness_m: float
    fast_fraction: float
    frequency_hz: Float[np.ndarray, " frequencies"]
    density: Float[np.ndarray, " frequencies"]


def spectrum(positions_m: Sequence[Float[np.ndarray, " frames"]], dt_s: float) -> Spectrum:
    """Of positions along the road, a track each (Welch, Hann, windows of 12.8 s without a trend).

    NaN where no track is long enough.
    """
    from scipy import signal

    piece = round(WINDOW_S / dt_s)
    frequency = np.fft.rfftfreq(piece, dt_s)
    square, count, power, weight = 0.0, 0, np.zeros(len(frequency)), 0
    for x in positions_m:
        if long_enough(len(x), dt_s):
            rest = x - smooth(x, dt_s)
            square, count = square + (rest**2).sum(), count + len(rest)
        if len(x) > piece:
            speed = np.diff(x) / dt_s
            density = signal.welch(speed, 1.0 / dt_s, "hann", piece, detrend="linear")[1]
            power, weight = power + len(x) * density, weight + len(x)
    roughness = float(np.sqrt(square / count)) if count else float("nan")
    if not power.sum() > 0:
        return Spectrum(roughness, float("nan"), frequency, np.full(len(frequency), np.nan))
    fast = float(power[frequency > FAST_HZ].sum() / power.sum())
    return Spectrum(roughness, fast, frequency, power / weight)


def positions(recording: Recording, place: RoadCoordinates) -> list[Float[np.ndarray, " frames"]]:
    """Every track's positions along the road, as they were recorded."""
    return [place.travelled_m[rows] for rows in tracks(recording)]


def read_positions(path: Path, slot: str) -> list[Float[np.ndarray, " frames"]]:
    """Original positions of whole lanes of NGSIM's I-80, from the table ``i80-lanes``.

    Raises:
        InputError: no such file or column.
    """
    names = ("slot", "lane", "vehicle_id", "time_s", "x_m")
    number, lane, vehicle, time_s, x = read_columns(path, names).values()
    own = number == int(slot)
    lane, vehicle, time_s, x = lane[own], vehicle[own], time_s[own], x[own]
    return [x[part] for part in stretches(time_s, lane, vehicle)]
