"""Penalised splines of many tracks at once: one banded system for all.

Eilers and Marx, 1996: uniform cubic B-splines, as many as the data might need, and a penalty on
the differences of their coefficients.  Between the ends of a track that is a low-pass filter
without phase, ``1 / (1 + (wave number * cutoff length)^(2 * order))``, at any spacing of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_RIDGE = 1e-10
"""Relative to the data; decides only what neither data nor penalty does."""


@dataclass(frozen=True, eq=False)
class KnotGrid:
    """Equally spaced knots along every track, and where its rows lie between them.

    Attributes:
        spacing: between knots.
        start: ``(tracks + 1,)`` first coefficient of each track, and the number of coefficients.
        first: ``(rows,)`` the first of the four coefficients that shape a row.
        fraction: ``(rows,)`` from its knot to the next, 0 to 1.
    """

    spacing: float
    start: Int[np.ndarray, " tracks_1"]
    first: Int[np.ndarray, " rows"]
    fraction: Float[np.ndarray, " rows"]

    @classmethod
    def along(
        cls, station: Float[np.ndarray, " rows"], pointer: Int[np.ndarray, " tracks_1"],
        spacing: float,
    ) -> KnotGrid:  # fmt: skip
        """Args: station: from 0 at the first row of each track, never decreasing."""
        track = np.repeat(np.arange(len(pointer) - 1), np.diff(pointer))
        pieces = np.maximum(np.ceil(station[pointer[1:] - 1] / spacing).astype(np.int64), 1)
        start = np.concatenate([[0], np.cumsum(pieces + 3)])
        piece = np.minimum((station / spacing).astype(np.int64), pieces[track] - 1)
        return cls(spacing, start, start[track] + piece, station / spacing - piece)

    @property
    def coefficients(self) -> int:
        """Of all tracks."""
        return int(self.start[-1])

    @property
    def station(self) -> Float[np.ndarray, " coefficients"]:
        """Where along its track each B-spline is largest."""
        counts = np.diff(self.start)
        return (np.arange(self.coefficients) - np.repeat(self.start[:-1], counts) - 1) * (
            self.spacing
        )

    def values(self, coefficients: Float[np.ndarray, "all"]) -> Float[np.ndarray, " rows"]:
        """The spline at the rows."""
        return _combined(coefficients, self.first, _basis(self.fraction))

    def slopes(self, coefficients: Float[np.ndarray, "all"]) -> Float[np.ndarray, " rows"]:
        """Its derivative by the station at the rows."""
        return _combined(coefficients, self.first, _basis_slope(self.fraction)) / self.spacing


@dataclass(frozen=True, eq=False)
class Penalty:
    """``stiffness * integral of (derivative of this order)^2``.

    Attributes:
        order: 1 to 3.
        stiffness: of each coefficient's neighbourhood, or one for all.
    """

    order: int
    stiffness: Float[np.ndarray, " coefficients"] | float


def fit(
    grid: KnotGrid,
    values: Float[np.ndarray, "rows columns"],
    weight: Float[np.ndarray, " rows"],
    penalties: tuple[Penalty, ...],
) -> Float[np.ndarray, "coefficients columns"]:
    """Coefficients with the least weighted squared error plus penalties.

    Args:
        grid: knots and rows.
        values: of the rows, one or several columns.
        weight: of the rows.
        penalties: what else is to be small.
    """
    from scipy.linalg import solveh_banded  # late: only this needs it

    size, basis = grid.coefficients, _basis(grid.fraction)
    weighted = [weight * part for part in basis]
    bands = np.zeros((4, size))  # the lower form: bands[k, i] couples i and i + k
    for a in range(4):
        for b in range(a, 4):
            bands[b - a] += np.bincount(grid.first + a, weighted[a] * basis[b], size)
    bands[0] += _RIDGE * weight.max()
    last = np.zeros(size, bool)
    last[grid.start[1:] - 1] = True
    for penalty in penalties:
        # Differences that would reach into the next track do not exist.
        inside, reach = np.ones(size, bool), last.copy()
        for _ in range(penalty.order):
            inside &= ~reach
            reach = np.concatenate([reach[1:], [True]])
        stiffness = np.where(inside, penalty.stiffness, 0.0)
        stiffness *= grid.spacing ** (1 - 2 * penalty.order)
        stencil = _difference(penalty.order)
        for a in range(len(stencil)):
            for b in range(a, len(stencil)):
                coupled = stencil[a] * stencil[b] * stiffness
                bands[b - a, a:] += coupled[: size - a]
    sides = np.stack(
        [
            sum(np.bincount(grid.first + a, weighted[a] * column, size) for a in range(4))
            for column in values.T
        ],
        axis=1,
    )
    return solveh_banded(bands, sides, lower=True, overwrite_ab=True, overwrite_b=True)


def _combined(coefficients: np.ndarray, first: np.ndarray, basis: list[np.ndarray]) -> np.ndarray:
    return np.sum([part * coefficients[first + k] for k, part in enumerate(basis)], axis=0)


def _basis(u: np.ndarray) -> list[np.ndarray]:
    """The four cubic B-splines that differ from 0 between two knots."""
    return [
        (1 - u) ** 3 / 6,
        (3 * u**3 - 6 * u**2 + 4) / 6,
        (-3 * u**3 + 3 * u**2 + 3 * u + 1) / 6,
        u**3 / 6,
    ]


def _basis_slope(u: np.ndarray) -> list[np.ndarray]:
    return [-0.5 * (1 - u) ** 2, 1.5 * u**2 - 2 * u, -1.5 * u**2 + u + 0.5, 0.5 * u**2]


def _difference(order: int) -> np.ndarray:
    stencil = np.ones(1)
    for _ in range(order):
        stencil = np.convolve(stencil, [1.0, -1.0])
    return stencil[::-1]
