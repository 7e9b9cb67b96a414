"""The benchmark of world models: it is held against the same model, and its rows are complete."""

import dataclasses
import json

import pytest
import torch

import ppuu.world_models.latent
from eval import benchmark
from eval.benchmarks import original, world_models
from eval.benchmarks.peak import peak_mib
from eval.benchmarks.world_models import ORIGINAL, Member, WorldModelsBenchmark
from eval.open_loop.accuracy import prediction_accuracy
from ppuu.objectives import WorldModelLossConfig, world_model_loss
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.world_models import CoupledConfig, TokensConfig
from tests.helpers import dense_recording
from tests.rollouts import tiny_clips
from tests.runs import saved_world_model

SMALL = CoupledConfig(
    ObservationConfig(3, 1, RasterConfig(64, 24)), 1, features=16, latent=4, residual="values"
)
TOKENS = TokensConfig(ObservationConfig(3, 3, vehicles=6), hidden=8, pair=8)
STEPS = 5
ROUNDING = 0.02
"""Of bfloat16 over the steps, in coverage; measured 0.004."""


@pytest.fixture
def case():
    """A model, histories, what followed them, and noise."""
    torch.manual_seed(0)
    model = SMALL.build().eval()
    clips = tiny_clips([dense_recording()], STEPS, SMALL.observation)
    clip = clips.batch(torch.tensor([5, 400, 900]))
    noise = torch.randn(3, 2, STEPS, model.spec.latent)
    return model, clip.observation, clips.target(clip, model, STEPS), noise


def test_the_originals_way_leads_to_the_same_futures(case):
    model, observation, target, noise = case
    expected = original.imagine(model, observation, target.ego, noise)
    told = model.rollout(observation, noise, target.ego[:, None])
    torch.testing.assert_close(told.vehicles[:, 0], expected[:, :, :, 1])
    torch.testing.assert_close(told.road[:, 0], expected[:, :, :, [0, 2]])
    model.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.rollout(observation, noise, target.ego[:, None])
    assert (rounded.vehicles - told.vehicles).abs().max() < ROUNDING


def test_the_originals_way_learns_the_same(case, monkeypatch):
    """With z-dropout off, dropout off and latents at their means both are functions."""
    model, observation, target, _ = case
    monkeypatch.setattr(
        ppuu.world_models.latent, "normal", lambda shape, generator, like: like.new_zeros(*shape)
    )
    config = WorldModelLossConfig(latent_dropout=0.0, kl_weight=1e-3)
    losses = [
        original.loss(model, observation, target, config, torch.Generator()),
        world_model_loss(model, observation, target, config, torch.Generator()).total,
    ]
    torch.testing.assert_close(*losses)
    weights = list(model.parameters())
    for first, second in zip(*(torch.autograd.grad(loss, weights) for loss in losses), strict=True):
        torch.testing.assert_close(first, second, atol=1e-6, rtol=1e-3)


def test_its_z_dropout_is_for_the_whole_batch(case):
    model, observation, target, _ = case
    seen = []
    model.posterior_head.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    config, generator = WorldModelLossConfig(latent_dropout=0.5), torch.Generator().manual_seed(0)
    for _ in range(4):
        original.loss(model, observation, target, config, generator)
    assert set(seen) == {3} and 0 < len(seen) < 4 * STEPS


@pytest.fixture
def small_family(monkeypatch):
    family = {
        "tokens": Member(TOKENS),
        ORIGINAL: Member(SMALL, the_originals_way=True),
        "paper": Member(SMALL),
        "paper, bfloat16": Member(SMALL, "bfloat16"),
    }
    monkeypatch.setattr(world_models, "MEMBERS", family)
    monkeypatch.setattr(world_models, "generate", lambda *_, **__: dense_recording())
    return family


QUICK = ["--batch", "2", "--histories", "1", "--futures", "2", "--horizon-s", "0.6"]


def test_rows_tell_sizes_speeds_and_ratios(small_family, tmp_path, capsys):
    path = tmp_path / "speed.json"
    run(benchmark.main, ["world-models", *QUICK, "--repeats", "2", "--json", str(path)])
    rows = {row["name"]: row for row in json.loads(path.read_text())["rows"]}
    assert list(rows) == list(small_family)
    for row in rows.values():
        for key in ("training_clips_per_s", "rollout_step_ms", "rollout_second_ms"):
            assert 0 < row[key]["low"] <= row[key]["value"] <= row[key]["high"]
            assert row[key]["n"] == 2
        per_second = row["rollout_second_ms"]["value"] * row["step_s"]
        assert per_second == pytest.approx(row["rollout_step_ms"]["value"])
    base, ours = rows[ORIGINAL], rows["paper"]
    assert base["training_ratio"] == base["step_ratio"] == base["second_ratio"] == 1.0
    assert ours["step_ratio"] == pytest.approx(
        base["rollout_step_ms"]["value"] / ours["rollout_step_ms"]["value"]
    )
    assert ours["training_ratio"] == pytest.approx(
        ours["training_clips_per_s"]["value"] / base["training_clips_per_s"]["value"]
    )
    expected = sum(weight.numel() for weight in SMALL.build().parameters())
    assert ours["parameters"] == base["parameters"] == expected
    # For one future both do the same sums, in whatever precision.
    for name in (ORIGINAL, "paper, bfloat16"):
        assert rows[name]["gflop_per_future_s"] == ours["gflop_per_future_s"] > 0
    assert rows["tokens"]["step_s"] == 0.3
    assert "second_ratio" in capsys.readouterr().out


def test_flops_are_those_of_the_layers(small_family):
    """The first convolution alone: two for each weight, place and step."""
    base = WorldModelsBenchmark(("paper",), 2, 1, 2, 0.6, 1).run()[0]
    wide = dataclasses.replace(SMALL, observation=ObservationConfig(4, 1, RasterConfig(64, 24)))
    small_family["paper"] = Member(wide)
    more = WorldModelsBenchmark(("paper",), 2, 1, 2, 0.6, 1).run()[0]
    seen, past = 3 * 4 * 16 * 32 * 12, 4 * 16  # one frame more: three channels, four numbers
    grown = (more["gflop_per_future_s"] - base["gflop_per_future_s"]) * 1e9
    assert grown == pytest.approx(2 * 10 * (seen + past))


def test_runs_are_judged_as_in_open_loop(small_family, tmp_path):
    directory = saved_world_model(tmp_path / "tokens", TOKENS)
    recording = tmp_path / "dense.h5"
    dense_recording().save(recording)
    rows = WorldModelsBenchmark(
        ("tokens",), 2, 1, 2, 0.6, 1, runs=(f"tokens={directory}",), recordings=(recording,),
        split="all", clips=8,
    ).run()  # fmt: skip
    judgement = prediction_accuracy(directory, [recording], "all", 8)
    assert rows[0]["vehicle_iou_2s"] == judgement["vehicle_iou_2s"]
    assert rows[0]["cost_error_2s"] == judgement["cost_error_2s"]
    assert 0 < judgement["vehicle_iou_2s"].value < 1
    assert rows[0]["iou_per_gflop"] == pytest.approx(
        judgement["vehicle_iou_2s"].value / rows[0]["gflop_per_future_s"]
    )


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"members": ("tocens",)}, "no world model 'tocens'; choose from tokens"),
        ({"runs": ("tokens",)}, "--run tokens: write NAME=DIRECTORY"),
        ({"runs": ("tokens=somewhere",)}, "needs --recordings"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        WorldModelsBenchmark(**settings).run()


def test_peak_memory_is_what_is_taken_at_once():
    def take(mib):
        return lambda: torch.ones(mib, 2**18).sum()

    take(1)()
    found = peak_mib(take(64), "cpu")
    if found is None:
        pytest.skip("this system does not tell a process's peak")
    assert 60 < found < 80
    assert peak_mib(take(1), "cpu") < 20
