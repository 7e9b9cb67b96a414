"""Driving world models and policies learned from recorded traffic.

The library: tracks, rasters, kinematics, costs, world models and policies.  It knows nothing
of Gymnasium, of raw files or of command lines; see ARCHITECTURE.md for the map.
"""

__version__ = "0.1.0"
