"""Worlds that differ from the recorded one, one factor at a time."""

import functools

import gymnasium
import numpy as np
import pytest
import torch

from data.traffic import PRESETS, generate
from envs.core.actuation import Actuation
from envs.core.perception import PerceptionConfig
from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.variation import Variation, widened
from envs.core.world import World
from envs.traffic.others_config import OthersConfig
from envs.traffic.registry import traffic_by_name
from ppuu.perception.observation import ObservationConfig
from ppuu.recordings.lanes import LaneField
from ppuu.runtime.errors import InputError
from tests.helpers import LANE_WIDTH_M, Car, dense_recording, straight_recording

RULES = ScenarioConfig(distance_m=30.0)
STATES_ONLY = SimulatorConfig(observation=None)


@functools.cache
def dense():
    return generate(PRESETS["dense"], 8.0, seed=3)


def simulator_of(world: World, envs: int, config: SimulatorConfig = STATES_ONLY) -> Simulator:
    simulator = Simulator(world.scene, world.road_map, config)
    simulator.reset(world.scenarios[:envs])
    return simulator


def test_the_default_is_the_recorded_world():
    plain = Variation()
    assert plain.recording(dense()) is dense() and plain.name == "none"
    assert plain.perception(0.1) is None and plain.others() == OthersConfig()
    assert plain.actuation(0.1) == Actuation()
    world = World.build([dense()], RULES)
    assert plain.scene(world.scene) is world.scene


def test_names_and_mistakes():
    varied = Variation.parse("density=0.5,friction=0.3")
    assert varied == Variation(density=0.5, friction=0.3)
    assert Variation.parse(varied.name) == varied and Variation.parse("none") == Variation()
    for text, message in {
        "densty=0.5": "write NAME=NUMBER with density",
        "density=few": "'few' is no number",
        "density=2": "density 2",
        "friction=0": "friction 0",
    }.items():
        with pytest.raises(InputError, match=message):
            Variation.parse(text)


@pytest.mark.parametrize("others", ["replay", "reactive"])
def test_density_takes_vehicles_out_but_no_ego(others):
    full, half = (World.build([dense()], RULES, variation=Variation(density=d)) for d in (1, 0.5))
    assert full.scenarios.digest == half.scenarios.digest
    counts = []
    for world in (full, half):
        traffic = traffic_by_name(others, world.scene, world.recordings)
        simulator = Simulator(world.scene, world.road_map, STATES_ONLY, traffic)
        simulator.reset(world.scenarios[:4])
        for _ in range(30):
            simulator.step(torch.zeros(4, 2))
        counts.append(simulator.neighbours().valid.sum(1).float())
    assert 0.35 < float((counts[1] / counts[0]).mean()) < 0.65


def test_nobody_at_all():
    world = World.build([dense()], RULES, variation=Variation(density=0.0))
    for others in ("replay", "reactive", "until-disturbed"):
        traffic = traffic_by_name(others, world.scene, world.recordings)
        simulator = Simulator(world.scene, world.road_map, STATES_ONLY, traffic)
        simulator.reset(world.scenarios[:2])
        simulator.step(torch.zeros(2, 2))
        assert not simulator.neighbours().valid.any() and simulator.clearance_m.isinf().all()


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_wider_lanes_keep_everybody_in_his_place_within_them(factor):
    recording = dense()
    wide = widened(recording, factor)
    narrow, other = (
        LaneField.build([r.road]).look_up(
            torch.tensor(r.x_m)[None], torch.tensor(r.y_m)[None], torch.zeros(1, dtype=torch.int64)
        )
        for r in (recording, wide)
    )
    there = (narrow.lane >= 0) & (other.lane >= 0)
    assert float(there.float().mean()) > 0.97
    # Near a line the grid's half metre may tell either lane.
    clear = there & (narrow.offset_m.abs() < 0.4 * narrow.width_m)
    assert torch.equal(narrow.lane[clear], other.lane[clear])
    torch.testing.assert_close(
        other.width_m[clear], factor * narrow.width_m[clear], rtol=0.06, atol=0
    )
    torch.testing.assert_close(
        other.offset_m[clear], factor * narrow.offset_m[clear], rtol=0, atol=0.06
    )
    np.testing.assert_array_equal(wide.length_m, recording.length_m)
    back = widened(wide, 1 / factor)
    np.testing.assert_allclose(back.y_m, recording.y_m, atol=1e-6)
    np.testing.assert_allclose(back.heading_rad, recording.heading_rad, atol=1e-6)


def test_lapses_are_refused_where_nobody_drives():
    world = World.build([dense()], RULES)
    lapses = Variation(phantom_braking=1.0).others()
    with pytest.raises(InputError, match="phantom_braking and inattention_s change nothing"):
        traffic_by_name("replay", world.scene, world.recordings, lapses)
    with pytest.raises(InputError, match=r"seed 0\.5; choose a whole number"):
        Variation(seed=0.5)


def test_an_action_comes_late():
    world = World.build([straight_recording([Car(0.0, speed_mps=10.0)])], RULES)
    config = SimulatorConfig(observation=None, actuation=Actuation(delay_frames=3))
    simulator = simulator_of(world, 1, config)
    speeds = []
    for step in range(6):
        simulator.step(torch.tensor([[2.0 if step == 0 else 0.0, 0.0]]))
        speeds.append(float(simulator.state[0, 3]))
        if step == 1:
            simulator = simulator.clone()
    np.testing.assert_allclose(speeds, [10, 10, 10, 10.2, 10.2, 10.2], rtol=1e-6)
    simulator.replace([0], world.scenarios[:1])
    for _ in range(4):
        simulator.step(torch.zeros(1, 2))
    assert simulator.state[0, 3] == 10.0


def test_a_slippery_road_lengthens_the_braking_distance():
    world = World.build([straight_recording([Car(0.0, speed_mps=20.0)])], RULES)
    lost = []
    for friction in (1.0, 0.2):
        config = SimulatorConfig(observation=None, actuation=Actuation(friction=friction))
        simulator = simulator_of(world, 1, config)
        for _ in range(5):
            result = simulator.step(torch.tensor([[-6.0, 0.0]]))
        lost.append(20.0 - float(result.state[0, 3]))
    np.testing.assert_allclose(lost, [3.0, 0.5 * 0.2 * 0.9 * 9.81], rtol=1e-5)


def perceived(config: PerceptionConfig, steps: int, envs: int = 3) -> Simulator:
    world = World.build([dense()], RULES)
    seen = ObservationConfig(frames=2, stride=1)
    simulator = simulator_of(world, envs, SimulatorConfig(seen, perception=config))
    for _ in range(steps):
        simulator.step(torch.zeros(envs, 2))
    return simulator


def test_noise_has_the_size_asked_for_and_harms_nobody():
    simulator, true = perceived(PerceptionConfig(noise_m=0.5), 5), perceived(None, 5)
    seen, others = simulator.sensed_neighbours(), true.neighbours()
    there = others.valid
    moved = (seen.boxes - others.boxes)[there]
    assert float(moved[:, :2].std()) == pytest.approx(0.5, rel=0.1)
    assert float(moved[:, :2].mean().abs()) < 0.05 and not moved[:, 2:].any()
    assert torch.equal(simulator.clearance_m, true.clearance_m)
    assert torch.equal(simulator.outcome, true.outcome)
    images = simulator.images().float() - true.images().float()
    assert images[:, :, 1].abs().mean() > 1.0 and not images[:, :, [0, 2]].any()


def test_noise_is_the_same_in_every_batch():
    one, three = (perceived(PerceptionConfig(0.3, 0.2, 2), 4, envs) for envs in (1, 3))
    assert torch.equal(one.sensed_neighbours().boxes, three.sensed_neighbours().boxes[:1])
    assert torch.equal(one.images(), three.images()[:1])
    copied = three.select([2, 0])
    assert torch.equal(copied.sensed_neighbours().boxes, three.sensed_neighbours().boxes[[2, 0]])
    with pytest.raises(InputError, match="perception/"):
        perceived(None, 0).load_state_dict(three.state_dict())


def test_who_is_overlooked_stays_so_for_half_a_second():
    simulator = perceived(PerceptionConfig(dropout=0.3), 0, envs=1)
    overlooked = []
    for _ in range(20):
        there, seen = (
            set(others.vehicle[0][others.valid[0]].tolist())
            for others in (simulator.neighbours(), simulator.sensed_neighbours())
        )
        assert seen <= there
        overlooked.append((there, there - seen))
        simulator.step(torch.zeros(1, 2))
    share = np.mean([len(gone) / len(there) for there, gone in overlooked])
    assert share == pytest.approx(0.3, abs=0.08)
    changed = [
        len((before ^ now) & there)
        for (there, before), (_, now) in zip(overlooked[:-1], overlooked[1:], strict=True)
    ]
    assert np.count_nonzero(np.array(changed) > 10) == 3
    assert sum(changed) == pytest.approx(3 * 2 * 0.3 * 0.7 * len(overlooked[0][0]), rel=0.25)


def test_latency_shows_the_past():
    late = perceived(PerceptionConfig(latency_frames=4), 0)
    for _ in range(7):
        seen, then = late.sensed_neighbours(), late.scene.neighbours(late.frame - 4, late.vehicle)
        assert torch.equal(seen.boxes, then.boxes) and torch.equal(seen.valid, then.valid)
        late.step(torch.zeros(3, 2))


def test_in_gymnasium():
    variation = {"density": 0.6, "noise_m": 0.2, "delay_s": 0.2, "lane_width": 0.95}
    make = functools.partial(gymnasium.make, "envs:ppuu/Synthetic-v1")
    plain, varied = make(), make(variation=variation)
    first = [env.reset(seed=0)[0]["image"] for env in (plain, varied)]
    assert (first[0] != first[1]).any()
    simulator = varied.unwrapped._episodes.simulator
    assert simulator.config.actuation == Actuation(delay_frames=2)
    with pytest.raises(InputError, match="did you mean 'density'"):
        make(variation={"densty": 0.5})
    with pytest.raises(InputError, match="change nothing there; choose --others reactive"):
        make(variation={"inattention_s": 1.0})


def test_lanes_of_the_fixture_get_wider():
    wide = widened(dense_recording(), 1.5)
    widths = np.linalg.norm(wide.road.left_m - wide.road.right_m, axis=1)
    np.testing.assert_allclose(widths, 1.5 * LANE_WIDTH_M)
