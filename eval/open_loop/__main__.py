"""``python -m eval.open_loop``: how well world models predict recordings they were not trained on.

``runner`` computes the metrics, ``summary`` their means and tables.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

from data.splits import Split
from ppuu.loading.runs import load_world_model
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write, check_output
from ppuu.world_models import Ensemble, WorldModel

from ..driving.drivers import runs_by_label
from ..reports.open_loop_page import page
from ..reports.results import write_results
from .held_out import held_out
from .references import REFERENCES, references
from .runner import at_temperatures, evaluate
from .summary import horizon_tables, horizons, summarise

_LONGEST_S = 60.0


def main(
    world_model: tuple[Path, ...],
    recordings: tuple[Path, ...],
    json: Path | None = None,
    report: Path | None = None,
    split: Split = "test",
    split_manifest: Path | None = None,
    clips: int = 512,
    horizon_s: float = 5.0,
    futures: int = 10,
    ensemble: bool = False,
    temperature: tuple[float, ...] = (1.0,),
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Compares predicted with true surroundings, up to some seconds ahead.

    Metrics: soft intersection over union and squared error of the vehicles' images, distance of
    vehicles from their true positions, error of the driving cost along the recorded path, each as
    the mean over the samples and (but for the squared error) the best of them, and the diversity
    of the samples.  Beside the models: the last image kept, vehicles of constant velocity or
    acceleration, and IDM.  Intervals are bootstrapped over vehicles.

    Args:
        world_model: run directories of train.world_model; a single one is called "model".
        recordings: files written by data.generate or data.prepare.
        json: where to write the results; a part of them is printed either way.
        report: where to write a page with curves and film strips.
        split: test, or all for recordings that no model was trained on.
        split_manifest: file of data.splits that defines the split (default: by time).
        clips: number of clips, drawn at random.
        horizon_s: how far to predict.
        futures: samples of the prediction for each clip.
        ensemble: evaluate all runs together as an ensemble, too.
        temperature: scales of the latents' standard deviation, each a row NAME@SCALE but for 1,
            which is the prior; at 0 all samples are the prior's mean.
        seed: of clips and samples.
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    if min(clips, futures) < 1 or not 0 < horizon_s <= _LONGEST_S:
        raise InputError(
            f"--clips {clips}, --futures {futures}, --horizon-s {horizon_s:g}: all must be "
            f"positive, the horizon at most {_LONGEST_S:g}"
        )
    if not temperature:
        raise InputError("--temperature: give at least one, 1 for the prior")
    for out in (json, report):
        check_output(out)
    if json is not None and json == report:
        raise InputError(f"--json and --report are both {json}; each needs a file of its own")
    began = time.monotonic()
    runs, where = runs_by_label(world_model), choose_device(device)
    models: dict[str, WorldModel] = {
        name: load_world_model(path).to(where) for name, path in runs.items()
    }
    first = next(iter(models.values()))
    steps = math.ceil(horizon_s / first.step_s - 1e-6)
    held = held_out(list(models.values()), runs, recordings, split, split_manifest, steps, where)
    evaluated = dict(models) if len(models) > 1 else {"model": first}
    if ensemble:
        evaluated["ensemble"] = Ensemble(list(models.values()))
    predictors = at_temperatures(evaluated, temperature) | references(first, held.clips)
    index = held.draw(clips, seed)
    values = evaluate(predictors, held.clips, index, steps, futures, seed)
    rows, comparisons = summarise(values, held.clips.ego[index].cpu().numpy(), first.step_s)
    sys.stdout.write(horizon_tables(rows) + "\n")
    config = {
        "world_model": {name: str(path) for name, path in runs.items()},
        **held.identity,
        "seen_in_training": held.seen_in_training,
        "ensemble": ensemble, "temperature": list(temperature),
        "clips": len(index), "futures": futures, "horizon_s": steps * first.step_s, "seed": seed,
        "horizons_s": horizons(steps, first.step_s),
        "device": str(where), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    if json is not None:
        write_results(json, "eval.open_loop", config, rows, comparisons)
    if report is not None:
        learned = {name: one for name, one in predictors.items() if name not in REFERENCES}
        text = page(config, rows, comparisons, learned, held.clips, index[:3])
        with atomic_write(report) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
