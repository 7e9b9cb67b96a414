"""The fit of the sensor ngsim: known noise is found again, real lanes give the numbers in use."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter

from data import fit_sensors
from data.calibration.lane_table import LaneTable
from data.calibration.noise_statistics import autocovariance, spectrum
from data.fit_sensors import Readings, expected_autocovariance
from data.sensors import raw_tracks
from ppuu.perception.sensors import NGSIM, NGSIM_JSON, NoisePart, Sensor
from ppuu.runtime.command import run
from ppuu.runtime.config import from_json
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording


def write_csv(path, **columns):
    with gzip.open(path, "wt") as file:
        file.write(",".join(columns) + "\n")
        np.savetxt(file, np.stack(list(columns.values()), 1), fmt="%.8g", delimiter=",")
    return path


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """Three tables as of a sensor with known numbers; vehicles at constant speeds."""
    folder = tmp_path_factory.mktemp("lanes")
    true = replace(NGSIM, lost_per_h=20.0, late_m=15.0)

    def seen(seed, speed_mps, sensor, lane=0):
        cars = [
            Car(x_m=0.0, lane=lane, speed_mps=speed_mps, first_frame=20 * k, frames=300)
            for k in range(200)
        ]
        return raw_tracks(straight_recording(cars, 4300, 1, 2000.0), sensor, seed)

    lanes = [(1, 400, seen(0, 17.0, true)), (7, 400, seen(1, 10.0, true))]
    lanes += [(7, 500, seen(2, speed, true)) for speed in (0.8, 10.0)]
    rows = [len(raw.frame) for _, _, raw in lanes]
    offset = np.repeat([0, 0, 0, 1000], rows)
    write_csv(
        folder / "lanes.csv.gz",
        slot=np.repeat([slot for _, slot, _ in lanes], rows),
        lane=np.repeat([lane for lane, _, _ in lanes], rows),
        vehicle_id=np.concatenate([raw.vehicle for _, _, raw in lanes]) + offset,
        time_s=np.concatenate([raw.frame for _, _, raw in lanes]) * 0.1,
        x_m=np.concatenate([raw.x_m for _, _, raw in lanes]),
    )
    whole = replace(true, late_m=0.0, lost_per_h=0.0)
    smooth = replace(whole, along=whole.along[:-1])
    one, other = seen(3, 17.0, whole), seen(4, 17.0, smooth)
    write_csv(
        folder / "readings.csv.gz",
        vehicle_id=one.vehicle,
        time_s=one.frame * 0.1,
        x_original_m=one.x_m,
        x_reextracted_m=other.x_m,
    )
    write_csv(
        folder / "tracks.csv.gz",
        slot=np.full(len(one.frame), 750),
        vehicle_id=one.vehicle,
        time_s=one.frame * 0.1,
        x_m=one.x_m,
        y_m=one.y_m,
        lane=np.ones(len(one.frame)),
    )
    return true, folder


def test_known_noise_is_found_again(made_up, tmp_path):
    true, folder = made_up
    out = tmp_path / "sensor.json"
    files = [folder / f"{name}.csv.gz" for name in ("lanes", "readings", "tracks")]
    fit_sensors.main(*files, out=out)
    found = from_json(Sensor, json.loads(out.read_text())["sensor"])
    lags = np.array([0.0, 0.1, 0.3, 1.0, 2.0])
    scale = true.covariance("along", lags)[0]
    np.testing.assert_allclose(
        found.covariance("along", lags) / scale,
        true.covariance("along", lags) / scale,
        atol=0.12,
    )
    fast, true_fast = found.along[-1], true.along[-1]
    assert fast.std_m == pytest.approx(true_fast.std_m, rel=0.3)
    # Across, only this can be told apart from vehicles that sway.
    known, again = (s.across[0].std_m ** 2 / s.across[0].memory_s ** 3 for s in (true, found))
    assert again == pytest.approx(known, rel=0.3)
    assert found.shift_m == pytest.approx(true.shift_m, rel=0.5)
    assert found.lost_per_h == pytest.approx(20.0, rel=0.4)
    half_length_m = 2.25  # from the first centre to the first front
    assert found.late_m == pytest.approx(0.9 * 15.0 + half_length_m, abs=1.5)
    assert found.standstill_mps == pytest.approx(true.standstill_mps, rel=0.4)


def test_expected_autocovariance_is_what_short_tracks_show():
    part, random = NoisePart(0.5, 0.6), np.random.default_rng(0)
    series = lfilter(*part.recursion(0.1), random.standard_normal((3000, 250)))[:, 150:]
    lags = np.array([0, 3, 10, 40])
    found = autocovariance([*series[:1500, :50], *series[1500:]], lags)
    lengths = np.repeat([50, 100], 1500)
    expected = expected_autocovariance(part.covariance(np.arange(100) * 0.1), lengths, lags)
    np.testing.assert_allclose(found, expected, atol=0.004)
    assert expected[3] < 0 < part.covariance(np.array([4.0]))[0]


def test_spectrum_is_that_of_the_model():
    part, random = NoisePart(0.1, 0.1), np.random.default_rng(0)
    series = lfilter(*part.recursion(0.1), random.standard_normal((50, 2000)))
    frequency, density = spectrum(list(series))
    middle = (frequency > 0.6) & (frequency < 4.5)
    expected = fit_sensors.model_spectrum((part,), frequency)
    np.testing.assert_allclose(density[middle], expected[middle], rtol=0.15)
    # Its integral is the variance.
    fine = np.linspace(0, 5, 5001)
    total = fit_sensors.model_spectrum((part,), fine).mean() * 5
    assert total == pytest.approx(0.01, rel=0.01)


def test_real_lanes_give_the_numbers_in_use(shared_data, tmp_path):
    folder = shared_data / "real-lanes"
    if not folder.is_dir():
        pytest.skip("no real lanes here; set PPUU_SHARED_DATA to a folder that holds them")
    names = ("i80-lanes", "i80-lane1-reextracted", "us101-tracks")
    out = tmp_path / "sensor.json"
    fit_sensors.main(*(folder / f"{name}.csv.gz" for name in names), out=out)
    found, used = (json.loads(path.read_text()) for path in (out, NGSIM_JSON))
    assert found["files"] == used["files"]
    again = from_json(Sensor, found["sensor"])
    lags = np.arange(31) * 0.1
    for axis in ("along", "across"):
        np.testing.assert_allclose(
            again.covariance(axis, lags), NGSIM.covariance(axis, lags), rtol=0.02, atol=1e-3
        )


def test_readings_lose_what_depends_on_the_place(made_up):
    _, folder = made_up
    table = LaneTable.read(folder / "readings.csv.gz", ())
    before = Readings.of(table)
    shifted = dict(table.columns)
    shifted["x_reextracted_m"] = shifted["x_reextracted_m"] + 1.5
    after = Readings.of(replace(table, columns=shifted))
    np.testing.assert_allclose(after.tracks[3], before.tracks[3], atol=1e-9)
    np.testing.assert_allclose(after.shift_m, before.shift_m - 1.5, atol=1e-9)


def test_mistakes_are_named(made_up, tmp_path, capsys):
    _, folder = made_up
    with pytest.raises(
        InputError, match="no column x_original_m, x_reextracted_m; is it another table"
    ):
        fit_sensors.main(*[folder / "lanes.csv.gz"] * 3, out=tmp_path / "x.json")
    with pytest.raises(InputError, match="no such file; give the folder or table"):
        fit_sensors.main(*[tmp_path / "none.csv.gz"] * 3, out=tmp_path / "x.json")
    (tmp_path / "bad.csv.gz").write_bytes(b"x")
    bad = str(tmp_path / "bad.csv.gz")
    with pytest.raises(SystemExit):
        run(fit_sensors.main, ["--lanes", bad, "--reextracted", bad, "--us101", bad])
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "bad.csv.gz" in message
