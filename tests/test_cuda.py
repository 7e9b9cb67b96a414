"""On a GPU everything comes to what it does on the CPU; skipped where there is none."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch import Tensor

from data.clips.clips import Clip, Clips
from data.splits import FrameWindow
from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.world import World
from eval.driving.decision import choose_action
from ppuu.costs import Uncertainty
from ppuu.loading.policy_names import policy_by_name
from ppuu.objectives import UnrollConfig, policy_loss, predicted_traffic, rollout_noise
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.sensor_noise import SensorNoise
from ppuu.perception.sensors import SENSORS
from ppuu.policies import NetworkPolicyConfig, Policy
from ppuu.policies.device import to_device
from ppuu.policies.features import PixelsConfig, TracksConfig
from ppuu.policies.unroll import unroll
from ppuu.recordings.recording import Recording
from ppuu.runtime.command import run
from ppuu.runtime.pytree import moved
from ppuu.world_models import WorldModel
from tests.helpers import Car, dense_recording, straight_recording
from tests.runs import saved_world_model
from train import world_model as recipe

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
DEVICES = "cpu", "cuda"
APART = 2e-3
"""Largest norm of a difference, as a share of the norm."""
FAMILIES = ("debug", "pixels-debug", "coupled-debug", "recurrent-debug", "cortexnet-debug")
STEPS, SAMPLES, BATCH = 4, 2, 6


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """Convolutions in float32 proper, not in the ten bits that a GPU takes by default."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


def clips_on(device: str, config: ObservationConfig, recording: Recording | None = None) -> Clip:
    recording = recording or dense_recording()
    clips = Clips([recording], [FrameWindow(0, recording.frames)], config, 30, device)
    return clips.batch(torch.arange(BATCH) * (len(clips) // BATCH))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def model_on(device: str, preset: str, heads: float = 0.0, **changes) -> WorldModel:
    """A model with drawn weights, also of heads that are zero at first if they are given a size."""
    torch.manual_seed(0)
    model = dataclasses.replace(recipe.PRESETS[preset].model, **changes).build()
    with torch.no_grad():
        for weight in model.parameters():
            if not weight.any():
                weight.normal_(0.0, heads)
    return model.to(device).eval()


def same(there: Tensor, here: Tensor, what: str):
    apart = (there.detach().cpu().double() - here.detach().double()).norm()
    assert apart <= APART * here.detach().double().norm() + 1e-7, f"{what}: {apart}"


def test_the_same_images():
    config = ObservationConfig(frames=6)
    here, there = (clips_on(device, config).observation for device in DEVICES)
    apart = (there.images.cpu() - here.images).abs() * 255
    assert (apart <= 1).float().mean() > 0.999
    torch.testing.assert_close(there.ego.cpu(), here.ego)


@pytest.mark.parametrize("preset", FAMILIES)
def test_the_same_predictions_and_gradients(preset):
    """Of the same histories, noise and weights."""
    model = model_on("cpu", preset)
    clip = clips_on("cpu", model.observation)
    noise = model.noise(clip.observation.ego, BATCH, SAMPLES, STEPS, seeded())
    every = model.frames_per_step
    told, gradients = [], []
    for device in DEVICES:
        model = model_on(device, preset)
        ego = clip.future[:, None, every - 1 :: every][:, :, :STEPS].to(device)
        seen = moved(clip.observation, device)
        prediction = model.rollout(seen, noise.to(device), ego)
        values = {k: v for k, v in vars(prediction).items() if isinstance(v, Tensor)}
        learned = [value for value in values.values() if value.requires_grad]
        torch.stack([value.square().mean() for value in learned]).sum().backward()
        told.append(values)
        gradients.append({k: p.grad for k, p in model.named_parameters() if p.grad is not None})
    assert gradients[0]
    for here, there in (told, gradients):
        assert here.keys() == there.keys()
        for name, value in here.items():
            same(there[name].double(), value, name)


@pytest.mark.parametrize("preset", FAMILIES)
def test_the_same_chances(preset):
    """Noise and dropout masks are drawn from the same generator, wherever tensors are."""
    drawn = []
    for device in DEVICES:
        model, generator = model_on(device, preset), seeded()
        ego = torch.zeros(1, 1, 4, device=device)
        noise = model.noise(ego, BATCH, SAMPLES, STEPS, generator)
        assert noise.device.type == device
        masks = model.replicas(3, generator).masks
        assert all(mask.device.type == device for mask in masks.values())
        drawn.append({"noise": noise} | masks)
    here, there = drawn
    assert here.keys() == there.keys()
    assert all(torch.equal(there[name].cpu(), value) for name, value in here.items())


@pytest.mark.parametrize(
    ("preset", "heads", "features"),
    [
        ("debug", 3.0, TracksConfig(hidden=8, heads=2)),
        ("coupled-debug", 0.0, PixelsConfig(ObservationConfig(frames=6), channels=(8, 8, 8))),
    ],
)
def test_the_same_lesson_for_a_policy(preset, heads, features):
    """Driving costs and uncertainty of an unroll, and their gradient at the policy's weights."""
    model = model_on("cpu", preset)
    wanted = model.observation
    if isinstance(features, PixelsConfig):
        wanted = dataclasses.replace(wanted, images=True)
    # So close that what replicas disagree about costs something.
    cars = [Car(11.0 * k, lane, 8.0 + k % 2 + lane) for k in range(8) for lane in range(3)]
    clip = clips_on("cpu", wanted, straight_recording(cars))
    config = UnrollConfig(steps=STEPS, replicas=3, hinge=0.0)
    results = []
    for device in DEVICES:
        model = model_on(device, preset, heads, dropout=0.5).requires_grad_(False)
        torch.manual_seed(0)
        policy = NetworkPolicyConfig(features, hidden=16).build().to(device)
        seen, generator = moved(clip.observation, device), seeded()
        replicas = model.replicas(config.replicas, generator)
        noise = rollout_noise(replicas, seen, STEPS, generator)
        traffic = predicted_traffic(replicas, seen, seen, noise, config.replicas)
        rollout = unroll(
            policy, traffic, seen, clip.previous_action.to(device), STEPS, model.frames_per_step,
            model.dt_s,
        )  # fmt: skip
        uncertainty = Uncertainty(STEPS, config.hinge, model.spec.conditioned_on_ego).to(device)
        uncertainty.expert_std.fill_(1e-3)
        terms = policy_loss(rollout, uncertainty, config)
        assert terms.named["uncertainty"] > 1e-2
        terms.total.backward()
        flat = [p.grad.flatten() for p in policy.parameters() if p.grad is not None]
        results.append({"cost": terms.total, "gradient": torch.cat(flat)})
    here, there = results
    assert here["gradient"].norm() > 0
    for name, value in here.items():
        same(there[name], value, name)


@pytest.mark.parametrize("weight", [0, 1])
@pytest.mark.parametrize("preset", ["debug", "coupled-debug"])
def test_the_same_plans(preset, weight, tmp_path):
    """A planner whose world model is there, driving a simulator that is here, and a policy."""
    run_dir = saved_world_model(tmp_path / "world", recipe.PRESETS[preset].model)
    recording = dense_recording()
    actions, paths, snapshots = [], [], []
    for device in DEVICES:
        name = f"planner:{run_dir},starts=2,iterations=2,steps=4,uncertainty_weight={weight}"
        driver = to_device(policy_by_name(name), torch.device(device))
        config = SimulatorConfig(driver.observation)
        assert config.observation is not None
        rules = ScenarioConfig(context_frames=20)
        world = World.build([recording], rules, config.observation.raster)
        simulator = Simulator(world.scene, world.road_map, config)
        simulator.reset(world.scenarios[:4])
        driver.reset(torch.ones(4, dtype=torch.bool))
        actions.append(torch.stack([_turn(driver, simulator) for _ in range(5)]))
        paths.append(driver.planned_path_m().cpu())
        snapshots.append(driver.plan_snapshots())
    here, there = actions
    assert there.device.type == "cpu"
    torch.testing.assert_close(there, here, atol=0.02, rtol=0.02)
    torch.testing.assert_close(paths[1], paths[0], atol=0.1, rtol=0.0)
    for row, here in snapshots[0].items():
        assert snapshots[1][row].candidates_m.shape == here.candidates_m.shape


def _turn(driver: Policy, simulator: Simulator) -> Tensor:
    action = choose_action(driver, simulator)
    simulator.step(action)
    return action


def test_training_in_bfloat16_goes_on_where_it_stopped(tmp_path):
    """And ends, to rounding, where it would have ended on the CPU in single precision."""
    recording = tmp_path / "dense.h5"
    dense_recording().save(recording)
    losses = {}
    for device in DEVICES:
        out = tmp_path / device
        for updates in ("3", "6"):
            words = [
                "--preset", "coupled-debug", "--split", "all", "--recordings", str(recording),
                "--out", str(out), "--device", device, "--updates", updates,
                "--loop.schedule", "constant", "--loop.log-every", "1",
            ]  # fmt: skip
            words += ["--loop.precision", "bfloat16"] if device == "cuda" else []
            run(recipe.main, words, presets=recipe.PRESETS)
        lines = (out / "log.jsonl").read_text().splitlines()
        losses[device] = [json.loads(line)["loss"] for line in lines]
    assert len(losses["cuda"]) == 6
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.1)


def test_the_same_noise_of_sensors_without_waiting_for_the_gpu():
    observation = recipe.PRESETS["debug"].model.observation
    noise = SensorNoise(list(SENSORS.values()), 0.1, observation.lags())
    here, there = (clips_on(device, observation).observation.tracks for device in DEVICES)
    assert here is not None
    assert there is not None
    torch.cuda.set_sync_debug_mode("error")
    try:
        noisy = noise.add_to(there, seeded())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    same(noisy.states, noise.add_to(here, seeded()).states, "states")
