"""Runs SUMO and records it.

Car-following (Krauss) and lane changes (SL2015, the sub-lane model, whose changes are continuous)
are SUMO's own.  Its positions are of the middle of the front bumper, its angles in degrees
clockwise from north (sumo.dlr.de/docs/TraCI/Vehicle_Value_Retrieval.html).
"""

from __future__ import annotations

import importlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree.ElementTree import ElementTree

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from ppuu.driving.sumo import simulation_options
from ppuu.recordings.recording import Recording
from ppuu.runtime.errors import InputError

from ..traffic.road import I80, SECTION_M
from .network import network, routes

DT_S = 0.1
_WARM_UP_S = 150.0


def generate(seconds: float, seed: int, show_progress: bool = False) -> Recording:
    """Runs SUMO on the generator's I-80 and records its 500 m at 10 Hz.

    Args:
        seconds: length of the recording, without the warm-up.
        seed: the same seed and the same version of SUMO give the same recording.
        show_progress: shows a bar on the terminal, if stderr is one.

    Raises:
        InputError: SUMO is not installed, or ``seconds`` is shorter than one frame.
    """
    libsumo = _import_libsumo()
    if not (math.isfinite(seconds) and round(seconds / DT_S) > 0):
        raise InputError(f"seconds is {seconds}; give a positive length, such as 300")
    frames, warm_up = round(seconds / DT_S), round(_WARM_UP_S / DT_S)
    steps = tqdm(
        range(-warm_up, frames), desc="sumo", unit="step", disable=None if show_progress else True
    )
    with tempfile.TemporaryDirectory() as folder:
        files = {"net": Path(folder, "road.net.xml"), "route": Path(folder, "traffic.rou.xml")}
        ElementTree(network()).write(files["net"])
        random = np.random.default_rng(seed)
        ElementTree(routes(random, (warm_up + frames) * DT_S)).write(files["route"])
        version = libsumo.start(_command(files, seed))[1]
        try:
            rows = [row for step in steps for row in _step(libsumo, step) if step >= 0]
        finally:
            libsumo.close()
    provenance = {"source": "data.sumo", "synthetic": True, "simulator": version}
    return _recording(
        np.array(rows), f"sumo-seed{seed}", provenance | {"seconds": seconds, "seed": seed}
    )


def _import_libsumo() -> ModuleType:
    try:
        return importlib.import_module("libsumo")
    except ImportError as error:
        raise InputError(
            f"SUMO cannot be imported ({error}): pip install libsumo (or the extra 'sumo')"
        ) from error


def _command(files: dict[str, Path], seed: int) -> list[str]:
    return [
        "sumo",
        *("--net-file", str(files["net"]), "--route-files", str(files["route"])),
        *simulation_options(DT_S, seed),
    ]


def _step(libsumo: ModuleType, frame: int) -> Iterator[tuple[float, ...]]:
    """Moves SUMO by one frame; a row for each vehicle, columns as in ``_recording``."""
    libsumo.simulationStep()
    get = libsumo.vehicle
    for name in get.getIDList():
        x, y = get.getPosition(name)
        yield (
            int(name), frame, x, y, get.getAngle(name), get.getSpeed(name),
            get.getLength(name), get.getWidth(name),
        )  # fmt: skip


def _recording(rows: Float[np.ndarray, "rows 8"], name: str, provenance: dict) -> Recording:
    """SUMO's rows as a recording: front bumper to centre, compass to heading."""
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    number, frame, front_x, front_y, compass_deg, speed, length, width = rows.T
    heading = np.deg2rad(90.0 - compass_deg)
    x, y = front_x - 0.5 * length * np.cos(heading), front_y - 0.5 * length * np.sin(heading)
    inside = (x >= 0) & (x <= SECTION_M)
    vehicle_id, first = np.unique(number[inside].astype(np.int64), return_index=True)
    return Recording(
        frame=frame[inside].astype(np.int64),
        x_m=x[inside],
        y_m=y[inside],
        heading_rad=heading[inside],
        speed_mps=speed[inside],
        vehicle_pointer=np.append(first, inside.sum()),
        vehicle_id=vehicle_id,
        length_m=length[inside][first],
        width_m=width[inside][first],
        road=I80.road(),
        dt_s=DT_S,
        name=name,
        provenance=provenance,
    )
