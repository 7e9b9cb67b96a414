"""A picture of the sensor ``ngsim``: its errors beside the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ppuu.perception.sensors import Sensor
from ppuu.recordings.recording import Recording
from ppuu.runtime.files import atomic_write

from ..sensors import raw_tracks
from ..traffic import PRESETS, generate
from .lane_table import DT_S, LaneTable
from .noise_statistics import autocovariance, roughness, spectrum, without_shift

_SECONDS, _SEED = 300.0, 100
_SECTION_M = 332.0
"""The two readings share the first 332 m."""
_LANE_M = 3.0
_LAGS = np.arange(31)
_SPEEDS_MPS = np.array([0.1, 0.3, 0.6, 1.0, 2.0, 4.0, 6.0, 9.0, 12.0, 16.0])

_FEWEST_ROWS = 500


@dataclass(frozen=True, eq=False)
class MeasuredLane:
    """The leftmost lane of generated traffic, cut as the two readings are.

    Attributes:
        measured_m: ``(rows,)`` front bumpers as the sensor gives them.
        exact: ``(rows,)`` where they are.
        tracks: rows of each stretch without a gap.
    """

    measured_m: np.ndarray
    exact: np.ndarray
    tracks: list[np.ndarray]

    @classmethod
    def of(
        cls, recording: Recording, sensor: Sensor, seed: int, whole: bool = False
    ) -> MeasuredLane:
        """Measured by a sensor; ``whole``: all lanes, to the end of the section."""
        raw = raw_tracks(recording, sensor, seed)
        numbers = recording.vehicle_id[recording.row_vehicle] * recording.frames + recording.frame
        order = np.argsort(numbers)
        wanted = raw.vehicle * recording.frames + raw.frame
        row = order[np.searchsorted(numbers[order], wanted)]
        half = 0.5 * recording.length_m[recording.row_vehicle[row]]
        exact = recording.x_m[row] + half * np.cos(recording.heading_rad[row])
        left = recording.y_m[row] > recording.y_m.max() - _LANE_M
        own = np.flatnonzero(whole | (left & (exact < _SECTION_M)))
        gap = (np.diff(raw.vehicle[own]) != 0) | (np.diff(raw.frame[own]) != 1)
        tracks = np.split(np.arange(len(own)), np.flatnonzero(gap) + 1)
        return cls(raw.x_m[own], exact[own], tracks)

    @property
    def errors(self) -> list[np.ndarray]:
        """Of each track, less what depends on the place alone."""
        rest, _ = without_shift(self.measured_m - self.exact, self.exact)
        return [rest[rows] for rows in self.tracks if len(rows) > 1]


def draw(lanes: LaneTable, readings: list[np.ndarray], sensor: Sensor, path: Path) -> None:
    """Autocorrelation, spectrum and roughness of real and of generated positions.

    Args:
        lanes: whole lanes of I-80.
        readings: differences of two readings, of each track.
        sensor: the fitted one.
        path: the PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    recording = generate(PRESETS["dense"], _SECONDS, _SEED)
    lane = MeasuredLane.of(recording, sensor, _SEED)
    everywhere = MeasuredLane.of(recording, sensor, _SEED, whole=True)
    real = lanes.where((lanes["lane"] == 1) & (lanes["slot"] == 400))
    panels, axes = pyplot.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    for errors, label, style in (
        (readings, "two readings of I-80, lane 1", "k-"),
        (lane.errors, "generated, with the errors of ngsim", "C1-"),
    ):
        covariance = autocovariance(errors, _LAGS)
        axes[0].plot(_LAGS * DT_S, covariance / covariance[0], style, label=label)
    axes[0].set(xlabel="lag, s", ylabel="autocorrelation of the error", ylim=(-0.15, 1.05))
    axes[0].axhline(0.0, color="0.8", zorder=0)
    axes[0].legend(fontsize=8)
    for positions, tracks, label, style in (
        (real["x_m"], real.tracks, "I-80, lane 1, original", "k-"),
        (lane.measured_m, lane.tracks, "generated, with the errors of ngsim", "C1-"),
        (lane.exact, lane.tracks, "generated, exact", "C0--"),
    ):
        axes[1].loglog(*spectrum([positions[rows] for rows in tracks]), style, label=label)
    axes[1].set(xlabel="frequency, Hz", ylabel="density of positions, m²/Hz", ylim=(1e-8, 1.0))
    axes[1].set_xticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
    axes[1].minorticks_off()
    axes[1].legend(fontsize=8)
    for positions, tracks, label, style in (
        (real["x_m"], real.tracks, "I-80, lane 1, 4:00 p.m.", "k-"),
        *(
            (part["x_m"], part.tracks, f"I-80, lane 7, {hour}:00 p.m.", style)
            for hour, style in ((4, "k--"), (5, "k:"))
            for part in [lanes.where((lanes["lane"] == 7) & (lanes["slot"] == 100 * hour))]
        ),
        (everywhere.measured_m, everywhere.tracks, "generated, with the errors of ngsim", "C1-"),
    ):
        axes[2].plot(*_by_speed(positions, tracks), style, label=label)
    axes[2].set(xlabel="speed, m/s", ylabel="rest of a cubic fit over 2.1 s, m", ylim=(0.0, None))
    axes[2].legend(fontsize=8)
    with atomic_write(path) as temporary:
        panels.savefig(temporary, dpi=110, format="png")


def _by_speed(positions: np.ndarray, tracks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean speed and standard deviation of the roughness, in steps of the speed."""
    speed, rest = roughness(positions, tracks, positions)
    step = np.digitize(speed, _SPEEDS_MPS)
    kept = [k for k in range(len(_SPEEDS_MPS) + 1) if (step == k).sum() >= _FEWEST_ROWS]
    return (
        np.array([speed[step == k].mean() for k in kept]),
        np.array([rest[step == k].std() for k in kept]),
    )
