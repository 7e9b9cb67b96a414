"""Each sensor against an independent computation, and how they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import torch

from envs.core.termination import Outcome
from envs.gym.dense_traffic import DenseTrafficEnv
from envs.gym.vector import DenseTrafficVectorEnv
from envs.observations import sensor_configs
from envs.observations.image import ImageConfig
from envs.observations.lidar import LidarConfig, ranges
from envs.observations.neighbours import COLUMNS, ROWS
from ppuu.geometry import box_corners
from ppuu.runtime.errors import InputError
from tests.helpers import LANE_WIDTH_M, Car, straight_recording

EVERYTHING = {
    "image": {"rows": 40, "columns": 30, "channels": ["vehicles", "ego"]},
    "ego": True,
    "neighbours": {"range_m": 80.0},
    "lidar": {"beams": 12},
}
AHEAD, LEFT, VELOCITY, ASIDE = 1, 2, 3, 4


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Makes environments on a recording of given cars; the first is the ego."""
    folder = tmp_path_factory.mktemp("recordings")

    def made(cars, observation, **arguments):
        path = folder / "cars.h5"
        straight_recording(cars, frames=80).save(path)
        env = DenseTrafficEnv(str(path), observation=observation, **arguments)
        env.reset(options={"scenario": 0})
        return env

    return made


def see(env, name):
    observation, *_ = env.step(np.zeros(2, np.float32))
    assert observation in env.observation_space
    return observation[name]


AROUND = [
    Car(100.0, lane=1),
    Car(80.0, lane=2, speed_mps=12.0),
    Car(120.0, lane=2, speed_mps=13.0, length_m=6.0),
    Car(140.0, lane=2),
    Car(70.0, lane=1, speed_mps=8.0),
    Car(130.0, lane=1, speed_mps=9.0),
    Car(95.0, lane=0),
    Car(104.0, lane=0, width_m=2.1),
]
"""A car in each of the six places, and one that is not the nearest."""


def test_the_table_lists_who_is_around(make):
    table = see(make(AROUND, {"neighbours": True}), "neighbours")
    # The step seen is the twelfth frame: 1.1 s after the positions above.
    ahead = [0.0, -20.0 + 2.2, 20.0 + 3.3, -30.0 - 2.2, 30.0 - 1.1, -5.0, 4.0]
    left = np.array([0.0, 1.0, 1.0, 0.0, 0.0, -1.0, -1.0]) * LANE_WIDTH_M
    assert table.shape == (len(ROWS), len(COLUMNS))
    np.testing.assert_array_equal(table[:, 0], 1.0)
    np.testing.assert_allclose(table[:, AHEAD], ahead, atol=0.01)
    np.testing.assert_allclose(table[:, LEFT], left, atol=0.01)
    np.testing.assert_allclose(table[:, VELOCITY], [10, 12, 13, 8, 9, 10, 10], atol=0.01)
    np.testing.assert_allclose(table[:, ASIDE], 0.0, atol=0.01)
    np.testing.assert_allclose(table[2, 5:], [6.0, 1.8], atol=1e-5)
    np.testing.assert_allclose(table[6, 5:], [4.5, 2.1], atol=1e-5)


def test_absent_neighbours_are_zero(make):
    """Nobody to the right of the rightmost lane, and nobody beyond the range."""
    cars = [Car(100.0, lane=0), Car(130.0, lane=0), Car(100.0, lane=2)]
    table = see(make(cars, {"neighbours": {"range_m": 29.0}}), "neighbours")
    np.testing.assert_array_equal(table[1:], 0.0)
    assert table[0, 0] == 1.0
    table = see(make(cars, {"neighbours": {"range_m": 31.0}}), "neighbours")
    np.testing.assert_array_equal(table[:, 0], [1, 0, 0, 0, 1, 0, 0])


def test_the_table_turns_with_the_ego(make):
    env = make(AROUND, {"neighbours": True})
    straight = see(env, "neighbours")
    env._episodes.simulator.state[:, 2] += 0.1
    turned = see(env, "neighbours")
    cos, sin = np.cos(0.1), np.sin(0.1)
    along = straight[1:, AHEAD] + 0.1 * (straight[1:, VELOCITY] - 10.0 * cos)
    across = straight[1:, LEFT] - 0.1 * 10.0 * sin
    np.testing.assert_allclose(turned[1:, AHEAD], cos * along + sin * across, atol=0.01)
    np.testing.assert_allclose(turned[1:, LEFT], cos * across - sin * along, atol=0.01)
    np.testing.assert_allclose(turned[1:, ASIDE], -sin * straight[1:, VELOCITY], atol=0.01)
    assert turned[0, ASIDE] == 0.0


@pytest.mark.parametrize("beams", [1, 7, 32])
def test_ranges_against_shapely(beams):
    """One box lies around the origin, some are out of reach, a quarter is absent."""
    random, reach = np.random.default_rng(beams), 40.0
    low, high = [-45, -45, -4, 0.5, 0.5], [45, 45, 4, 20, 4]
    boxes = torch.from_numpy(random.uniform(low, high, (60, 6, 5)))
    present = torch.from_numpy(random.random((60, 6)) < 0.75)
    boxes[0, 0, :2], present[0, 0] = 0.1, True
    found = ranges(boxes, present, beams, reach).numpy()
    angle = 2 * np.pi * np.arange(beams) / beams
    ends = reach * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rays = shapely.linestrings(np.stack([np.zeros_like(ends), ends], axis=1))
    polygons = shapely.polygons(box_corners(boxes).numpy())[:, :, None]
    hits = shapely.distance(shapely.Point(0, 0), shapely.intersection(rays, polygons))
    hits = np.where(np.isnan(hits) | ~present.numpy()[..., None], reach, hits)
    np.testing.assert_allclose(found, hits.min(1), atol=1e-6)
    assert (found == 0).any() and (found == reach).any()


def test_lidar_sees_the_cars_around_not_the_ego(make):
    cars = [Car(100.0, lane=1), Car(120.0, lane=1, length_m=5.0), Car(100.0, lane=0)]
    beams = see(make(cars, {"lidar": {"beams": 4, "range_m": 30.0}}), "lidar")
    np.testing.assert_allclose(beams, [17.5, 30.0, 30.0, LANE_WIDTH_M - 0.9], atol=0.01)


@pytest.mark.parametrize(
    "channels", [["vehicles"], ["offroad", "lanes"], ["ego", "lanes", "vehicles", "offroad"]]
)
def test_channels_come_in_the_order_asked_for(make, channels):
    whole = see(make(AROUND, {"image": True}), "image")
    found = see(make(AROUND, {"image": {"channels": channels}}), "image")
    assert found.shape == (4 * len(channels), 117, 24)
    found = found.reshape(4, len(channels), 117, 24)
    whole = whole.reshape(4, 3, 117, 24)
    for index, name in enumerate(channels):
        if name == "ego":
            # A box of 4.5 m x 1.8 m in the middle, whatever the time.
            area = found[:, index].sum((1, 2)) / 255 * ImageConfig.metres_per_pixel**2
            np.testing.assert_allclose(area, 4.5 * 1.8, rtol=0.02)
            assert found[0, index, 58, 11:13].min() > 200
        else:
            original = ["lanes", "vehicles", "offroad"].index(name)
            np.testing.assert_array_equal(found[:, index], whole[:, original])


def test_size_scale_and_history_of_the_image(make):
    arguments = {"rows": 30, "columns": 50, "metres_per_pixel": 1.0, "channels": ["vehicles"]}
    env = make(AROUND, {"image": arguments}, history_frames=2, history_stride=5)
    image = see(env, "image")
    assert image.shape == (2, 30, 50)
    # Within 15 m ahead and behind: the two to the right.
    assert image[1].sum() / 255 == pytest.approx(4.5 * 1.8 + 4.5 * 2.1, rel=0.02)


def test_what_is_observed_changes_nothing_else(make):
    """Same scenario and actions: the same rewards and endings."""
    found = []
    for observation in ({"ego": True}, {"lidar": True}, {"image": True}, EVERYTHING):
        env = make(AROUND, observation)
        random, rewards = np.random.default_rng(1), []
        for _ in range(40):
            action = random.uniform([-0.5, -0.1], [1.0, 0.1]).astype(np.float32)
            _, reward, terminated, truncated, info = env.step(action)
            rewards.append(reward)
        found.append((rewards, info))
    assert all(other == found[0] for other in found[1:])


@pytest.mark.parametrize("others", ["replay", "reactive"])
def test_the_vector_environment_equals_single_ones(others):
    arguments = {"observation": EVERYTHING, "others": others}
    vector = DenseTrafficVectorEnv(3, "envs:synthetic.h5", **arguments)
    singles = [DenseTrafficEnv("envs:synthetic.h5", **arguments) for _ in range(3)]
    vector.reset(seed=9)
    for slot, env in enumerate(singles):
        env.reset(seed=9 + slot)
    random = np.random.default_rng(0)
    for _ in range(15):
        actions = random.uniform([-0.2, -0.05], [1.0, 0.05], (3, 2)).astype(np.float32)
        found, *_ = vector.step(actions)
        assert found in vector.observation_space
        for slot, env in enumerate(singles):
            expected, *_ = env.step(actions[slot])
            for name, value in expected.items():
                tolerance = 1 if name == "image" else 1e-3
                difference = np.abs(found[name][slot].astype(float) - value)
                assert difference.max() <= tolerance, name


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        ({}, "nothing is observed; choose of image, ego, neighbours, lidar, goal"),
        ({"ego": False}, "nothing is observed"),
        ({"lidra": True}, "'lidra'; did you mean 'lidar'"),
        ({"lidar": 32}, "lidar: 32 is neither true nor arguments"),
        ({"lidar": {"beam": 32}}, "unknown key 'beam'; did you mean 'beams'"),
        ({"lidar": {"beams": 0}}, "0 beams"),
        ({"lidar": {"range_m": "far"}}, "lidar.range_m: 'far' is not of type float"),
        ({"neighbours": {"range_m": -1.0}}, "neighbours.range_m is -1.0"),
        ({"image": {"rows": 0}}, "must be positive"),
        ({"image": {"channels": ["lane"]}}, "'lane' is not one of lanes, vehicles"),
        ({"image": {"channels": []}}, "channels: none"),
        ({"image": {"channels": ["ego", "ego"]}}, "each once"),
    ],
)
def test_wrong_arguments_are_named(observation, message):
    with pytest.raises(InputError, match=message):
        DenseTrafficEnv("envs:synthetic.h5", observation=observation)


def test_arguments_are_filled_up_with_defaults():
    configs = sensor_configs({"lidar": {"beams": 8}, "ego": False, "image": {"channels": ("ego",)}})
    assert configs == {"lidar": LidarConfig(beams=8), "image": ImageConfig(channels=("ego",))}


def test_the_goal_is_seen_from_the_ego(tmp_path):
    path = tmp_path / "road.h5"
    straight_recording([Car(0.0, lane=1, speed_mps=20.0)], frames=300).save(path)
    for task, wanted in (("keep", 0.0), ("change-1", 1.0)):
        env = DenseTrafficEnv(str(path), observation={"goal": True}, task=task)
        seen, _ = env.reset(seed=0)
        assert seen["goal"][0] == wanted
        assert abs(seen["goal"][1]) == pytest.approx(wanted * LANE_WIDTH_M, abs=1e-3)
        assert seen["goal"][3] == pytest.approx(215.0)
        assert env.observation_space.contains(seen)
        later, *_ = env.step(np.zeros(2, np.float32))
        assert later["goal"][3] == pytest.approx(213.0, abs=1e-3)


def test_a_task_is_done_in_the_goals_lane_only(tmp_path):
    path = tmp_path / "road.h5"
    straight_recording([Car(0.0, lane=1, speed_mps=20.0)], frames=300).save(path)
    env = DenseTrafficEnv(str(path), observation={"goal": True}, task="change-1")
    ends = []
    for steers in (False, True):
        seen, info = env.reset(seed=0)
        while info["outcome"] == Outcome.RUNNING:
            aside, turn = seen["goal"][1], seen["goal"][2]
            curvature = 0.002 * aside + 0.1 * turn if steers else 0.0
            action = np.array([0.0, np.clip(curvature / 0.065, -1, 1)], np.float32)
            seen, _, terminated, _, info = env.step(action)
        assert terminated
        ends.append((info["outcome"], info["is_success"]))
    assert ends == [(Outcome.MISSED, False), (Outcome.ARRIVED, True)]
