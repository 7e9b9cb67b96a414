"""``python -m eval.objectives``: world models by the objective of their embeddings, compared."""

from __future__ import annotations

import csv
import json as json_
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write, read_json

from .driving.success import SUCCESSES
from .reports.results import commits_of, write_results
from .reports.tables import text_table
from .statistics.intervals import mean, over_seeds
from .statistics.metric import Metric, Row
from .studies.commands import Options, checkpoint, drive, evaluate, train
from .studies.pipeline import Pipeline
from .studies.records import Record
from .studies.requirements import require_runnable
from .studies.steps import Step
from .table import tabulate


@dataclass(frozen=True)
class Learned:
    """A row: a world model, and how it is trained.

    Attributes:
        module: the recipe.
        options: of the recipe.
        relative_updates: its updates in the time that one of ``train.encoder`` takes.
        policy: preset of ``train.policy`` for policies that are trained in it.
        relative_policy_updates: their updates in the time that one takes in the model of pixels.
        driven: whether it is planned in.
    """

    module: str
    options: Options
    relative_updates: float = 1.0
    policy: str = "pixels"
    relative_policy_updates: float = 1.0
    driven: bool = True


def _joint(objective: str) -> Learned:
    return Learned("train.encoder", {"objective": objective})


def _distracted(objective: str) -> Learned:
    """Images with a distracting pattern, constant within a clip; not planned in."""
    options = {"objective": objective, "model.distraction": 1}
    return Learned("train.encoder", options, driven=False)


ROWS = {
    **{
        objective: _joint(objective)
        for objective in (
            "vicreg", "simclr", "dcl", "dcl-weighted", "barlow-twins", "tico", "direct-clr",
            "sigreg", "mcr2", "reconstruction", "untrained", "vicreg-temporal", "simclr-within",
            "vicreg-motion", "vicreg-vector", "vicreg-impala", "vicreg-vit",
        )
    },
    "pixels": Learned("train.world_model", {"preset": "pixels"}, relative_updates=1.25),
    "tokens": Learned(
        "train.world_model", {"preset": "small"}, 3.9, policy="small", relative_policy_updates=4.0
    ),
    **{
        f"{objective}-distracted": _distracted(objective)
        for objective in (
            "vicreg", "simclr", "reconstruction", "vicreg-temporal", "simclr-within",
            "vicreg-motion",
        )
    },
}  # fmt: skip
"""Joint embeddings by objective; beside them the models of pixels and of vehicle tokens; and, as
the driving form of the slow-features study, embeddings of images with a distracting pattern."""

PLANNER = "starts=2,iterations=6,replan_every=4"
REFERENCES = ("no-action", f"planner:recorded-images,{PLANNER}")
"""Drivers beside the rows; the second knows the future: a bound for planning on images."""

_IMITATION = 3
"""Updates of imitation, from which MPUR starts, per update of MPUR; each costs a twentieth."""


@dataclass(frozen=True)
class Scale:
    """How much is trained and evaluated.

    Attributes:
        updates: of ``train.encoder``; other models get as many as fit into the same time.
        steps: model steps that all models are unrolled in training.
        clips: for the open loop.
        probe_clips: that a probe is trained on; half as many test it.
        scenarios: driven by each planner and policy.
        policy_updates: of policies in models of images; others get as many as fit into the same
            time; 0 trains none.
    """

    updates: Annotated[int, tyro.conf.arg(name="world-model-updates", prefix_name=False)] = 250
    steps: int = 5
    clips: int = 200
    probe_clips: int = 300
    scenarios: int = 40
    policy_updates: Annotated[int, tyro.conf.arg(prefix_name=False)] = 0

    def __post_init__(self):
        sizes = (self.updates, self.steps, self.clips, self.probe_clips, self.scenarios)
        if min(sizes) < 1 or self.probe_clips < 2 or self.policy_updates < 0:
            raise InputError(f"{self}: only policy_updates may be 0")


def run_dir(out: Path, name: str, seed: int) -> Path:
    """Run directory of a world model."""
    return out / "world-models" / f"{name}-seed{seed}"


def result(out: Path, what: str, name: str, seed: int) -> Path:
    """Result file of an evaluation: ``open-loop``, ``probe``, ``planner`` or ``policy``."""
    return out / what / f"{name}-seed{seed}.json"


def plan(
    out: Path, name: str, seed: int, recordings: Sequence[Path], test: Sequence[Path], scale: Scale
) -> list[Step]:
    """The commands of one row and seed: training, evaluation, and MPUR if policies are trained.

    Args:
        out: directory of the study.
        name: of the row.
        seed: of the training.
        recordings: training data.
        test: held-out data.
        scale: how much.
    """
    row, model = ROWS[name], run_dir(out, name, seed)

    def json(what: str) -> Path:
        return result(out, what, name, seed)

    steps = [
        train(
            model.name, row.module, model, recordings, seed,
            {
                **row.options, "updates": round(scale.updates * row.relative_updates),
                "steps": scale.steps,
            },
        ),
        evaluate(
            f"open-loop-{model.name}", "eval.open_loop", json("open-loop"), test,
            {
                "world_model": model, "split": "all", "clips": scale.clips, "futures": 4,
                "horizon_s": 3,
            },
            [model],
        ),
        evaluate(
            f"probe-{model.name}", "eval.probe", json("probe"), test,
            {
                "world_model": model, "probe_clips": scale.probe_clips,
                "clips": scale.probe_clips // 2,
            },
            [model],
        ),
    ]  # fmt: skip
    if not row.driven:
        return steps
    limit: Options = {"limit": scale.scenarios}
    planner = f"planner:{model},{PLANNER}"
    steps.append(drive(f"planner-{model.name}", json("planner"), test, [planner], limit, [model]))
    if scale.policy_updates:
        policy = out / "policies" / model.name
        updates = scale.policy_updates * row.relative_policy_updates
        mpur = {
            "method": "mpur", "preset": row.policy, "world_model": model,
            "imitation_updates": _IMITATION * round(updates), "updates": round(updates),
        }  # fmt: skip
        steps += [
            train(f"mpur-{model.name}", "train.policy", policy, recordings, seed, mpur, [model]),
            drive(f"policy-{model.name}", json("policy"), test, [policy], limit),
        ]
    return steps


def references(out: Path, test: Sequence[Path], scale: Scale) -> Step:
    """Drivers that need no training."""
    limit: Options = {"limit": scale.scenarios}
    return drive("references", out / "references.json", test, REFERENCES, limit)


def table(out: Path) -> list[Row]:
    """A line for each row that has been trained and evaluated; then the reference drivers."""
    rows: list[Row] = []
    for name in ROWS:
        seeds = [
            int(path.stem.rpartition("-seed")[2])
            for path in sorted((out / "probe").glob(f"{name}-seed*.json"))
            if all((out / what / path.name).exists() for what in _required(name))
        ]
        if seeds:
            rows.append(_row(out, name, seeds))
    beside = out / "references.json"
    if beside.exists():
        episodes = _episodes(beside)
        labels = dict.fromkeys(episode["policy"] for episode in episodes)
        driven = tabulate(episodes, {label: ([label], "") for label in labels})
        rows += [{"name": row["name"], "planner_success": row["success"]} for row in driven]
    return rows


def _required(name: str) -> tuple[str, ...]:
    """Evaluations without which a seed is not in the table, besides the probe."""
    return ("open-loop", "planner") if ROWS[name].driven else ("open-loop",)


_TELEMETRY = ("rank", "temporal_ratio", "copy_ratio", "input_share")


def _row(out: Path, name: str, seeds: Sequence[int]) -> Row:
    """Seeds together: Student's intervals, or resampled scenarios for driving."""
    row: dict[str, Any] = {"name": name, "seeds": len(seeds)}
    logs = [_last(run_dir(out, name, seed) / "log.jsonl") for seed in seeds]
    _require_one_scale(out, name, seeds)
    row["train_s"] = over_seeds([log["seconds"] for log in logs])
    row["updates"] = int(logs[0]["step"])
    probes = [_rows(result(out, "probe", name, seed)) for seed in seeds]
    for kind in ("fast", "slow"):
        for probe in ("linear", "mlp"):
            row[f"{kind}_{probe}"] = over_seeds([
                _only(found, probe=probe, target=kind)["r2"]["value"] for found in probes
            ])  # fmt: skip
    row |= {key: over_seeds([log[key] for log in logs]) for key in _TELEMETRY if key in logs[0]}
    row["warnings"] = ", ".join(
        key.removeprefix("warning_")
        for key in logs[0]
        if key.startswith("warning_") and np.mean([log[key] for log in logs]) > 0.5
    )
    ahead = [_only(_rows(result(out, "open-loop", name, seed)), name="model") for seed in seeds]
    for key in ("vehicle_iou_2s", "cost_error_2s"):
        row[key] = over_seeds([found[key]["value"] for found in ahead])
        if len(seeds) == 1:
            row[key] = Metric(**ahead[0][key])
    for what in ("planner", "policy"):
        row |= _driven(out, what, name, seeds)
    evaluations = [
        result(out, what, name, seed) for what in ("probe", "open-loop") for seed in seeds
    ]
    row["commit"] = commits_of(read_json(path) for path in evaluations)
    return row


def _require_one_scale(out: Path, name: str, seeds: Sequence[int]) -> None:
    """Seeds are pooled, so their options may differ in nothing else.

    Raises:
        InputError: some were trained or evaluated with other options.
    """
    for what in ("training", "probe", "open-loop"):
        kinds: list[tuple[int, dict[str, Any]]] = []
        for seed in seeds:
            product = checkpoint(run_dir(out, name, seed))
            if what != "training":
                product = result(out, what, name, seed)
            record = Record.load(Record.beside(product))
            if record is not None:
                kinds.append((seed, _scale_of(record)))
        others = [seed for seed, options in kinds if options != kinds[0][1]]
        if others:
            raise InputError(
                f"{out}: seeds {kinds[0][0]} and {others[0]} of {name} were trained or evaluated "
                "at different scales; keep each scale in a folder of its own"
            )


def _scale_of(record: Record) -> dict[str, Any]:
    """All options but the seed and paths."""
    return {
        key: value
        for key, value in record.settings.items()
        if key != "loop.seed" and not _has_path(value)
    }


def _has_path(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_has_path, value)))


def _driven(out: Path, what: str, name: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Success over the seeds that have been driven."""
    episodes, labels, lists = [], [], set()
    for seed in seeds:
        json = result(out, what, name, seed)
        if json.exists():
            found = [e for e in _episodes(json) if e["policy"] != "human"]
            lists.add(frozenset((e["recording"], e["vehicle_id"]) for e in found))
            if len(lists) > 1:
                raise InputError(
                    f"{json}: another list of scenarios than other seeds of {name}; delete it to "
                    "have them driven again"
                )
            episodes += [e | {"policy": f"seed{seed}"} for e in found]
            labels.append(f"seed{seed}")
    if not labels:
        return {}
    (row,) = tabulate(episodes, {name: (labels, "")})
    return {f"{what}_success": row["success"], f"{what}_distance_m": row["distance_m"]}


def compared(out: Path, rows: Sequence[Row], beside: str = "pixels") -> list[Row]:
    """Success of each planner less that of one, on the same scenarios, seeds together."""
    driven = {str(row["name"]): row for row in rows if "seeds" in row and "planner_success" in row}
    if beside not in driven:
        return []
    shares = {name: _shares(out, name) for name in driven}
    found: list[Row] = []
    for name in driven:
        both = [scenario for scenario in shares[name] if scenario in shares[beside]]
        if name != beside and both:
            gains = [shares[name][scenario] - shares[beside][scenario] for scenario in both]
            found.append({"name": f"{name} - {beside}", "success_difference": mean(gains)})
    return found


def _shares(out: Path, name: str) -> dict[str, float]:
    """Share of the seeds that succeed in each scenario."""
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for path in sorted((out / "planner").glob(f"{name}-seed*.json")):
        for episode in _episodes(path):
            if episode["policy"] != "human":
                scenario = f"{episode['recording']}/{episode['vehicle_id']}"
                outcomes[scenario].append(episode["outcome"] in SUCCESSES)
    return {scenario: float(np.mean(ends)) for scenario, ends in outcomes.items()}


def _last(log: Path) -> dict[str, Any]:
    return json_.loads(log.read_text().splitlines()[-1])


def _rows(json: Path) -> list[dict[str, Any]]:
    return read_json(json)["rows"]


def _only(rows: Sequence[Mapping[str, Any]], **wanted: str) -> Mapping[str, Any]:
    """The one row of these words."""
    (found,) = (
        row for row in rows if all(row.get(key) == value for key, value in wanted.items())
        and row.get("probe") != "truth"
    )  # fmt: skip
    return found


def _episodes(json: Path) -> list[dict[str, str]]:
    with open(json.with_suffix(".episodes.csv"), newline="") as file:
        return list(csv.DictReader(file))


_COLUMNS = {
    "train_s": ("training, s", 0), "fast_linear": ("fast R², linear", 2),
    "fast_mlp": ("fast R², MLP", 2), "slow_linear": ("slow R², linear", 2),
    "slow_mlp": ("slow R², MLP", 2), "rank": ("effective rank", 1),
    "temporal_ratio": ("temporal ratio", 2), "vehicle_iou_2s": ("IoU at 2 s", 2),
    "cost_error_2s": ("cost error at 2 s", 3), "planner_success": ("MPC success", 2),
    "policy_success": ("MPUR success", 2),
}  # fmt: skip


def markdown(rows: Sequence[Row], failed: Sequence[str] = ()) -> str:
    """The table for people, without empty columns, and below it the steps that failed."""
    columns = {key: of for key, of in _COLUMNS.items() if any(key in row for row in rows)}
    lines = [
        "| model | seeds | " + " | ".join(title for title, _ in columns.values()) + " |",
        "| --- | --: |" + " --: |" * len(columns),
    ]
    for row in rows:
        cells = [_cell(row.get(key), digits) for key, (_, digits) in columns.items()]
        lines.append(f"| {row['name']} | {row.get('seeds', '')} | " + " | ".join(cells) + " |")
    if failed:
        lines += ["", f"Failed: {', '.join(failed)}."]
    return "\n".join(lines) + "\n"


def _cell(value: Any, digits: int) -> str:
    if not isinstance(value, Metric):
        return ""
    interval = "" if np.isnan(value.low) else f" ({value.low:.{digits}f}–{value.high:.{digits}f})"
    return f"{value.value:.{digits}f}{interval}"


def main(
    recordings: tuple[Path, ...],
    test: tuple[Path, ...],
    out: Path,
    rows: tuple[str, ...] = tuple(ROWS),
    seeds: tuple[int, ...] = (0,),
    scale: Scale = Scale(),
    at_once: int = 1,
    device: str | None = None,
    dry_run: bool = False,
) -> None:
    """Trains joint embeddings with every objective and judges them: probes, open and closed loop.

    What is up to date is reused, an interrupted run goes on, and several commands can share
    the rows and one OUT. OUT/table.json and OUT/table.md hold everything found in OUT, other rows
    and seeds, too; OUT/logs holds what each command printed. A step that fails is named in the
    table, and the command ends with an error.

    Args:
        recordings: training data, all of it.
        test: held-out recordings; only probes are trained on them, on their training split.
        out: directory of the study.
        rows: objectives of train.encoder; pixels, tokens; OBJECTIVE-distracted.
        seeds: one training each.
        scale: how much is trained and evaluated.
        at_once: commands at a time; each uses one core.
        device: where networks compute, such as cpu or cuda; each command's own default if not
            given.
        dry_run: print what would run and why, and run nothing.
    """
    unknown = [name for name in rows if name not in ROWS]
    if unknown or not rows:
        raise InputError(f"--rows {' '.join(unknown)}: rows are {', '.join(ROWS)}")
    require_runnable(seeds, recordings, test)
    pipeline = Pipeline(out, at_once, device)
    steps = [
        step
        for seed in seeds
        for name in rows
        for step in plan(out, name, seed, recordings, test, scale)
    ]
    steps.append(references(out, test, scale))
    if dry_run:
        sys.stdout.write(pipeline.explain(steps))
        return
    outcome = pipeline.run(steps)
    found = table(out)
    config = {
        "recordings": list(map(str, recordings)), "test": list(map(str, test)),
        "scale": vars(scale), "planner": PLANNER, "failed": outcome.failed,
    }  # fmt: skip
    differences = compared(out, found)
    write_results(out / "table.json", "eval.objectives", config, found, differences)
    with atomic_write(out / "table.md") as temporary:
        temporary.write_text(markdown(found, outcome.failed))
    sys.stdout.write(
        text_table(found)
        + "\n\n"
        + text_table(differences)
        + f"\n\n{out / 'table.json'}\n{out / 'table.md'}\n"
    )
    outcome.require_complete(pipeline.logs)


if __name__ == "__main__":
    run(main)
