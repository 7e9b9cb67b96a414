"""The episode loop: the right policies succeed, batching is invisible, observers see it all."""

import dataclasses

import numpy as np
import pytest
import torch

from envs.core.termination import Outcome
from eval.driving.episode_loop import drive_episodes
from eval.driving.episode_row import episode_rows
from eval.driving.evaluation import drive
from eval.driving.observer import EpisodeObserver
from eval.driving.scenario_set import ScenarioSet
from eval.driving.summary import summary
from ppuu.policies import NetworkPolicyConfig, NoAction, RecordedHuman
from ppuu.policies.features import PixelsConfig
from tests.recorded_traffic import dense_and_queue
from tests.rollouts import TINY_OBSERVATION


@pytest.fixture(scope="module")
def scenario_set(tmp_path_factory):
    files = dense_and_queue(tmp_path_factory.mktemp("recordings"))
    return ScenarioSet.load(files, "all")


def rows_of(policy, name, scenario_set, **options):
    """The rows of one policy among others that replay the recording."""
    return episode_rows(drive(policy, name, scenario_set, **options), name, "replay", scenario_set)


def outcomes(episodes):
    return {(e.recording, e.vehicle_id): e.outcome for e in episodes}


def test_the_human_succeeds(scenario_set):
    episodes = rows_of(RecordedHuman(), "human", scenario_set)
    assert len(episodes) == len(scenario_set.scenarios) == 12
    assert set(outcomes(episodes).values()) <= {"arrived"}
    for episode in episodes:
        assert episode.distance_m == pytest.approx(episode.human_distance_m, abs=1.5)
        assert episode.collision_kind == "none"
        assert episode.smallest_clearance_m > 0
        assert episode.mean_speed_mps == pytest.approx(
            episode.distance_m / episode.duration_s, abs=2e-3
        )
    row = summary("human", episodes)
    assert row["success"].value == 1.0
    assert row["success"].n == 12


def test_no_action_in_constant_traffic_is_the_human(scenario_set):
    human = outcomes(rows_of(RecordedHuman(), "human", scenario_set))
    nothing = outcomes(rows_of(NoAction(), "no-action", scenario_set))
    # Only the vehicle that changed lanes is different: it stays in its lane.
    same = [key for key in human if key != ("queue", 102)]
    assert {key: nothing[key] for key in same} == {key: human[key] for key in same}


class Accelerate(NoAction):
    """Full throttle, wherever that leads."""

    def act(self, observation, surroundings):
        return torch.tensor([[6.0, 0.0]]).expand(len(observation.ego), -1)


class Steer(NoAction):
    """Off the road."""

    def act(self, observation, surroundings):
        return torch.tensor([[0.0, 0.02]]).expand(len(observation.ego), -1)


def test_bad_drivers_fail_as_they_should(scenario_set):
    fast = rows_of(Accelerate(), "fast", scenario_set)
    hits = [episode for episode in fast if episode.outcome == "collision"]
    assert hits and all((hit.collision_kind, hit.at_fault) == ("front", True) for hit in hits)
    assert all(hit.smallest_clearance_m <= 0 for hit in hits)
    # The queue is beyond where the human was when the recording ended.
    assert outcomes(fast)[("queue", 100)] == "arrived"
    astray = outcomes(rows_of(Steer(), "astray", scenario_set))
    assert astray[("queue", 103)] == "offroad"


@pytest.mark.parametrize("policy", [RecordedHuman(), Accelerate()], ids=["human", "fast"])
def test_slots_do_not_matter(scenario_set, policy):
    """Few or many side by side, first or as a replacement: every episode is the same."""
    # The last ones: those of the queue.
    few = dataclasses.replace(scenario_set, scenarios=scenario_set.scenarios[7:])
    runs = [rows_of(policy, "x", few, slots=slots) for slots in (2, 64)]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 5


def test_slots_do_not_matter_to_a_network(scenario_set):
    torch.manual_seed(0)
    policy = NetworkPolicyConfig(PixelsConfig(TINY_OBSERVATION, (4, 4, 4)), 8).build().eval()
    with torch.no_grad():
        policy.head.last.weight.normal_(0, 0.3)
    alone, together = (rows_of(policy, "net", scenario_set, slots=slots) for slots in (2, 64))
    assert outcomes(alone) == outcomes(together)
    for one, other in zip(alone, together, strict=True):
        assert one.distance_m == pytest.approx(other.distance_m, abs=0.05)


def test_a_limit_is_spread_over_the_list(scenario_set):
    all_rows = rows_of(RecordedHuman(), "human", scenario_set)
    last = len(all_rows) - 1
    chosen = [all_rows[round(k * last / 4)] for k in range(5)]
    assert rows_of(RecordedHuman(), "human", scenario_set, limit=5) == chosen
    assert rows_of(RecordedHuman(), "human", scenario_set, limit=1000) == all_rows


class CallLog(EpisodeObserver):
    """What was called for each episode, with the frames from the start on."""

    def __init__(self, episodes):
        self.calls = [[] for _ in range(episodes)]
        self.outcomes = [None] * episodes
        self.episode_of = {}

    def _append(self, name, simulator, slots):
        frame = simulator.frame - simulator.start_frame
        for slot in slots.tolist():
            self.calls[self.episode_of[slot]].append((name, int(frame[slot])))

    def begin(self, simulator, slots, episodes):
        self.episode_of |= dict(zip(slots.tolist(), episodes.tolist(), strict=True))
        self._append("begin", simulator, slots)

    def decide(self, simulator, policy):
        self._append("decide", simulator, (~simulator.done).nonzero()[:, 0])

    def step(self, simulator, result):
        self._append("step", simulator, result.moved.nonzero()[:, 0])

    def end(self, simulator, slots, episodes):
        assert [self.episode_of[slot] for slot in slots.tolist()] == episodes.tolist()
        self._append("end", simulator, slots)
        for slot, episode in zip(slots.tolist(), episodes.tolist(), strict=True):
            self.outcomes[episode] = Outcome(int(simulator.outcome[slot])).name.lower()


@pytest.mark.parametrize("slots", [1, 3, 64])
def test_observers_follow_every_episode_from_begin_to_end(scenario_set, slots):
    scenarios, policy = scenario_set.scenarios, NoAction()
    log = CallLog(len(scenarios))
    drive_episodes(policy, scenario_set.simulator(policy), scenarios, slots, [log])
    rows = rows_of(policy, "x", scenario_set)
    assert log.outcomes == [row.outcome for row in rows]
    for calls, row in zip(log.calls, rows, strict=True):
        steps = round(row.duration_s / scenario_set.scene.dt_s)
        between = [
            (name, t + (name == "step")) for t in range(steps) for name in ("decide", "step")
        ]
        assert calls == [("begin", 0), *between, ("end", steps)]


class EndAfter(EpisodeObserver):
    """The rules of a protocol: every episode is a timeout after so many steps."""

    def __init__(self, steps):
        self.steps, self.ended = steps, []

    def step(self, simulator, result):
        over = simulator.frame - simulator.start_frame >= self.steps
        simulator.outcome = torch.where(over, int(Outcome.TIMEOUT), int(Outcome.RUNNING))

    def end(self, simulator, slots, episodes):
        assert (simulator.frame[slots] - simulator.start_frame[slots] == self.steps).all()
        self.ended += episodes.tolist()


def test_the_rules_of_a_protocol_replace_the_simulators(scenario_set):
    """Also where the simulator's own rules would end the episode earlier."""
    rules, policy = EndAfter(58), Steer()
    chosen = scenario_set.scenarios[np.arange(6, 12)]
    own = rows_of(policy, "x", dataclasses.replace(scenario_set, scenarios=chosen))
    assert min(row.duration_s for row in own) < 5.8
    drive_episodes(policy, scenario_set.simulator(policy), chosen, 2, [rules])
    assert sorted(rules.ended) == list(range(6))
