"""``python -m eval.report``: one self-contained HTML page about a demo run."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tyro

from ppuu.loading.runs import load_world_model
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device, seed_everything
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write

from .open_loop.held_out import held_out
from .open_loop.summary import PRINTED_COLUMNS
from .reports.html import STYLE, figure_bytes, inline
from .reports.prediction_strips import prediction_strips
from .reports.tables import html_table, percent, plain

_OUTCOMES = (
    *percent(
        "success", "arrived", "collision", "collision_front", "collision_rear", "collision_side",
        "offroad", "timeout",
    ),
    *plain("distance_m", "mean_speed_mps", digits=1),
)  # fmt: skip

_DRIVING = (
    *percent(
        "success_alt", "progress", "ttc_below_1_5_s", "headway_below_1_s", "comfortable", "in_lane"
    ),
    *plain("lane_offset_m", "speed_wasserstein_mps", "gap_wasserstein_m", digits=1),
)


def training_curves(runs: Sequence[Path]) -> bytes:
    """A PNG: the loss of every run against updates."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.1 * len(runs), 2.6))
    for number, directory in enumerate(runs, start=1):
        lines = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
        axes = figure.add_subplot(1, len(runs), number)
        steps, losses = [e["step"] for e in lines], np.array([e["loss"] for e in lines])
        axes.plot(steps, losses, color="#9db4c8", linewidth=0.9)
        smooth = [losses[max(0, k - 4) : k + 1].mean() for k in range(len(losses))]
        axes.plot(steps, smooth, color="#20567e", linewidth=1.6)
        axes.set_title(directory.name, fontsize=9)
        axes.set_xlabel("updates", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure_bytes(figure)


def predicted_futures(
    world_model: Path, recordings: Sequence[Path], seed: int, device: str, clips: int = 2
) -> bytes:
    """A PNG: the true future of some clips, a sampled one of each, and the difference."""
    where = choose_device(device)
    model = load_world_model(world_model).to(where)
    held = held_out([model], {}, recordings, "all", None, 10, where)
    seed_everything(seed)
    return prediction_strips({"predicted": model}, held.clips, held.draw(clips, seed), 10)


def main(
    run_directory: tyro.conf.Positional[Path],
    recordings: tuple[Path, ...],
    out: Path,
    seed: int = 3,
    device: str = "auto",
) -> None:
    """Writes the page: results, training curves, a film strip of predictions, videos.

    Args:
        run_directory: what eval.demo leaves: results.json, open_loop.json, runs, videos.
        recordings: those of the test, for the film strip.
        out: the HTML file.
        seed: chooses the clips of the film strip.
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    try:
        results = json.loads((run_directory / "results.json").read_text())
        open_loop = json.loads((run_directory / "open_loop.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{run_directory}: not a finished demo run ({error})") from None
    runs = [
        run_directory / name
        for name in ("world-model", "mpur", "imitation")
        if (run_directory / name / "log.jsonl").is_file()
    ]
    curves = inline(training_curves(runs), "image/png")
    strip = inline(
        predicted_futures(run_directory / "world-model", recordings, seed, device), "image/png"
    )
    videos = "".join(
        f"<figure><video controls muted loop preload='metadata' "
        f"src='{inline(path.read_bytes(), 'video/webm')}'></video>"
        f"<figcaption>{html.escape(path.stem)}: ego red, the recorded human a yellow outline, the "
        "line to reach green.</figcaption></figure>"
        for path in sorted(run_directory.glob("*.webm"))
    )
    hardware = results["hardware"]
    machine = f"{hardware['processor']}, {hardware['cores']} cores, torch {hardware['torch']}"
    episodes = results["rows"][0]["success"]["n"]
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>ppuu: demo report</title>
<style>{STYLE}</style>
<h1>Learning to drive from recordings alone</h1>
<p class="lead">Synthetic dense traffic; {episodes} held-out scenarios; the others replay their
recording and do not react. Commit <code>{html.escape(results["commit"])}</code>;
{html.escape(machine)}.</p>
<h2>Success</h2>
{html_table(results["rows"], _OUTCOMES)}
<p>Per cent of episodes with 95&nbsp;% Wilson intervals; metres and metres a second with bootstrap
intervals. Success: 215&nbsp;m without a collision and without leaving the road.</p>
<h2>How they drive</h2>
{html_table(results["rows"], _DRIVING)}
<p>Success where no vehicle ran into the ego from behind; progress beside the human's, per cent;
fractions of the time with less than 1.5&nbsp;s to a collision, with less than 1&nbsp;s to the
leader, and in a lane; episodes within nuPlan's bounds of comfort; 1-Wasserstein distances of speeds
and gaps from those of human drivers.</p>
<h2>Driving</h2>{videos}
<h2>Predictions of the world model</h2>
<figure><img src="{strip}" alt="film strip of true and predicted futures">
<figcaption>Forward is up; lanes red, vehicles green, off-road blue; in the difference, blue what
was missed, orange what is not there. The frame keeps the ego's velocity at time 0; the ego itself
is not drawn. Sampled from the prior.</figcaption></figure>
{html_table(open_loop["rows"], plain(*PRINTED_COLUMNS))}
<p>At 1, 2 and 3&nbsp;s: soft intersection over union of the vehicles, error of the driving cost
along the recorded path, distance of vehicles from their true positions in metres. All predictors
but models of pixels observe tracks.</p>
<h2>Training</h2><figure><img src="{curves}" alt="training losses"></figure>
</html>"""
    with atomic_write(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main)
