"""How near a drive came to a collision, in metres and in seconds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from .drives import Drives

THRESHOLDS_S = {"ttc_below_0_95_s": 0.95, "ttc_below_1_5_s": 1.5}
"""nuPlan's bound, and the customary mark of a serious conflict (van der Horst, 1990)."""


def safety(drives: Drives) -> dict[str, Float[np.ndarray, " episodes"]]:
    """Smallest clearance and time to collision, and the shares of time below two thresholds."""
    soonest = drives.time_to_collision_s
    return {
        "smallest_clearance_m": drives.smallest(drives.clearance_m, drives.driven),
        "smallest_ttc_s": drives.smallest(soonest, drives.driven),
        **{
            name: drives.mean((soonest < limit).astype(float), drives.driven)
            for name, limit in THRESHOLDS_S.items()
        },
        "post_encroachment_s": drives.post_encroachment_s,
    }
