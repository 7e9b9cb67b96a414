"""Cost terms one by one: identities, hand-computed values, gradients.

Expectations are computed from the terms' own settings and scalar functions, which may be tuned.
"""

from dataclasses import replace

import pytest
import torch

from ppuu.costs import (
    TERMS,
    Comfort,
    Contact,
    Lane,
    LaneSpeed,
    Offroad,
    PathTerm,
    Proximity,
    RoadTerm,
    VehicleTerm,
)
from ppuu.recordings.road import Road
from ppuu.units import LINE_WIDTH_M
from tests.exact_mass import exact_mass
from tests.rollouts import crowd, goal_near, random_images, rollout_among

CAR = (4.5, 1.8)
LANE_M = 3.7
ROAD = Road.straight(100.0, 3, LANE_M, start_m=-50.0)
KINDS = [False, True]
NAMES = ["boxes", "images"]
AMONG_VEHICLES = [name for name, term in TERMS.items() if issubclass(term, VehicleTerm)]
ON_ROADS = [name for name, term in TERMS.items() if issubclass(term, RoadTerm)]
OF_PATHS = [name for name, term in TERMS.items() if issubclass(term, PathTerm)]


def mass_of(term, rollout):
    """What the term sees."""
    mask = term.mask(rollout.ego)
    if isinstance(term, RoadTerm):
        return rollout.prediction.road_mass(mask, rollout.ego, term.channel)[..., 0]
    return rollout.prediction.vehicle_mass(mask, rollout.ego)[..., 0]


def cost_of(term, rollout):
    if isinstance(term, PathTerm):
        return term.cost(rollout)
    return term.cost(mass_of(term, rollout), rollout.ego).mean(2)


def cost_by_path(term, rollout):
    """A function of states, actions and the action before."""

    def value(states, actions, previous_action):
        return cost_of(
            term,
            replace(rollout, states=states, actions=actions, previous_action=previous_action),
        )

    return value


def gradients(term, rollout):
    leaves = [rollout.states, rollout.actions, rollout.previous_action]
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    value = cost_by_path(term, rollout)
    return leaves, value, torch.autograd.grad(value(*leaves).sum(), leaves, allow_unused=True)


def test_every_term_is_of_one_kind():
    assert sorted([*AMONG_VEHICLES, *ON_ROADS, *OF_PATHS]) == sorted(TERMS)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("scene", [crowd, random_images], ids=NAMES)
def test_gradients_by_the_path(name, scene):
    """Finite differences, exact almost everywhere: the costs are piecewise smooth."""
    rollout = scene(rows=2, candidates=2, time=3, dtype=torch.float64)
    rollout = replace(rollout, goal=goal_near(rollout))
    term = TERMS[name]()
    leaves, value, found = gradients(term, rollout)
    if isinstance(term, LaneSpeed):
        # The lane's speed is a constant, however the path goes.
        lane = rollout.lane_speed_mps
        expected = 2 * (rollout.states[..., 3] - lane) / term.difference_mps**2
        torch.testing.assert_close(found[0][..., 3], expected)
        assert (found[0][..., :3] == 0).all()
        return
    assert torch.autograd.gradcheck(value, leaves, eps=1e-8, atol=1e-5, rtol=1e-4)
    if not (isinstance(term, RoadTerm) and scene is crowd):  # a road without lines and edges
        assert any(part is not None and part.abs().max() > 1e-6 for part in found)


@pytest.mark.parametrize("name", [*AMONG_VEHICLES, *ON_ROADS])
def test_no_mass_costs_nothing_and_more_of_it_more(name):
    term, ego = TERMS[name](), crowd(rows=3, candidates=2).ego
    mass = torch.linspace(0.0, 9.0, 50)[:, None, None, None, None].expand(50, 3, 2, 4, 2)
    costs = torch.stack([term.cost(part, ego) for part in mass])
    assert (costs[0] == 0).all()
    assert (costs.diff(dim=0) >= 0).all()
    assert (costs[1] > 0).all()


@pytest.mark.parametrize("name", [*AMONG_VEHICLES, *ON_ROADS])
def test_each_sample_costs_what_it_costs_alone(name):
    term, rollout = TERMS[name](), crowd(rows=3, candidates=2)
    mass = torch.rand(3, 2, 5, 2, generator=torch.Generator().manual_seed(0)) * 5
    together = term.cost(mass, rollout.ego)
    for sample in range(5):
        alone = term.cost(mass[:, :, sample : sample + 1], rollout.ego)
        torch.testing.assert_close(together[:, :, sample : sample + 1], alone)


@pytest.mark.parametrize("drawn", KINDS, ids=NAMES)
@pytest.mark.parametrize("name", AMONG_VEHICLES)
def test_an_empty_road_costs_nothing(name, drawn):
    assert (cost_of(TERMS[name](), rollout_among(drawn=drawn)) == 0).all()


def leader(gap, speed=10.0, lateral=0.0, drawn=False):
    """A car some metres from bumper to bumper ahead."""
    boxes = [(4.5 + gap, lateral, 0.0, *CAR)]
    return rollout_among(boxes, [(0.0, 0.0, 0.0, speed)], drawn=drawn)


@pytest.mark.parametrize("drawn", KINDS, ids=NAMES)
@pytest.mark.parametrize(
    "term, gaps", [(Proximity(), (-2, 0, 3, 6, 9, 10)), (Contact(), (-3, -2, -1, 0, 1))]
)
def test_a_closer_leader_costs_more(term, gaps, drawn):
    values = [float(cost_of(term, leader(gap, drawn=drawn))) for gap in gaps]
    assert values == sorted(set(values), reverse=True)
    assert min(values) > 0


@pytest.mark.parametrize("drawn", KINDS, ids=NAMES)
def test_vehicles_out_of_reach_cost_nothing(drawn):
    proximity, contact = Proximity(), Contact()
    pixel = 0.7 if drawn else 0.0
    safe = proximity.headway_ahead_s * 10.0 + proximity.gap_ahead_m
    assert cost_of(proximity, leader(safe - 0.5, drawn=drawn)) > 0
    assert cost_of(proximity, leader(safe + pixel, drawn=drawn)) == 0
    assert cost_of(contact, leader(contact.margin_along_m + pixel, drawn=drawn)) == 0
    for term in (proximity, contact):
        assert cost_of(term, leader(-4.5, lateral=LANE_M, drawn=drawn)) == 0
        assert cost_of(term, leader(-4.5, lateral=2.0, drawn=drawn)) > 0


@pytest.mark.parametrize("drawn", KINDS, ids=NAMES)
def test_a_leader_costs_more_at_speed(drawn):
    gap, proximity = 8.0, Proximity()
    just = (gap - proximity.gap_ahead_m) / proximity.headway_ahead_s
    speeds = [just - 2.0, just + 1.0, just + 2.0, just + 4.0, just + 8.0]
    values = [float(cost_of(proximity, leader(gap, speed, drawn=drawn))) for speed in speeds]
    assert values[0] == 0
    assert values[1:] == sorted(set(values[1:]))
    assert values[1] > 0


@pytest.mark.parametrize("drawn", KINDS, ids=NAMES)
def test_vehicles_push_away(drawn):
    """A leader close ahead: less speed, further back.  A touch on the left: to the right."""
    _, _, (states, _, _) = gradients(Proximity(), leader(3.0, drawn=drawn))
    assert states[0, 0, 0, 0] > 0
    assert states[0, 0, 0, 3] > 0
    for term in (Proximity(), Contact()):
        touching = rollout_among([(1.0, 2.2, 0.0, *CAR)], drawn=drawn)
        _, _, (states, _, _) = gradients(term, touching)
        assert states[0, 0, 0, 1] > 0


@pytest.mark.parametrize("drawn", KINDS, ids=NAMES)
def test_contact_sees_the_area_shared(drawn):
    """Within the ego's box the mask is 1: of a box well inside it all the area counts."""
    rollout = rollout_among([(0.3, 0.2, 0.0, 1.5, 0.9)], size=(6.0, 3.0), drawn=drawn)
    assert float(mass_of(Contact(), rollout)) == pytest.approx(1.5 * 0.9, abs=1e-9)


@pytest.mark.parametrize("drawn, share", [(False, 1e-6), (True, 0.05)], ids=NAMES)
def test_proximity_of_a_far_spot_by_hand(drawn, share):
    """Straight ahead it weighs 1 - distance from the bumper / safe distance."""
    spot, distance, term = 0.3, 6.0, Proximity()
    rollout = rollout_among([(0.5 * CAR[0] + distance, 0.0, 0.0, spot, spot)], drawn=drawn)
    safe = term.headway_ahead_s * 10.0 + term.gap_ahead_m
    expected = torch.full((1, 1, 1, 1), (1 - distance / safe) * spot**2, dtype=torch.float64)
    found = mass_of(term, rollout)
    # In an image the spot is spread over the pixels it touches, half a pixel at most.
    torch.testing.assert_close(found, expected, rtol=share, atol=0)
    torch.testing.assert_close(
        term.cost(found, rollout.ego), term.cost(expected, rollout.ego), rtol=2 * share, atol=0
    )


def test_proximity_behind_has_a_headway_of_its_own():
    term = Proximity(headway_behind_s=0.2, gap_behind_m=1.0)
    spot, distance = 0.1, 1.5
    rollout = rollout_among([(-0.5 * CAR[0] - distance, 0.0, 0.0, spot, spot)])
    expected = (1 - distance / (0.2 * 10.0 + 1.0)) * spot**2
    assert float(mass_of(term, rollout)) == pytest.approx(expected, rel=1e-6)
    assert float(mass_of(term, rollout_among([(-6.0, 0.0, 0.0, spot, spot)]))) == 0


@pytest.mark.parametrize("term", [Proximity(), Contact()], ids=["proximity", "contact"])
def test_masks_along_the_ego_by_hand(term):
    """A neighbour that drives parallel, against the exact integral of the mask as described."""
    box = (3.1, 1.9, 0.0, *CAR)
    rollout = rollout_among([box], [(0.0, 0.0, 0.0, 8.0)])
    if isinstance(term, Contact):
        ahead = behind = term.margin_along_m
        side = term.margin_across_m
    else:
        ahead = term.headway_ahead_s * 8.0 + term.gap_ahead_m
        behind = term.headway_behind_s * 8.0 + term.gap_behind_m
        side = term.reach_side_m
    expected = exact_mass(box, (2.25, ahead, behind, 0.9, side))
    assert expected > 0.1
    assert float(mass_of(term, rollout)) == pytest.approx(expected, abs=1e-9)


def on_road(y, heading=0.0, drawn=False):
    return rollout_among(states=[(0.0, y, heading, 10.0)], road=ROAD, drawn=drawn)


@pytest.mark.parametrize("drawn", KINDS, ids=NAMES)
def test_lane_lines_under_the_ego(drawn):
    """Little in the middle of a lane, most on a line; one line under the axis all along is 1."""

    def lane(y):
        return float(mass_of(Lane(), on_road(y, drawn=drawn))) / (LINE_WIDTH_M * 4.5)

    in_the_middle = [lane(LANE_M * (number + 0.5)) for number in range(3)]
    on_a_line = [lane(LANE_M * line) for line in (1, 2)]
    # Lines are a sixth of a lane wide: the mean of a triangle over them, or over half of each of
    # two.  In an image the ego's axis lies between two columns, so that a line is shared by the
    # pixels half a pixel to its left and right.
    most, least = (5 / 6, 1 / 6) if drawn else (11 / 12, 1 / 12)
    assert on_a_line == pytest.approx([most] * 2, abs=0.01)
    assert in_the_middle == pytest.approx([least] * 3, abs=0.04)
    across = [lane(LANE_M * 1.5 + shift) for shift in (0.0, 0.5, 0.9, 1.3, 1.85)]
    assert across == sorted(across)
    assert lane(LANE_M * 1.25) == pytest.approx(0.5, abs=0.05)
    assert lane(100.0) == 0


def test_lane_is_one_with_a_line_along_the_axis():
    """In units of a line as long as the ego, whatever the line's width under a mask this wide."""
    term, ego = Lane(), rollout_among().ego
    mass = torch.full((1, 1, 1, 1), LINE_WIDTH_M * 4.5, dtype=torch.float64)
    assert float(term.cost(mass, ego)) == pytest.approx(1.0)


@pytest.mark.parametrize("drawn", KINDS, ids=NAMES)
def test_share_off_the_road(drawn):
    term = Offroad()

    def off(y):
        return float(mass_of(term, on_road(y, drawn=drawn)))

    assert off(LANE_M * 1.5) == 0
    # Wholly off the road the mask, fading on each side, adds up to more than the box.
    whole = (4.5 + term.margin_m) * (1.8 + term.margin_m)
    assert off(-30.0) == pytest.approx(whole, rel=1e-6)
    values = [off(y) for y in (2.0, 1.2, 0.8, 0.4, 0.0, -0.5, -1.0, -3.0)]
    assert values == sorted(values)
    assert values[0] == 0
    assert values[4] == pytest.approx(0.5 * whole, rel=0.12)
    assert float(cost_of(term, on_road(-30.0, drawn=drawn))) > float(
        cost_of(term, on_road(0.0, drawn=drawn))
    )


def test_the_road_pushes_back():
    """From the right edge to the left, and from a line to the middle of the lane it is nearest."""
    for term, y, sign in (
        (Offroad(), 0.5, -1),
        (Lane(), 1.2 * LANE_M, -1),
        (Lane(), 1.8 * LANE_M, 1),
    ):
        _, _, (states, _, _) = gradients(term, on_road(y))
        assert states[0, 0, 0, 1] * sign > 0


def test_comfort_by_hand():
    term = Comfort(
        acceleration_mps2=3.0, lateral_mps2=2.0, jerk_mps3=6.0, curvature_rate_radpms=0.1
    )
    actions = torch.tensor([[[[3.0, 0.02], [0.0, 0.0]]]], dtype=torch.float64)
    rollout = rollout_among(
        states=[(0, 0, 0, 10.0), (3, 0, 0, 10.0)], actions=actions, previous_action=(1.2, -0.01)
    )
    first = 1.0 + (0.02 * 100 / 2.0) ** 2 + (1.8 / 0.3 / 6.0) ** 2 + (0.03 / 0.3 / 0.1) ** 2
    second = (-3.0 / 0.3 / 6.0) ** 2 + (0.02 / 0.3 / 0.1) ** 2
    expected = torch.tensor([[[first, second]]], dtype=torch.float64)
    torch.testing.assert_close(term.cost(rollout), expected)
    still = rollout_among(states=[(0, 0, 0, 10.0)] * 3)
    assert (term.cost(still) == 0).all()


def test_comfort_of_candidates_begins_with_one_action_or_one_each():
    term, rollout = Comfort(), crowd(rows=3, candidates=4, dtype=torch.float64)
    shared = term.cost(rollout)
    each = replace(rollout, previous_action=rollout.previous_action.expand(-1, 4, -1))
    torch.testing.assert_close(term.cost(each), shared)
    for candidate in range(4):
        one = slice(candidate, candidate + 1)
        alone = replace(rollout, states=rollout.states[:, one], actions=rollout.actions[:, one])
        torch.testing.assert_close(term.cost(alone), shared[:, one])


def test_lane_speed_by_hand():
    """An empty lane has the ego's own speed; else the difference counts in squares of a unit."""
    term = LaneSpeed(difference_mps=3.0)
    alone = rollout_among(states=[(0, 0, 0, 10.0), (3, 0, 0, 13.0)])
    assert (term.cost(alone) == 0).all()
    wide = [(x, 0.0, 0.0, 8.0, 2.6) for x in (-10.0, 0.0, 10.0)]
    rollout = rollout_among(wide, alone.states[0, 0].tolist(), speed_mps=[6.0] * 3)
    lane = rollout.lane_speed_mps
    torch.testing.assert_close(lane, torch.full_like(lane, 6.0), atol=0.01, rtol=0)
    torch.testing.assert_close(term.cost(rollout), ((rollout.states[..., 3] - lane) / 3.0) ** 2)
    expected = torch.tensor([[[(4 / 3) ** 2, (7 / 3) ** 2]]], dtype=torch.float64)
    torch.testing.assert_close(term.cost(rollout), expected, atol=0, rtol=0.01)


def test_the_target_lane_costs_more_as_the_road_runs_out():
    rollout = crowd(rows=2, time=1, dtype=torch.float64)
    term = TERMS["target_lane"]()
    assert (term.cost(rollout) == 0).all()
    costs = {
        (aside, left): term.cost(replace(rollout, goal=goal_near(rollout, aside, left)))
        for aside in (0.0, LANE_M, -LANE_M, 2 * LANE_M, 20.0, 30.0)
        for left in (200.0, 40.0, -10.0)
    }
    assert costs[0.0, 40.0].abs().max() < 1e-9
    torch.testing.assert_close(costs[LANE_M, 40.0], costs[-LANE_M, 40.0])
    assert (costs[LANE_M, 200.0] < costs[LANE_M, 40.0]).all()
    assert (costs[LANE_M, 40.0] < costs[LANE_M, -10.0]).all()
    assert (2 * costs[LANE_M, 200.0] < costs[2 * LANE_M, 200.0]).all()
    torch.testing.assert_close(costs[20.0, 200.0], costs[30.0, 200.0])
    goal = goal_near(rollout, LANE_M)
    anywhere = replace(goal, wanted=torch.tensor([True, False]))
    assert term.cost(replace(rollout, goal=anywhere))[1].abs().max() == 0
