"""``python -m eval.video``: watch drivers in recorded traffic."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from data.splits import Split
from envs.render import FRAMES_PER_SECOND, Renderer
from ppuu.command import run
from ppuu.errors import InputError
from ppuu.files import check_output
from ppuu.policies import Policy
from ppuu.runtime import import_opencv

from .closed_loop import Track, simulator_for, take_turn
from .policies import labels, policy_by_name

_CODECS = {".mp4": "mp4v", ".webm": "VP80"}
"""By the file's ending; browsers play WebM."""

_PAUSE_FRAMES = 10
"""The last picture of an episode stands for a second, so that its verdict can be read."""


@torch.no_grad()
def frames(policy: Policy, name: str, track: Track, scenario: int) -> Iterator[np.ndarray]:
    """One episode as pictures, ``(rows, columns, 3)`` uint8, the start included."""
    simulator = simulator_for(policy, track)
    simulator.reset(track.scenarios[scenario])
    policy.reset(torch.ones(1, dtype=torch.bool))
    renderer = Renderer(track.recordings)
    caption = f"{name}, scenario {scenario}"
    yield renderer.frame(simulator, 0, caption)
    while not bool(simulator.done):
        take_turn(policy, simulator)
        yield renderer.frame(simulator, 0, caption)


def write_video(path: Path, episodes: Sequence[Iterator[np.ndarray]]) -> int:
    """Writes episodes one after the other as MP4 or WebM and returns the number of pictures.

    Raises:
        InputError: OpenCV cannot write such a file.
    """
    cv2 = import_opencv()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    writer, count = cv2.VideoWriter(), 0
    try:
        for picture in _with_pauses(episodes):
            if not writer.isOpened():
                code = cv2.VideoWriter_fourcc(*_CODECS[path.suffix.lower()])
                size = (picture.shape[1], picture.shape[0])
                if not writer.open(str(temporary), code, FRAMES_PER_SECOND, size):
                    raise InputError(f"{path}: OpenCV cannot write such files here")
            writer.write(np.ascontiguousarray(picture[..., ::-1]))
            count += 1
        writer.release()
        if count:
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _with_pauses(episodes: Sequence[Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
    """All pictures in turn, each episode's last one several times."""
    for episode in episodes:
        picture = None
        for picture in episode:
            yield picture
        if picture is not None:
            yield from [picture] * _PAUSE_FRAMES


def main(
    policy: tuple[str, ...],
    recordings: tuple[Path, ...],
    out: Path,
    split: Split = "test",
    episodes: int = 3,
    scenario: tuple[int, ...] = (),
) -> None:
    """Films drivers from above, each in the same scenarios.

    The ego is red, the recorded human's box a yellow outline, the line to reach green; traffic is
    blue where it stands and turns to mint at 20 m/s.

    Args:
        policy: run directories of train.policy, or human, no-action, idm; one or several.
        recordings: files written by data.generate or data.prepare.
        out: the file, .mp4 or .webm.
        split: test, or all for recordings that nothing was trained on.
        episodes: how many scenarios, spread evenly over the list.
        scenario: numbers of scenarios instead.
    """
    if episodes < 1:
        raise InputError(f"--episodes {episodes}: must be positive")
    if out.suffix.lower() not in _CODECS:
        raise InputError(f"--out {out}: give a name that ends in {' or '.join(_CODECS)}")
    check_output(out)
    names = labels(policy)
    drivers = [(names[name], policy_by_name(name)) for name in policy]
    track = Track.load(recordings, split)
    last = len(track.scenarios) - 1
    chosen = list(scenario) or np.unique(np.linspace(0, last, episodes).round()).tolist()
    for number in chosen:
        if not 0 <= number <= last:
            raise InputError(f"--scenario {number}: there are 0 to {last}")
    films = [frames(driver, name, track, int(k)) for k in chosen for name, driver in drivers]
    count = write_video(out, films)
    sys.stdout.write(f"{out}: {len(films)} episodes, {count / FRAMES_PER_SECOND:.0f} s\n")


if __name__ == "__main__":
    run(main)
