"""Generated traffic: reproducible, free of collisions, and moving as vehicles can."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.traffic import PRESETS, generate, simulate
from data.traffic.entries import Entries
from data.traffic.fleet import Fleet
from data.traffic.lane_change_decisions import start_lane_changes
from data.traffic.neighbours import FleetOrder, gap_to
from data.traffic.road import I80, SECTION_M, US101, Highway, Ramp
from ppuu.driving.lane_order import NO_VEHICLE, LaneOrder
from ppuu.geometry import wrap_angle
from ppuu.kinematics import infer_actions
from ppuu.runtime.errors import InputError
from ppuu.units import LANE_WIDTH_M

from ..drivers_without_learning import episodes, overlapping_rows, success


@pytest.fixture(scope="module")
def dense(dense_traffic):
    return dense_traffic


@pytest.fixture(scope="module")
def within_tracks(dense):
    """``(rows - 1,)`` whether a row and the next belong to one vehicle."""
    return np.diff(dense.row_vehicle) == 0


def change_of(values, within_tracks):
    return np.diff(values.astype(float))[within_tracks]


@pytest.fixture
def short_warm_up(monkeypatch):
    """For tests that do not need the section to be full."""
    monkeypatch.setattr(simulate, "_WARM_UP_S", 5.0)


def test_same_seed_same_recording_other_seed_another(short_warm_up):
    first, again, other = (generate(PRESETS["dense"], 3.0, seed) for seed in (0, 0, 1))
    assert first.content_hash == again.content_hash != other.content_hash


def test_a_longer_recording_begins_like_a_shorter_one(short_warm_up):
    longer, shorter = (generate(PRESETS["dense"], seconds, 0) for seconds in (4.0, 2.0))
    rows = longer.frame < shorter.frames
    np.testing.assert_array_equal(longer.x_m[rows], shorter.x_m)
    np.testing.assert_array_equal(longer.y_m[rows], shorter.y_m)


def test_says_that_it_is_synthetic(dense):
    assert dense.name == "dense-v2-seed11"
    assert dense.provenance["synthetic"] is True
    assert dense.provenance["seed"] == 11
    assert dense.provenance["preset"]["name"] == "dense"


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.04, float("nan"), float("inf")])
def test_rejects_a_length_that_is_none(seconds):
    with pytest.raises(InputError, match="positive"):
        generate(PRESETS["dense"], seconds, 0)


def test_no_two_boxes_ever_overlap(dense):
    assert overlapping_rows(dense) == 0


def test_the_section_is_full_from_the_first_frame(dense):
    per_frame = np.bincount(dense.frame)
    assert dense.frames == 450
    assert per_frame.min() > 110 and per_frame.max() < 230
    assert 4.0 < dense.speed_mps.mean() < 10.0


def test_recorded_inside_the_section_and_on_the_road(dense):
    assert dense.x_m.min() >= 0 and dense.x_m.max() <= SECTION_M
    assert dense.road.drivable(np.stack([dense.x_m, dense.y_m], 1)).all()


def test_tracks_begin_and_end_at_the_section_or_the_recording(dense):
    """A vehicle neither appears nor vanishes on the road (one frame's way from its ends)."""
    first, last = dense.vehicle_pointer[:-1], dense.vehicle_pointer[1:] - 1
    late, early = dense.first_frame > 0, dense.last_frame < dense.frames - 1
    reach = 0.1 * 40
    assert dense.x_m[first[late]].max() < reach
    assert dense.x_m[last[early]].min() > SECTION_M - reach


def test_moves_as_vehicles_can(dense, within_tracks):
    acceleration = change_of(dense.speed_mps, within_tracks) / dense.dt_s
    assert acceleration.min() > -8.0 and acceleration.max() < 3.0
    assert (np.abs(acceleration) < 3.0).mean() > 0.99
    assert dense.speed_mps.max() < 40.0
    turn = change_of(dense.heading_rad, within_tracks)
    assert np.abs(turn).max() / dense.dt_s < 0.5
    lateral = turn / dense.dt_s * dense.speed_mps[1:][within_tracks]
    assert np.abs(lateral).max() < 4.0
    assert (np.abs(lateral) < 1.0).mean() > 0.9
    assert np.abs(dense.heading_rad).max() < 0.5


def test_heading_and_speed_are_those_of_the_motion(dense, within_tracks):
    dx, dy = change_of(dense.x_m, within_tracks), change_of(dense.y_m, within_tracks)
    rows = np.flatnonzero(within_tracks)
    speed = 0.5 * (dense.speed_mps[rows] + dense.speed_mps[rows + 1])
    np.testing.assert_allclose(np.hypot(dx, dy) / dense.dt_s, speed, atol=0.1)
    heading = 0.5 * (dense.heading_rad[rows] + dense.heading_rad[rows + 1])
    off = wrap_angle(torch.tensor(np.arctan2(dy, dx) - heading)).abs().numpy()
    assert off[speed > 1.0].max() < 0.02


def test_the_kinematic_ego_can_drive_every_track(dense):
    """The replayed ego stays within centimetres of the recorded human."""
    worst = 0.0
    for vehicle in range(0, dense.vehicles, 12):
        track = torch.tensor(dense.track(vehicle))
        if len(track) < 20:
            continue
        _, states = infer_actions(track[:, :2], track[0, 2], track[0, 3], dense.dt_s)
        worst = max(worst, float((states[:, :2] - track[:, :2]).norm(dim=1).max()))
    assert worst < 0.3


def test_vehicles_drift_inside_their_lanes_and_change_lanes(dense):
    """Real ones: 8 to 13 changes an hour; 45 s give about 20, so 3 standard deviations are wide."""
    lane = dense.road.lane_index(np.stack([dense.x_m, dense.y_m], 1))
    counts = np.diff(dense.vehicle_pointer)
    changes = np.array([(np.diff(lane[rows_of(dense, v)]) != 0).sum() for v in range(len(counts))])
    merges = np.isin(np.arange(len(counts)), dense.row_vehicle[dense.y_m < 0])
    hours = counts[~merges].sum() * dense.dt_s / 3600.0
    assert 3.0 < changes[~merges].sum() / hours < 20.0
    keeps = np.flatnonzero((changes == 0) & (counts > 100))
    drift = np.array([dense.y_m[rows_of(dense, v)].std() for v in keeps])
    assert 0.15 < np.median(drift) < 0.35 and (drift > 0.005).mean() > 0.95


def test_trucks_are_few_and_the_ramp_merges(dense):
    assert 0.02 < (dense.length_m > 7.0).mean() < 0.10
    assert dense.length_m.max() < 17.0 and dense.width_m.max() < 2.6
    on_ramp = dense.y_m < 0
    assert on_ramp.any()
    merged = np.unique(dense.row_vehicle[on_ramp])
    last_y = dense.y_m[dense.vehicle_pointer[1:] - 1][merged]
    assert (last_y > 0).any()


def rows_of(recording, vehicle):
    return slice(recording.vehicle_pointer[vehicle], recording.vehicle_pointer[vehicle + 1])


def test_as_hard_as_it_should_be(dense):
    """No action rarely succeeds, the human always; the band is wide as the recording is short."""
    chosen = episodes(dense)
    assert len(chosen.vehicle) > 50
    human, none, idm = (success(dense, chosen, driver) for driver in ("human", "none", "idm"))
    assert human.mean() == 1.0
    assert 0.03 < none.mean() < 0.35
    assert none.mean() < idm.mean() < 0.85


def test_moderate_is_easier(dense, monkeypatch):
    monkeypatch.setattr(simulate, "_WARM_UP_S", 90.0)
    recording = generate(PRESETS["moderate"], 25.0, seed=100)
    assert overlapping_rows(recording) == 0
    assert recording.speed_mps.mean() > dense.speed_mps.mean()
    chosen = episodes(recording)
    assert success(recording, chosen, "none").mean() > 0.2
    assert success(recording, chosen, "human").mean() == 1.0


def test_road_has_six_lanes_and_a_ramp_that_tapers_off():
    road = I80.road()
    lanes = np.arange(7)
    assert road.lanes == len(lanes)
    y = I80.lane_centre_m(lanes)
    points = np.array([[100.0, value] for value in y])
    np.testing.assert_array_equal(road.lane_index(points), lanes)
    np.testing.assert_array_equal(
        road.drivable(np.array([[250.0, -0.5], [250.0, -3.0], [400.0, -0.5], [10.0, 22.3]])),
        [True, False, False, False],
    )
    assert y[I80.ramp_lane] == -0.5 * LANE_WIDTH_M


def test_the_weave_has_five_lanes_and_an_auxiliary_lane():
    road = US101.road()
    assert road.lanes == 6
    points = np.array([[250.0, 22.0 - 3.7], [250.0, 22.0], [10.0, -0.5], [500.0, -3.0]])
    np.testing.assert_array_equal(road.drivable(points), [True, False, True, True])


NEW = ("free-flow", "stop-and-go", "merge", "aggressive", "trucks", "weave", "motorway")
SPEED_MPS = {
    "free-flow": (24.0, 30.0),
    "stop-and-go": (2.0, 9.0),
    "merge": (8.0, 16.0),
    "aggressive": (9.0, 18.0),
    "trucks": (6.0, 13.0),
    "weave": (8.0, 19.0),
    "motorway": (26.0, 36.0),
}


@pytest.mark.parametrize("name", NEW)
def test_every_preset_is_sane(name, monkeypatch):
    """No overlap, all on the road, accelerations of vehicles, the speed its name promises."""
    monkeypatch.setattr(simulate, "_WARM_UP_S", 60.0)
    recording = generate(PRESETS[name], 15.0, seed=12)
    assert overlapping_rows(recording) == 0
    assert recording.road.drivable(np.stack([recording.x_m, recording.y_m], 1)).all()
    acceleration = np.diff(recording.speed_mps.astype(float)) / recording.dt_s
    acceleration = acceleration[np.diff(recording.row_vehicle) == 0]
    assert acceleration.min() > -8.0 and acceleration.max() < 3.0
    low, high = SPEED_MPS[name]
    assert low < recording.speed_mps.mean() < high


MODERATE = [2155, 244.203401, 10.5091692, 6.01748202, 12.9295082, 5.14268637]
DENSE = [3034, 249.909401, 10.3929035, 5.95382189, 7.78056765, 5.24250507]


def test_the_benchmark_traffic_stays_what_it_was(short_warm_up):
    """Moments of the first seconds of seed 0: figures in tables rest on these very recordings."""
    expected = {"moderate": MODERATE, "dense": DENSE}
    for name, moments in expected.items():
        recording = generate(PRESETS[name], 2.0, seed=0)
        found = [recording.rows, recording.x_m.mean(), recording.y_m.mean(), recording.y_m.std()]
        found += [recording.speed_mps.mean(), recording.length_m.mean()]
        np.testing.assert_allclose(found, moments, rtol=1e-6)


def test_trucks_are_many_in_trucks(short_warm_up):
    assert (generate(PRESETS["trucks"], 2.0, 0).length_m > 7.0).mean() > 0.15


def test_in_the_weave_both_streams_cross(monkeypatch):
    """Some leave the ramp for the road, others the road for the ramp, and no vehicle stands."""
    monkeypatch.setattr(simulate, "_WARM_UP_S", 60.0)
    recording = generate(PRESETS["weave"], 30.0, seed=12)
    first, last = recording.vehicle_pointer[:-1], recording.vehicle_pointer[1:] - 1
    entered, left = recording.y_m[first] < 0, recording.y_m[last] < 0
    assert (entered & ~left).sum() >= 2 and (~entered & left).sum() >= 2
    assert (recording.speed_mps < 0.5).mean() < 0.02


def small_fleet(x_m, lane, speed_mps):
    count = len(x_m)
    straight = replace(PRESETS["dense"], wander_m=0.0)
    cars = np.zeros(count, bool)
    fleet = Fleet.draw(np.random.default_rng(0), straight, np.arange(count), np.array(lane), cars)
    fleet.x_m, fleet.speed_mps = np.array(x_m, float), np.array(speed_mps, float)
    fleet.cooldown_s = np.zeros(count)
    return fleet


def test_lane_order_finds_leaders_in_both_lanes_of_a_change():
    fleet = small_fleet([0, 20, 40, 10], [2, 2, 2, 3], [5, 5, 5, 5])
    order = FleetOrder.of(fleet)
    assert order.leaders()[:, 0].tolist() == [1, 2, NO_VEHICLE, NO_VEHICLE]
    assert (order.leaders()[:, 1] == NO_VEHICLE).all()
    fleet.old_lane[3], fleet.progress[3] = 2, 0.1
    order = FleetOrder.of(fleet)
    assert order.leaders()[0, 0] == 3
    assert order.leaders()[3].tolist() == [NO_VEHICLE, 1]
    ahead, behind = order.around(np.array([2, 3, 4]), np.array([15.0, 15.0, 15.0]))
    assert ahead.tolist() == [1, NO_VEHICLE, NO_VEHICLE] and behind.tolist() == [3, 3, NO_VEHICLE]
    gap = gap_to(fleet, np.array([0, 0]), np.array([1, NO_VEHICLE]))
    assert gap[0] == 20 - fleet.length_m[:2].mean() and gap[1] == np.inf


@pytest.mark.parametrize("speed_mps", [0.5, 3.0, 12.0])
def test_corners_stay_in_the_lane(speed_mps):
    """Also those of a long lorry that drifts in a narrow lane, at a crawl as at speed."""
    count, highway = 300, Highway(main_lanes=3, lane_width_m=3.2)
    preset = replace(PRESETS["trucks"], wander_m=0.3, highway=highway)
    lane, lorries = np.ones(count, np.int64), np.arange(count) % 2 == 0
    fleet = Fleet.draw(np.random.default_rng(0), preset, np.arange(count), lane, lorries)
    fleet.speed_mps = np.full(count, speed_mps)
    beyond = []
    for _ in range(300):
        fleet.advance(np.zeros(count), highway, 0.1)
        offset = np.abs(fleet.y_m(highway) - highway.lane_centre_m(lane))
        swing = 0.5 * fleet.length_m * np.abs(np.sin(fleet.heading_rad))
        beyond.append(offset + swing + 0.5 * fleet.width_m - 0.5 * highway.lane_width_m)
    assert np.mean(np.array(beyond) > 0.0) < 0.02 and np.max(beyond) < 0.15


def test_a_vehicle_leaves_its_old_lane_when_its_rear_has():
    """From where it no longer occupies the old lane, no corner of it is there."""
    count, highway = 200, Highway(main_lanes=3, lane_width_m=3.3)
    preset = replace(PRESETS["trucks"], highway=highway)
    lane, lorries = np.ones(count, np.int64), np.arange(count) % 2 == 0
    fleet = Fleet.draw(np.random.default_rng(0), preset, np.arange(count), lane, lorries)
    fleet.speed_mps, fleet.progress = np.full(count, 1.0), np.zeros(count)
    fleet.old_lane = np.full(count, 2)
    left = np.zeros(count, bool)
    while not left.all():
        fleet.advance(np.zeros(count), highway, 0.1)
        right = highway.lane_centre_m(lane) - fleet.y_m(highway) + 0.5 * fleet.width_m
        right += 0.5 * fleet.length_m * np.abs(np.sin(fleet.heading_rad))
        beyond = right - 0.5 * highway.lane_width_m
        just_left = ~fleet.on_two_lanes & (fleet.old_lane == 2)
        assert beyond[just_left].max(initial=-1.0) <= 0.0
        left |= ~fleet.on_two_lanes


def test_lane_order_is_that_of_the_simulator():
    """``LaneOrder``, an implementation of its own, on random fleets with lane changes and ties."""
    random = np.random.default_rng(0)
    for count in (1, 2, 60, 200):
        lane = random.integers(0, 7, count)
        fleet = small_fleet(random.integers(0, 40, count) * 10.0, lane, np.full(count, 9.0))
        changing = random.random(count) < 0.3
        fleet.old_lane[changing] = lane[changing] + random.choice((-1, 1), changing.sum())
        fleet.progress = np.where(changing, random.random(count), 1.0)
        old = np.where(fleet.on_two_lanes, fleet.old_lane, -1)
        lanes = torch.from_numpy(np.stack([lane, old], axis=1))[None]
        expected = LaneOrder.of(lanes, torch.from_numpy(fleet.x_m)[None])
        order = FleetOrder.of(fleet)
        np.testing.assert_array_equal(order.leaders(), expected.leaders()[0])
        target, x_m = random.integers(0, 8, 300), random.integers(-2, 42, 300) * 10.0
        place = torch.from_numpy(target), torch.from_numpy(x_m)
        for found, wanted in zip(
            order.around(target, x_m),
            expected.around(torch.zeros(300, dtype=torch.int64), *place),
            strict=True,
        ):
            np.testing.assert_array_equal(found, wanted)


def test_changes_lanes_only_where_there_is_room():
    """A slow leader, and the lanes beside it taken or free."""
    rng = np.random.default_rng(0)
    for beside, changes in ((200.0, True), (2.0, False)):
        fleet = small_fleet([0, 30, beside, beside], [3, 3, 2, 4], [10, 4, 10, 10])
        acceleration = np.array([-4.0, 0.0, 0.0, 0.0])
        start_lane_changes(rng, fleet, FleetOrder.of(fleet), acceleration, I80)
        assert (fleet.lane[0] != 3) == changes


def test_lane_change_takes_about_three_seconds_and_stops_with_the_vehicle():
    fleet = small_fleet([0.0, 0.0], [2, 2], [12.0, 0.0])
    fleet.old_lane[:], fleet.progress[:] = 3, 0.0
    start = fleet.y_m(I80).copy()
    steps = 0
    while fleet.old_lane[0] != -1:
        fleet.advance(np.zeros(2), I80, 0.1)
        steps += 1
    assert 28 <= steps <= 39
    np.testing.assert_allclose(fleet.y_m(I80)[0] - start[0], LANE_WIDTH_M, atol=1e-9)
    assert fleet.y_m(I80)[1] == start[1]


def test_an_overlap_would_be_counted(dense):
    """Two vehicles moved on top of each other in one frame."""
    order, pointer = dense.rows_by_frame
    first, second = order[pointer[7] : pointer[7] + 2]
    x, y = dense.x_m.copy(), dense.y_m.copy()
    x[second], y[second] = x[first] + 1.0, y[first]
    assert overlapping_rows(replace(dense, x_m=x, y_m=y)) >= 1


def test_a_road_has_the_lanes_it_says():
    """Centrelines lie in the lanes of the road, for any number, width and ramp."""
    for lanes, width, ramp in ((2, 3.2, None), (4, 3.9, Ramp(50.0, 200.0)), (6, 3.0, US101.ramp)):
        highway = Highway(main_lanes=lanes, lane_width_m=width, ramp=ramp)
        road, index = highway.road(), np.arange(lanes + (ramp is not None))
        points = np.stack([np.full(len(index), 180.0), highway.lane_centre_m(index)], axis=1)
        np.testing.assert_array_equal(road.lane_index(points), index)
        assert road.lanes == len(index)


def test_an_off_ramp_opens_before_it_can_be_entered():
    ramp = Ramp(150.0, 300.0, on_ramp=False, off_ramp=True)
    road = Highway(main_lanes=3, ramp=ramp).road()
    points = np.array([[x, -1.8] for x in (80.0, 100.0, 130.0, 200.0, 499.0)])
    np.testing.assert_array_equal(road.drivable(points), [False, False, True, True, True])


@pytest.mark.parametrize("lanes", [1, 7])
def test_a_highway_has_two_to_six_lanes(lanes):
    with pytest.raises(InputError, match=f"main_lanes is {lanes}"):
        Highway(main_lanes=lanes)


def test_the_carpool_lane_is_named_where_there_is_one(short_warm_up):
    assert generate(PRESETS["dense"], 0.1, 0).provenance["carpool_lane"] == 0
    assert "carpool_lane" not in generate(PRESETS["weave"], 0.1, 0).provenance


def test_trucks_are_as_many_as_said_on_every_road():
    for name in ("trucks", "weave", "motorway"):
        preset = replace(PRESETS[name], truck_share=0.2)
        lanes = np.repeat(np.arange(preset.highway.main_lanes), 2000)
        fleet = Entries(np.random.default_rng(0), preset).draw(lanes)
        assert fleet.is_truck.mean() == pytest.approx(0.2, abs=0.02)
