"""Checks refuse what cannot be true; repairs are counted."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity

from data import clean as checks
from data.clean import Bounds, CleanConfig, Report, overlapping_pairs
from data.raw_tracks import RawTracks
from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError

ROAD = Road.straight(1000.0, 3, 3.7, start_m=-100.0)


def rows(frames, vehicle=1, speed_mps=10.0, y_m=5.5, **other) -> RawTracks:
    """One car along x."""
    frames = np.asarray(frames)
    n = len(frames)
    values = {
        "vehicle": np.full(n, vehicle),
        "frame": frames,
        "x_m": 0.1 * speed_mps * frames,
        "y_m": np.full(n, y_m),
        "length_m": np.full(n, 4.5),
        "width_m": np.full(n, 1.8),
        "heading_rad": np.zeros(n),
        "speed_mps": np.full(n, speed_mps),
        "line": np.arange(n) + 1,
    }
    return RawTracks(name="test", file="file.txt", dt_s=0.1, road=ROAD, **(values | other))


def join(*parts: RawTracks) -> RawTracks:
    columns = {
        key: np.concatenate([getattr(part, key) for part in parts])
        for key in RawTracks.__dataclass_fields__
        if isinstance(getattr(parts[0], key), np.ndarray)
    }
    return replace(parts[0], **columns)


def recording(table: RawTracks, **options) -> Recording:
    """Without smoothing, so that positions can be compared."""
    return checks.recording(table, CleanConfig(smoothing="none", **options))


def clean(table: RawTracks) -> tuple[Recording, Report]:
    made = recording(table)
    return made, Report(**made.provenance["report"])


def test_rows_in_any_order_become_one_track_from_frame_0():
    table = rows(np.arange(7, 37)[::-1])
    made, report = clean(table)
    np.testing.assert_array_equal(made.frame, np.arange(30))
    np.testing.assert_allclose(made.x_m, 7 + np.arange(30))
    assert made.provenance["first_frame"] == 7
    assert (report.rows_read, report.vehicles_read) == (30, 1)
    assert (report.rows_kept, report.tracks_kept) == (30, 1)
    assert not (report.dropped or report.repaired or report.overlaps or report.implausible)


def test_short_gap_is_filled_long_gap_splits_short_track_is_dropped():
    kept = [*range(20), *range(25, 45), *range(51, 70), *range(80, 85)]
    made, report = clean(rows(kept))
    np.testing.assert_array_equal(np.diff(made.vehicle_pointer), [45, 19])
    np.testing.assert_allclose(made.x_m[:45], np.arange(45), atol=1e-12)
    np.testing.assert_array_equal(made.vehicle_id, [1, 1])
    assert report.repaired == {
        "track split at a gap of more than 5 frames": 2,
        "frame filled by interpolation": 5,
    }
    assert report.dropped == {"track shorter than 1 s": 5}
    assert (report.rows_read, report.rows_kept, report.tracks_kept) == (64, 64, 2)


def test_a_jump_is_two_vehicles():
    table = rows(range(40))
    table.x_m[20:] += 300.0
    made, report = clean(table)
    assert made.vehicles == 2
    assert report.repaired == {"track split at a jump (faster than 80 m/s)": 1}


def test_heading_is_interpolated_across_the_turn_of_the_scale():
    heading = np.where(np.arange(21) < 12, 3.1, -3.1)
    table = rows([*range(10), *range(12, 23)], heading_rad=heading)
    made, _ = clean(table)
    assert (np.abs(made.heading_rad) > 3.05).all()


def test_rounded_speeds_are_set_to_zero_and_counted():
    made, report = clean(rows(range(20), speed_mps=-0.004))
    assert made.speed_mps.max() == 0.0
    assert list(report.repaired.values()) == [20]


@pytest.mark.parametrize(
    "column, value, words",
    [
        ("speed_mps", -3.0, ["negative", "-3.000", "line 5"]),
        ("x_m", np.nan, ["x_m", "not a number", "line 5"]),
        ("length_m", 0.0, ["no size", "line 5"]),
        ("frame", 3, ["second row", "frame 3"]),
    ],
)
def test_impossible_rows_are_refused_by_name(column, value, words):
    table = rows(range(20), vehicle=77)
    getattr(table, column)[4] = value
    with pytest.raises(InputError) as error:
        clean(table)
    for word in ["file.txt", "vehicle 77", *words]:
        assert word in str(error.value)


def test_nothing_left_is_an_error():
    with pytest.raises(InputError, match="no track"):
        clean(rows(range(5)))


def test_front_positions_move_to_the_centre_along_the_heading():
    n = np.arange(40)
    angle = 0.3
    table = rows(n, x_m=n * np.cos(angle), y_m=n * np.sin(angle), at_front=True)
    table = replace(table, heading_rad=None, speed_mps=None)
    made, _ = clean(table)
    np.testing.assert_allclose(made.x_m, (n - 2.25) * np.cos(angle), atol=1e-6)
    np.testing.assert_allclose(made.y_m, (n - 2.25) * np.sin(angle), atol=1e-6)
    np.testing.assert_allclose(made.heading_rad, angle, atol=1e-6)
    np.testing.assert_allclose(made.speed_mps, 10.0, atol=1e-5)


def test_overlapping_pairs_are_listed_with_their_depth():
    made, report = clean(
        join(rows(range(20)), rows(range(20), vehicle=2, y_m=7.0), rows(range(20), 3, y_m=1.0))
    )
    assert report.overlaps == overlapping_pairs(made)
    assert report.overlaps == [{"vehicles": [1, 2], "frames": 20, "depth_m": 0.3, "at_frame": 0}]
    assert "1/2 by 0.30 m" in report.table()
    _, later = clean(join(rows(range(7, 27)), rows(range(7, 27), vehicle=2, y_m=7.0)))
    assert later.overlaps[0]["at_frame"] == 7


def test_the_first_of_two_rows_is_kept_where_that_is_asked_for():
    table = join(rows(range(20)), rows(range(5, 8), x_m=np.full(3, 99.0)))
    made = recording(table, duplicates="keep-first")
    np.testing.assert_array_equal(made.x_m, np.arange(20.0))
    report = made.provenance["report"]
    assert report["dropped"] == {"second row of a vehicle in a frame": 3}
    assert made.provenance["clean"]["duplicates"] == "keep-first"


def test_gaps_and_jumps_stay_or_split_as_asked():
    gap = rows([*range(20), *range(22, 42)])
    made = recording(gap, fill_gaps=False)
    np.testing.assert_array_equal(np.diff(made.vehicle_pointer), [20, 20])
    assert made.provenance["report"]["repaired"] == {
        "track split at a gap of more than 0 frames": 1
    }
    jump = rows(range(40))
    jump.x_m[20:] += 300.0
    assert recording(jump, split_jumps=False).vehicles == 1


def test_sizes_are_the_median_of_each_track():
    table = join(rows(range(20)), rows(range(11), vehicle=2, y_m=0.0))
    table.length_m[:20] = np.where(np.arange(20) < 9, 4.0, 5.0)
    table.length_m[9] = 4.4
    table.width_m[20:] = np.where(np.arange(11) < 6, 1.5, 1.9)
    made = recording(table)
    np.testing.assert_allclose(made.length_m, [np.median(table.length_m[:20]), 4.5])
    np.testing.assert_allclose(made.width_m, [1.8, 1.5])


def braking(deceleration_mps2: float, vehicle: int = 1) -> RawTracks:
    """From 30 m/s to 10 m/s, from the 20th frame on, speeds and positions in accord."""
    frames = np.arange(80)
    speed = np.clip(30.0 - 0.1 * deceleration_mps2 * (frames - 20), 10.0, 30.0)
    x = np.concatenate([[0.0], np.cumsum(0.05 * (speed[1:] + speed[:-1]))])
    return rows(frames, vehicle=vehicle, x_m=x, speed_mps=speed, y_m=4.0 * vehicle)


def test_what_no_vehicle_can_do_is_counted_and_dropped_only_where_that_is_asked_for():
    table = join(braking(7.5), braking(12.5, vehicle=2))
    made, report = clean(table)
    assert made.vehicles == 2
    wrong = report.implausible["acceleration_mps2"]
    assert (wrong["rows"], wrong["tracks"], wrong["bounds"]) == (15, 1, [-8.0, 5.0])
    assert wrong["worst"]["vehicle"] == 2
    assert wrong["worst"]["value"] == pytest.approx(-12.5, abs=0.01)
    assert wrong["worst"]["frame"] in range(21, 37)
    assert [entry["vehicle"] for entry in report.implausible_tracks] == [1, 2]
    assert "15 rows of 1 tracks: acceleration beyond -8 … 5 m/s²" in report.table()
    # Either begins to brake at once: a jerk of 37.5 m/s³ even for the first.
    assert report.implausible["jerk_mps3"]["tracks"] == 2
    bounds = Bounds(highest_jerk_mps3=100.0)
    made = recording(table, drop_implausible=True, bounds=bounds)
    np.testing.assert_array_equal(made.vehicle_id, [1])
    assert made.provenance["report"]["dropped"] == {"track with a row beyond the bounds": 80}
    with pytest.raises(InputError, match="every track has a row beyond the bounds"):
        recording(table, drop_implausible=True)


def test_statistics_are_those_of_a_hand_computed_turn():
    """10 m/s on a circle of 20 m: 0.5 rad/s and 5 m/s² sideways."""
    angle = 0.05 * np.arange(100)
    made, report = clean(
        rows(range(100), x_m=20 * np.sin(angle), y_m=20 - 20 * np.cos(angle), heading_rad=angle)
    )
    for source in ("positions_read", "columns_written"):
        found = report.statistics[source]
        assert found["yaw_rate_radps"]["p50"] == pytest.approx(0.5, abs=0.01)
        assert found["lateral_acceleration_mps2"]["p50"] == pytest.approx(5.0, abs=0.05)
        assert found["speed_mps"]["p50"] == pytest.approx(10.0, abs=0.01)
        assert all(sum(own["histogram"]) == 100 for own in found.values())
        assert found["speed_mps"]["histogram"][9] + found["speed_mps"]["histogram"][10] == 100
    assert report.saturated_actions["acceleration_mps2"] == 0.0


def test_actions_that_an_ego_could_not_take_are_counted():
    table = rows(range(201))
    even = recording(table).provenance["report"]["saturated_actions"]
    assert even == {"acceleration_mps2": 0.0, "curvature_radpm": 0.0}
    table.x_m[150:] += 3.0  # The ego has to catch up and to brake again: some seconds at the limit.
    share = recording(table).provenance["report"]["saturated_actions"]["acceleration_mps2"]
    assert 0.1 < share < 0.3


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_the_sweep_finds_the_overlaps_that_shapely_finds(seed):
    rng = np.random.default_rng(seed)
    cars = [
        rows(
            range(10),
            vehicle=k,
            x_m=np.linspace(*rng.uniform(0, 40, 2), 10),
            y_m=np.linspace(*rng.uniform(0, 15, 2), 10),
            heading_rad=np.full(10, rng.uniform(-np.pi, np.pi)),
            length_m=np.full(10, rng.uniform(3, 12)),
        )
        for k in range(6)
    ]
    made = recording(join(*cars))
    expected = {}
    for a in range(6):
        for b in range(a + 1, 6):
            frames = sum(
                box(made, a, frame).intersection(box(made, b, frame)).area > 1e-9
                for frame in range(10)
            )
            if frames:
                expected[a, b] = frames
    found = {tuple(pair["vehicles"]): pair["frames"] for pair in overlapping_pairs(made)}
    assert found == expected


def box(made: Recording, vehicle: int, frame: int):
    row = made.vehicle_pointer[vehicle] + frame
    flat = shapely.box(*(0.5 * made.length_m[vehicle] * np.array([-1, 0, 1, 0])
                         + 0.5 * made.width_m[vehicle] * np.array([0, -1, 0, 1])))  # fmt: skip
    turned = affinity.rotate(flat, float(made.heading_rad[row]), (0, 0), use_radians=True)
    return affinity.translate(turned, made.x_m[row], made.y_m[row])
