"""Small pictures of a corpus, as inline SVG."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_WIDTH, _HEIGHT, _FOOT = 300.0, 110.0, 16.0
_BINS = 24
_SHADES = {"train": "#a9cbe2", "heldout": "#c2410c"}


def distribution(values: Mapping[str, Sequence[Any]]) -> str:
    """Bars of how often values occur; those of each split relative to its number of recordings.

    Args:
        values: split → the values of a parameter or measurement, numbers or words.
    """
    everything = [value for own in values.values() for value in own]
    if not everything:
        return _svg([_text(4, 14, "not drawn")], [])
    if all(isinstance(value, float) for value in everything):
        low, high = min(everything), max(everything)
        high = high if high > low else low + 1.0
        counts = {split: np.histogram(own, _BINS, (low, high))[0] for split, own in values.items()}
        labels = [f"{low:.3g}", f"{0.5 * (low + high):.3g}", f"{high:.3g}"]
    else:
        kinds = sorted(set(everything), key=str)
        counts = {split: np.array([own.count(k) for k in kinds]) for split, own in values.items()}
        labels = [str(kind) for kind in kinds]
    fractions = {split: own / max(own.sum(), 1) for split, own in counts.items()}
    top = max(float(own.max()) for own in fractions.values())
    bins = len(next(iter(fractions.values())))
    step = _WIDTH / bins
    shapes = []
    for place, (split, own) in enumerate(fractions.items()):
        width = step * (0.92 - 0.5 * place)
        for number, fraction in enumerate(own):
            tall = 0.94 * _HEIGHT * fraction / top
            x = step * (number + 0.04) + 0.5 * (step * 0.92 - width)
            shapes.append(
                f'<rect x="{x:.1f}" y="{_HEIGHT - tall:.1f}" width="{width:.1f}" '
                f'height="{tall:.1f}" fill="{_SHADES[split]}"/>'
            )
    centred = len(labels) == bins
    places = (np.arange(bins) + 0.5) * step if centred else np.linspace(0, _WIDTH, len(labels))
    return _svg(shapes, list(zip(places, labels, strict=True)), centred)


def speed_and_density(points: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Each recording as a dot: vehicles per km and lane, and mean speed in m/s."""
    everything = np.array([point for own in points.values() for point in own])
    right, top = 1.05 * everything.max(0)
    dots = [
        f'<circle cx="{900 * x / right:.1f}" cy="{260 * (1 - y / top):.1f}" r="3" '
        f'fill="{_SHADES[split]}" stroke="#1c2733" stroke-width=".4"/>'
        for split, own in points.items()
        for x, y in own
    ]
    dots.append('<path class="axis" d="M0 0V260H900"/>')
    dots += [_text(900 * k / 5, 274, f"{right * k / 5:.0f}", "middle") for k in range(1, 5)]
    dots.append(_text(900, 274, "vehicles per km and lane", "end"))
    dots += [_text(4, 260 * (1 - k / 4) + 10, f"{top * k / 4:.0f}") for k in range(1, 4)]
    dots.append(_text(4, 10, "mean speed, m/s"))
    return f'<svg viewBox="-4 -2 908 280" role="img">{"".join(dots)}</svg>'


def _svg(shapes: Sequence[str], labels: Sequence[tuple[float, str]], centred: bool = False) -> str:
    anchors = ["middle"] * len(labels)
    if labels and not centred:
        anchors[0], anchors[-1] = "start", "end"
    words = [
        _text(x, _HEIGHT + 13, label, anchor)
        for (x, label), anchor in zip(labels, anchors, strict=True)
    ]
    base = f'<path class="axis" d="M0 {_HEIGHT}H{_WIDTH}"/>'
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT + _FOOT:g}" role="img">'
        f"{''.join(shapes)}{base}{''.join(words)}</svg>"
    )


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'
