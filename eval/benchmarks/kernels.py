"""How long each compiled kernel takes beside the tensor operations that it stands for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from data.traffic import PRESETS, generate
from envs.core.route import follow
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.termination import contact, off_the_road, outcomes
from envs.core.world import World
from ppuu.backends.dispatch import Paired, only_tensors
from ppuu.backends.take import take, take_fractions
from ppuu.driving.motion import drive
from ppuu.driving.vehicle_limits import VehicleLimits
from ppuu.kinematics import rollout
from ppuu.perception.raster import draw_into
from ppuu.perception.raster_image import CHANNELS, RasterConfig
from ppuu.perception.road_map import LocalRoad, RoadMap, draw_road
from ppuu.perception.vehicle_raster import draw_vehicles
from ppuu.predictions import (
    BoxPrediction,
    EgoMask,
    EgoPath,
    KnownSpeed,
    OccupancyPrediction,
    UniformMotion,
)
from ppuu.predictions.road_mass import road_masses
from ppuu.runtime.errors import InputError

from ..statistics.intervals import median_and_range
from ..statistics.metric import Row

_STEPS, _SAMPLES, _SLOTS = 10, 3, 24
"""Of predictions, as planners ask for them."""
_MASKS_M = ((2.25, 0.5, 0.5, 0.9, 0.5), (2.25, 20.0, 2.0, 0.9, 1.0), (15.0, 0.5, 0.5, 1.8, 0.5))
"""Sizes of masks like those of contact, distance and lane speed."""


@dataclass(frozen=True)
class Case:
    """One computation.

    Attributes:
        pair: whose two implementations are measured.
        what: further words for the table: which size, with or without gradients.
        compute: the call.
    """

    pair: Paired
    what: str
    compute: Callable[[], object]


@dataclass(frozen=True)
class KernelsBenchmark:
    """Milliseconds of each kernel and of its twin, in turn, at the sizes that occur.

    Simulators have so many environments, planners so many candidates in one environment.

    Attributes:
        environments: episodes or images at once.
        candidates: action sequences of a planner.
        threads: numbers of torch's threads, one after the other.
        seconds: of generated traffic.
        rounds: blocks of each implementation; the table has their median and range.
        block_s: least duration of a block.
    """

    environments: tuple[int, ...] = (64, 256)
    candidates: int = 128
    threads: tuple[int, ...] = (1, 2)
    seconds: float = 20.0
    rounds: int = 7
    block_s: float = 0.02

    def run(self) -> list[Row]:
        """One row for each number of threads and computation."""
        if min(*self.environments, *self.threads, self.candidates, self.rounds) < 1:
            raise InputError(
                "--environments, --candidates, --threads and --rounds must be positive"
            )
        world = World.build([generate(PRESETS["dense"], self.seconds, seed=0)])
        cases = [case for size in self.environments for case in _simulator_cases(world, size)]
        cases += _planner_cases(world.road_map, self.candidates)
        before, rows = torch.get_num_threads(), []
        try:
            for threads in self.threads:
                torch.set_num_threads(threads)
                rows += [self._row(case, threads) for case in cases]
        finally:
            torch.set_num_threads(before)
        return rows

    def _row(self, case: Case, threads: int) -> Row:
        compiled, tensors = [], []
        # The first round compiles and fills caches.
        for _ in range(self.rounds + 1):
            compiled.append(1e3 * self._seconds(case, compiled=True))
            tensors.append(1e3 * self._seconds(case, compiled=False))
        fast, slow = median_and_range(compiled[1:]), median_and_range(tensors[1:])
        return {
            "name": f"{case.pair.__name__.strip('_')}, {case.what}",
            "kernels": " ".join(kernel.name for kernel in case.pair.kernels),
            "threads": threads,
            "compiled_ms": fast,
            "tensors_ms": slow,
            "faster_by": slow.value / fast.value,
        }

    def _seconds(self, case: Case, compiled: bool) -> float:
        """Mean duration of a call over one block."""
        calls = 0
        with nullcontext() if compiled else only_tensors():
            start = time.perf_counter()
            while (spent := time.perf_counter() - start) < self.block_s or calls == 0:
                case.compute()
                calls += 1
        return spent / calls


def _simulator_cases(world: World, envs: int) -> Iterator[Case]:
    """What a step and an observation consist of."""
    simulator = Simulator(world.scene, world.road_map, SimulatorConfig(observation=None))
    simulator.reset(world.scenarios[np.arange(envs) % len(world.scenarios)])
    state, box, road = simulator.state.clone(), simulator.ego_box, simulator.road
    others, pose = simulator.neighbours(), box[:, :3].contiguous()
    every, still = torch.arange(envs), torch.zeros(envs, 2)
    rows = torch.arange(2 * envs) * 7 % (2 * envs)
    raster, images = RasterConfig(), torch.randint(256, (2 * envs, CHANNELS, 117, 24)).byte()
    across = torch.linspace(-1.85, 1.85, 9)
    x, y = pose[:, :1].expand(-1, 9).contiguous(), pose[:, 1:2] + across

    def move() -> None:
        Simulator._move(simulator, every, still, others)

    yield Case(Simulator._move, f"{envs}", move)
    yield Case(contact, f"{envs}", lambda: contact(box, state[:, 3], others))
    yield Case(off_the_road, f"{envs}", lambda: off_the_road(box, road, world.road_map.area))
    yield Case(
        outcomes, f"{envs}",
        lambda: outcomes(simulator.station_m, simulator.goal_m, simulator.enough_m,
                         *[simulator.at_fault] * 5),
    )  # fmt: skip
    yield Case(follow, f"{envs}", lambda: follow(simulator.route_m, simulator.station_m, state))
    yield Case(draw_road, f"{envs}", lambda: draw_road(pose, road, world.road_map, raster))
    yield Case(
        draw_vehicles, f"{envs}",
        lambda: draw_vehicles(pose, others.boxes, others.valid, raster),
    )  # fmt: skip
    yield Case(
        draw_into, f"{envs}",
        lambda: draw_into(images, every, pose, others, road, world.road_map, raster),
    )  # fmt: skip
    yield Case(RoadMap.read, f"{envs} x 9", lambda: world.road_map.read(x, y, road))
    yield Case(take, f"{2 * envs} images", lambda: take(images, rows))
    yield Case(take_fractions, f"{2 * envs} images", lambda: take_fractions(images, rows))


def _planner_cases(road_map: RoadMap, candidates: int) -> Iterator[Case]:
    """What a decision consists of, without and with gradients."""
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int, low: tuple[float, ...], high: tuple[float, ...]) -> Tensor:
        unit = torch.rand(*shape, len(low), generator=generator)
        return torch.tensor(low) + (torch.tensor(high) - torch.tensor(low)) * unit

    start = torch.tensor([100.0, 6.0, 0.0, 10.0]).expand(1, candidates, 4)
    actions = uniform(1, candidates, _STEPS, low=(-2.0, -0.01), high=(2.0, 0.01))
    states = rollout(start, actions, 0.1, 3)
    size = torch.tensor([[4.5, 1.8]])
    sizes = torch.tensor(_MASKS_M).expand(1, candidates, _STEPS, len(_MASKS_M), 5).contiguous()
    poses, raster = states[:, :1, :, :3], RasterConfig()
    road = LocalRoad(road_map, torch.zeros(1, dtype=torch.int64))
    boxes = BoxPrediction(
        poses, raster,
        uniform(1, 1, _SAMPLES, _STEPS, _SLOTS, low=(65, -3, -0.1, 5), high=(135, 21, 0.1, 15)),
        size.expand(1, _SLOTS, 2), torch.ones(1, _SLOTS, dtype=torch.bool), road,
    )  # fmt: skip
    drawn = OccupancyPrediction(
        poses, raster, boxes.vehicle_images(poses[:, 0]), boxes.road_images(poses[:, 0]),
        UniformMotion(KnownSpeed(torch.tensor([10.0]))),
    )  # fmt: skip

    def masses(pair: Paired, name: str, moments: Callable[[EgoMask, EgoPath], Tensor], masks: bool):
        """Without and with gradients to the path, and to the masks if the pair has them."""
        for wanted in (False, True):

            def compute(wanted=wanted) -> None:
                leaves = [states.clone().requires_grad_(wanted)]
                leaves += [sizes.clone().requires_grad_(wanted)] if masks else []
                mask = EgoMask.from_sizes(leaves[-1] if masks else sizes)
                mass = moments(mask, EgoPath(leaves[0], size))
                if wanted:
                    torch.autograd.grad(mass.sum(), leaves)

            how = ", with gradients" if wanted else ""
            yield Case(pair, f"{name}{candidates} candidates{how}", compute)

    def stacked(prediction: BoxPrediction | OccupancyPrediction):
        return lambda mask, ego: torch.stack(prediction.vehicle_moments(mask, ego), -1)

    limits, before = VehicleLimits.of(size[:, None]), torch.zeros(1, 1, 2)

    def moved(path: Callable[[Tensor], Tensor], wanted: bool) -> None:
        leaf = actions.clone().requires_grad_(wanted)
        states = path(leaf)
        if wanted:
            torch.autograd.grad(states.sum(), leaf)

    paths = {
        rollout: lambda leaf: rollout(start, leaf, 0.1, 3),
        drive: lambda leaf: drive(start, leaf, before, limits, 0.1, 3).states,
    }
    for pair, path in paths.items():
        for wanted, how in ((False, ""), (True, ", with gradients")):
            yield Case(pair, f"{candidates} candidates{how}", partial(moved, path, wanted))
    asked, speed = actions[:, :, 0], start[..., 3]
    yield Case(
        VehicleLimits.project, f"{candidates} candidates",
        lambda: limits.project(asked, before, speed, 0.1),
    )  # fmt: skip
    yield from masses(BoxPrediction.vehicle_moments, "boxes, ", stacked(boxes), True)
    yield from masses(OccupancyPrediction.moments_from, "images, ", stacked(drawn), True)
    channels = np.arange(len(_MASKS_M)) % 2
    yield from masses(
        road_masses, "", lambda mask, ego: road_masses(road, mask, ego, channels), False
    )
