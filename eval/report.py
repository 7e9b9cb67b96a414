"""``python -m eval.report``: one self-contained HTML page about a demo run."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from data.clips import Clips
from data.splits import window
from ppuu.command import run
from ppuu.errors import InputError
from ppuu.files import written_whole
from ppuu.recording import load_recordings
from ppuu.runs import load_world_model
from ppuu.runtime import seed_everything

_COLUMNS = (
    "success", "arrived", "collision", "collision_front", "collision_rear", "collision_side",
    "offroad", "timeout", "distance_m", "mean_speed_mps",
)  # fmt: skip

_DRIVING = (
    "success_alt", "progress", "ttc_below_1_5_s", "headway_below_1_s", "comfortable", "in_lane",
    "lane_offset_m", "speed_wasserstein_mps", "gap_wasserstein_m",
)  # fmt: skip

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1d2733; background: #fbfbf9;
       max-width: 74rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.9rem; margin-bottom: .2rem; } h2 { margin-top: 2.4rem; font-size: 1.25rem; }
p.lead { color: #51606f; margin-top: 0; }
table { border-collapse: collapse; font-size: .84rem; width: 100%; }
th, td { text-align: right; padding: .34rem .5rem; border-bottom: 1px solid #e3e3dc;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; font-weight: 600; }
td small { color: #75828f; display: block; font-size: .74rem; }
.scroll { overflow-x: auto; } img, video { max-width: 100%; display: block; }
figure { margin: 1rem 0; } figcaption { color: #51606f; font-size: .88rem; }
code { background: #efefe9; padding: .1rem .3rem; border-radius: 3px; }
"""


def _inline(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


_PLAIN = (1.0, 3)
_PERCENT = (100.0, 1)
_METRES = (1.0, 1)
"""Scale and digits of a column."""


def _format(column: str) -> tuple[float, int]:
    if column.endswith("s") and column[-2].isdigit():
        return _PLAIN
    return _METRES if column.endswith(("_m", "_mps")) else _PERCENT


def _cell(value: Any, scale: float, digits: int) -> str:
    if not isinstance(value, dict):
        return html.escape("" if value is None else str(value))
    if value["value"] is None:
        return "–"
    middle = f"{scale * value['value']:.{digits}f}"
    if value["low"] is None:
        return middle
    low, high = (f"{scale * value[end]:.{digits}f}" for end in ("low", "high"))
    return f"{middle}<small>{low} – {high}</small>"


def results_table(rows: Sequence[dict], columns: Sequence[str]) -> str:
    """Rows of a results file as an HTML table, intervals below the numbers."""
    head = "".join(f"<th>{html.escape(c.replace('_', ' '))}</th>" for c in columns)
    body = []
    for row in rows:
        cells = "".join(
            f"<td>{_cell(row.get(column), *_format(column))}</td>" for column in columns
        )
        body.append(f"<tr><td>{html.escape(row['name'])}</td>{cells}</tr>")
    return f'<div class="scroll"><table><tr><th></th>{head}</tr>{"".join(body)}</table></div>'


def _figure_bytes(figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return buffer.getvalue()


def training_curves(runs: Sequence[Path]) -> bytes:
    """A PNG: the loss of every run against updates."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.1 * len(runs), 2.6))
    for place, directory in enumerate(runs):
        lines = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
        axes = figure.add_subplot(1, len(runs), place + 1)
        steps, losses = [e["step"] for e in lines], np.array([e["loss"] for e in lines])
        axes.plot(steps, losses, color="#9db4c8", linewidth=0.9)
        smooth = [losses[max(0, k - 4) : k + 1].mean() for k in range(len(losses))]
        axes.plot(steps, smooth, color="#20567e", linewidth=1.6)
        axes.set_title(directory.name, fontsize=9)
        axes.set_xlabel("updates", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return _figure_bytes(figure)


@torch.no_grad()
def film_strip(world_model: Path, recording: Path, seed: int, clips_shown: int = 2) -> bytes:
    """A PNG: what followed, and two sampled futures, every 0.6 seconds."""
    from matplotlib.figure import Figure

    model = load_world_model(world_model)
    loaded = load_recordings([recording])
    steps = torch.arange(1, 11) * model.frames_per_step
    windows = [window(one, "all") for one in loaded]
    clips = Clips(loaded, windows, model.observation, int(steps[-1]))
    seed_everything(seed)
    chosen = torch.randint(
        len(clips), (clips_shown,), generator=torch.Generator().manual_seed(seed)
    )
    clip = clips.batch(chosen)
    ego = clip.future[:, steps - 1]
    poses = model.image_poses(clip.observation, ego)
    truth = clips.draw_vehicles(clip, steps, poses)
    road = clips.draw_road(clip, poses)
    futures = model.imagine(clip.observation, len(steps), 2, ego=ego)
    shown = list(range(1, len(steps), 2))
    figure = Figure(figsize=(1.05 * 3 * (len(shown) + 1), 3.1 * clips_shown))
    grid = figure.subplots(clips_shown, 3 * (len(shown) + 1), squeeze=False)
    for k in range(clips_shown):
        for block, (name, vehicles, lanes) in enumerate(
            (
                ("true", truth[k], road[k]),
                ("predicted", futures.vehicles[k, 0], futures.road[k]),
                ("another sample", futures.vehicles[k, 1], futures.road[k]),
            )
        ):
            first = clip.observation.images[k, -1]
            pictures = [first] + [
                torch.stack([lanes[t, 0], vehicles[t], lanes[t, 1]]) for t in shown
            ]
            for column, picture in enumerate(pictures):
                axes = grid[k, block * (len(shown) + 1) + column]
                axes.imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy(), aspect="auto")
                axes.set_xticks([])
                axes.set_yticks([])
                when = 0.0 if column == 0 else float(steps[shown[column - 1]]) * clips.scene.dt_s
                if k == 0:
                    axes.set_title(f"{name}\n{when:.1f} s" if column == 0 else f"{when:.1f} s",
                                   fontsize=7)  # fmt: skip
    figure.subplots_adjust(wspace=0.08, hspace=0.06)
    return _figure_bytes(figure)


def main(
    run_directory: tyro.conf.Positional[Path],
    recording: Path,
    out: Path,
    seed: int = 3,
) -> None:
    """Writes the page: results, training curves, a film strip of futures, videos.

    Args:
        run_directory: what eval.demo leaves: results.json, open_loop.json, runs, videos.
        recording: the test recording, for the film strip.
        out: the HTML file.
        seed: chooses the clips of the film strip.
    """
    try:
        results = json.loads((run_directory / "results.json").read_text())
        open_loop = json.loads((run_directory / "open_loop.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{run_directory}: not a finished demo run ({error})") from None
    runs = [
        run_directory / name
        for name in ("world-model", "mpur", "mpur-without-uncertainty", "imitation")
        if (run_directory / name / "log.jsonl").is_file()
    ]
    curves = _inline(training_curves(runs), "image/png")
    strip = _inline(film_strip(run_directory / "world-model", recording, seed), "image/png")
    videos = "".join(
        f"<figure><video controls muted loop preload='metadata' "
        f"src='{_inline(path.read_bytes(), 'video/webm')}'></video>"
        f"<figcaption>{html.escape(path.stem)}: ego red, the recorded human a yellow outline, the "
        "line to reach green.</figcaption></figure>"
        for path in sorted(run_directory.glob("*.webm"))
    )
    foreseen = [key for key in open_loop["rows"][0] if key != "name"]
    hardware = results["hardware"]
    machine = f"{hardware['processor']}, {hardware['cores']} cores, torch {hardware['torch']}"
    episodes = results["rows"][0]["success"]["n"]
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>ppuu: demo report</title>
<style>{_STYLE}</style>
<h1>Learning to drive from recordings alone</h1>
<p class="lead">Synthetic dense traffic; {episodes} held-out scenarios; the others replay their
recording and do not react. Commit <code>{html.escape(results["commit"])}</code>;
{html.escape(machine)}.</p>
<h2>Who gets through</h2>
{results_table(results["rows"], _COLUMNS)}
<p>Per cent of episodes with 95&nbsp;% Wilson intervals; metres and metres a second with bootstrap
intervals. Success: 215&nbsp;m without touching anybody and without leaving the road.</p>
<h2>How they drive</h2>
{results_table(results["rows"], _DRIVING)}
<p>Success where nobody ran into the ego from behind; progress beside the human's, per cent; shares
of the time with less than 1.5&nbsp;s to a collision, with less than 1&nbsp;s to the leader, and in
a lane; episodes within nuPlan's bounds of comfort; distances (1-Wasserstein) of speeds and gaps
from the humans'.</p>
<h2>Driving</h2>{videos}
<h2>What the world model foresees</h2>
<figure><img src="{strip}" alt="film strip of true and predicted futures">
<figcaption>Forward is up; lanes red, vehicles green, off-road blue. The frame glides with the
ego's speed at time 0; the ego itself is not drawn. Sampled from the prior.</figcaption></figure>
{results_table(open_loop["rows"], foreseen)}
<p>Vehicle channel at 1, 2 and 3&nbsp;s: squared error, soft intersection over union, error of the
driving cost along the recorded path. <i>constant-velocity</i> is told every vehicle's true
velocity; the model sees images only.</p>
<h2>Training</h2><figure><img src="{curves}" alt="training losses"></figure>
</html>"""
    with written_whole(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main)
