"""``python -m eval.two_rooms``: can one walk from room to room by planning in embeddings?"""

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
from ppuu.loading.runs import weights_hash
from ppuu.planners import PLANNERS, CostFunction
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.command import run
from ppuu.runtime.config import from_json
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output, read_json, written_whole
from ppuu.runtime.provenance import source_commit

from .reports.results import Row, format_table, over_seeds, rate, write_results

TOLERANCES = {"near": 4.5 / 65, "exact": 1.41 / 65}
"""As shares of the side: eb_jepa's 4.5 of 65 pixels, and PLDM's 1.41."""
_SEED = 10**6


@dataclass(frozen=True)
class Protocol:
    """How an episode goes.

    Attributes:
        episodes: starts, and goals in the other room; the same for everybody.
        budget: steps of an episode.
        horizon: steps that a plan looks ahead.
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
            raise InputError(f"{self}: nothing may be zero")
        if self.replan_every > self.horizon:
            raise InputError(
                f"--protocol.replan-every {self.replan_every}: a plan has {self.horizon} steps"
            )
        if self.planner not in ("cem", "icem", "mppi"):
            raise InputError(f"--protocol.planner {self.planner}: not one of cem, icem, mppi")


Goals = Callable[[Float[Tensor, "batch 2"]], CostFunction]
"""From where one is to what a plan costs."""


def in_embeddings(
    model: JepaNetwork, layout: Layout, goal: Float[Tensor, "batch 2"], protocol: Protocol
) -> Goals:
    """Squared distances of predicted embeddings from the goal's."""
    wanted = model.encode(picture(goal, layout)).flatten(1)

    def cost_from(place: Tensor) -> CostFunction:
        start = model.encode(picture(place, layout))

        def cost(actions: Tensor) -> Tensor:
            batch, candidates, horizon, _ = actions.shape
            state = start.repeat_interleave(candidates, 0)
            ahead = model.unroll(state, within_a_step(actions).flatten(0, 1))[:, 1:].flatten(2)
            away = ahead.view(batch, candidates, horizon, -1) - wanted[:, None, None]
            return _over_steps(away.square().mean(-1), protocol)

        return cost

    return cost_from


def in_truth(layout: Layout, goal: Float[Tensor, "batch 2"], protocol: Protocol) -> Goals:
    """Privileged: true motion, and true squared distances as the crow flies."""

    def cost_from(place: Tensor) -> CostFunction:
        def cost(actions: Tensor) -> Tensor:
            candidates = actions.shape[1]
            many = Layout(*(part.repeat_interleave(candidates) for part in vars(layout).values()))
            at, away = place.repeat_interleave(candidates, 0), []
            for action in within_a_step(actions).flatten(0, 1).unbind(1):
                at = moved(at, action, many)
                away.append((at - goal.repeat_interleave(candidates, 0)).square().sum(-1))
            return _over_steps(torch.stack(away, -1).view(len(place), candidates, -1), protocol)

        return cost

    return cost_from


def within_a_step(actions: Float[Tensor, "*shape 2"]) -> Float[Tensor, "*shape 2"]:
    """Planners search a square; the step is a disc."""
    return actions / actions.norm(dim=-1, keepdim=True).clamp(min=1.0)


def _over_steps(away: Tensor, protocol: Protocol) -> Float[Tensor, "batch candidates"]:
    first = {"sum": 0, "late": protocol.horizon // 2, "last": protocol.horizon - 1}
    return away[..., first[protocol.cost] :].mean(-1)


@torch.no_grad()
def walked(
    goals: Goals | None,
    layout: Layout,
    start: Float[Tensor, "batch 2"],
    protocol: Protocol,
    seed: int,
) -> Float[Tensor, "batch time 2"]:
    """Everybody walks to his goal, all at once; without ``goals`` at random."""
    generator, places = torch.Generator().manual_seed(seed), [start]
    shape = (len(start), protocol.horizon, 2)
    planner = PLANNERS[protocol.planner]
    sizes = {"candidates": protocol.candidates, "iterations": protocol.iterations}
    if protocol.planner != "mppi":
        sizes["elites"] = max(2, protocol.candidates // 10)
    planner = type(planner)(**vars(planner) | sizes)
    plan = torch.zeros(shape)
    for step in tqdm(range(protocol.budget), disable=not sys.stderr.isatty()):
        if goals is None:
            plan = 2.0 * torch.rand(shape, generator=generator) - 1.0
        elif step % protocol.replan_every == 0:
            kept = plan.roll(-protocol.replan_every, 1)
            kept[:, -protocol.replan_every :] = 0.0
            found = planner.plan(goals(places[-1]), kept[:, None], generator)
            plan = found.actions
        action = plan[:, step % protocol.replan_every if goals is not None else 0]
        places.append(moved(places[-1], within_a_step(action), layout))
    return torch.stack(places, dim=1)


def outcome(
    places: Float[Tensor, "batch time 2"], goal: Float[Tensor, "batch 2"]
) -> dict[str, list[bool]]:
    """Who has been near the goal, and who is there at the end; at both tolerances."""
    away = (places - goal[:, None]).norm(dim=-1)
    found = {}
    for name, tolerance in TOLERANCES.items():
        found[f"{name}_hit"] = (away < tolerance).any(1).tolist()
        found[f"{name}_final"] = (away[:, -1] < tolerance).tolist()
    return found


@torch.no_grad()
def position_error(model: JepaNetwork, rooms: RoomsConfig) -> float:
    """Root mean square error of a linear reading of places from predicted embeddings, in sides."""

    def looked_at(seed: int) -> tuple[Tensor, Tensor]:
        seen = draw_rooms(rooms, 1024, torch.Generator().manual_seed(seed))
        states = model.unroll(model.encode(seen.images[:, 0]), seen.actions).flatten(2)
        states = torch.cat([states, torch.ones_like(states[..., :1])], -1)
        return states.flatten(0, 1).double(), seen.positions.flatten(0, 1).double()

    states, places = looked_at(_SEED + 1)
    ridge = 1e-6 * len(states) * torch.eye(states.shape[1], dtype=states.dtype)
    probe = torch.linalg.solve(states.mT @ states + ridge, states.mT @ places)
    states, places = looked_at(_SEED + 2)
    return (states @ probe - places).square().mean().sqrt().item()


def judged(where: Path, protocol: Protocol) -> dict[str, Any]:
    """The episodes of one run; what has been judged stays in ``judged-….json`` beside it."""
    identity = asdict(protocol)
    name = "-".join(str(value) for value in identity.values())
    path = where / f"judged-{name}.json"
    checkpoint = Checkpoint.load(where, "rooms")
    config = checkpoint.config
    rooms = from_json(RoomsConfig, config["training"]["rooms"], f"{where}: rooms")
    jepa = from_json(JepaNetworkConfig, config["training"]["jepa"], f"{where}: jepa")
    model = JepaNetwork(jepa, 2, SIDE, SIDE, 2)
    checkpoint.restore(model, where)
    model.requires_grad_(False).eval()
    weights = weights_hash(model)
    if path.is_file():
        kept = read_json(path)
        if kept.get("weights") == weights:
            return kept
    layout, start, goal = tasks(rooms, protocol)
    began = time.process_time()
    places = walked(in_embeddings(model, layout, goal, protocol), layout, start, protocol, 0)
    seconds = time.process_time() - began
    found = outcome(places, goal) | {
        "variant": config["variant"], "seed": config["seed"], "weights": weights,
        "training": config["training"],
        "updates": checkpoint.step, "train_cpu_s": config["train_cpu_s"],
        "position_rmse": position_error(model, rooms),
        "episode_cpu_s": seconds / protocol.episodes,
        "commits": sorted({config["commit"], source_commit()}),
    }  # fmt: skip
    with written_whole(path) as temporary:
        temporary.write_text(json_format.dumps(found) + "\n")
    return found


def tasks(rooms: RoomsConfig, protocol: Protocol) -> tuple[Layout, Tensor, Tensor]:
    """The same for everybody."""
    return draw_tasks(rooms, protocol.episodes, torch.Generator().manual_seed(_SEED))


def references(rooms: RoomsConfig, protocol: Protocol) -> list[dict[str, Any]]:
    """Who knows everything but the way, and who knows nothing."""
    layout, start, goal = tasks(rooms, protocol)
    ways = {"true motion and distance": in_truth(layout, goal, protocol), "random actions": None}
    return [
        {"variant": name, **outcome(walked(goals, layout, start, protocol, 0), goal)}
        for name, goals in ways.items()
    ]


def require_alike(runs: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Seeds are pooled, and everybody walks in the same rooms.

    Raises:
        InputError: some were trained otherwise than others of their variant, or in other rooms.
    """
    first: dict[str, Mapping[str, Any]] = {}
    for one in found:
        training = one["training"]
        if training["rooms"] != found[0]["training"]["rooms"]:
            raise InputError(f"{runs}: holds runs of different rooms; keep each in its own folder")
        if training != first.setdefault(one["variant"], training):
            raise InputError(
                f"{runs}: runs of {one['variant']} differ in their training; keep each scale in a "
                "folder of its own"
            )


def table(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row for each variant.

    Shares are over all seeds and episodes, with Wilson's interval for as many as there are
    episodes: everybody walks the same ones, so further seeds may tell nothing new.  Of times and
    errors, means and Student's intervals over seeds.
    """
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in found:
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
        rows.append(row)
    return rows


def main(runs: Path, json: Path | None = None, protocol: Protocol = Protocol()) -> None:
    """Walks from room to room with every run of a study.

    ``hit``: the goal was met once within the budget (PLDM's way of counting); ``final``: it is met
    when the budget is used up (eb_jepa's).  ``near`` is within 4.5 of 65 pixels (eb_jepa),
    ``exact`` within 1.41 (PLDM), as shares of the side.

    Args:
        runs: folder that ``train.two_rooms`` wrote.
        json: where to write the table; it is printed either way.
        protocol: of an episode.
    """
    check_output(json)
    torch.set_num_threads(1)
    where = sorted(path.parent for path in runs.glob("*/checkpoint.pt"))
    if not where:
        raise InputError(f"{runs}: holds no run; run python -m train.two_rooms --out {runs}")
    found = [judged(each, protocol) for each in where]
    require_alike(runs, found)
    rooms = from_json(RoomsConfig, found[0]["training"]["rooms"], f"{where[0]}: rooms")
    rows = table([*found, *references(rooms, protocol)])
    sys.stdout.write(format_table(rows) + "\n")
    if json is not None:
        config = {
            "runs": str(runs), "protocol": asdict(protocol), "tolerances": TOLERANCES,
            "commits": sorted({commit for one in found for commit in one["commits"]}),
        }  # fmt: skip
        write_results(json, "eval.two_rooms", config, rows)


if __name__ == "__main__":
    run(main)
