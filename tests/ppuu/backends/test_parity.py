"""Every compiled kernel beside the tensor operations that it stands for: values and gradients."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from envs.core.route import follow
from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.termination import contact, off_the_road, outcomes
from envs.core.world import World
from ppuu import backends
from ppuu.backends.dispatch import Paired, only_tensors
from ppuu.backends.kernel import Kernel
from ppuu.backends.take import take, take_fractions
from ppuu.costs import DrivingCost
from ppuu.driving.motion import drive
from ppuu.driving.vehicle_limits import VehicleLimits
from ppuu.kinematics import rollout
from ppuu.perception.goal import NODE_SPACING_M
from ppuu.perception.raster import draw, draw_into
from ppuu.perception.raster_image import CHANNELS, RasterConfig
from ppuu.perception.road_map import RoadMap, draw_road
from ppuu.perception.vehicle_raster import draw_boxes, draw_vehicles
from ppuu.predictions import BoxPrediction, EgoMask, EgoPath, OccupancyPrediction, RasterizedMotion
from ppuu.predictions.road_mass import road_masses
from ppuu.recordings.drivable import DrivableArea
from ppuu.recordings.neighbours import Neighbours
from ppuu.recordings.road import Road
from tests.envs.core.test_termination import scenes
from tests.gradients import value_and_gradients
from tests.helpers import dense_recording
from tests.rollouts import crowd, random_images, random_masks, uniform

ROOT = Path(__file__).parents[3]
RASTER = RasterConfig()
ROADS = [Road.straight(60.0, 3, 3.5, start_m=-20.0), Road.straight(90.0, 2, 4.0)]


@dataclass(frozen=True)
class Case:
    """One computation, by kernels and by tensor operations.

    Attributes:
        pair: whose two implementations these are.
        compute: a tensor of the leaves, or several tensors of none.
        leaves: what gradients are wanted to.
        share: tolerated error as a share of the largest number.
        rtol: tolerated error as a share of each number, on top.
        apart: largest share of elements that differ, where rounding decides between two cases.
        gradient_apart: the same of gradients.
    """

    pair: Paired
    compute: Callable
    leaves: tuple[Tensor, ...] = ()
    share: float = 1e-5
    rtol: float = 1e-4
    apart: float = 0.0
    gradient_apart: float = 0.0

    def results(self) -> list[Tensor]:
        if self.leaves:
            return list(value_and_gradients(self.compute, self.leaves))
        return list(self.compute())


def stack(moments: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(moments), dim=-1)


def rollout_case(dtype: torch.dtype, held: int, **tolerance) -> Case:
    """Some stop, some of these pull away again, and some begin at rest with a zero plan."""
    generator = torch.Generator().manual_seed(0)
    state = 5 * torch.randn(800, 4, generator=generator, dtype=dtype)
    actions = torch.randn(800, 12, 2, generator=generator, dtype=dtype)
    actions *= actions.new_tensor([4.0, 0.05])
    state[:, 3] = state[:, 3].abs()
    actions[:400, :6, 0] -= 6.0
    state[:100, 3], actions[:100, :, 0] = 0.0, 0.0
    return Case(rollout, lambda s, a: rollout(s, a, 0.1, held), (state, actions), **tolerance)


def asked_of_vehicles(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, VehicleLimits]:
    """States, actions beyond every limit, actions before, and limits of cars and lorries."""
    generator = torch.Generator().manual_seed(0)
    state = 5 * torch.randn(800, 4, generator=generator, dtype=dtype)
    state[:, 3] = 4 * state[:, 3].abs()
    actions = torch.randn(800, 12, 2, generator=generator, dtype=dtype)
    actions *= actions.new_tensor([6.0, 0.05])
    actions[:100, :6, 0] -= 9.0
    before = 0.5 * actions.flip(0)[:, 0]
    return state, actions, before, VehicleLimits.of(state.new_tensor([[4.5, 1.8], [12.0, 2.5]]))


def drive_case(dtype: torch.dtype, held: int, **tolerance) -> Case:
    state, actions, before, two = asked_of_vehicles(dtype)
    limits = VehicleLimits(two.values.repeat(400, 1))

    def compute(*leaves: Tensor) -> Tensor:
        path = drive(*leaves, limits, 0.1, held)
        return torch.cat([path.states.flatten(1), path.actions.flatten(1), path.last_action], 1)

    return Case(drive, compute, (state, actions, before), **tolerance)


def project_case() -> Case:
    state, actions, before, two = asked_of_vehicles(torch.float32)
    limits = VehicleLimits(two.values.repeat(400, 1))
    return Case(
        VehicleLimits.project,
        lambda: [limits.project(actions[:, 0], before, state[:, 3], 0.1)],
        share=5e-4,
    )


def traffic_from(poses: int, seed: int = 3):
    """Poses, boxes around the origin, which of them are there, and roads.

    Some poses lie beyond the roads and the drawn part of the world; some boxes are lorries.
    """
    random = torch.Generator().manual_seed(seed)
    low, high = (-40.0, -9.0, -3.1, 3.5, 1.6), (40.0, 9.0, 3.1, 6.0, 2.5)
    boxes = uniform(random, poses, 20, 5, low=low, high=high)
    boxes[:, 0, 3] = 16.0
    pose = torch.randn(poses, 3, generator=random) * torch.tensor([40.0, 8.0, 1.0])
    visible = torch.rand(poses, 20, generator=random) < 0.8
    return pose, boxes, visible, torch.randint(2, (poses,), generator=random)


def raster_cases() -> dict[str, Case]:
    pose, boxes, visible, road = traffic_from(140)
    tolerance = {"share": 2e-4, "rtol": 0.0}
    cases = {}
    for name, size in {"default": RASTER, "other": RasterConfig(64, 40, 0.3)}.items():
        roads = RoadMap.build(ROADS, size)

        def into(size=size, roads=roads, dtype=torch.float32):
            images = torch.zeros(150, CHANNELS, size.rows, size.columns, dtype=dtype)
            place = torch.arange(140).flip(0)
            others = Neighbours.of(boxes, visible)
            draw_into(images, place, pose, others, road, roads, size)
            return (images.float(),)

        several = {
            "draw": (draw, lambda s=size, r=roads: [draw(pose, boxes, visible, road, r, s)]),
            "draw_into": (draw_into, into),
            "draw_road": (draw_road, lambda s=size, r=roads: [draw_road(pose, road, r, s)]),
            "draw_vehicles": (
                draw_vehicles, lambda s=size: [draw_vehicles(pose, boxes, visible, s)],
            ),
            "draw_boxes": (draw_boxes, lambda s=size: [draw_boxes(boxes, visible, s)]),
        }  # fmt: skip
        cases |= {
            f"{key}, {name} size": Case(pair, compute, **tolerance)
            for key, (pair, compute) in several.items()
        }
    # A byte more or less, where rounding decides.
    cases["draw_into, bytes"] = Case(
        draw_into, lambda: into(RASTER, RoadMap.build(ROADS, RASTER), torch.uint8),
        share=1.01 / 255, rtol=0.0,
    )  # fmt: skip
    return cases


def read_case() -> Case:
    pose, _, _, road = traffic_from(13_000)
    road_map = RoadMap.build(ROADS, RASTER)
    y = pose[:, 1:2] + torch.linspace(-4.0, 4.0, 5)
    x = pose[:, :1].expand_as(y)
    return Case(RoadMap.read, lambda: [road_map.read(x, y, road)], share=2e-4, rtol=0.0)


def box_case(question: str, own: bool) -> Case:
    rows = crowd(rows=20, candidates=3, own=own)

    def value(states, sizes):
        mask, ego = EgoMask.from_sizes(sizes), EgoPath(states, rows.size_m)
        moments = getattr(rows.prediction, question)(mask, ego)
        return moments if isinstance(moments, Tensor) else stack(moments)

    return Case(BoxPrediction.vehicle_moments, value, (rows.states, random_masks(rows.ego).sizes_m))


def patchy_images(**more):
    """Random images with pixels that nothing covers and nothing moves in, and their momentum."""
    rows = random_images(candidates=3, dtype=torch.float32, **more)
    prediction = rows.prediction
    covered = prediction.vehicles > 0.3
    momentum = prediction.motion.momentum(prediction.vehicles) * covered[:, :, :, :, None]
    return replace(
        rows, prediction=replace(prediction, vehicles=prediction.vehicles * covered)
    ), momentum


def image_case(rows, momentum, sizes: Tensor, moving: bool, to_images: bool) -> Case:
    def value(states, sizes, vehicles=rows.prediction.vehicles, momentum=momentum):
        motion = RasterizedMotion(lambda: momentum)
        prediction = replace(rows.prediction, vehicles=vehicles, motion=motion)
        mask, ego = EgoMask.from_sizes(sizes), EgoPath(states, rows.size_m)
        if moving:
            return stack(prediction.vehicle_moments(mask, ego))
        return prediction.vehicle_mass(mask, ego)

    leaves = (rows.states, sizes, rows.prediction.vehicles, momentum)
    chosen = leaves[: (4 if moving else 3) if to_images else 2]
    return Case(OccupancyPrediction.moments_from, value, chosen)


def image_cases() -> dict[str, Case]:
    cases = {}
    for own in (False, True):
        rows, momentum = patchy_images(rows=6, own=own)
        sizes = random_masks(rows.ego).sizes_m
        for moving in (False, True):
            for to_images in (False, True):
                name = f"{'moments' if moving else 'mass'} of {'own' if own else 'shared'} images"
                name += ", gradients to them" if to_images else ""
                cases[name] = image_case(rows, momentum, sizes, moving, to_images)
    # Edges and centres of pixels lie exactly under the ego's axes.
    for pixels in ((20, 8), (21, 9)):
        rows, momentum = patchy_images(rows=4, raster=RasterConfig(*pixels, 0.5))
        pose = torch.zeros_like(rows.prediction.pose)
        rows = replace(
            rows,
            states=torch.zeros_like(rows.states),
            prediction=replace(rows.prediction, pose=pose),
        )
        for half_width in (0.0, 0.75, 1.0):
            sizes = EgoMask.of(rows.ego, 2.25, 3.0, 2.0, half_width, 1.5).sizes_m
            name = f"images of {pixels[0]} rows from their own pose, half-width {half_width}"
            cases[name] = image_case(rows, momentum, sizes, True, True)
    for channel in ("lanes", "offroad"):
        rows = random_images(rows=6, candidates=3, dtype=torch.float32)

        def value(states, sizes, road, rows=rows, channel=channel):
            prediction = replace(rows.prediction, road=road)
            mask, ego = EgoMask.from_sizes(sizes), EgoPath(states, rows.size_m)
            return prediction.road_mass(mask, ego, channel)

        leaves = rows.states, random_masks(rows.ego).sizes_m, rows.prediction.road
        cases[f"{channel} of images"] = Case(OccupancyPrediction.moments_from, value, leaves)
    return cases


def road_case(channel: str) -> Case:
    """Where a point lies on a node's edge, rounding decides between two slopes."""
    rows = crowd(rows=20, candidates=3, road=RoadMap.build([dense_recording().road], RASTER))
    mask = random_masks(rows.ego)

    def value(states):
        return rows.prediction.road_mass(mask, EgoPath(states, rows.size_m), channel)

    return Case(road_masses, value, (rows.states,), 1e-4, gradient_apart=0.02)


def cost_case(pair: Paired, rows) -> Case:
    """The whole driving cost; the road's slopes as in ``road_case``."""

    def value(states, actions):
        return DrivingCost().evaluate(replace(rows, states=states, actions=actions)).total

    return Case(pair, value, (rows.states, rows.actions), 1e-4, 1e-3, gradient_apart=0.02)


def contact_case(slots: int) -> Case:
    """Where boxes all but touch, rounding decides."""
    ego, speed, others = scenes(3000, slots)
    return Case(
        contact, lambda: astuple(contact(ego, speed, others)), share=2e-6, rtol=1e-3, apart=2e-3
    )


def off_the_road_case() -> Case:
    """On the edges of the lanes rounding decides."""
    random = torch.Generator().manual_seed(0)
    low, high = (-30.0, -4.0, -3.1, 3.0, 1.5), (110.0, 16.0, 3.1, 11.0, 2.5)
    box, road = uniform(random, 7000, 5, low=low, high=high), torch.arange(7000) % 2
    area = DrivableArea.build(ROADS)
    return Case(off_the_road, lambda: [off_the_road(box, road, area)], apart=2e-3)


def follow_case() -> Case:
    """Bends, egos beside and behind them, at stations near and far."""
    random, envs = torch.Generator().manual_seed(0), 7000
    turn = uniform(random, envs, 40, low=-0.2, high=0.2).cumsum(1)
    step = NODE_SPACING_M * torch.stack([turn.cos(), turn.sin()], dim=-1)
    route = step.cumsum(1)
    place = torch.randint(1, 38, (envs,), generator=random)
    state = uniform(random, envs, 4, low=(-6, -6, -3, 0), high=(6, 6, 3, 9))
    state[:, :2] += route[torch.arange(envs), place]
    station = (NODE_SPACING_M * place + uniform(random, envs, low=-8, high=8)).clamp(min=0.0)
    # Where two segments are as near as each other, rounding chooses.
    return Case(follow, lambda: [*follow(route, station, state)], apart=2e-3)


def outcomes_case() -> Case:
    """Every combination of flags, before and beyond the goal and what is enough."""
    random, envs = torch.Generator().manual_seed(0), 7000

    def flag():
        return torch.rand(envs, generator=random) < 0.3

    station, goal = (uniform(random, envs, low=0.0, high=100.0) for _ in range(2))
    enough = torch.where(flag(), torch.inf, 0.9 * goal)
    flags = [flag() for _ in range(5)]
    arguments = (station, goal, enough, *flags)
    return Case(outcomes, lambda: [outcomes(*arguments)])


def move_case(config: SimulatorConfig, scenarios: ScenarioConfig | None = None) -> Case:
    """Forty steps of a simulator; a box that all but touches ends episodes a frame apart."""
    world = World.build([dense_recording()], scenarios)

    def compute():
        simulator = Simulator(world.scene, world.road_map, config)
        simulator.reset(world.scenarios[np.arange(200) % len(world.scenarios)])
        random = torch.Generator().manual_seed(0)
        for _ in range(40):
            actions = torch.randn(simulator.envs, 2, generator=random)
            result = simulator.step(actions * torch.tensor([3.0, 0.02]))
        images = [] if config.observation is None else [simulator.images()]
        return *astuple(result), *images

    return Case(Simulator._move, compute, share=2e-5, rtol=1e-3, apart=0.03)


def take_cases() -> dict[str, Case]:
    random = torch.Generator().manual_seed(0)
    table = torch.randint(256, (50, 3, 7, 5), generator=random).byte()
    row = torch.randint(50, (900,), generator=random)
    exact = {"share": 0.0, "rtol": 0.0}
    return {
        "take": Case(take, lambda: [take(table, row)], **exact),
        "take no row": Case(take, lambda: [take(table, row[:0])], **exact),
        "take_fractions": Case(take_fractions, lambda: [take_fractions(table, row)], share=1e-7),
    }


ROAD_MAP = RoadMap.build([dense_recording().road], RASTER)
CASES: dict[str, Case] = {
    "rollout, float32": rollout_case(torch.float32, 1),
    "rollout, held, float32": rollout_case(torch.float32, 3, share=1e-4),
    "rollout, held, float64": rollout_case(torch.float64, 3, share=1e-12, rtol=1e-12),
    "drive, float32": drive_case(torch.float32, 1, share=1e-4, gradient_apart=1e-3),
    "drive, held, float64": drive_case(torch.float64, 3, share=1e-12, rtol=1e-11),
    "project": project_case(),
    **raster_cases(),
    "read": read_case(),
    **{
        f"{question}, {'own' if own else 'shared'} boxes": box_case(question, own)
        for question in ("vehicle_mass", "vehicle_momentum", "vehicle_moments")
        for own in (False, True)
    },
    **image_cases(),
    "lanes of a map": road_case("lanes"),
    "off-road area of a map": road_case("offroad"),
    "cost of boxes": cost_case(
        BoxPrediction.vehicle_moments,
        crowd(rows=20, candidates=3, road=ROAD_MAP),
    ),
    "cost of images": cost_case(
        OccupancyPrediction.moments_from,
        random_images(rows=20, candidates=3, dtype=torch.float32),
    ),
    "contact, 2 slots": contact_case(2),
    "contact, 12 slots": contact_case(12),
    "contact, 40 slots": contact_case(40),
    "off_the_road": off_the_road_case(),
    "outcomes": outcomes_case(),
    "follow": follow_case(),
    "move": move_case(SimulatorConfig(observation=None)),
    "move to a lane": move_case(
        SimulatorConfig(observation=None), ScenarioConfig(task="change-1", distance_m=25.0)
    ),
    "move and draw": move_case(SimulatorConfig()),
    **take_cases(),
}


@pytest.fixture
def launched(monkeypatch) -> set[Kernel]:
    """The kernels that have been launched."""
    names, launch = set(), Kernel.__call__

    def noted(self, *batched, **more):
        names.add(self)
        return launch(self, *batched, **more)

    monkeypatch.setattr(Kernel, "__call__", noted)
    return names


@pytest.mark.parametrize("name", CASES)
def test_a_kernel_computes_what_tensor_operations_do(name, launched):
    case = CASES[name]
    with only_tensors():
        reference = case.results()
    assert not launched
    results = case.results()
    # The gradient's kernel is not launched for the value.
    assert launched >= set(case.pair.kernels[: None if case.leaves else 1])
    for k, (found, expected) in enumerate(zip(results, reference, strict=True)):
        assert found.dtype == expected.dtype and found.shape == expected.shape
        found, expected = found.double(), expected.double()
        finite = expected[expected.isfinite()].abs()
        largest = float(finite.max()) if len(finite) else 0.0
        close = torch.isclose(
            found, expected, atol=case.share * largest, rtol=case.rtol, equal_nan=True
        )
        apart = case.gradient_apart if case.leaves and k else case.apart
        assert (~close).float().mean() <= apart if close.numel() else True, f"result {k}"
    if results[0].numel():
        assert any((expected != 0).any() for expected in reference), "nothing was computed"


@pytest.mark.parametrize("name", CASES)
def test_threads_change_nothing(name):
    """Neither to the gradient of images that several paths share."""
    before, results = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            results.append(CASES[name].results())
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def members(module, kind: type) -> list:
    """Those of a kind in a module and in its classes."""
    spaces = [module, *(c for c in vars(module).values() if isinstance(c, type))]
    return [
        member for space in spaces for member in vars(space).values() if isinstance(member, kind)
    ]


def test_every_kernel_has_a_twin_that_it_is_tested_against():
    names = [module.name for module in pkgutil.iter_modules(backends.__path__)]
    modules = [importlib.import_module(f"{backends.__name__}.{name}") for name in names]
    kernels = {kernel for module in modules for kernel in members(module, Kernel)}
    assert len(kernels) > 10
    assert kernels == {kernel for case in CASES.values() for kernel in case.pair.kernels}


def test_every_pair_is_tested():
    found = set()
    for folder in ("ppuu", "envs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "@paired(" in path.read_text(encoding="utf-8"):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found |= set(members(importlib.import_module(name), Paired))
    assert found == {case.pair for case in CASES.values()}


def test_inside_vmap_tensor_operations_serve():
    """No kernel can read what vmap passes on."""
    case = rollout_case(torch.float64, 3)
    state, actions = case.leaves
    mapped = torch.vmap(lambda s, a: rollout(s, a, 0.1, 3))(state, actions)
    torch.testing.assert_close(mapped, rollout(state, actions, 0.1, 3), rtol=0, atol=1e-9)
