"""Others that react: replayed until disturbed, or driven from the start."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from data.traffic import PRESETS, generate
from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.termination import CollisionKind, Outcome
from envs.core.world import World
from envs.traffic.drivers import HARDEST_BRAKING_MPS2
from envs.traffic.reactive import Reactive
from envs.traffic.registry import traffic_by_name
from ppuu.geometry import boxes_overlap, wrap_angle
from ppuu.kinematics import infer_actions
from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError
from tests.helpers import LANE_WIDTH_M, Car, straight_recording

STATES_ONLY = SimulatorConfig(observation=None)
DRIVEN = ("until-disturbed", "reactive")


@functools.cache
def dense() -> Recording:
    return generate(PRESETS["dense"], 40.0, seed=3)


@functools.cache
def world_of_dense() -> World:
    return World.build([dense()], ScenarioConfig(distance_m=60.0))


def simulator_in(name: str, world: World) -> Simulator:
    traffic = traffic_by_name(name, world.scene, world.recordings)
    return Simulator(world.scene, world.road_map, STATES_ONLY, traffic)


def ego_among(name, cars, vehicle=0, frames=160, road=None, **rules):
    """One episode with ``vehicle`` of these cars as ego."""
    recording = straight_recording(cars, frames)
    world = World.build([recording], ScenarioConfig(**rules))
    simulator = simulator_in(name, world)
    simulator.reset(world.scenarios[world.scenarios.vehicle == vehicle])
    return simulator


def human_action(simulator: Simulator) -> torch.Tensor:
    now = simulator.state.double()
    then = simulator.scene.state(simulator.vehicle, simulator.frame + 1).double()
    positions = torch.stack([now[:, :2], then[:, :2]], dim=1)
    actions, _ = infer_actions(positions, now[:, 2], now[:, 3], simulator.scene.dt_s)
    return actions[:, 0].float()


def others_by_number(simulator: Simulator, env: int = 0) -> dict[int, torch.Tensor]:
    """Box and speed of every vehicle that one environment meets."""
    found = simulator.neighbours()
    there = found.valid[env]
    rows = torch.cat([found.boxes[env], found.speed_mps[env, :, None]], dim=1)[there]
    return dict(zip(found.vehicle[env][there].tolist(), rows, strict=True))


def run(simulator: Simulator, steps: int, action=(0.0, 0.0)):
    actions = torch.tensor([action]).expand(simulator.envs, 2)
    for _ in range(steps):
        result = simulator.step(actions)
    return result


def test_names():
    world = world_of_dense()
    with pytest.raises(InputError, match=r"'ghosts'.*replay, until-disturbed.*, reactive"):
        traffic_by_name("ghosts", world.scene, world.recordings)
    with pytest.raises(InputError, match="reactive:rude: no population 'rude'; choose polite"):
        traffic_by_name("reactive:rude", world.scene, world.recordings)
    with pytest.raises(InputError, match="replay:polite: write --others replay"):
        traffic_by_name("replay:polite", world.scene, world.recordings)
    for name in ("replay", *DRIVEN, "until-disturbed:polite", "reactive:assertive", "policy:idm"):
        assert traffic_by_name(name, world.scene, world.recordings).state_dict() is not None


def test_a_road_without_lanes_is_refused():
    world = world_of_dense()
    unmarked = dataclasses.replace(dense(), road=Road.from_lanes([]))
    for name in DRIVEN:
        with pytest.raises(InputError, match="no lanes"):
            traffic_by_name(name, world.scene, [unmarked])


def test_until_disturbed_is_the_recording_while_the_ego_drives_as_the_human_did():
    world = world_of_dense()
    simulator, replay = (simulator_in(name, world) for name in ("until-disturbed", "replay"))
    chosen = world.scenarios[np.linspace(0, len(world.scenarios) - 1, 6).astype(int)]
    for each in (simulator, replay):
        each.reset(chosen)
    while not replay.done.all():
        action = human_action(replay)
        a, b = simulator.step(action), replay.step(action)
        assert torch.equal(a.state, b.state) and torch.equal(a.outcome, b.outcome)
        assert torch.equal(a.clearance_m, b.clearance_m)
    for env in range(0, simulator.envs, 5):
        ours, theirs = others_by_number(simulator, env), others_by_number(replay, env)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[number], theirs[number]) for number in ours)
    assert (replay.outcome == Outcome.ARRIVED).all()


@pytest.mark.parametrize(("behind_m", "braking"), [(9.0, -3.0), (30.0, -1.5)])
def test_a_braking_ego_is_not_hit_from_behind(behind_m, braking):
    cars = [Car(60.0, lane=1), Car(60.0 - behind_m, lane=1), Car(20.0 - behind_m, lane=1)]
    blind = run(ego_among("replay", cars, minimum_frames=30), 120, (braking, 0.0))
    assert blind.collision_kind[0] == CollisionKind.REAR
    for name in DRIVEN:
        simulator = ego_among(name, cars, minimum_frames=30)
        result = run(simulator, 120, (braking, 0.0))
        assert result.outcome[0] != Outcome.COLLISION, name
        others = others_by_number(simulator)
        if name == "until-disturbed":
            assert others[1][-1] < 0.3 and others[2][0] < others[1][0] - 4.5
            assert others[1][0] == pytest.approx(float(result.state[0, 0]) - 4.5 - 2, abs=2.0)


def test_who_is_not_concerned_goes_on_as_recorded():
    """The ego stops; only the follower in its lane is handed over, and its follower in turn."""
    cars = [Car(60.0, lane=1), Car(45.0, lane=1), Car(25.0, lane=1), Car(44.0), Car(75.0, lane=1)]
    simulator = ego_among("until-disturbed", cars, minimum_frames=30)
    run(simulator, 100, (-2.0, 0.0))
    others = others_by_number(simulator)
    recorded = simulator.scene.state(torch.arange(5), simulator.frame.expand(5))
    for number in (3, 4):
        assert torch.equal(others[number][0], recorded[number, 0])
    assert all(others[number][0] < recorded[number, 0] - 5.0 for number in (1, 2))


def test_a_cut_in_hands_over_who_is_cut_off():
    cars = [Car(50.0, lane=0, speed_mps=8.0), Car(25.0, lane=1, speed_mps=12.0)]
    simulator = ego_among("until-disturbed", cars, minimum_frames=30)
    half = torch.tensor([[0.0, 0.02]])
    for step in range(120):
        turned = float(simulator.state[0, 2])
        aim = (1.5 * LANE_WIDTH_M - float(simulator.state[0, 1])) * 0.05
        simulator.step(half * (10.0 * (aim - turned)))
        assert simulator.collision_kind[0] == CollisionKind.NONE, step
    assert abs(float(simulator.state[0, 1]) - 1.5 * LANE_WIDTH_M) < 0.5
    box = others_by_number(simulator)[1]
    assert box[0] < simulator.state[0, 0] - 4.5 and box[-1] < 9.5


def test_a_vehicle_that_enters_waits_for_room_and_is_left_out_in_the_end():
    """The ego stands where vehicle 1 was recorded to appear a little later."""
    cars = [Car(0.0, lane=1, speed_mps=4.0), Car(6.0, lane=1, first_frame=45, frames=100)]
    simulator = ego_among("until-disturbed", cars, minimum_frames=30)
    run(simulator, 60, (-4.0, 0.0))
    assert others_by_number(simulator) == {}
    assert (simulator.traffic.state_dict()["waiting"] == 1).any()
    run(simulator, 40, (0.0, 0.0))
    assert (simulator.traffic.state_dict()["waiting"] == -1).all()


def rollout(name: str, steps: int, envs: int = 4):
    """The tables frame by frame, around the humans with the longest tracks, and the last frame."""
    world = world_of_dense()
    scene = world.scene
    traffic = traffic_by_name(name, scene, world.recordings)
    ego = scene.row_pointer.diff().argsort(descending=True)[:envs]
    slots, frame = torch.arange(envs), scene.first_frame[ego] + 10
    traffic.reset(slots, ego, frame)
    frames = []
    for _ in range(steps):
        state = scene.state(ego, frame)
        frame = frame + 1
        box = torch.cat([state[:, :3], scene.size_m[ego]], dim=1)
        traffic.advance(slots, frame, box, state[:, 3])
        frames.append(traffic.state_dict())
    assert (frame <= scene.last_frame[ego]).all()
    return scene, frame, frames


@pytest.fixture(scope="module")
def reactive_frames():
    return rollout("reactive", 120)


def test_motion_within_bounds(reactive_frames):
    scene, _, frames = reactive_frames
    dt_s = scene.dt_s
    drivers = Reactive(scene, world_of_dense().recordings).drivers
    for before, after in zip(frames[:-1], frames[1:], strict=True):
        same = (before["vehicle"] == after["vehicle"]) & (after["vehicle"] >= 0)
        change = (after["speed_mps"] - before["speed_mps"])[same] / dt_s
        largest = drivers.of(after["vehicle"][same]).idm.max_acceleration_mps2
        assert (change <= largest + 1e-3).all()
        assert change.min() >= -HARDEST_BRAKING_MPS2 - 1e-3
        assert after["speed_mps"][same].min() >= 0
        way = after["boxes"][same][:, :2] - before["boxes"][same][:, :2]
        heading = before["boxes"][same][:, 2]
        moved = way.norm(dim=1) > 0.05
        bearing = torch.atan2(way[:, 1], way[:, 0])
        assert wrap_angle(bearing - heading)[moved].abs().max() < 0.1
        assert heading.abs().max() < 0.5


def test_driven_vehicles_hardly_ever_overlap(reactive_frames):
    """At most two in a thousand: some begin astride a line, beside somebody."""
    _, _, frames = reactive_frames
    overlaps, count = 0, 0
    for rows in frames[::10]:
        for env in range(len(rows["vehicle"])):
            boxes = rows["boxes"][env][rows["vehicle"][env] >= 0]
            first, second = torch.triu_indices(len(boxes), len(boxes), 1)
            overlaps += int(boxes_overlap(boxes[first], boxes[second]).sum())
            count += len(boxes)
    assert count > 5000
    assert overlaps / count <= 0.002


def test_traffic_stays_as_dense_and_as_fast_as_recorded(reactive_frames):
    scene, frame, frames = reactive_frames
    there = frames[-1]["vehicle"] >= 0
    recorded = scene.occupant[frame] >= 0
    inside = there & (frames[-1]["boxes"][..., 0] < 500.0)
    assert inside.sum() / recorded.sum() == pytest.approx(1.0, abs=0.15)
    mean = scene.speed_mps[frame][recorded].mean()
    assert frames[-1]["speed_mps"][there].mean() / mean == pytest.approx(1.0, abs=0.3)


def test_lane_changes_begin_only_into_gaps_and_take_their_time(reactive_frames):
    _, _, frames = reactive_frames
    began, finished = 0, 0
    for before, after in zip(frames[:-1], frames[1:], strict=True):
        same = (before["vehicle"] == after["vehicle"]) & (after["vehicle"] >= 0)
        starts = same & (before["progress"] >= 1) & (after["progress"] < 1)
        for env, slot in starts.nonzero().tolist():
            began += 1
            box, boxes = before["boxes"][env, slot], before["boxes"][env]
            beside = (boxes[:, 1] - box[1] - after["shift_m"][env, slot]).abs() < 1.5
            clear = (boxes[:, 0] - box[0]).abs() - 0.5 * (boxes[:, 3] + box[3])
            assert (clear[beside & (before["vehicle"][env] >= 0)] > 1.4).all()
        finished += int((same & (before["progress"] < 1) & (after["progress"] >= 1)).sum())
        gone_on = (after["progress"] - before["progress"])[same]
        assert gone_on[gone_on > 0].numel() == 0 or gone_on.max() <= 0.1 / 5.0 + 1e-5
    assert began > 3 and finished > 3


@pytest.mark.parametrize("name", DRIVEN)
def test_environments_do_not_touch_each_other(name):
    """Three together equal each one alone; one is started anew while the others go on."""
    world = world_of_dense()
    chosen = world.scenarios[[0, 7, 11]]
    together = simulator_in(name, world)
    together.reset(chosen)
    alone = [simulator_in(name, world) for _ in range(3)]
    for index, each in enumerate(alone):
        each.reset(chosen[index])
    action = torch.tensor([[-2.0, 0.0], [0.0, 0.0], [0.5, 0.001]])
    for step in range(40):
        if step == 20:
            together.replace([1], world.scenarios[20])
            alone[1].reset(world.scenarios[20])
        together.step(action)
        for index, each in enumerate(alone):
            each.step(action[index : index + 1])
    for index, each in enumerate(alone):
        ours, theirs = others_by_number(together, index), others_by_number(each)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[n], theirs[n]) for n in ours)
        assert torch.equal(together.state[index], each.state[0])


@pytest.mark.parametrize("name", DRIVEN)
def test_state_dict_goes_on_and_select_is_a_copy(name):
    world = world_of_dense()
    simulator = simulator_in(name, world)
    simulator.reset(world.scenarios[[0, 5]])
    run(simulator, 20, (-1.0, 0.0))
    saved = simulator.state_dict()
    other = simulator_in(name, world)
    other.load_state_dict(saved)
    picked = simulator.select([1, 0, 1])
    run(picked, 5, (1.0, 0.0))
    for each in (simulator, other):
        run(each, 30, (-1.0, 0.0))
    a, b = others_by_number(simulator, 1), others_by_number(other, 1)
    assert a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_a_lane_that_ends_is_left_in_time():
    """Vehicles on the ramp merge; one that finds no gap waits before its end."""
    main = Road.straight(600.0, 2, LANE_WIDTH_M, start_m=-100.0)
    stations = np.array([-100.0, 200.0, 240.0])
    edges = [
        np.stack([stations, y], 1) for y in (np.zeros(3), LANE_WIDTH_M * np.array([-1, -1, 0]))
    ]
    road = Road.from_lanes([main.lane(0), main.lane(1), (edges[0], edges[1])])
    cars = [Car(-40.0, lane=1), Car(60.0, lane=-1, speed_mps=12.0), Car(30.0, lane=-1)]
    recording = straight_recording(cars, frames=400)
    fields = {**recording.__dict__, "road": road}
    fields = {k: fields[k] for k in Recording.__dataclass_fields__}
    world = World.build([Recording(**fields)], ScenarioConfig(distance_m=300.0))
    simulator = simulator_in("reactive", world)
    simulator.reset(world.scenarios[world.scenarios.vehicle == 0])
    run(simulator, 200)
    others = others_by_number(simulator)
    assert all(others[number][1] > 0.0 for number in (1, 2) if number in others)
