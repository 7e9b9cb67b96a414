"""NGSIM's four sites: names, clocks and periods, and PPUU's hand-made blacklists.

Source: US-DOT, Next Generation Simulation, metadata of the four data sets; the blacklists are those
of the public code of Henaff et al., 2019.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone

MINUTE_MS = 60_000
_SLOT_TOLERANCE_MS = 7 * MINUTE_MS
"""Cameras started a little before the hour; contiguous periods are 15 minutes apart."""


@dataclass(frozen=True)
class Site:
    """Where and when.

    Attributes:
        name: as in a recording's name.
        location: as in the portal's column ``Location``.
        street: has directions and intersections.
        day: of all its periods.
        utc_offset_h: local time, daylight saving included.
        slots: its periods' nominal local starts, ``HHMM``.
        file_marks: what the published text files of this site have in their names.
        blacklists: slot → vehicle numbers that PPUU leaves out; only I-80's are public.
    """

    name: str
    location: str
    street: bool
    day: date
    utc_offset_h: int
    slots: tuple[str, ...]
    file_marks: tuple[str, ...]
    blacklists: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def start_ms(self, slot: str) -> int:
        """Global Time (ms since 1970, UTC) at which a slot nominally starts."""
        zone = timezone(timedelta(hours=self.utc_offset_h))
        start = datetime.combine(self.day, time(int(slot[:2]), int(slot[2:])), zone)
        return round(start.timestamp() * 1000)

    def slot(self, start_ms: int) -> str | None:
        """The slot that starts about then; else the local time, or None on another day."""
        nearest = min(self.slots, key=lambda slot: abs(self.start_ms(slot) - start_ms))
        if abs(self.start_ms(nearest) - start_ms) <= _SLOT_TOLERANCE_MS:
            return nearest
        since_midnight = (start_ms - self.start_ms("0000")) // MINUTE_MS
        hours, minutes = divmod(since_midnight, 60)
        return f"{hours:02d}{minutes:02d}" if 0 <= hours < 24 else None


_I80_BLACKLISTS = {
    "1600": (1383, 1430, 1456, 1589, 1628, 1913, 2089, 2818, 2834, 2874),
    "1700": (
        *(537, 876, 882, 953, 1119, 1215, 1261, 1288, 1290, 1348, 1381, 1382, 1574, 2053, 2054),
        *(2117, 2134, 2296, 2301, 2332, 2407, 2421, 2427, 2442, 2462, 2486, 2488, 2500, 2512),
        *(2519, 2552, 2555, 2586, 2616, 2669, 2788),
    ),
    "1715": (
        *(269, 401, 510, 567, 680, 682, 722, 790, 815, 827, 860, 1603, 1651, 1675, 1722, 1734),
        *(1751, 1762, 1780, 1797, 1800, 1831, 1878, 2056, 2075, 2080, 2119, 2170, 2200, 2252),
        *(2258, 2285, 2362, 2369, 2480, 3004),
    ),
}

SITES: dict[str, Site] = {
    site.name: site
    for site in (
        Site(
            "i80", "i-80", False, date(2005, 4, 13), -7, ("1600", "1700", "1715"),
            ("i80", "i-80", "0400-0415", "0500-0515", "0515-0530"), _I80_BLACKLISTS,
        ),
        Site(
            "us101", "us-101", False, date(2005, 6, 15), -7, ("0750", "0805", "0820"),
            ("us101", "us-101", "0750am-0805am", "0805am-0820am", "0820am-0835am"),
        ),
        Site(
            "lankershim", "lankershim", True, date(2005, 6, 16), -7, ("0830", "0845"),
            ("lankershim", "0830am-0845am", "0845am-0900am"),
        ),
        Site(
            "peachtree", "peachtree", True, date(2006, 11, 8), -5, ("1245", "1600"),
            ("peachtree", "1245pm-0100pm", "0400pm-0415pm"),
        ),
    )
}  # fmt: skip
"""Name → site."""


def named_in(file_name: str) -> Site | None:
    """The site that a file's name tells, if it tells one."""
    name = file_name.lower()
    return next((s for s in SITES.values() if any(m in name for m in s.file_marks)), None)


def site_and_slot(recording_name: str) -> tuple[Site, str] | None:
    """Site and slot of a recording's name such as ``us101-0750``; None for any other name."""
    match = re.fullmatch(r"(\w+)-([01]\d|2[0-3])([0-5]\d)", recording_name)
    if match is None or match[1] not in SITES:
        return None
    return SITES[match[1]], match[2] + match[3]
