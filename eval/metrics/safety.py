"""Clearance and time to collision."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from .drives import Drives

THRESHOLDS_S = {"ttc_below_0_95_s": 0.95, "ttc_below_1_5_s": 1.5}
"""nuPlan's bound, and the usual threshold of a serious conflict (van der Horst, 1990)."""


def safety(drives: Drives) -> dict[str, Float[np.ndarray, " episodes"]]:
    """Smallest clearance and time to collision, and fractions of time below two thresholds."""
    ttc_s = drives.time_to_collision_s
    return {
        "smallest_clearance_m": drives.smallest(drives.clearance_m, drives.driven),
        "smallest_ttc_s": drives.smallest(ttc_s, drives.driven),
        **{
            name: drives.mean((ttc_s < limit).astype(float), drives.driven)
            for name, limit in THRESHOLDS_S.items()
        },
        "post_encroachment_s": drives.post_encroachment_s,
    }
