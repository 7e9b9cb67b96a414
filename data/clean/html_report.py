"""The report as a self-contained HTML page."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ppuu.recordings.recording import Recording
from ppuu.runtime.config import differences, from_json, to_json
from ppuu.runtime.files import atomic_write

from ..html import STYLE, Html, cells, table
from ..roads.frame import LocalFrame
from . import plots
from .config import CleanConfig
from .dynamics import HISTOGRAMS
from .report import UNITS, Report, bounds_in_words, in_words

_LISTED = 20
"""Maximum number of list entries on the page; the JSON report is complete."""

_SOURCES = {
    "positions_read": "positions, as read",
    "positions_written": "positions, smoothed",
    "columns_written": "speed and heading, as written",
}

_KEY = (
    '<p class="soft key"><i style="background:#d3d7dc"></i>positions, as read'
    '<i style="background:#2f8f5b"></i>positions, smoothed'
    '<i style="background:#1d5f8a"></i>speed and heading, as written'
    '<i style="border-top:2px dashed #c2410c;height:0"></i>bounds. '
    "Rows on a logarithmic scale; the outermost bins include values beyond.</p>"
)


def write_html_report(recordings: Sequence[Recording], path: Path) -> None:
    """Writes the reports of all recordings of a file with plots, atomically."""
    title = path.name.removesuffix(".report.html")
    sections = "".join(_section(number, one) for number, one in enumerate(recordings))
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}: report</title><style>{STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1>"
        '<p class="soft">What was read, kept, dropped and repaired, and how the vehicles move.</p>'
        f"{_overview(recordings) if len(recordings) > 1 else ''}{sections}</body></html>\n"
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _overview(recordings: Sequence[Recording]) -> str:
    head = ["recording", "minutes", "tracks", "rows kept", "rows dropped", "implausible tracks",
            "overlapping pairs", "on a lane"]  # fmt: skip
    rows = []
    for number, recording in enumerate(recordings):
        report = Report(**recording.provenance["report"])
        rows.append(
            [
                Html(f'<a href="#r{number}">{html.escape(recording.name)}</a>'),
                f"{recording.duration_s / 60:.1f}",
                f"{report.tracks_kept:,}",
                f"{report.rows_kept:,}",
                f"{sum(report.dropped.values()):,}",
                f"{len(report.implausible_tracks):,}",
                f"{len(report.overlaps):,}",
                f"{100 * report.on_road_share:.2f} %",
            ]
        )
    return f"<section>{table(head, rows)}</section>"


def _section(number: int, recording: Recording) -> str:
    provenance = recording.provenance
    report = Report(**provenance["report"])
    points = np.stack([recording.x_m, recording.y_m], axis=1)
    diagram, left_out = plots.time_space(recording, recording.road.lane_index(points))
    fewer = f" {left_out} less used lanes are omitted." if left_out else ""
    return (
        f'<section id="r{number}"><h2>{html.escape(recording.name)}</h2>'
        f'<p class="soft">{html.escape(_origin(recording))}</p>'
        f"<h3>Rows</h3>{_rows(report)}{_options(provenance)}"
        "<h3>Road and positions</h3>"
        f"<figure>{plots.road_with_tracks(recording)}<figcaption>Density of rows; lane "
        "boundaries in orange. Long roads are stretched laterally.</figcaption></figure>"
        "<h3>Time-space diagram</h3>"
        f"<figure>{diagram}<figcaption>Mean speed by time and position along x (m) for each "
        f"lane.{fewer}</figcaption></figure>"
        f"<h3>Number of vehicles and dynamics</h3>{_KEY}{_histograms(recording, report)}"
        f"{_statistics(report)}{_implausible(report)}{_overlaps(report)}</section>"
    )


def _origin(recording: Recording) -> str:
    raw, source = (recording.provenance.get(key, {}) for key in ("raw", "source"))
    parts = [
        raw.get("file"),
        f"reader {source['name']}, code {recording.provenance['code'][:16]}…" if source else None,
        f"SHA-256 {raw['sha256'][:16]}…" if raw else None,
        f"{recording.duration_s:,.1f} s at {1 / recording.dt_s:g} frames a second",
        f"{recording.road.lanes} lanes",
        _frame(recording),
    ]
    return " · ".join(part for part in parts if part)


def _rows(report: Report) -> str:
    rows = [
        [f"{report.rows_read:,}", f"rows read, of {report.vehicles_read:,} vehicles"],
        *([f"{count:,}", f"rows dropped: {why}"] for why, count in report.dropped.items()),
        *([f"{count:,}", f"× repaired: {what}"] for what, count in report.repaired.items()),
        [f"{report.rows_kept:,}", f"rows kept, in {report.tracks_kept:,} tracks"],
        [f"{100 * report.on_road_share:.2f} %", "of the rows kept lie on a lane"],
    ]
    return (
        "<table>" + "".join(f"<tr>{cells('td', row, left=True)}</tr>" for row in rows) + "</table>"
    )


def _frame(recording: Recording) -> str | None:
    """Where the recording's zero lies in the file's axes, and how it is turned, if it is."""
    frame = LocalFrame(**recording.provenance["frame"])
    if frame == LocalFrame(0.0, 0.0, 0.0):
        return None
    return (
        f"origin at x = {frame.origin_x_m:,.2f} m, y = {frame.origin_y_m:,.2f} m of the file, "
        f"turned by {math.degrees(frame.angle_rad):.2f}°"
    )


def _options(provenance: Mapping) -> str:
    if "clean" not in provenance:
        return ""
    config = from_json(CleanConfig, provenance["clean"])
    changed = differences(to_json(config), to_json(CleanConfig()))
    words = "; ".join(f"{line.replace(' instead of ', ' (default ')})" for line in changed)
    return f'<p class="soft">Options of the checks: {html.escape(words or "the defaults")}.</p>'


def _histograms(recording: Recording, report: Report) -> str:
    figures = [
        f"<figure>{plots.vehicles_over_time(recording)}<figcaption>vehicles</figcaption></figure>"
    ]
    limits = from_json(CleanConfig, recording.provenance["clean"]).bounds.limits
    for quantity, (low, high, _) in HISTOGRAMS.items():
        counts = {
            source: report.statistics[source][quantity]["histogram"]
            for source in _SOURCES
            if source in report.statistics
        }
        drawn = plots.histogram(counts, (low, high), limits[quantity], UNITS[quantity])
        figures.append(f"<figure>{drawn}<figcaption>{in_words(quantity)}</figcaption></figure>")
    return f'<div class="plots">{"".join(figures)}</div>'


def _statistics(report: Report) -> str:
    head = ["", "from", "least", "1 %", "median", "99 %", "greatest", "beyond bounds"]
    rows = [
        [
            f"{in_words(quantity)}, {unit}" if first else "",
            words,
            *(f"{found[key]:.2f}" for key in ("min", "p01", "p50", "p99", "max")),
            f"{100 * found['beyond_bounds']:.3g} %",
        ]
        for quantity, unit in UNITS.items()
        for first, (source, words) in _numbered(
            (source, words) for source, words in _SOURCES.items() if source in report.statistics
        )
        for found in [report.statistics[source][quantity]]
    ]
    saturated = report.saturated_actions
    sentence = (
        f'<p class="soft">Of the actions that drive the ego along the tracks, '
        f"{100 * saturated['acceleration_mps2']:.3g} % reach the largest acceleration and "
        f"{100 * saturated['curvature_radpm']:.3g} % the largest curvature of the "
        "ego.</p>"
        if saturated
        else ""
    )
    return f'<div class="moves">{table(head, rows)}</div>{sentence}'


def _implausible(report: Report) -> str:
    if not report.implausible:
        return '<h3>Implausible rows</h3><p class="soft">No row is beyond the bounds.</p>'
    rows = [
        [
            bounds_in_words(quantity, found),
            f"{found['rows']:,}",
            f"{found['tracks']:,}",
            f"{found['worst']['value']:g} (vehicle {found['worst']['vehicle']}, "
            f"frame {found['worst']['frame']})",
        ]
        for quantity, found in report.implausible.items()
    ]
    tracks = sorted(report.implausible_tracks, key=lambda entry: -sum(entry["rows"].values()))
    named = ", ".join(
        f"{entry['vehicle']} ({sum(entry['rows'].values())})" for entry in tracks[:_LISTED]
    )
    return (
        f"<h3>Implausible rows</h3>{table(['', 'rows', 'tracks', 'worst'], rows)}"
        f'<p class="soft">Vehicles with the most such rows: {named}{_more(len(tracks))}.</p>'
    )


def _overlaps(report: Report) -> str:
    if not report.overlaps:
        return '<h3>Overlapping vehicles</h3><p class="soft">No two boxes overlap.</p>'
    rows = [
        [
            f"{pair['vehicles'][0]} and {pair['vehicles'][1]}",
            f"{pair['frames']:,}",
            f"{pair['depth_m']:.2f}",
            f"{pair['at_frame']:,}",
        ]
        for pair in report.overlaps[:_LISTED]
    ]
    head = ["vehicles", "frames", "deepest, m", "at frame"]
    more = _more(len(report.overlaps))
    return f"<h3>Overlapping vehicles: {len(report.overlaps):,} pairs</h3>{table(head, rows)}" + (
        f'<p class="soft">{more.removeprefix(", ")}.</p>' if more else ""
    )


def _more(total: int) -> str:
    return f", and {total - _LISTED:,} more in the JSON report" if total > _LISTED else ""


def _numbered(entries: Iterable[tuple[str, str]]) -> list[tuple[bool, tuple[str, str]]]:
    """Entries, and whether each is the first."""
    return [(index == 0, entry) for index, entry in enumerate(entries)]
