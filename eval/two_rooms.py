"""``python -m eval.two_rooms``: navigation from room to room by planning in embeddings."""

from __future__ import annotations

import json as json_format
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from data.toys.rooms import SIDE, Layout, RoomsConfig, draw_rooms, draw_tasks, moved, picture
from ppuu.encoders import JepaNetwork, JepaNetworkConfig
from ppuu.encoders.linear_probe import least_squares_probe
from ppuu.loading.runs import weights_hash
from ppuu.planners import PLANNERS, CostFunction
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.command import run
from ppuu.runtime.config import from_json
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write, check_output, read_json
from ppuu.runtime.provenance import source_commit

from .reports.results import write_results
from .reports.tables import text_table
from .statistics.intervals import over_seeds, rate
from .statistics.metric import Row

TOLERANCES = {"near": 4.5 / 65, "exact": 1.41 / 65}
"""As fractions of the side: eb_jepa's 4.5 of 65 pixels, and PLDM's 1.41."""
_SEED = 10**6


@dataclass(frozen=True)
class Protocol:
    """Settings of episodes and of the planner.

    Attributes:
        episodes: starts, and goals in the other room; the same for all runs.
        budget: steps of an episode.
        horizon: steps of a plan.
        replan_every: steps between plans.
        planner: of ``ppuu.planners``.
        candidates, iterations: of it.
        cost: which steps' distances from the goal's embedding count: ``sum``, all; ``late``, those
            of the second half, which leaves time for a detour; ``last``, that one.
    """

    episodes: int = 60
    budget: int = 60
    horizon: int = 24
    replan_every: int = 4
    planner: str = "icem"
    candidates: int = 256
    iterations: int = 4
    cost: Literal["sum", "late", "last"] = "late"

    def __post_init__(self):
        if min(self.episodes, self.budget, self.horizon, self.replan_every) < 1:
            raise InputError(f"{self}: episodes, budget, horizon and replan_every must be positive")
        if self.replan_every > self.horizon:
            raise InputError(
                f"--protocol.replan-every {self.replan_every}: a plan has {self.horizon} steps"
            )
        if self.planner not in ("cem", "icem", "mppi"):
            raise InputError(f"--protocol.planner {self.planner}: not one of cem, icem, mppi")


CostFrom = Callable[[Float[Tensor, "batch 2"]], CostFunction]
"""From present positions to the cost of plans."""


def embedding_cost(
    model: JepaNetwork, layout: Layout, goal: Float[Tensor, "batch 2"], protocol: Protocol
) -> CostFrom:
    """Squared distances of predicted embeddings from the goal's."""
    target = model.encode(picture(goal, layout)).flatten(1)

    def cost_from(position: Tensor) -> CostFunction:
        start = model.encode(picture(position, layout))

        def cost(actions: Tensor) -> Tensor:
            batch, candidates, horizon, _ = actions.shape
            state = start.repeat_interleave(candidates, 0)
            ahead = model.unroll(state, within_a_step(actions).flatten(0, 1))[:, 1:].flatten(2)
            difference = ahead.view(batch, candidates, horizon, -1) - target[:, None, None]
            return _mean_over_steps(difference.square().mean(-1), protocol)

        return cost

    return cost_from


def privileged_cost(layout: Layout, goal: Float[Tensor, "batch 2"], protocol: Protocol) -> CostFrom:
    """Privileged: true motion, and true squared straight-line distances."""

    def cost_from(position: Tensor) -> CostFunction:
        def cost(actions: Tensor) -> Tensor:
            candidates = actions.shape[1]
            many = Layout(*(part.repeat_interleave(candidates) for part in vars(layout).values()))
            now, distances = position.repeat_interleave(candidates, 0), []
            for action in within_a_step(actions).flatten(0, 1).unbind(1):
                now = moved(now, action, many)
                distances.append((now - goal.repeat_interleave(candidates, 0)).square().sum(-1))
            each = torch.stack(distances, -1).view(len(position), candidates, -1)
            return _mean_over_steps(each, protocol)

        return cost

    return cost_from


def within_a_step(actions: Float[Tensor, "*shape 2"]) -> Float[Tensor, "*shape 2"]:
    """Projects onto the unit disc of possible steps; planners search a square."""
    return actions / actions.norm(dim=-1, keepdim=True).clamp(min=1.0)


def _mean_over_steps(distances: Tensor, protocol: Protocol) -> Float[Tensor, "batch candidates"]:
    first = {"sum": 0, "late": protocol.horizon // 2, "last": protocol.horizon - 1}
    return distances[..., first[protocol.cost] :].mean(-1)


@torch.no_grad()
def navigate(
    costs: CostFrom | None,
    layout: Layout,
    start: Float[Tensor, "batch 2"],
    protocol: Protocol,
    seed: int,
) -> Float[Tensor, "batch time 2"]:
    """Positions of all episodes at once; without ``costs`` with random actions."""
    generator, positions = torch.Generator().manual_seed(seed), [start]
    shape = (len(start), protocol.horizon, 2)
    planner = PLANNERS[protocol.planner]
    sizes = {"candidates": protocol.candidates, "iterations": protocol.iterations}
    if protocol.planner != "mppi":
        sizes["elites"] = max(2, protocol.candidates // 10)
    planner = type(planner)(**vars(planner) | sizes)
    plan = torch.zeros(shape)
    for step in tqdm(range(protocol.budget), disable=not sys.stderr.isatty()):
        if costs is None:
            plan = 2.0 * torch.rand(shape, generator=generator) - 1.0
        elif step % protocol.replan_every == 0:
            initial = plan.roll(-protocol.replan_every, 1)
            initial[:, -protocol.replan_every :] = 0.0
            plan = planner.plan(costs(positions[-1]), initial[:, None], generator).actions
        action = plan[:, step % protocol.replan_every if costs is not None else 0]
        positions.append(moved(positions[-1], within_a_step(action), layout))
    return torch.stack(positions, dim=1)


def outcome(
    positions: Float[Tensor, "batch time 2"], goal: Float[Tensor, "batch 2"]
) -> dict[str, list[bool]]:
    """Whether an episode was ever near the goal, and is at its end; at both tolerances."""
    distance = (positions - goal[:, None]).norm(dim=-1)
    hits = {}
    for name, tolerance in TOLERANCES.items():
        hits[f"{name}_hit"] = (distance < tolerance).any(1).tolist()
        hits[f"{name}_final"] = (distance[:, -1] < tolerance).tolist()
    return hits


@torch.no_grad()
def position_error(model: JepaNetwork, rooms: RoomsConfig) -> float:
    """Root mean square error of positions by a linear probe of predicted embeddings, in sides."""

    def embeddings_and_positions(seed: int) -> tuple[Tensor, Tensor]:
        walks = draw_rooms(rooms, 1024, torch.Generator().manual_seed(seed))
        states = model.unroll(model.encode(walks.images[:, 0]), walks.actions).flatten(2)
        return states.flatten(0, 1), walks.positions.flatten(0, 1).double()

    probe = least_squares_probe(*embeddings_and_positions(_SEED + 1))
    states, positions = embeddings_and_positions(_SEED + 2)
    return (probe(states) - positions).square().mean().sqrt().item()


def evaluate(where: Path, protocol: Protocol) -> dict[str, Any]:
    """The episodes of one run; results are cached in ``evaluation-….json`` beside it."""
    identity = asdict(protocol)
    name = "-".join(str(value) for value in identity.values())
    path = where / f"evaluation-{name}.json"
    checkpoint = Checkpoint.load(where, "rooms")
    config = checkpoint.config
    rooms = from_json(RoomsConfig, config["training"]["rooms"], f"{where}: rooms")
    jepa = from_json(JepaNetworkConfig, config["training"]["jepa"], f"{where}: jepa")
    model = JepaNetwork(jepa, 2, SIDE, SIDE, 2)
    checkpoint.restore(model, where)
    model.requires_grad_(False).eval()
    weights = weights_hash(model)
    if path.is_file():
        cached = read_json(path)
        if cached.get("weights") == weights:
            return cached
    layout, start, goal = tasks(rooms, protocol)
    began = time.process_time()
    costs = embedding_cost(model, layout, goal, protocol)
    positions = navigate(costs, layout, start, protocol, 0)
    seconds = time.process_time() - began
    result = outcome(positions, goal) | {
        "variant": config["variant"], "seed": config["seed"], "weights": weights,
        "training": config["training"],
        "updates": checkpoint.step, "train_cpu_s": config["train_cpu_s"],
        "position_rmse": position_error(model, rooms),
        "episode_cpu_s": seconds / protocol.episodes,
        "commits": sorted({config["commit"], source_commit()}),
    }  # fmt: skip
    with atomic_write(path) as temporary:
        temporary.write_text(json_format.dumps(result) + "\n")
    return result


def tasks(rooms: RoomsConfig, protocol: Protocol) -> tuple[Layout, Tensor, Tensor]:
    """Layouts, starts and goals, the same for all runs."""
    return draw_tasks(rooms, protocol.episodes, torch.Generator().manual_seed(_SEED))


def references(rooms: RoomsConfig, protocol: Protocol) -> list[dict[str, Any]]:
    """Planning with the true motion and distance, and random actions."""
    layout, start, goal = tasks(rooms, protocol)
    drivers = {
        "true motion and distance": privileged_cost(layout, goal, protocol),
        "random actions": None,
    }
    return [
        {"variant": name, **outcome(navigate(costs, layout, start, protocol, 0), goal)}
        for name, costs in drivers.items()
    ]


def require_alike(runs: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """Seeds of a variant are pooled, and all runs are compared in the same rooms.

    Raises:
        InputError: the runs of a variant differ in their training, or runs in their rooms.
    """
    first: dict[str, Mapping[str, Any]] = {}
    for one in results:
        training = one["training"]
        if training["rooms"] != results[0]["training"]["rooms"]:
            raise InputError(f"{runs}: holds runs of different rooms; keep each in its own folder")
        if training != first.setdefault(one["variant"], training):
            raise InputError(
                f"{runs}: runs of {one['variant']} differ in their training; keep each scale in a "
                "folder of its own"
            )


def table(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row for each variant.

    Rates are over all seeds and episodes, with Wilson's interval for as many as there are
    episodes: all seeds have the same ones and are not independent.  Of times and errors, means and
    Student's intervals over seeds.
    """
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in results:
        groups[one["variant"]].append(one)
    rows = []
    for variant, group in groups.items():
        row: dict[str, Any] = {"name": variant, "seeds": len(group)}
        for name in (f"{near}_{when}" for near in TOLERANCES for when in ("hit", "final")):
            episodes = len(group[0][name])
            row[name] = rate(float(np.mean([one[name] for one in group])) * episodes, episodes)
        for name in ("position_rmse", "train_cpu_s", "episode_cpu_s"):
            if name in group[0]:
                row[name] = over_seeds([one[name] for one in group])
        commits = {commit for one in group for commit in one.get("commits", [source_commit()])}
        rows.append(row | {"commit": ", ".join(sorted(commits))})
    return rows


def main(runs: Path, json: Path | None = None, protocol: Protocol = Protocol()) -> None:
    """Navigates from room to room with every run of a study.

    ``hit``: the goal was reached at some step of the budget (as PLDM counts); ``final``: it is
    reached at the last step (as eb_jepa does).  ``near`` is within 4.5 of 65 pixels (eb_jepa),
    ``exact`` within 1.41 (PLDM), as fractions of the side.

    Args:
        runs: folder that ``train.two_rooms`` wrote.
        json: where to write the results; they are printed either way.
        protocol: of the episodes.
    """
    check_output(json)
    torch.set_num_threads(1)
    where = sorted(path.parent for path in runs.glob("*/checkpoint.pt"))
    if not where:
        raise InputError(f"{runs}: holds no run; run python -m train.two_rooms --out {runs}")
    results = [evaluate(each, protocol) for each in where]
    require_alike(runs, results)
    rooms = from_json(RoomsConfig, results[0]["training"]["rooms"], f"{where[0]}: rooms")
    rows = table([*results, *references(rooms, protocol)])
    sys.stdout.write(text_table(rows) + "\n")
    if json is not None:
        config = {
            "runs": str(runs), "protocol": asdict(protocol), "tolerances": TOLERANCES,
            "commits": sorted({commit for one in results for commit in one["commits"]}),
        }  # fmt: skip
        write_results(json, "eval.two_rooms", config, rows)


if __name__ == "__main__":
    run(main)
