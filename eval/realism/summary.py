"""What is kept of one traffic for comparisons: quantiles of its features, and some figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from ppuu.recordings.recording import Recording

from .lane_changes import LaneChanges, lane_changes, lateral_tracks
from .pairs import SHORTEST_S, Pairs, pairs_of
from .road_coordinates import RoadCoordinates
from .spectrum import Spectrum, positions, spectrum
from .waves import wave_speed

QUANTILES = 500
LEVELS = (np.arange(QUANTILES) + 0.5) / QUANTILES
FEATURES = ("speed_mps", "gap_m", "headway_s", "acceleration_mps2", "relative_speed_mps")
METRICS = (
    "wave_speed_mps", "wave_correlation", "platoon_growth", "lane_changes_per_vehicle_hour",
    "lane_change_duration_s", "lane_change_lateral_speed_mps", "wander_m", "lateral_roughness_m",
    "roughness_m", "fast_speed_fraction",
)  # fmt: skip
_MOST_MISALIGNED = 0.1
_NAN = float("nan")


@dataclass(frozen=True, eq=False)
class TrafficSummary:
    """One traffic in some numbers.

    Attributes:
        name: of the traffic.
        quantiles: of each feature in ``FEATURES``, at ``LEVELS``; empty without pairs.
        metrics: by the names in ``METRICS``; NaN where one cannot be measured.
        spectral_density: ``(frequencies, 2)`` frequency in Hz, and power spectral density of speed
            along the road in (m/s)²/Hz; empty where no track is long enough.
        pairs: number of pairs.
        vehicle_hours: observed.
        notes: what could not be measured, and why.
    """

    name: str
    quantiles: Mapping[str, Float[np.ndarray, " levels"]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    spectral_density: Float[np.ndarray, "frequencies 2"] = field(
        default_factory=lambda: np.zeros((0, 2))
    )
    pairs: int = 0
    vehicle_hours: float = _NAN
    notes: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, name: str, entry: Mapping[str, Any]) -> TrafficSummary:
        """From ``to_json``."""
        density = np.array(entry["spectral_density"], float).reshape(-1, 2)
        metrics = {key: _NAN if v is None else v for key, v in entry["metrics"].items()}
        quantiles = {key: np.array(values) for key, values in entry["quantiles"].items()}
        return cls(name, quantiles, metrics, density, entry["pairs"])

    def to_json(self) -> dict[str, Any]:
        """What a file keeps of it: JSON values only."""
        return {
            "pairs": self.pairs,
            "metrics": {
                k: round(v, 4) if np.isfinite(v) else None for k, v in self.metrics.items()
            },
            "quantiles": {k: np.round(v, 4).tolist() for k, v in self.quantiles.items()},
            "spectral_density": [[float(f"{v:.4g}") for v in row] for row in self.spectral_density],
        }


def quantiles_of(pairs: Pairs) -> dict[str, Float[np.ndarray, " levels"]]:
    """Quantiles of every feature."""
    return {
        name: np.quantile(values, LEVELS) if len(values) else np.full(QUANTILES, _NAN)
        for name, values in pairs.features().items()
    }


def following_metrics(pairs: Pairs) -> dict[str, float]:
    """Waves, and their growth."""
    waves = wave_speed(pairs)
    return {
        "wave_speed_mps": waves.speed_mps,
        "wave_correlation": waves.correlation,
        "platoon_growth": pairs.platoon_growth(),
    }


def lateral_metrics(changes: LaneChanges) -> dict[str, float]:
    """Lane changes, and wander."""
    duration_s, speed_mps = changes.medians()
    return {
        "lane_changes_per_vehicle_hour": changes.per_vehicle_hour,
        "lane_change_duration_s": duration_s,
        "lane_change_lateral_speed_mps": speed_mps,
        "wander_m": changes.wander_m,
        "lateral_roughness_m": changes.roughness_m,
    }


def spectrum_metrics(motion: Spectrum) -> dict[str, float]:
    """Noise along the road."""
    return {"roughness_m": motion.roughness_m, "fast_speed_fraction": motion.fast_fraction}


def density_of(motion: Spectrum) -> Float[np.ndarray, "frequencies 2"]:
    """Columns of ``TrafficSummary.spectral_density``."""
    table = np.stack([motion.frequency_hz, motion.density], axis=1)
    return table[np.isfinite(table).all(1)]


def summarise(name: str, recordings: Sequence[Recording]) -> TrafficSummary:
    """All recordings of one traffic together; they share a frame rate."""
    hours = sum(recording.rows * recording.dt_s for recording in recordings) / 3600.0
    nothing = dict.fromkeys(METRICS, _NAN)
    if not all(recording.road.lanes for recording in recordings):
        note = "the road has no lanes: nothing can be measured"
        return TrafficSummary(name, {}, nothing, vehicle_hours=hours, notes=(note,))
    placed = [(recording, RoadCoordinates.of(recording)) for recording in recordings]
    crossing = np.concatenate([place.misaligned(recording) for recording, place in placed])
    if crossing.mean() > _MOST_MISALIGNED:
        note = (
            f"{crossing.mean():.0%} of the moving vehicles do not drive along their lanes (an "
            "intersection?): nothing can be measured"
        )
        return TrafficSummary(name, {}, nothing, vehicle_hours=hours, notes=(note,))
    pairs = pairs_of(placed)
    motion = spectrum([x for pair in placed for x in positions(*pair)], recordings[0].dt_s)
    changes = lane_changes([track for pair in placed for track in lateral_tracks(*pair)])
    metrics = nothing | lateral_metrics(changes) | spectrum_metrics(motion)
    if pairs is not None:
        metrics |= following_metrics(pairs)
    return TrafficSummary(
        name,
        {} if pairs is None else quantiles_of(pairs),
        metrics,
        density_of(motion),
        0 if pairs is None else pairs.count,
        hours,
        _notes(recordings, pairs, metrics),
    )


def _notes(
    recordings: Sequence[Recording], pairs: Pairs | None, metrics: Mapping[str, float]
) -> tuple[str, ...]:
    notes = []
    carpool = {r.provenance["carpool_lane"] for r in recordings if "carpool_lane" in r.provenance}
    if carpool - {None}:
        lanes = ", ".join(str(lane + 1) for lane in sorted(carpool - {None}))
        notes.append(f"pairs in the car-pool lane ({lanes} from the left) are left out")
    if pairs is None:
        notes.append(f"no vehicle follows another for {SHORTEST_S:g} s: no distances, no waves")
    elif not np.isfinite(metrics["wave_speed_mps"]):
        notes.append("no waves")
    if not np.isfinite(metrics["lane_changes_per_vehicle_hour"]):
        notes.append("tracks are too short for a rate of lane changes")
    return tuple(notes)
