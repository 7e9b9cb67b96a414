"""Conversion of feet, pixels and frames to metres and seconds."""

METRES_PER_FOOT = 0.3048
"""International foot, as in the NGSIM tables."""

LANE_WIDTH_M = 3.7
"""Lane width that defines PPUU's pixel scale (24 world pixels or 6 raster pixels per lane)."""

METRES_PER_RASTER_PIXEL = LANE_WIDTH_M / 6.0
"""0.6167 m: the scale of the 117 x 24 raster of Henaff et al., 2019."""


def feet_to_metres(feet):
    """Feet (scalar or array) to metres."""
    return feet * METRES_PER_FOOT


def metres_to_feet(metres):
    """Metres (scalar or array) to feet."""
    return metres / METRES_PER_FOOT


def seconds_to_frames(seconds: float, dt_s: float) -> int:
    """Seconds to the nearest whole number of frames."""
    return round(seconds / dt_s)


LINE_WIDTH_M = METRES_PER_RASTER_PIXEL
"""Width of painted lines at every raster scale: a pixel of PPUU's images."""
