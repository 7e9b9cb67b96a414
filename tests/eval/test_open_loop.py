"""Open-loop evaluation: the truth scores 1, references match hand computation, pairs are paired."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from eval.open_loop.__main__ import main
from eval.open_loop.held_out import common_observation
from eval.open_loop.metrics import (
    METRICS,
    GroundTruth,
    costs_along,
    overlap,
    prediction_metrics,
    step_at,
)
from eval.open_loop.references import REFERENCES, references
from eval.open_loop.runner import evaluate
from eval.open_loop.summary import horizon_tables, summarise
from eval.statistics.metric import Metric
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.vehicle_raster import draw_vehicles
from ppuu.predictions import BoxPrediction, OccupancyPrediction
from ppuu.runtime.errors import InputError
from ppuu.world_models import ConstantVelocity, Predictor, TokensConfig, tracks_spec
from tests.helpers import Car, dense_recording, straight_recording
from tests.rollouts import TINY, TINY_MODEL, tiny_clips
from tests.runs import saved_world_model

STEPS = 4
SEEING = ObservationConfig(frames=3, stride=3, raster=TINY, vehicles=12)
TOKENS = TokensConfig(SEEING, hidden=8, pair=8)


class Oracle(Predictor):
    """Tells the truth as boxes or as images, or something else on request."""

    spec = tracks_spec(SEEING)

    def __init__(self, clips, images=False, change=lambda values: values):
        self.clips, self.images, self.change = clips, images, change

    def predict(self, observation, steps, samples, generator, ego=None, shared=False):
        # The clip is identified by the present position of its ego.
        present = observation.ego[:, -1]
        states = self.clips.scene.state(self.clips.ego, self.clips.frame)
        clip = self.clips.batch((states[None] - present[:, None]).abs().sum(-1).argmin(1))
        truth = GroundTruth.after(self.clips, clip, self, steps)
        if self.images:
            vehicles = truth.images.vehicles.repeat(1, 1, samples, 1, 1, 1)
            return replace(truth.images, vehicles=self.change(vehicles))
        states = truth.target.tracks.transpose(1, 2)[:, None, None].repeat(1, 1, samples, 1, 1, 1)
        tracks = observation.tracks
        assert tracks is not None
        return BoxPrediction(
            truth.images.pose, TINY, self.change(states), tracks.size_m, tracks.valid_now,
            observation.road,
        )  # fmt: skip


@pytest.fixture(scope="module")
def clips():
    pair = straight_recording([Car(0.0), Car(9.0, speed_mps=10.5)], frames=60, name="pair")
    return tiny_clips([dense_recording(per_lane=3, frames=60), pair], 3 * STEPS, SEEING)


def scores(predictor, clips, samples=2, count=40):
    """Mean over clips of each measure, at each step."""
    index = torch.randperm(len(clips), generator=torch.Generator().manual_seed(0))[:count]
    predictors = {"it": predictor, **references(predictor, clips)}
    found = evaluate(predictors, clips, index, STEPS, samples, seed=0)
    return {name: dict(zip(METRICS, v.mean(0), strict=True)) for name, v in found.items()}


@pytest.mark.parametrize("images", [False, True])
def test_the_truth_is_perfect(clips, images):
    found = scores(Oracle(clips, images), clips)["it"]
    assert (found["vehicle_iou"] == 1).all()
    assert (found["best_vehicle_iou"] == 1).all()
    for key in ("image_mse", "diversity"):
        assert (found[key] == 0).all()
    for key in ("cost_error", "best_cost_error", "expected_cost_error"):
        assert found[key] == pytest.approx(0.0, abs=1e-6)
    if images:  # no vehicles to match
        assert np.isnan(found["position_error_m"]).all()
        assert np.isnan(found["diversity_m"]).all()
        assert np.isnan(found["each_best_position_error_m"]).all()
    else:
        assert (found["position_error_m"] == 0).all()
        assert (found["diversity_m"] == 0).all()


def test_references_by_hand():
    """A car that brakes at 2 m/s² beside an ego at 10 m/s: each reference by its own formula."""
    frames, begin, braking = 60, 12.0, -2.0
    recording = straight_recording([Car(0.0), Car(8.0, lane=1)], frames=frames)
    time = 0.1 * np.arange(frames)
    recording.speed_mps[frames:] = begin + braking * time
    recording.x_m[frames:] = 8.0 + begin * time + 0.5 * braking * time**2
    clips = tiny_clips([recording], 3 * STEPS, SEEING)
    index = int(((clips.ego == 0) & (clips.frame == 6)).nonzero())
    clip = clips.batch(torch.tensor([index]))
    then = 0.3 * torch.arange(1, STEPS + 1)
    speed = begin + braking * 0.6
    place = 8.0 + begin * 0.6 + 0.5 * braking * 0.6**2
    idm_lone = 1.2 * (1 - (speed / (1.1 * speed + 2.0)) ** 4)
    by_hand = {
        "copy-last": place + 10.0 * then,
        "constant-velocity": place + speed * then,
        "constant-acceleration": place + speed * then + 0.5 * braking * then**2,
        "idm": place + torch.tensor([speed * 0.3 + 0.5 * idm_lone * 0.09] * STEPS),
    }
    poses = GroundTruth.after(clips, clip, Oracle(clips), STEPS).poses
    for name, predictor in references(Oracle(clips), clips).items():
        prediction = predictor.predict(clip.observation, STEPS, 1, torch.Generator())
        slot = int(prediction.valid[0].nonzero()[0])
        x = prediction.states[0, 0, 0, :, slot, 0]
        steps = 1 if name == "idm" else STEPS
        torch.testing.assert_close(x[:steps], by_hand[name][:steps], atol=1e-3, rtol=0)
        boxes = torch.tensor([[float(x[0]), 6.0, 0.0, 4.5, 1.8]])[None]
        image = draw_vehicles(poses[0, :1], boxes, torch.ones(1, 1, dtype=torch.bool), TINY)
        drawn = prediction.vehicle_images(poses)[0, 0, 0, 0]
        torch.testing.assert_close(drawn, image[0], atol=1e-4, rtol=0)


def test_constant_velocity_is_exact_where_it_holds(clips):
    found = scores(Oracle(clips), clips)
    for name in ("constant-velocity", "constant-acceleration"):
        assert (found[name]["vehicle_iou"] > 0.999).all()
        assert (found[name]["position_error_m"] < 1e-3).all()
        assert (found[name]["cost_error"] < 1e-3).all()
    assert found["copy-last"]["vehicle_iou"][-1] < 0.9
    assert set(found) == {"it", *REFERENCES}


def test_displaced_vehicles_by_hand(clips):
    """Two samples, 1 m ahead and 3 m behind the truth: mean 2 m, best 1 m, 4 m apart."""

    def shifted(states):
        states[:, :, 0, ..., 0] += 1.0
        states[:, :, 1, ..., 0] -= 3.0
        return states

    found = scores(Oracle(clips, change=shifted), clips)["it"]
    assert found["position_error_m"] == pytest.approx(2.0, abs=1e-4)
    assert found["best_position_error_m"] == pytest.approx(1.0, abs=1e-4)
    assert found["diversity_m"] == pytest.approx(4.0, abs=1e-4)
    assert (found["best_vehicle_iou"] > found["vehicle_iou"]).all()
    assert (found["diversity"] > 0).all()


def test_the_best_for_all_and_for_each_by_hand(clips):
    """Two samples, each right about every other vehicle and 1 m off about the rest."""

    def half_right(states):
        states[:, :, 0, :, ::2, 0] += 1.0
        states[:, :, 1, :, 1::2, 0] += 1.0
        return states

    found = scores(Oracle(clips, change=half_right), clips)["it"]
    assert found["each_best_position_error_m"] == pytest.approx(0.0, abs=1e-6)
    assert found["position_error_m"] == pytest.approx(0.5, abs=1e-5)
    assert (found["best_position_error_m"] > 0.3).all()


def test_a_wrong_model_of_pixels_is_found_out(clips):
    empty = scores(Oracle(clips, True, torch.zeros_like), clips)["it"]
    assert (empty["vehicle_iou"] < 0.2).all()
    assert (empty["cost_error"] > 0.0).all()

    def one_good(images):
        images[:, :, 1:] = 0.0
        return images

    half = scores(Oracle(clips, True, one_good), clips)["it"]
    assert (half["best_vehicle_iou"] == 1.0).all()
    assert half["vehicle_iou"] == pytest.approx(0.5 * (1.0 + empty["vehicle_iou"]), abs=1e-5)
    assert half["image_mse"] == pytest.approx(0.5 * empty["image_mse"], rel=1e-4)
    assert half["expected_cost_error"] == pytest.approx(0.5 * half["cost_error"] * 2, rel=0.5)
    assert half["best_cost_error"] == pytest.approx(0.0, abs=1e-6)


def test_with_one_sample_mean_and_best_are_one(clips):
    model = TOKENS.build().eval()
    found = scores(model, clips, samples=1)["it"]
    for key in ("vehicle_iou", "position_error_m", "cost_error"):
        assert found[key] == pytest.approx(found[f"best_{key}"])
    assert found["each_best_position_error_m"] == pytest.approx(found["position_error_m"])
    assert found["expected_cost_error"] == pytest.approx(found["cost_error"])
    assert found["diversity"] == pytest.approx(0.0, abs=1e-6)


def test_images_drawn_elsewhere_are_brought_to_the_same_poses(clips):
    clip = clips.batch(torch.arange(0, len(clips), 29))
    truth = GroundTruth.after(clips, clip, Oracle(clips), STEPS)
    ahead = 3 * torch.arange(1, STEPS + 1)
    pose = truth.poses.clone()
    pose[..., 0] += 2 * TINY.metres_per_pixel
    prediction = replace(
        truth.images,
        pose=pose[:, None],
        vehicles=clips.draw_vehicles(clip, ahead, pose)[:, None, None],
        road=clips.draw_road(clip, pose)[:, None, None],
    )
    moved = OccupancyPrediction.rasterize(prediction, truth.poses)
    torch.testing.assert_close(
        moved.vehicles[..., 2:-2, :], truth.images.vehicles[..., 2:-2, :], atol=1e-3, rtol=0
    )


def test_overlap_by_hand():
    a = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0]])
    b = torch.tensor([[1.0, 1.0, 0.0], [0.5, 0.0, 0.0]])
    assert overlap(a, b) == pytest.approx((1.0 + 0.5) / (1.0 + 1.0 + 0.5 + 1.0))
    assert overlap(a, a) == 1
    assert overlap(torch.zeros(3, 3), torch.zeros(3, 3)) == 1
    assert overlap(a, torch.zeros(2, 3)) == 0
    assert overlap(torch.stack([a, b]), torch.stack([b, b])).shape == (2,)


def test_differences_are_paired():
    """A model better by exactly 0.1 in every clip: an interval without width."""
    random = np.random.default_rng(0)
    base = random.normal(size=(50, len(METRICS), STEPS))
    values = {"model": base + 0.1, "idm": base}
    rows, comparisons = summarise(values, np.arange(50), 0.3)
    assert [row["name"] for row in comparisons] == ["model - idm"]
    gain, own = comparisons[0]["vehicle_iou_1s"], rows[0]["vehicle_iou_1s"]
    assert isinstance(gain, Metric)
    assert isinstance(own, Metric)
    assert (gain.low, gain.value, gain.high) == pytest.approx((0.1, 0.1, 0.1))
    assert own.high - own.low > 0.2
    assert own.value == pytest.approx(values["model"][:, 0, 2].mean())
    assert "vehicle_iou_2s" not in rows[0]  # beyond what was predicted
    assert [step_at(s, 0.3) for s in (0.3, 1.0, 2.0, 3.0)] == [0, 2, 6, 9]


def test_costs_are_of_images_whatever_was_predicted(clips):
    """Boxes drawn and the same boxes as images cost the same."""
    clip = clips.batch(torch.arange(0, len(clips), 29))
    truth = GroundTruth.after(clips, clip, Oracle(clips), STEPS)
    model = ConstantVelocity(tracks_spec(SEEING))
    prediction = model.predict(clip.observation, STEPS, 1, torch.Generator())
    images = OccupancyPrediction.rasterize(prediction, truth.poses)
    costs = costs_along(replace(truth.rollout, prediction=images))
    wrong = (costs - costs_along(truth.rollout)).abs()[:, 0]
    torch.testing.assert_close(prediction_metrics(prediction, truth)["cost_error"], wrong)
    torch.testing.assert_close(prediction_metrics(images, truth)["cost_error"], wrong)


def test_models_that_see_different_histories_are_not_mixed():
    tokens, pixels = TOKENS.build(), TINY_MODEL.build()
    assert common_observation([pixels, tokens]) == SEEING
    assert common_observation([pixels]).vehicles == 24
    other = TokensConfig(ObservationConfig(frames=4, raster=TINY, vehicles=12), hidden=8, pair=8)
    with pytest.raises(InputError, match="one by one"):
        common_observation([tokens, other.build()])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one configuration, and a recording."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(("a", "b")):
        saved_world_model(folder / name, TOKENS, seed)
    dense_recording(per_lane=3, frames=60).save(folder / "dense.h5")
    return folder


def test_near_times_are_shown_where_there_are_no_others():
    far = {"name": "model", "vehicle_iou_0.3s": 0.9, "vehicle_iou_1s": 0.8}
    assert "0.3 s" not in horizon_tables([far]) and "1 s" in horizon_tables([far])
    assert "0.3 s" in horizon_tables([{"name": "model", "vehicle_iou_0.3s": 0.9}])


def test_the_command_writes_its_table(runs, tmp_path, capsys):
    recordings, reports = (runs / "dense.h5",), []
    for name in ("first", "again"):
        out = tmp_path / f"{name}.json"
        main((runs / "a",), recordings, out, split="all", clips=12, horizon_s=1.2, futures=2)
        reports.append(json.loads(out.read_text()))
    report = reports[0]
    assert report["command"] == "eval.open_loop"
    assert report["config"]["horizons_s"] == {"0.3s": 0.3, "0.6s": 0.6, "1s": 0.9}
    assert [row["name"] for row in report["rows"]] == ["model", *REFERENCES]
    assert [row["name"] for row in report["comparisons"]] == [f"model - {r}" for r in REFERENCES]
    for row in report["rows"]:
        assert set(row["vehicle_iou_1s"]) == {"value", "low", "high", "n"}
        assert 0 <= row["vehicle_iou_1s"]["value"] <= 1
    # The seed fixes clips and samples.
    assert reports[0]["rows"] == reports[1]["rows"]
    assert "constant-acceleration" in capsys.readouterr().out
    with pytest.raises(InputError, match="all must be positive"):
        main((runs / "a",), recordings, split="all", futures=0)


def test_several_runs_their_ensemble_and_a_page(runs, tmp_path):
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    main(
        (runs / "a", runs / "b"), (runs / "dense.h5",), out, page, split="all", clips=6,
        horizon_s=1.2, futures=2, ensemble=True,
    )  # fmt: skip
    report = json.loads(out.read_text())
    assert [row["name"] for row in report["rows"]] == ["a", "b", "ensemble", *REFERENCES]
    names = [row["name"] for row in report["comparisons"]]
    assert names[:2] == ["a - b", "a - ensemble"]
    assert "ensemble - idm" in names
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 2
    assert "src='http" not in text
    assert 'src="http' not in text


def test_temperatures_are_rows(runs, tmp_path):
    out = tmp_path / "out.json"
    main(
        (runs / "a",), (runs / "dense.h5",), out, split="all", clips=6, horizon_s=0.6, futures=2,
        temperature=(1.0, 0.5, 0.0),
    )  # fmt: skip
    report = json.loads(out.read_text())
    names = [row["name"] for row in report["rows"]]
    assert names == ["model", "model@0.5", "model@0", *REFERENCES]
    rows = dict(zip(names, report["rows"], strict=True))
    assert rows["model@0"]["diversity_m_0.6s"]["value"] == 0
    assert "model@0.5 - model@0" in [row["name"] for row in report["comparisons"]]
    with pytest.raises(InputError, match="at least one"):
        main((runs / "a",), (runs / "dense.h5",), split="all", temperature=())
