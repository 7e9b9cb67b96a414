"""Videos hold every frame of the episodes they show."""

import cv2
import numpy as np
import pytest
import torch

from envs.gym.render import RenderConfig, Renderer
from eval import video
from eval.driving.picture_observer import PAUSE_FRAMES, film_episode
from eval.driving.scenario_set import ScenarioSet
from ppuu.loading.policy_names import policy_by_name
from ppuu.policies import NoAction
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "short.h5"
    straight_recording([Car(0.0), Car(30.0, speed_mps=4.5)], frames=60).save(path)
    return path


def pictures_of(policy, file, number, config=None, costs=False):
    """Every picture of one episode."""
    scenario_set, pictures = ScenarioSet.load([file], "all"), []
    renderer = Renderer(scenario_set.recordings, config)
    film_episode(policy, "no-action", scenario_set, number, renderer, pictures.append, costs)
    return pictures


def test_a_film_of_two_episodes(file, tmp_path, capsys):
    out = tmp_path / "films" / "out.mp4"
    run(
        video.main,
        ["--policy", "no-action", "--recordings", str(file), "--out", str(out), "--split", "all"],
    )
    assert "2 episodes" in capsys.readouterr().out
    film = cv2.VideoCapture(str(out))
    pictures = [pictures_of(NoAction(), file, k) for k in (0, 1)]
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == sum(map(len, pictures))
    for one in pictures:
        same = [np.array_equal(picture, one[-1]) for picture in one]
        assert same == [False] * (len(one) - 1 - PAUSE_FRAMES) + [True] * (1 + PAUSE_FRAMES)
    _, first = film.read()
    assert np.abs(first[..., ::-1].astype(int) - pictures[0][0]).mean() < 6
    assert [p.name for p in out.parent.iterdir()] == ["out.mp4"]


def test_a_gif_shows_costs_and_numbers(file, tmp_path):
    if not hasattr(cv2, "IMWRITE_GIF_QUALITY"):
        pytest.skip("this OpenCV writes no GIF")
    out = tmp_path / "out.gif"
    config = RenderConfig(width_m=60.0, height_m=16.0, pixels_per_metre=4.0, ids=True)
    options = ["--render.width-m", "60", "--render.height-m", "16", "--render.ids", "--costs"]
    run(
        video.main,
        ["--policy", "no-action", "--recordings", str(file), "--out", str(out), "--split", "all",
         "--scenario", "0", "--render.pixels-per-metre", "4", *options],
    )  # fmt: skip
    pictures = pictures_of(NoAction(), file, 0, config, costs=True)
    found, film = cv2.imreadanimation(str(out))
    assert found and len(film.frames) == len(pictures)
    assert film.durations[0] == 100
    # The palette is coarse: 7 shades of red and green, 4 of blue.
    shades = film.frames[0][..., 2::-1].astype(int) - pictures[0]
    assert np.abs(shades).max() < 90
    plain = pictures_of(NoAction(), file, 0, RenderConfig(60.0, 16.0, 4.0))[0]
    assert (pictures[0] != plain)[:64, :190].any(-1).mean() > 0.9


class Straight(NoAction):
    """Offers a plan."""

    def act(self, observation, privileged_state):
        ego = observation.ego[:, -1]
        self.path_m = torch.stack([ego[:, :2], ego[:, :2] + torch.tensor([25.0, 0.0])], 1)
        return super().act(observation, privileged_state)

    def planned_path_m(self):
        return self.path_m


def test_a_planned_path_is_drawn_ahead(file):
    plain, planned = (
        pictures_of(policy, file, 1)[0].astype(int) for policy in (NoAction(), Straight())
    )
    changed = (plain != planned).any(-1)
    columns = np.flatnonzero(changed.any(0))
    # 8 pixels a metre; the ego stands at 35 % of 960 columns.
    assert 320 < columns.min() < 340 and 520 < columns.max() < 545
    assert np.ptp(np.flatnonzero(changed.any(1))) < 5


def test_wrong_arguments_are_named(file, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.mp4, \.webm or \.gif"):
        video.main(("human",), (file,), tmp_path / "out.avi", "all")
    with pytest.raises(InputError, match="there are 0 to 1"):
        video.main(("human",), (file,), tmp_path / "out.mp4", "all", scenario=(7,))
    with pytest.raises(InputError, match="neither a run directory nor"):
        video.main(("absent",), (file,), tmp_path / "out.mp4", "all")


def test_what_a_planner_considers_is_drawn(file):
    """Candidate paths ahead of the ego, and outlines of where others are expected."""
    name = "planner:constant-velocity,iterations=2,steps=4"
    plain = pictures_of(NoAction(), file, 0)[0].astype(int)
    planned = pictures_of(policy_by_name(name), file, 0)[0].astype(int)
    changed = (plain != planned).any(-1)[: plain.shape[0] - 28]
    rows, columns = np.nonzero(changed)
    # Ahead of the ego at 35 % of 960 columns, up to 4 x 0.3 s at 10 m/s; the other stands ahead.
    assert columns.min() > 300 and 380 < columns.max() < 700
    assert np.ptp(rows) > 10
    shade = planned[rows, columns]
    outline = np.abs(shade - np.array([176, 222, 255])).max(1) < 90
    assert outline.sum() > 20
