"""The page of a comparison with real traffic: pictures first, then the tables."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..reports.html import STYLE, figure_bytes, inline
from ..reports.tables import html_table
from ..statistics.metric import Row
from .comparison import DISTANCES, FIGURES
from .summary import FEATURES, LEVELS, TrafficSummary

_COLOURS = ("#b3401f", "#20567e", "#3b7d4f", "#7a4a91", "#a07c1c", "#1f8a8a", "#c2577f")
_REAL_COLOURS = ("#9a9a92", "#c4c4bb")
_TITLES = {
    "speed_mps": "speed, m/s",
    "gap_m": "gap, m",
    "headway_s": "time headway, s",
    "acceleration_mps2": "acceleration, m/s²",
    "relative_speed_mps": "leader's speed minus own, m/s",
}
_SHOWN = (0.005, 0.995)
_LOWEST_DENSITY = 1e-5
"""Far below the noise of any sensor."""


def distributions(real: Sequence[TrafficSummary], traffics: Sequence[TrafficSummary]) -> bytes:
    """A PNG: cumulative distributions of every feature, real slots in grey."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(FEATURES), 3.4))
    for axes, name in zip(figure.subplots(1, len(FEATURES)), FEATURES, strict=True):
        for traffic, colour, width in _lines(real, traffics):
            if name in traffic.quantiles:
                axes.plot(
                    traffic.quantiles[name], LEVELS, color=colour, lw=width, label=traffic.name
                )
        ends = np.quantile([one.quantiles[name] for one in real], _SHOWN)
        axes.set_xlim(ends[0] - 0.1 * np.ptp(ends), ends[1] + 0.2 * np.ptp(ends))
        _finish(axes, _TITLES[name], "fraction below")
    return _with_legend(figure)


def spectra(real: Sequence[TrafficSummary], traffics: Sequence[TrafficSummary]) -> bytes:
    """A PNG: power spectral densities of speed along the road, real slots in grey."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8))
    axes = figure.subplots()
    for traffic, colour, width in _lines(real, traffics):
        frequency, density = traffic.spectral_density.T
        shown = (frequency > 0) & (density > 0)
        axes.loglog(frequency[shown], density[shown], color=colour, lw=width, label=traffic.name)
    axes.set_ylim(bottom=_LOWEST_DENSITY)
    _finish(axes, "frequency, Hz", "density of speed, (m/s)²/Hz")
    return _with_legend(figure)


def page(
    config: Mapping[str, Any],
    rows: Sequence[Row],
    real: Sequence[TrafficSummary],
    traffics: Sequence[TrafficSummary],
) -> str:
    """HTML without references to other files.

    Args:
        config: what was compared.
        rows: of the tables.
        real: the slot that distances are measured from, and the other one.
        traffics: what was compared.
    """
    files = ", ".join(html.escape(str(path)) for path in config["recordings"])
    notes = "".join(
        f"<li><b>{html.escape(str(row['name']))}</b>: {html.escape(str(row['notes']))}</li>"
        for row in rows
        if row["notes"]
    )
    return "\n".join([
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Realism</title><style>{STYLE}",
        "</style><h1>How real is this traffic?</h1>",
        f"<p class=lead>{files}, beside NGSIM's I-80 (slot {config['slot']}) and US-101</p>",
        f"<figure><img src='{inline(distributions(real, traffics), 'image/png')}'><figcaption>",
        "Followers and leaders, cut and filtered alike (0.5 Hz, closer than 50 m, 30 s and more). ",
        "Grey: two slots of I-80, mostly lanes 2 to 6.</figcaption></figure>",
        html_table(rows, DISTANCES[1:]),
        "<p>Wasserstein distances; realism is a likelihood, 1 for the slot itself. The other real "
        "slot is the ceiling, constant speed the floor.</p>",
        f"<figure><img src='{inline(spectra(real, traffics), 'image/png')}'><figcaption>",
        "Speed by frequency, in windows of 12.8 s. Grey: original positions of I-80's lanes 1 and ",
        "7 (0400) and 7 (0500), with their noise of measurement.</figcaption></figure>",
        html_table(rows, FIGURES[1:]),
        f"<ul>{notes}</ul></html>",
    ])  # fmt: skip


def _lines(real: Sequence[TrafficSummary], traffics: Sequence[TrafficSummary]):
    """Every traffic with a colour and a width."""
    several = -(-len(traffics) // len(_COLOURS))
    return [
        *((one, colour, 2.6) for one, colour in zip(real, _REAL_COLOURS, strict=True)),
        *((one, colour, 1.3) for one, colour in zip(traffics, _COLOURS * several, strict=False)),
    ]


def _finish(axes: Any, below: str, beside: str) -> None:
    axes.set_xlabel(below, fontsize=8)
    axes.set_ylabel(beside, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _with_legend(figure: Any) -> bytes:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.tight_layout()
    figure.legend(
        handles, labels, fontsize=8, frameon=False, ncol=min(len(labels), 6), loc="upper center",
        bbox_to_anchor=(0.5, 0.01),
    )  # fmt: skip
    return figure_bytes(figure)
