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
    world = World.build([recording], ScenarioConfig(distance_m=300.0))
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


def gap_behind_m(simulator: Simulator, vehicle: int) -> float:
    others = simulator.neighbours()
    box = others.boxes[0][others.vehicle[0] == vehicle][0]
    return float(simulator.state[0, 0] - box[0]) - 4.5


def column(count: int = 6, spacing_m: float = 24.0) -> list[Car]:
    """The ego in the right lane, and a column in the left one."""
    cars = [Car(100.0, speed_mps=10.0)]
    cars += [Car(112.0 - spacing_m * k, 1, 10.0) for k in range(count)]
    # A fast one far ahead, which says that the others may go faster.
    return [*cars, Car(350.0, 1, 20.0)]


def gap_given(name: str) -> float:
    """Gap between an ego whose flank is over the line for four seconds and the vehicle behind."""
    simulator = among(name, column())
    for _ in range(60):
        # Half a metre short of the line with its centre, so 0.4 m over it with its flank.
        steer(simulator, LANE_WIDTH_M - 0.5)
        assert simulator.collision_kind[0] == CollisionKind.NONE
    return gap_behind_m(simulator, 2)


def test_an_ego_beside_a_gap_gets_a_longer_one_from_polite_drivers():
    polite, assertive = gap_given(POLITE), gap_given(ASSERTIVE)
    assert polite > assertive + 4.0


def test_assertive_drivers_close_the_gap_and_others_do_not():
    """Against an ego that stays in the middle of its lane and so wants nothing."""
    apart = {}
    for name in (POLITE, MIXED, ASSERTIVE):
        for aim in (0.5 * LANE_WIDTH_M, LANE_WIDTH_M - 0.5):
            simulator = among(name, column())
            for _ in range(60):
                steer(simulator, aim)
            apart[name, aim > 0.5 * LANE_WIDTH_M] = gap_behind_m(simulator, 2)
    assert apart[ASSERTIVE, True] < apart[ASSERTIVE, False] - 1.0
    assert apart[POLITE, True] > apart[POLITE, False] + 1.0


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
    gaps = range(8, 60, 4)
    smallest = {
        name: next(gap for gap in gaps if changes_within(name, gap)) for name in (POLITE, ASSERTIVE)
    }
    assert smallest[ASSERTIVE] < smallest[POLITE]


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
