"""Training end to end on a tiny recording: resuming is exact, mistakes are refused."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

import train.batches.clips
import train.engine.loop
import train.engine.resume
import train.policy
import train.world_model
from data.clips.events import EventWeights
from ppuu.costs import DrivingCostConfig, Lane
from ppuu.loading.runs import load_policy, load_world_model
from ppuu.objectives import (
    AdversarialConfig,
    StartConfig,
    Terms,
    UnrollConfig,
    WorldModelLossConfig,
    world_model_loss,
)
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import PixelsConfig
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.errors import InputError
from ppuu.world_models import CoupledConfig, TokensConfig
from tests.helpers import dense_recording
from tests.rollouts import TINY_MODEL, TINY_OBSERVATION
from train.policy import IN_MODEL

WORLD_MODEL = dataclasses.replace(
    train.world_model.PRESETS["debug"], model=TINY_MODEL, steps=3, batch=2
)
POLICY = dataclasses.replace(
    train.policy.PRESETS["debug"],
    policy=NetworkPolicyConfig(PixelsConfig(TINY_OBSERVATION, (4, 4, 4)), 8),
    unroll=UnrollConfig(steps=3, replicas=2, starts=StartConfig(drive_steps=2)),
    batch=2,
    expert_clips=4,
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "dense.h5"
    dense_recording(per_lane=4, frames=60).save(path)
    return path


@pytest.fixture(scope="module")
def world_model(recording, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "world_model"
    fit_world_model(recording, out)
    return out


def with_loop(config, **changes):
    return dataclasses.replace(config, loop=dataclasses.replace(config.loop, **changes))


def fit_world_model(recording, out, **changes):
    config = with_loop(WORLD_MODEL, updates=6, log_every=1, **changes)
    train.world_model.main((recording,), out, config, split="all", device="cpu")


def fit_policy(method):
    def fit(recording, out, world_model=None, **changes):
        config = with_loop(POLICY, updates=6, log_every=1, **changes)
        models = (world_model,) if world_model and method in IN_MODEL else ()
        train.policy.main(method, (recording,), out, config, models, split="all", device="cpu")

    return fit


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


class Killed(Exception):
    """The machine goes down."""


def killed_after(monkeypatch, updates):
    """Makes the loop die in the middle of an update."""
    backward, count = torch.Tensor.backward, [0]

    def dies(self, *arguments, **options):
        if count[0] == updates:
            raise Killed
        count[0] += 1
        return backward(self, *arguments, **options)

    monkeypatch.setattr(torch.Tensor, "backward", dies)


RECIPES = {
    "world_model": lambda recording, out, world_model, **c: fit_world_model(recording, out, **c),
    "mpur": fit_policy("mpur"),
    "mpur-without-uncertainty": fit_policy("mpur-without-uncertainty"),
    "mper": fit_policy("mper"),
    "multi-step-imitation": fit_policy("multi-step-imitation"),
    "imitation": lambda recording, out, world_model, **c: fit_policy("imitation")(
        recording, out, **c
    ),
}


@pytest.mark.parametrize("recipe", ["world_model", "mpur", "imitation"])
def test_an_interrupted_run_equals_an_uninterrupted_one(
    recording, world_model, tmp_path, monkeypatch, recipe
):
    fit = RECIPES[recipe]
    fit(recording, tmp_path / "whole", world_model)
    with monkeypatch.context() as patch:
        before = train.policy.PRESETS["debug"].imitation_updates if recipe == "mpur" else 0
        killed_after(patch, before + 3)
        with pytest.raises(Killed):
            fit(recording, tmp_path / "parts", world_model, save_every_s=0.0)
    assert Checkpoint.load(tmp_path / "parts").step == 3
    # The machine logged more than it saved, and another process starts from other random states.
    with open(tmp_path / "parts" / "log.jsonl", "a") as file:
        file.write(
            '{"step": 4, "seconds": 1.0, "loss": 9.0}\n{"step": 5, "time_shares": {"data": 0.1}'
        )
    torch.manual_seed(12345)
    fit(recording, tmp_path / "parts", world_model)
    whole, parts = (Checkpoint.load(tmp_path / name) for name in ("whole", "parts"))
    assert whole.step == parts.step == 6
    for key, value in whole.model.items():
        torch.testing.assert_close(parts.model[key], value, rtol=0, atol=0)
    ours, theirs = (c.training["optimizer"]["state"] for c in (whole, parts))
    for number, state in ours.items():
        for key, value in state.items():
            torch.testing.assert_close(theirs[number][key], value, rtol=0, atol=0)

    def numbers(out):
        return [
            {k: v for k, v in line.items() if k not in ("seconds", "clips_per_s")}
            for line in log(out)
        ]

    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")
    assert [line["step"] for line in log(tmp_path / "whole")] == [1, 2, 3, 4, 5, 6]


def test_resuming_is_exact_while_recordings_take_turns(tmp_path, monkeypatch):
    """Rare events drawn more often, one recording in memory at a time, killed in the second."""
    monkeypatch.setattr(train.batches.clips, "VISIT_BATCHES", 2)
    paths = tuple(tmp_path / f"{per_lane}.h5" for per_lane in (2, 3))
    for path, per_lane in zip(paths, (2, 3), strict=True):
        dense_recording(per_lane, frames=40).save(path)
    config = with_loop(WORLD_MODEL, updates=6, log_every=1, save_every_s=0.0)
    config = dataclasses.replace(config, balance=EventWeights(hard_braking=3.0))

    def fit(out):
        train.world_model.main(
            paths, tmp_path / out, config, split="all", resident_recordings=1, device="cpu"
        )

    fit("whole")
    with monkeypatch.context() as patch:
        killed_after(patch, 3)
        with pytest.raises(Killed):
            fit("parts")
    torch.manual_seed(12345)
    fit("parts")
    whole, parts = (Checkpoint.load(tmp_path / name) for name in ("whole", "parts"))
    for key, value in whole.model.items():
        torch.testing.assert_close(parts.model[key], value, rtol=0, atol=0)
    assert whole.config["data"]["resident_recordings"] == 1
    assert len(whole.config["data"]["recordings"]) == 2


def test_histories_are_noisy_and_targets_exact(recording, tmp_path, monkeypatch):
    seen = {}

    def loss(model, observation, target, config, generator):
        seen["observation"], seen["target"] = observation, target
        return world_model_loss(model, observation, target, config, generator)

    def fit(sensors):
        config = dataclasses.replace(train.world_model.PRESETS["debug"], steps=2, sensors=sensors)
        config = with_loop(config, updates=1)
        out = tmp_path / "-".join(sensors)
        train.world_model.main((recording,), out, config, split="all", device="cpu")
        return seen["observation"], seen["target"]

    monkeypatch.setattr(train.world_model, "world_model_loss", loss)
    (exact, target), (noisy, same) = fit(("exact",)), fit(("ngsim", "drone"))
    error = noisy.tracks.states - exact.tracks.states
    assert error[exact.tracks.valid].abs().amax(0).min() > 0
    for name in ("ego", "tracks", "valid"):
        assert torch.equal(getattr(same, name), getattr(target, name))
    assert torch.equal(noisy.ego, exact.ego)


@pytest.mark.parametrize(
    "model, sensors, problem",
    [
        (TokensConfig(), (), "give one or more"),
        (TokensConfig(), ("drone", "drone"), "each once"),
        (CoupledConfig(), ("drone",), "only models of tracks see tracks"),
    ],
)
def test_sensors_that_cannot_be_are_refused(model, sensors, problem):
    with pytest.raises(InputError, match=problem):
        train.world_model.WorldModelTraining(model, sensors=sensors)


@pytest.mark.parametrize("recipe", RECIPES)
def test_training_changes_the_weights_and_the_run_can_be_loaded(
    recording, world_model, tmp_path, recipe
):
    RECIPES[recipe](recording, tmp_path / "run", world_model)
    load = load_world_model if recipe == "world_model" else load_policy
    module = load(tmp_path / "run")
    config = WORLD_MODEL.model if recipe == "world_model" else POLICY.policy
    torch.manual_seed(0)
    fresh = config.build().state_dict()
    moved = [
        key
        for key, value in module.state_dict().items()
        if not torch.equal(value, fresh[key]) and "normalizer" not in key
    ]
    weights = [key for key in fresh if "normalizer" not in key]
    assert len(moved) == len(weights), set(weights) - set(moved)
    # The statistics of the data are part of it.
    assert module.normalizer.ego_mean.abs().max() > 1.0
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["loop"]["updates"] == 6
    assert written["data"]["split"] == "all"
    assert any(path.name.startswith("events") for path in (tmp_path / "run").iterdir())
    terms = set(log(tmp_path / "run")[-1])
    assert {"step", "seconds", "clips_per_s", "learning_rate", "loss", "gradient_norm"} < terms


def test_a_finished_run_is_left_alone(recording, world_model, tmp_path, capsys):
    out = tmp_path / "run"
    shutil.copytree(world_model, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    fit_world_model(recording, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert "trained already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"batch": 3},
        {"loss": WorldModelLossConfig(latent_dropout=0.1)},
        {"loop": dataclasses.replace(WORLD_MODEL.loop, updates=6, log_every=1, seed=1)},
    ],
)
def test_another_configuration_is_refused(recording, world_model, tmp_path, change):
    out = tmp_path / "run"
    shutil.copytree(world_model, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    config = dataclasses.replace(with_loop(WORLD_MODEL, updates=6, log_every=1), **change)
    with pytest.raises(InputError, match="another configuration") as error:
        train.world_model.main((recording,), out, config, split="all", device="cpu")
    name = next(iter(change))
    named = {"loop": "loop.seed", "loss": "loss.latent_dropout"}
    assert named.get(name, name) in str(error.value)
    assert "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_as_many_batches_an_update_as_before(recording, world_model):
    """Ranks may make up for accumulation, but one process has no others."""
    loop = dataclasses.replace(WORLD_MODEL.loop, updates=6, log_every=1, accumulate=2)
    config = dataclasses.replace(WORLD_MODEL, loop=loop)
    with pytest.raises(InputError, match="batches_per_update: 2 instead of 1"):
        train.world_model.main((recording,), world_model, config, split="all", device="cpu")


def test_a_run_of_another_kind_is_refused(recording, world_model, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(world_model, out)
    with pytest.raises(InputError, match="holds a world_model, not a policy"):
        fit_policy("imitation")(recording, out)


def test_a_longer_budget_takes_a_run_further(recording, world_model, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(world_model, out)
    config = with_loop(WORLD_MODEL, updates=8, log_every=1)
    train.world_model.main((recording,), out, config, split="all", device="cpu")
    assert Checkpoint.load(out).step == 8
    assert [line["step"] for line in log(out)] == list(range(1, 9))


def test_log_lines_after_the_checkpoint_are_cut(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({"step": step, "loss": 0.5}) for step in (5, 10, 15, 20)]
    path.write_text("\n".join(lines) + '\n{"step": 25, "lo')
    train.engine.resume._cut_log(path, 10)
    assert path.read_text() == "\n".join(lines[:2]) + "\n"
    train.engine.resume._cut_log(tmp_path / "none", 3)
    assert not (tmp_path / "none").exists()


def test_mpur_needs_a_world_model_that_fits(recording, world_model, tmp_path):
    with pytest.raises(InputError, match="needs --world-model"):
        fit_policy("mpur")(recording, tmp_path / "run")
    observation = dataclasses.replace(TINY_OBSERVATION, frames=4)
    policy = NetworkPolicyConfig(PixelsConfig(observation, (4, 4, 4)), 8)
    with pytest.raises(InputError, match=r"policy\.features\.observation"):
        train.policy.main(
            "mpur", (recording,), tmp_path / "run", dataclasses.replace(POLICY, policy=policy),
            (world_model,), split="all", device="cpu",
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "options", "complaint"),
    [
        (
            "imitation", {"unroll": UnrollConfig(cost=DrivingCostConfig(lane=Lane(weight=3.0)))},
            "--unroll.cost",
        ),
        ("imitation", {"teacher": "planner:recorded"}, "--teacher: --method imitation does not"),
        ("mper", {"value": Path("nowhere")}, "--value: --method mper does not"),
        ("imitation", {"init": Path("nowhere")}, "--init: --method imitation does not"),
        ("multi-step-imitation", {"world_model": (Path("x"),)}, "--world-model: --method multi"),
        ("mper", {"unroll": UnrollConfig(hinge=1.0)}, "--unroll.hinge: --method mper does not"),
        (
            "mpur-without-uncertainty", {"unroll": UnrollConfig(uncertainty_weight=0.5)},
            "--unroll.uncertainty-weight: --method mpur-without",
        ),
    ],
)  # fmt: skip
def test_options_that_a_method_does_not_use_are_refused(
    recording, tmp_path, method, options, complaint
):
    config = train.policy.PRESETS["debug"]
    if "unroll" in options:
        config, options = dataclasses.replace(config, **options), {}
    with pytest.raises(InputError, match=complaint):
        train.policy.main(method, (recording,), tmp_path / "run", config, split="all", **options)


def test_adversarial_latents_need_latents(recording, tmp_path):
    model, seen = tmp_path / "model", ObservationConfig(3, 3, RasterConfig(64, 24))
    deterministic = dataclasses.replace(
        train.world_model.PRESETS["coupled-debug"],
        model=CoupledConfig(seen, features=8, latent=0), steps=3,
    )  # fmt: skip
    train.world_model.main(
        (recording,), model, with_loop(deterministic, updates=1), split="all", device="cpu"
    )
    config = train.policy.PRESETS["pixels-debug"]
    unroll = dataclasses.replace(config.unroll, adversarial=AdversarialConfig(every=1))
    config = dataclasses.replace(
        config, unroll=unroll,
        policy=NetworkPolicyConfig(PixelsConfig(seen, (4, 4, 4)), 8),
    )  # fmt: skip
    with pytest.raises(InputError, match="no latents to move"):
        train.policy.main(
            "mpur", (recording,), tmp_path / "policy", config, (model,), split="all", device="cpu"
        )


def test_a_world_model_whose_steps_do_not_join_its_history_is_refused(recording, tmp_path):
    model = dataclasses.replace(TINY_MODEL, frames_per_step=2)
    with pytest.raises(InputError, match="must be equal"):
        train.world_model.main(
            (recording,), tmp_path / "run", dataclasses.replace(WORLD_MODEL, model=model),
            split="all", device="cpu",
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_the_schedule():
    loop = train.engine.loop.LoopConfig(updates=120, warmup_updates=20, final_share=0.1)
    rates = [loop.rate(update) for update in range(120)]
    assert rates[:20] == pytest.approx([(k + 1) / 20 for k in range(20)])
    assert rates[20] == pytest.approx(1.0)
    assert rates[70] == pytest.approx(0.55)
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert loop.rate(120) == pytest.approx(0.1)
    for wrong in ({"updates": 0}, {"log_every": 0}, {"learning_rate": 0.0}):
        with pytest.raises(InputError, match="must be positive"):
            train.engine.loop.LoopConfig(**wrong)


def quadratic(out, loop, gradient=1.0):
    """The loop around a module of one number."""
    torch.manual_seed(0)
    module = torch.nn.Linear(1, 1, bias=False)

    def loss(drawn, generator):
        loss = gradient * (module.weight - 3.0).square().sum()
        return Terms(loss, {"weight": module.weight.sum()})

    recipe = train.engine.loop.Recipe(
        lambda number: None, lambda picked, generator: None, loss, batch=1
    )
    train.engine.loop.train(out, "toy", {"loop": {}}, loop, module, recipe, "toy")
    return module.weight.item()


def test_the_loop_minimises(tmp_path):
    loop = train.engine.loop.LoopConfig(updates=300, learning_rate=0.1, warmup_updates=1)
    assert quadratic(tmp_path, loop) == pytest.approx(3.0, abs=0.05)
    losses = [line["loss"] for line in log(tmp_path)]
    assert losses[-1] < 1e-2 * losses[0]
    assert [line["step"] for line in log(tmp_path)] == list(range(10, 301, 10))


def test_a_gradient_that_is_no_number_ends_the_run(tmp_path):
    loop = train.engine.loop.LoopConfig(updates=5)
    with pytest.raises(InputError, match="gradient of update 0 is not finite"):
        quadratic(tmp_path / "run", loop, gradient=float("nan"))
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_training_starts_from_another_runs_weights(recording, world_model, tmp_path):
    def fit(out, **changes):
        config = with_loop(
            dataclasses.replace(WORLD_MODEL, **changes), updates=1, learning_rate=1e-12
        )
        train.world_model.main(
            (recording,), out, config, split="all", device="cpu", start_from=world_model
        )

    fit(tmp_path / "adapted")
    before, after = load_world_model(world_model), load_world_model(tmp_path / "adapted")
    for name, value in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], value)
    fit(tmp_path / "adapted")  # trained already
    with pytest.raises(InputError, match="other options"):
        fit(tmp_path / "other", model=dataclasses.replace(TINY_MODEL, dropout=0.3))
    with pytest.raises(InputError, match="adapted"):
        fit_world_model(recording, tmp_path / "adapted")
