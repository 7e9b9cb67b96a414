"""Clips: inside their windows, actions aligned with states, images and flow as they should be."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from data.clips.clips import Clips
from data.splits import FrameWindow
from ppuu.kinematics import step
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster import draw
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap, draw_road
from ppuu.perception.vehicle_raster import draw_vehicles
from ppuu.predictions import TargetConfig
from ppuu.runtime.errors import InputError
from ppuu.world_models import CopyLast, tracks_spec
from tests.helpers import Car, dense_recording, straight_recording
from tests.rollouts import TINY, TINY_OBSERVATION, tiny_clips

SPAN, HORIZON = TINY_OBSERVATION.span, 12


def recordings():
    late = Car(10.0, first_frame=30, frames=25)
    short = Car(60.0, lane=1, first_frame=5, frames=SPAN + HORIZON)  # one frame too few
    return [
        dense_recording(per_lane=2, frames=60),
        straight_recording([Car(0.0, lane=2), late, short], frames=70, name="second"),
    ]


def test_every_possible_clip_and_no_other():
    windows = [FrameWindow(5, 50), FrameWindow(10, 70)]
    made = recordings()
    clips = Clips(made, windows, TINY_OBSERVATION, HORIZON)
    expected = set()
    vehicle_offset = frame_offset = 0
    for recording, window in zip(made, windows, strict=True):
        for vehicle in range(recording.vehicles):
            for frame in range(recording.frames):
                used = range(frame - SPAN, frame + HORIZON + 1)
                tracked = range(recording.first_frame[vehicle], recording.last_frame[vehicle] + 1)
                allowed = range(window.first, window.last)
                if all(f in tracked and f in allowed for f in (used[0], used[-1])):
                    expected.add((vehicle + vehicle_offset, frame + frame_offset))
        vehicle_offset += recording.vehicles
        frame_offset += recording.frames
    found = list(zip(clips.ego.tolist(), clips.frame.tolist(), strict=True))
    assert len(found) == len(set(found)) == len(clips)
    assert set(found) == expected
    assert {ego for ego, _ in found} == {0, 1, 2, 3, 4, 5, 6, 7}


def test_windows_too_short_are_refused():
    with pytest.raises(InputError, match="no track is long enough"):
        tiny_clips([dense_recording(frames=SPAN + HORIZON)], HORIZON)
    assert len(tiny_clips([dense_recording(frames=SPAN + HORIZON + 1)], HORIZON)) == 24


def changing():
    """Cars that brake, speed up and change lanes, so that neighbouring actions differ."""
    recording = straight_recording(
        [Car(0.0, to_lane=1, change_frame=15), Car(40.0, lane=2)], frames=80
    )
    t = 0.1 * np.arange(80)
    for k, swing in enumerate((3.0, -2.0)):
        rows = slice(80 * k, 80 * (k + 1))
        recording.x_m[rows] = 40.0 * k + 10 * t + swing * (1 - np.cos(t)) / 1.0
        recording.speed_mps[rows] = 10 + swing * np.sin(t)
    return recording


def test_actions_lead_from_the_present_to_the_future():
    clips = tiny_clips([changing()], HORIZON)
    clip = clips.batch(torch.arange(0, len(clips), 3))
    states = torch.cat([clip.observation.ego[:, -1:], clip.future], 1)
    for t in range(HORIZON):
        # From the recorded state, action t leads to state t + 1: to the position within
        # centimetres, to the speed within what the smoothing of the search leaves.
        reached = step(states[:, t], clip.actions[:, t], 0.1)
        assert (reached[:, :2] - states[:, t + 1, :2]).norm(dim=1).max() < 0.05
        assert (reached[:, 3] - states[:, t + 1, 3]).abs().max() < 0.12
    # The action before the present led to it, the later one would not have.
    previous = clips.scene.state(clip.ego, clip.frame - 1)
    reached = step(previous, clip.previous_action, 0.1)
    assert (reached[:, 3] - states[:, 0, 3]).abs().max() < 0.12
    gained = (states[:, 1:, 3] - states[:, :-1, 3]) / 0.1
    error = [
        (clip.actions[:, 2:-2, 0] - gained[:, 2 + lag : HORIZON - 2 + lag]).abs().mean().item()
        for lag in (-2, -1, 0, 1, 2)
    ]
    assert error.index(min(error)) in (1, 2)  # at most one frame late, never early
    # One action a frame: the next clip's first is this one's second.
    later = clips.batch(torch.arange(1, 5))
    now = clips.batch(torch.arange(0, 4))
    torch.testing.assert_close(later.actions[:, 0], now.actions[:, 1])
    torch.testing.assert_close(later.previous_action, now.actions[:, 0])
    torch.testing.assert_close(later.observation.ego[:, -1], now.future[:, 0])


def test_a_clip_is_its_track():
    recording = changing()
    clips = tiny_clips([recording], HORIZON)
    clip = clips.batch(torch.tensor([0, 7, len(clips) - 1]))
    for element in range(3):
        vehicle, frame = int(clip.ego[element]), int(clip.frame[element])
        track = torch.tensor(recording.track(vehicle), dtype=torch.float32)
        torch.testing.assert_close(
            clip.observation.ego[element], track[frame - SPAN : frame + 1 : 3]
        )
        torch.testing.assert_close(clip.future[element], track[frame + 1 : frame + 1 + HORIZON])


def test_images_are_drawn_at_the_right_frame():
    made = recordings()
    clips = tiny_clips(made, HORIZON)
    roads = RoadMap.build([recording.road for recording in made], TINY)
    index = torch.tensor([0, 60, len(clips) - 1])
    clip = clips.batch(index)
    ahead = torch.tensor([2, 5, 12])
    poses = clip.future[:, ahead - 1, :3] + torch.tensor([1.0, 0.3, 0.05])
    vehicles, road = clips.draw_vehicles(clip, ahead, poses), clips.draw_road(clip, poses)
    for element in range(3):
        ego = clip.ego[element : element + 1]
        which = clips.scene.vehicle_recording[ego]
        for number, later in enumerate(ahead):
            pose = poses[element, number][None]
            others = clips.scene.others(clip.frame[element : element + 1] + later, ego)
            torch.testing.assert_close(
                vehicles[element, number], draw_vehicles(pose, *others, TINY)[0]
            )
            torch.testing.assert_close(
                road[element, number], draw_road(pose, which, roads, TINY)[0]
            )
        present = clips.scene.others(clip.frame[element : element + 1], ego)
        pose = clip.observation.ego[element : element + 1, -1, :3]
        image = draw(pose, *present, which, roads, TINY)[0]
        torch.testing.assert_close(clip.observation.images[element, -1], image)


def test_flow_of_constant_velocities():
    """Seen from a frame that moves with the ego: relative velocity times time."""
    ego, leader, beside = (
        Car(0.0, lane=1, speed_mps=10.0),
        Car(9.0, lane=1, speed_mps=12.0),
        Car(-5.0, lane=2, speed_mps=7.0),
    )
    clips = tiny_clips([straight_recording([ego, leader, beside], frames=60)], HORIZON)
    clip = clips.batch(torch.tensor([0]))
    assert int(clip.ego[0]) == 0 and int(clip.frame[0]) == SPAN
    ahead = torch.tensor([3, 12])
    poses = clip.future[:, ahead - 1, :3]
    flow, known = clips.flow(clip, ahead, poses)
    shown = clip.observation.images[0, -1, 1] > 0
    assert (known[0] == shown).all()
    left = TINY.pixel_centres_m()[..., 1]
    for number, seconds in enumerate((0.3, 1.2)):
        for vehicle, speed in ((left < 2.0, 2.0), (left > 2.0, -3.0)):
            pixels = flow[0, number][:, shown & vehicle]
            assert pixels.shape[1] > 10
            torch.testing.assert_close(
                pixels[0], torch.full_like(pixels[0], speed * seconds), atol=1e-3, rtol=0
            )
            assert pixels[1].abs().max() < 1e-3
    assert (flow[0][:, :, ~shown] == 0).all()


def test_flow_of_a_turn_and_of_a_turned_view():
    """Every pixel turns with its vehicle; the pose an image is drawn at turns everything else."""
    recording = straight_recording([Car(0.0, lane=1), Car(9.0, lane=1)], frames=40)
    rows = slice(40, 80)
    recording.heading_rad[rows] = np.linspace(0.0, 0.78, 40)
    clips = tiny_clips([recording], HORIZON)
    clip = clips.batch(torch.tensor([0]))
    ahead = torch.tensor([12])
    poses = clip.future[:, ahead - 1, :3] + torch.tensor([0.0, 0.0, 0.3])
    flow, known = clips.flow(clip, ahead, poses)
    shown = clip.observation.images[0, -1, 1] > 0
    assert (known[0, 0] == shown).all() and shown.any()
    turn = 0.02 * 12
    for row, column in shown.nonzero().tolist():
        point = TINY.pixel_centres_m()[row, column] - torch.tensor([9.0, 0.0])
        world = complex(*point.tolist()) * complex(math.cos(turn), math.sin(turn)) + 9.0
        seen = world * complex(math.cos(0.3), -math.sin(0.3))
        arrived = flow[0, 0, :, row, column] + TINY.pixel_centres_m()[row, column]
        assert arrived.tolist() == pytest.approx([seen.real, seen.imag], abs=0.01)


def test_flow_is_unknown_once_the_vehicle_is_gone():
    leaves = Car(9.0, frames=SPAN + 8)
    clips = tiny_clips([straight_recording([Car(0.0), leaves], frames=60)], HORIZON)
    clip = clips.batch(torch.tensor([0]))
    assert int(clip.ego[0]) == 0 and int(clip.frame[0]) == SPAN
    _, known = clips.flow(clip, torch.tensor([7, 8]), clip.future[:, [6, 7], :3])
    assert known[0, 0].any()
    assert not known[0, 1].any()


def test_a_target_holds_what_a_model_asks_for():
    """At its steps; the road at one of them where it does not matter which."""
    seen = ObservationConfig(3, 3, TINY, vehicles=4)
    clips = tiny_clips([dense_recording()], HORIZON, seen)
    clip, ahead = clips.batch(torch.tensor([3, 400])), torch.tensor([3, 6, 9])

    def target(generator=None, **wanted):
        spec = dataclasses.replace(tracks_spec(seen), target=TargetConfig(**wanted))
        model = CopyLast(spec)
        poses = model.image_poses(clip.observation, clip.future[:, ahead - 1])
        return clips.target(clip, model, 3, generator), poses

    only_tracks, _ = target(tracks=True)
    torch.testing.assert_close(only_tracks.ego, clip.future[:, ahead - 1])
    assert only_tracks.images is None
    for slot, vehicle in enumerate(clip.observation.tracks.vehicle[0].tolist()):
        assert only_tracks.valid[0, slot].all()
        state = clips.scene.state(torch.tensor([vehicle] * 3), clip.frame[0] + ahead)
        torch.testing.assert_close(only_tracks.tracks[0, slot], state)
    every, poses = target(images=True, road_at_every_step=True)
    assert every.tracks is None and every.images.flow is None
    torch.testing.assert_close(every.images.vehicles, clips.draw_vehicles(clip, ahead, poses))
    torch.testing.assert_close(every.images.road, clips.draw_road(clip, poses))
    assert every.images.road_step.tolist() == [0, 1, 2]
    both, _ = target(tracks=True, images=True, flow=True)
    assert torch.equal(both.tracks, only_tracks.tracks)
    assert torch.equal(both.images.vehicles, every.images.vehicles)
    flow, known = clips.flow(clip, ahead, poses)
    assert torch.equal(both.images.flow, flow) and torch.equal(both.images.flow_valid, known)
    assert both.images.road_step.tolist() == [2]
    steps = [
        target(torch.Generator().manual_seed(seed), images=True)[0].images for seed in range(20)
    ]
    assert {int(images.road_step) for images in steps} == {0, 1, 2}
    for images in steps:
        assert torch.equal(images.road, every.images.road[:, images.road_step])


def test_the_default_observation_fits():
    config = ObservationConfig(raster=RasterConfig())
    clips = tiny_clips([dense_recording()], 30, config)
    clip = clips.batch(torch.tensor([0, 5]))
    assert clip.observation.images.shape == (2, 4, 3, 117, 24)
    assert clip.actions.shape == (2, 30, 2)
