"""The page of an open-loop judgement: curves over the horizon, tables and film strips."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from jaxtyping import Int
from torch import Tensor

from data.clips.clips import Clips
from ppuu.runtime.provenance import source_commit
from ppuu.world_models import Predictor

from .film_strip import film_strips
from .html import STYLE, figure_bytes, inline, results_table
from .results import Metric, Row

CURVES = {
    "vehicle_iou": "soft IoU of vehicles",
    "cost_error": "error of the driving cost",
    "position_error_m": "distance from true place, m",
    "image_mse": "squared error of the image",
}
_COLOURS = ("#20567e", "#b3401f", "#3b7d4f", "#7a4a91", "#a07c1c", "#51606f", "#1f8a8a", "#c2577f")
_FILM_S = 3.0
_TABLE_S = ("1s", "2s", "3s")


def curves(rows: Sequence[Row], at_s: Mapping[str, float]) -> bytes:
    """A PNG: each measure over the horizon, with bands of 95 %; dashed the best of the futures.

    Args:
        rows: of ``eval.open_loop``.
        at_s: seconds at which each horizon was judged, by its name.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.1 * len(CURVES), 3.5))
    every = figure.subplots(1, len(CURVES))
    for axes, (key, title) in zip(every, CURVES.items(), strict=True):
        for row, colour in zip(rows, _COLOURS * len(rows), strict=False):
            for prefix, style in (("", "-"), ("best_", "--")):
                told = {
                    seconds: row[f"{prefix}{key}_{name}"]
                    for name, seconds in at_s.items()
                    if f"{prefix}{key}_{name}" in row
                }
                if not told or (prefix and _same(row, key, at_s)):
                    continue
                times, metrics = list(told), [m for m in told.values() if isinstance(m, Metric)]
                label = str(row["name"]) + (", best of its futures" if prefix else "")
                axes.plot(times, [m.value for m in metrics], style, color=colour, lw=1.4,
                          label=label)  # fmt: skip
                axes.fill_between(times, [m.low for m in metrics], [m.high for m in metrics],
                                  color=colour, alpha=0.15, lw=0)  # fmt: skip
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("seconds ahead", fontsize=8)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, frameon=False, ncol=len(labels), loc="upper center",
                  bbox_to_anchor=(0.5, 0.02))  # fmt: skip
    figure.tight_layout()
    return figure_bytes(figure)


def _same(row: Row, key: str, at_s: Mapping[str, float]) -> bool:
    """Whether the best of the futures is no other than their mean, as for a single one."""
    return all(row.get(f"best_{key}_{name}") == row.get(f"{key}_{name}") for name in at_s)


def page(
    config: Mapping[str, Any],
    rows: Sequence[Row],
    comparisons: Sequence[Row],
    models: Mapping[str, Predictor],
    clips: Clips,
    index: Int[Tensor, " clips"],
) -> str:
    """The page as text.

    Args:
        config: what the result file says about the judgement.
        rows, comparisons: its tables.
        models: whose films are shown.
        clips, index: of which clips.
    """
    some = next(iter(models.values()))
    steps = max(1, min(round(_FILM_S / some.step_s), clips.horizon // some.frames_per_step))
    strips = inline(film_strips(models, clips, index, steps), "image/png")
    errors = inline(curves(rows, config["judged_at_s"]), "image/png")
    columns = [f"{key}_{when}" for key in CURVES for when in _TABLE_S]
    recordings = ", ".join(recording.name for recording in clips.recordings)
    seen = [name for names in config["seen_in_training"].values() for name in names]
    warning = f"<p><b>Seen in training: {html.escape(', '.join(seen))}.</b></p>" if seen else ""
    return f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>ppuu: open loop</title>
<style>{STYLE}</style>
<h1>What world models foresee</h1>
<p class="lead">{html.escape(recordings)}, split {config["split"]}: {config["clips"]} clips,
{config["futures"]} futures each, commit <code>{html.escape(str(source_commit()))}</code>.</p>
{warning}
<figure><img src="{errors}" alt="errors over the horizon">
<figcaption>Bands: 95&nbsp;% intervals, bootstrapped over vehicles. Solid: mean over the sampled
futures; dashed: the best of them at each time.</figcaption></figure>
<h2>Figures</h2>
{results_table([_plain(row) for row in rows], columns)}
<h2>Differences on the same clips</h2>
{results_table([_plain(row) for row in comparisons], columns)}
<h2>Film strips</h2>
<figure><img src="{strips}" alt="film strips">
<figcaption>Forward is up; lanes red, vehicles green, off-road blue. The frame glides with the ego's
present velocity; the ego itself is not drawn. Differences: blue what was missed, orange what is not
there, grey where both agree.</figcaption></figure>
</html>"""


def _plain(row: Row) -> dict[str, Any]:
    """A row as a result file has it."""
    return {key: asdict(v) if isinstance(v, Metric) else v for key, v in row.items()}
