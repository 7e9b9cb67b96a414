"""All vehicles driven by a world model."""

import dataclasses
import functools

import pytest
import torch

from data.traffic import PRESETS, generate
from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.world import World
from envs.traffic.model_traffic import ModelTraffic
from envs.traffic.registry import traffic_by_name
from ppuu.loading.runs import load_world_model
from ppuu.perception.observation import observe
from ppuu.runtime.errors import InputError
from ppuu.runtime.pretrained import NAME
from ppuu.world_models import RecurrentConfig, TokensConfig
from tests.helpers import Car, straight_recording

STATES_ONLY = SimulatorConfig(observation=None)
DT_S = 0.1


@functools.cache
def dense_world() -> World:
    return World.build([generate(PRESETS["dense"], 12.0, seed=3)], ScenarioConfig(distance_m=30.0))


def among(world: World, scenarios, model=None, seed: int = 0) -> Simulator:
    model = model or load_world_model(NAME)
    traffic = ModelTraffic(world.scene, world.recordings, model, seed)
    simulator = Simulator(world.scene, world.road_map, STATES_ONLY, traffic)
    simulator.reset(scenarios)
    return simulator


def run(simulator: Simulator, steps: int) -> torch.Tensor:
    for _ in range(steps):
        simulator.step(torch.zeros(simulator.envs, 2))
    return simulator.neighbours().boxes


def test_no_vehicle_jumps():
    world, before = dense_world(), None
    simulator = among(world, world.scenarios[:2])
    for _ in range(30):
        run(simulator, 1)
        now = simulator.neighbours()
        if before is not None:
            same = (before.vehicle == now.vehicle) & (now.vehicle >= 0)
            moved = (now.boxes - before.boxes)[same][:, :2].norm(dim=1)
            mean = 0.5 * (now.speed_mps + before.speed_mps)[same]
            torch.testing.assert_close(moved, mean * DT_S, atol=2e-3, rtol=1e-3)
            change = (now.speed_mps - before.speed_mps)[same] / DT_S
            assert change.abs().max() < 6.1
            assert (now.boxes - before.boxes)[same][:, 2].abs().max() < 0.2
            assert same.sum() > 100
        before = now


def test_the_prediction_moves_all_vehicles_as_one_centred_on_each_would():
    """Centred on a vehicle, the vehicles near it are predicted alike, with the ego's token too."""
    world, model = dense_world(), load_world_model(NAME)
    simulator = among(world, world.scenarios[5:6], model)
    traffic, frame = simulator.traffic, simulator.frame.clone()
    seen = {}

    class Spy:
        """Remembers the prediction with the mean noise."""

        def noise_of(self, scene, tokens):
            return torch.zeros_like(whole.noise_of(scene, tokens))

        def decode(self, states, observation, samples):
            seen["observation"] = observation
            seen["prediction"] = whole.decode(states, observation, samples)
            return seen["prediction"]

        def __getattr__(self, name):
            return getattr(whole, name)

    whole, traffic.model = traffic.model, Spy()
    run(simulator, 1)
    number = seen["observation"].tracks.vehicle[0]
    at_once = seen["prediction"].states[0, 0, 0, 0]
    centres = number[number >= 0]
    centres = centres[frame - world.scene.first_frame[centres] >= model.observation.span][::11]
    observation = observe(
        world.scene, traffic.road_map, model.observation, centres, frame.expand(len(centres))
    )
    noise = torch.zeros(1, 1, 1, model.spec.latent)
    one_by_one = model.rollout(observation, noise).states[:, 0, 0, 0]
    # Of each, the four nearest vehicles: all of what they attend to is seen as well.
    for row, tracks in enumerate(observation.tracks.vehicle[:, :4].tolist()):
        for slot, vehicle in enumerate(tracks):
            if vehicle in number.tolist():
                expected = at_once[number == vehicle][0]
                found = one_by_one[row, slot]
                torch.testing.assert_close(found[:3], expected[:3], atol=0.01, rtol=0)
                torch.testing.assert_close(found[3], expected[3], atol=0.05, rtol=0)


def test_the_same_seed_is_the_same_episode_and_another_is_another():
    world = dense_world()
    boxes = [run(among(world, world.scenarios[:1], seed=seed), 12) for seed in (4, 4, 5)]
    assert torch.equal(boxes[0], boxes[1])
    assert (boxes[0] - boxes[2]).abs().max() > 1e-3


def test_each_vehicle_samples_its_own_future():
    """Equal vehicles in equal places part."""
    cars = [Car(200.0 * k, lane=1, speed_mps=12.0) for k in range(4)]
    recording = straight_recording(cars, road_m=2000.0)
    world = World.build([recording], ScenarioConfig(distance_m=50.0))
    others = among(world, world.scenarios[:1])
    run(others, 12)
    speeds = others.neighbours().speed_mps[others.neighbours().valid]
    assert len(speeds) == 3 and len(speeds.unique()) == 3


def test_a_batch_is_its_episodes_and_goes_on_where_it_was_saved():
    world = dense_world()
    both, alone = among(world, world.scenarios[:2]), among(world, world.scenarios[:1])
    for simulator in (both, alone):
        run(simulator, 4)
    other = among(world, world.scenarios[3:5])
    other.load_state_dict(both.state_dict())
    boxes = [run(simulator, 5) for simulator in (both, alone, other)]
    torch.testing.assert_close(boxes[0][:1], boxes[1], atol=1e-3, rtol=0)
    assert torch.equal(boxes[0], boxes[2])


def test_vehicles_react_to_the_ego():
    """Behind an ego that brakes hard they do not go on as behind one that does not."""
    cars = [Car(60.0, 1, 12.0), Car(44.0, 1, 12.0), Car(28.0, 1, 12.0)]
    world = World.build([straight_recording(cars)], ScenarioConfig(distance_m=50.0))
    scenario = world.scenarios[world.scenarios.vehicle == 0]
    speeds = []
    for braking in (0.0, -4.0):
        simulator = among(world, scenario)
        for _ in range(20):
            simulator.step(torch.tensor([[braking, 0.0]]))
        others = simulator.neighbours()
        speeds.append(float(others.speed_mps[0][others.vehicle[0] == 1]))
    assert speeds[1] < speeds[0] - 0.5


def test_any_number_of_vehicles_has_the_same_weights():
    model = dataclasses.replace(TokensConfig(), latent=3, scene_latent=2).build()
    wider = model.with_vehicles(60)
    assert wider.spec.latent == 2 + 61 * 3 and wider.observation.vehicles == 60
    assert model.spec.latent == 2 + 25 * 3 and model.observation.vehicles == 24
    assert next(wider.parameters()) is next(model.parameters())
    noise = wider.noise_of(torch.zeros(4, 2), torch.ones(4, 61, 3))
    assert noise.shape == (4, 1, wider.spec.latent)
    assert (noise[..., :2] == 0).all() and (noise[..., 2:] == 1).all()


def test_names():
    world = dense_world()
    traffic = traffic_by_name(f"model:{NAME}", world.scene, world.recordings)
    assert isinstance(traffic, ModelTraffic)
    with pytest.raises(InputError, match="model:nowhere: neither a run directory"):
        traffic_by_name("model:nowhere", world.scene, world.recordings)
    with pytest.raises(InputError, match="does not predict vehicles one by one"):
        among(world, world.scenarios[:1], RecurrentConfig().build())
