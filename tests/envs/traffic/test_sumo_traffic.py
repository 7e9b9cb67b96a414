"""SUMO as the others; what needs SUMO itself skips where it is not installed."""

import functools
import importlib.util

import numpy as np
import pytest
import torch

from data.traffic import PRESETS, generate
from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.world import World
from envs.traffic import sumo
from envs.traffic.registry import traffic_by_name
from envs.traffic.sumo_network import edges, network
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording

STATES_ONLY = SimulatorConfig(observation=None)
needs_sumo = pytest.mark.skipif(
    importlib.util.find_spec("libsumo") is None, reason="SUMO is not installed: extra 'sumo'"
)


@functools.cache
def dense_world() -> World:
    return World.build([generate(PRESETS["dense"], 8.0, seed=3)], ScenarioConfig(distance_m=30.0))


def among_sumo(world: World, envs) -> Simulator:
    traffic = traffic_by_name("sumo", world.scene, world.recordings)
    simulator = Simulator(world.scene, world.road_map, STATES_ONLY, traffic)
    simulator.reset(world.scenarios[envs])
    return simulator


def shapes(lane) -> np.ndarray:
    return np.array([[float(v) for v in p.split(",")] for p in lane.get("shape").split()])


def test_lanes_lie_where_the_roads_do():
    road = dense_world().recordings[0].road
    root = network(road)
    seen = set()
    for name in edges(root):
        lanes = root.findall(f"edge[@id='{name}']/lane")
        lines = [shapes(lane) for lane in lanes]
        x = np.mean([line[[0, -1], 0].clip(0.0, 500.0) for line in lines])
        middle = np.array([[x, np.interp(x, *line.T)] for line in lines])
        assert (np.diff(middle[:, 1]) > 0).all(), "SUMO counts from the right"
        found = road.lane_index(middle)
        assert (found >= 0).all() and len({*found}) == len(lanes)
        seen |= {*found}
    assert seen == set(range(road.lanes))
    # The ramp ends; every other lane goes on.
    ends = {(c.get("from"), c.get("fromLane")) for c in root.findall("connection")}
    lanes = {
        (edge.get("id"), lane.get("index"))
        for edge in root.findall("edge")[:-1]
        for lane in edge.findall("lane")
    }
    assert len(lanes - ends) == 1


def test_a_bent_road():
    angle = np.linspace(0.0, 1.0, 30)
    radius = np.array([104.0, 100.0, 96.0])
    lines = [r * np.stack([np.sin(angle), 1 - np.cos(angle)], 1) for r in radius]
    lines = [line + np.array([0.0, 100.0 - r]) for line, r in zip(lines, radius, strict=True)]
    # The outer circle lies to the right of traffic that turns left.
    root = network(Road.from_lanes([(lines[2], lines[1]), (lines[1], lines[0])]))
    right, left = root.findall("edge[@id='0']/lane")
    centre = np.array([0.0, 100.0])
    for lane, r in ((right, 102.0), (left, 98.0)):
        inside = shapes(lane)[2:-2]
        np.testing.assert_allclose(np.linalg.norm(inside - centre, axis=1), r, atol=0.1)


def test_roads_that_sumo_cannot_be_given():
    lane = np.array([[0.0, 2.0], [100.0, 2.0]]), np.array([[0.0, -2.0], [100.0, -2.0]])
    against = tuple(side[::-1] + np.array([0.0, 8.0]) for side in lane)
    for lanes, message in (([], "no lanes"), ([lane, against], "both directions")):
        with pytest.raises(InputError, match=message):
            network(Road.from_lanes(lanes))


def test_without_sumo_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sumo.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[sumo\]'"):
        traffic_by_name("sumo", dense_world().scene, dense_world().recordings)


@needs_sumo
def test_vehicles_drive_on_without_jumps():
    """Each moves by its mean velocity, also when it is handed over in the middle of a change."""
    world = dense_world()
    simulator = among_sumo(world, slice(2))
    before, moves = {}, []
    for step in range(30):
        others = simulator.neighbours()
        there = others.valid[0]
        speed = others.speed_mps[0, :, None]
        heading = others.boxes[0, :, 2:3]
        velocity = speed * torch.cat([heading.cos(), heading.sin()], dim=1)
        table = torch.cat([others.boxes[0, :, :3], velocity], dim=1)[there]
        now = dict(zip(others.vehicle[0][there].tolist(), table, strict=True))
        moves += [torch.stack([before[k], now[k]]) for k in now.keys() & before.keys()]
        before = now
        assert not simulator.step(torch.zeros(2, 2)).done[0]
        if step == 0:
            recorded = world.scene.neighbours(simulator.frame, simulator.vehicle)
            assert abs(int(recorded.valid[0].sum()) - len(now)) <= 3
    assert len(before) > 100
    first, then = torch.stack(moves).unbind(1)
    slip = (then - first)[:, :2] - 0.05 * (first + then)[:, 3:]
    # SUMO moves by the new speed, not by the mean of both: half of 0.1 s at up to 9 m/s2.
    assert slip.norm(dim=1).max() <= 0.05
    assert (then - first)[:, 2].abs().max() <= 0.1
    assert first[:, 2].abs().max() > 0.05, "a vehicle is handed over at an angle to its lane"


@needs_sumo
def test_they_brake_for_an_ego_that_stops():
    cars = [Car(x_m=60.0, lane=1, speed_mps=10.0), Car(x_m=30.0, lane=1, speed_mps=10.0)]
    world = World.build([straight_recording(cars, 160, lanes=2)], ScenarioConfig(distance_m=40.0))
    simulator = among_sumo(world, world.scenarios.vehicle == 0)
    for _ in range(60):
        result = simulator.step(torch.tensor([[-3.0, 0.0]]))
    others = simulator.neighbours()
    assert others.speed_mps[0][others.valid[0]][0] < 2.5
    assert int(result.collision_kind[0]) == 0


@needs_sumo
def test_the_same_episode_twice_in_any_slot():
    world = dense_world()

    def drive(simulator: Simulator, env: int) -> torch.Tensor:
        for _ in range(15):
            simulator.step(torch.zeros(simulator.envs, 2))
        return simulator.neighbours().boxes[env]

    simulator = among_sumo(world, [5, 2])
    first = drive(simulator, 1)
    simulator.reset(world.scenarios[[5, 2]])
    again = drive(simulator, 1)
    alone = drive(among_sumo(world, [2]), 0)
    assert torch.equal(first, again) and torch.equal(first, alone)
    with pytest.raises(InputError, match="cannot be cloned"):
        simulator.clone()
    with pytest.raises(InputError, match="at most 16"):
        simulator.reset(world.scenarios[np.zeros(17, int)])
