"""``python -m eval.table``: train every row of a table over several seeds, score it, write it."""

from __future__ import annotations

import csv
import math
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from envs.traffic.registry import POLICY, TRAFFICS
from ppuu.loading.policy_names import policy_by_name
from ppuu.runtime.command import run
from ppuu.runtime.config import require_choice
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import read_json, written_whole
from ppuu.runtime.presets import enumerated

from .driving.success import SUCCESSES
from .reports.results import write_results
from .statistics.clustered import clustered_means
from .statistics.metric import Metric, Row
from .studies.pipeline import Step, carry_out, on_device, require_runnable
from .studies.table_rows import ENSEMBLE, FAMILIES, PRESETS, WORLDS, Learned

PPUU = "ppuu"
"""Instead of who the others are: by PPUU's rules, among recorded ones."""


def slug(name: str) -> str:
    """A row's name as a folder's."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def policy_dir(out: Path, row: Learned, seed: int) -> Path:
    """Where a row's policy is kept."""
    return out / "policies" / f"{slug(row.name)}-seed{seed}"


def world_dir(out: Path, family: str, world: str, seed: int) -> Path:
    """Where a world model is kept."""
    return out / "world-models" / f"{family}-{world}-seed{seed}"


def worlds_of(out: Path, row: Learned, seed: int, seeds: Sequence[int]) -> list[Path]:
    """The world model of a row and seed, or the ensemble's members, its own seed's first."""
    if row.world != ENSEMBLE:
        return [world_dir(out, row.family, row.world, seed)]
    members = [seed, *(other for other in seeds if other != seed)]
    return [world_dir(out, row.family, next(iter(WORLDS)), member) for member in members]


def imitation_row(family: str) -> Learned:
    """Where all policies of a family start from."""
    return Learned(f"imitation for {family}", "imitation", family)


def plan(
    out: Path,
    name: str,
    recordings: Sequence[Path],
    test: Sequence[Path],
    seeds: Sequence[int],
    scale: Mapping[str, tuple[str, ...]],
    others: Sequence[str],
    limit: int | None,
) -> list[list[Step]]:
    """The commands, in stages: world models, imitation, policies, scores.

    Args:
        out: directory of everything.
        name: of the preset.
        recordings, test: what is learnt from, and driven in.
        seeds: of trainings.
        scale: further words for ``train.world_model`` and ``train.policy``.
        others: how others move.
        limit: most scenarios.
    """
    preset = PRESETS[name]
    learnt = ("--split", "all", "--recordings", *map(str, recordings))
    in_model = [row for row in preset.learned if row.method != "imitation"]
    first_world = next(iter(WORLDS))
    worlds = dict.fromkeys(
        (row.family, first_world if row.world == ENSEMBLE else row.world) for row in in_model
    )
    models, starts, policies = [], [], []
    for seed in seeds:
        kept = ("--loop.seed", str(seed))
        for family, world in worlds:
            where = world_dir(out, family, world, seed)
            words = (
                "train.world_model", "--preset", FAMILIES[family].world_model, *learnt, "--out",
                str(where), *kept, *WORLDS[world], *scale["world_model"],
            )  # fmt: skip
            models.append(Step(f"world model {where.name}", words, where / ".done"))
        for family in dict.fromkeys(row.family for row in preset.learned):
            where = policy_dir(out, imitation_row(family), seed)
            words = (
                "train.policy", "--method", "imitation", "--preset", FAMILIES[family].policy,
                *learnt, "--out", str(where), *kept, *scale["imitation"],
            )  # fmt: skip
            starts.append(Step(f"{where.name}", words, where / ".done"))
        for row in in_model:
            where = policy_dir(out, row, seed)
            words = (
                "train.policy", "--method", row.method, "--preset", FAMILIES[row.family].policy,
                *learnt, "--out", str(where), *kept, "--world-model",
                *map(str, worlds_of(out, row, seed, seeds)), "--init",
                str(policy_dir(out, imitation_row(row.family), seed)), *row.options,
                *scale["policy"],
            )  # fmt: skip
            policies.append(Step(f"{where.name}", words, where / ".done"))
    drivers = ["human", "no-action", "idm"]
    first = str(world_dir(out, "tokens", "stochastic", seeds[0]))
    drivers += [planner.format(world_model=first) for planner in preset.planners]
    for row in preset.learned:
        drivers += [str(trained(out, row, seed)) for seed in seeds]
    scores = [
        Step(
            f"drive among others: {kind}",
            (
                "eval.closed_loop", "--policy", *drivers, "--recordings", *map(str, test),
                "--split", "all",
                *(("--protocol", PPUU) if kind == PPUU else ("--others", kind)),
                "--json", str(scored(out, name, kind)),
                *(() if limit is None else ("--limit", str(limit))),
            ),
            scored(out, name, kind),
        )
        for kind in others
    ]  # fmt: skip
    return [models, starts, policies, scores]


def scored(out: Path, name: str, others: str) -> Path:
    """Where a table's drives among one kind of others are kept."""
    return out / f"{name}-among-{slug(others)}.json"


def drives_of(
    out: Path, name: str, others: Sequence[str]
) -> tuple[list[dict[str, str]], list[Row]]:
    """The episodes of a table's drives among all kinds of others, and drivers in pairs."""
    episodes: list[dict[str, str]] = []
    compared: list[Row] = []
    for kind in others:
        result = scored(out, name, kind)
        scores = read_json(result)
        compared += scores.get("comparisons", ())
        with open(result.with_suffix(".episodes.csv"), newline="") as file:
            found = list(csv.DictReader(file))
        # The recorded human's own drive stands beside every kind of others.
        episodes += [
            episode | {"others": kind, "commit": scores["commit"]}
            for episode in found
            if kind == PPUU or episode["others"] == kind
        ]
    return episodes, compared


def trained(out: Path, row: Learned, seed: int) -> Path:
    """The run of a row; imitation is trained once a family, for the rows that start from it."""
    return policy_dir(out, imitation_row(row.family) if row.method == "imitation" else row, seed)


def tabulate(
    episodes: Sequence[Mapping[str, str]], rows: Mapping[str, tuple[Sequence[str], str]]
) -> list[Row]:
    """One line for each row and kind of others, over all of its seeds.

    Args:
        episodes: as ``eval.closed_loop`` keeps them.
        rows: the drivers' labels of each row, one a seed, and what was published.
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
        "seeds": len(driven),
        "success": success,
        "seed_deviation": float(np.std(rates, ddof=1)) if len(rates) > 1 else None,
        "success_alt": forgiven,
        "distance_m": distance,
        "published_i80": published,
        "commit": commits_of(episode for episodes in driven for episode in episodes),
    }


def _passed(episode: Mapping[str, str]) -> tuple[float, float]:
    """Whether it succeeded, and with hits by blind followers left out or, by PPUU, forgiven."""
    succeeded = episode["outcome"] in SUCCESSES
    if "alt_outcome" in episode:
        alone = episode["alt_outcome"] in SUCCESSES and episode["ahead_collision"] == "False"
        return succeeded, alone
    struck = episode["outcome"] == "collision" and episode["at_fault"] == "False"
    return succeeded, np.nan if struck else succeeded


def markdown(rows: Sequence[Row]) -> str:
    """The table for a README."""
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
) -> None:
    """Trains every row of a table over several seeds, drives held-out traffic, writes the table.

    What is trained already is picked up, and an interrupted run goes on.  OUT/table-PRESET.json
    holds the rows and drivers in pairs, OUT/table-PRESET.md the table for people: success and
    distance over all seeds with 95 % intervals (scenarios resampled), the deviation between seeds,
    and what was published for I-80, which is another data set.  Presets: ppuu has all that was
    published, core the main table in the default world model, sweep rollout lengths; ppuu and
    paper are for a GPU.

    Args:
        recordings: what is learnt from, all of it.
        test: what is driven in; nothing may be learnt from it.
        out: directory of everything.
        preset: which rows.
        seeds: one training of world model and policy each.
        others: how others move: replay, until-disturbed, reactive; or ppuu, PPUU's protocol among
            recorded others.
        world_model_updates: instead of the preset's.
        policy_updates: instead of the preset's.
        imitation_updates: instead of the policies' updates, for imitation.
        limit: drive only so many scenarios, spread evenly over the list.
        at_once: commands at a time; each uses one core.
        device: of every command: auto, cpu, cuda, …; each command's own default without.
    """
    _require(preset, out, seeds, others, limit)
    require_runnable(seeds, at_once, recordings, test)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
    stages = plan(out, preset, recordings, test, seeds, scale, others, limit)
    took = carry_out(on_device(stages, device), at_once)
    episodes, compared = drives_of(out, preset, others)
    labels = dict.fromkeys(episode["policy"] for episode in episodes)
    rows = {
        label: ([label], chosen.published.get(label, ""))
        for label in labels
        if not (out / "policies" / label).is_dir()
    }
    rows |= {
        row.name: ([trained(out, row, seed).name for seed in seeds], row.published)
        for row in chosen.learned
    }
    table = tabulate(episodes, rows)
    results, page = out / f"table-{preset}.json", out / f"table-{preset}.md"
    write_results(results, "eval.table", config | {"seconds": took}, table, compared)
    with written_whole(page) as temporary:
        temporary.write_text(markdown(table))
    print(text_table(table))
    sys.stdout.write(f"\n{results}\n{page}\n")


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
        if kind not in (*TRAFFICS, PPUU) and not kind.startswith(POLICY):
            raise InputError(f"--others {kind}: not one of {', '.join([*TRAFFICS, PPUU])}")
        if kind.startswith(POLICY):
            policy_by_name(kind.removeprefix(POLICY), f"--others {POLICY}")
    if "," in str(out):
        raise InputError(f"--out {out}: planners' names separate their settings by commas")
    if not others or len(set(others)) < len(others):
        raise InputError(f"--others {' '.join(others)}: name each kind once, and at least one")
    if limit is not None and limit < 1:
        raise InputError(f"--limit {limit}: must be positive")


def _updates(count: int | None) -> tuple[str, ...]:
    return () if count is None else ("--updates", str(count))


if __name__ == "__main__":
    run(main)
