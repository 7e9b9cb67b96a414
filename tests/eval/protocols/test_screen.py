"""PPUU's pixel coordinates: I-80's numbers, and the screens of other recordings."""

import dataclasses

import numpy as np
import pytest
import torch

from data.sources.ngsim_layouts import AXES
from eval.protocols.screen import LOOK_AHEAD_PX, PX_PER_M, Screens
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording

FOOT_PX = 1.977081
FIRST = torch.zeros(1, dtype=torch.int64)


def as_i80(recording):
    """The same recording, 12 m to the right, said to be of I-80."""
    provenance = {"site": "i80", "axes": AXES}
    return dataclasses.replace(recording, y_m=recording.y_m - 12.0, provenance=provenance)


@pytest.fixture(scope="module")
def recording():
    return straight_recording([Car(0.0), Car(300.0, lane=2)], frames=200)


@pytest.fixture(scope="module")
def i80(recording):
    return Screens.of([as_i80(recording)])


def box(local_x_ft, local_y_ft, length_ft=14.5, heading=0.0):
    """From NGSIM's coordinates: feet, middle of the front bumper, Local X to the right."""
    length = 0.3048 * length_ft
    front = 0.3048 * np.array([local_y_ft, -local_x_ft])
    centre = front - 0.5 * length * np.array([np.cos(heading), np.sin(heading)])
    return torch.tensor([[*centre, heading, length, 1.9]], dtype=torch.float32)


def test_the_scale():
    assert pytest.approx(6.48649, abs=1e-5) == PX_PER_M
    assert pytest.approx(234.234, abs=1e-3) == LOOK_AHEAD_PX


@pytest.mark.parametrize(("x", "y"), [(20.0, 800.0), (75.0, 500.0), (3.0, 1200.0)])
def test_a_place_on_i80_is_the_published_formula(i80, x, y):
    place = i80.place(box(x, y), FIRST)
    assert float(place.front_x) == pytest.approx(y * FOOT_PX - 470, abs=0.01)
    assert float(place.rear_x) == pytest.approx(y * FOOT_PX - 470 - 14.5 * FOOT_PX, abs=0.01)
    assert float(place.rear_y) == pytest.approx(x * FOOT_PX + 36, abs=0.01)


def local_y_ft(rear_px, length_ft=14.5):
    return (rear_px + 470) / FOOT_PX + length_ft


def test_the_region_of_i80(i80):
    assert float(i80.goal_px(FIRST)) == pytest.approx(1630.1, abs=0.05)
    length_px = 14.5 * FOOT_PX

    def at(rear_px):
        place = i80.place(box(20.0, local_y_ft(rear_px)), FIRST)
        return bool(i80.valid(place, FIRST)), bool(i80.arrived(place, FIRST))

    assert at(233.9) == (False, False)
    assert at(234.5) == (True, False)
    assert at(1630.0 - length_px) == (True, False)
    # The last car length is neither: no image is taken, and the car has not arrived.
    assert at(1630.4 - length_px) == (False, False)
    assert at(1629.9) == (False, False)
    assert at(1630.4) == (False, True)


def test_the_sides_of_i80(i80, recording):
    road_map = RoadMap.build([recording.road], RasterConfig())

    def off(y_px, rear_px):
        boxes = box((y_px - 36) / FOOT_PX, local_y_ft(rear_px))
        return bool(i80.off_road(i80.place(boxes, FIRST), boxes, FIRST, road_map)[0])

    assert off(35.5, 800)
    assert not off(36.5, 800)
    for rear_px in (300.0, 1000.0, 1600.0):
        edge = 233 - 0.035 * rear_px
        assert not off(edge - 0.5, rear_px)
        assert off(edge + 0.5, rear_px)


def test_other_recordings_have_their_own_extent(recording):
    """Fronts from 2.25 m to 301 + 199 + 2.25 m: more than I-80's screen."""
    screens = Screens.of([recording])
    assert float(screens.origin_px[0]) == pytest.approx(2.25 * PX_PER_M, abs=0.01)
    assert float(screens.width_px[0]) == 2040
    short = straight_recording([Car(-10.0), Car(30.0, lane=1)], frames=121)
    screens = Screens.of([short, as_i80(recording)])
    assert screens.origin_px.tolist() == pytest.approx([-7.75 * PX_PER_M, 470], abs=0.01)
    assert screens.width_px.tolist() == pytest.approx([160 * PX_PER_M, 2040], abs=0.1)
    both = torch.tensor([0, 1])
    boxes = torch.tensor([[50.0, -2.0, 0.0, 4.0, 2.0]]).expand(2, -1)
    rear = screens.place(boxes, both).rear_x
    assert rear.tolist() == pytest.approx([55.75 * PX_PER_M, 48 * PX_PER_M - 470], abs=0.01)


def test_other_roads_end_at_the_drivable_area(recording):
    screens, road_map = Screens.of([recording]), RoadMap.build([recording.road], RasterConfig())
    boxes = torch.tensor([[100.0, y, 0.0, 4.0, 2.0] for y in (-1.5, 0.5, 11.5, 13.5)])
    road = torch.zeros(4, dtype=torch.int64)
    off = screens.off_road(screens.place(boxes, road), boxes, road, road_map)
    assert off.tolist() == [True, False, False, True]


def test_several_slots_a_row(i80):
    boxes = torch.stack([box(20.0, 700.0)[0], box(30.0, 900.0)[0]])[None]
    place = i80.place(boxes, FIRST)
    assert place.rear_y.shape == (1, 2)
    assert float(place.front_x[0, 1] - place.front_x[0, 0]) == pytest.approx(
        200 * FOOT_PX, abs=0.02
    )


def test_recordings_that_do_not_fit(recording):
    turned = dataclasses.replace(recording, heading_rad=recording.heading_rad + np.pi)
    with pytest.raises(InputError, match="does not drive along x"):
        Screens.of([turned])
    short = straight_recording([Car(0.0), Car(10.0, lane=1)], frames=50)
    with pytest.raises(InputError, match="59 m of road, but the rules of PPUU need more than 99 m"):
        Screens.of([short])
