"""``python -m eval.video``: films of policies in recorded traffic."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

from data.splits import Split
from envs.gym.render import FRAMES_PER_SECOND, RenderConfig, Renderer
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output

from .driving.drivers import policies_by_label
from .driving.picture_observer import film_episode
from .driving.scenario_set import ScenarioSet
from .reports.video_file import ENDINGS, video_file


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
    """Films policies from above, each in the same scenarios.

    The ego is red, the recorded human's box a yellow outline, the goal line and planned paths
    green, a vehicle hit by the ego framed in violet; other vehicles are blue at rest and mint at
    20 m/s.  A planner's candidate paths go from yellow (low cost) to purple (high cost), and
    outlines show the predicted positions of the others, fainter with time.

    Args:
        policy: run directories of train.policy, human, no-action, idm, or
            planner:WORLD,KEY=VALUE… (docs/planning.md); one or several.
        recordings: files written by data.generate or data.prepare.
        out: the file, .mp4, .webm or .gif.
        split: test, or all for recordings that no model was trained on.
        episodes: how many scenarios, spread evenly over the list.
        scenario: numbers of scenarios instead.
        render: size and scale of the pictures.
        costs: show the terms of the driving cost.
        device: where networks compute: cpu, or cuda for large ones; the simulator stays on the
            CPU.
    """
    if out.suffix.lower() not in ENDINGS:
        *first, last = ENDINGS
        raise InputError(f"--out {out}: give a name that ends in {', '.join(first)} or {last}")
    check_output(out)
    policies = policies_by_label(policy, device)
    scenarios = ScenarioSet.load(recordings, split, policies=policies.values())
    films = list(product(scenarios.choose(episodes, scenario), policies))
    renderer = Renderer(scenarios.recordings, render)
    with video_file(out) as video:
        for number, name in films:
            film_episode(policies[name], name, scenarios, number, renderer, video.write, costs)
    seconds = video.pictures / FRAMES_PER_SECOND
    sys.stdout.write(f"{out}: {len(films)} episodes, {seconds:.0f} s\n")


if __name__ == "__main__":
    run(main)
