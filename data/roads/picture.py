"""A road and the tracks on it as a picture, to look at what was derived or drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ppuu.files import written_whole
from ppuu.recording import Recording

_STRETCH = 4.0
"""Across a long road a metre is drawn so much larger than along it."""
_LONG_ROAD = 5.0
"""Length over width from which a road counts as long."""
_INCHES_WIDE, _LEAST_INCHES, _MOST_INCHES = 18.0, 3.0, 18.0
_TRACKS_DRAWN = 400
_DOTS_AN_INCH = 100


def draw(recording: Recording, path: str | Path, tracks: bool = True) -> None:
    """Draws lanes (grey), their boundaries, driving directions and the vehicles' paths, as a PNG.

    Of long roads the width is drawn larger than the length, by a factor that the axis names.

    Args:
        recording: whose road and tracks.
        path: of the PNG.
        tracks: whether to draw the paths; of many vehicles, every so-manieth.
    """
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.figure import Figure

    road = recording.road
    seen = [np.stack([recording.x_m, recording.y_m], 1), road.left_m, road.right_m]
    points = np.concatenate(seen if tracks else seen[1:])
    low, high = points.min(0) - 2.0, points.max(0) + 2.0
    width, height = high - low
    stretch = _STRETCH if width > _LONG_ROAD * height else 1.0
    inches = np.clip(_INCHES_WIDE * stretch * height / width, _LEAST_INCHES, _MOST_INCHES)
    figure = Figure(figsize=(_INCHES_WIDE, inches), dpi=_DOTS_AN_INCH, layout="constrained")
    axes = figure.subplots()
    axes.add_collection(PolyCollection(list(road.quadrilaterals_m), facecolors="0.9"))
    if tracks:
        every = -(-recording.vehicles // _TRACKS_DRAWN)
        paths = [recording.track(k)[:, :2] for k in range(0, recording.vehicles, every)]
        axes.add_collection(LineCollection(paths, colors="tab:blue", linewidths=0.5, alpha=0.5))
    sides = [side for k in range(road.lanes) for side in road.lane(k)]
    axes.add_collection(LineCollection(sides, colors="black", linewidths=0.8))
    for number in range(road.lanes):
        left, right = road.lane(number)
        middle = 0.5 * (left + right)
        k = len(middle) // 2
        axes.annotate("", middle[k], middle[k - 1], arrowprops={"arrowstyle": "->", "color": "red"})
        axes.annotate(str(number), middle[k], color="red")
    axes.set(
        xlim=(low[0], high[0]),
        ylim=(low[1], high[1]),
        aspect=stretch,
        xlabel="x in m",
        ylabel="y in m" + (f", drawn {stretch:g} times larger" if stretch != 1.0 else ""),
        title=f"{recording.name}: {road.lanes} lanes, {recording.vehicles} tracks",
    )
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png")
