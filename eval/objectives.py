"""``python -m eval.objectives``: world models by what their embeddings learn from, side by side."""

from __future__ import annotations

import csv
import json as json_
import shlex
import signal
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
from ppuu.runtime.files import read_json, written_whole

from .driving.success import SUCCESSES
from .reports.results import write_results
from .statistics.intervals import mean, over_seeds
from .statistics.metric import Metric, Row
from .studies.pipeline import Step, carry_out, require_runnable
from .table import tabulate

Words = tuple[str, ...]


@dataclass(frozen=True)
class Learned:
    """A row: a world model, and how it is trained.

    Attributes:
        words: the command, after ``python -m``.
        pace: its updates in the time that one of ``train.encoder`` takes.
        policy: preset of ``train.policy`` for policies that are trained in it.
        policy_pace: their updates in the time that one takes in the model of pixels.
        driven: whether it is planned in.
    """

    words: Words
    pace: float = 1.0
    policy: str = "pixels"
    policy_pace: float = 1.0
    driven: bool = True


def _joint(objective: str) -> Learned:
    return Learned(("train.encoder", "--objective", objective))


def _distracted(objective: str) -> Learned:
    """Before a pattern that stays for a clip; nobody shall drive like that."""
    words = ("train.encoder", "--objective", objective, "--model.distraction", "1")
    return Learned(words, driven=False)


ROWS = {
    **{
        objective: _joint(objective)
        for objective in (
            "vicreg", "simclr", "dcl", "dcl-weighted", "barlow-twins", "tico", "direct-clr",
            "sigreg", "mcr2", "reconstruction", "untrained", "vicreg-temporal", "simclr-within",
            "vicreg-motion", "vicreg-vector", "vicreg-impala", "vicreg-vit",
        )
    },
    "pixels": Learned(("train.world_model", "--preset", "pixels"), pace=1.25),
    "tokens": Learned(("train.world_model", "--preset", "small"), 3.9, "small", policy_pace=4.0),
    **{
        f"{objective}-distracted": _distracted(objective)
        for objective in (
            "vicreg", "simclr", "reconstruction", "vicreg-temporal", "simclr-within",
            "vicreg-motion",
        )
    },
}  # fmt: skip
"""Joint embeddings by objective; beside them the models of pixels and of vehicle tokens; and, as
the driving form of the slow-features study, embeddings that learn before a pattern that stays."""

PLANNER = "starts=2,iterations=6,replan_every=4"
REFERENCES = ("no-action", f"planner:recorded-images,{PLANNER}")
"""Drivers beside the rows; the second knows the future: a bound for planning on images."""


_IMITATION = 3
"""Updates of the imitation that MPUR starts from, for each of its own; they cost a twentieth."""


@dataclass(frozen=True)
class Scale:
    """How much is trained and judged.

    Attributes:
        updates: of ``train.encoder``; other models get as many as fit into the same time.
        steps: of the model, that all are unrolled in training.
        clips: for the open loop.
        probe_clips: that a probe learns from; half as many judge it.
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
    """Where a world model is kept."""
    return out / "world-models" / f"{name}-seed{seed}"


def result(out: Path, what: str, name: str, seed: int) -> Path:
    """Where a judgement is kept: ``open-loop``, ``probe``, ``planner`` or ``policy``."""
    return out / what / f"{name}-seed{seed}.json"


def plan(
    out: Path, name: str, seed: int, recordings: Sequence[Path], test: Sequence[Path], scale: Scale
) -> list[list[Step]]:
    """The commands of one row and seed: train, then judge; then policies.

    Args:
        out: directory of everything.
        name: of the row.
        seed: of the training.
        recordings, test: what is learnt from, and judged on.
        scale: how much.
    """
    row, where = ROWS[name], run_dir(out, name, seed)
    learnt = ("--split", "all", "--recordings", *map(str, recordings))
    unseen = ("--recordings", *map(str, test))
    label = f"{name}, seed {seed}"

    def judged(what: str, *words: str) -> Step:
        json = result(out, what, name, seed)
        return Step(f"{what} of {label}", (*words, *unseen, "--json", str(json)), json)

    driving = ("--split", "all", "--limit", str(scale.scenarios))
    train = Step(
        f"world model {label}",
        (*row.words, *learnt, "--out", str(where), "--loop.seed", str(seed),
         "--updates", str(round(scale.updates * row.pace)), "--steps", str(scale.steps)),
        where / ".done",
    )  # fmt: skip
    judgements = [
        judged(
            "open-loop", "eval.open_loop", "--world-model", str(where), "--split", "all",
            "--clips", str(scale.clips), "--futures", "4", "--horizon-s", "3",
        ),
        judged(
            "probe", "eval.probe", "--world-model", str(where),
            "--probe-clips", str(scale.probe_clips), "--clips", str(scale.probe_clips // 2),
        ),
    ]  # fmt: skip
    if not row.driven:
        return [[train], judgements]
    words = ("eval.closed_loop", "--policy", f"planner:{where},{PLANNER}", *driving)
    judgements.append(judged("planner", *words))
    if not scale.policy_updates:
        return [[train], judgements]
    policy, updates = out / "policies" / where.name, round(scale.policy_updates * row.policy_pace)
    mpur = Step(
        f"MPUR in {label}",
        ("train.policy", "--method", "mpur", "--preset", row.policy, *learnt, "--out", str(policy),
         "--world-model", str(where), "--loop.seed", str(seed),
         "--imitation-updates", str(_IMITATION * updates),
         "--updates", str(updates)),
        policy / ".done",
    )  # fmt: skip
    drive = judged("policy", "eval.closed_loop", "--policy", str(policy), *driving)
    return [[train], [*judgements, mpur], [drive]]


def references(out: Path, test: Sequence[Path], scale: Scale) -> Step:
    """Drives those who need no training."""
    json = out / "references.json"
    words = ("eval.closed_loop", "--policy", *REFERENCES, "--recordings", *map(str, test))
    words += ("--split", "all", "--limit", str(scale.scenarios), "--json", str(json))
    return Step("references", words, json)


def table(out: Path) -> list[Row]:
    """A line for each row that has been trained and judged; then the drivers beside them."""
    rows: list[Row] = []
    for name in ROWS:
        seeds = [
            int(path.stem.rpartition("-seed")[2])
            for path in sorted((out / "probe").glob(f"{name}-seed*.json"))
            if all((out / what / path.name).exists() for what in _looked(name))
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


def _looked(name: str) -> Words:
    return ("open-loop", "planner") if ROWS[name].driven else ("open-loop",)


_TELEMETRY = ("rank", "temporal_ratio", "copy_ratio", "input_effect")


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
    judgements = [
        result(out, what, name, seed) for what in ("probe", "open-loop") for seed in seeds
    ]
    row["commit"] = commits_of(read_json(path) for path in judgements)
    ahead = [_only(_rows(result(out, "open-loop", name, seed)), name="model") for seed in seeds]
    for key in ("vehicle_iou_2s", "cost_error_2s"):
        row[key] = over_seeds([found[key]["value"] for found in ahead])
        if len(seeds) == 1:
            row[key] = Metric(**ahead[0][key])
    for what in ("planner", "policy"):
        row |= _driven(out, what, name, seeds)
    return row


def _require_one_scale(out: Path, name: str, seeds: Sequence[int]) -> None:
    """Seeds are pooled, so their commands may differ in nothing else.

    Raises:
        InputError: some were trained or judged otherwise.
    """
    for record in ("world-models/{run}/.done", "probe/.{run}.json", "open-loop/.{run}.json"):
        told: dict[str, int] = {}
        for seed in seeds:
            run = f"{name}-seed{seed}"
            path = out / f"{record.format(run=run)}.command"
            if path.exists():
                told.setdefault(_options(path.read_text()), seed)
        if len(told) > 1:
            raise InputError(
                f"{out}: seeds {' and '.join(map(str, told.values()))} of {name} were trained or "
                "judged at different scales; keep each scale in a folder of its own"
            )


def _options(command: str) -> str:
    """All but its files and its seed."""
    words = shlex.split(command)
    return " ".join(
        word
        for before, word in zip(("", *words), words, strict=False)
        if "--loop.seed" not in (before, word) and Path(word).name == word and ".h5" not in word
    )


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
                    "have them driven anew"
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


def markdown(rows: Sequence[Row]) -> str:
    """The table for people; columns that nobody fills are left out."""
    columns = {key: of for key, of in _COLUMNS.items() if any(key in row for row in rows)}
    lines = [
        "| model | seeds | " + " | ".join(title for title, _ in columns.values()) + " |",
        "| --- | --: |" + " --: |" * len(columns),
    ]
    for row in rows:
        cells = [_cell(row.get(key), digits) for key, (_, digits) in columns.items()]
        lines.append(f"| {row['name']} | {row.get('seeds', '')} | " + " | ".join(cells) + " |")
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
) -> None:
    """Trains joint embeddings with every objective and judges them: probes, open and closed loop.

    What is there already is picked up, an interrupted run goes on, and several commands can share
    the rows and one OUT.  OUT/table.json and OUT/table.md hold everything found in OUT, other rows
    and seeds, too.

    Args:
        recordings: what is learnt from, all of it.
        test: what is judged on; nothing may be learnt from it but probes, on its training split.
        out: directory of everything.
        rows: objectives of train.encoder; pixels, tokens; OBJECTIVE-distracted.
        seeds: one training each.
        scale: how much is trained and judged.
        at_once: commands at a time; each uses one core.
        device: of every command: auto, cpu, cuda, …; each command's own default without.
    """
    unknown = [name for name in rows if name not in ROWS]
    if unknown or not rows:
        raise InputError(f"--rows {' '.join(unknown)}: rows are {', '.join(ROWS)}")
    require_runnable(seeds, at_once, recordings, test)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for seed in seeds:
        for name in rows:
            stages = plan(out, name, seed, recordings, test, scale)
            carry_out(on_device(stages, device), at_once)
    carry_out(on_device([[references(out, test, scale)]], device))
    found = table(out)
    config = {
        "recordings": list(map(str, recordings)), "test": list(map(str, test)),
        "scale": vars(scale), "planner": PLANNER,
    }  # fmt: skip
    differences = compared(out, found)
    write_results(out / "table.json", "eval.objectives", config, found, differences)
    with written_whole(out / "table.md") as temporary:
        temporary.write_text(markdown(found))
    sys.stdout.write(
        text_table(found)
        + "\n\n"
        + text_table(differences)
        + f"\n\n{out / 'table.json'}\n{out / 'table.md'}\n"
    )


if __name__ == "__main__":
    run(main)
