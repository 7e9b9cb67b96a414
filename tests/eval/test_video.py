"""Videos hold every frame of the episodes they show."""

import cv2
import numpy as np
import pytest

from eval import video
from eval.closed_loop import Track
from ppuu.command import run
from ppuu.errors import InputError
from ppuu.policies import NoAction
from tests.helpers import Car, straight_recording


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "short.h5"
    straight_recording([Car(0.0), Car(30.0, speed_mps=2.0)], frames=60).save(path)
    return path


def test_a_film_of_two_episodes(file, tmp_path, capsys):
    out = tmp_path / "films" / "out.mp4"
    run(
        video.main,
        ["--policy", "no-action", "--recordings", str(file), "--out", str(out), "--split", "all"],
    )
    assert "2 episodes" in capsys.readouterr().out
    film = cv2.VideoCapture(str(out))
    track = Track.load([file], "all")
    pictures = [list(video.frames(NoAction(), "no-action", track, k)) for k in (0, 1)]
    # Each episode's last picture stands for ten more frames.
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == sum(len(p) + 10 for p in pictures)
    _, first = film.read()
    assert np.abs(first[..., ::-1].astype(int) - pictures[0][0]).mean() < 6
    assert [p.name for p in out.parent.iterdir()] == ["out.mp4"]


def test_wrong_arguments_are_named(file, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.mp4 or \.webm"):
        video.main(("human",), (file,), tmp_path / "out.gif", "all")
    with pytest.raises(InputError, match="there are 0 to 1"):
        video.main(("human",), (file,), tmp_path / "out.mp4", "all", scenario=(7,))
    with pytest.raises(InputError, match="neither a run directory nor"):
        video.main(("absent",), (file,), tmp_path / "out.mp4", "all")
