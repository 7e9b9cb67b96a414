"""NGSIM's rows: both layouts, periods, options, feet, front bumper, y to the right."""

import numpy as np
import pytest

from data.roads import sites
from data.sources import read_recordings
from data.sources.ngsim import Ngsim
from data.sources.ngsim_sites import SITES, named_in, site_and_slot
from ppuu.runtime.errors import InputError

REAL_ROWS = (
    "2,13,437,1118846980200,16.467,35.381,6451137.641,1873344.962,14.5,4.9,2,40,0,2,0,0,0,0",
    "2,14,437,1118846980300,16.447,39.381,6451140.329,1873342,14.5,4.9,2,40,0,2,0,0,0,0",
)


def line(vehicle, frame, x_ft, y_ft, lane=2, velocity_ftps=40.0, street=None) -> list[str]:
    """One row; ``street`` is the direction (1 to 4) of the 24-column layout."""
    start = [vehicle, frame, 437, 1118846980200 + 100 * frame, x_ft, y_ft, 6451137.6, 1873344.9]
    start += [14.5, 4.9, 2, velocity_ftps, 0.0, lane]
    return [str(field) for field in start + ([1, 2, 3, 4, street, 1] if street else []) + [0] * 4]


def highway(frames=40) -> list[list[str]]:
    """Three lanes of 12 ft, one vehicle in each, 40 ft/s."""
    return [
        line(number, 13 + k, 12.0 * number - 6.0, 35.0 + 4.0 * k, lane=number)
        for number in (1, 2, 3)
        for k in range(frames)
    ]


def write(path, rows, delimiter=" ") -> None:
    path.write_text("".join(delimiter.join(row) + "\n" for row in rows))


@pytest.mark.parametrize("delimiter", [" ", "   ", "\t", ","])
def test_highway(tmp_path, delimiter):
    path = tmp_path / "trajectories-0400-0415.txt"
    write(path, highway(), delimiter)
    made = read_recordings(Ngsim(), path)[0]
    assert (made.name, made.vehicles, made.rows, made.dt_s) == (path.stem, 3, 120, 0.1)
    foot = 0.3048
    # Local Y is the front bumper: the centre lies half of 14.5 ft behind it.
    np.testing.assert_allclose(made.track(0)[:, 0], foot * (35.0 + 4 * np.arange(40) - 7.25))
    np.testing.assert_allclose(made.track(2)[:, 1], -foot * 30.0, atol=1e-9)
    np.testing.assert_allclose(made.heading_rad, 0.0, atol=1e-6)
    np.testing.assert_allclose(made.speed_mps, foot * 40.0, rtol=1e-6)
    np.testing.assert_allclose(made.length_m, foot * 14.5)
    np.testing.assert_allclose(made.width_m, foot * 4.9)
    assert made.provenance["first_frame"] == 13


def test_lanes_come_from_the_lane_column(tmp_path):
    path = tmp_path / "a.txt"
    write(path, highway())
    made = read_recordings(Ngsim(), path)[0]
    assert made.road.lanes == 3
    for index in range(3):
        left, right = made.road.lane(index)
        np.testing.assert_allclose(left[:, 1], -0.3048 * 12 * index, atol=1e-9)
        np.testing.assert_allclose(right[:, 1], -0.3048 * 12 * (index + 1), atol=1e-9)
    assert made.provenance["report"]["on_road_share"] == 1.0


def test_the_real_rows_of_us101(tmp_path):
    """Too few for a track: continued at their own speed."""
    rows = [text.split(",") for text in REAL_ROWS]
    later = [line(2, 15 + k, 16.447, 43.381 + 4.0 * k) for k in range(20)]
    path = tmp_path / "us101.csv"
    write(path, rows + later, ",")
    made = read_recordings(Ngsim(), path)[0]
    assert (made.vehicles, made.rows) == (1, 22)
    assert made.x_m[0] == pytest.approx(0.3048 * (35.381 - 7.25), abs=1e-3)
    assert made.y_m[0] == pytest.approx(-0.3048 * 16.467, abs=0.02)


def test_a_number_used_twice_is_two_tracks(tmp_path):
    path = tmp_path / "a.txt"
    write(path, highway() + [line(1, 500 + k, 6.0, 35.0 + 4.0 * k, lane=1) for k in range(30)])
    made = read_recordings(Ngsim(), path)[0]
    assert made.vehicle_id.tolist() == [1, 1, 2, 3]
    assert made.frames == 500 + 30 - 13


def test_streets(tmp_path):
    """Two directions; the southbound vehicle's centre lies half a length north of its front."""
    rows = [line(1, k, 6.0, 35.0 + 4.0 * k, lane=1, street=2) for k in range(40)]
    rows += [line(2, k, -20.0, 300.0 - 4.0 * k, lane=1, street=4) for k in range(40)]
    path = tmp_path / "street.txt"
    write(path, rows)
    made = read_recordings(Ngsim(), path)[0]
    south = made.track(1)
    np.testing.assert_allclose(south[:, 0], 0.3048 * (300 - 4 * np.arange(40) + 7.25), rtol=1e-6)
    np.testing.assert_allclose(np.abs(south[:, 2]), np.pi, atol=1e-6)
    assert made.road.lanes == 2
    left, right = made.road.lane(1)
    assert left[0, 0] > left[-1, 0]
    assert left[0, 1] < right[0, 1]
    assert made.provenance["report"]["on_road_share"] == 1.0


@pytest.mark.parametrize(
    "row, column, value, words",
    [
        (4, 5, "abc", "line 5, column 6 (Local_Y): 'abc' is not a number"),
        (4, 0, "1.5x", "line 5, column 1 (Vehicle_ID): '1.5x' is not a whole number"),
        (
            4,
            11,
            "-40.0",
            "line 5, column 'v_Vel': vehicle 1, frame 17: its speed is negative (-12",
        ),
        (
            4,
            1,
            "16",
            "line 5, column 'Vehicle_ID', column 'Frame_ID': vehicle 1, frame 16: a",
        ),
        (4, 5, "nan", "line 5, column 6 (Local_Y): 'nan' is not a finite number"),
        (4, 8, "-inf", "line 5, column 9 (v_length): '-inf' is not a finite number"),
        (4, 13, "2.5", "line 5, column 14 (Lane_ID): '2.5' is not a whole number"),
        (4, 3, "7", "columns 'Frame_ID' and 'Global_Time': 17 and 7 fit no other row"),
        (4, 8, "0", "line 5, column 'v_length': vehicle 1, frame 17: its box has no size"),
    ],
)
def test_bad_values_are_named(tmp_path, row, column, value, words):
    rows = highway()
    rows[row][column] = value
    path = tmp_path / "bad.txt"
    write(path, rows)
    with pytest.raises(InputError) as error:
        read_recordings(Ngsim(), path)[0]
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_missing_columns_are_named(tmp_path):
    path = tmp_path / "bad.txt"
    rows = highway()
    write(path, [row[:13] for row in rows])
    with pytest.raises(InputError, match=r"line 1: 13 columns.*missing: Lane_ID"):
        read_recordings(Ngsim(), path)[0]
    write(path, [*rows[:6], rows[6][:9], *rows[7:]])
    with pytest.raises(InputError, match="line 7: 9 columns instead of 18"):
        read_recordings(Ngsim(), path)[0]


def test_a_header_without_the_needed_columns_is_named(tmp_path):
    path = tmp_path / "portal.csv"
    path.write_text("Vehicle_ID,Frame_ID,Total_Frames\n1,2,3\n")
    with pytest.raises(InputError, match="line 1: the header lacks Global_Time, Local_X"):
        read_recordings(Ngsim(), path)[0]


def test_an_empty_file_is_named(tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text("")
    with pytest.raises(InputError, match="empty"):
        read_recordings(Ngsim(), path)[0]


HEADER = [
    *("Vehicle_ID", "Frame_ID", "Total_Frames", "Global_Time", "Local_X", "Local_Y", "Global_X"),
    *("Global_Y", "v_length", "v_Width", "v_Class", "v_Vel", "v_Acc", "Lane_ID", "O_Zone"),
    *("D_Zone", "Int_ID", "Section_ID", "Direction", "Movement", "Preceding", "Following"),
    *("Space_Headway", "Time_Headway", "Location"),
]
"""Of the portal's CSV."""
I80_ROWS = (
    "2224,6548,1902,1113437421700,41.429,472.901,6042814.264,2133542.012,14.3,6.9,2,26.54,-0.76,4",
    "2283,8002,1821,1113437567100,55.072,1124.713,6042739.135,2134191.387,15.9,5.9,2,6.57,3.93,5",
    "2252,6364,2150,1113437403300,54.277,174.692,6042863.582,2133247.751,15.3,6.9,2,7.33,0.0,5",
)
"""Three real rows of one period."""


def portal_rows(site="us101", slot="0750", vehicles=(1, 2, 3), frames=40, step_ft=4.0):
    """Rows of the portal's CSV, in order of ``HEADER``, without the street's columns."""
    start = SITES[site].start_ms(slot) - 20_000
    rows = []
    for number in vehicles:
        for k in range(frames):
            row = line(number, 13 + k, 12.0 * number - 6.0, 35.0 + step_ft * k, lane=number)
            row[3] = str(start + 100 * (13 + k))
            street = ["", "", "", "", "2", "1"] if SITES[site].street else [""] * 6
            rows.append([*row[:14], *street, *row[14:], SITES[site].location])
    return rows


def write_portal(path, rows, header=HEADER):
    order = [HEADER.index(name) for name in header]
    lines = [",".join(row[k] for k in order) for row in rows]
    path.write_text("\n".join([",".join(header), *lines]) + "\n")


def test_periods_of_one_site_are_told_apart_by_their_clock():
    """The real rows: the offset of Global Time against the frame is one number a period."""
    offsets = {int(r[3]) - 100 * int(r[1]) for r in (row.split(",") for row in I80_ROWS)}
    assert len(offsets) == 1
    assert SITES["i80"].slot(offsets.pop()) == "1700"
    offsets = {int(r[3]) - 100 * int(r[1]) for r in (row.split(",") for row in REAL_ROWS)}
    assert len(offsets) == 1
    assert SITES["us101"].slot(offsets.pop()) == "0750"


def test_a_portal_file_of_all_sites_and_periods(tmp_path):
    wanted = [("us101", "0750"), ("us101", "0805"), ("i80", "1715"), ("peachtree", "1245")]
    rows = [row for site, slot in wanted for row in portal_rows(site, slot)]
    np.random.default_rng(0).shuffle(rows)
    path = tmp_path / "portal.csv"
    write_portal(path, rows)
    made = read_recordings(Ngsim(), path)
    assert [m.name for m in made] == ["i80-1715", "peachtree-1245", "us101-0750", "us101-0805"]
    assert all(m.vehicles == 3 and m.rows == 120 for m in made)
    assert [m.road.lanes for m in made] == [7, 3, 8, 8]
    only = read_recordings(Ngsim(site="us101"), path)
    assert [m.content_hash for m in only] == [m.content_hash for m in made[2:]]
    with pytest.raises(InputError, match="no row of lankershim"):
        read_recordings(Ngsim(site="lankershim"), path)


def test_the_portals_spelling_may_vary(tmp_path):
    """Header in another order and case, thousands with commas in quotes, NA for nothing."""
    plain, varied = tmp_path / "plain.csv", tmp_path / "varied.csv"
    rows = portal_rows()
    write_portal(plain, rows)
    for row in rows:
        row[3] = f'"{int(row[3]):,}"'
        row[6] = '"6,451,137.6"'
        row[18] = "NA"
        row[24] = "US-101"
    write_portal(varied, rows, HEADER[::-1])
    varied.write_text("\ufeff" + varied.read_text().replace("v_length", "v_Length", 1))
    one, other = (read_recordings(Ngsim(), path)[0] for path in (plain, varied))
    assert one.content_hash == other.content_hash
    assert one.name == other.name == "us101-0750"


@pytest.mark.parametrize("site", list(SITES))
@pytest.mark.parametrize("header", [False, True])
def test_both_layouts_of_the_same_rows_give_the_same_recording(tmp_path, site, header):
    rows = portal_rows(site, SITES[site].slots[0])
    portal, text = tmp_path / "portal.csv", tmp_path / f"{site}.txt"
    write_portal(portal, rows)
    own = [k for k in range(24) if SITES[site].street or not 14 <= k < 20]
    table = [HEADER, *rows] if header else rows
    write(text, [[row[k] or "0" for k in own] for row in table], "\t")
    one, other = (read_recordings(Ngsim(), path) for path in (portal, text))
    assert [m.content_hash for m in one] == [m.content_hash for m in other]
    assert [m.name for m in one] == [m.name for m in other] == [f"{site}-{SITES[site].slots[0]}"]


@pytest.mark.parametrize(
    "column, value, words",
    [
        (24, "route-66", "line 8, column Location: 'route-66' is no site; there are i-80"),
        (18, "9", "line 8, column Direction: '9' is no direction"),
        (13, "", "line 8, column 14 (Lane_ID): '' is not a whole number"),
        (3, '"1,118', "line 8"),
        (5, '"' + "1" * 200_000, "line 8, one of the columns: field larger than"),
        (0, "99999999999", "column 1 (Vehicle_ID): '99999999999' is not a whole number"),
    ],
)
def test_bad_values_of_a_portal_file_are_named(tmp_path, column, value, words):
    rows = portal_rows()
    rows[6][column] = value
    path = tmp_path / "portal.csv"
    write_portal(path, rows)
    with pytest.raises(InputError) as error:
        read_recordings(Ngsim(), path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_the_line_is_right_in_a_file_of_many_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("data.sources.table._LINES_A_PIECE", 7)
    path = tmp_path / "a.txt"
    write(path, highway())
    whole = read_recordings(Ngsim(), path)[0]
    monkeypatch.undo()
    assert whole.content_hash == read_recordings(Ngsim(), path)[0].content_hash
    monkeypatch.setattr("data.sources.table._LINES_A_PIECE", 7)
    rows = highway()
    rows[99][4] = "x"
    path.write_text("\n\n".join(" ".join(row) for row in rows))
    with pytest.raises(InputError, match=r"line 199, column 5 \(Local_X\): 'x'"):
        read_recordings(Ngsim(), path)


def test_options_leave_rows_out_and_say_so(tmp_path):
    path = tmp_path / "portal.csv"
    listed = SITES["i80"].blacklists["1600"][0]
    rows = portal_rows("i80", "1600", vehicles=(1, 2, listed))
    for row in rows:
        row[4] = "6.0"
        row[13] = "1"
        row[2] = "49" if row[0] == "2" else "50"
    write_portal(path, rows)

    def read(**options):
        made = read_recordings(Ngsim(**options), path)[0]
        return made.vehicle_id.tolist(), made.provenance["report"]["dropped"], made

    assert read(drop_blacklisted=True)[:2] == ([1, 2], {"on PPUU's blacklist": 40})
    few = {"of a vehicle with fewer than 50 frames": 40}
    assert read(fewest_frames=50)[:2] == ([1, listed], few)
    ids, dropped, made = read(from_m=0.3048 * (35 + 4 * 5), to_m=0.3048 * (35 + 4 * 29) + 1e-6)
    assert ids == [1, 2, listed]
    assert sum(dropped.values()) == 3 * (5 + 10)
    assert made.rows == 3 * 25


def test_blacklists_that_are_not_public_are_not_invented(tmp_path):
    path = tmp_path / "portal.csv"
    write_portal(path, portal_rows("us101"))
    with pytest.raises(InputError, match="no blacklist is known for us101 0750"):
        read_recordings(Ngsim(drop_blacklisted=True), path)


def test_blacklists_have_the_published_sizes():
    assert [len(ids) for ids in SITES["i80"].blacklists.values()] == [10, 36, 36]


def test_sites_and_slots():
    assert named_in("trajectories-0805am-0820am.txt") is SITES["us101"]
    assert named_in("trajectories-0820am-0835am.txt") is SITES["us101"]
    assert named_in("trajectories-0830am-0845am.txt") is SITES["lankershim"]
    assert named_in("trajectories-0400-0415.txt") is SITES["i80"]
    assert named_in("trajectories-0400pm-0415pm.txt") is SITES["peachtree"]
    assert named_in("mine.txt") is None
    for site in SITES.values():
        for slot in site.slots:
            assert site.slot(site.start_ms(slot) - 60_000) == slot
            assert site_and_slot(f"{site.name}-{slot}") == (site, slot)
    assert SITES["us101"].slot(SITES["us101"].start_ms("0915")) == "0915"
    assert SITES["us101"].slot(0) is None
    assert site_and_slot("us101-1_1") is None


def test_the_site_option_decides_the_road(tmp_path):
    path = tmp_path / "mine.txt"
    write(path, highway())
    assert read_recordings(Ngsim(), path)[0].road.lanes == 3
    drawn = read_recordings(Ngsim(site="us101"), path)[0]
    assert drawn.road.lanes == sites.road("us101").lanes == 8
    assert drawn.name == "us101-0750"
