"""CommonRoad files of both versions; and every real window at hand."""

import gzip
import re

import numpy as np
import pytest

from data.sources.commonroad import CommonRoad
from ppuu.runtime.errors import InputError

from ..as_recorded import read_recordings


def point(x, y):
    return f"<point><x>{x}</x><y>{y}</y></point>"


def bound(side, xs, y):
    return f"<{side}Bound>{''.join(point(x, y) for x in xs)}</{side}Bound>"


def state(tag, time, x, y, heading, speed):
    return (
        f"<{tag}><position>{point(x, y)}</position>"
        f"<orientation><exact>{heading}</exact></orientation>"
        f"<time><exact>{time}</exact></time><velocity><exact>{speed}</exact></velocity></{tag}>"
    )


def scenario(version="2020a", speed=10.0, frames=15, heading=0.0) -> str:
    """One lane of two lanelets (the second with uneven bounds), one car at 10 m/s."""
    lanelets = (
        f'<lanelet id="1">{bound("left", [0, 20], 2)}{bound("right", [0, 20], -2)}'
        '<successor ref="2"/></lanelet>'
        f'<lanelet id="2">{bound("left", [20, 40], 2)}{bound("right", [20, 30, 40], -2)}'
        '<predecessor ref="1"/></lanelet>'
    )
    states = "".join(
        state("state" if k else "initialState", k + 3, 2.0 + k, 0.5, heading, speed)
        + ("<trajectory>" if k == 0 else "")
        for k in range(frames)
    )
    tag, role = (
        ("obstacle", "<role>dynamic</role>") if version == "2018b" else ("dynamicObstacle", "")
    )
    return (
        f'<commonRoad commonRoadVersion="{version}" timeStepSize="0.1">{lanelets}'
        f'<{tag} id="42">{role}<type>car</type><shape><rectangle><length>4.5</length>'
        f"<width>1.8</width></rectangle></shape>{states}</trajectory></{tag}></commonRoad>"
    )


@pytest.mark.parametrize("version", ["2018b", "2020a"])
@pytest.mark.parametrize("ending", ["xml", "xml.gz"])
def test_a_scene_is_read(tmp_path, version, ending):
    path = tmp_path / f"scene.{ending}"
    text = scenario(version).encode()
    path.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    made = read_recordings(CommonRoad(), path)[0]
    assert made.name == "scene"
    assert (made.vehicles, made.rows, made.dt_s) == (1, 15, 0.1)
    np.testing.assert_allclose(made.x_m, 2.0 + np.arange(15))
    np.testing.assert_allclose(made.y_m, 0.5)
    np.testing.assert_allclose(made.speed_mps, 10.0)
    assert made.vehicle_id.tolist() == [42]
    assert made.length_m[0] == pytest.approx(4.5)
    assert made.provenance["first_frame"] == 3


def test_lanelets_in_a_row_are_one_lane(tmp_path):
    path = tmp_path / "scene.xml"
    path.write_text(scenario())
    road = read_recordings(CommonRoad(), path)[0].road
    assert road.lanes == 1
    left, right = road.lane(0)
    np.testing.assert_allclose(left, [[0, 2], [20, 2], [30, 2], [40, 2]])
    np.testing.assert_allclose(right[:, 1], -2)


def test_x_is_turned_along_the_traffic(tmp_path):
    path = tmp_path / "scene.xml"
    path.write_text(scenario(heading=-0.7))
    made = read_recordings(CommonRoad(), path)[0]
    np.testing.assert_allclose(made.heading_rad, 0.0, atol=1e-6)
    np.testing.assert_allclose(made.y_m[-1] - made.y_m[0], 14 * np.sin(0.7))
    assert made.road.drivable(np.stack([made.x_m, made.y_m], 1)).all()


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("<exact>10.0</exact>", "<exact>-4.0</exact>", "negative"),
        ("<exact>10.0</exact>", "<exact>fast</exact>", "'fast', not a number"),
        ("<exact>10.0</exact>", "<exact>nan</exact>", "'nan', not a number"),
        ("<exact>5</exact>", "<exact>inf</exact>", "'inf', not a number"),
        ('timeStepSize="0.1"', 'timeStepSize="0"', "timeStepSize is 0 s"),
        ("<width>1.8</width>", "", "<rectangle> has no <width>"),
        ("2020a", "2017a", "version 2017a"),
        ("</trajectory>", "", "not readable as XML"),
        ("commonRoad", "rubbish", "<rubbish>"),
        ("<exact>5</exact>", "<exact>4</exact>", "vehicle 42, frame 4: a second row"),
    ],
)
def test_bad_input_is_named(tmp_path, old, new, words):
    path = tmp_path / "bad.xml"
    path.write_text(scenario().replace(old, new))
    with pytest.raises(InputError) as error:
        read_recordings(CommonRoad(), path)[0]
    assert words in str(error.value)
    assert re.search(rf"{re.escape(str(path))}.* line \d+, column ", str(error.value))


def test_a_truncated_archive_is_named(tmp_path):
    path = tmp_path / "cut.xml.gz"
    path.write_bytes(gzip.compress(scenario().encode())[:-40])
    with pytest.raises(InputError, match="not readable as XML"):
        read_recordings(CommonRoad(), path)[0]


def test_a_real_intersection(shared_data):
    path = shared_data / "ngsim-lankershim-commonroad" / "USA_Lanker-1_1_T-1.xml.gz"
    made = read_recordings(CommonRoad(), path)[0]
    assert made.provenance["report"]["on_road_share"] == 1.0
    assert made.provenance["frame"]["angle_rad"] == 0.0
