"""I-24 MOTION's documents, from rows of two carriageways along x."""

import json
from pathlib import Path

import numpy as np

from ppuu.units import metres_to_feet

from .two_way import Rows

START_S = 900.0 * 1_854_581
"""On a quarter of an hour, where periods begin."""
HZ = 25.0


def documents(rows: Rows) -> list[dict]:
    """One a vehicle; y grows away from the median strip, x to the east, both of the rear."""
    found = []
    for number in np.unique(rows.vehicle):
        own = rows.of(rows.vehicle == number)
        direction = 1 if np.cos(own.heading_rad[0]) > 0 else -1
        time_s = START_S + own.frame / HZ
        x_ft = metres_to_feet(own.x_m - 0.5 * direction * own.length_m)
        found.append(
            {
                "_id": {"$oid": f"{number:024x}"},
                "timestamp": time_s.tolist(),
                "x_position": x_ft.tolist(),
                "y_position": metres_to_feet(np.abs(own.y_m)).tolist(),
                "length": float(metres_to_feet(own.length_m[0])),
                "width": float(metres_to_feet(own.width_m[0])),
                "height": 4.9,
                "direction": direction,
                "starting_x": float(x_ft[0]),
                "ending_x": float(x_ft[-1]),
                "first_timestamp": float(time_s[0]),
                "last_timestamp": float(time_s[-1]),
                "coarse_vehicle_class": 0,
                "fragment_ids": [{"$oid": f"{number:024x}"}],
            }
        )
    return found


def write(path: Path, rows: Rows, a_line: bool = False) -> Path:
    """Writes one array, or one document a line."""
    texts = [json.dumps(document) for document in documents(rows)]
    path.write_text("\n".join(texts) + "\n" if a_line else "[" + ",\n".join(texts) + "]")
    return path
