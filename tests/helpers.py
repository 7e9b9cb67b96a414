"""Small recordings of cars at constant speed, for tests that need no realism."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road

LANE_WIDTH_M = 4.0
DT_S = 0.1


@dataclass(frozen=True)
class Car:
    """A car at constant speed; lane 0 is the rightmost, y = 0 the road's right edge.

    From ``change_frame`` on it moves over to lane ``to_lane`` within three seconds.
    """

    x_m: float
    lane: int = 0
    speed_mps: float = 10.0
    first_frame: int = 0
    frames: int | None = None
    length_m: float = 4.5
    width_m: float = 1.8
    to_lane: int | None = None
    change_frame: int = 40

    def track(self, frames: int) -> dict[str, np.ndarray]:
        """Columns of a recording."""
        count = frames - self.first_frame if self.frames is None else self.frames
        frame = self.first_frame + np.arange(count)
        to_lane = self.lane if self.to_lane is None else self.to_lane
        share = ((frame - self.change_frame) / 30).clip(0, 1)
        lane = self.lane + (to_lane - self.lane) * 0.5 * (1 - np.cos(np.pi * share))
        x = self.x_m + DT_S * self.speed_mps * np.arange(count)
        y = (lane + 0.5) * LANE_WIDTH_M
        heading = np.arctan2(np.gradient(y), np.gradient(x)) if self.speed_mps else 0 * x
        speed = np.full(count, self.speed_mps)
        return {"frame": frame, "x_m": x, "y_m": y, "heading_rad": heading, "speed_mps": speed}


def straight_recording(
    cars: Sequence[Car], frames: int = 120, lanes: int = 3, road_m: float = 1000.0, name="straight"
) -> Recording:
    """Cars on a straight road from x = -100 m, at 10 frames a second."""
    tracks = [car.track(frames) for car in cars]
    return Recording(
        **{key: np.concatenate([track[key] for track in tracks]) for key in tracks[0]},
        vehicle_pointer=np.cumsum([0] + [len(track["frame"]) for track in tracks]),
        vehicle_id=100 + np.arange(len(cars)),
        length_m=np.array([car.length_m for car in cars]),
        width_m=np.array([car.width_m for car in cars]),
        road=Road.straight(road_m, lanes, LANE_WIDTH_M, start_m=-100.0),
        dt_s=DT_S,
        name=name,
    )


def dense_recording(per_lane: int = 8, lanes: int = 3, frames: int = 120) -> Recording:
    """A column of cars in each lane, faster to the left; always the same, and nobody collides."""
    random = np.random.default_rng(0)
    cars = [
        Car(
            x_m=25.0 * k + random.uniform(0.0, 8.0),
            lane=lane,
            speed_mps=9.0 + lane,
            length_m=random.uniform(4.0, 5.5),
        )
        for lane in range(lanes)
        for k in range(per_lane)
    ]
    return straight_recording(cars, frames, lanes, name="dense")
