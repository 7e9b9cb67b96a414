"""The table of INTERACTION, from rows whose y points up."""

from pathlib import Path

import numpy as np

from .two_way import Rows, write_csv


def write(path: Path, rows: Rows, case: np.ndarray | None = None, walkers: int = 0) -> Path:
    """Writes one table, three decimals as in the data set.

    Args:
        path: of the file.
        rows: at 10 Hz.
        case: ``(n,)`` scene of each row; None for a file without scenes.
        walkers: rows of pedestrians to add, which have neither heading nor size.
    """
    columns = {} if case is None else {"case_id": case.astype(float)}
    columns |= {
        "track_id": rows.vehicle,
        "frame_id": rows.frame,
        "timestamp_ms": rows.frame * 100,
        "agent_type": ["car"] * len(rows),
        "x": (1000.0 + rows.x_m).round(3),
        "y": (950.0 + rows.y_m).round(3),
        "vx": (rows.speed_mps * np.cos(rows.heading_rad)).round(3),
        "vy": (rows.speed_mps * np.sin(rows.heading_rad)).round(3),
        "psi_rad": np.angle(np.exp(1j * rows.heading_rad)).round(3),
        "length": rows.length_m.round(2),
        "width": rows.width_m.round(2),
    }
    write_csv(path, columns)
    with path.open("a") as file:
        for k in range(walkers):
            start = "" if case is None else f"{case[0]:.1f},"
            file.write(f"{start}P1,{k},{100 * k},pedestrian/bicycle,990.0,{900 + k},0,1.0,,,\n")
    return path
