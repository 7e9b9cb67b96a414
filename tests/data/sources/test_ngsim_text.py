"""A recording written as one of NGSIM's tables comes back."""

from dataclasses import replace

import numpy as np
import pytest

from data.sources import ngsim_text, read_recordings
from data.sources.ngsim import Ngsim
from data.sources.ngsim_layouts import HIGHWAY, PORTAL, STREET
from data.sources.ngsim_sites import SITES
from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError


def weaving(vehicles=6, frames=200) -> Recording:
    """Cars and a truck that change lanes back and forth, each centre moving along its heading."""
    time_s = np.arange(0, frames * 0.1, 1e-3)
    tracks = []
    for vehicle in range(vehicles):
        heading = 0.1 * np.sin(0.4 * time_s + vehicle)
        speed = 6.0 + vehicle + 2.0 * np.sin(0.3 * time_s)
        x = 30.0 * vehicle + np.cumsum(speed * np.cos(heading)) * 1e-3
        y = 5.5 + np.cumsum(speed * np.sin(heading)) * 1e-3
        tracks.append(np.stack([x, y - y.mean() + 5.5, heading, speed])[:, ::100])
    x, y, heading, speed = np.concatenate(tracks, axis=1)
    return Recording(
        frame=np.tile(np.arange(frames), vehicles),
        x_m=x,
        y_m=y,
        heading_rad=heading,
        speed_mps=speed,
        vehicle_pointer=np.arange(vehicles + 1) * frames,
        vehicle_id=np.arange(vehicles) + 1,
        length_m=np.where(np.arange(vehicles) == 3, 14.0, 4.6),
        width_m=np.full(vehicles, 1.9),
        road=Road.straight(500.0, 3, 3.7, start_m=-20.0),
    )


def street(vehicles=3, frames=200) -> Recording:
    """As many vehicles each way on two lanes each way, all waving gently."""
    ahead = weaving(vehicles, frames)
    back = replace(
        ahead,
        x_m=400.0 - ahead.x_m,
        y_m=-ahead.y_m,
        heading_rad=ahead.heading_rad + np.pi,
        vehicle_id=ahead.vehicle_id + 100,
    )
    lanes = [ahead.road.lane(k) for k in range(ahead.road.lanes)]
    lanes += [
        (np.array([400.0, 0.0]) - left, np.array([400.0, 0.0]) - right) for left, right in lanes
    ]
    rows = ("frame", "x_m", "y_m", "heading_rad", "speed_mps", "vehicle_id", "length_m", "width_m")
    both = {key: np.concatenate([getattr(ahead, key), getattr(back, key)]) for key in rows}
    pointer = np.arange(2 * vehicles + 1) * frames
    return Recording(
        **both, vehicle_pointer=pointer, road=Road.from_lanes(lanes), name="lankershim-0830"
    )


def assert_came_back(made: Recording, back: Recording) -> None:
    """A track's first heading is only guessed; the guess is forgotten within two lengths."""
    assert back.vehicle_id.tolist() == made.vehicle_id.tolist()
    left_edge = made.road.left_m[:, 1].max()
    for vehicle in range(made.vehicles):
        true = made.track(vehicle)
        error = back.track(vehicle) - true + [0, left_edge, 0, 0]
        error[:, 2] = np.remainder(error[:, 2] + np.pi, 2 * np.pi) - np.pi
        settled = np.hypot(*(true[:, :2] - true[0, :2]).T) > 2 * made.length_m[vehicle]
        assert np.hypot(error[:, 0], error[:, 1])[settled].max() < 0.02
        assert np.abs(error[settled, 2]).max() < 0.01
        assert np.abs(error[settled, 3]).max() < 0.15
    np.testing.assert_allclose(back.length_m, made.length_m, atol=2e-4)
    np.testing.assert_allclose(back.width_m, made.width_m, atol=2e-4)


def test_18_columns(tmp_path):
    path, made = tmp_path / "made.txt", weaving()
    ngsim_text.write(made, path)
    assert len(path.read_text().split("\n", 1)[0].split()) == len(HIGHWAY) == 18
    back = read_recordings(Ngsim(), path)[0]
    assert_came_back(made, back)
    assert back.road.lanes == made.road.lanes


def test_24_columns(tmp_path):
    """Both directions; lanes are numbered within each, so that both have a lane 1."""
    path, made = tmp_path / "made.txt", street()
    ngsim_text.write(made, path, street=True)
    table = np.loadtxt(path)
    assert table.shape == (made.rows, len(STREET)) == (made.rows, 24)
    north = made.row_vehicle < 3
    np.testing.assert_array_equal(table[:, STREET.index("Direction")], np.where(north, 2, 4))
    lane = table[:, STREET.index("Lane_ID")]
    assert set(lane[north]) == set(lane[~north]) <= {1, 2, 3}
    back = read_recordings(Ngsim(), path)[0]
    assert_came_back(made, back)
    headings = [np.diff(back.road.lane(k)[0][:, 0])[0] > 0 for k in range(back.road.lanes)]
    assert any(headings) and not all(headings)


def test_the_vehicle_ahead_southbound_is_further_south(tmp_path):
    path = tmp_path / "made.txt"
    made = street()
    ngsim_text.write(made, path, street=True)
    table = np.loadtxt(path)
    column = {name: table[:, k] for k, name in enumerate(STREET)}
    place = {(v, f): k for k, (v, f) in enumerate(table[:, :2])}
    checked = 0
    for row in np.flatnonzero((column["Direction"] == 4) & (column["Preceding"] > 0)):
        other = place[column["Preceding"][row], column["Frame_ID"][row]]
        assert column["Local_Y"][other] < column["Local_Y"][row]
        gap = column["Local_Y"][row] - column["Local_Y"][other]
        assert column["Space_Headway"][row] == pytest.approx(gap, abs=0.002)
        assert column["Following"][other] == column["Vehicle_ID"][row]
        checked += 1
    assert checked > 50


def test_the_portals_csv_holds_several(tmp_path):
    made = [replace(weaving(), name="us101-0750"), replace(weaving(4), name="i80-1600"), street()]
    path = tmp_path / "portal.csv"
    ngsim_text.write_portal(made, path)
    lines = path.read_text().splitlines()
    assert lines[0] == ",".join(PORTAL)
    assert len(lines) == 1 + sum(m.rows for m in made)
    assert all(line.count(",") == len(PORTAL) - 1 for line in lines)
    assert lines[1].split(",")[14:20] == [""] * 6
    back = {m.name: m for m in read_recordings(Ngsim(), path)}
    assert sorted(back) == sorted(m.name for m in made)
    for one in made:
        assert_came_back(one, back[one.name])


@pytest.mark.parametrize("name", ["us101-0805", "lankershim-0830"])
def test_both_layouts_of_a_recording_read_alike(tmp_path, name):
    made = replace(street() if "lankershim" in name else weaving(), name=name)
    portal, text = tmp_path / "portal.csv", tmp_path / f"{name}.txt"
    ngsim_text.write_portal([made], portal)
    ngsim_text.write(made, text, street=SITES[name.split("-")[0]].street)
    one, other = (read_recordings(Ngsim(), path)[0] for path in (portal, text))
    assert one.content_hash == other.content_hash
    assert one.name == other.name == name


def test_what_was_read_can_be_written_and_read_again(tmp_path):
    """NGSIM's own axes are kept: Local X does not start at the leftmost lane anew."""
    first, second = tmp_path / "us101-a.txt", tmp_path / "us101-b.txt"
    ngsim_text.write(replace(weaving(), name="us101-0750"), first)
    once = read_recordings(Ngsim(), first)[0]
    ngsim_text.write(once, second)
    twice = read_recordings(Ngsim(), second)[0]
    assert twice.road.lanes == once.road.lanes == 8
    settled = np.hypot(twice.x_m - once.x_m, twice.y_m - once.y_m)
    assert np.median(settled) < 2e-3
    assert np.quantile(settled, 0.99) < 0.02


def test_a_name_without_site_and_period_is_refused(tmp_path):
    path = tmp_path / "portal.csv"
    with pytest.raises(InputError, match=r"recording 'recording'.*us101-0750"):
        ngsim_text.write_portal([weaving()], path)
    assert not path.exists()
