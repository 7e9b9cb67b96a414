"""Fits of the Intelligent Driver Model to recorded pairs, and how they predict held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ppuu.driving.calibration import HeadwayVariation
from ppuu.driving.drivers import COMFORTABLE_DECELERATION_MPS2
from ppuu.driving.idm import IdmParameters, idm_acceleration

from .pairs import Pairs
from .tables import DT_S

COLUMNS = (*IdmParameters._fields, "delay_s")
"""Columns of a driver: the model's parameters, and the reaction time."""

_BOUNDS = ((8.0, 40.0), (0.2, 4.0), (0.5, 6.0), (0.3, 3.0), (0.5, 4.0), (0.01, 1.5))
_START = (25.0, 1.4, 2.0, 1.2, COMFORTABLE_DECELERATION_MPS2, 0.0)
"""Where the search begins; parameters that are not fitted stay here."""
_SEARCH_DELAY_S = 0.3

DRIVER = ("time_headway_s", "jam_gap_m", "max_acceleration_mps2")
VARIANTS = {
    "3 parameters": DRIVER,
    "IDM": IdmParameters._fields,
    "IDM and delay": COLUMNS,
}
"""What is fitted, by name."""

PRIOR_WEIGHT = 0.03
"""Cost of one unit of squared log distance from the population's driver, against a squared relative
error.  Of 0.003, 0.03 and 0.1 on held-out time of slot 0400: 0.282, 0.256 and 0.253."""

_HARDEST_BRAKING_MPS2 = 8.0
_SMALLEST_RECORDED_GAP_M = 0.5
_MOVING_MPS = 2.0
_ITERATIONS, _CANDIDATES, _ELITES = 25, 48, 8

Drivers = Float[np.ndarray, "pairs drivers 6"]


class Errors(NamedTuple):
    """Of a fit.

    Attributes:
        relative: root of the mixed error of Kesting and Treiber (2008, equation 9) of each pair.
        gap_m: ``(pairs,)`` root mean squared error of the gap.
        speed_mps: ``(pairs,)`` the same of the speed.
    """

    relative: Float[np.ndarray, "pairs *drivers"]
    gap_m: Float[np.ndarray, "pairs *drivers"]
    speed_mps: Float[np.ndarray, "pairs *drivers"]


def follow(
    drivers: Drivers, pairs: Pairs
) -> tuple[Float[np.ndarray, "steps pairs drivers"], Float[np.ndarray, "steps pairs drivers"]]:
    """Drives followers behind recorded leaders, from the recorded start.

    With a delay a driver sees gap and speeds as they were (linear interpolation between steps).

    Args:
        drivers: columns as in ``COLUMNS``, candidates of a pair side by side.
        pairs: their recorded leaders and first states.

    Returns:
        Gaps and speeds over time.
    """
    *columns, delay = np.moveaxis(drivers, 2, 0)
    parameters = IdmParameters(*columns)
    whole, part = np.divmod(delay / DT_S, 1.0)
    whole, delayed = whole.astype(int), bool(delay.any())
    grid = np.indices(delay.shape, sparse=True)
    speed = np.broadcast_to(pairs.speed_mps[:, :1], delay.shape)
    front = np.broadcast_to(pairs.leader_rear_m[:, :1] - pairs.gap_m[:, :1], delay.shape)
    gaps, speeds = (np.empty((pairs.gap_m.shape[1], *delay.shape)) for _ in range(2))
    for step, (rear, leader) in enumerate(
        zip(pairs.leader_rear_m.T, pairs.leader_speed_mps.T, strict=True)
    ):
        gaps[step], speeds[step] = rear[:, None] - front, speed
        perceived = gaps[step], speed, leader[:, None]
        if delayed:
            now, before = (np.maximum(step - whole - k, 0) for k in (0, 1))
            series = (gaps, speeds, pairs.leader_speed_mps.T[:, :, None])
            places = (grid, grid, (grid[0], 0))
            perceived = tuple(
                (1 - part) * values[(now, *place)] + part * values[(before, *place)]
                for values, place in zip(series, places, strict=True)
            )
        gap, own, ahead = perceived
        acceleration = idm_acceleration(parameters, own, gap, ahead)
        faster = speed + np.maximum(acceleration, -_HARDEST_BRAKING_MPS2) * DT_S
        new_speed = np.maximum(faster, 0.0)
        front, speed = front + 0.5 * (speed + new_speed) * DT_S, new_speed
    return gaps, speeds


def errors(drivers: Drivers, pairs: Pairs) -> Errors:
    """How far simulated followers are from the recorded ones."""
    gap, speed = follow(drivers, pairs)
    weight = (pairs.valid / pairs.count[:, None]).T[:, :, None]
    recorded = np.maximum(pairs.gap_m, _SMALLEST_RECORDED_GAP_M).T[:, :, None]
    square = (gap - pairs.gap_m.T[:, :, None]) ** 2
    speed_square = (speed - pairs.speed_mps.T[:, :, None]) ** 2
    mixed = (weight * square / recorded).sum(0) / (weight * recorded).sum(0)
    gap_m, speed_mps = ((weight * part).sum(0) ** 0.5 for part in (square, speed_square))
    return Errors(mixed**0.5, gap_m, speed_mps)


def fit(
    pairs: Pairs,
    fitted: Sequence[str],
    random: np.random.Generator,
    prior: Float[np.ndarray, " 6"] | None = None,
) -> Float[np.ndarray, "pairs 6"]:
    """One driver a pair: cross-entropy search over logarithms of parameters, all pairs at once.

    Args:
        pairs: recorded pairs.
        fitted: parameters that are searched, of ``COLUMNS``.
        random: source of randomness.
        prior: the population's driver, from which a fit is pulled away only by evidence.
    """
    centre = _log(_start(fitted) if prior is None else prior)
    free = np.isin(COLUMNS, fitted)
    mean = np.broadcast_to(centre, (len(pairs.name), len(COLUMNS)))
    std = np.where(free, 0.6, 0.0)
    best, lowest = mean.copy(), np.full(len(mean), np.inf)
    for _ in range(_ITERATIONS):
        sample = _sample(random, mean[:, None], std[..., None, :], free, centre, len(mean))
        cost = errors(_exp(sample), pairs).relative ** 2
        cost = cost + PRIOR_WEIGHT * ((sample - centre) ** 2).sum(2)
        order = np.argsort(cost, axis=1)[:, :_ELITES]
        chosen = np.take_along_axis(sample, order[:, :, None], axis=1)
        mean, std = chosen.mean(1), np.where(free, chosen.std(1) + 0.01, 0.0)
        least = np.take_along_axis(cost, order[:, :1], axis=1)[:, 0]
        better = least < lowest
        best[better], lowest[better] = chosen[better, 0], least[better]
    return _exp(best)


def fit_population(
    pairs: Pairs, fitted: Sequence[str], random: np.random.Generator
) -> Float[np.ndarray, " 6"]:
    """One driver for all pairs: the least mean error, by the same search."""
    centre, free = _log(_start(fitted)), np.isin(COLUMNS, fitted)
    mean, std = centre, np.where(free, 0.6, 0.0)
    for _ in range(_ITERATIONS):
        sample = _sample(random, mean, std, free, centre, 1)
        drivers = np.broadcast_to(_exp(sample), (len(pairs.name), *sample.shape[1:]))
        cost = errors(drivers, pairs).relative.mean(0)
        chosen = sample[0, np.argsort(cost)[:_ELITES]]
        mean, std = chosen.mean(0), np.where(free, chosen.std(0) + 0.005, 0.0)
    return _exp(mean)


def _start(fitted: Sequence[str]) -> Float[np.ndarray, " 6"]:
    start = np.array(_START)
    if "delay_s" in fitted:
        start[-1] = _SEARCH_DELAY_S
    return start


def _sample(
    random: np.random.Generator,
    mean: np.ndarray,
    std: np.ndarray,
    free: np.ndarray,
    centre: np.ndarray,
    rows: int,
) -> Float[np.ndarray, "rows candidates 6"]:
    noise = random.standard_normal((rows, _CANDIDATES, len(COLUMNS)))
    low, high = np.log(np.array(_BOUNDS)).T
    return np.where(free, np.clip(mean + std * noise, low, high), centre)


def _log(driver: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(driver, 1e-9))


def _exp(log_driver: np.ndarray) -> np.ndarray:
    driver = np.exp(log_driver)
    return np.where(driver < 1e-6, 0.0, driver)


def headway_variation(pairs: Pairs, drivers: Float[np.ndarray, "pairs 6"]) -> HeadwayVariation:
    """How time headways vary about those of the fitted drivers.

    The logarithm of ``(gap - jam gap) / (headway speed)`` of moving followers, less its mean over
    the pair; its standard deviation (median over pairs) and the time in which its autocorrelation
    falls to 1/e.
    """
    headway, jam_gap = drivers[:, COLUMNS.index("time_headway_s")], drivers[:, 2]
    moving = pairs.valid & (pairs.speed_mps > _MOVING_MPS)
    usual = headway[:, None] * np.maximum(pairs.speed_mps, _MOVING_MPS)
    ratio = np.log(np.maximum(pairs.gap_m - jam_gap[:, None], 0.3) / usual)
    ratio = np.where(moving, ratio, np.nan)
    ratio = ratio[moving.sum(1) >= 20 / DT_S]
    ratio = ratio - np.nanmean(ratio, axis=1, keepdims=True)
    variance = np.nanmean(ratio**2)
    lags = np.arange(0, round(20 / DT_S), 5)
    correlation = np.array(
        [np.nanmean(ratio[:, : ratio.shape[1] - lag] * ratio[:, lag:]) / variance for lag in lags]
    )
    after = int(np.argmax(correlation < np.exp(-1.0)))
    return HeadwayVariation(
        round(float(np.median(np.nanstd(ratio, axis=1))), 3), round(float(lags[after] * DT_S), 1)
    )
