"""The pictures of a report: small ones as inline SVG, maps of many rows as PNG."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from ppuu.recording import Recording

_LANES_SHOWN = 8
_WIDTH, _HEIGHT, _FOOT = 300.0, 110.0, 16.0
"""Of a small plot, and the height of its axis, in SVG's units."""


def histogram(
    counts: Mapping[str, Sequence[int]],
    span: tuple[float, float],
    limits: tuple[float, float],
    unit: str,
) -> str:
    """Histograms over each other, on a logarithmic scale, with bounds as dashed lines.

    Args:
        counts: CSS class → number of rows in each of the bins.
        span: lowest and highest edge.
        limits: the bounds.
        unit: of the quantity.
    """
    top = np.log1p(max(max(own) for own in counts.values()))
    shapes = []
    for kind, own in counts.items():
        edges = np.linspace(0.0, _WIDTH, len(own) + 1)
        heights = _HEIGHT * (1 - np.log1p(own) / max(top, 1e-9))
        steps = "".join(
            f"L{left:.1f} {y:.1f}L{right:.1f} {y:.1f}"
            for left, right, y in zip(edges[:-1], edges[1:], heights, strict=True)
        )
        shapes.append(f'<path class="{kind}" d="M0 {_HEIGHT}{steps}L{_WIDTH} {_HEIGHT}"/>')
    low, high = span
    for limit in limits:
        if low < limit < high:
            x = _WIDTH * (limit - low) / (high - low)
            shapes.append(f'<path class="limit" d="M{x:.1f} 0V{_HEIGHT}"/>')
    return _svg(shapes, [f"{low:g}", f"{0.5 * (low + high):g}", f"{high:g} {unit}"])


def vehicles_over_time(recording: Recording) -> str:
    """How many vehicles are seen at a time."""
    counts = np.bincount(recording.frame)
    cells = np.linspace(0, len(counts), min(len(counts), 300) + 1).astype(int)
    mean = np.add.reduceat(counts, cells[:-1]) / np.diff(cells)
    x = np.linspace(0.0, _WIDTH, len(mean))
    y = _HEIGHT * (1 - 0.8 * mean / mean.max())
    line = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    shapes = [f'<path class="area" d="M0 {_HEIGHT}L{line}L{_WIDTH} {_HEIGHT}"/>']
    shapes.append(f'<text x="4" y="12">at most {counts.max()}, mean {counts.mean():.0f}</text>')
    return _svg(shapes, ["0", f"{0.5 * recording.duration_s:.0f}", f"{recording.duration_s:.0f} s"])


def _svg(shapes: Sequence[str], ticks: Sequence[str]) -> str:
    """A small plot with its words at the left, the middle and the right of the axis."""
    places = zip(("start", "middle", "end"), (0.0, 0.5, 1.0), ticks, strict=True)
    axis = "".join(
        f'<text x="{share * _WIDTH}" y="{_HEIGHT + 13}" text-anchor="{anchor}">'
        f"{html.escape(word)}</text>"
        for anchor, share, word in places
    )
    base = f'<path class="axis" d="M0 {_HEIGHT}H{_WIDTH}"/>'
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT + _FOOT:g}" role="img">'
        f"{''.join(shapes)}{base}{axis}</svg>"
    )


def time_space(recording: Recording, lane: Int[np.ndarray, " rows"]) -> tuple[str, int]:
    """Speed over time and place along the road, lane by lane; as an image and the lanes left out.

    Args:
        recording: its x is the place.
        lane: of each row; -1 off the road.
    """
    from matplotlib.figure import Figure

    lanes, rows = np.unique(lane, return_counts=True)
    shown = np.sort(lanes[np.argsort(-rows)][:_LANES_SHOWN])
    times = min(recording.frames, 700)
    time = recording.frame.astype(np.int64) * times // recording.frames
    low, high = float(recording.x_m.min()), float(recording.x_m.max()) + 1e-6
    places = 120
    place = ((recording.x_m - low) / (high - low) * places).astype(np.int64)
    fastest = float(np.quantile(recording.speed_mps, 0.99))
    figure = Figure(figsize=(9.6, 0.5 + 1.15 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    image = None
    for axes, number in zip(grid, shown, strict=True):
        own = lane == number
        cell = place[own] * times + time[own]
        image = axes.imshow(
            _means(cell, recording.speed_mps[own], times * places).reshape(places, times),
            origin="lower", aspect="auto", interpolation="nearest", cmap="RdYlBu",
            extent=(0, recording.duration_s, low, high), vmin=0, vmax=max(fastest, 1.0),
        )  # fmt: skip
        axes.set_facecolor("#f1f1ee")
        axes.set_ylabel("off the lanes" if number < 0 else f"lane {number}", fontsize=8)
        _plain(axes)
    grid[-1].set_xlabel("time, s", fontsize=8)
    if image is not None:
        bar = figure.colorbar(image, ax=list(grid), shrink=0.9, pad=0.01, aspect=40)
        bar.set_label("speed, m/s", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return _png(figure), len(lanes) - len(shown)


def road_with_tracks(recording: Recording) -> str:
    """Lane boundaries, and how often each place is driven over; across the road it is stretched."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    x, y = recording.x_m, recording.y_m
    columns, lines = 640, 120
    low, size = (x.min(), y.min()), (np.ptp(x) + 1e-6, np.ptp(y) + 1e-6)
    cell = ((y - low[1]) / size[1] * lines).astype(np.int64) * columns
    cell += ((x - low[0]) / size[0] * columns).astype(np.int64)
    counts = np.bincount(cell, minlength=lines * columns).reshape(lines, columns).astype(float)
    flat = size[1] < 0.25 * size[0]
    figure = Figure(figsize=(9.6, 2.4 if flat else 7.0), layout="constrained")
    axes = figure.subplots()
    axes.imshow(
        np.where(counts > 0, counts, np.nan), origin="lower", interpolation="nearest",
        extent=(low[0], low[0] + size[0], low[1], low[1] + size[1]), cmap="Blues",
        norm=LogNorm(0.3, max(counts.max(), 1.0)), aspect="auto" if flat else "equal",
    )  # fmt: skip
    for number in range(recording.road.lanes):
        for edge in recording.road.lane(number):
            axes.plot(*edge.T, color="#c2410c", linewidth=0.7)
    axes.set_xlabel("x, m", fontsize=8)
    axes.set_ylabel("y, m", fontsize=8)
    _plain(axes)
    return _png(figure)


def _means(
    cell: Int[np.ndarray, " rows"], values: Float[np.ndarray, " rows"], cells: int
) -> Float[np.ndarray, " cells"]:
    counts = np.bincount(cell, minlength=cells)
    sums = np.bincount(cell, values, minlength=cells)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _plain(axes) -> None:
    axes.tick_params(labelsize=7, length=2)
    axes.spines[["top", "right"]].set_visible(False)


def _png(figure) -> str:
    """The figure as an ``img`` that needs no file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" src="data:image/png;base64,{data}">'
