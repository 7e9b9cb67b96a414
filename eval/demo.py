"""``python -m eval.demo``: the whole path on built-in traffic, from recording to report."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import written_whole

from .driving.summary import success_columns
from .reports.tables import text_table
from .studies.pipeline import Step, carry_out

_POLICIES = ("human", "mpur", "mpur-without-uncertainty", "imitation", "no-action", "idm")


def plan(out: Path, seconds: float, updates: tuple[int, int, int], seed: int) -> list[list[Step]]:
    """The commands, in stages; the steps of a stage run side by side.

    Args:
        out: directory of everything.
        seconds: traffic to learn from.
        updates: of the world model, of each MPUR policy, of imitation.
        seed: of the trainings.
    """
    train, test = str(out / "train.h5"), str(out / "test.h5")
    world_model, mpur, bare = out / "world-model", out / "mpur", out / "mpur-without-uncertainty"
    imitation = out / "imitation"

    def policy(method: str, directory: Path, count: int) -> Step:
        start = ("--world-model", str(world_model), "--init", str(imitation))
        return Step(
            f"learn to drive: {method}",
            (
                "train.policy", "--method", method, "--recordings", train, "--split", "all",
                "--out", str(directory), "--updates", str(count), "--loop.seed", str(seed),
                *(() if method == "imitation" else start),
            ),
            directory / f".done-{count}",
        )  # fmt: skip

    drivers = tuple(
        str(out / name) if (out / name) in (mpur, bare, imitation) else name for name in _POLICIES
    )
    return [
        [
            Step(
                "record traffic to learn from",
                (
                    "data.generate", "dense", "--seconds", f"{seconds:g}", "--seed", "0",
                    "--out", train,
                ),
                out / "train.h5",
            ),
            Step(
                "record other traffic to be tested in",
                ("data.generate", "dense", "--seconds", "120", "--seed", "100", "--out", test),
                out / "test.h5",
            ),
        ],
        [
            Step(
                "learn how traffic evolves",
                (
                    "train.world_model", "--recordings", train, "--split", "all",
                    "--out", str(world_model), "--updates", str(updates[0]),
                    "--loop.seed", str(seed),
                ),
                world_model / f".done-{updates[0]}",
            ),
            policy("imitation", imitation, updates[2]),
        ],
        [
            policy("mpur", mpur, updates[1]),
            policy("mpur-without-uncertainty", bare, updates[1]),
        ],
        [
            Step(
                "drive in other traffic",
                (
                    "eval.closed_loop", "--policy", *drivers, "--recordings", test,
                    "--split", "all", "--json", str(out / "results.json"),
                ),
                out / "results.json",
            ),
            Step(
                "judge the world model on other traffic",
                (
                    "eval.open_loop", "--world-model", str(world_model), "--recordings", test,
                    "--split", "all", "--clips", "128", "--futures", "5",
                    "--json", str(out / "open_loop.json"),
                ),
                out / "open_loop.json",
            ),
        ],
        [
            Step(
                "film the policy",
                (
                    "eval.video", "--policy", str(mpur), "--recordings", test, "--split", "all",
                    "--episodes", "3", "--out", str(out / "mpur.webm"),
                ),
                out / "mpur.webm",
            ),
            Step(
                "film keeping the wheel still",
                (
                    "eval.video", "--policy", "no-action", "--recordings", test, "--split", "all",
                    "--episodes", "3", "--out", str(out / "no-action.webm"),
                ),
                out / "no-action.webm",
            ),
        ],
        [
            Step(
                "write the report",
                ("eval.report", str(out), "--recordings", test, "--out", str(out / "report.html")),
                out / "report.html",
            )
        ],
    ]  # fmt: skip


def main(
    out: Path = Path("runs/demo"),
    seconds: float = 300.0,
    world_model_updates: int = 600,
    policy_updates: int = 1200,
    imitation_updates: int = 300,
    seed: int = 0,
    device: str | None = None,
) -> None:
    """Records traffic, learns a world model, learns to drive in it, scores it and writes a report.

    Everything is kept in one directory; a second run reuses what is done, an interrupted one goes
    on.  The last thing written is the results table and the path of the report.

    Args:
        out: directory of everything.
        seconds: traffic to learn from.
        world_model_updates: training of the world model.
        policy_updates: training of each MPUR policy.
        imitation_updates: training of the imitation policy.
        seed: of the trainings.
        device: of every command: auto, cpu, cuda, …; each command's own default without.
    """
    counts = (world_model_updates, policy_updates, imitation_updates)
    if min(counts) < 1 or not 20.0 <= seconds <= 3600.0:
        raise InputError(
            f"--seconds {seconds:g} must be from 20 to 3600, and all numbers of updates positive"
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = {"seconds": seconds, "seed": seed, "world_model_updates": world_model_updates}
    settings |= {"policy_updates": policy_updates, "imitation_updates": imitation_updates}
    kept = out / "settings.json"
    if kept.is_file() and kept.read_text() != json.dumps(settings):
        raise InputError(
            f"{out}: holds a demo with other settings ({kept.read_text()}); choose another --out, "
            "or delete that directory"
        )
    with written_whole(kept) as temporary:
        temporary.write_text(json.dumps(settings))
    took = carry_out(on_device(plan(out, seconds, counts, seed), device))
    times = out / "seconds.json"
    known = json.loads(times.read_text()) if times.is_file() else {}
    with written_whole(times) as temporary:
        temporary.write_text(json.dumps(known | took, indent=2) + "\n")
    rows = json.loads((out / "results.json").read_text())["rows"]
    table = text_table([success_columns(row) for row in rows])
    sys.stdout.write(f"\n{table}\n\n{out / 'results.json'}\n{out / 'report.html'}\n")


if __name__ == "__main__":
    run(main)
