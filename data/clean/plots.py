"""Plots of the report as inline SVG, with embedded images for large data."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from ppuu.recordings.recording import Recording
from ppuu.runtime.packages import import_opencv

_LANES_SHOWN = 8
_WIDTH, _HEIGHT, _FOOT = 300.0, 110.0, 16.0
"""Width and height of a small plot and height of its axis, in SVG units."""
_LEFT, _MAP_WIDTH, _PANEL = 110, 900, 84
"""Left margin and width of a map, and height of a lane's panel."""
_SPEEDS = ("#a50026", "#f46d43", "#fee090", "#abd9e9", "#4575b4", "#313695")
"""From low to high speed."""
_DENSITIES = ("#dbe9f6", "#4292c6", "#08306b")


def histogram(
    counts: Mapping[str, Sequence[int]],
    span: tuple[float, float],
    limits: tuple[float, float],
    unit: str,
) -> str:
    """Superimposed histograms on a logarithmic scale, with bounds as dashed lines.

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
    """Number of vehicles over time."""
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
    """A small plot with tick labels at the left, middle and right of the axis."""
    axis = _axis(ticks, 0.0, _WIDTH, _HEIGHT + 13)
    base = f'<path class="axis" d="M0 {_HEIGHT}H{_WIDTH}"/>'
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT + _FOOT:g}" role="img">'
        f"{''.join(shapes)}{base}{axis}</svg>"
    )


def time_space(recording: Recording, lane: Int[np.ndarray, " rows"]) -> tuple[str, int]:
    """Time-space diagram of the speed for each lane, as SVG, and the number of omitted lanes.

    Args:
        recording: tracks, with x along the road.
        lane: of each row; -1 off the road.
    """
    lanes, rows = np.unique(lane, return_counts=True)
    shown = np.sort(lanes[np.argsort(-rows)][:_LANES_SHOWN])
    times, places = min(recording.frames, 2 * _MAP_WIDTH // 3), _PANEL
    time = recording.frame.astype(np.int64) * times // recording.frames
    low, high = float(recording.x_m.min()), float(recording.x_m.max()) + 1e-6
    place = ((high - recording.x_m) / (high - low) * places).astype(np.int64).clip(0, places - 1)
    fastest = max(float(np.quantile(recording.speed_mps, 0.99)), 1.0)
    shapes, y = [], 4
    for number in shown:
        own = lane == number
        cell = place[own] * times + time[own]
        means = _means(cell, recording.speed_mps[own], times * places).reshape(places, times)
        frame = f'x="{_LEFT}" y="{y}" width="{_MAP_WIDTH}" height="{_PANEL}"'
        shapes.append(f'<rect class="panel" {frame}/>')
        shapes.append(_image(_coloured(means / fastest, _SPEEDS), _LEFT, y, _MAP_WIDTH, _PANEL))
        name = "off the lanes" if number < 0 else f"lane {number}"
        shapes.append(_text(_LEFT - 34, y + 0.5 * _PANEL + 4, name, "end"))
        shapes.append(_text(_LEFT - 4, y + 9, str(round(high)), "end"))
        shapes.append(_text(_LEFT - 4, y + _PANEL, str(round(low)), "end"))
        y += _PANEL + 8
    digits = 0 if recording.duration_s > 20 else 1
    seconds = [f"{t:.{digits}f}" for t in np.linspace(0, recording.duration_s, 6)]
    shapes.append(_axis([*seconds[:-1], f"{seconds[-1]} s"], _LEFT, _MAP_WIDTH, y + 8))
    shapes.append(_image(_coloured(np.linspace(0, 1, 64)[None], _SPEEDS), _LEFT, y + 18, 160, 8))
    shapes.append(_text(_LEFT + 168, y + 26, f"0 … {fastest:.0f} m/s"))
    return f'<svg viewBox="0 0 {_LEFT + _MAP_WIDTH} {y + 32}" role="img">{"".join(shapes)}</svg>', (
        len(lanes) - len(shown)
    )


def road_with_tracks(recording: Recording) -> str:
    """Lane boundaries and density of positions; a long road is stretched laterally."""
    x, y = recording.x_m, recording.y_m
    low, size = (x.min(), y.min()), (np.ptp(x) + 1e-6, np.ptp(y) + 1e-6)
    flat = size[1] < 0.25 * size[0]
    height = 190 if flat else int(min(_MAP_WIDTH * size[1] / size[0], 620))
    # Cells large enough to contain a few rows.
    columns = min(640, max(160, recording.rows // 20))
    lines = columns * height // _MAP_WIDTH + 1
    cell = ((low[1] + size[1] - y) / size[1] * lines).astype(np.int64).clip(0, lines - 1) * columns
    cell += ((x - low[0]) / size[0] * columns).astype(np.int64)
    counts = np.bincount(cell, minlength=lines * columns).reshape(lines, columns)
    shade = np.log1p(counts) / np.log1p(counts.max())
    density = _coloured(np.where(counts > 0, shade, np.nan), _DENSITIES)
    margin_m = 0.06 * size[1]
    edges = "".join(
        "M" + "L".join(f"{a:.2f} {-b:.2f}" for a, b in edge)
        for number in range(recording.road.lanes)
        for edge in recording.road.lane(number)
    )
    top_m, tall_m = -low[1] - size[1] - margin_m, size[1] + 2 * margin_m
    inner = (
        f'<svg x="{_LEFT}" y="2" width="{_MAP_WIDTH}" height="{height}" '
        f'viewBox="{low[0]:.2f} {top_m:.2f} {size[0]:.2f} {tall_m:.2f}" '
        f'preserveAspectRatio="{"none" if flat else "xMidYMid meet"}">'
        f"{_image(density, low[0], -low[1] - size[1], size[0], size[1])}"
        f'<path class="lane" d="{edges}"/></svg>'
    )
    metres = [str(round(x)) for x in np.linspace(low[0], low[0] + size[0], 5)]
    words = [
        _text(_LEFT - 4, 12, str(round(low[1] + size[1])), "end"),
        _text(_LEFT - 4, height, str(round(low[1])), "end"),
        _text(_LEFT - 34, 0.5 * height + 4, "y, m", "end"),
        _axis([*metres[:-1], f"{metres[-1]} m"], _LEFT, _MAP_WIDTH, height + 14),
    ]
    view = f"0 0 {_LEFT + _MAP_WIDTH} {height + 18}"
    return f'<svg viewBox="{view}" role="img">{inner}{"".join(words) if flat else ""}</svg>'


def _means(
    cell: Int[np.ndarray, " rows"], values: Float[np.ndarray, " rows"], cells: int
) -> Float[np.ndarray, " cells"]:
    counts = np.bincount(cell, minlength=cells)
    sums = np.bincount(cell, values, minlength=cells)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _coloured(values: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """Values from 0 to 1 as ``(rows, columns, 4)`` red, green, blue, alpha; NaN is transparent."""
    stops = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in colours], float)
    valid = np.isfinite(values)
    at = np.where(valid, values, 0.0).clip(0, 1) * (len(stops) - 1)
    rgb = [np.interp(at, np.arange(len(stops)), channel) for channel in stops.T]
    return np.stack([*rgb, 255.0 * valid], axis=-1).round().astype(np.uint8)


def _image(rgba: np.ndarray, x: float, y: float, width: float, height: float) -> str:
    """An image within an SVG."""
    data = import_opencv().imencode(".png", rgba[..., [2, 1, 0, 3]])[1].tobytes()
    place = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
    return (
        f'<image {place} preserveAspectRatio="none" '
        f'href="data:image/png;base64,{base64.b64encode(data).decode()}"/>'
    )


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def _axis(words: Sequence[str], x: float, width: float, y: float) -> str:
    """Equally spaced labels along an axis."""
    anchors = ["start", *["middle"] * (len(words) - 2), "end"]
    places = np.linspace(x, x + width, len(words))
    return "".join(
        _text(*each) for each in zip(places, [y] * len(words), words, anchors, strict=True)
    )
