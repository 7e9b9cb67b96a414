"""Drivers with parameters of their own, which know nothing of the future."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from data.traffic import PRESETS, generate
from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.world import World
from envs.traffic.drivers import Drivers
from envs.traffic.population import ASSERTIVE, MIXED, POLITE, Population
from envs.traffic.registry import traffic_by_name
from ppuu.driving.lorries import LORRY_LENGTH_M
from ppuu.geometry import boxes_overlap
from ppuu.recordings.lanes import LaneField
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from tests.helpers import Car, straight_recording


@functools.cache
def dense() -> Recording:
    return generate(PRESETS["dense"], 30.0, seed=3)


def drivers_of(*recordings: Recording, population: Population = MIXED) -> Drivers:
    field = LaneField.build([recording.road for recording in recordings])
    names = [recording.name for recording in recordings]
    return Drivers.draw(Scene.build(recordings), field, names, population)


def recording_of(cars, name="straight") -> Recording:
    return straight_recording(cars, frames=5, name=name)


def test_drivers_differ_but_not_with_what_else_is_in_the_scene():
    other = recording_of([Car(30.0 * k) for k in range(7)], name="other")
    alone = drivers_of(dense()).parameters
    count = alone.shape[1]
    for parameters in (
        drivers_of(dense(), other).parameters[:, :count],
        drivers_of(other, dense()).parameters[:, 7:],
    ):
        assert torch.equal(parameters, alone)
    headway, jam_gap, acceleration = alone[1:4]
    for values in (headway, jam_gap, acceleration):
        assert len(values.unique()) > 0.9 * count and values.std() > 0.2 * values.mean()


def test_another_name_means_other_drivers():
    cars = [Car(30.0 * k) for k in range(7)]
    first, second = (drivers_of(recording_of(cars, name)).idm for name in ("one", "two"))
    assert (first.time_headway_s != second.time_headway_s).all()


def test_a_longer_vehicle_gets_a_lorry_driver_and_the_others_keep_theirs():
    cars = [Car(30.0 * k, speed_mps=40.0, length_m=LORRY_LENGTH_M - 0.1) for k in range(9)]
    longer = [*cars[:4], dataclasses.replace(cars[4], length_m=LORRY_LENGTH_M + 0.1), *cars[5:]]
    before, after = (drivers_of(recording_of(some)).parameters for some in (cars, longer))
    same = (before == after).all(0)
    assert same.tolist() == [k != 4 for k in range(9)]


def test_nobody_desires_more_than_prevails_in_its_lane_or_less_than_it_drives():
    """No free road: all drawn speeds (29 m/s in the mean) exceed what prevails in lanes 0 and 1."""
    speeds = np.linspace(8.0, 12.0, 9), np.linspace(14.0, 18.0, 9)
    cars = [
        Car(50.0 * k, lane, float(speed))
        for lane, column in enumerate(speeds)
        for k, speed in enumerate(column)
    ]
    # Two vehicles tell nothing of a third lane: there all lanes' speeds are taken.
    cars += [Car(0.0, 2, 2.0), Car(50.0, 2, 3.0)]
    desired = drivers_of(recording_of(cars)).idm.desired_speed_mps.numpy()
    everybody = np.concatenate([*speeds, [2.0, 3.0]])
    for lane, column in enumerate(speeds):
        limit = np.percentile(column, 98)
        expected = np.maximum(column, limit)
        np.testing.assert_allclose(desired[9 * lane : 9 * lane + 9], expected, rtol=1e-6)
    np.testing.assert_allclose(desired[18:], np.percentile(everybody, 98), rtol=1e-6)


def test_on_a_free_road_desired_speeds_are_the_drivers_own():
    cars = [Car(5.0 * k, k // 4 % 2, 39.0 if k % 4 == 0 else 20.0) for k in range(160)]
    desired = drivers_of(recording_of(cars)).idm.desired_speed_mps
    slow = desired[torch.arange(160) % 4 != 0]
    assert len(slow.unique()) > 100
    assert float(slow.mean()) == pytest.approx(29.0, abs=1.0)


def test_in_a_standing_queue_drivers_still_want_to_go_on():
    desired = drivers_of(recording_of([Car(9.0 * k, speed_mps=0.0) for k in range(8)])).idm[0]
    torch.testing.assert_close(desired, torch.full((8,), 5.0))


def test_mixed_drivers_are_the_more_assertive_the_shorter_their_fitted_headways():
    mixed = drivers_of(dense())
    trait, headway = mixed.manners.assertiveness, mixed.idm.time_headway_s
    assert (trait[headway.argsort()].diff() <= 0).all()
    assert 0.0 <= trait.min() < 0.05 and 0.95 < trait.max() <= 1.0
    assert float(trait.mean()) == pytest.approx(0.5, abs=0.08)


def test_populations_scale_headways_and_leave_the_rest_of_following():
    mixed = drivers_of(dense())
    for population, trait in ((POLITE, 0.0), (ASSERTIVE, 1.0)):
        drivers = drivers_of(dense(), population=population)
        assert (drivers.manners.assertiveness == trait).all()
        expected = population.headway * mixed.idm.time_headway_s
        torch.testing.assert_close(drivers.idm.time_headway_s, expected)
        assert torch.equal(drivers.parameters[2:5], mixed.parameters[2:5])
        assert torch.equal(drivers.parameters[0], mixed.parameters[0])


def test_every_driver_settles_at_a_gap_of_its_own():
    """Behind a leader at 4 m/s: (s0 + v T) / sqrt(1 - (v / v0)^4), Treiber et al. (2000)."""
    drivers = drivers_of(dense())
    leader = torch.full((drivers.parameters.shape[1],), 4.0)
    gap, speed = leader * 10.0, leader.clone()
    for _ in range(3000):
        acceleration = drivers.acceleration_mps2(speed, gap, leader)
        speed = speed + 0.1 * acceleration
        gap = gap + 0.1 * (leader - speed)
    desired, headway, jam_gap, _, _ = drivers.idm
    equilibrium = (jam_gap + 4.0 * headway) / (1.0 - (4.0 / desired) ** 4).sqrt()
    torch.testing.assert_close(speed, leader, atol=1e-2, rtol=0)
    torch.testing.assert_close(gap, equilibrium, atol=0.05, rtol=0)
    assert equilibrium.std() > 1.0


def reactive_tables(recording: Recording, ego: int, start: int, steps: int):
    """The tables frame by frame, around a recorded ego."""
    scene = Scene.build([recording])
    traffic = traffic_by_name("reactive", scene, [recording])
    vehicle, frame = torch.tensor([ego]), torch.tensor([start])
    env = torch.zeros(1, dtype=torch.int64)
    traffic.reset(env, vehicle, frame)
    tables = []
    for _ in range(steps):
        state = scene.state(vehicle, frame)
        frame = frame + 1
        box = torch.cat([state[:, :3], scene.size_m[vehicle]], dim=1)
        traffic.advance(env, frame, box, state[:, 3])
        tables.append(traffic.state_dict())
    return tables


def test_reactive_traffic_knows_nothing_of_what_follows_an_appearance():
    """All tracks but the ego's are changed from their appearance on: nothing else is different.

    A vehicle appears where the episode starts or, later, where its track does.
    """
    recording, steps = dense(), 150
    length = np.diff(recording.vehicle_pointer)
    ego = int(length.argmax())
    start = int(recording.first_frame[ego]) + 10
    assert length[ego] > steps + 10
    appears = np.maximum(recording.first_frame, start)[recording.row_vehicle]
    later = (recording.frame > appears) & (recording.row_vehicle != ego)
    changed = dataclasses.replace(
        recording,
        x_m=recording.x_m + 40.0 * later,
        y_m=recording.y_m + 1.5 * later,
        heading_rad=recording.heading_rad + 0.2 * later.astype(np.float32),
        speed_mps=recording.speed_mps * np.where(later, 3.0, 1.0).astype(np.float32),
    )
    true, other = (reactive_tables(one, ego, start, steps) for one in (recording, changed))
    entered = set(true[-1]["vehicle"].unique().tolist()) - set(true[0]["vehicle"].unique().tolist())
    assert len(entered) > 10
    for a, b in zip(true, other, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)
    # How vehicles appear does count.
    entry = (recording.frame == appears) & (appears > start)
    speed = recording.speed_mps - np.where(entry, 0.5, 0.0).astype(np.float32).clip(0.0)
    slower = dataclasses.replace(recording, speed_mps=speed.clip(0.0))
    last = reactive_tables(slower, ego, start, steps)[-1]
    assert not torch.equal(last["boxes"], true[-1]["boxes"])


def test_a_vehicle_that_appears_in_a_lane_change_waits_for_room_in_the_new_lane():
    """It is recorded to appear beside another one, on its way to the lane of that."""
    cars = [
        Car(150.0, lane=2, speed_mps=8.0),
        Car(0.0, lane=0, speed_mps=8.0),
        Car(32.0, lane=1, speed_mps=8.0, first_frame=40, to_lane=0, change_frame=33),
    ]
    recording = straight_recording(cars, frames=160)
    world = World.build([recording], ScenarioConfig(distance_m=100.0))
    traffic = traffic_by_name("reactive", world.scene, world.recordings)
    simulator = Simulator(world.scene, world.road_map, SimulatorConfig(observation=None), traffic)
    simulator.reset(world.scenarios[world.scenarios.vehicle == 0])
    appears = None
    while int(simulator.frame[0]) < 100:
        simulator.step(torch.zeros(1, 2))
        others = simulator.neighbours()
        boxes = others.boxes[0][others.valid[0]]
        if appears is None and len(boxes) == 2:
            appears = int(simulator.frame[0])
        assert not boxes_overlap(boxes[:1].expand_as(boxes[1:]), boxes[1:]).any()
    assert appears is not None and 43 < appears < 90
