"""Plots of calibration: reliability, coverage, and other kinds of traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..open_loop.calibration_metrics import LEVELS
from ..statistics.metric import Metric, Row
from .html import figure_bytes

_COLOURS = {"1s": "#9db4c8", "2s": "#3f78a3", "3s": "#123b5a"}
_REPLICAS = "#b3401f"


def plot(
    reliability: Mapping[str, Mapping[str, list]], rows: Sequence[Row], elsewhere: Sequence[Row]
) -> bytes:
    """A PNG: a column for each quantity.

    Args:
        reliability: by quantity and horizon, by source: pairs of deviation and error.
        rows: of the same quantities.
        elsewhere: of other kinds of traffic.
    """
    from matplotlib.figure import Figure

    keys = [str(row["name"]).split()[-1] for row in rows]
    figure = Figure(figsize=(4.2 * len(keys), 10.5))
    grid = figure.subplots(3, len(keys), squeeze=False)
    for column, (key, row) in enumerate(zip(keys, rows, strict=True)):
        _draw_reliability(grid[0, column], key, reliability)
        _draw_coverage(grid[1, column], row)
        same = [other for other in elsewhere if str(other["name"]).split()[-1] == key]
        _draw_elsewhere(grid[2, column], [row, *same])
    for axes in grid.flat:
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure_bytes(figure)


def _draw_reliability(axes, key: str, reliability: Mapping[str, Mapping[str, list]]) -> None:
    """True error over predicted deviation; the diagonal is perfect."""
    ends = []
    for horizon, colour in _COLOURS.items():
        for source, style in (("sampled", "o-"), ("replicas", "s--")):
            pairs = np.maximum(np.array(reliability[f"{key}_{horizon}"][source]), 1e-5)
            axes.loglog(*pairs.T, style, color=colour if source == "sampled" else _REPLICAS,
                        alpha=1.0 if source == "sampled" else float(horizon[0]) / 3, ms=3, lw=1.1,
                        label=f"{source}, {horizon[0]} s")  # fmt: skip
            ends += [pairs.min(), pairs.max()]
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color="0.6", lw=0.8)
    axes.set_title(f"reliability: {key}", fontsize=9)
    axes.set_xlabel("predicted deviation", fontsize=8)
    axes.set_ylabel("true error (RMS)", fontsize=8)
    axes.legend(fontsize=6, frameon=False)


def _draw_coverage(axes, row: Row) -> None:
    """Fractions of the targets inside the samples' central intervals."""
    axes.plot([0, 1], [0, 1], color="0.6", lw=0.8)
    for horizon, colour in _COLOURS.items():
        metrics = [row[f"covered_{100 * level:g}_{horizon}"] for level in LEVELS]
        known = [m for m in metrics if isinstance(m, Metric)]
        errors = [[m.value - m.low for m in known], [m.high - m.value for m in known]]
        axes.errorbar(LEVELS, [m.value for m in known], np.maximum(errors, 0.0), fmt="o-",
                      color=colour, ms=3, lw=1.1, label=f"{horizon[0]} s")  # fmt: skip
    axes.set_title("coverage of the samples", fontsize=9)
    axes.set_xlabel("nominal coverage", fontsize=8)
    axes.set_ylabel("targets inside", fontsize=8)
    axes.legend(fontsize=6, frameon=False)


def _draw_elsewhere(axes, rows: Sequence[Row]) -> None:
    """Error, deviation and disagreement 2 s ahead, in the same and in other traffic."""
    names = [" ".join(str(row["name"]).split()[:-1]) for row in rows]
    position = np.arange(len(rows))
    bars = (
        ("error_rms_2s", "error (RMS)", "0.6"),
        ("sampled_deviation_2s", "deviation of samples", _COLOURS["2s"]),
        ("replica_deviation_2s", "deviation of replicas", _REPLICAS),
    )
    for k, (key, label, colour) in enumerate(bars):
        metrics = [m for m in (row[key] for row in rows) if isinstance(m, Metric)]
        errors = [[m.value - m.low for m in metrics], [m.high - m.value for m in metrics]]
        axes.bar(position + 0.27 * (k - 1), [m.value for m in metrics], 0.25, color=colour,
                 label=label, yerr=np.maximum(errors, 0.0), error_kw={"lw": 0.8})  # fmt: skip
    axes.set_xticks(position, names, fontsize=7, rotation=15, ha="right")
    axes.set_title("2 s ahead, by kind of traffic", fontsize=9)
    axes.legend(fontsize=6, frameon=False)
