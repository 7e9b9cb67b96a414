"""The weighted sum of the terms: what it adds up, what it refuses, how it grows."""

import dataclasses
import math
import subprocess
import sys
import textwrap
from dataclasses import dataclass, fields, replace
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
import torch

import ppuu
from ppuu.costs import (
    TERMS,
    Contact,
    DrivingCost,
    DrivingCostConfig,
    Offroad,
    PathTerm,
    Proximity,
    VehicleTerm,
)
from ppuu.geometry import to_world
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError
from tests.gradients import cosine
from tests.helpers import dense_recording
from tests.rollouts import as_images, crowd, random_images, rollout_among, spaced

ROAD = RoadMap.build([dense_recording().road], RasterConfig())
SCENES = [crowd, random_images]
NAMES = ["boxes", "images"]


def settings(term):
    """Names of the numbers of a term."""
    return [field.name for field in fields(term) if isinstance(getattr(term(), field.name), float)]


EVERY_SETTING = [(name, setting) for name, term in TERMS.items() for setting in settings(term)]


@pytest.mark.parametrize("wrong", [-0.1, math.inf, math.nan, -math.inf])
@pytest.mark.parametrize("name, setting", EVERY_SETTING)
def test_weights_and_settings_are_numbers_that_are_not_negative(name, setting, wrong):
    """Each is refused in one line that names it."""
    with pytest.raises(InputError) as refused:
        DrivingCostConfig(**{name: TERMS[name](**{setting: wrong})})
    message = str(refused.value)
    assert "\n" not in message
    assert setting in message and TERMS[name].__name__ in message


def test_the_whole_numbers_of_a_command_line_are_numbers_too():
    with pytest.raises(InputError, match="weight"):
        Proximity(weight=-1)
    assert Proximity(weight=0).weight == 0


def test_a_term_is_validated_however_its_annotations_are_kept():
    """Postponed annotations are strings; they do not decide what is a number."""

    @dataclass(frozen=True)
    class Plain(PathTerm):
        reach_m: float = 1.0
        note: str = "is no number"

        def cost(self, rollout):
            return rollout.states[..., 0]

    @dataclass(frozen=True)
    class Postponed(PathTerm):
        reach_m: "float" = 1.0
        note: "str" = "is no number"

        def cost(self, rollout):
            return rollout.states[..., 0]

    for kind in (Plain, Postponed):
        assert kind(weight=2.0, reach_m=0.5).reach_m == 0.5
        for wrong in (-1.0, math.nan, math.inf):
            with pytest.raises(InputError, match="reach_m"):
                kind(reach_m=wrong)
            with pytest.raises(InputError, match="weight"):
                kind(weight=wrong)


def test_every_term_has_a_field_of_its_name():
    config = DrivingCostConfig()
    assert [field.name for field in fields(config)] == list(TERMS)
    assert all(isinstance(getattr(config, name), term) for name, term in TERMS.items())
    assert replace(config, offroad=Offroad(weight=6.0)).offroad.weight == 6.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.offroad = Offroad()


@pytest.mark.parametrize("scene", SCENES, ids=NAMES)
def test_the_whole_is_the_weighted_sum(scene):
    rollout = scene(rows=2, candidates=3, dtype=torch.float64)
    weights = {name: 1.5 + number for number, name in enumerate(TERMS)}
    config = DrivingCostConfig(**{name: TERMS[name](weight=w) for name, w in weights.items()})
    costs = DrivingCost(config).evaluate(rollout)
    assert set(costs.terms) == set(weights)
    assert costs.vehicle_cost.shape == (2, 3, rollout.prediction.samples, 2)
    torch.testing.assert_close(
        costs.total, sum(weight * costs.terms[name] for name, weight in weights.items())
    )
    among = [name for name, term in TERMS.items() if issubclass(term, VehicleTerm)]
    torch.testing.assert_close(
        costs.vehicle_cost.mean(2), sum(weights[name] * costs.terms[name] for name in among)
    )
    assert (costs.total > 0).all()


@pytest.mark.parametrize("scene", SCENES, ids=NAMES)
def test_a_term_in_the_sum_is_the_term_alone(scene):
    rollout = scene(rows=2, candidates=3, dtype=torch.float64)
    found = DrivingCost().evaluate(rollout).terms
    for name, kind in TERMS.items():
        term, ego = kind(), rollout.ego
        if isinstance(term, PathTerm):
            expected = term.cost(rollout)
        elif isinstance(term, VehicleTerm):
            mass = rollout.prediction.vehicle_mass(term.mask(ego), ego)[..., 0]
            expected = term.cost(mass, ego).mean(2)
        else:
            mass = rollout.prediction.road_mass(term.mask(ego), ego, term.channel)[..., 0]
            expected = term.cost(mass, ego).mean(2)
        torch.testing.assert_close(found[name], expected)


@pytest.mark.parametrize("scene", SCENES, ids=NAMES)
def test_gradients_of_the_whole(scene):
    """But for the lane's speed, which is taken as given."""
    rollout = scene(rows=2, candidates=2, time=2, dtype=torch.float64)
    config = DrivingCostConfig(lane_speed=TERMS["lane_speed"](weight=0.0))

    def value(states, actions):
        return DrivingCost(config).evaluate(replace(rollout, states=states, actions=actions)).total

    leaves = [leaf.clone().requires_grad_() for leaf in (rollout.states, rollout.actions)]
    assert torch.autograd.gradcheck(value, leaves, eps=1e-8, atol=1e-5, rtol=1e-4)
    found = torch.autograd.grad(value(*leaves).sum(), leaves)
    assert all(gradient.abs().max() > 1e-3 for gradient in found)


def moved(rollout, origin):
    """The scene somewhere else."""
    prediction = rollout.prediction
    change = {"pose": to_world(prediction.pose, origin)}
    if hasattr(prediction, "states"):
        change["states"] = to_world(prediction.states, origin)
    return replace(
        rollout,
        states=to_world(rollout.states, origin),
        prediction=replace(prediction, **change),
    )


@pytest.mark.parametrize("scene", SCENES, ids=NAMES)
def test_moving_and_turning_the_world_changes_no_cost(scene):
    rollout = scene(rows=2, candidates=2, dtype=torch.float64)
    origin = torch.tensor([-200.0, 90.0, 2.5], dtype=torch.float64)
    here, there = (DrivingCost().evaluate(one) for one in (rollout, moved(rollout, origin)))
    for name in here.terms:
        torch.testing.assert_close(here.terms[name], there.terms[name])
    torch.testing.assert_close(here.vehicle_cost, there.vehicle_cost)
    torch.testing.assert_close(here.other_cost, there.other_cost)


def test_free_slots_cost_nothing():
    rollout = crowd(rows=4, candidates=2)
    empty = replace(rollout.prediction, valid=torch.zeros_like(rollout.prediction.valid))
    costs = DrivingCost().evaluate(replace(rollout, prediction=empty))
    assert (costs.vehicle_cost == 0).all()
    assert costs.terms["lane_speed"].abs().max() < 1e-9


def test_a_row_does_not_depend_on_the_others():
    rollout = crowd(rows=5, candidates=3, road=ROAD, dtype=torch.float64)
    together = DrivingCost().evaluate(rollout)
    for row in range(5):
        one = slice(row, row + 1)
        prediction = rollout.prediction
        alone = replace(
            rollout,
            **{
                name: getattr(rollout, name)[one]
                for name in ("states", "actions", "previous_action", "size_m")
            },
            prediction=replace(
                prediction, states=prediction.states[one], size_m=prediction.size_m[one],
                valid=prediction.valid[one], pose=prediction.pose[one],
                road=prediction.road.take(torch.tensor([row])),
            ),
        )  # fmt: skip
        found = DrivingCost().evaluate(alone)
        torch.testing.assert_close(found.total[0], together.total[row], atol=1e-12, rtol=0)
        torch.testing.assert_close(
            found.vehicle_cost[0], together.vehicle_cost[row], atol=1e-12, rtol=0
        )


def test_the_same_scene_costs_the_same_as_boxes_and_as_images():
    """On a road, in traffic, up to the size of a pixel: costs term by term, and where they push."""
    pixel_m = 0.2
    road = Road.straight(100.0, 3, 3.7, start_m=-50.0)
    roads = RoadMap.build([road], RasterConfig(metres_per_pixel=pixel_m))
    rollout = spaced(rows=10, samples=1, ego_turn=0.1, road=roads, middle_m=(0.0, 5.55))
    found, gradients = [], []
    for kind in (rollout, as_images(rollout, pixel_m)):
        states = rollout.states.clone().requires_grad_()
        costs = DrivingCost().evaluate(replace(kind, states=states))
        found.append(costs)
        gradients.append(torch.autograd.grad(costs.vehicle_cost.sum(), states)[0])
    for name in TERMS:
        boxes, images = (costs.terms[name] for costs in found)
        error = (boxes - images).square().mean().sqrt()
        assert error <= 0.06 * boxes.square().mean().sqrt(), name
    assert cosine(*gradients) > 0.98


TAIL = '''
"""Others close behind."""

from __future__ import annotations

from dataclasses import dataclass

from ...predictions import EgoMask
from ..base import VehicleTerm


@dataclass(frozen=True)
class TailGap(VehicleTerm):
    weight: float = 0.5
    reach_m: float = 3.0

    def mask(self, ego):
        return EgoMask.of(ego, ego.half_length_m, 0.0, self.reach_m, ego.half_width_m, 0.0)

    def cost(self, mass_m2, ego):
        return mass_m2.square()
'''

USE = """
import torch
from ppuu.costs import TERMS, DrivingCost, DrivingCostConfig, VehicleTerm
from tests.rollouts import rollout_among

assert "tail_gap" in TERMS and issubclass(TERMS["tail_gap"], VehicleTerm)
config = DrivingCostConfig()
assert config.tail_gap.weight == 0.5
behind = rollout_among([(-4.6, 0.0, 0.0, 4.5, 1.0)])
costs = DrivingCost(config).evaluate(behind)
mass = behind.prediction.vehicle_mass(config.tail_gap.mask(behind.ego), behind.ego)[..., 0]
assert mass.item() > 1
torch.testing.assert_close(costs.terms["tail_gap"], mass.square().mean(2))
without = DrivingCostConfig(tail_gap=TERMS["tail_gap"](weight=0.0))
less = DrivingCost(without).evaluate(behind)
torch.testing.assert_close(costs.vehicle_cost - less.vehicle_cost, 0.5 * mass.square())
print("counted")
"""


def test_a_new_file_is_a_term_that_counts(tmp_path):
    """In a copy of the library; nothing else is changed there."""
    root = Path(ppuu.__file__).parents[1]
    copytree(root / "ppuu", tmp_path / "ppuu", ignore=ignore_patterns("__pycache__"))
    for folder in ("data", "tests"):
        (tmp_path / folder).symlink_to(root / folder)
    (tmp_path / "ppuu" / "costs" / "terms" / "tail_gap.py").write_text(textwrap.dedent(TAIL))
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "counted", done.stderr


def test_a_vehicle_that_touches_costs_more_than_one_that_is_near():
    """With the default weights, a little into the ego's flank against a little beside it."""
    cost = DrivingCost(DrivingCostConfig(contact=Contact(), proximity=Proximity()))

    def total(lateral):
        return float(cost.evaluate(rollout_among([(0.0, lateral, 0.0, 4.5, 1.8)])).total)

    values = [total(lateral) for lateral in (0.9, 1.5, 2.0, 2.4, 2.8, 4.0)]
    assert values == sorted(values, reverse=True)
