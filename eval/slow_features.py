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

from .reports.results import Row, commits_of, format_table, over_seeds, write_results

DOTS = ("action dot", "random dot", "stationary dot")


def table(cells: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row for each task and method, seeds together.

    Args:
        cells: what ``train.slow_features`` left, a file each.
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
    """Puts the cells of a study together.

    Errors are root mean squares of a coordinate, in sides of the image; ``centre`` is the error of
    always answering with the mean place.  Intervals are Student's, over seeds.

    Args:
        cells: folder that ``train.slow_features`` wrote.
        json: where to write the table; it is printed either way.
    """
    check_output(json)
    found = [read_json(path) for path in sorted(cells.glob("*.json"))]
    if not found:
        raise InputError(f"{cells}: holds no cell; run python -m train.slow_features --out {cells}")
    for cell in found:
        if cell.get("study") != found[0].get("study") or "rmse" not in cell:
            raise InputError(
                f"{cells}: holds cells of different scales, or files of other kinds; keep each "
                "study in a folder of its own, and tables elsewhere"
            )
    rows = table(found)
    sys.stdout.write(format_table(rows) + "\n")
    if json is not None:
        config = {
            "cells": str(cells),
            "study": found[0]["study"],
            "commits": sorted({cell["commit"] for cell in found}),
            "seeds": sorted({cell["seed"] for cell in found}),
        }
        write_results(json, "eval.slow_features", config, rows)


if __name__ == "__main__":
    run(main)
