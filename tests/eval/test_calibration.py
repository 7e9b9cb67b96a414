"""Calibration: samples that tell the truth about themselves, and some that do not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from eval.calibration import UNUSUAL_ACTIONS, _paths, disagreement_by_actions, main
from eval.open_loop.calibration_metrics import (
    LEVELS,
    Spread,
    central_interval,
    concatenate,
    deviations_from_truth,
    spreads,
)
from eval.open_loop.metrics import GroundTruth
from ppuu.kinematics import step
from ppuu.perception.observation import ObservationConfig
from ppuu.runtime.errors import InputError
from ppuu.world_models import ConstantVelocity, TokensConfig, TokensWorldModel, tracks_spec
from tests.helpers import Car, dense_recording, straight_recording
from tests.rollouts import TINY, TINY_MODEL, tiny_clips
from tests.runs import saved_world_model

SEEING = ObservationConfig(frames=3, stride=3, raster=TINY, vehicles=6)
TOKENS = TokensConfig(SEEING, hidden=8, pair=8)
HORIZON = 30


@pytest.fixture(scope="module")
def clips():
    return tiny_clips([dense_recording(per_lane=3, frames=60)], HORIZON, SEEING)


def calibrated(rows=4000, futures=39, stretch=1.0):
    """A Spread whose truth is one more sample of what the futures are samples of."""
    random = torch.Generator().manual_seed(0)
    scale = torch.rand(rows, 1, generator=random) + 0.1
    samples = scale * torch.randn(rows, futures, generator=random)
    truth = stretch * scale * torch.randn(rows, 1, generator=random)
    off = {"x": (samples - truth)[..., None, None]}
    return spreads(off, {"x": off["x"][:, :3]}, torch.arange(rows), [0])["x", 0]


def test_honest_samples_are_calibrated():
    found = calibrated().metrics()
    for level in LEVELS:
        covered = found[f"covered_{100 * level:g}"]
        assert covered.low < level < covered.high
    # The error of a mean of 39 samples and a truth: a little more than a deviation.
    expected = found["sampled_deviation"].value * np.sqrt(1 + 1 / 39)
    assert found["error_rms"].value == pytest.approx(expected, rel=0.04)
    assert found["rank_correlation"].low > 0.3
    curve = calibrated().reliability()
    assert curve.shape == (10, 2)
    assert (np.diff(curve[:, 0]) > 0).all()
    np.testing.assert_allclose(curve[:, 1], curve[:, 0], rtol=0.15)


def test_overconfident_samples_are_found_out():
    found = calibrated(stretch=3.0).metrics()
    for level in LEVELS:
        assert found[f"covered_{100 * level:g}"].high < level
    assert found["error_rms"].value > 2.5 * found["sampled_deviation"].value


def test_central_shares_by_hand():
    """1 to 39 in any order: half of 40 gaps lies between 10 and 30."""
    samples = (torch.randperm(39, generator=torch.Generator().manual_seed(0)) + 1.0)[None]
    for share, ends in ((0.5, (10, 30)), (0.8, (4, 36)), (0.95, (1, 39))):
        low, high = central_interval(samples, share)
        assert (float(low), float(high)) == pytest.approx(ends)
    low, high = central_interval(torch.tensor([[0.0, 1.0]]), 0.5)  # as far as two samples reach
    assert (float(low), float(high)) == (0.0, 1.0)


def test_deviations_are_along_and_across_the_true_heading(clips):
    """Everybody 2 m ahead of and 1 m to the left of where he really is, headings as they were."""
    turned = straight_recording([Car(0.0, lane=1), Car(9.0, to_lane=1, change_frame=8)], frames=60)
    for pool in (clips, tiny_clips([turned], HORIZON, SEEING)):
        clip = pool.batch(torch.arange(0, len(pool), 11))
        reference = ConstantVelocity(tracks_spec(SEEING))
        truth = GroundTruth.after(pool, clip, reference, 10)
        prediction = reference.predict(clip.observation, 10, 2, torch.Generator())
        true = truth.target.tracks.transpose(1, 2)[:, None, None]
        heading = true[..., 2]
        ahead = torch.stack([heading.cos(), heading.sin()], -1)
        left = torch.stack([-heading.sin(), heading.cos()], -1)
        place = (true[..., :2] + 2 * ahead + left).expand_as(prediction.states[..., :2])
        moved = replace(prediction, states=torch.cat([place, prediction.states[..., 2:]], -1))
        off = deviations_from_truth(moved, truth)
        known = truth.target.valid.transpose(1, 2)[:, None].expand_as(off["along_m"])
        assert known.any()
        torch.testing.assert_close(off["along_m"][known], torch.full((int(known.sum()),), 2.0))
        torch.testing.assert_close(
            off["across_m"][known], torch.ones(int(known.sum())), atol=1e-4, rtol=0
        )
        assert off["along_m"][~known].isnan().all()
        assert off["cost"].shape == (len(clip.ego), 2, 10, 1)


def test_batches_are_concatenated():
    one = {("x", 0): calibrated(50)}
    both = concatenate([one, one])["x", 0]
    assert isinstance(both, Spread)
    assert len(both.error) == 100
    assert both.inside.shape == (100, len(LEVELS))


class Follower(TokensWorldModel):
    """Coupled: everybody is drawn along by the ego's speed, the more so the less is dropped out."""

    def __init__(self, config):
        super().__init__(config)
        self.spec = replace(self.spec, conditioned_on_ego=True)

    def advance(self, state, ego, latent):
        assert ego is not None
        moved, ego = super().advance(state, ego, latent)
        share = self.dropout(torch.ones(*moved.now.shape[:2], self.dropout.width)).mean(-1)
        pull = moved.now.clone()
        pull[..., 0] += 0.02 * share * (ego[:, None, 3] - 10.0)
        return replace(moved, now=pull), ego


def test_strange_actions_reach_coupled_models(clips):
    torch.manual_seed(0)
    found = disagreement_by_actions(
        Follower(TOKENS).eval(), clips, torch.arange(0, 200, 9), 10, torch.Generator()
    )
    assert set(found) == {"recorded", *UNUSUAL_ACTIONS}
    # Strange speeds, strange futures.
    assert found["braking"][-1] > 2 * found["recorded"][-1]
    assert found["accelerating"][-1] > 2 * found["recorded"][-1]


def test_strange_paths_are_the_kinematics(clips):
    clip = clips.batch(torch.arange(0, 60, 7))
    paths = dict(_paths(clip, TOKENS.build(), 3))
    torch.testing.assert_close(paths["recorded"], clip.future[:, [2, 5, 8]])
    state = clip.observation.ego[:, -1]
    for _ in range(3):
        state = step(state, torch.tensor([[-5.0, 0.0]]).expand(len(state), 2), 0.1)
    torch.testing.assert_close(paths["braking"][:, 0], state, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["tokens", "ensemble", "pixels"])
def test_the_command(tmp_path, capsys, kind):
    config = TINY_MODEL if kind == "pixels" else TOKENS
    runs = [saved_world_model(tmp_path / "a", config)]
    if kind == "ensemble":
        runs.append(saved_world_model(tmp_path / "b", config, seed=1))
    dense_recording(per_lane=3, frames=60).save(tmp_path / "here.h5")
    dense_recording(per_lane=2, frames=60).save(tmp_path / "there.h5")
    out, picture = tmp_path / "out.json", tmp_path / "out.png"
    main(
        tuple(runs), (tmp_path / "here.h5",), (tmp_path / "there.h5",), out, picture,
        split="all", clips=8, futures=5,
    )  # fmt: skip
    report = json.loads(out.read_text())
    quantities = ["cost", "image"] if kind == "pixels" else ["cost", "along_m", "across_m"]
    assert [row["name"] for row in report["rows"]] == [f"here {key}" for key in quantities]
    assert [row["name"] for row in report["comparisons"]] == [f"there {k}" for k in quantities]
    assert report["config"]["replicas"] == ("ensemble" if kind == "ensemble" else "dropout")
    curves = {f"{key}_{horizon}s" for key in quantities for horizon in (1, 2, 3)}
    assert set(report["config"]["reliability"]) == curves
    for row in report["rows"]:
        assert 0 <= row["covered_80_2s"]["value"] <= 1
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "covered_95" in capsys.readouterr().out
    with pytest.raises(InputError, match="at least 2"):
        main(tuple(runs), (tmp_path / "here.h5",), split="all", futures=1)
