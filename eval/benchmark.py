"""Speed and agreement: ``python -m eval.benchmark simulator --json OUT.json``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro

from ppuu.runtime.command import run
from ppuu.runtime.files import check_output

from .benchmarks.data import DataBenchmark
from .benchmarks.kernels import KernelsBenchmark
from .benchmarks.parity import ParityBenchmark
from .benchmarks.planning import PlanningBenchmark
from .benchmarks.policies import PoliciesBenchmark
from .benchmarks.raster import RasterBenchmark
from .benchmarks.simulator import SimulatorBenchmark
from .benchmarks.world_models import WorldModelsBenchmark
from .reports.results import write_results
from .reports.tables import text_table

Benchmark = (
    Annotated[SimulatorBenchmark, tyro.conf.subcommand("simulator")]
    | Annotated[RasterBenchmark, tyro.conf.subcommand("raster")]
    | Annotated[DataBenchmark, tyro.conf.subcommand("data")]
    | Annotated[WorldModelsBenchmark, tyro.conf.subcommand("world-models")]
    | Annotated[PlanningBenchmark, tyro.conf.subcommand("planning")]
    | Annotated[PoliciesBenchmark, tyro.conf.subcommand("policies")]
    | Annotated[KernelsBenchmark, tyro.conf.subcommand("kernels")]
    | Annotated[ParityBenchmark, tyro.conf.subcommand("parity")]
)
"""One member a benchmark; each has ``run() -> rows``."""


@tyro.conf.configure(
    tyro.conf.CascadeSubcommandArgs, tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes
)
def main(benchmark: Benchmark, json: Path | None = None) -> None:
    """Measures and prints a table; numbers in brackets are the range over the repeats.

    Args:
        benchmark: what to measure.
        json: write the result file here, too.
    """
    check_output(json)
    rows = benchmark.run()
    sys.stdout.write(text_table(rows) + "\n")
    if json is not None:
        write_results(json, "eval.benchmark", asdict(benchmark), rows)


if __name__ == "__main__":
    run(main)
