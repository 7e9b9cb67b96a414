"""PPUU's episodes, on constructed traffic in I-80's coordinates: starts, endings, successes."""

import csv
import dataclasses
import json

import pytest
import torch

from data.sources.ngsim_layouts import AXES
from data.splits import FrameWindow, Part
from envs.core.scenario import Scenarios
from eval.closed_loop import main
from eval.driving.scenario_set import ScenarioSet
from eval.protocols.ppuu import drive_ppuu, summary_ppuu
from eval.protocols.ppuu_episode import PpuuEpisode
from eval.protocols.ppuu_scenarios import replayed_set
from ppuu.policies import NoAction, RecordedHuman
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording

SCALE = 24 / 3.7
NO_SCENARIOS = Scenarios(*[torch.zeros(0).numpy()] * 16, digest="")


def scenario_set_of(cars, frames=300, first=0, last=None, egos=None):
    """Lanes of 4 m, the leftmost from the survey's left edge on."""
    recording = straight_recording(cars, frames)
    provenance = {"site": "i80", "axes": AXES}
    recording = dataclasses.replace(recording, y_m=recording.y_m - 12.0, provenance=provenance)
    part = Part(FrameWindow(first, frames if last is None else last), egos)
    return ScenarioSet([recording], [part], Scene.build([recording]), NO_SCENARIOS)


class Script(NoAction):
    """Does the same to every ego, by the frame of the recording: ``(frame, action)`` rows."""

    def __init__(self, *rows):
        self.rows = rows

    def act(self, observation, privileged_state):
        action = torch.zeros(len(privileged_state.frame), 2)
        for first, values in self.rows:
            action[privileged_state.frame >= first] = torch.tensor(values)
        return action


def rows(policy, *arguments, **options):
    scenario_set = scenario_set_of(*arguments, **options)
    episodes = drive_ppuu(policy, "x", *replayed_set(scenario_set))
    return {episode.vehicle_id: episode for episode in episodes}


def rear_px(car, frame):
    """On the screen, of a car of the helper's 4.5 m."""
    return (car.x_m - 2.25 + 0.1 * car.speed_mps * frame) * SCALE - 470


def test_the_start_and_the_arrival():
    """It enters at 234.2 px and drives itself 20 frames later, until its rear is past 1630.1."""
    car = Car(60.0)
    entered = next(k for k in range(300) if rear_px(car, k) > 234.234)
    arrived = next(k for k in range(300) if rear_px(car, k) > 1630.09)
    for policy in (NoAction(), RecordedHuman()):
        episode = rows(policy, [car])[100]
        assert episode.start_frame == entered + 20
        assert (episode.outcome, episode.alt_outcome) == ("arrived", "arrived")
        assert episode.success and episode.success_alt and not episode.ahead_collision
        assert episode.steps == episode.alt_steps == arrived - entered - 20
        travelled = rear_px(car, arrived) - rear_px(car, entered)
        assert episode.distance_px == pytest.approx(travelled, abs=0.2)
        assert episode.distance_m == pytest.approx(travelled / SCALE, abs=0.02)
        assert episode.human_distance_m == pytest.approx(travelled / SCALE, abs=0.02)
        assert episode.mean_proximity == 0


def test_which_vehicles_are_egos():
    cars = [
        Car(150.0),  # inside from its first frame on
        Car(300.0),  # leaves within 20 frames: front from 302 to 324 m at once
        Car(340.0, lane=1),  # beyond
        Car(60.0, lane=1, frames=60),  # gone before 20 valid images
        Car(-100.0, lane=2),  # enters at frame 211
    ]
    all_vehicles = rows(NoAction(), cars)
    assert {key: episode.start_frame for key, episode in all_vehicles.items()} == {
        100: 20,
        101: 20,
        104: 231,
    }
    late = rows(NoAction(), cars, last=231)
    assert sorted(late) == [100, 101]
    early = rows(NoAction(), cars, first=50, egos=torch.tensor([0, 4]).numpy())
    assert {key: episode.start_frame for key, episode in early.items()} == {100: 70, 104: 231}


def test_the_recording_ends():
    episode = rows(NoAction(), [Car(120.0, speed_mps=3.0)], frames=200)[100]
    assert episode.outcome == episode.alt_outcome == "timeout"
    assert episode.steps == 199 - 20
    assert not (episode.success or episode.success_alt)
    assert episode.distance_m == pytest.approx(0.3 * 199, abs=0.05)


def test_no_step_limit():
    """A minute and a half, after which this project's own rules stop, are nothing special."""
    episode = rows(NoAction(), [Car(120.0, speed_mps=0.5)], frames=950)[100]
    assert (episode.outcome, episode.steps) == ("timeout", 949 - 20)


def test_running_into_a_vehicle_ahead():
    """The gap of 40.5 m closes at 10 m/s; a few decimetres later the cores meet, then a metre."""
    cars = [Car(120.0), Car(165.0, speed_mps=0.0)]
    episode = rows(NoAction(), cars)[100]
    assert (episode.outcome, episode.alt_outcome) == ("collision", "collision")
    assert episode.ahead_collision
    assert not (episode.success or episode.success_alt)
    assert episode.distance_m == pytest.approx(40.5 + 1.0, abs=0.7)
    assert episode.alt_distance_m == pytest.approx(40.5 + 1.0, abs=1.05)
    assert episode.steps <= episode.alt_steps <= episode.steps + 1
    assert 0 < episode.mean_proximity < 1


def dip(first):
    """Falls back by 1 m within two seconds, and drives on as before."""
    return Script((first, (-1.0, 0.0)), (first + 10, (1.0, 0.0)), (first + 20, (0.0, 0.0)))


@pytest.mark.parametrize(
    ("gap", "ends", "alt"), [(0.85, "arrived", "arrived"), (0.2, "collision", "arrived")]
)
def test_being_touched_from_behind(gap, ends, alt):
    """Bumpers overlap by 0.15 m, which no pixel of the core sees, or by 0.8 m, which some do."""
    cars = [Car(130.0), Car(130.0 - 4.5 - gap)]
    episode = rows(dip(60), cars)[100]
    assert (episode.outcome, episode.alt_outcome) == (ends, alt)
    assert episode.success == (ends == "arrived")
    assert episode.success_alt
    assert not episode.ahead_collision
    assert (episode.steps < episode.alt_steps) == (ends == "collision")


def test_a_narrow_ego_collides_without_a_pixel_collision():
    """Its mask stays below the threshold; the later definition of success sees it all the same."""
    cars = [Car(120.0, width_m=0.8), Car(165.0, speed_mps=0.0)]
    episode = rows(NoAction(), cars)[100]
    assert (episode.outcome, episode.alt_outcome) == ("arrived", "arrived")
    assert episode.success and episode.ahead_collision and not episode.success_alt


def test_collisions_after_the_region_do_not_count():
    """The front has left the region where the other's rear is; no image is taken any more."""
    goal_m = (1630.1 + 470) / SCALE
    cars = [Car(120.0), Car(goal_m + 2.25 + 0.1, speed_mps=0.0)]
    episode = rows(NoAction(), cars)[100]
    assert episode.success and episode.success_alt
    nearer = [cars[0], dataclasses.replace(cars[1], x_m=cars[1].x_m - 2.5)]
    assert rows(NoAction(), nearer)[100].outcome == "collision"


@pytest.mark.parametrize("side", [1, -1])
def test_leaving_the_road(side):
    """Left of the first lane, or beyond the ramp's outer edge, with the rear bumper."""
    policy = Script((0, (0.0, side * 0.005)))
    episode = rows(policy, [Car(130.0, lane=1)])[100]
    assert (episode.outcome, episode.alt_outcome) == ("offroad", "offroad")
    rear = episode.distance_px + rear_px(Car(130.0), 0)
    across = 6.0 if side > 0 else (233 - 0.035 * rear - 36) / SCALE - 6.0
    # 20 m straight on, then an arc of 200 m radius; the rear bumper is on it half a length later.
    expected = 20.0 + (2 * 200 * across) ** 0.5 + 2.25
    assert episode.distance_m == pytest.approx(expected, abs=2.0)


def test_the_simulators_own_rules_do_not_interfere():
    """Egos that overlap by a little, or leave the drawn lanes, drive on."""
    cars = [Car(130.0), Car(130.0 + 4.3), Car(130.0, lane=1), Car(130.0, lane=2)]
    recording = scenario_set_of(cars).recordings[0]
    assert recording.road.drivable(recording.track(2)[:, :2]).sum() == 0
    assert all(episode.success for episode in rows(NoAction(), cars).values())


def test_slots_do_not_matter():
    cars = [Car(70.0 + 24 * k, lane=k % 3, speed_mps=8.0 + 2 * (k % 4)) for k in range(9)]
    replayed = replayed_set(scenario_set_of(cars))
    together = drive_ppuu(NoAction(), "x", *replayed)
    assert drive_ppuu(NoAction(), "x", *replayed, slots=2) == together
    assert drive_ppuu(NoAction(), "x", *replayed, limit=3) == together[::4]
    assert len(together) == 9
    assert len({episode.outcome for episode in together}) > 1


def test_no_vehicle_to_drive():
    with pytest.raises(InputError, match="no vehicle of straight is valid for 20 frames"):
        replayed_set(scenario_set_of([Car(400.0)]))


def episode(**changes):
    usual = PpuuEpisode(
        "x", "r", 1, 20, "arrived", 100, 1300.0, 200.4, 210.0, "arrived", 100, 200.4, False, 0.1
    )
    return dataclasses.replace(usual, **changes)


def test_both_successes():
    episodes = [
        episode(),
        episode(outcome="collision", steps=40),
        episode(outcome="collision", ahead_collision=True),
        episode(outcome="collision", alt_outcome="collision", ahead_collision=True),
        episode(outcome="offroad", alt_outcome="offroad"),
        episode(outcome="timeout", alt_outcome="timeout"),
        episode(ahead_collision=True),
        episode(outcome="collision", alt_outcome="offroad"),
    ]
    row = summary_ppuu("x", episodes)
    counts = {"success": 2, "success_alt": 2, "collision": 4, "collision_alt": 1} | {
        "ahead_collision": 3, "offroad": 1, "timeout": 1,
    }  # fmt: skip
    for name, count in counts.items():
        assert (row[name].value, row[name].n) == (count / 8, 8)
    assert row["steps"].value == pytest.approx((7 * 100 + 40) / 8)
    assert row["distance_px"].value == 1300


def test_the_command(tmp_path, capsys):
    recording = scenario_set_of(
        [Car(120.0, speed_mps=15.0), Car(165.0, lane=1, speed_mps=0.0)]
    ).recordings[0]
    recording.save(tmp_path / "i80.h5")
    out = tmp_path / "table.json"
    main(("no-action",), (tmp_path / "i80.h5",), out, split="all", protocol="ppuu")
    report = json.loads(out.read_text())
    assert report["config"]["protocol"] == "ppuu"
    assert [row["name"] for row in report["rows"]] == ["human", "no-action"]
    for row in report["rows"]:
        assert (row["success"]["value"], row["success"]["n"]) == (0.5, 2)
    with open(tmp_path / "table.episodes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows[2:]] == ["arrived", "timeout"]
    assert "success_alt" in capsys.readouterr().out
    with pytest.raises(InputError, match="leave out --others"):
        main(("idm",), (tmp_path / "i80.h5",), split="all", others=("idm",), protocol="ppuu")
