"""Joint-embedding world models in the training loop: telemetry, resuming, and what they are for."""

import dataclasses
import json

import pytest
import torch

import train.encoder
import train.policy
from ppuu.encoders import (
    ConvConfig,
    JepaNetworkConfig,
    MapHead,
    ResidualConfig,
    VectorHead,
    VitConfig,
)
from ppuu.loading.runs import load_world_model
from ppuu.objectives import StartConfig, UnrollConfig
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import PixelsConfig
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.config import from_json, to_json
from ppuu.runtime.errors import InputError
from ppuu.world_models import JepaConfig
from tests.helpers import dense_recording
from tests.rollouts import TINY_OBSERVATION, tiny_clips
from train.engine.loop_config import LoopConfig

MODEL = JepaConfig(
    TINY_OBSERVATION,
    jepa=JepaNetworkConfig(
        ConvConfig((4, 8), 2), MapHead(6), ResidualConfig(8), target_momentum=0.9
    ),
    latent=3,
    readout=8,
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "dense.h5"
    dense_recording(per_lane=4, frames=60).save(path)
    return path


def fit(recording, out, updates=6, objective="tico", **changes):
    config = train.encoder.OBJECTIVES[objective]
    jepa = dataclasses.replace(MODEL.jepa, norm=config.model.jepa.norm)
    model = dataclasses.replace(MODEL, regularizer=config.model.regularizer, jepa=jepa)
    loop = dataclasses.replace(config.loop, updates=updates, log_every=1, **changes)
    config = dataclasses.replace(config, model=model, steps=3, batch=4, loop=loop)
    train.encoder.main((recording,), out, config, split="all", device="cpu")


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_is_a_world_model_with_telemetry_and_resumes(recording, tmp_path, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit(recording, whole, schedule="constant")
    assert "warning: " in capsys.readouterr().err  # nothing is healthy after six updates
    assert {"rank", "temporal_ratio", "warning_slow-features", "variance"} - set(log(whole)[0]) == {
        "variance"
    }
    fit(recording, parts, updates=3, schedule="constant")
    fit(recording, parts, schedule="constant")
    ours, theirs = Checkpoint.load(whole).model, Checkpoint.load(parts).model
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    model = load_world_model(whole)
    clip = tiny_clips([dense_recording()]).batch(torch.arange(4))
    prediction = model.predict(clip.observation, 3, 2, torch.Generator().manual_seed(0))
    assert torch.isfinite(prediction.vehicles).all()


def test_a_policy_learns_inside_it(recording, tmp_path):
    fit(recording, tmp_path / "model", 2)
    config = dataclasses.replace(
        train.policy.PRESETS["debug"],
        policy=NetworkPolicyConfig(PixelsConfig(TINY_OBSERVATION, (4, 4, 4)), 8),
        unroll=UnrollConfig(steps=3, replicas=2, starts=StartConfig(drive_steps=2)),
        loop=LoopConfig(updates=2, log_every=1),
        batch=2,
        expert_clips=4,
    )
    train.policy.main(
        "mpur", (recording,), tmp_path / "policy", config, (tmp_path / "model",), split="all",
        device="cpu",
    )  # fmt: skip
    assert torch.isfinite(torch.tensor([line["loss"] for line in log(tmp_path / "policy")])).all()


@pytest.mark.parametrize("objective", ["mcr2", "sigreg"])
def test_statistics_keep_their_digits_in_bfloat16(recording, tmp_path, objective):
    fit(recording, tmp_path / "run", 2, objective, precision="bfloat16")
    assert all(torch.isfinite(torch.tensor(line["loss"])) for line in log(tmp_path / "run"))


@pytest.mark.parametrize("name", train.encoder.OBJECTIVES)
def test_every_objective_comes_back_from_json(name):
    config = train.encoder.OBJECTIVES[name]
    assert from_json(train.encoder.EncoderTraining, to_json(config)) == config


def test_a_batch_of_one_is_refused():
    with pytest.raises(InputError, match="compared"):
        train.encoder.EncoderTraining(batch=1)


def test_any_objective_may_have_any_encoder():
    vector, vit = (train.encoder.OBJECTIVES[f"sigreg-{kind}"].model for kind in ("vector", "vit"))
    assert vector.jepa.head == VectorHead(256)
    assert vit.jepa.encoder == VitConfig()
    # Each keeps what its objective asks for.
    assert vector.jepa.norm == vit.jepa.norm == "batch"
    assert vit.regularizer == train.encoder.OBJECTIVES["sigreg"].model.regularizer


def test_a_moving_average_does_not_accumulate():
    config = train.encoder.OBJECTIVES["vicreg"]
    averaged = dataclasses.replace(config.model.jepa, target_momentum=0.9)
    model = dataclasses.replace(config.model, jepa=averaged)
    with pytest.raises(InputError, match="accumulate 2"):
        dataclasses.replace(config, model=model, loop=LoopConfig(accumulate=2))
