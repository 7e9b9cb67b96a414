"""The summaries of real traffic that are part of the program."""

import json

import numpy as np
import pytest

from eval.realism.comparison import rows_of
from eval.realism.from_real_lanes import summaries
from eval.realism.real import PATH, SLOTS, RealTraffic
from ppuu.runtime.errors import InputError


def test_the_file_is_what_the_recordings_give(shared_data):
    folder = shared_data / "real-lanes"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    made = summaries(folder)
    assert json.loads(PATH.read_text()) == json.loads(json.dumps(made))
    # The same figures by another program, from more tracks of US-101.
    published = json.loads((folder / "statistics.json").read_text())
    for slot in SLOTS:
        entry = published["i80"]["pairs"][slot]
        own = made["slots"][slot]["metrics"]
        wave = entry["waves"]["value"]["upstream"]
        assert own["wave_speed_mps"] == pytest.approx(wave["speed_mps"], abs=0.15)
        growth = entry["speed_std_ratio"]["value"]["p50"]
        assert own["platoon_growth"] == pytest.approx(growth, abs=0.002)
    us101, lateral = published["us101"], made["us101"]["metrics"]
    duration = us101["lane_change_duration_threshold"]["value"]["p50"]
    assert lateral["lane_change_duration_s"] == pytest.approx(duration, abs=0.1)
    peak = us101["lane_change_peak_lateral_speed"]["value"]["p50"]
    assert lateral["lane_change_lateral_speed_mps"] == pytest.approx(peak, abs=0.02)
    assert lateral["wander_m"] == pytest.approx(us101["lateral_wander"]["value"], abs=0.03)


@pytest.mark.parametrize("slot", SLOTS)
def test_the_ceiling_is_high_and_the_floor_low(slot):
    real = RealTraffic.load()
    reference, ceiling, _, floor = rows_of([], real, slot)
    assert reference["realism"] == 1.0 and reference["wasserstein_gap_m"] == 0.0
    assert ceiling["realism"] > 0.9 and floor["realism"] < 0.3
    for name in ("gap_m", "headway_s", "acceleration_mps2", "relative_speed_mps"):
        key = f"wasserstein_{name}"
        assert 0.0 < ceiling[key] < floor[key]
    assert np.isnan(floor["wave_speed_mps"]) and -6.5 < ceiling["wave_speed_mps"] < -4.5


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder; give the one with i80-pairs"):
        summaries(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"i80-pairs\.csv\.gz: no such file"):
        summaries(tmp_path)
