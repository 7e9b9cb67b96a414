"""``python -m eval.table``: train every row of a table over several seeds, score it, write it."""

from __future__ import annotations

import csv
import math
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from envs.traffic.registry import NAMES, POLICY, is_traffic
from ppuu.loading.policy_names import policy_by_name
from ppuu.runtime.command import run
from ppuu.runtime.config import require_choice
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write, read_json
from ppuu.runtime.presets import enumerated

from .driving.success import SUCCESSES
from .reports.results import commits_of, write_results
from .reports.tables import text_table
from .statistics.clustered import clustered_means
from .statistics.metric import Metric, Row
from .studies.commands import Options, drive, train
from .studies.pipeline import Pipeline
from .studies.requirements import require_runnable
from .studies.steps import Step
from .studies.table_rows import ENSEMBLE, FAMILIES, PRESETS, WORLDS, Learned, TablePreset

PPUU = "ppuu"
"""Among ``--others``: PPUU's protocol, in which the others replay their recording."""


def slug(name: str) -> str:
    """A row's name as a folder's."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def policy_dir(out: Path, row: Learned, seed: int) -> Path:
    """Run directory of a row's policy."""
    return out / "policies" / f"{slug(row.name)}-seed{seed}"


def world_dir(out: Path, family: str, world: str, seed: int) -> Path:
    """Run directory of a world model."""
    return out / "world-models" / f"{family}-{world}-seed{seed}"


def worlds_of(out: Path, row: Learned, seed: int, seeds: Sequence[int]) -> tuple[Path, ...]:
    """The world model of a row and seed, or the ensemble's members, its own seed's first."""
    if row.world != ENSEMBLE:
        return (world_dir(out, row.family, row.world, seed),)
    members = [seed, *(other for other in seeds if other != seed)]
    return tuple(world_dir(out, row.family, next(iter(WORLDS)), member) for member in members)


def imitation_row(family: str) -> Learned:
    """The policy that all others of a family start from."""
    return Learned(f"imitation for {family}", "imitation", family)


def trained(out: Path, row: Learned, seed: int) -> Path:
    """The run of a row; imitation is trained once a family, for the rows that start from it."""
    return policy_dir(out, imitation_row(row.family) if row.method == "imitation" else row, seed)


def trainings(
    out: Path,
    preset: TablePreset,
    recordings: Sequence[Path],
    seeds: Sequence[int],
    scale: Mapping[str, Options],
) -> list[Step]:
    """World models, imitation, policies.

    Args:
        out: directory of the table.
        preset: the table.
        recordings: training data.
        seeds: of trainings.
        scale: further options of the trainings: ``world_model``, ``imitation`` and ``policy``.
    """
    in_model = [row for row in preset.learned if row.method != "imitation"]
    first_world = next(iter(WORLDS))
    worlds = dict.fromkeys(
        (row.family, first_world if row.world == ENSEMBLE else row.world) for row in in_model
    )

    def policy(row: Learned, seed: int, *more: Options, models: Sequence[Path] = ()) -> Step:
        options: Options = {"method": row.method, "preset": FAMILIES[row.family].policy}
        run = policy_dir(out, row, seed)
        for further in more:
            options = {**options, **further}
        return train(run.name, "train.policy", run, recordings, seed, options, models)

    steps = []
    for seed in seeds:
        for family, world in worlds:
            run = world_dir(out, family, world, seed)
            preset_name: Options = {"preset": FAMILIES[family].world_model}
            options = {**preset_name, **WORLDS[world], **scale["world_model"]}
            steps.append(train(run.name, "train.world_model", run, recordings, seed, options))
        for family in dict.fromkeys(row.family for row in preset.learned):
            steps.append(policy(imitation_row(family), seed, scale["imitation"]))
    for seed in seeds:
        for row in in_model:
            models = worlds_of(out, row, seed, seeds)
            start = policy_dir(out, imitation_row(row.family), seed)
            given: Options = {"world_model": models, "init": start}
            steps.append(
                policy(row, seed, given, row.options, scale["policy"], models=(*models, start))
            )
    return steps


def scores(
    out: Path,
    name: str,
    test: Sequence[Path],
    seeds: Sequence[int],
    others: Sequence[str],
    limit: int | None,
    missing: Collection[str] = (),
) -> list[Step]:
    """Drives of all rows, one step for each kind of others.

    Args:
        out: directory of the table.
        name: of the preset.
        test: held-out recordings.
        seeds: of trainings.
        others: how others move.
        limit: most scenarios.
        missing: names of trainings that failed; what they would have left is not driven.
    """
    preset = PRESETS[name]
    world = world_dir(out, "tokens", "stochastic", seeds[0])
    planned = world.name not in missing
    planners = [one for one in preset.planners if planned or "{world_model}" not in one]
    drivers: list[str | Path] = ["human", "no-action", "idm"]
    drivers += [one.format(world_model=world) for one in planners]
    runs = [trained(out, row, seed) for row in preset.learned for seed in seeds]
    drivers += [run for run in runs if run.name not in missing]
    models = [world] if any("{world_model}" in one for one in planners) else []
    return [
        drive(
            f"{name}-among-{slug(kind)}", scored(out, name, kind), test, drivers,
            {"protocol": PPUU, "limit": limit} if kind == PPUU else
            {"others": kind, "limit": limit},
            models,
        )
        for kind in others
    ]  # fmt: skip


def scored(out: Path, name: str, others: str) -> Path:
    """Result file of a table's drives among one kind of others."""
    return out / f"{name}-among-{slug(others)}.json"


def drives_of(
    out: Path, name: str, others: Sequence[str]
) -> tuple[list[dict[str, str]], list[Row]]:
    """The episodes of a table's drives among all kinds of others, and drivers in pairs."""
    episodes: list[dict[str, str]] = []
    compared: list[Row] = []
    for kind in others:
        result = scored(out, name, kind)
        drives = read_json(result)
        compared += drives.get("comparisons", ())
        with open(result.with_suffix(".episodes.csv"), newline="") as file:
            found = list(csv.DictReader(file))
        # The recorded human's own drive stands beside every kind of others.
        episodes += [
            episode | {"others": kind, "commit": drives["commit"]}
            for episode in found
            if kind == PPUU or episode["others"] == kind
        ]
    return episodes, compared


def tabulate(
    episodes: Sequence[Mapping[str, str]], rows: Mapping[str, tuple[Sequence[str], str]]
) -> list[Row]:
    """One line for each row and kind of others, over all of its seeds.

    Args:
        episodes: as ``eval.closed_loop`` writes them.
        rows: the drivers' labels of each row, one a seed, and the published result.
    """
    table: list[Row] = []
    for others in dict.fromkeys(episode["others"] for episode in episodes):
        among = [episode for episode in episodes if episode["others"] == others]
        for name, (labels, published) in rows.items():
            driven = [[e for e in among if e["policy"] == label] for label in labels]
            table.append(_row(name, others, driven, published))
    return table


def _row(
    name: str, others: str, driven: Sequence[Sequence[Mapping[str, str]]], published: str
) -> Row:
    scenario, values = [], []
    for episodes in driven:
        for episode in episodes:
            scenario.append(f"{episode['recording']}/{episode['vehicle_id']}")
            values.append((*_passed(episode), float(episode["distance_m"])))
    _, cluster = np.unique(scenario, return_inverse=True)
    success, forgiven, distance = clustered_means(np.array(values, float), cluster)
    rates = [np.mean([e["outcome"] in SUCCESSES for e in episodes]) for episodes in driven]
    return {
        "name": name,
        "others": others,
        "commit": commits_of(episode for episodes in driven for episode in episodes),
        "seeds": len(driven),
        "success": success,
        "seed_deviation": float(np.std(rates, ddof=1)) if len(rates) > 1 else None,
        "success_alt": forgiven,
        "distance_m": distance,
        "published_i80": published,
    }


def _passed(episode: Mapping[str, str]) -> tuple[float, float]:
    """Whether it succeeded, and with hits by blind followers left out or, by PPUU, forgiven."""
    succeeded = episode["outcome"] in SUCCESSES
    if "alt_outcome" in episode:
        alone = episode["alt_outcome"] in SUCCESSES and episode["ahead_collision"] == "False"
        return succeeded, alone
    struck = episode["outcome"] == "collision" and episode["at_fault"] == "False"
    return succeeded, np.nan if struck else succeeded


def markdown(rows: Sequence[Row], failed: Sequence[str] = ()) -> str:
    """The table for a README, and below it the trainings that failed."""
    lines = [
        "| driver | others | success, % | sd of seeds | forgiven, % | distance, m | "
        "I-80, published: % / m |",
        "| --- | --- | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        success, forgiven, distance = (row[key] for key in ("success", "success_alt", "distance_m"))
        assert isinstance(success, Metric)
        assert isinstance(forgiven, Metric)
        assert isinstance(distance, Metric)
        spread = row["seed_deviation"]
        lines.append(
            f"| {row['name']} | {row['others']} | {_percent(success)} | "
            f"{'' if spread is None else f'{100 * float(spread):.1f}'} | {_percent(forgiven)} | "
            f"{distance.value:.0f} ({distance.low:.0f}-{distance.high:.0f}) | "
            f"{row['published_i80']} |"
        )
    if failed:
        lines += ["", f"Failed, and left out: {', '.join(failed)}."]
    return "\n".join(lines) + "\n"


def _percent(share: Metric) -> str:
    if math.isnan(share.value):
        return ""
    if math.isnan(share.low):
        return f"{100 * share.value:.1f}"
    return f"{100 * share.value:.1f} ({100 * share.low:.1f}-{100 * share.high:.1f})"


def main(
    recordings: tuple[Path, ...],
    test: tuple[Path, ...],
    out: Path,
    preset: Annotated[str, enumerated({k: v.summary for k, v in PRESETS.items()})] = "core",
    seeds: tuple[int, ...] = (0, 1, 2),
    others: tuple[str, ...] = ("replay", "reactive", PPUU),
    world_model_updates: int | None = None,
    policy_updates: int | None = None,
    imitation_updates: int | None = None,
    limit: int | None = None,
    at_once: int = 2,
    device: str | None = None,
    dry_run: bool = False,
) -> None:
    """Trains every row of a table over several seeds, drives held-out traffic, writes the table.

    What is up to date is reused, and an interrupted run goes on. A training that fails is left out
    of the table, which names it, and the command ends with an error. OUT/table-PRESET.json
    holds the rows and drivers in pairs, OUT/table-PRESET.md the table for people: success and
    distance over all seeds with 95 % intervals (scenarios resampled), the deviation between seeds,
    and what was published for I-80, which is another data set. OUT/logs holds what each command
    printed. Presets: ppuu has all that was published, core the main table in the default world
    model, sweep rollout lengths; ppuu and paper are for a GPU.

    Args:
        recordings: training data, all of it.
        test: held-out recordings; none may be trained on.
        out: directory of the table.
        preset: which rows.
        seeds: one training of world model and policy each.
        others: how others move: a name of envs.traffic.registry; or ppuu, PPUU's protocol among
            recorded others.
        world_model_updates: instead of the preset's.
        policy_updates: instead of the preset's.
        imitation_updates: instead of the policies' updates, for imitation.
        limit: drive only so many scenarios, spread evenly over the list.
        at_once: commands at a time; each uses one core.
        device: where networks compute, such as cpu or cuda; each command's own default if not
            given.
        dry_run: print what would run and why, and run nothing.
    """
    _require(preset, out, seeds, others, limit)
    require_runnable(seeds, recordings, test)
    pipeline = Pipeline(out, at_once, device)
    chosen, config = PRESETS[preset], {
        "preset": preset, "recordings": list(map(str, recordings)), "test": list(map(str, test)),
        "seeds": list(seeds), "others": list(others), "limit": limit,
        "world_model_updates": world_model_updates, "policy_updates": policy_updates,
        "imitation_updates": imitation_updates,
    }  # fmt: skip
    scale = {
        "world_model": _updates(world_model_updates),
        "policy": _updates(policy_updates),
        "imitation": _updates(imitation_updates),
    }
    learned = trainings(out, chosen, recordings, seeds, scale)
    if dry_run:
        driven = scores(out, preset, test, seeds, others, limit)
        sys.stdout.write(pipeline.explain([*learned, *driven]))
        return
    outcome = pipeline.run(learned)
    driven = scores(out, preset, test, seeds, others, limit, missing=outcome.failed)
    outcome |= pipeline.run(driven)
    done = [kind for kind, step in zip(others, driven, strict=True) if step.name in outcome.seconds]
    if not done:
        outcome.require_complete(pipeline.logs)
    episodes, compared = drives_of(out, preset, done)
    labels = dict.fromkeys(episode["policy"] for episode in episodes)
    rows = {
        label: ([label], chosen.published.get(label, ""))
        for label in labels
        if not (out / "policies" / label).is_dir()
    }
    for row in chosen.learned:
        names = [trained(out, row, seed).name for seed in seeds]
        if successful := [name for name in names if name in labels]:
            rows[row.name] = successful, row.published
    table = tabulate(episodes, rows)
    config |= {"seconds": outcome.seconds, "failed": outcome.failed}
    results, page = out / f"table-{preset}.json", out / f"table-{preset}.md"
    write_results(results, "eval.table", config, table, compared)
    with atomic_write(page) as temporary:
        temporary.write_text(markdown(table, outcome.failed))
    print(text_table(table))
    sys.stdout.write(f"\n{results}\n{page}\n")
    outcome.require_complete(pipeline.logs)


def _require(
    preset: str, out: Path, seeds: Sequence[int], others: Sequence[str], limit: int | None
) -> None:
    """Raises InputError if no such table can be trained and scored."""
    require_choice("--preset", preset, PRESETS)
    if len(seeds) == 1 and any(row.world == ENSEMBLE for row in PRESETS[preset].learned):
        raise InputError(
            f"--seeds {seeds[0]}: --preset {preset} has a row with an ensemble, whose members are "
            "the seeds' world models; name at least two"
        )
    for kind in others:
        if kind != PPUU and not is_traffic(kind):
            raise InputError(f"--others {kind}: not one of {', '.join([*NAMES, PPUU])}")
        if kind.startswith(POLICY):
            policy_by_name(kind.removeprefix(POLICY), f"--others {POLICY}")
    if "," in str(out):
        raise InputError(f"--out {out}: planners' names separate their settings by commas")
    if not others or len(set(others)) < len(others):
        raise InputError(f"--others {' '.join(others)}: name each kind once, and at least one")
    if limit is not None and limit < 1:
        raise InputError(f"--limit {limit}: must be positive")


def _updates(count: int | None) -> Options:
    return {} if count is None else {"updates": count}


if __name__ == "__main__":
    run(main)
