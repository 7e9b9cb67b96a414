"""The page of an open-loop evaluation: curves over the horizon, tables and film strips."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Int
from torch import Tensor

from data.clips.clips import Clips
from ppuu.runtime.provenance import source_commit
from ppuu.world_models import Predictor

from ..statistics.metric import Metric, Row
from .html import STYLE, figure_bytes, inline
from .prediction_strips import prediction_strips
from .tables import html_table, plain

CURVES = {
    "vehicle_iou": "soft IoU of vehicles",
    "cost_error": "error of the driving cost",
    "position_error_m": "distance from true position, m",
    "image_mse": "squared error of the image",
}
_COLOURS = ("#20567e", "#b3401f", "#3b7d4f", "#7a4a91", "#a07c1c", "#51606f", "#1f8a8a", "#c2577f")
_FILM_S = 3.0
_TABLE_S = ("1s", "2s", "3s")


def curves(rows: Sequence[Row], horizons_s: Mapping[str, float]) -> bytes:
    """A PNG: each metric over the horizon, with bands of 95 %; dashed the best of the samples.

    Args:
        rows: of ``eval.open_loop``.
        horizons_s: seconds of each horizon's nearest step, by its name.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.1 * len(CURVES), 3.5))
    every = figure.subplots(1, len(CURVES))
    for axes, (key, title) in zip(every, CURVES.items(), strict=True):
        for row, colour in zip(rows, _COLOURS * len(rows), strict=False):
            for prefix, style in (("", "-"), ("best_", "--")):
                known = {
                    seconds: row[f"{prefix}{key}_{name}"]
                    for name, seconds in horizons_s.items()
                    if f"{prefix}{key}_{name}" in row
                }
                if not known or (prefix and _one_sample(row, key, horizons_s)):
                    continue
                times, metrics = list(known), [m for m in known.values() if isinstance(m, Metric)]
                label = str(row["name"]) + (", best of its samples" if prefix else "")
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


def _one_sample(row: Row, key: str, horizons_s: Mapping[str, float]) -> bool:
    """Whether the best of the samples is their mean, as for a single one."""
    return all(row.get(f"best_{key}_{name}") == row.get(f"{key}_{name}") for name in horizons_s)


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
        config: of the results file.
        rows, comparisons: its tables.
        models: their predictions are shown as film strips.
        clips, index: of these clips.
    """
    some = next(iter(models.values()))
    steps = max(1, min(round(_FILM_S / some.step_s), clips.horizon // some.frames_per_step))
    strips = inline(prediction_strips(models, clips, index, steps), "image/png")
    errors = inline(curves(rows, config["horizons_s"]), "image/png")
    columns = plain(*(f"{key}_{horizon}" for key in CURVES for horizon in _TABLE_S))
    recordings = ", ".join(recording.name for recording in clips.recordings)
    leaks = [name for names in config["seen_in_training"].values() for name in names]
    warning = f"<p><b>Seen in training: {html.escape(', '.join(leaks))}.</b></p>" if leaks else ""
    return f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>ppuu: open loop</title>
<style>{STYLE}</style>
<h1>Open-loop evaluation of world models</h1>
<p class="lead">{html.escape(recordings)}, split {config["split"]}: {config["clips"]} clips,
{config["futures"]} samples each, commit <code>{html.escape(str(source_commit()))}</code>.</p>
{warning}
<figure><img src="{errors}" alt="errors over the horizon">
<figcaption>Bands: 95&nbsp;% intervals, bootstrapped over vehicles. Solid: mean over the
samples; dashed: the best of them at each time.</figcaption></figure>
<h2>Figures</h2>
{html_table(rows, columns)}
<h2>Differences on the same clips</h2>
{html_table(comparisons, columns)}
<h2>Film strips</h2>
<figure><img src="{strips}" alt="film strips">
<figcaption>Forward is up; lanes red, vehicles green, off-road blue. The frame moves with the ego's
present velocity; the ego itself is not drawn. Differences: blue what was missed, orange what is not
there, grey where both agree.</figcaption></figure>
</html>"""
