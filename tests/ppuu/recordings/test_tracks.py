"""Tracks: the nearest vehicles and their pasts, from recordings and as the simulator keeps them."""

import math

import torch

from envs.core.scenario import ScenarioConfig, list_scenarios
from envs.core.simulator import Simulator, SimulatorConfig
from ppuu.perception.observation import ObservationConfig, observe
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.recordings.scene import Scene
from ppuu.recordings.tracks import extrapolated_states, recorded_tracks, states_at
from tests.helpers import dense_recording

CONFIG = ObservationConfig(frames=3, stride=2, raster=RasterConfig(rows=11, columns=8), vehicles=12)


def test_the_nearest_by_brute_force():
    scene = Scene.build([dense_recording()])
    ego = torch.tensor([3, len(scene.first_frame) // 2])
    frame = scene.first_frame[ego] + 8
    lags = torch.tensor([4, 2, 0])
    here = scene.state(ego, frame)[:, :2]
    tracks = recorded_tracks(scene, ego, here, frame, lags, 12)
    for k in range(2):
        here = scene.state(ego[k], frame[k])[:2]
        apart = {}
        for vehicle in range(len(scene.first_frame)):
            if (
                vehicle != ego[k]
                and scene.first_frame[vehicle] <= frame[k] <= scene.last_frame[vehicle]
            ):
                apart[vehicle] = float(
                    (scene.state(torch.tensor(vehicle), frame[k])[:2] - here).norm()
                )
        expected = sorted(apart, key=apart.get)[:12]
        found = tracks.vehicle[k][tracks.valid_now[k]].tolist()
        assert found == expected
        for slot, vehicle in enumerate(found):
            for t, lag in enumerate(lags):
                then = frame[k] - lag
                known = bool(scene.first_frame[vehicle] <= then)
                assert bool(tracks.valid[k, slot, t]) == known
                if known:
                    state = scene.state(torch.tensor(vehicle), then)
                    torch.testing.assert_close(tracks.states[k, slot, t], state)
                assert tracks.size_m[k, slot].tolist() == scene.size_m[vehicle].tolist()


def test_the_simulator_remembers_what_the_recording_says():
    recording = dense_recording()
    scene = Scene.build([recording])
    road_map = RoadMap.build([recording.road], CONFIG.raster)
    scenarios = list_scenarios(recording, ScenarioConfig())[:6]
    simulator = Simulator(scene, road_map, SimulatorConfig(CONFIG))
    simulator.reset(scenarios)
    seen = simulator.observe().tracks
    expected = observe(scene, road_map, CONFIG, simulator.vehicle, simulator.frame).tracks
    torch.testing.assert_close(seen.states, expected.states)
    assert (seen.vehicle == expected.vehicle).all()
    assert (seen.valid == expected.valid).all()
    for _ in range(12):  # the ego leaves its track, the others stay on theirs
        simulator.step(torch.tensor([[1.0, 0.0]]).expand(6, 2))
    seen, times = simulator.observe().tracks, simulator.frame[:, None] - CONFIG.lags()
    env, slot, frame = seen.valid.nonzero(as_tuple=True)
    assert len(env) > 100
    true = scene.state(seen.vehicle[env, slot], times[env, frame])
    torch.testing.assert_close(seen.states[env, slot, frame], true)
    again = simulator.clone().observe().tracks
    torch.testing.assert_close(again.states, simulator.observe().tracks.states)


def test_who_leaves_the_recording_drives_on():
    """Straight, as it last was; until then, as recorded."""
    scene = Scene.build([dense_recording()])
    vehicle = torch.tensor([[0, 5]])
    last = scene.last_frame[vehicle[0]]
    frame = last.max()[None, None] + torch.tensor([[-100, -1, 0, 7, 20]])
    told, (states, known) = (
        extrapolated_states(scene, vehicle, frame),
        states_at(scene, vehicle, frame),
    )
    assert torch.equal(told[known], states[known])
    for slot, number in enumerate(vehicle[0]):
        x, y, heading, speed = scene.state(number, last[slot]).tolist()
        late_s = (frame[0, -1] - last[slot]).item() * scene.dt_s
        expected = [
            x + speed * late_s * math.cos(heading), y + speed * late_s * math.sin(heading),
            heading, speed,
        ]  # fmt: skip
        assert late_s > 0
        torch.testing.assert_close(told[0, slot, -1], torch.tensor(expected), rtol=1e-4, atol=1e-3)
