"""Drivers that brake without cause, or react late."""

import dataclasses
import functools

import pytest
import torch

from data.traffic import PRESETS, generate
from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.variation import Variation
from envs.core.world import World
from envs.traffic.chance import Chance
from envs.traffic.drivers import HARDEST_BRAKING_MPS2
from envs.traffic.lapses import (
    INATTENTIVE,
    PHANTOM_MPS2,
    PHANTOM_S,
    SPELL_S,
    Inattention,
    PhantomBraking,
)
from envs.traffic.registry import traffic_by_name
from tests.helpers import Car, straight_recording

DT_S = 0.1
BOTH = Variation(phantom_braking=6.0, inattention_s=1.5)


@functools.cache
def dense_world() -> World:
    return World.build([generate(PRESETS["dense"], 15.0, seed=3)], ScenarioConfig(distance_m=50.0))


def among(world: World, scenarios, variation: Variation = BOTH) -> Simulator:
    traffic = traffic_by_name("reactive", world.scene, world.recordings, variation.others())
    simulator = Simulator(world.scene, world.road_map, SimulatorConfig(observation=None), traffic)
    simulator.reset(scenarios)
    return simulator


def run(simulator: Simulator, steps: int) -> torch.Tensor:
    for _ in range(steps):
        simulator.step(torch.zeros(simulator.envs, 2))
    return simulator.neighbours().boxes.clone()


def by_vehicle(simulator: Simulator) -> dict[int, torch.Tensor]:
    others = simulator.neighbours()
    valid = others.valid[0]
    return dict(zip(others.vehicle[0][valid].tolist(), others.boxes[0][valid], strict=True))


def chances(frames: int, slots: int = 400):
    """The random numbers of one environment, frame by frame."""
    vehicle = torch.arange(slots)[None]
    return [Chance(torch.tensor([5]), vehicle, torch.tensor([frame])) for frame in range(frames)]


def test_phantom_braking_has_the_stated_rate_strength_and_duration():
    lapse = PhantomBraking(per_minute=4.0, dt_s=DT_S)
    rows, applied = lapse.columns(torch.zeros(1, 400)), []
    for chance in chances(600):
        applied.append(lapse.apply(torch.full((1, 400), 0.5), rows, chance)[0])
    acceleration = torch.stack(applied)
    assert set(acceleration.unique().tolist()) == {0.5, -PHANTOM_MPS2}
    brakes = (acceleration < 0).float()
    begins = (brakes.diff(dim=0) > 0).sum() / (400 * 1.0)
    assert float(begins) == pytest.approx(4.0 * (1 - 4.0 * PHANTOM_S / 60), rel=0.06)
    # Each lasts a second, unless the next begins before it ends.
    assert float(brakes.sum() * DT_S / (begins * 400)) == pytest.approx(PHANTOM_S, rel=0.06)


def test_a_harder_braking_stays_as_hard():
    lapse = PhantomBraking(per_minute=600.0, dt_s=DT_S)
    rows = lapse.columns(torch.zeros(1, 400))
    hard = torch.full((1, 400), -5.0)
    assert torch.equal(lapse.apply(hard, rows, chances(1)[0]), hard)


def test_a_lone_vehicle_slows_down_by_what_is_stated():
    """Six times a minute it loses 3 m/s in a second."""
    recording = straight_recording([Car(0.0), Car(60.0, 1, 20.0), Car(120.0, 2, 20.0)], 300)
    world = World.build([recording], ScenarioConfig(distance_m=250.0))
    scenario = world.scenarios[world.scenarios.vehicle == 0]
    variation = Variation(phantom_braking=6.0)
    simulator, speeds = among(world, scenario, variation), []
    for _ in range(150):
        run(simulator, 1)
        others = simulator.neighbours()
        speeds.append(others.speed_mps[0][others.vehicle[0] > 0])
    change = torch.stack(speeds).diff(dim=0) / DT_S
    hard = change < -1.0
    torch.testing.assert_close(change[hard], torch.full((int(hard.sum()),), -PHANTOM_MPS2))
    assert hard.any() and hard.float().mean() < 0.3


def test_inattention_is_a_delay_in_a_quarter_of_the_spells():
    longest_s, frames = 1.5, 1200
    lapse = Inattention(longest_s, DT_S)
    rows, lags = lapse.columns(torch.zeros(1, 400)), []
    for frame, chance in enumerate(chances(frames)):
        # What is due is the frame's number, so that the result tells its age.
        result = lapse.apply(torch.full((1, 400), float(frame)), rows, chance)[0]
        lags.append(frame - result)
    lag = torch.stack(lags)[20:]
    assert lag.min() == 0 and lag.max() == round(longest_s / DT_S)
    late = lag > 0
    # Delays below half a frame are none.
    assert float(late.float().mean()) == pytest.approx(INATTENTIVE, abs=0.02)
    assert float(lag[late].mean()) * DT_S == pytest.approx(0.5 * longest_s, rel=0.08)
    changes = (lag.diff(dim=0) != 0).sum(0).float().mean()
    expected = 2 * INATTENTIVE * (1 - INATTENTIVE) + INATTENTIVE**2
    assert float(changes) == pytest.approx(len(lag) * DT_S / SPELL_S * expected, rel=0.1)


def test_a_vehicle_that_has_just_appeared_has_nothing_to_be_late_with():
    lapse = Inattention(1.0, DT_S)
    for chance in chances(60)[::7]:
        rows = lapse.columns(torch.zeros(1, 400))
        now = torch.randn(1, 400, generator=torch.Generator().manual_seed(0))
        assert torch.equal(lapse.apply(now, rows, chance), now)


def test_the_same_seed_is_the_same_episode_and_another_is_another():
    world = dense_world()
    boxes = [
        run(among(world, world.scenarios[:2], variation), 25)
        for variation in (BOTH, BOTH, dataclasses.replace(BOTH, seed=1.0), Variation())
    ]
    assert torch.equal(boxes[0], boxes[1])
    for other in boxes[2:]:
        assert not torch.equal(boxes[0], other)


def test_lapses_depend_on_nobody_else_in_the_batch_or_the_scene():
    world = dense_world()
    simulator = among(world, world.scenarios[3:4])
    alone = run(simulator, 25)
    together = run(among(world, world.scenarios[[0, 3, 5]]), 25)
    assert torch.equal(alone[0], together[1])
    more = World.build(
        [straight_recording([Car(0.0), Car(30.0)]), *world.recordings],
        ScenarioConfig(distance_m=50.0),
    )
    first = int((more.scenarios.vehicle < 2).sum())
    among_more = among(more, more.scenarios[first + 3 : first + 4])
    run(among_more, 25)
    expected, found = by_vehicle(simulator), by_vehicle(among_more)
    assert set(found) == {vehicle + 2 for vehicle in expected}
    assert all(torch.equal(found[vehicle + 2], box) for vehicle, box in expected.items())


def test_a_saved_state_goes_on_exactly():
    world = dense_world()
    simulator = among(world, world.scenarios[:2])
    run(simulator, 15)
    other = among(world, world.scenarios[4:6])
    other.load_state_dict(simulator.state_dict())
    assert torch.equal(run(simulator, 15), run(other, 15))


def test_lapses_stay_within_the_vehicles_limits():
    world = dense_world()
    simulator, before = among(world, world.scenarios[:1]), None
    for _ in range(30):
        run(simulator, 1)
        now = simulator.neighbours()
        if before is not None:
            same = (before.vehicle == now.vehicle) & (now.vehicle >= 0)
            change = (now.speed_mps - before.speed_mps)[same] / DT_S
            assert change.min() >= -HARDEST_BRAKING_MPS2 - 1e-3
        before = now
