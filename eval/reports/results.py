"""The one shape of every ``--json`` file, and the numbers in it with their uncertainty."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppuu.runtime.errors import InputError
from ppuu.runtime.files import written_whole
from ppuu.runtime.provenance import hardware, source_commit

_Z = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""

_STUDENT = {2: 12.7062, 3: 4.30265, 4: 3.18245, 5: 2.77645}
"""Two-sided 95 % points of Student's t, by the number of observations."""

RESAMPLES = 2000
_AT_A_TIME = 1_000_000
"""Numbers drawn at once, to bound the memory."""


@dataclass(frozen=True)
class Metric:
    """A number and its 95 % interval.

    Attributes:
        value: the estimate; NaN if there was nothing to measure.
        low, high: ends of the interval, or of the range if the text beside the table says so.
        n: how many observations it rests on.
    """

    value: float
    low: float
    high: float
    n: int


Row = Mapping[str, Metric | float | int | str | bool | None]
"""One line of a table: ``name``, then metrics, numbers and words."""


def rate(successes: float, n: int) -> Metric:
    """A share of ``n`` with its Wilson interval; of repeats of the same ``n``, their mean share."""
    if n == 0:
        return Metric(math.nan, math.nan, math.nan, 0)
    return Metric(successes / n, *wilson_interval(successes, n), n)


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """95 % score interval of a binomial share (Wilson, 1927): sound near 0 and 1, and at small n.

    Raises:
        InputError: fewer than no, or more successes than trials.
    """
    if not 0 <= successes <= n or n < 1:
        raise InputError(f"{successes} successes of {n}: not a share")
    share, square = successes / n, _Z**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = _Z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n**2))
    # Exact at the ends, where rounding would leave a trace.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return low, high


def mean(values: Sequence[float] | np.ndarray) -> Metric:
    """The mean with a bootstrap interval (percentiles of 2000 resamples, always the same ones)."""
    return ratio(values, np.ones(len(values)))


def ratio(above: Sequence[float] | np.ndarray, below: Sequence[float] | np.ndarray) -> Metric:
    """The quotient of two sums over the same episodes, with the bootstrap interval of ``mean``."""
    above, below = np.asarray(above, float), np.asarray(below, float)
    n, total = len(above), below.sum()
    if total == 0:
        return Metric(math.nan, math.nan, math.nan, n)
    value = float(above.sum() / total)
    if n == 1:
        return Metric(value, math.nan, math.nan, 1)
    random, pairs = np.random.default_rng(0), np.stack([above, below], axis=1)
    resamples = max(1, min(RESAMPLES, _AT_A_TIME // n))
    sums = np.concatenate([
        pairs[random.integers(n, size=(min(resamples, RESAMPLES - done), n))].sum(1)
        for done in range(0, RESAMPLES, resamples)
    ])  # fmt: skip
    low, high = np.percentile(sums[:, 0] / np.maximum(sums[:, 1], 1e-12), [2.5, 97.5])
    return Metric(value, float(low), float(high), n)


def over_seeds(values: Sequence[float] | np.ndarray) -> Metric:
    """The mean over two to five seeds, with Student's 95 % interval; without one for others."""
    values = np.asarray(values, float)
    middle, count = float(values.mean()), len(values)
    if count not in _STUDENT:
        return Metric(middle, math.nan, math.nan, count)
    half = _STUDENT[count] * float(values.std(ddof=1)) / math.sqrt(count)
    return Metric(middle, middle - half, middle + half, count)


def median_and_range(values: Sequence[float] | np.ndarray) -> Metric:
    """Median with smallest and largest value: for timings, whose spread is not sampling error."""
    values = np.asarray(values, float)
    if len(values) == 0:
        return Metric(math.nan, math.nan, math.nan, 0)
    return Metric(float(np.median(values)), float(values.min()), float(values.max()), len(values))


def write_results(
    path: str | Path,
    command: str,
    config: Any,
    rows: Sequence[Row],
    comparisons: Sequence[Row] = (),
) -> None:
    """Writes ``{"command", "commit", "config", "hardware", "rows"}``, atomically.

    Args:
        path: the file; its folder is made.
        command: what was run, e.g. ``eval.closed_loop``.
        config: JSON-able settings that produced the rows.
        rows: metrics become ``{"value", "low", "high", "n"}``; what is not finite becomes null.
            Each names the commit that it was measured at, this one unless it says another.
        comparisons: likewise, about two rows each; without any, the file has no such key.
    """
    path = Path(path)
    commit = source_commit()
    report = {
        "command": command,
        "commit": commit,
        "config": config,
        "hardware": hardware(),
        "rows": [dict(row) | {"commit": row.get("commit", commit)} for row in rows],
    }
    if comparisons:
        report["comparisons"] = [dict(row) for row in comparisons]
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(_plain(report), indent=2, allow_nan=False) + "\n")


def commits_of(parts: Iterable[Mapping[str, Any]]) -> str:
    """The commits at which the parts of a row were measured."""
    return ", ".join(sorted({part.get("commit", "unknown") for part in parts}))


def _plain(value: Any) -> Any:
    """JSON values only; NaN and infinities, which JSON lacks, as null."""
    if isinstance(value, Metric):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value


def format_table(rows: Sequence[Row]) -> str:
    """Rows as aligned text, without their commits; a metric reads ``value [low, high]``."""
    if not rows:
        return "(no rows)"
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "commit"))
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [
        max(len(column), *(len(line[k]) for line in cells)) for k, column in enumerate(columns)
    ]
    numeric = [all(not isinstance(row.get(column), str) for row in rows) for column in columns]
    lines = [columns, ["-" * width for width in widths], *cells]
    return "\n".join(
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):  # read back from a file
        value = Metric(**{k: math.nan if v is None else v for k, v in value.items()})
    if isinstance(value, Metric):
        if not math.isfinite(value.low):
            return _number(value.value)
        return f"{_number(value.value)} [{_number(value.low)}, {_number(value.high)}]"
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
