"""Closed-loop scoring: the right drivers succeed, rows and rates add up, batching is invisible."""

import csv
import dataclasses
import json
import math
from typing import get_type_hints

import pytest
import torch

from envs.traffic import registry
from envs.traffic.replay import Replay
from eval.closed_loop import Episode, Track, episodes_of, log_of, main, summary
from eval.driving.drivers import policy_by_name
from eval.statistics.metric import Metric
from ppuu.perception.observation import ObservationConfig
from ppuu.policies import NetworkPolicyConfig, NoAction, RecordedHuman
from ppuu.policies.features import PixelsConfig
from ppuu.runtime.checkpoint import FILE_NAME, Checkpoint
from ppuu.runtime.config import to_json
from ppuu.runtime.errors import InputError
from tests.helpers import Car, dense_recording, straight_recording
from tests.rollouts import TINY_OBSERVATION


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two recordings: dense traffic in which nobody gets 215 m far, and a queue ahead of cars."""
    folder = tmp_path_factory.mktemp("recordings")
    dense_recording(per_lane=3, frames=70).save(folder / "dense.h5")
    # The first runs into the second, which stands; the third has the lane to itself and turns
    # into another one; the fourth ends early.
    queue = [
        Car(0.0, speed_mps=5.0),
        Car(70.0, speed_mps=0.0),
        Car(0.0, lane=1, speed_mps=12.0, to_lane=2, change_frame=30),
        Car(150.0, lane=2, speed_mps=8.0, frames=60),
    ]
    straight_recording(queue, frames=90, name="queue").save(folder / "queue.h5")
    return folder


@pytest.fixture(scope="module")
def track(folder):
    return Track.load([folder / "dense.h5", folder / "queue.h5"], "all")


def drive(policy, name, track, **options):
    """The rows of one driver among replayed others."""
    return episodes_of(log_of(policy, name, track, **options), name, "replay", track)


def outcomes(episodes):
    return {(e.recording, e.vehicle_id): e.outcome for e in episodes}


def test_the_human_succeeds(track):
    episodes = drive(RecordedHuman(), "human", track)
    assert len(episodes) == len(track.scenarios) == 13
    assert set(outcomes(episodes).values()) <= {"arrived", "survived"}
    for episode in episodes:
        assert episode.distance_m == pytest.approx(episode.human_distance_m, abs=1.5)
        assert episode.collision_kind == "none"
        assert episode.smallest_clearance_m > 0
        assert episode.mean_speed_mps == pytest.approx(
            episode.distance_m / episode.duration_s, abs=2e-3
        )
    row = summary("human", episodes)
    assert row["success"].value == 1.0
    assert row["success"].n == 13


def test_no_action_in_constant_traffic_is_the_human(track):
    human = outcomes(drive(RecordedHuman(), "human", track))
    nothing = outcomes(drive(NoAction(), "no-action", track))
    # Only the one who changed lanes does otherwise: it stays in its own.
    same = [key for key in human if key != ("queue", 102)]
    assert {key: nothing[key] for key in same} == {key: human[key] for key in same}


class Accelerate(NoAction):
    """Full throttle, wherever that leads."""

    def act(self, observation, privileged_state):
        return torch.tensor([[6.0, 0.0]]).expand(len(observation.ego), -1)


class Steer(NoAction):
    """Off the road."""

    def act(self, observation, privileged_state):
        return torch.tensor([[0.0, 0.02]]).expand(len(observation.ego), -1)


def test_bad_drivers_fail_as_they_should(track):
    fast = drive(Accelerate(), "fast", track)
    assert outcomes(fast)[("queue", 100)] == "collision"
    hit = next(e for e in fast if (e.recording, e.vehicle_id) == ("queue", 100))
    assert (hit.collision_kind, hit.at_fault) == ("front", True)
    assert hit.smallest_clearance_m <= 0
    astray = outcomes(drive(Steer(), "astray", track))
    assert astray[("queue", 101)] in ("survived", "arrived")  # it stands, and cannot turn
    assert astray[("queue", 103)] == "offroad"


@pytest.mark.parametrize("policy", [RecordedHuman(), Accelerate()], ids=["human", "fast"])
def test_slots_do_not_matter(track, policy):
    """Few or many side by side, first or as a replacement: every episode is the same."""
    # The last ones: those of the queue.
    few = dataclasses.replace(track, scenarios=track.scenarios[7:])
    runs = [drive(policy, "x", few, slots=slots) for slots in (2, 64)]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 6


def test_slots_do_not_matter_to_a_network(track):
    torch.manual_seed(0)
    policy = NetworkPolicyConfig(PixelsConfig(TINY_OBSERVATION, (4, 4, 4)), 8).build().eval()
    with torch.no_grad():
        policy.head.last.weight.normal_(0, 0.3)
    alone, together = (drive(policy, "net", track, slots=slots) for slots in (2, 64))
    assert outcomes(alone) == outcomes(together)
    for one, other in zip(alone, together, strict=True):
        assert one.distance_m == pytest.approx(other.distance_m, abs=0.05)


def test_a_limit_is_spread_over_the_list(track):
    everyone = drive(RecordedHuman(), "human", track)
    last = len(everyone) - 1
    chosen = [everyone[round(k * last / 4)] for k in range(5)]
    assert drive(RecordedHuman(), "human", track, limit=5) == chosen
    assert drive(RecordedHuman(), "human", track, limit=1000) == everyone


def episode(**changes):
    numbers = {
        name: 1.0 for name, kind in get_type_hints(Episode).items() if kind not in (str, bool)
    }
    words = {
        "policy": "x",
        "others": "replay",
        "variation": "none",
        "recording": "r",
        "collision_kind": "none",
    }
    row = {**numbers, **words, "outcome": "arrived", "at_fault": False, "distance_m": 100.0}
    return Episode(**{**row, **changes})


def test_rates_add_up():
    episodes = [
        episode(),
        episode(distance_m=200.0),
        episode(outcome="survived"),
        episode(outcome="collision", collision_kind="front", at_fault=True),
        episode(outcome="collision", collision_kind="rear"),
        episode(outcome="collision", collision_kind="side", at_fault=True),
        episode(outcome="offroad"),
        episode(outcome="timeout"),
    ]
    row = summary("x", episodes)
    shares = {key: metric.value for key, metric in row.items() if isinstance(metric, Metric)}
    assert shares["success"] == 3 / 8
    assert shares["arrived"] == 2 / 8
    kinds = ("arrived", "survived", "collision", "offroad", "timeout")
    assert sum(shares[kind] for kind in kinds) == 1.0
    for kind in ("front", "rear", "side"):
        assert (row[f"collision_{kind}"].value, row[f"collision_{kind}"].n) == (1 / 8, 8)
    assert shares["success_or_struck_from_behind"] == 4 / 8
    assert (shares["success_alt"], row["success_alt"].n) == (3 / 7, 7)
    assert shares["collision_at_fault"] == 2 / 8
    assert row["distance_m"].value == pytest.approx(112.5)
    assert (row["name"], row["others"]) == ("x", "replay")
    for name in shares:
        assert row[name].low <= row[name].value <= row[name].high
    assert math.isnan(summary("x", [])["success"].value)


def test_what_could_not_be_measured_does_not_count():
    whole = episode(median_headway_s=2.0, smallest_ttc_s=3.0, largest_acceleration_mps2=9.0)
    empty = episode(median_headway_s=None, smallest_ttc_s=math.inf, largest_jerk_mps3=None)
    row = summary("x", [whole, empty])
    assert (row["median_headway_s"].value, row["median_headway_s"].n) == (2.0, 1)
    assert (row["smallest_ttc_s"].value, row["smallest_ttc_s"].n) == (3.0, 1)
    assert (row["comfortable"].value, row["comfortable"].n) == (0.0, 1)
    assert row["comfortable_jerk"].value == 1.0
    assert row["lane_changes_per_km"].value == pytest.approx(2 / 0.2)


def test_the_command_writes_its_table_and_every_episode(folder, tmp_path, capsys):
    policy = NetworkPolicyConfig(PixelsConfig(TINY_OBSERVATION, (4, 4, 4)), 8)
    identity = {"policy": to_json(policy)}
    run = tmp_path / "runs" / "network"
    Checkpoint("policy", identity, policy.build().state_dict(), 1, {}).save(run / FILE_NAME)
    out = tmp_path / "results" / "table.json"
    paths = (folder / "dense.h5", folder / "queue.h5")
    main(("human", "idm", str(run)), paths, out, split="all", limit=6)
    report = json.loads(out.read_text())
    keys = {"command", "commit", "config", "hardware", "rows", "comparisons"}
    assert set(report) == keys
    assert report["command"] == "eval.closed_loop"
    assert [row["name"] for row in report["rows"]] == ["human", "idm", "network"]
    for row in report["rows"]:
        assert set(row["success"]) == {"value", "low", "high", "n"}
        assert row["success"]["n"] == 6
        assert row["others"] == "replay"
        assert row["gap_wasserstein_m"]["n"] == 6
    assert report["rows"][0]["speed_wasserstein_mps"]["value"] == 0.0
    pairs = [row["name"] for row in report["comparisons"]]
    assert pairs == ["human - idm", "human - network", "idm - network"]
    config = report["config"]
    assert config["split"] == "all"
    assert config["recordings"] == [str(path) for path in paths]
    assert len(config["recording_hashes"]) == 2
    assert len(config["scenarios"]) == 64
    with open(tmp_path / "results" / "table.episodes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 6
    assert list(rows[0]) == list(Episode.__dataclass_fields__)
    for row in report["rows"]:
        mine = [r for r in rows if r["policy"] == row["name"]]
        assert len({(r["recording"], r["vehicle_id"]) for r in mine}) == 6
        successes = sum(r["outcome"] in ("arrived", "survived") for r in mine)
        assert row["success"]["value"] == pytest.approx(successes / 6)
    table = capsys.readouterr().out
    assert "human" in table and "network" in table
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "table.episodes.csv",
        "table.json",
    ]


class Stays(Replay):
    """The others replay; a traffic of another name."""


def test_every_policy_among_all_others_beside_the_human(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.TRAFFICS, "stays", lambda scene, roads: Stays(scene))
    out = tmp_path / "table.json"
    others = ("replay", "stays")
    main(("idm",), (folder / "queue.h5",), out, split="all", others=others)
    report = json.loads(out.read_text())
    rows = [(row["name"], row["others"]) for row in report["rows"]]
    assert rows == [(name, other) for other in others for name in ("human", "idm")]
    assert report["config"]["others"] == list(others)
    assert [row["others"] for row in report["comparisons"]] == list(others)
    named = [{k: v for k, v in row.items() if k != "others"} for row in report["rows"]]
    assert named[:2] == named[2:]
    with open(out.with_suffix(".episodes.csv"), newline="") as file:
        assert {row["others"] for row in csv.DictReader(file)} == set(others)


def test_mistakes(folder, tmp_path):
    paths = (folder / "dense.h5",)
    with pytest.raises(InputError, match="nobody: neither a run directory nor one of human"):
        policy_by_name("nobody")
    for wrong in ({"slots": 0}, {"limit": 0}):
        with pytest.raises(InputError, match="must be positive"):
            main(("human",), paths, tmp_path / "x.json", split="all", **wrong)
    for others, complaint in ((("replay",) * 2, "named twice"), (("crowd",), "unknown")):
        with pytest.raises(InputError, match=complaint):
            main(("human",), paths, tmp_path / "x.json", split="all", others=others)
    with pytest.raises(InputError, match="use --split all"):
        main(("human",), paths, tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def test_scenarios_wait_for_the_longest_history(folder):
    """A driver who looks back over 19 frames makes everybody start later, and only then."""
    patient = NoAction()
    patient.observation = ObservationConfig(frames=20, stride=1)
    usual, later = (
        Track.load([folder / "queue.h5"], "all", drivers=drivers)
        for drivers in ([NoAction()], [NoAction(), patient])
    )
    same = usual.scenarios.vehicle_id.tolist().index(later.scenarios.vehicle_id[0])
    assert later.scenarios.start_frame[0] == usual.scenarios.start_frame[same] + 9
    episodes = drive(patient, "patient", later)
    assert len(episodes) == len(later.scenarios)
