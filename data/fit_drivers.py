"""Fits the Intelligent Driver Model to recorded follower-leader pairs, one driver a pair.

``python -m data.fit_drivers RAW.csv.gz --out data/drivers_i80.csv`` wrote the table from which the
traffic generator draws its drivers.
"""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import Bool, Float

from ppuu.driving.idm import IdmParameters, idm_acceleration
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write

from .traffic import PRESETS, generate
from .traffic.following import Following, distances, following

DT_S = 0.1

PAIRS_LANES = (0, 1, 2)
"""Lanes of the I-80 pairs, counted from the left: the carpool lane and the next two."""

BOUNDS = IdmParameters((8.0, 40.0), (0.2, 4.0), (0.5, 6.0), (0.3, 3.0), (0.5, 4.0))
"""Limits of the search: beyond them a parameter describes an error of measurement."""

PRIOR = IdmParameters(25.0, 1.4, 2.0, 1.2, 2.0)
"""Value of a parameter that a pair does not determine (in a queue, the desired speed)."""

_PRIOR_WEIGHT = 0.003
"""Cost of one unit of squared log distance from the prior, against a squared relative error."""

_TABLE = ("pair", *IdmParameters._fields, "gap_rmse_m", "speed_rmse_mps", "gap_min_m")

_COLUMNS = {
    "front_m": "local_y",
    "speed_mps": "v_vel",
    "leader_front_m": "preceding_local_y",
    "leader_length_m": "preceding_length",
    "leader_speed_mps": "preceding_vel",
}


@dataclass(frozen=True, eq=False)
class Pairs:
    """Follower-leader pairs, padded to one length.

    Attributes:
        name: ``(pairs,)`` follower-leader ids.
        gap_m: ``(pairs, steps)`` bumper to bumper.
        speed_mps: ``(pairs, steps)`` of the follower.
        leader_rear_m: ``(pairs, steps)`` rear bumper of the leader.
        leader_speed_mps: ``(pairs, steps)``.
        valid: ``(pairs, steps)``; padding repeats the last value.
    """

    name: tuple[str, ...]
    gap_m: Float[np.ndarray, "pairs steps"]
    speed_mps: Float[np.ndarray, "pairs steps"]
    leader_rear_m: Float[np.ndarray, "pairs steps"]
    leader_speed_mps: Float[np.ndarray, "pairs steps"]
    valid: Bool[np.ndarray, "pairs steps"]


def read_pairs(path: str | Path) -> Pairs:
    """Reads the pairs' CSV (metres; ``local_y`` is the front bumper; plain or gzip).

    Raises:
        InputError: missing file, or a column that is not there.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the CSV of follower-leader pairs")
    opener = gzip.open if path.suffix == ".gz" else open
    tracks: dict[str, list] = {}
    with opener(path, "rt", newline="") as file:
        reader = csv.DictReader(file)
        missing = {"pair_id", *_COLUMNS.values()} - set(reader.fieldnames or ())
        if missing:
            raise InputError(f"{path}: no column {', '.join(sorted(missing))}")
        for row in reader:
            values = [float(row[column]) for column in _COLUMNS.values()]
            tracks.setdefault(row["pair_id"], []).append(values)
    if not tracks:
        raise InputError(f"{path}: it holds no rows")
    steps = max(map(len, tracks.values()))
    table = np.stack(
        [np.pad(rows, ((0, steps - len(rows)), (0, 0)), "edge") for rows in tracks.values()]
    )
    front, speed, leader_front, leader_length, leader_speed = np.moveaxis(table, 2, 0)
    leader_rear = leader_front - leader_length
    counts = np.array([len(rows) for rows in tracks.values()])
    return Pairs(
        name=tuple(tracks),
        gap_m=leader_rear - front,
        speed_mps=speed,
        leader_rear_m=leader_rear,
        leader_speed_mps=leader_speed,
        valid=np.arange(steps) < counts[:, None],
    )


def follow(
    parameters: IdmParameters, pairs: Pairs
) -> tuple[Float[np.ndarray, "steps pairs *drivers"], Float[np.ndarray, "steps pairs *drivers"]]:
    """Drives a follower behind each recorded leader, from the recorded start.

    Args:
        parameters: arrays ``(pairs, drivers)``: candidates, simulated side by side.

    Returns:
        gaps and speeds over time.
    """
    shape = np.shape(parameters.time_headway_s)
    speed = np.broadcast_to(pairs.speed_mps[:, :1], shape)
    front = np.broadcast_to(pairs.leader_rear_m[:, :1] - pairs.gap_m[:, :1], shape)
    gaps, speeds = [], []
    for rear, leader_speed in zip(pairs.leader_rear_m.T, pairs.leader_speed_mps.T, strict=True):
        gap = rear[:, None] - front
        gaps.append(gap)
        speeds.append(speed)
        acceleration = idm_acceleration(parameters, speed, gap, leader_speed[:, None])
        new_speed = np.maximum(speed + np.maximum(acceleration, -8.0) * DT_S, 0.0)
        front = front + 0.5 * (speed + new_speed) * DT_S
        speed = new_speed
    return np.stack(gaps), np.stack(speeds)


def fit(
    pairs: Pairs, seed: int, iterations: int = 30, candidates: int = 64, elites: int = 8
) -> tuple[IdmParameters, Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Cross-entropy search over the logarithms of the parameters, all pairs at once.

    The objective is the mixed error of Kesting and Treiber (2008, equation 9), which weights an
    error of the gap by the gap, plus a weak pull towards ``PRIOR``.

    Returns:
        parameters ``(pairs,)``, and the root mean squared errors of gap (m) and speed (m/s).
    """
    random = np.random.default_rng(seed)
    low, high = np.log(np.array(BOUNDS)).T
    prior = np.log(np.array(PRIOR))
    mean = np.broadcast_to(prior, (len(pairs.name), len(prior))).copy()
    std = np.full_like(mean, 0.6)
    weight = (pairs.valid / pairs.valid.sum(1, keepdims=True)).T[:, :, None]
    recorded = np.maximum(pairs.gap_m, 0.5).T[:, :, None]
    mean_gap = (weight * recorded).sum(0)
    best, best_cost = mean.copy(), np.full(len(mean), np.inf)
    for _ in range(iterations):
        noise = random.standard_normal((len(mean), candidates, len(prior)))
        sample = np.clip(mean[:, None] + std[:, None] * noise, low, high)
        gap, _ = follow(IdmParameters(*np.moveaxis(np.exp(sample), 2, 0)), pairs)
        cost = (weight * (gap - pairs.gap_m.T[:, :, None]) ** 2 / recorded).sum(0) / mean_gap
        cost += _PRIOR_WEIGHT * ((sample - prior) ** 2).sum(2)
        order = np.argsort(cost, axis=1)[:, :elites]
        chosen = np.take_along_axis(sample, order[:, :, None], axis=1)
        mean, std = chosen.mean(1), chosen.std(1) + 0.01
        lowest = np.take_along_axis(cost, order[:, :1], axis=1)[:, 0]
        better = lowest < best_cost
        best[better], best_cost[better] = chosen[better, 0], lowest[better]
    parameters = IdmParameters(*np.exp(best).T)
    gap, speed = follow(IdmParameters(*(value[:, None] for value in parameters)), pairs)
    weight = weight[:, :, 0]
    gap_error = np.sqrt((weight * (gap[:, :, 0] - pairs.gap_m.T) ** 2).sum(0))
    speed_error = np.sqrt((weight * (speed[:, :, 0] - pairs.speed_mps.T) ** 2).sum(0))
    return parameters, gap_error, speed_error


def main(
    raw: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RAW.csv.gz")],
    out: Path = Path("data/drivers_i80.csv"),
    seed: int = 0,
    figure: Path | None = None,
) -> None:
    """Fits one driver to each follower-leader pair and writes the table of drivers.

    Args:
        raw: follower-leader pairs at 10 Hz in metres, CSV, plain or gzip.
        out: the table; its provenance goes beside it, as .json.
        seed: of the search.
        figure: also draw the pairs beside generated dense traffic, to this PNG.
    """
    pairs = read_pairs(raw)
    parameters, gap_error, speed_error = fit(pairs, seed)
    lines = [",".join(_TABLE)]
    smallest = np.where(pairs.valid, pairs.gap_m, np.inf).min(1)
    for name, *values in zip(
        pairs.name, *parameters, gap_error, speed_error, smallest, strict=True
    ):
        lines.append(",".join([name, *(f"{value:.3f}" for value in values)]))
    provenance = {
        "source": "NGSIM I-80, 0400-0415 (US-DOT open data), follower-leader pairs",
        "file": Path(raw).name,
        "command": f"python -m data.fit_drivers {Path(raw).name} --seed {seed}",
        "seed": seed,
        "pairs": len(pairs.name),
        "median_gap_rmse_m": round(float(np.median(gap_error)), 3),
        "median_speed_rmse_mps": round(float(np.median(speed_error)), 3),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    if figure is not None:
        draw(pairs, figure)
    write_text(out, "\n".join(lines) + "\n")
    write_text(out.with_suffix(".json"), json.dumps(provenance, indent=2) + "\n")
    print(
        f"{out}: {len(pairs.name)} drivers, median error {np.median(gap_error):.2f} m of gap, "
        f"{np.median(speed_error):.2f} m/s of speed"
    )


def recorded_following(pairs: Pairs) -> Following:
    """The pairs' speeds, gaps and accelerations, without pairs that overlap."""
    good = pairs.valid & (np.where(pairs.valid, pairs.gap_m, np.inf).min(1) > 0)[:, None]
    acceleration = np.gradient(pairs.speed_mps, DT_S, axis=1)
    return Following(pairs.speed_mps[good], pairs.gap_m[good], acceleration[good])


def draw(pairs: Pairs, path: Path, seconds: float = 100.0, seed: int = 0) -> None:
    """Histograms of the pairs and of generated dense traffic on the pairs' lanes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    recorded = recorded_following(pairs)
    generated = following(generate(PRESETS["dense"], seconds, seed), PAIRS_LANES)
    apart = distances(recorded, generated)
    panels, axes = pyplot.subplots(1, 4, figsize=(12, 2.8), layout="constrained")
    for axis, (name, values) in zip(axes, recorded.quantities().items(), strict=True):
        other = generated.quantities()[name]
        low, high = np.quantile(np.concatenate([values, other]), (0.005, 0.995))
        edges = np.linspace(low, high, 40)
        for sample, label in ((values, "I-80 pairs"), (other, "generated")):
            axis.hist(sample, edges, density=True, histtype="step", label=label)
        axis.set_xlabel(f"{name} (Wasserstein {apart[name]:.2f})")
        axis.set_yticks([])
    axes[0].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    panels.savefig(path, dpi=110)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    run(main)
