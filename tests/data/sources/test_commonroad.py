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
        ("<exact>10.0</exact>", "<exact>1_0</exact>", "'1_0', not a number"),
        ("<exact>10.0</exact>", "<exact>10,0</exact>", "'10,0', not a number"),
        ("<exact>5</exact>", "<exact>5.5</exact>", "frame is 5.5, not a whole number"),
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


@pytest.mark.parametrize("encoding", ["big5", "idna", "punycode", "undefined", "utf-7", "unknown"])
def test_an_encoding_that_xml_readers_do_not_know_is_refused(tmp_path, encoding):
    path = tmp_path / "scene.xml"
    path.write_text(f'<?xml version="1.0" encoding="{encoding}"?>{scenario()}')
    with pytest.raises(InputError, match="line 1, header: its encoding cannot be read"):
        read_recordings(CommonRoad(), path)


def test_a_real_intersection(shared_data):
    path = shared_data / "ngsim-lankershim-commonroad" / "USA_Lanker-1_1_T-1.xml.gz"
    made = read_recordings(CommonRoad(), path)[0]
    assert made.provenance["report"]["on_road_share"] == 1.0
    assert made.provenance["frame"]["angle_rad"] == 0.0


def of_obstacle(shape: str, heading=0.0, obstacles: str = "", **values) -> str:
    """The scenario with another shape of its car, and more obstacles."""
    text = scenario(heading=heading, **values)
    text = re.sub("<shape>.*</shape>", f"<shape>{shape}</shape>", text)
    return text.replace("</commonRoad>", f"{obstacles}</commonRoad>")


def read_one(tmp_path, text: str):
    path = tmp_path / "scene.xml"
    path.write_text(text)
    (made,) = read_recordings(CommonRoad(), path)
    return made


def static(number, kind, shape, x, y, heading, version="2020a") -> str:
    tag, role = (
        ("obstacle", "<role>static</role>") if version == "2018b" else ("staticObstacle", "")
    )
    return (
        f'<{tag} id="{number}">{role}<type>{kind}</type><shape>{shape}</shape><initialState>'
        f"<position>{point(x, y)}</position><orientation><exact>{heading}</exact></orientation>"
        f"<time><exact>0</exact></time></initialState></{tag}>"
    )


RECTANGLE = "<rectangle><length>4.5</length><width>1.8</width></rectangle>"


@pytest.mark.parametrize("version", ["2018b", "2020a"])
def test_parked_vehicles_stand_and_other_static_obstacles_are_counted(tmp_path, version):
    obstacles = static(7, "parkedVehicle", RECTANGLE, 30.0, -1.5, 0.4, version)
    obstacles += static(8, "roadBoundary", RECTANGLE, 30.0, 3.0, 0.0, version)
    obstacles += static(9, "roadBoundary", RECTANGLE, 40.0, 3.0, 0.0, version)
    made = read_one(tmp_path, of_obstacle(RECTANGLE, version=version, obstacles=obstacles))
    assert made.vehicle_id.tolist() == [7, 42]
    standing, moving = made.track(0), made.track(1)
    assert len(standing) == len(moving) == 15
    np.testing.assert_allclose(standing, [[30.0, -1.5, 0.4, 0.0]] * 15, atol=1e-7)
    np.testing.assert_allclose(moving[:, 0], 2.0 + np.arange(15))
    assert made.provenance["report"]["dropped"]["static obstacle, roadBoundary"] == 2
    assert made.provenance["report"]["rows_read"] == 32


def test_a_parked_vehicle_does_not_turn_the_scene(tmp_path):
    obstacles = "".join(
        static(k, "parkedVehicle", RECTANGLE, 10.0 * k, 5.0, np.pi / 2) for k in range(5)
    )
    made = read_one(tmp_path, of_obstacle(RECTANGLE, obstacles=obstacles))
    assert made.provenance["frame"]["angle_rad"] == 0.0


CIRCLE = "<circle><radius>0.4</radius></circle>"
OFF_CENTRE = "<circle><radius>0.5</radius><center><x>1</x><y>2</y></center></circle>"
TRIANGLE = f"<polygon>{point(-1, -1)}{point(3, 0)}{point(-1, 2)}</polygon>"


def rectangle(length, width, turn=0.0, x=0.0, y=0.0) -> str:
    return (
        f"<rectangle><length>{length}</length><width>{width}</width><orientation>{turn}"
        f"</orientation><center><x>{x}</x><y>{y}</y></center></rectangle>"
    )


@pytest.mark.parametrize(
    "shape, length, width, ahead, left, turn",
    [
        (RECTANGLE, 4.5, 1.8, 0.0, 0.0, 0.0),
        (rectangle(4.5, 1.8, x=1.5, y=-0.2), 4.5, 1.8, 1.5, -0.2, 0.0),
        (rectangle(4.5, 1.8, turn=0.1, x=1.5), 4.5, 1.8, 1.5, 0.0, 0.1),
        # One that lies across is as wide as it is long; the heading stays that of the motion.
        (rectangle(1.8, 4.5, turn=np.pi / 2), 4.5, 1.8, 0.0, 0.0, 0.0),
        (rectangle(4.5, 1.8, turn=np.pi + 0.2), 4.5, 1.8, 0.0, 0.0, 0.2),
        (CIRCLE, 0.8, 0.8, 0.0, 0.0, 0.0),
        (OFF_CENTRE, 1.0, 1.0, 1.0, 2.0, 0.0),
        (TRIANGLE, 4.0, 3.0, 1.0, 0.5, 0.0),
        # A tractor and its trailer.
        (rectangle(4, 2, x=5) + rectangle(8, 2.4, x=-2), 13.0, 2.4, 0.5, 0.0, 0.0),
        (rectangle(2, 2, turn=np.pi / 4) + CIRCLE, 2 * 2**0.5, 2 * 2**0.5, 0.0, 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("heading", [0.0, 0.5])
def test_every_shape_becomes_its_box(tmp_path, shape, length, width, ahead, left, turn, heading):
    # A second car that drives the other way keeps the file's axes.
    other = re.search("<dynamicObstacle.*</dynamicObstacle>", scenario(heading=heading + np.pi))
    assert other is not None
    text = of_obstacle(shape, heading, other[0].replace('id="42"', 'id="43"'))
    made = read_one(tmp_path, text)
    assert made.provenance["frame"]["angle_rad"] == 0.0
    assert (made.length_m[0], made.width_m[0]) == pytest.approx((length, width), abs=1e-6)
    along = np.exp(1j * heading)
    centre = 2.0 + np.arange(15) + 0.5j + along * (ahead + 1j * left)
    np.testing.assert_allclose(made.x_m[:15] + 1j * made.y_m[:15], centre, atol=1e-6)
    np.testing.assert_allclose(made.heading_rad[:15], heading + turn, atol=1e-6)


@pytest.mark.parametrize(
    "shape, words",
    [
        ("", "obstacle 42 has no <shape> of <rectangle>, <circle>, <polygon>"),
        ("<circle></circle>", "<circle> has no <radius>"),
        (f"<polygon>{point(0, 0)}{point(1, 1)}</polygon>", "has fewer than three points"),
        (RECTANGLE.replace("</rec", "<center><x>1</x></center></rec"), "has no <center/y>"),
        ("<circle><radius>0</radius></circle>", "its box has no size"),
    ],
)
def test_a_shape_that_is_none_is_named(tmp_path, shape, words):
    with pytest.raises(InputError, match=re.escape(words)):
        read_one(tmp_path, of_obstacle(shape))


@pytest.mark.parametrize("step_s", [0.04, 0.05, 0.2, 0.5])
def test_other_time_steps_become_ten_frames_a_second(tmp_path, step_s):
    text = scenario(frames=60).replace('timeStepSize="0.1"', f'timeStepSize="{step_s}"')
    text = text.replace("</commonRoad>", static(7, "parkedVehicle", RECTANGLE, 30, -1.5, 0.4))
    made = read_one(tmp_path, text + "</commonRoad>")
    assert made.dt_s == pytest.approx(0.1)
    for vehicle in (0, 1):
        track = made.track(vehicle)
        assert len(track) == pytest.approx(59 * step_s / 0.1, abs=1)
    # A metre a step, from frame 3 on; frame 0 stays where it is in time.
    first_s = 0.1 * made.provenance["first_frame"]
    own = made.track(1)
    at_s = first_s + 0.1 * np.arange(len(own))
    np.testing.assert_allclose(own[:, 0], 2.0 + at_s / step_s - 3, atol=1e-6)


@pytest.mark.parametrize("step", ["0.0001", "2", "-0.1"])
def test_a_time_step_of_no_camera_is_named(tmp_path, step):
    text = scenario().replace('timeStepSize="0.1"', f'timeStepSize="{step}"')
    with pytest.raises(InputError, match=rf"timeStepSize is {step} s; it must be 0.001 to 1 s"):
        read_one(tmp_path, text)
