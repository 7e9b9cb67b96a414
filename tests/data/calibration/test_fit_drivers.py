"""The command, on the real tables where they are at hand."""

from __future__ import annotations

import json

import pytest

from data import fit_drivers
from ppuu.driving.calibration import DRIVERS_CSV, calibration


@pytest.mark.slow
def test_the_committed_drivers_come_from_the_command(shared_data, tmp_path):
    folder = shared_data / "real-lanes"
    if not (folder / "i80-pairs.csv.gz").is_file():
        pytest.skip("no real lanes here; set PPUU_SHARED_DATA to a folder that holds them")
    fit_drivers.main(folder, out=tmp_path / "drivers.csv")
    for suffix in (".csv", ".json"):
        made = (tmp_path / "drivers.csv").with_suffix(suffix)
        assert made.read_text() == DRIVERS_CSV.with_suffix(suffix).read_text()


def test_fewer_parameters_predict_held_out_time_at_least_as_well():
    """Why drivers have three parameters of their own, and no delay."""
    rows = json.loads(DRIVERS_CSV.with_suffix(".json").read_text())["prediction_errors"]
    mean = {
        fit: sum(r["held_out_relative"] for r in rows if r["fit"] == fit)
        for fit in ("3 parameters", "IDM", "IDM and delay")
    }
    assert mean["3 parameters"] <= min(mean.values()) + 1e-3


def test_calibration_is_that_of_real_drivers():
    found = calibration()
    assert 3.0 < found.lane_change.duration_s < 6.0
    assert 0.22 < found.lane_keeping.wander_m < 0.32
    assert 2.0 < found.headway_variation.memory_s < 10.0
