"""Open-loop scoring: truth scores 1, and constant velocity is exact where it holds."""

import json

import pytest
import torch

from eval.open_loop import constant_velocity, evaluate, main, overlap
from ppuu.checkpoint import FILE_NAME, Checkpoint
from ppuu.config import to_json
from ppuu.errors import InputError
from ppuu.rollout import Futures
from tests.helpers import Car, dense_recording, straight_recording
from tests.rollouts import TINY_MODEL, tiny_clips

STEPS = 4


class Oracle:
    """A world model that draws the truth, or something else on request."""

    frames_per_step = 3
    decoupled = True

    def __init__(self, clips, change=lambda images: images):
        self.clips, self.change = clips, change
        self.model = TINY_MODEL.build()

    def image_poses(self, observation, ego):
        return self.model.image_poses(observation, ego)

    def imagine(self, observation, steps, futures, ego=None, latents=None):
        # The clip is told by where its ego stands now.
        present = observation.ego[:, -1]
        states = self.clips.scene.state(self.clips.ego, self.clips.frame)
        index = (states[None] - present[:, None]).abs().sum(-1).argmin(1)
        clip = self.clips.batch(index)
        ahead = 3 * torch.arange(1, steps + 1)
        poses = self.image_poses(observation, ego)
        vehicles = self.clips.draw_vehicles(clip, ahead, poses)
        vehicles = self.change(vehicles[:, None].repeat(1, futures, 1, 1, 1))
        road = self.clips.draw_road(clip, poses)
        return Futures(vehicles, road, poses, self.clips.config.raster)


@pytest.fixture(scope="module")
def clips():
    pair = straight_recording([Car(0.0), Car(9.0, speed_mps=10.5)], frames=60, name="pair")
    return tiny_clips([dense_recording(per_lane=3, frames=60), pair], 3 * STEPS)


def scores(model, clips, futures=2, count=40):
    rows = evaluate(model, clips, STEPS, count, futures, seed=0)
    return {row["name"]: {k: v.value for k, v in row.items() if k != "name"} for row in rows}


def test_the_truth_is_perfect(clips):
    found = scores(Oracle(clips), clips)["world-model"]
    assert set(found) == {"squared_error_1s", "iou_1s", "cost_error_1s", "best_iou_1s"}
    assert found["iou_1s"] == found["best_iou_1s"] == 1.0
    assert found["squared_error_1s"] == 0.0
    assert found["cost_error_1s"] == pytest.approx(0.0, abs=1e-6)  # sums in another order


def test_constant_velocity_is_exact_where_it_holds(clips):
    found = scores(Oracle(clips), clips)
    moving, still = found["constant-velocity"], found["copy-last"]
    assert moving["iou_1s"] > 0.999
    assert moving["squared_error_1s"] < 1e-6
    assert moving["cost_error_1s"] < 1e-3
    assert still["iou_1s"] < 0.9 < moving["iou_1s"]
    # The images themselves, at every step.
    clip = clips.batch(torch.arange(0, len(clips), 37))
    ahead = 3 * torch.arange(1, STEPS + 1)
    poses = clip.future[:, ahead - 1, :3]
    images = constant_velocity(clips, clip, 0.1 * ahead, poses)
    torch.testing.assert_close(images, clips.draw_vehicles(clip, ahead, poses), atol=2e-3, rtol=0)


def test_constant_velocity_is_wrong_where_a_car_turns():
    cars = [Car(0.0, lane=1, speed_mps=10.0), Car(9.0, to_lane=1, change_frame=8)]
    clips = tiny_clips([straight_recording(cars, frames=45)], 3 * STEPS)
    assert scores(Oracle(clips), clips)["constant-velocity"]["iou_1s"] < 0.98


def test_a_wrong_model_is_found_out(clips):
    empty = scores(Oracle(clips, torch.zeros_like), clips)["world-model"]
    assert empty["iou_1s"] < 0.2
    assert empty["cost_error_1s"] > 0.0

    def one_good(images):
        images[:, 1:] = 0.0
        return images

    half = scores(Oracle(clips, one_good), clips)["world-model"]
    assert half["best_iou_1s"] == 1.0
    assert half["iou_1s"] == pytest.approx(0.5 * (1.0 + empty["iou_1s"]), abs=1e-5)
    assert half["squared_error_1s"] == pytest.approx(0.5 * empty["squared_error_1s"], rel=1e-4)


def test_overlap_by_hand():
    a = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0]])
    b = torch.tensor([[1.0, 1.0, 0.0], [0.5, 0.0, 0.0]])
    assert overlap(a, b) == pytest.approx((1.0 + 0.5) / (1.0 + 1.0 + 0.5 + 1.0))
    assert overlap(a, a) == 1
    assert overlap(torch.zeros(3, 3), torch.zeros(3, 3)) == 1
    assert overlap(a, torch.zeros(2, 3)) == 0
    assert overlap(torch.stack([a, b]), torch.stack([b, b])).shape == (2,)


def test_the_command_writes_its_table(tmp_path, capsys):
    run = tmp_path / "run"
    identity = {"model": to_json(TINY_MODEL)}
    torch.manual_seed(0)
    Checkpoint("world_model", identity, TINY_MODEL.build().state_dict(), 1, {}).save(
        run / FILE_NAME
    )
    recording = dense_recording(per_lane=3, frames=60)
    recording.save(tmp_path / "dense.h5")
    reports = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.json"
        main(run, (tmp_path / "dense.h5",), out, "all", clips=12, steps=STEPS, futures=2)
        reports.append(json.loads(out.read_text()))
    report = reports[0]
    assert set(report) == {"command", "commit", "config", "hardware", "rows"}
    assert report["command"] == "eval.open_loop"
    assert report["config"]["recording_hashes"] == [recording.content_hash]
    names = [row["name"] for row in report["rows"]]
    assert names == ["world-model", "copy-last", "constant-velocity"]
    for row in report["rows"]:
        assert set(row["iou_1s"]) == {"value", "low", "high", "n"}
        assert row["iou_1s"]["n"] == 12
        assert 0 <= row["iou_1s"]["value"] <= 1
    # The seed fixes clips and samples.
    assert reports[0]["rows"] == reports[1]["rows"]
    assert "constant-velocity" in capsys.readouterr().out
    with pytest.raises(InputError, match="must be positive"):
        main(run, (tmp_path / "dense.h5",), None, "all", futures=0)
