"""Small recordings made of straight tracks, for tests that need no realism."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppuu.recording import Recording
from ppuu.road import Road

LANE_WIDTH_M = 4.0


@dataclass(frozen=True)
class Car:
    """A car at constant speed in one lane; lane 0 is the rightmost, y = 0 the road's right edge."""

    x_m: float
    lane: int = 0
    speed_mps: float = 10.0
    first_frame: int = 0
    frames: int | None = None
    length_m: float = 4.5
    width_m: float = 1.8


def straight_recording(
    cars: Sequence[Car], frames: int = 120, lanes: int = 3, road_m: float = 1000.0, name="straight"
) -> Recording:
    """Cars straight on along a road from x = -100 m, at 10 frames a second."""
    counts = [frames - car.first_frame if car.frames is None else car.frames for car in cars]
    steps = [np.arange(count) for count in counts]
    return Recording(
        frame=np.concatenate([car.first_frame + k for car, k in zip(cars, steps, strict=True)]),
        x_m=np.concatenate(
            [car.x_m + 0.1 * car.speed_mps * k for car, k in zip(cars, steps, strict=True)]
        ),
        y_m=np.repeat([(car.lane + 0.5) * LANE_WIDTH_M for car in cars], counts),
        heading_rad=np.zeros(sum(counts)),
        speed_mps=np.repeat([car.speed_mps for car in cars], counts),
        vehicle_pointer=np.cumsum([0, *counts]),
        vehicle_id=100 + np.arange(len(cars)),
        length_m=np.array([car.length_m for car in cars]),
        width_m=np.array([car.width_m for car in cars]),
        road=Road.straight(road_m, lanes, LANE_WIDTH_M, start_m=-100.0),
        name=name,
    )


def dense_recording(per_lane: int = 8, lanes: int = 3, frames: int = 120) -> Recording:
    """Several columns of cars at different speeds; reproducible, and nobody collides."""
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
