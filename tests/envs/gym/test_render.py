"""Pictures show what is there, whom the ego hit, and how it stands; no display is needed."""

import gymnasium
import numpy as np
import pytest
import torch

from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.termination import Outcome
from envs.core.world import World
from envs.gym.render import RenderConfig, Renderer
from tests.helpers import Car, straight_recording

VIOLET, GREEN, AMBER = (229, 139, 255), (120, 214, 140), (255, 214, 102)


@pytest.fixture
def recording():
    return straight_recording([Car(0.0, speed_mps=12.0), Car(40.0, speed_mps=4.0)], frames=90)


@pytest.fixture
def simulator(recording):
    world = World.build([recording])
    simulator = Simulator(world.scene, world.road_map, SimulatorConfig(None))
    simulator.reset(world.scenarios[[0]])
    return simulator


def pixels_of(picture, colour):
    return (picture == colour).all(-1)


def test_whom_the_ego_hit_is_framed(recording, simulator):
    renderer = Renderer([recording])
    assert not pixels_of(renderer.frame(simulator, 0), VIOLET).any()
    while not bool(simulator.done[0]):
        simulator.step(torch.zeros(1, 2))
    assert int(simulator.outcome[0]) == Outcome.COLLISION
    columns = np.flatnonzero(pixels_of(renderer.frame(simulator, 0), VIOLET).any(0))
    ego_x_m, other_x_m = (
        float(simulator.state[0, 0]),
        float(simulator.neighbours().boxes[0, :, 0].max()),
    )
    # Both frames: from the ego's rear at 35 % of the width to the other's front, 8 pixels a metre.
    rear, front = 336 - 8 * 2.25, 336 + 8 * (other_x_m - ego_x_m + 2.25)
    assert columns.min() == pytest.approx(rear, abs=3)
    assert columns.max() == pytest.approx(front, abs=3)


def test_numbers_bars_and_plans_are_drawn_on_request(recording, simulator):
    plain = Renderer([recording]).frame(simulator, 0)
    assert plain.shape == (284, 960, 3) and plain.dtype == np.uint8
    numbered = Renderer([recording], RenderConfig(ids=True)).frame(simulator, 0)
    rows, columns = np.nonzero((plain != numbered).any(-1))
    other = float(simulator.neighbours().boxes[0, :, 0].max() - simulator.state[0, 0])
    assert columns.mean() == pytest.approx(336 + 8 * other, abs=4)
    ego_row = 128 - 8 * (2.0 - 6.0)
    assert rows.max() < ego_row
    half, full = (
        pixels_of(Renderer([recording]).frame(simulator, 0, bars={"cost": value}), AMBER)[:20].sum()
        for value in (0.5, 3.0)
    )
    assert 0 < half == pytest.approx(full / 2, rel=0.05)
    plan = simulator.state[:, :2].numpy() + np.array([[0.0, 0.0], [20.0, 2.0]])
    assert pixels_of(Renderer([recording]).frame(simulator, 0, plan_m=plan), GREEN).sum() > 50


def test_narrow_pictures_keep_their_texts_apart(recording, simulator):
    config = RenderConfig(width_m=50.0, pixels_per_metre=6.0)
    strip = Renderer([recording], config).frame(simulator, 0, "a driver, scenario 0")[-28:]
    lit = (strip.max(-1) > 60).any(0)
    gaps = np.diff(np.flatnonzero(lit))
    assert np.flatnonzero(lit).max() < 300 and gaps.max() > 6


def test_a_list_of_pictures_from_gymnasium(recording, tmp_path):
    path = str(tmp_path / "r.h5")
    recording.save(path)
    env = gymnasium.make("envs:ppuu/DenseTraffic-v1", recording=path, render_mode="rgb_array_list")
    assert env.metadata["render_fps"] == 10
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.zeros(2, np.float32))
    pictures = env.render()
    assert len(pictures) == 4
    assert all(picture.shape == (284, 960, 3) for picture in pictures)
    assert (pictures[0] != pictures[3]).any()
    env.close()
