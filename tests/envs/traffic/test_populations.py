"""Polite, mixed and assertive drivers: how they meet an ego that wants in, and each other."""

import pytest
import torch

from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.termination import CollisionKind
from envs.core.world import World
from envs.traffic.population import Manners
from envs.traffic.registry import traffic_by_name
from tests.helpers import LANE_WIDTH_M, Car, straight_recording

POLITE, MIXED, ASSERTIVE = "reactive:polite", "reactive", "reactive:assertive"


def among(name: str, cars, frames: int = 200, lanes: int = 2) -> Simulator:
    """The first of these cars is the ego."""
    recording = straight_recording(cars, frames, lanes=lanes)
    world = World.build([recording], ScenarioConfig(distance_m=150.0))
    traffic = traffic_by_name(name, world.scene, world.recordings)
    simulator = Simulator(world.scene, world.road_map, SimulatorConfig(observation=None), traffic)
    simulator.reset(world.scenarios[world.scenarios.vehicle == 0])
    return simulator


def steer(simulator: Simulator, aim_m: float, acceleration_mps2: float = 0.0) -> None:
    """One step of the ego towards a lateral position, without overshooting."""
    _, y, heading, speed = simulator.state[0].tolist()
    wanted = max(-0.06, min(0.06, 0.05 * (aim_m - y)))
    curvature = 4.0 * (wanted - heading) / max(speed, 1.0)
    simulator.step(torch.tensor([[acceleration_mps2, curvature]]))


def box_and_speed(simulator: Simulator, vehicle: int) -> list[float]:
    others = simulator.neighbours()
    slot = others.vehicle[0] == vehicle
    return [*others.boxes[0][slot][0].tolist(), float(others.speed_mps[0][slot])]


def gap_behind_m(simulator: Simulator, vehicle: int) -> float:
    return float(simulator.state[0, 0]) - box_and_speed(simulator, vehicle)[0] - 4.5


def column() -> list[Car]:
    """The ego in the right lane, beside a gap of a column in the left one."""
    cars = [Car(100.0), *(Car(112.0 - 24.0 * k, 1) for k in range(6))]
    # A fast one far ahead, which says that the others may go faster.
    return [*cars, Car(350.0, 1, 20.0)]


def gap_beside_m(name: str, aim_m: float) -> float:
    """The gap that the ego stays beside, at 10 m/s like the head of the column, after 8 s."""
    simulator = among(name, column())
    for step in range(110):
        rows = simulator.traffic.state_dict()
        head = rows["vehicle"] == 1
        simulator.traffic = simulator.traffic.with_state(
            rows | {"speed_mps": torch.where(head, 10.0, rows["speed_mps"])}
        )
        # Three seconds in which the column settles.
        steer(simulator, aim_m if step > 30 else STAYS_M)
        assert simulator.collision_kind[0] == CollisionKind.NONE
    return box_and_speed(simulator, 1)[0] - box_and_speed(simulator, 2)[0] - 4.5


STAYS_M = 0.5 * LANE_WIDTH_M
WANTS_IN_M = LANE_WIDTH_M - 0.5
"""With a flank 0.4 m over the line."""


def test_an_ego_beside_a_gap_gets_a_longer_one_from_polite_drivers():
    polite, assertive = (gap_beside_m(name, WANTS_IN_M) for name in (POLITE, ASSERTIVE))
    assert polite > assertive + 10.0


def test_polite_drivers_open_the_gap_and_assertive_ones_close_it():
    """Compared with an ego that stays in the middle of its lane."""
    opens = {
        name: gap_beside_m(name, WANTS_IN_M) - gap_beside_m(name, STAYS_M)
        for name in (POLITE, ASSERTIVE)
    }
    assert opens[POLITE] > 3.0
    assert opens[ASSERTIVE] < -1.0


def test_even_an_assertive_driver_brakes_for_an_ego_in_its_lane():
    cars = [Car(100.0, speed_mps=10.0), Car(75.0, 1, 12.0)]
    simulator = among(ASSERTIVE, cars)
    for _ in range(120):
        steer(simulator, 1.5 * LANE_WIDTH_M)
        assert simulator.collision_kind[0] == CollisionKind.NONE
    assert abs(float(simulator.state[0, 1]) - 1.5 * LANE_WIDTH_M) < 0.5
    assert 0.0 < gap_behind_m(simulator, 1) < 25.0


def changes_within(name: str, behind_m: float) -> bool:
    """Whether a vehicle behind a slow one changes lanes ahead of another at 14 m/s."""
    cars = [Car(400.0, speed_mps=10.0)]  # the ego, far from all
    cars += [Car(100.0, 0, 6.0), Car(75.0, 0, 10.0), Car(75.0 - behind_m, 1, 14.0)]
    simulator = among(name, cars)
    for _ in range(45):
        simulator.step(torch.zeros(1, 2))
    others = simulator.neighbours()
    y = others.boxes[0][others.vehicle[0] == 2][0, 1]
    return bool(y > 0.5 * LANE_WIDTH_M + 0.3)


def test_assertive_drivers_accept_smaller_gaps():
    """At some distance of the vehicle behind, assertive drivers change and polite ones do not."""
    assert changes_within(ASSERTIVE, 60) and not changes_within(POLITE, 60)
    assert not changes_within(ASSERTIVE, 35)
    assert changes_within(POLITE, 200)


@pytest.mark.parametrize(
    ("trait", "politeness", "braking", "tolerance", "yields", "closing"),
    [
        (0.0, 0.5, 1.0, 0.2, 1.5, 1.0),
        (0.5, 0.25, 2.0, 0.45, 0.0, 1.0),
        (1.0, 0.0, 3.0, 0.7, 0.0, 0.4),
    ],
)
def test_manners_follow_from_one_trait(trait, politeness, braking, tolerance, yields, closing):
    manners = Manners(torch.tensor(trait))
    values = (
        manners.politeness, manners.safe_braking_mps2, manners.tolerance_m,
        manners.yielding_mps2, manners.closing,
    )  # fmt: skip
    expected = (politeness, braking, tolerance, yields, closing)
    torch.testing.assert_close(torch.stack(values), torch.tensor(expected))
