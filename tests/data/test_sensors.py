"""Recordings as a sensor would have seen them."""

import gzip
import json

import numpy as np
import pytest

from data.sensors import raw_tracks, seen_by
from data.traffic import PRESETS, generate, simulate
from data.traffic.bends import Bend, bent
from ppuu.perception.sensors import DRONE, NGSIM, SENSORS, NoisePart, Sensor
from tests.helpers import Car, dense_recording, straight_recording

STEADY = Sensor(along=(NoisePart(0.5, 0.6),), across=(NoisePart(0.1, 0.4),))


@pytest.fixture(scope="module")
def traffic():
    """A queue: dense traffic soon after its start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "_WARM_UP_S", 20.0)
        return generate(PRESETS["dense"], 30.0, seed=100)


def rows_of(recording, raw):
    """Row of the recording of each raw row."""
    span = recording.frames
    key = recording.vehicle_id[recording.row_vehicle] * span + recording.frame
    order = np.argsort(key)
    return order[np.searchsorted(key[order], raw.vehicle * span + raw.frame)]


def fronts(recording):
    """x of the front bumpers."""
    half = 0.5 * recording.length_m[recording.row_vehicle]
    return recording.x_m + half * np.cos(recording.heading_rad)


def numbered(values):
    """Equal values as numbers from 0."""
    return np.unique(values, return_inverse=True)[1]


def centred(error, track):
    """Less each track's (or place's) own mean."""
    return error - (np.bincount(track, error) / np.bincount(track))[track]


def spread(error, track):
    """Standard deviation about each track's own mean."""
    return centred(error, track).std()


def within_track(error, track, lags):
    """Autocorrelation about each track's own mean."""
    error = centred(error, track)
    products = [
        (error[lag:] * error[: len(error) - lag])[track[lag:] == track[: len(error) - lag]].mean()
        for lag in lags
    ]
    return np.array(products) / error.var()


def lane_1(recording, raw):
    """Selects lane 1 and the first 332 m, as of the real readings, and removes the shift by place.

    Returns:
        seen minus exact, and the track of each row.
    """
    row = rows_of(recording, raw)
    front = fronts(recording)[row]
    left = (recording.y_m[row] > recording.y_m.max() - 3.0) & (front < 332)
    error = centred((raw.x_m - front)[left], numbered(front[left] // 10))
    return error, numbered(raw.vehicle[left])


@pytest.fixture(scope="module")
def long_drive():
    """A lane full of cars at the speed of I-80's lane 1, for 20 s each."""
    cars = [Car(x_m=10.0, speed_mps=16.6, first_frame=15 * k, frames=200) for k in range(300)]
    return straight_recording(cars, frames=15 * 300 + 200, lanes=1)


def test_noise_has_the_real_autocorrelation(traffic, long_drive, shared_data):
    """Within 0.1 of the difference of two readings of I-80's lane 1, at every lag up to 3 s."""
    folder = shared_data / "real-lanes"
    if not folder.is_dir():
        pytest.skip("no real lanes here; set PPUU_SHARED_DATA to a folder that holds them")
    published = json.loads((folder / "statistics.json").read_text())["measurement_noise"]
    published = published["original_minus_reextracted"]["within_track_autocorrelation"]["value"]
    with gzip.open(folder / "i80-lane1-reextracted.csv.gz", "rt") as file:
        vehicle, time_s, x, other = np.loadtxt(file, delimiter=",", skiprows=1).T
    difference = centred(x - other, numbered(x // 10))
    lags = np.arange(1, 31)
    own = numbered(vehicle)
    real = within_track(difference, own, lags)
    at = {float(lag.split()[0]): value for lag, value in published.items()}
    known = [lag for lag in lags if lag / 10 in at]
    assert np.abs(real[np.array(known) - 1] - [at[k / 10] for k in known]).max() < 0.03
    error, track = lane_1(long_drive, raw_tracks(long_drive, NGSIM, seed=100))
    seen = within_track(error, track, lags)
    assert np.abs(seen - real).max() < 0.1
    # A reading has half the variance of the difference of two.
    assert spread(error, track) == pytest.approx(spread(difference, own) / np.sqrt(2), rel=0.15)


def test_errors_are_those_of_the_model(long_drive):
    raw = raw_tracks(long_drive, STEADY, seed=0)
    row = rows_of(long_drive, raw)
    assert len(row) == long_drive.rows
    for error, part in (
        (raw.x_m - long_drive.x_m[row], STEADY.along[0]),
        (raw.y_m - long_drive.y_m[row], STEADY.across[0]),
    ):
        for lag in (0, 3, 10):
            same = raw.vehicle[lag:] == raw.vehicle[: len(row) - lag]
            found = (error[lag:] * error[: len(row) - lag])[same].mean()
            expected = part.covariance(np.array([0.1 * lag]))[0]
            assert found == pytest.approx(expected, abs=0.06 * part.std_m**2)


def test_exact_is_the_recording_itself(traffic):
    assert seen_by(traffic, "exact", seed=0) is traffic


@pytest.mark.parametrize("sensor", ["drone", "ngsim"])
def test_the_seed_decides(sensor):
    recording = dense_recording()
    first, again, other = (seen_by(recording, sensor, seed) for seed in (1, 1, 2))
    assert first.content_hash == again.content_hash != other.content_hash
    assert first.name == f"dense-{sensor}"
    origin = first.provenance["sensor"]
    assert (origin["name"], origin["seed"]) == (sensor, 1) and "report" in first.provenance


def test_noise_of_a_vehicle_does_not_depend_on_the_others():
    cars = [Car(x_m=30.0 * k, speed_mps=9.0, frames=60 + 10 * k) for k in range(4)]
    many = raw_tracks(straight_recording(cars), NGSIM, seed=5)
    few = raw_tracks(straight_recording(cars[:2]), NGSIM, seed=5)
    for vehicle in (100, 101):
        own, same = (t.vehicle == vehicle for t in (many, few))
        np.testing.assert_array_equal(many.x_m[own], few.x_m[same])
        np.testing.assert_array_equal(many.y_m[own], few.y_m[same])


def test_standing_vehicles_do_not_move_and_none_reverses(traffic):
    standing = straight_recording([Car(x_m=20.0 * k, speed_mps=0.0) for k in range(20)])
    raw = raw_tracks(standing, NGSIM, seed=0)
    positions = np.stack([raw.x_m, raw.y_m])
    assert not np.diff(positions)[:, np.diff(raw.vehicle) == 0].any()
    assert np.abs(raw.x_m - fronts(standing)).max() > 0.3
    queue = raw_tracks(traffic, NGSIM, seed=0)
    steps = np.diff(queue.x_m)[np.diff(queue.vehicle) == 0]
    assert steps.min() >= -0.01  # headings differ a little from the road's


def test_positions_are_quantised_and_those_of_the_front():
    recording = dense_recording()
    raw = raw_tracks(recording, DRONE, seed=0)
    np.testing.assert_allclose(raw.x_m, np.round(raw.x_m, 2), atol=1e-9)
    assert not raw.at_front and raw_tracks(recording, NGSIM, seed=0).at_front
    assert np.abs(raw.x_m - recording.x_m[rows_of(recording, raw)]).max() < 0.3


def test_some_tracks_begin_late_and_some_are_lost():
    cars = [Car(x_m=0.0, speed_mps=10.0, first_frame=20 * k, frames=500) for k in range(100)]
    recording = straight_recording(cars, frames=2500, lanes=1, road_m=3000.0)
    late = raw_tracks(recording, Sensor(late_m=20.0), seed=0)
    first = np.flatnonzero(np.diff(late.vehicle, prepend=-1))
    begin_m = late.x_m[first]
    assert begin_m[0] == 0.0  # in sight from the beginning
    assert begin_m[1:].mean() == pytest.approx(10.0, abs=2.0) and begin_m.max() <= 21.0
    lossy = Sensor(lost_per_h=60.0, lost_s=1.5)
    seen = raw_tracks(recording, lossy, seed=0)
    gap = np.diff(seen.frame)[np.diff(seen.vehicle) == 0] - 1
    hours = recording.rows * 0.1 / 3600
    assert (gap > 0).sum() == pytest.approx(60 * hours, rel=0.35)
    assert 0.1 * gap[gap > 0].mean() == pytest.approx(1.5, rel=0.35)


def test_bends_are_followed():
    """Errors lie along and across the vehicle, wherever the road leads."""
    cars = [Car(x_m=0.0, first_frame=5 * k, frames=400) for k in range(50)]
    road = bent(straight_recording(cars, frames=650), Bend.draw(np.random.default_rng(0), 300.0))
    assert np.ptp(road.heading_rad) > 0.3
    raw = raw_tracks(road, STEADY, seed=0)
    row = rows_of(road, raw)
    cos, sin = np.cos(road.heading_rad[row]), np.sin(road.heading_rad[row])
    east, north = raw.x_m - road.x_m[row], raw.y_m - road.y_m[row]
    across = north * cos - east * sin
    assert across.std() == pytest.approx(0.1, rel=0.2)
    assert (east * cos + north * sin).std() == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("sensor", [name for name in SENSORS if name != "exact"])
def test_what_is_seen_passes_the_checks(traffic, sensor):
    seen = seen_by(traffic, sensor, seed=100)
    report = seen.provenance["report"]
    assert report["on_road_share"] > 0.995
    assert seen.vehicles > 0.95 * traffic.vehicles
    assert abs(seen.speed_mps.mean() - traffic.speed_mps.mean()) < 0.3
