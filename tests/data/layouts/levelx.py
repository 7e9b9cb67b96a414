"""The three files of exiD, inD and rounD, from rows whose y points up."""

from pathlib import Path

import numpy as np

from .two_way import Rows, write_csv


def write(
    folder: Path,
    rows: Rows,
    name: str = "07",
    walkers: int = 0,
    kinds: dict[int, str] | None = None,
) -> Path:
    """Writes NN_tracks.csv and its siblings, five decimals as in the data set.

    Args:
        folder: where to.
        rows: at 25 Hz.
        name: of the recording.
        walkers: pedestrians to add, each for the whole time and without a size.
        kinds: class of some vehicles; the others are cars.
    """
    kinds = dict(kinds or {})
    frames = np.unique(rows.frame)
    for k in range(walkers):
        number = 50_000 + k
        kinds[number] = "pedestrian"
        zero = np.zeros(len(frames))
        walker = Rows(zero.astype(int) + number, frames, zero + 3.0, 0.06 * frames, *[zero] * 4)
        rows = Rows(
            **{
                key: np.concatenate([values, getattr(walker, key)])
                for key, values in vars(rows).items()
            }
        )
    path = folder / f"{name}_tracks.csv"
    write_csv(
        path,
        {
            "recordingId": np.full(len(rows), 7),
            "trackId": rows.vehicle,
            "frame": rows.frame,
            "trackLifetime": np.zeros(len(rows), int),
            "xCenter": rows.x_m.round(5),
            "yCenter": rows.y_m.round(5),
            "heading": np.degrees(rows.heading_rad).round(5) % 360,
            "width": rows.width_m.round(5),
            "length": rows.length_m.round(5),
            "xVelocity": (rows.speed_mps * np.cos(rows.heading_rad)).round(5),
            "yVelocity": (rows.speed_mps * np.sin(rows.heading_rad)).round(5),
            "laneletId": ["1499;1502"] * len(rows),
        },
    )
    vehicle = np.unique(rows.vehicle)
    write_csv(
        folder / f"{name}_tracksMeta.csv",
        {
            "recordingId": np.full(len(vehicle), 7),
            "trackId": vehicle,
            "class": [kinds.get(number, "car") for number in vehicle.tolist()],
        },
    )
    (folder / f"{name}_recordingMeta.csv").write_text(
        "recordingId,locationId,frameRate,xUtmOrigin,yUtmOrigin,orthoPxToMeter\n"
        "7,4,25.0,293487.1,5629711.5,0.1\n"
    )
    return path
