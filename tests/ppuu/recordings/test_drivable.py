"""The drivable area against the road's own test of points."""

import numpy as np
import pytest
import torch

from data.traffic import PRESETS
from data.traffic.bends import Bend, bent
from ppuu.recordings.drivable import DrivableArea
from ppuu.recordings.road import Road
from tests.helpers import Car, straight_recording

STRAIGHT = Road.straight(600.0, 3, 3.7)
RAMP = PRESETS["dense"].highway.road()


def winding() -> Road:
    recording = straight_recording([Car(0.0)], 10)
    return bent(recording, Bend.draw(np.random.default_rng(0), 100.0)).road


@pytest.mark.parametrize("road", [STRAIGHT, RAMP, winding()], ids=["straight", "ramp", "winding"])
def test_points_are_on_the_road_where_a_lane_holds_them(road):
    low, high = road.quadrilaterals_m.min((0, 1)) - 20.0, road.quadrilaterals_m.max((0, 1)) + 20.0
    points = np.random.default_rng(0).uniform(low, high, (20_000, 2)).astype(np.float32)
    area = DrivableArea.build([STRAIGHT, road])
    x, y = torch.from_numpy(points).T
    found = area.contains(x[:, None], y[:, None], torch.ones(len(points), dtype=torch.int64))
    expected = road.drivable(points.astype(float))
    differ = found[:, 0].numpy() != expected
    # Single precision decides on the very edge only.
    assert differ.mean() < 1e-3 and 0.02 < expected.mean() < 0.98


def test_equal_roads_share_their_cells():
    one, three = DrivableArea.build([RAMP]), DrivableArea.build([RAMP, RAMP, RAMP])
    assert three.pieces.shape == one.pieces.shape and three.first_cell.tolist() == [0, 0, 0]


def test_what_is_no_number_is_nowhere():
    area = DrivableArea.build([STRAIGHT])
    nan = torch.full((1, 1), torch.nan)
    assert not area.contains(nan, nan, torch.zeros(1, dtype=torch.int64)).any()
