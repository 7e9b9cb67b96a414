"""``python -m eval.video``: watch drivers in recorded traffic."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from data.splits import Split
from envs.gym.render import FRAMES_PER_SECOND, RenderConfig, Renderer
from ppuu.policies import Policy
from ppuu.policies.device import to_device
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output, written_whole
from ppuu.runtime.packages import import_opencv

from .driving.drivers import labels, policy_by_name
from .driving.frames import chosen_scenarios, driving_costs
from .driving.scenario_set import Track, choose_action, simulator_for

Picture = UInt8[np.ndarray, "rows columns 3"]

_CODECS = {".mp4": "mp4v", ".webm": "VP80"}
"""By the file's ending; browsers play WebM."""

_GIF = ".gif"

_PAUSE_FRAMES = 10
"""The last picture of an episode stands for a second, so that its verdict can be read."""


@torch.no_grad()
def frames(
    policy: Policy,
    name: str,
    track: Track,
    scenario: int,
    config: RenderConfig | None = None,
    costs: bool = False,
) -> Iterator[Picture]:
    """One episode as pictures, the start included.

    Args:
        policy: the driver; what it plans is drawn, if it plans.
        name: of the driver.
        track: where to drive.
        scenario: its number.
        config: of the pictures.
        costs: whether to show the terms of the driving cost.
    """
    simulator = simulator_for(policy, track)
    simulator.reset(track.scenarios[scenario])
    policy.reset(torch.ones(1, dtype=torch.bool))
    renderer = Renderer(track.recordings, config)
    caption = f"{name}, scenario {scenario}"
    before = simulator.action.clone()
    while True:
        done = bool(simulator.done)
        # What is chosen now is planned from where the ego stands now.
        action = None if done else choose_action(policy, simulator)
        plan = None if done else policy.planned_path_m()
        snapshot = None if done else policy.plan_snapshots().get(0)
        yield renderer.frame(
            simulator,
            0,
            caption,
            _short(driving_costs(simulator, before)) if costs else None,
            None if plan is None else plan[0].cpu().numpy(),
            snapshot,
        )
        if action is None:
            return
        before = simulator.action.clone()
        simulator.step(action)


def _short(terms: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name.removeprefix("cost/"): float(term[0]) for name, term in terms.items()}


def write_video(path: Path, episodes: Sequence[Iterator[Picture]]) -> int:
    """Writes episodes one after the other, atomically, and returns the number of pictures.

    Args:
        path: MP4, WebM or GIF, by its ending.
        episodes: their pictures, all of one size.

    Raises:
        InputError: OpenCV cannot write such a file.
    """
    cv2 = import_opencv()
    write = _write_gif if path.suffix.lower() == _GIF else _write_film
    pictures = (np.ascontiguousarray(picture[..., ::-1]) for picture in _with_pauses(episodes))
    with written_whole(path) as temporary:
        count = write(cv2, temporary, pictures)
        if not count:
            raise InputError(f"{path}: OpenCV cannot write such files here; try another ending")
    return count


def _write_film(cv2: Any, path: Path, pictures: Iterator[Picture]) -> int:
    writer, count = cv2.VideoWriter(), 0
    for picture in pictures:
        if not writer.isOpened():
            code = cv2.VideoWriter_fourcc(*_CODECS[path.suffix.lower()])
            size = (picture.shape[1], picture.shape[0])
            if not writer.open(str(path), code, FRAMES_PER_SECOND, size):
                return 0
        writer.write(picture)
        count += 1
    writer.release()
    return count


def _write_gif(cv2: Any, path: Path, pictures: Iterator[Picture]) -> int:
    """Animations came to OpenCV with version 4.11, GIF among them with 4.12.

    Dithering makes a film of flat colours five times as large.
    """
    if not hasattr(cv2, "IMWRITE_GIF_QUALITY"):
        return 0
    animation = cv2.Animation()
    animation.frames = list(pictures)
    animation.durations = np.full(len(animation.frames), 1000 // FRAMES_PER_SECOND)
    try:
        settings = [cv2.IMWRITE_GIF_QUALITY, cv2.IMWRITE_GIF_FAST_NO_DITHER]
        written = cv2.imwriteanimation(str(path), animation, settings)
    except cv2.error:
        return 0
    return len(animation.frames) if written else 0


def _with_pauses(episodes: Sequence[Iterator[Picture]]) -> Iterator[Picture]:
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
    render: RenderConfig = RenderConfig(),
    costs: bool = False,
    device: str = "cpu",
) -> None:
    """Films drivers from above, each in the same scenarios.

    The ego is red, the recorded human's box a yellow outline, the line to reach and planned paths
    green, whom the ego has hit framed in violet; traffic is blue where it stands and turns to mint
    at 20 m/s.  Of a planner, the paths it considered go from yellow (cheap) to purple (dear), and
    outlines show where it expects the others, the later the fainter.

    Args:
        policy: run directories of train.policy, human, no-action, idm, or
            planner:WORLD,KEY=VALUE… (docs/planning.md); one or several.
        recordings: files written by data.generate or data.prepare.
        out: the file, .mp4, .webm or .gif.
        split: test, or all for recordings that nothing was trained on.
        episodes: how many scenarios, spread evenly over the list.
        scenario: numbers of scenarios instead.
        render: what the camera takes in.
        costs: show the terms of the driving cost.
        device: where networks compute: cpu, or cuda for large ones; the simulator stays on the
            CPU.
    """
    if out.suffix.lower() not in (*_CODECS, _GIF):
        raise InputError(f"--out {out}: give a name that ends in {', '.join(_CODECS)} or {_GIF}")
    check_output(out)
    names = labels(policy)
    where = choose_device(device)
    drivers = [(names[name], to_device(policy_by_name(name), where)) for name in policy]
    track = Track.load(recordings, split, drivers=[driver for _, driver in drivers])
    films = [
        frames(driver, name, track, number, render, costs)
        for number in chosen_scenarios(track, episodes, scenario)
        for name, driver in drivers
    ]
    count = write_video(out, films)
    sys.stdout.write(f"{out}: {len(films)} episodes, {count / FRAMES_PER_SECOND:.0f} s\n")


if __name__ == "__main__":
    run(main)
