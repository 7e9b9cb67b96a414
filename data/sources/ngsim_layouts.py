"""The columns of NGSIM's tables, for reader and writer: text with 18 or 24, the portal's CSV.

Source: data dictionaries of the I-80 (FHWA-HRT-06-137) and Lankershim (FHWA-HRT-07-029) data sets;
the header of "Next Generation Simulation (NGSIM) Vehicle Trajectories" at data.transportation.gov.
"""

from __future__ import annotations

STREET_ONLY = ("O_Zone", "D_Zone", "Int_ID", "Section_ID", "Direction", "Movement")
"""Six columns after the lane, at the streets; empty for a highway in the portal's CSV."""
_BEFORE = (
    *("Vehicle_ID", "Frame_ID", "Total_Frames", "Global_Time", "Local_X", "Local_Y"),
    *("Global_X", "Global_Y", "v_length", "v_Width", "v_Class", "v_Vel", "v_Acc", "Lane_ID"),
)
_AFTER = ("Preceding", "Following", "Space_Headway", "Time_Headway")

HIGHWAY = (*_BEFORE, *_AFTER)
"""18 columns, in order."""
STREET = (*_BEFORE, *STREET_ONLY, *_AFTER)
"""24 columns, in order."""
PORTAL = (*STREET, "Location")
"""The open-data portal's CSV; the order may differ there."""

NORTH, EAST, SOUTH, WEST = 2, 1, 4, 3
"""Direction of travel; north is along Local Y."""

AXES = "x = Local Y, y = -Local X, metres"
"""In the provenance of a recording that was read from such a table."""
