"""Probes: their targets, their fits, and the command from run to table."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

import train.encoder
from eval.open_loop.mlp_probe import mlp_probe
from eval.open_loop.probe_targets import KINDS, TargetReader
from eval.probe import main, r2_scores
from ppuu.encoders import ConvConfig, JepaNetworkConfig, MapHead, ResidualConfig
from ppuu.encoders.linear_probe import linear_probe
from ppuu.recordings.lanes import LaneField
from ppuu.runtime.errors import InputError
from ppuu.world_models import JepaConfig
from tests.helpers import DT_S, LANE_WIDTH_M, Car, dense_recording, straight_recording
from tests.rollouts import TINY_OBSERVATION, tiny_clips


def test_neighbours_are_read_as_worked_out_by_hand():
    """Ego at 10 m/s in the middle of three lanes."""
    cars = [
        Car(x_m=0.0, lane=1, speed_mps=10.0),
        Car(x_m=20.0, lane=1, speed_mps=12.0, length_m=5.5),
        Car(x_m=-12.0, lane=2, speed_mps=9.0),
        Car(x_m=100.0, lane=0, speed_mps=10.0),
    ]
    recording = straight_recording(cars)
    clips = tiny_clips([recording], horizon=20)
    mine = (clips.ego == 0).nonzero()[:1, 0]
    clip = clips.batch(mine)
    reader = TargetReader(clips.scene, LaneField.build([recording.road]))
    seconds = torch.tensor([0.0, 1.0])
    values = reader.at(clip, seconds, torch.tensor([0, 10]), DT_S)[0]
    read = dict(zip(KINDS, values.T.tolist(), strict=True))
    for time, second in enumerate(seconds.tolist()):
        started = DT_S * clip.frame[0].item() + second
        ahead = 20.0 + 2.0 * started - 0.5 * (4.5 + 5.5)
        behind = 12.0 + 1.0 * started - 4.5
        assert read["gap_own_ahead_m"][time] == pytest.approx(ahead, abs=1e-2)
        assert read["relative_speed_own_ahead_mps"][time] == pytest.approx(2.0, abs=1e-3)
        assert read["gap_left_behind_m"][time] == pytest.approx(behind, abs=1e-2)
        assert read["relative_speed_left_behind_mps"][time] == pytest.approx(-1.0, abs=1e-3)
        assert read["gap_right_ahead_m"][time] == 30.0  # no vehicle within reach
        assert math.isnan(read["relative_speed_right_ahead_mps"][time])
        assert read["density"][time] == pytest.approx(2 / 60)
        assert read["lane_offset_m"][time] == pytest.approx(0.0, abs=1e-3)
        assert read["lane_to_the_left"][time] == read["lane_to_the_right"][time] == 1.0
        assert read["own_speed_mps"][time] == pytest.approx(10.0, abs=1e-3)
        assert read["own_acceleration_mps2"][time] == pytest.approx(0.0, abs=1e-3)


def test_the_outer_lane_has_no_neighbour_and_offsets_have_a_sign():
    recording = straight_recording([Car(x_m=0.0, lane=0, to_lane=1, change_frame=20)])
    clips = tiny_clips([recording], horizon=30)
    clip = clips.batch(torch.arange(len(clips))[:20])
    values = TargetReader(clips.scene, LaneField.build([recording.road])).at(
        clip, torch.zeros(1), torch.zeros(1, dtype=torch.int64), DT_S
    )
    read = dict(zip(KINDS, values[:, 0].T, strict=True))
    first_lane = read["lane_to_the_right"] == 0.0
    assert first_lane.any()
    y = clip.observation.ego[:, -1, 1]
    expected = torch.where(first_lane, y - 0.5 * LANE_WIDTH_M, y - 1.5 * LANE_WIDTH_M)
    torch.testing.assert_close(read["lane_offset_m"], expected, atol=0.02, rtol=0)


def test_an_mlp_finds_what_no_line_does():
    torch.manual_seed(0)
    features = torch.rand(2000, 2) * 2 - 1
    target = (features[:, :1] * features[:, 1:]).sign()
    fresh = torch.rand(500, 2) * 2 - 1
    true = (fresh[:, :1] * fresh[:, 1:]).sign()
    bent = (mlp_probe(features, target, seed=0, epochs=30)(fresh) - true).square().mean()
    straight = (linear_probe(features, target)(fresh) - true).square().mean()
    assert bent < 0.4 < 0.9 < straight


def test_r2_is_one_less_the_unexplained_variance():
    random = np.random.default_rng(0)
    true, read = random.normal(size=(50, 3, 2)), random.normal(size=(50, 3, 2))
    true[:7, 1, 0] = np.nan
    found = r2_scores(torch.tensor(read), torch.tensor(true))
    for time in range(3):
        for k in range(2):
            known = np.isfinite(true[:, time, k])
            t, r = true[known, time, k], read[known, time, k]
            assert found[time, k] == pytest.approx(1 - ((t - r) ** 2).mean() / t.var())
    t, r = true[..., 1].ravel(), read[..., 1].ravel()
    assert found[-1, 1] == pytest.approx(1 - ((t - r) ** 2).mean() / t.var())
    same = r2_scores(torch.tensor(true), torch.tensor(true))
    assert (same == 1.0).all()
    constant = r2_scores(torch.zeros(5, 2, 1), torch.ones(5, 2, 1))
    assert np.isnan(constant).all()


def test_from_run_to_table(tmp_path, capsys):
    recording, out = tmp_path / "dense.h5", tmp_path / "run"
    dense_recording(per_lane=4, frames=700).save(recording)
    jepa = JepaNetworkConfig(ConvConfig((4, 8), 2), MapHead(3), ResidualConfig(8))
    config = train.encoder.OBJECTIVES["debug"]
    config = dataclasses.replace(
        config,
        model=JepaConfig(TINY_OBSERVATION, jepa=jepa, latent=2, readout=4),
        steps=2,
        loop=dataclasses.replace(config.loop, updates=2),
    )
    train.encoder.main((recording,), out, config, split="all", device="cpu")
    main(
        (out,), (recording,), tmp_path / "probe.json", probe_clips=30, clips=10,
        horizon_s=0.6, seeds=(0, 1), untrained=True,
    )  # fmt: skip
    rows = json.loads((tmp_path / "probe.json").read_text())["rows"]
    assert {row["probe"] for row in rows} == {"linear", "mlp", "truth"}
    assert len(rows) == 5 * (3 + len(KINDS))
    printed = capsys.readouterr().out
    assert "untrained" in printed
    assert "slow" in printed


def test_a_model_without_embedding_is_refused(tmp_path):
    import train.world_model as world_model

    recording, out = tmp_path / "dense.h5", tmp_path / "run"
    dense_recording(per_lane=4, frames=60).save(recording)
    config = world_model.PRESETS["recurrent-debug"]
    config = dataclasses.replace(config, steps=2, loop=dataclasses.replace(config.loop, updates=1))
    world_model.main((recording,), out, config, split="all", device="cpu")
    with pytest.raises(InputError, match="no embedding"):
        main((out,), (recording,))
    with pytest.raises(InputError, match="probes are trained on train"):
        main((out,), (recording,), split="all")


@pytest.mark.parametrize("probe", [linear_probe, lambda x, y: mlp_probe(x, y, 0)])
def test_a_feature_that_stood_still_in_training_says_nothing(probe):
    torch.manual_seed(0)
    features = torch.randn(200, 4)
    features[:, 3] = 0.7
    read = probe(features, features[:, :1])
    other = features.clone()
    other[:, 3] += 0.3
    torch.testing.assert_close(read(other), read(features))
