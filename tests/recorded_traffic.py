"""Recordings in which episodes can be driven."""

from __future__ import annotations

from pathlib import Path

from tests.helpers import Car, dense_recording, straight_recording


def dense_and_queue(folder: Path) -> tuple[Path, Path]:
    """Dense traffic in which no vehicle drives 215 m, and a queue ahead of moving cars."""
    dense, queue = folder / "dense.h5", folder / "queue.h5"
    dense_recording(per_lane=3, frames=70).save(dense)
    # Without braking the first runs into the second, which stands; the third has its lane to
    # itself and changes into another one; the fourth ends early.
    cars = [
        Car(0.0, speed_mps=5.0),
        Car(70.0, speed_mps=0.0),
        Car(0.0, lane=1, speed_mps=12.0, to_lane=2, change_frame=30),
        Car(150.0, lane=2, speed_mps=8.0, frames=60),
    ]
    straight_recording(cars, frames=90, name="queue").save(queue)
    return dense, queue
