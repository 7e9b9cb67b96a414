"""Fits drivers to recorded traffic: ``python -m data.fit_drivers --help``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from ppuu.driving.calibration import DRIVERS_CSV
from ppuu.runtime.command import run
from ppuu.runtime.files import atomic_write, check_output

from .calibration.car_following import (
    COLUMNS,
    DRIVER,
    VARIANTS,
    Errors,
    errors,
    fit,
    fit_population,
    headway_variation,
)
from .calibration.lateral import fit_lane_changes, fit_lane_keeping
from .calibration.merging import merging
from .calibration.pairs import Pairs, read_lorries, read_pairs
from .calibration.us101 import read_us101_tracks

SLOTS = ("0400", "0500")
_FITTED = 0.6
"""Fraction of each pair's time that is fitted where the rest is predicted."""
_WORST_RELATIVE = 0.35
"""A larger relative error shows that the pair did not follow (a cut-in, a change of leader)."""
_DECIMALS = 3


def main(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")],
    out: Path = DRIVERS_CSV,
    seed: int = 0,
) -> None:
    """Fits the drivers that generator and simulator draw from, and reports how well they predict.

    The table has one driver a follower; the summary beside it (JSON) has the errors on held-out
    time and on the other slot, for more and fewer parameters; how headways vary; how lanes are
    kept and changed; and how vehicles merge.

    Args:
        folder: with i80-pairs, i80-lanes and us101-tracks, each .csv.gz.
        out: the table.
        seed: of the search.
    """
    check_output(out)
    random = np.random.default_rng(seed)
    slots = {slot: read_pairs(folder / "i80-pairs.csv.gz", slot) for slot in SLOTS}
    lanes = folder / "i80-lanes.csv.gz"
    lorries = read_lorries(lanes)
    prediction = _prediction_errors(slots, random)
    lines = [",".join(("pair", "vehicle", *DRIVER, "gap_rmse_m", "speed_rmse_mps"))]
    variation = {}
    for name, pairs in slots.items():
        drivers = fit(pairs, DRIVER, random, fit_population(pairs, DRIVER, random))
        lines += _rows("car", pairs, drivers)
        variation[name] = headway_variation(pairs, drivers)
    # Lorries are few, fast and never queue, so the fit to cars is their prior.
    prior = fit_population(slots[SLOTS[0]], DRIVER, random)
    lines += _rows("lorry", lorries, fit(lorries, DRIVER, random, prior))
    tracks = [t.in_lanes(t.lane) for t in read_us101_tracks(folder / "us101-tracks.csv.gz")]
    first = variation[SLOTS[0]]
    summary = {
        "source": "NGSIM I-80 and US-101 (US-DOT open data); see the table's columns",
        "command": f"python -m data.fit_drivers FOLDER --seed {seed}",
        "drivers": {"cars": sum(len(p.name) for p in slots.values()), "lorries": len(lorries.name)},
        "prediction_errors": prediction,
        "headway_variation": first._asdict(),
        "headway_variation_by_slot": {name: v._asdict() for name, v in variation.items()},
        "lane_change": fit_lane_changes(tracks)._asdict(),
        "lane_keeping": fit_lane_keeping(tracks)._asdict(),
        "merging": {slot: merging(lanes, slot)._asdict() for slot in SLOTS},
    }
    with atomic_write(out) as temporary:
        temporary.write_text("\n".join(lines) + "\n")
    with atomic_write(out.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n")
    print(f"{out}: {len(lines) - 1} drivers")
    for row in prediction:
        print("  ".join(f"{value}" for value in row.values()))


def _rows(vehicle: str, pairs: Pairs, drivers: np.ndarray) -> list[str]:
    """Lines of the table, without pairs that did not follow."""
    found, lines = _of_one(drivers, pairs), []
    for pair, name in enumerate(pairs.name):
        overlaps = pairs.gap_m[pair][pairs.valid[pair]].min() <= 0.0
        if overlaps or found.relative[pair] > _WORST_RELATIVE:
            continue
        values = [drivers[pair, COLUMNS.index(key)] for key in DRIVER]
        values += [found.gap_m[pair], found.speed_mps[pair]]
        lines.append(",".join([name, vehicle, *(f"{v:.{_DECIMALS}f}" for v in values)]))
    return lines


def _prediction_errors(slots: dict[str, Pairs], random: np.random.Generator) -> list[dict]:
    """Errors of each variant, fitted on the first part of each pair's time, on the rest.

    ``other_slot_gap_m`` is that of one driver for all pairs, fitted on this slot, in the other.
    """
    found = []
    for slot, pairs in slots.items():
        (other,) = (some for name, some in slots.items() if name != slot)
        before, after = pairs.part(0.0, _FITTED), pairs.part(_FITTED, 1.0)
        for name, parameters in VARIANTS.items():
            prior = fit_population(before, parameters, random)
            own = fit(before, parameters, random, prior)
            cases = {
                "fitted": _of_one(own, before),
                "held_out": _of_one(own, after),
                "held_out_population": _of_all(prior, after),
                "other_slot_population": _of_all(prior, other),
            }
            row: dict = {"slot": slot, "fit": name}
            for case, error in cases.items():
                row[f"{case}_relative"] = round(float(error.relative.mean()), _DECIMALS)
                row[f"{case}_gap_rmse_m"] = round(float(np.median(error.gap_m)), _DECIMALS)
            found.append(row)
    return found


def _of_one(drivers: np.ndarray, pairs: Pairs) -> Errors:
    """Errors of each pair's own driver."""
    return Errors(*(value[:, 0] for value in errors(drivers[:, None], pairs)))


def _of_all(driver: np.ndarray, pairs: Pairs) -> Errors:
    """Errors of one driver for all pairs."""
    return _of_one(np.broadcast_to(driver, (len(pairs.name), len(driver))), pairs)


if __name__ == "__main__":
    run(main)
