"""The batched simulator: outcomes, collisions, observations, and independence of the slots."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from envs.core.route import follow, route_nodes
from envs.core.scenario import ScenarioConfig, list_scenarios
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.termination import CollisionKind, Outcome
from envs.core.world import World
from ppuu.driving.vehicle_limits import CAR
from ppuu.geometry import boxes_overlap, clearance
from ppuu.kinematics import infer_actions
from ppuu.perception.observation import ObservationConfig, observe
from ppuu.perception.raster_image import RasterConfig
from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError
from tests.helpers import LANE_WIDTH_M, Car, dense_recording, straight_recording

STATES_ONLY = SimulatorConfig(observation=None)


def start(recording: Recording, scenarios: ScenarioConfig | None = None, config=STATES_ONLY):
    world = World.build([recording], scenarios)
    simulator = Simulator(world.scene, world.road_map, config)
    simulator.reset(world.scenarios)
    return simulator


def drive(simulator: Simulator, action=(0.0, 0.0), steps: int = 10_000):
    """Repeats one action for all until every episode has ended."""
    actions = torch.tensor([action]).expand(simulator.envs, 2)
    for _ in range(steps):
        result = simulator.step(actions)
        if result.done.all():
            return result
    raise AssertionError("the episodes go on")


def ego_among(cars, vehicle=0, frames=120, **rules):
    """A simulator with one episode: ``vehicle`` of these cars as ego."""
    recording = straight_recording(cars, frames)
    world = World.build([recording], ScenarioConfig(**rules) if rules else None)
    simulator = Simulator(world.scene, world.road_map, STATES_ONLY)
    simulator.reset(world.scenarios[world.scenarios.vehicle == vehicle])
    return simulator


def test_arrival():
    simulator = ego_among([Car(0.0, speed_mps=20.0)], frames=200)
    result = drive(simulator)
    assert result.outcome[0] == Outcome.ARRIVED
    assert result.steps[0] == 108
    assert result.distance_m[0] == pytest.approx(216.0, abs=1e-2)
    assert simulator.human_distance_m[0] == pytest.approx(216.0, abs=1e-2)
    assert result.clearance_m[0] == math.inf and result.time_to_collision_s[0] == math.inf


def test_timeout_of_who_stops():
    simulator = ego_among([Car(0.0, speed_mps=20.0)], frames=200, time_limit_s=15.0)
    result = drive(simulator, (-2.0, 0.0))
    assert result.outcome[0] == Outcome.TIMEOUT and result.steps[0] == 150
    assert result.state[0, 3] == 0.0
    assert result.distance_m[0] == pytest.approx(0.5 * 20.0**2 / 2.0, abs=1.0)


def test_most_of_the_humans_way_is_enough_where_the_window_ends():
    result = drive(ego_among([Car(0.0)], frames=100))
    assert result.outcome[0] == Outcome.ARRIVED and result.frame[0] == 99
    # At 10 m/s the human drives 89 m; braking at 0.15 m/s² loses 6 m of them, at 0.4 m/s² 16 m.
    for braking, outcome in ((0.15, Outcome.ARRIVED), (0.4, Outcome.STALLED)):
        result = drive(ego_among([Car(0.0)], frames=100), (-braking, 0.0))
        assert result.outcome[0] == outcome and result.frame[0] == 99


def test_full_braking_is_no_success():
    """It was (E2): without a goal line, to stand after 8 m counted as survival."""
    result = drive(ego_among([Car(0.0)], frames=120), (-6.0, 0.0))
    assert result.outcome[0] == Outcome.STALLED and result.distance_m[0] < 9.0


def test_arrival_where_the_human_left():
    """A faster ego leaves the section before the human does; no road is recorded beyond."""
    simulator = ego_among([Car(0.0, frames=80), Car(0.0, lane=2)], frames=100)
    result = drive(simulator, (1.0, 0.0))
    assert result.outcome[0] == Outcome.ARRIVED and result.frame[0] < 79
    assert result.state[0, 0] >= 79.0


def test_wrong_way():
    """Turned round on a wide road, the ego may face backwards for a second, no longer."""
    simulator = ego_among([Car(0.0, lane=1)], frames=200)
    simulator.state[:, 2] = math.pi
    simulator.state[:, 3] = 0.0
    result = drive(simulator)
    assert result.outcome[0] == Outcome.WRONG_WAY and result.steps[0] == 10


def test_a_goal_line_behind_a_turn_is_not_passed_at_the_start():
    """It was (E1): the goal's half-plane held the start where the human turned round."""
    recording = straight_recording([Car(0.0)], frames=300)
    angle = (np.pi * recording.frame / 150.0).clip(0.0, np.pi)
    radius = 10.0 * 15.0 / np.pi
    straight = 10.0 * 0.1 * (recording.frame - 150).clip(0)
    turned = dataclasses.replace(
        recording,
        x_m=radius * np.sin(angle) - straight,
        y_m=2.0 + radius * (1.0 - np.cos(angle)),
        heading_rad=angle,
        road=Road.straight(400.0, 30, LANE_WIDTH_M, start_m=-200.0),
    )
    world = World.build([turned])
    simulator = Simulator(world.scene, world.road_map, STATES_ONLY)
    simulator.reset(world.scenarios)
    assert simulator.goal_m[0] == 215.0
    assert drive(simulator).outcome[0] != Outcome.ARRIVED  # straight on, it never gets there
    simulator.reset(world.scenarios)
    curvature = torch.tensor([[0.0, 1.0 / radius]])
    for step in range(220):
        result = simulator.step(curvature if step < 140 else torch.zeros(1, 2))
        if result.done.all():
            break
    assert result.outcome[0] == Outcome.ARRIVED and result.distance_m[0] > 210.0


def test_a_route_that_crosses_itself_is_followed_locally():
    """On a loop the station grows steadily, though the nearest point of the whole path jumps."""
    radius = 20.0
    frame = np.arange(200)
    angle = frame / radius
    loop = np.stack([radius * np.sin(angle), radius * (1.0 - np.cos(angle))], axis=1)
    nodes = torch.from_numpy(route_nodes(loop, 60)).float()[None]
    station = torch.zeros(1)
    for k, (x, y) in enumerate(loop):
        state = torch.tensor([[x, y, angle[k], 10.0]], dtype=torch.float32)
        station, along = follow(nodes, station, state)
        assert station[0] == pytest.approx(k, abs=0.2) and along[0] > 0.9


@pytest.mark.parametrize("metres_per_pixel", [0.3, 0.617, 2.0, 5.0])
def test_the_road_is_judged_whatever_is_observed(metres_per_pixel):
    """It was not (E6): at coarser images the ego left the road up to 18 steps later."""
    recording = straight_recording([Car(0.0, lane=1)])
    raster = RasterConfig(32, 16, metres_per_pixel)
    world = World.build([recording], raster=raster)
    config = SimulatorConfig(ObservationConfig(raster=raster))
    simulator = Simulator(world.scene, world.road_map, config)
    simulator.reset(world.scenarios)
    result = drive(simulator, (0.0, 0.003))
    assert result.outcome[0] == Outcome.OFFROAD
    lane_edge = 3 * LANE_WIDTH_M
    before = result.state[0, 1] - 0.1 * result.state[0, 3] * result.state[0, 2].sin()
    assert before < lane_edge <= result.state[0, 1]


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_off_the_road(side):
    result = drive(ego_among([Car(0.0, lane=1)]), (0.0, 0.02 * side))
    assert result.outcome[0] == Outcome.OFFROAD
    beyond = result.state[0, 1] - (3 * LANE_WIDTH_M if side > 0 else 0.0)
    # The centre is over the edge, by less than a step.
    assert 0 < beyond * side < 1.0


def test_a_gap_between_lanes_narrower_than_the_car_is_no_verge():
    lanes = [Road.straight(300.0, 1, 4.0, -100.0), Road.straight(300.0, 1, 4.0, -100.0)]
    lanes = [lane.lane(0) for lane in lanes]
    for gap_m, outcome in ((0.8, Outcome.ARRIVED), (3.0, Outcome.OFFROAD)):
        shift = np.array([0.0, 4.0 + gap_m])
        road = Road.from_lanes([lanes[0], (lanes[1][0] + shift, lanes[1][1] + shift)])
        recording = straight_recording([Car(0.0), Car(0.0, lane=2)], frames=100)
        recording = dataclasses.replace(recording, road=road)
        world = World.build([recording])
        simulator = Simulator(world.scene, world.road_map, STATES_ONLY)
        simulator.reset(world.scenarios[0])
        # Along the middle of the gap.
        simulator.state[:, 1] = 4.0 + 0.5 * gap_m
        assert drive(simulator).outcome[0] == outcome


@pytest.mark.parametrize(
    ("other", "action", "kind", "at_fault"),
    [
        (Car(25.0, speed_mps=2.0), (0.0, 0.0), CollisionKind.FRONT, True),
        (Car(-30.0, speed_mps=16.0), (0.0, 0.0), CollisionKind.REAR, False),
        (Car(0.0, lane=1), (0.0, 0.01), CollisionKind.SIDE, True),
        (Car(0.0, lane=1, to_lane=0), (0.0, 0.0), CollisionKind.SIDE, True),
        # It pulls in just ahead, and slower.
        (Car(20.0, lane=1, speed_mps=7.0, to_lane=0, change_frame=10), (0.0, 0.0), None, True),
    ],
    ids=["rear-ends", "is rear-ended", "swerves", "is side-swiped", "is cut off"],
)
def test_collisions(other, action, kind, at_fault):
    simulator = ego_among([Car(0.0), other])
    before = simulator.clearance_m.clone()
    result = drive(simulator, action)
    assert result.outcome[0] == Outcome.COLLISION and result.hit_vehicle[0] == 1
    if kind is not None:
        assert result.collision_kind[0] == kind
    assert bool(result.at_fault[0]) == at_fault
    assert result.clearance_m[0] < 0 < before[0] and result.time_to_collision_s[0] == 0


def test_a_collision_is_noticed_in_the_frame_it_happens():
    # 25 m between centres, 4.5 m long, 8 m/s closing speed.
    result = drive(ego_among([Car(0.0), Car(33.0, speed_mps=2.0)]))
    assert result.steps[0] == math.floor((33.0 - 8.0 - 4.5) / 0.8) + 1


def test_clearance_and_collision_are_those_of_all_boxes():
    simulator = start(dense_recording())
    random = torch.Generator().manual_seed(0)
    touched = 0
    for _ in range(40):
        noise = torch.rand(simulator.envs, 2, generator=random) - 0.5
        result = simulator.step(noise * torch.tensor([8.0, 0.04]))
        others = simulator.neighbours()
        ego = simulator.ego_box[:, None].expand_as(others.boxes)
        gap = torch.where(others.valid, clearance(ego, others.boxes), math.inf).amin(1)
        hit = (boxes_overlap(ego, others.boxes) & others.valid).any(1)
        torch.testing.assert_close(result.clearance_m, gap)
        assert torch.equal(result.collision_kind != CollisionKind.NONE, hit)
        touched = int(hit.sum())
    assert 0 < touched < simulator.envs


def test_the_recorded_human_arrives():
    """Actions inferred from a lane change bring the ego to the goal without touching anyone."""
    cars = [Car(0.0, to_lane=1, speed_mps=20.0), Car(40.0, speed_mps=19.0), Car(-60.0, lane=1)]
    recording = straight_recording(cars, frames=200)
    simulator = ego_among(cars, frames=200)
    track = torch.tensor(recording.track(0))[10:]
    actions, _ = infer_actions(track[:, :2], track[0, 2], track[0, 3], 0.1, 6.0, 0.065)
    for action in actions.float():
        result = simulator.step(action[None])
        away = (result.state - simulator.human_state)[0]
        assert away[:2].abs().max() < 0.05 and away[2].abs() < 0.02
        if result.done[0]:
            break
    assert result.outcome[0] == Outcome.ARRIVED
    assert result.state[0, 1] == pytest.approx(1.5 * LANE_WIDTH_M, abs=0.05)


def test_actions_are_limited():
    simulator = ego_among([Car(0.0)])
    result = simulator.step(torch.tensor([[-1000.0, 1000.0]]))
    # In a frame the wheels turn by 0.04 rad.
    assert result.action[0].tolist() == pytest.approx(
        [-CAR.braking_mps2, math.tan(0.04) / CAR.wheelbase_m]
    )
    assert result.state[0, 3] == pytest.approx(10.0 - 0.8)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_actions_must_be_numbers(value):
    simulator = ego_among([Car(0.0)])
    with pytest.raises(InputError, match="env 0 is not a number"):
        simulator.step(torch.tensor([[0.0, value]]))
    with pytest.raises(InputError, match=r"take \(1, 2\)"):
        simulator.step(torch.zeros(3, 2))


def test_finished_episodes_stand_still():
    recording = straight_recording([Car(0.0), Car(25.0, speed_mps=2.0), Car(0.0, lane=2)])
    simulator = start(recording, config=SimulatorConfig())
    while not simulator.done[0]:
        result = simulator.step(torch.zeros(3, 2))
    seen = simulator.observe()
    action = torch.tensor([[math.nan, 5.0], [0.1, 0.0], [0.1, 0.0]])
    for _ in range(5):
        later = simulator.step(action)
    assert not later.moved[0] and later.moved[2]
    for key in ("state", "frame", "steps", "distance_m", "outcome", "clearance_m", "hit_vehicle"):
        assert torch.equal(getattr(later, key)[0], getattr(result, key)[0]), key
    now = simulator.observe()
    assert torch.equal(now.images[0], seen.images[0]) and torch.equal(now.ego[0], seen.ego[0])
    assert not torch.equal(now.images[2], seen.images[2])


@pytest.mark.parametrize("config", [ObservationConfig(), ObservationConfig(frames=5, stride=1)])
def test_observations_are_those_of_the_recording_while_the_ego_follows_it(config):
    recording = dense_recording()
    world = World.build([recording])
    simulator = Simulator(world.scene, world.road_map, SimulatorConfig(config))
    simulator.reset(world.scenarios)
    for _ in range(15):
        expected = observe(world.scene, world.road_map, config, simulator.vehicle, simulator.frame)
        seen = simulator.observe()
        torch.testing.assert_close(seen.ego, expected.ego, atol=1e-3, rtol=0)
        torch.testing.assert_close(seen.images, expected.images, atol=5e-3, rtol=0)
        assert torch.equal(seen.size_m, expected.size_m)
        simulator.step(torch.zeros(simulator.envs, 2))


def test_old_images_stay_where_the_ego_was():
    """Braking changes the present image only; the history holds what was seen."""
    simulator = start(dense_recording(), config=SimulatorConfig(ObservationConfig(4, 1)))
    before = simulator.observe()
    simulator.step(torch.tensor([[-6.0, 0.0]]).expand(simulator.envs, 2))
    after = simulator.observe()
    assert torch.equal(after.images[:, :-1], before.images[:, 1:])
    assert torch.equal(after.ego[:, :-1], before.ego[:, 1:])


def test_without_images_there_is_nothing_to_observe():
    with pytest.raises(InputError, match="draws no images"):
        start(dense_recording()).observe()


def test_a_history_that_reaches_back_too_far_is_refused():
    with pytest.raises(InputError, match="more context_frames"):
        start(dense_recording(), config=SimulatorConfig(ObservationConfig(20, 1)))


def episode(simulator: Simulator, env: int, actions: torch.Tensor) -> list[torch.Tensor]:
    """States of one slot under given actions, the others idle."""
    states = []
    for action in actions:
        batch = torch.zeros(simulator.envs, 2)
        batch[env] = action
        result = simulator.step(batch)
        states.append(torch.cat([result.state[env], result.clearance_m[env : env + 1]]))
    states.append(simulator.observe().images[env].flatten())
    return states


def test_slots_are_independent_and_replaced_at_will():
    """An episode is the same alone, in a batch, and in a slot used before."""
    world = World.build([dense_recording()])
    actions = 0.5 * torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    actions[:, 1] *= 0.01
    alone = Simulator(world.scene, world.road_map)
    alone.reset(world.scenarios[5])
    expected = episode(alone, 0, actions)
    batch = Simulator(world.scene, world.road_map)
    batch.reset(world.scenarios[:4])
    for _ in range(7):
        batch.step(torch.full((4, 2), 0.01))
    batch.replace([2], world.scenarios[5])
    for found, wanted in zip(episode(batch, 2, actions), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_two_recordings_in_one_simulator():
    one = straight_recording([Car(0.0), Car(25.0, speed_mps=2.0)])
    other = straight_recording([Car(0.0), Car(60.0)], frames=100, lanes=2)
    world = World.build([one, other])
    simulator = Simulator(world.scene, world.road_map)
    simulator.reset(world.scenarios)
    result = drive(simulator)
    outcomes = [Outcome(int(k)).name for k in result.outcome]
    assert outcomes == ["COLLISION", "COLLISION", "ARRIVED", "ARRIVED"]
    assert result.hit_vehicle.tolist() == [1, 0, -1, -1]
    assert simulator.road.tolist() == [0, 0, 1, 1]


def test_the_ego_does_not_meet_its_recorded_self():
    recording = straight_recording([Car(0.0)])
    simulator = start(recording)
    assert not simulator.neighbours().valid.any()
    assert list_scenarios(recording).vehicle.tolist() == [0]


def seen(simulator: Simulator) -> list[torch.Tensor]:
    """All that can be asked of a simulator, as tensors with one entry an episode."""
    observation = simulator.observe()
    result = dataclasses.astuple(simulator._result(~simulator.done))
    return [observation.images, observation.ego, observation.size_m, *result[1:]]


def wriggle(simulator: Simulator, steps: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        simulator.step(torch.randn(simulator.envs, 2, generator=random) * torch.tensor([2, 0.01]))


def test_a_saved_batch_of_episodes_goes_on_as_if_nothing_had_been():
    simulator = start(dense_recording(), config=SimulatorConfig())
    wriggle(simulator, 7, seed=0)
    saved = simulator.state_dict()
    wriggle(simulator, 9, seed=1)
    later = start(dense_recording(), config=SimulatorConfig())
    wriggle(later, 3, seed=5)
    later.load_state_dict(saved)
    wriggle(later, 9, seed=1)
    for ours, theirs in zip(seen(later), seen(simulator), strict=True):
        assert torch.equal(ours, theirs)


def test_copies_of_episodes_live_on_their_own():
    simulator = start(dense_recording(), config=SimulatorConfig())
    wriggle(simulator, 5, seed=0)
    before = [tensor.clone() for tensor in seen(simulator)]
    several = simulator.select([3, 0, 3])
    for ours, theirs in zip(seen(several), seen(simulator), strict=True):
        assert torch.equal(ours, theirs[[3, 0, 3]])
    several.step(torch.tensor([[2.0, 0.0], [0.0, 0.0], [-2.0, 0.0]]))
    assert several.state[0, 3] > several.state[2, 3]
    for ours, theirs in zip(seen(simulator), before, strict=True):
        assert torch.equal(ours, theirs)
    copied = simulator.clone()
    wriggle(copied, 4, seed=2)
    wriggle(simulator, 4, seed=2)
    for ours, theirs in zip(seen(copied), seen(simulator), strict=True):
        assert torch.equal(ours, theirs)


def test_the_state_of_another_kind_of_simulator_is_refused():
    simulator = start(dense_recording())
    pictured = start(dense_recording(), config=SimulatorConfig())
    with pytest.raises(InputError, match="'_images' is missing"):
        pictured.load_state_dict(simulator.state_dict())
    longer = start(dense_recording(), config=SimulatorConfig(ObservationConfig(frames=2, stride=1)))
    with pytest.raises(InputError, match="history is 2 frames long"):
        pictured.load_state_dict(longer.state_dict())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_same_episodes_on_the_gpu():
    """Positions to a millimetre, images to a step of 255 but where an edge is on a pixel's edge."""
    recording = dense_recording()
    here, there = (World.build([recording], device=device) for device in ("cpu", "cuda"))
    pair = [Simulator(world.scene, world.road_map, SimulatorConfig()) for world in (here, there)]
    for simulator in pair:
        simulator.reset(here.scenarios[:8])
    random = torch.Generator().manual_seed(0)
    for _ in range(30):
        actions = torch.randn(8, 2, generator=random) * torch.tensor([3.0, 0.02])
        for simulator in pair:
            simulator.step(actions.to(simulator.device))
    cpu, gpu = pair
    assert torch.equal(cpu.outcome, gpu.outcome.cpu())
    torch.testing.assert_close(gpu.state.cpu(), cpu.state, atol=1e-3, rtol=1e-4)
    apart = (gpu.images().cpu().int() - cpu.images().int()).abs()
    assert (apart <= 1).float().mean() > 0.995
