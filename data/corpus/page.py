"""The page of a corpus: what was drawn, what came of it, and what it looks like."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppuu.recordings.recording import list_recordings
from ppuu.runtime.files import atomic_write

from ..clean.plots import time_space
from ..html import STYLE, table
from . import plots
from .manifest import FAULTS
from .ranges import MEANINGS, RANGES, Choice, Range

NAME = "index.html"

_SPLITS = ("train", "heldout")
_MEASURED = {
    "mean_speed_mps": "mean speed, m/s",
    "vehicles_per_km": "vehicles per km, all lanes",
    "standing_share": "share of rows that stand",
    "lane_changes_per_vehicle_hour": "lane changes per vehicle-hour, ramps included",
    "vehicles": "vehicles",
}
_KEY = (
    f'<p class="soft key"><i style="background:{plots.COLOURS["train"]}"></i>train'
    f'<i style="background:{plots.COLOURS["heldout"]}"></i>held out. '
    "Fractions of the recordings of each part.</p>"
)
_BINS = 20
_SHOWN = 4
"""Number of recordings with a time-space diagram."""


def write_page(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Writes ``index.html``, self-contained, from the manifest and some of the recordings."""
    recordings = manifest["recordings"]
    sections = [_amounts(manifest)]
    if recordings:
        sections += [_drawn(recordings), _measured(recordings), _pictures(folder, recordings)]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Corpus, seed {manifest['seed']}</title><style>{STYLE}</style></head><body>"
        f"<h1>Corpus, seed {manifest['seed']}</h1>"
        '<p class="soft">Synthetic highway traffic: short recordings, each with road, traffic, '
        f"drivers and sensor of its own. Version {manifest['version']} of the ranges.</p>"
        f"{''.join(f'<section>{section}</section>' for section in sections)}</body></html>\n"
    )
    with atomic_write(folder / NAME) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _amounts(manifest: Mapping[str, Any]) -> str:
    head = ["part", "files", "recordings", "hours", "vehicles", "vehicle-hours", "mean speed, m/s",
            *(name.replace("_", " ") for name in FAULTS)]  # fmt: skip
    rows = []
    for split in _SPLITS:
        own = manifest["totals"][split]
        files = sum(name.startswith(split) for name in manifest["files"])
        rows.append(
            [
                split, f"{files:,}", f"{own['recordings']:,}", f"{own['hours']:.2f}",
                f"{own['vehicles']:,}", f"{own['vehicle_hours']:,.1f}",
                f"{own['mean_speed_mps']:.1f}", *(f"{own[name]:,}" for name in FAULTS),
            ]
        )  # fmt: skip
    return (
        f"<h2>How much</h2>{table(head, rows)}"
        '<p class="soft">Overlapping pairs and centres off the road: of the traffic itself, and as '
        "its sensor saw it.</p>"
    )


def _drawn(recordings: Sequence[Mapping[str, Any]]) -> str:
    figures = []
    for name, one in RANGES.items():
        values = {
            split: [e["parameters"][name] for e in own if name in e["parameters"]]
            for split, own in _by_split(recordings).items()
        }
        words = f"{MEANINGS[name]}; drawn from {one}"
        figures.append(_figure(_distribution(one, values), name, words))
    return f'<h2>What was drawn</h2>{_KEY}<div class="plots">{"".join(figures)}</div>'


def _distribution(one: Range, values: Mapping[str, Sequence[Any]]) -> str:
    if isinstance(one, Choice):
        return plots.shares(values, list(dict.fromkeys(one.values)))
    return plots.histogram(values, one.edges(_BINS))


def _measured(recordings: Sequence[Mapping[str, Any]]) -> str:
    parts = _by_split(recordings)
    figures = "".join(
        _figure(
            plots.histogram(
                {split: [e[name] for e in own] for split, own in parts.items()},
                np.linspace(0.0, max(e[name] for e in recordings) or 1.0, _BINS + 1),
            ),
            name,
            words,
        )
        for name, words in _MEASURED.items()
    )
    points = {
        split: [
            (e["vehicles_per_km"] / e["parameters"]["main_lanes"], e["mean_speed_mps"]) for e in own
        ]
        for split, own in parts.items()
    }
    return (
        f'<h2>What came of it</h2>{_KEY}<div class="plots">{figures}</div>'
        f"<figure>{plots.speed_and_density(points)}<figcaption>Each recording is a dot; the ramp "
        "does not count as a lane, but its vehicles do.</figcaption></figure>"
    )


def _pictures(folder: Path, recordings: Sequence[Mapping[str, Any]]) -> str:
    """Time-space diagrams, from the slowest to the fastest recording on a straight road."""
    straight = [e for e in recordings if not e["parameters"]["bends"]] or list(recordings)
    by_speed = sorted(straight, key=lambda entry: entry["mean_speed_mps"])
    places = np.unique(np.linspace(0, len(by_speed) - 1, _SHOWN).round().astype(int))
    figures = []
    for entry in (by_speed[place] for place in places):
        stored = list_recordings([folder / entry["file"]])
        recording = next(one for one in stored if one.name == entry["name"]).load()
        lane = recording.road.lane_index(np.stack([recording.x_m, recording.y_m], axis=1))
        diagram, _ = time_space(recording, lane)
        drawn = ", ".join(f"{name} {value}" for name, value in entry["parameters"].items())
        figures.append(
            f"<h3>{html.escape(entry['name'])}</h3><figure>{diagram}"
            f"<figcaption>{html.escape(drawn)}</figcaption></figure>"
        )
    return (
        "<h2>What it looks like</h2>"
        '<p class="soft">Mean speed by time and position along the road (m) for each lane.</p>'
        f"{''.join(figures)}"
    )


def _by_split(recordings: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    return {split: [e for e in recordings if e["split"] == split] for split in _SPLITS}


def _figure(picture: str, name: str, words: str) -> str:
    return (
        f"<figure>{picture}<figcaption><b>{html.escape(name)}</b><br>{html.escape(words)}"
        "</figcaption></figure>"
    )
