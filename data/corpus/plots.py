"""Small pictures of a corpus, as inline SVG."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

_WIDTH, _HEIGHT, _FOOT = 300.0, 110.0, 16.0
COLOURS = {"train": "#a9cbe2", "heldout": "#c2410c"}


def histogram(values: Mapping[str, Sequence[float]], edges: Float[np.ndarray, " edges"]) -> str:
    """Bars of how often numbers occur; those of each split relative to its number of recordings.

    Args:
        values: split → its numbers.
        edges: of the bins, which are drawn equally wide.
    """
    counts = {
        split: np.histogram(np.clip(own, edges[0], edges[-1]), edges)[0]
        for split, own in values.items()
    }
    labels = [f"{edges[k]:.3g}" for k in (0, len(edges) // 2, -1)]
    places = [0.0, _WIDTH * (len(edges) // 2) / (len(edges) - 1), _WIDTH]
    words = [
        _text(x, _HEIGHT + 13, label, anchor)
        for x, label, anchor in zip(places, labels, ("start", "middle", "end"), strict=True)
    ]
    return _svg(_bars(counts), words)


def shares(values: Mapping[str, Sequence[Any]], kinds: Sequence[Any]) -> str:
    """Bars of how often each of some values occurs, as ``histogram``.

    Args:
        values: split → its values.
        kinds: all values there are.
    """
    counts = {split: np.array([own.count(k) for k in kinds]) for split, own in values.items()}
    step = _WIDTH / len(kinds)
    words = [
        _text((number + 0.5) * step, _HEIGHT + 13, str(kind), "middle")
        for number, kind in enumerate(kinds)
    ]
    return _svg(_bars(counts), words)


def _bars(counts: Mapping[str, Int[np.ndarray, " bins"]]) -> list[str]:
    fractions = {split: own / max(own.sum(), 1) for split, own in counts.items()}
    top = max(max(float(own.max()) for own in fractions.values()), 1e-9)
    shapes = []
    for place, (split, own) in enumerate(fractions.items()):
        step = _WIDTH / len(own)
        width = step * (0.92 - 0.5 * place)
        for number, fraction in enumerate(own):
            tall = 0.94 * _HEIGHT * fraction / top
            shapes.append(
                f'<rect x="{step * (number + 0.5) - 0.5 * width:.1f}" y="{_HEIGHT - tall:.1f}" '
                f'width="{width:.1f}" height="{tall:.1f}" fill="{COLOURS[split]}"/>'
            )
    return shapes


def speed_and_density(points: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Each recording as a dot: vehicles per km and lane, and mean speed in m/s."""
    right, top = np.max([point for own in points.values() for point in own], axis=0) * 1.05
    dots = [
        f'<circle cx="{900 * x / right:.1f}" cy="{260 * (1 - y / top):.1f}" r="3" '
        f'fill="{COLOURS[split]}" stroke="#1c2733" stroke-width=".4"/>'
        for split, own in points.items()
        for x, y in own
    ]
    dots.append('<path class="axis" d="M0 0V260H900"/>')
    dots += [_text(900 * x / right, 274, str(x), "middle") for x in range(20, int(0.8 * right), 20)]
    dots += [_text(4, 260 * (1 - y / top) + 4, str(y)) for y in range(5, int(0.9 * top), 5)]
    dots.append(_text(900, 274, "vehicles per km and lane", "end"))
    dots.append(_text(14, 10, "mean speed, m/s"))
    return f'<svg viewBox="-4 -2 908 280" role="img">{"".join(dots)}</svg>'


def _svg(shapes: Sequence[str], words: Sequence[str]) -> str:
    base = f'<path class="axis" d="M0 {_HEIGHT}H{_WIDTH}"/>'
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT + _FOOT:g}" role="img">'
        f"{''.join(shapes)}{base}{''.join(words)}</svg>"
    )


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'
