"""SUMO's traffic as a recording; what needs SUMO itself skips where it is not installed."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from data.generate import main
from data.sumo import generate, simulate
from data.sumo.network import network, routes
from data.traffic.road import I80, I80_RAMP, SECTION_M
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError

from ..drivers_without_learning import episodes, overlapping_rows, success


def test_the_network_has_the_generators_lanes():
    root = network()
    road = I80.road()
    for edge, rightmost in (("merge", I80.ramp_lane), ("onward", I80.main_lanes - 1)):
        lanes = root.findall(f"edge[@id='{edge}']/lane")
        shapes = [lane.get("shape").split() for lane in lanes]
        ends = np.array([[float(v) for v in end.split(",")] for shape in shapes for end in shape])
        middle = 0.5 * (ends[::2] + ends[1::2])
        np.testing.assert_array_equal(road.lane_index(middle), range(rightmost, -1, -1))


def test_arrivals_follow_from_the_seed_and_are_in_order():
    first, again, other = (routes(np.random.default_rng(seed), 60.0) for seed in (0, 0, 1))
    departs = [float(vehicle.get("depart")) for vehicle in first.iter("vehicle")]
    assert departs == sorted(departs) and len(departs) > 100
    assert departs == [float(vehicle.get("depart")) for vehicle in again.iter("vehicle")]
    assert departs != [float(vehicle.get("depart")) for vehicle in other.iter("vehicle")]


def test_front_bumper_and_compass_become_centre_and_heading():
    """Two frames of a car of 4 m, one eastwards (90°), one a little to the left of it (80°)."""
    rows = np.array(
        [[7, 1, 13.0, 2.0, 80.0, 9.0, 4.0, 2.0], [7, 0, 12.0, 2.0, 90.0, 8.0, 4.0, 2.0]]
    )
    recording = simulate._recording(rows, "two", {})
    left = math.radians(10.0)
    np.testing.assert_allclose(recording.x_m, [10.0, 13.0 - 2.0 * math.cos(left)])
    np.testing.assert_allclose(recording.y_m, [2.0, 2.0 - 2.0 * math.sin(left)])
    np.testing.assert_allclose(recording.heading_rad, [0.0, left], atol=1e-7)
    np.testing.assert_allclose(recording.speed_mps, [8.0, 9.0])


def test_without_sumo_one_line_names_the_cure(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "libsumo", None)
    with pytest.raises(SystemExit) as stop:
        run(main, ["sumo", "--out", str(tmp_path / "x.h5")])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "pip install libsumo" in message
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def sumo():
    """Twenty seconds after a short warm-up."""
    pytest.importorskip("libsumo", reason="SUMO is not installed: pip install libsumo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "_WARM_UP_S", 60.0)
        return generate(20.0, seed=3)


def test_no_overlap_on_the_road_and_the_human_arrives(sumo):
    assert overlapping_rows(sumo) == 0
    assert sumo.road.drivable(np.stack([sumo.x_m, sumo.y_m], 1)).all()
    assert sumo.x_m.min() >= 0 and sumo.x_m.max() <= SECTION_M
    assert success(sumo, episodes(sumo), "human").mean() >= 0.99


def test_lane_changes_are_continuous(sumo):
    within = np.diff(sumo.row_vehicle) == 0
    lane = sumo.road.lane_index(np.stack([sumo.x_m, sumo.y_m], 1))
    assert ((np.diff(lane) != 0) & within).any()
    assert np.abs(np.diff(sumo.y_m)[within]).max() < 0.6


def test_vehicles_come_from_the_ramp(sumo):
    assert ((sumo.y_m < 0) & (sumo.x_m < I80_RAMP.merge_start_m)).any()
    assert sumo.y_m[sumo.x_m > I80_RAMP.merge_end_m + I80_RAMP.TAPER_M].min() > 0


def test_the_same_seed_in_a_fresh_process(sumo, monkeypatch):
    monkeypatch.setattr(simulate, "_WARM_UP_S", 10.0)
    code = (
        "from data.sumo import generate, simulate\n"
        "simulate._WARM_UP_S = 10.0\n"
        "print(generate(5.0, seed=3).content_hash)"
    )
    fresh = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    assert fresh == generate(5.0, seed=3).content_hash


def test_rejects_a_length_that_is_none(sumo):
    with pytest.raises(InputError, match="positive"):
        generate(0.0, 0)
