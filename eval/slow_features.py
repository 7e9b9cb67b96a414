"""``python -m eval.slow_features``: the table of the slow-features study."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output, read_json

from .reports.results import commits_of, write_results
from .reports.tables import text_table
from .statistics.intervals import over_seeds
from .statistics.metric import Row

DOTS = ("action dot", "random dot", "stationary dot")


def table(cells: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row for each task and method, seeds together.

    Args:
        cells: the files of ``train.slow_features``, each of one task, method and seed.
    """
    groups: dict[tuple, list[Mapping[str, Any]]] = defaultdict(list)
    for cell in cells:
        groups[cell["task"], cell["strength"], cell["method"]].append(cell)
    rows = []
    for (task, strength, method), group in groups.items():
        names = ["action dot"] if len(group[0]["rmse"]) == 1 else DOTS
        errors = np.array([cell["rmse"] for cell in group])
        row: dict[str, Any] = {
            "name": f"{task} {strength:g}", "method": method, "seeds": len(group)
        }  # fmt: skip
        row |= {name: over_seeds(errors[:, k]) for k, name in enumerate(names)}
        row["centre"] = float(np.mean([cell["centre"] for cell in group]))
        row["temporal_ratio"] = float(np.mean([cell["temporal_ratio"] for cell in group]))
        row["train_cpu_s"] = float(np.mean([cell["train_cpu_s"] for cell in group]))
        rows.append(row | {"commit": commits_of(group)})
    return rows


def main(cells: Path, json: Path | None = None) -> None:
    """Makes a table of the cells of a study.

    Errors are root mean squares of a coordinate, in sides of the image; ``centre`` is the error of
    the mean position as a constant prediction.  Intervals are Student's, over seeds.

    Args:
        cells: folder that ``train.slow_features`` wrote.
        json: where to write the results; they are printed either way.
    """
    check_output(json)
    results = [read_json(path) for path in sorted(cells.glob("*.json"))]
    if not results:
        raise InputError(f"{cells}: holds no cell; run python -m train.slow_features --out {cells}")
    for cell in results:
        if cell.get("study") != results[0].get("study") or "rmse" not in cell:
            raise InputError(
                f"{cells}: holds cells of different scales, or files of other kinds; keep each "
                "study in a folder of its own, and tables elsewhere"
            )
    rows = table(results)
    sys.stdout.write(text_table(rows) + "\n")
    if json is not None:
        config = {
            "cells": str(cells),
            "study": results[0]["study"],
            "commits": sorted({cell["commit"] for cell in results}),
            "seeds": sorted({cell["seed"] for cell in results}),
        }
        write_results(json, "eval.slow_features", config, rows)


if __name__ == "__main__":
    run(main)
