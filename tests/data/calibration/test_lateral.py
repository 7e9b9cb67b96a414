"""Fits of motion across the road to tracks that are known."""

from __future__ import annotations

import numpy as np
import pytest

from data.calibration.lateral import fit_lane_changes, fit_lane_keeping
from data.calibration.lateral_track import LateralTrack
from data.calibration.tables import DT_S
from ppuu.driving.lane_change_path import quintic


def across(y_m, centre_m, lane):
    return LateralTrack(y_m, centre_m, lane, np.ones(len(lane), bool), DT_S)


@pytest.mark.parametrize("duration_s", [4.0, 6.0])
def test_the_duration_of_a_lane_change_is_found(duration_s):
    time = np.arange(0.0, 20.0, DT_S)
    y = -1.75 - 3.5 * (1.0 - quintic(np.clip((time - 10.0) / duration_s + 0.5, 0, 1)))
    lane = np.where(y > -3.5, 1, 2)
    centre = np.where(lane == 1, -1.75, -5.25)
    found = fit_lane_changes([across(y, centre, lane)])
    assert found.count == 1
    assert found.duration_s == pytest.approx(duration_s, abs=0.3)
    assert found.rmse_m < 0.1
    assert found.rmse_m < found.straight_rmse_m


def test_wander_and_offsets_are_found():
    random = np.random.default_rng(0)
    time = np.arange(0.0, 120.0, DT_S)
    tracks, offsets = [], random.normal(0.0, 0.25, 60)
    for offset in offsets:
        period = np.exp(random.uniform(np.log(6.0), np.log(30.0), 3))
        phase = random.uniform(0, 2 * np.pi, 3)
        waves = np.sin(2 * np.pi * time[:, None] / period + phase).sum(1) * np.sqrt(2 / 3)
        track = offset + 0.3 * waves
        tracks.append(across(track, np.zeros(len(time)), np.ones(len(time), int)))
    found = fit_lane_keeping(tracks)
    assert found.wander_m == pytest.approx(0.3, rel=0.1)
    assert found.offset_m == pytest.approx(offsets.std(), rel=0.15)
    assert 3.5 <= found.shortest_period_s <= 9.0
