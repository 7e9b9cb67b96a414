"""Observations: the right frames, features without a site, and the normaliser."""

from types import SimpleNamespace

import pytest
import torch

from ppuu.geometry import to_world
from ppuu.perception.observation import Normalizer, Observation, ObservationConfig, observe
from ppuu.perception.raster import draw
from ppuu.perception.raster_image import LANES, OFFROAD, VEHICLES, RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.predictions import OccupancyPrediction, UniformMotion
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError
from tests.helpers import Car, dense_recording, straight_recording

CONFIG = ObservationConfig(frames=3, stride=4, raster=RasterConfig(40, 24))
FIVE_MPS = SimpleNamespace(speed_mps=torch.tensor([5.0]))


@pytest.fixture(scope="module")
def world():
    recordings = [dense_recording(frames=40), straight_recording([Car(0.0), Car(9.0)], frames=30)]
    scene = Scene.build(recordings)
    return scene, RoadMap.build([r.road for r in recordings], CONFIG.raster)


def test_observations_are_drawn_frame_by_frame(world):
    scene, roads = world
    ego = torch.tensor([3, 10, 24])
    frame = torch.tensor([9, 30, 40 + 20])
    observation = observe(scene, roads, CONFIG, ego, frame)
    assert CONFIG.lags().tolist() == [8, 4, 0]
    for element in range(3):
        for position, lag in enumerate((8, 4, 0)):
            vehicle, then = ego[element : element + 1], frame[element : element + 1] - lag
            state = scene.state(vehicle, then)
            torch.testing.assert_close(observation.ego[element, position], state[0])
            image = draw(
                state[:, :3], *scene.others(then, vehicle), scene.vehicle_recording[vehicle],
                roads, CONFIG.raster,
            )  # fmt: skip
            torch.testing.assert_close(observation.images[element, position], image[0])
        torch.testing.assert_close(observation.size_m[element], scene.size_m[ego[element]])
    assert (observation.images[:, :, 1].sum((-2, -1)) > 0).all()


def test_one_stride_later(world):
    scene, roads = world
    ego, frame = torch.tensor([3]), torch.tensor([9])
    now = observe(scene, roads, CONFIG, ego, frame)
    later = observe(scene, roads, CONFIG, ego, frame + CONFIG.stride)
    image, pose = later.images[:, -1], later.ego[:, -1:, :3]
    prediction = OccupancyPrediction(
        pose[:, None], CONFIG.raster, image[:, None, None, None, VEHICLES],
        image[:, None, None, None, [LANES, OFFROAD]], UniformMotion(FIVE_MPS),
    )  # fmt: skip
    followed = prediction.next_observation(now, later.ego[:, -1], 0)
    torch.testing.assert_close(followed.images, later.images, atol=1e-5, rtol=0)
    torch.testing.assert_close(followed.ego, later.ego)


def test_features_do_not_depend_on_the_site():
    generator = torch.Generator().manual_seed(0)
    ego = torch.randn(5, 4, 4, generator=generator, dtype=torch.float64) * 3
    origin = torch.tensor([200.0, -300.0, 2.0], dtype=torch.float64)
    images, size = torch.zeros(5, 4, 3, 2, 2), torch.rand(5, 2, dtype=torch.float64)
    original = Observation(images, ego, size).ego_features
    transformed = Observation(images, to_world(ego, origin), size).ego_features
    torch.testing.assert_close(original, transformed)
    assert original.shape == (5, 18)
    # The present: no displacement, no turn, its speed; then the size.
    torch.testing.assert_close(original[:, 12:15], torch.zeros(5, 3, dtype=torch.float64))
    torch.testing.assert_close(original[:, 15], ego[:, -1, 3])
    torch.testing.assert_close(original[:, 16:], size)


def test_features_by_hand():
    # Ten metres behind along the present heading (up), two metres to its left.
    half_pi = torch.pi / 2
    ego = torch.tensor([[[-2.0, -10.0, half_pi - 0.1, 7.0], [0.0, 0.0, half_pi, 8.0]]])
    features = Observation(torch.zeros(1, 2, 3, 1, 1), ego, torch.ones(1, 2)).ego_features
    expected = torch.tensor([[-10.0, 2.0, -0.1, 7.0, 0.0, 0.0, 0.0, 8.0, 1.0, 1.0]])
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=0)


def test_the_normalizer_computes_statistics_with_floors():
    generator = torch.Generator().manual_seed(0)
    actions = torch.randn(4000, 2, generator=generator) * torch.tensor([2.0, 0.0])
    features = torch.randn(4000, 3, generator=generator) * torch.tensor([5.0, 0.0, 1.0]) + 7.0
    normalizer = Normalizer(3)
    normalizer.fit(actions, features)
    torch.testing.assert_close(normalizer.action_std, torch.tensor([2.0, 1e-4]), rtol=0.05, atol=0)
    torch.testing.assert_close(
        normalizer.ego_std, torch.tensor([5.0, 1e-2, 1.0]), rtol=0.05, atol=0
    )
    normal = normalizer.ego(features)
    torch.testing.assert_close(normal.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(normal.std(0), torch.tensor([1.0, 0.0, 1.0]), atol=1e-3, rtol=0)
    far = normalizer.ego(torch.tensor([[1e6, -1e6, 7.0]]))
    assert far[0, :2].tolist() == [10.0, -10.0]
    normalizer.fit(torch.zeros(10, 2), features[:10])
    torch.testing.assert_close(normalizer.action_std, torch.tensor([0.05, 1e-4]))
    # A checkpoint carries them.
    again = Normalizer(3)
    again.load_state_dict(normalizer.state_dict())
    torch.testing.assert_close(again.ego(features), normalizer.ego(features))


@pytest.mark.parametrize("wrong", [{"frames": 1}, {"stride": 0}])
def test_motion_needs_two_frames(wrong):
    with pytest.raises(InputError, match="at least 2 frames"):
        ObservationConfig(**wrong)
