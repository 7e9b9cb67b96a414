"""Which scenarios there are, and which of them are chosen."""

import pytest

from eval.driving.evaluation import drive
from eval.driving.scenario_set import ScenarioSet
from ppuu.perception.observation import ObservationConfig
from ppuu.policies import NoAction
from ppuu.runtime.errors import InputError
from tests.recorded_traffic import dense_and_queue


def test_scenarios_start_after_the_longest_history(tmp_path):
    """A policy that observes 20 frames makes all policies start later; others do not."""
    _, queue = dense_and_queue(tmp_path)
    patient = NoAction()
    patient.observation = ObservationConfig(frames=20, stride=1)
    usual, later = (
        ScenarioSet.load([queue], "all", policies=policies)
        for policies in ([NoAction()], [NoAction(), patient])
    )
    same = usual.scenarios.vehicle_id.tolist().index(later.scenarios.vehicle_id[0])
    assert later.scenarios.start_frame[0] == usual.scenarios.start_frame[same] + 9
    assert len(drive(patient, "patient", later)) == len(later.scenarios)


def test_scenarios_are_chosen_by_number_or_evenly(tmp_path):
    scenario_set = ScenarioSet.load(dense_and_queue(tmp_path), "all")
    assert len(scenario_set.scenarios) == 12
    assert scenario_set.choose(1000) == list(range(12))
    assert scenario_set.choose(4) == [0, 4, 7, 11]
    assert scenario_set.choose(4, (7, 3)) == [7, 3]
    with pytest.raises(InputError, match="--scenario 12: there are 0 to 11"):
        scenario_set.choose(1, (0, 12))
    with pytest.raises(InputError, match="0 episodes: must be positive"):
        scenario_set.choose(0)


def test_unknown_traffic_is_refused(tmp_path):
    scenario_set = ScenarioSet.load(dense_and_queue(tmp_path), "all")
    with pytest.raises(InputError, match="unknown"):
        scenario_set.simulator(NoAction(), "crowd")
