"""Overlapping vehicles of a recording against a comparison of all pairs."""

import numpy as np
import torch

from data.clean import overlapping_pairs
from ppuu.geometry import boxes_overlap
from tests.helpers import Car, straight_recording


def test_pairs_are_those_of_a_comparison_of_all():
    random = np.random.default_rng(0)
    cars = [
        Car(random.uniform(0, 60), lane, random.uniform(5, 15), length_m=random.uniform(3, 14))
        for lane in range(3)
        for _ in range(5)
    ]
    recording = straight_recording(cars, 30)
    expected = set()
    for frame in range(recording.frames):
        rows = np.flatnonzero(recording.frame == frame)
        vehicle = recording.row_vehicle[rows]
        columns = (recording.x_m, recording.y_m, recording.heading_rad)
        sizes = (recording.length_m[vehicle], recording.width_m[vehicle])
        boxes = torch.tensor(np.stack([*(column[rows] for column in columns), *sizes], axis=1))
        all_pairs = (len(boxes), len(boxes), 5)
        one, other = boxes[:, None].expand(all_pairs), boxes[None].expand(all_pairs)
        overlap = boxes_overlap(one, other)
        expected |= {
            (vehicle[a], vehicle[b])
            for a, b in np.argwhere(overlap.numpy())
            if vehicle[a] < vehicle[b]
        }
    found = overlapping_pairs(recording)
    numbers = {tuple(recording.vehicle_id[[*pair]].tolist()) for pair in expected}
    assert {tuple(pair["vehicles"]) for pair in found} == numbers
    assert 5 < len(expected) < 100


def test_vehicles_apart_do_not_overlap():
    cars = [Car(20.0 * k, 0, 10.0) for k in range(5)]
    assert overlapping_pairs(straight_recording(cars, 10)) == []
