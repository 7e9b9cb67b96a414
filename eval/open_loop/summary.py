"""Rows and tables of open-loop metrics: means over clips at some horizons, and differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from ..reports.tables import text_table
from ..statistics.clustered import clustered_means
from ..statistics.metric import Row
from .metrics import METRICS, step_at
from .references import REFERENCES

HORIZONS_S = (0.3, 0.6, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
"""Metrics are reported at the model's nearest steps."""
_PRINTED = ("vehicle_iou", "cost_error", "position_error_m")
_PRINTED_S = (1.0, 2.0, 3.0)
PRINTED_COLUMNS = tuple(f"{key}_{seconds:g}s" for key in _PRINTED for seconds in _PRINTED_S)
"""Columns that a terminal or a short table shows."""


def horizons(steps: int, step_s: float) -> dict[str, float]:
    """Each horizon's name, and the seconds of the step nearest to it; only those predicted."""
    at = {f"{seconds:g}s": step_at(seconds, step_s) for seconds in HORIZONS_S}
    return {name: round((step + 1) * step_s, 6) for name, step in at.items() if step < steps}


def summarise(
    values: Mapping[str, Float[np.ndarray, "clips metrics time"]],
    cluster: Int[np.ndarray, " clips"],
    step_s: float,
) -> tuple[list[Row], list[Row]]:
    """A row for each predictor, and one for each model and each other predictor: differences.

    Args:
        values: of ``runner.evaluate``; predictors that are no reference are models.
        cluster: the ego of each clip.
        step_s: seconds from one time to the next.
    """
    steps = next(iter(values.values())).shape[-1]
    known = [s for s in HORIZONS_S if step_at(s, step_s) < steps]
    at = [step_at(seconds, step_s) for seconds in known]
    names = [f"{key}_{seconds:g}s" for key in METRICS for seconds in known]

    def row(name: str, of: Float[np.ndarray, "clips metrics time"]) -> Row:
        means = clustered_means(of[..., at].reshape(len(of), -1), cluster)
        measured = (pair for pair in zip(names, means, strict=True) if math.isfinite(pair[1].value))
        return {"name": name, **dict(measured)}

    rows = [row(name, of) for name, of in values.items()]
    models = [name for name in values if name not in REFERENCES]
    pairs = [(a, b) for k, a in enumerate(models) for b in (*models[k + 1 :], *REFERENCES)]
    comparisons = [row(f"{a} - {b}", values[a] - values[b]) for a, b in pairs if b in values]
    return rows, comparisons


def horizon_tables(rows: Sequence[Row]) -> str:
    """A table for each of a few metrics, horizons side by side; shorter ones if all are short."""
    parts = []
    short = not any(f"{key}_{_PRINTED_S[0]:g}s" in row for row in rows for key in _PRINTED)
    for key in _PRINTED:
        times = HORIZONS_S if short else _PRINTED_S
        names = {f"{key}_{seconds:g}s": f"{seconds:g} s" for seconds in times}
        lines = [
            {key: row["name"]} | {title: row[name] for name, title in names.items() if name in row}
            for row in rows
        ]
        parts.append(text_table([line for line in lines if len(line) > 1]))
    return "\n\n".join(parts)
