"""Scenes: every look-up against a naive one, over several recordings."""

import numpy as np
import pytest
import torch

from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording


def recordings():
    """Three recordings of different length, with vehicles that come and go, and empty frames."""
    first = [Car(0.0), Car(30.0, lane=1, first_frame=11, frames=9), Car(-30.0, lane=2, frames=5)]
    second = [Car(5.0, first_frame=4, frames=6)]
    third = [Car(10.0 * k, lane=k % 3, speed_mps=8.0 + k) for k in range(6)]
    return [
        straight_recording(first, frames=40, name="first"),
        straight_recording(second, frames=12, name="second"),
        straight_recording(third, frames=25, name="third"),
    ]


@pytest.fixture
def scene():
    return Scene.build(recordings())


def test_numbering(scene):
    frames = [recording.frames for recording in recordings()]
    vehicles = [recording.vehicles for recording in recordings()]
    assert frames == [40, 10, 25]
    assert scene.frame_offset.tolist() == [0, 40, 50, 75]
    assert scene.vehicle_offset.tolist() == [0, 3, 4, 10]
    assert scene.vehicle_recording.tolist() == [0] * 3 + [1] + [2] * 6
    assert len(scene.first_frame) == sum(vehicles)
    assert scene.boxes.shape[0] == sum(frames)
    assert scene.boxes.shape[1] == 6


def test_states_are_the_recorded_ones(scene):
    for index, recording in enumerate(recordings()):
        for vehicle in range(recording.vehicles):
            number = int(scene.vehicle_offset[index]) + vehicle
            start = int(scene.frame_offset[index])
            frames = np.arange(recording.first_frame[vehicle], recording.last_frame[vehicle] + 1)
            found = scene.state(torch.full((len(frames),), number), torch.tensor(frames) + start)
            np.testing.assert_allclose(found, recording.track(vehicle), rtol=1e-6, atol=1e-5)
            assert int(scene.first_frame[number]) == frames[0] + start
            assert int(scene.last_frame[number]) == frames[-1] + start
            # Outside the track the nearest state stands in.
            ends = scene.state(
                torch.full((2,), number), torch.tensor([frames[0] - 3, frames[-1] + 3]) + start
            )
            np.testing.assert_allclose(
                ends, recording.track(vehicle)[[0, -1]], rtol=1e-6, atol=1e-5
            )


def test_others_are_all_present_vehicles_but_the_ego(scene):
    for index, recording in enumerate(recordings()):
        offset = int(scene.vehicle_offset[index])
        for frame in range(recording.frames):
            row = int(scene.frame_offset[index]) + frame
            rows = np.flatnonzero(recording.frame == frame)
            present = {int(v) + offset for v in recording.row_vehicle[rows]}
            for ego in range(offset, offset + recording.vehicles):
                boxes, visible = scene.others(torch.tensor([row]), torch.tensor([ego]))
                found = scene.occupant[row][visible[0]]
                assert sorted(found.tolist()) == sorted(present - {ego})
                for box, vehicle in zip(boxes[0][visible[0]], found, strict=True):
                    own = int(vehicle) - offset
                    state = recording.track(own)[frame - recording.first_frame[own]]
                    size = [recording.length_m[own], recording.width_m[own]]
                    np.testing.assert_allclose(box, [*state[:3], *size], rtol=1e-6, atol=1e-5)
            speeds = scene.speed_mps[row][scene.occupant[row] >= 0]
            assert sorted(speeds.tolist()) == sorted(recording.speed_mps[rows].tolist())


def test_what_cannot_be_laid_out_is_refused():
    with pytest.raises(InputError, match="no recording"):
        Scene.build([])
    slow = straight_recording([Car(0.0)], frames=20)
    object.__setattr__(slow, "dt_s", 0.04)
    with pytest.raises(InputError, match="frame spacing"):
        Scene.build([recordings()[0], slow])
