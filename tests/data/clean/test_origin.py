"""Far coordinates: recordings lie around an origin, from which the way back is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data import clean, prepare
from data.clean.origin import FAR_M, around_origin
from data.clips.clips import Clips
from data.raw_tracks import RawTracks
from data.roads.frame import LocalFrame
from data.sources import SOURCES, ngsim_text, read_recordings
from data.sources.generic import GenericCsv
from data.sources.i24 import I24Motion
from data.sources.interaction import Interaction
from data.sources.ngsim import Ngsim
from data.splits import FrameWindow
from ppuu.kinematics import step
from ppuu.perception.observation import Observation, ObservationConfig
from ppuu.perception.privileged_state import PrivilegedState
from ppuu.policies.baselines import RecordedHuman
from ppuu.recordings.recording import Recording, load_recordings
from ppuu.recordings.road import Road
from ppuu.runtime.command import run
from ppuu.units import METRES_PER_FOOT

from ..layouts import i24, interaction
from ..layouts.two_way import Rows, both_ways, generated
from ..tiny import WRITERS

UTM_M = (604_000.0, 5_790_000.0)
FRAMES = 60
CARS = ((0.0, 0.0, 0.3, 12.0), (20.0, 50.0, 1.9, 9.3), (-40.0, 10.0, 0.3, 7.7), (30, -60, -1.6, 15))
"""x, y (m), heading, speed at the start; they cross, so that the file's axes stay."""


def crossing(folder: Path, x_m: float, y_m: float) -> Path:
    """A table of cars at constant speed around a point."""
    k = np.arange(FRAMES) / 10
    lines = [
        f"{number},{frame},{float(px)!r},{float(py)!r}"
        for number, (x, y, heading, speed) in enumerate(CARS)
        for frame, (px, py) in enumerate(
            zip(
                x_m + x + speed * k * np.cos(heading),
                y_m + y + speed * k * np.sin(heading),
                strict=True,
            )
        )
    ]
    path = folder / "crossing.csv"
    path.write_text("\n".join(["id,n,x,y", *lines]) + "\n")
    mapping = {"frame_rate_hz": 10, "columns": {"vehicle": "id", "frame": "n"}}
    path.with_suffix(".json").write_text(json.dumps(mapping | {"length_m": 4.5, "width_m": 1.8}))
    return path


def inferred_accelerations(recording: Recording) -> np.ndarray:
    """As a world model or a policy is taught them."""
    window = FrameWindow(0, recording.frames)
    return Clips([recording], [window], ObservationConfig(), 10).actions[:, 0].numpy()


@pytest.mark.parametrize(
    "x_m, y_m", [UTM_M, (604_321.9, 5_790_777.7), (98_000.0, 3.0), (-8e6, 8e6)]
)
def test_a_constant_speed_far_away_has_no_acceleration(tmp_path, x_m, y_m):
    (made,) = read_recordings(GenericCsv(), crossing(tmp_path, x_m, y_m))
    assert np.abs(inferred_accelerations(made)).max() < 1e-3
    # float32 would hold these positions to 0.03 m or worse: that test can fail.
    rounded = replace(made, x_m=np.float32(made.x_m + x_m), y_m=np.float32(made.y_m + y_m))
    assert np.abs(inferred_accelerations(rounded)).max() > 0.2


def test_the_human_of_the_simulator_hardly_accelerates(tmp_path):
    """Its scene and its states are float32: near the origin that is enough."""
    (made,) = read_recordings(GenericCsv(), crossing(tmp_path, *UTM_M))
    clips = Clips([made], [FrameWindow(0, made.frames)], ObservationConfig(), 10)
    scene, cars = clips.scene, torch.arange(made.vehicles)
    nobody = torch.zeros(len(cars), 0)
    ego = scene.state(cars, scene.first_frame[cars])
    for frame in range(FRAMES - 1):
        observation = Observation(
            torch.zeros(len(cars), 1, 3, 0, 0), ego[:, None], scene.size_m[cars]
        )
        privileged = PrivilegedState(
            *(scene, cars, scene.first_frame[cars] + frame, torch.zeros(len(cars), 0, 5)),
            *(nobody, nobody.bool(), clips.road_map),
        )
        action = RecordedHuman().act(observation, privileged)
        assert action[:, 0].abs().max() < 0.01
        ego = step(ego, action, scene.dt_s)


@pytest.mark.parametrize("direction", [1, -1])
def test_i24s_mile_markers(tmp_path, direction):
    """Near milepost 61, either way, at 30 m/s."""
    frame, start_m = np.arange(round(20 * i24.HZ)), 98_170.0
    rows = Rows(
        vehicle=np.full(len(frame), 1),
        frame=frame,
        x_m=start_m + direction * 30.0 * frame / i24.HZ,
        y_m=np.full(len(frame), 6.0),
        heading_rad=np.full(len(frame), 0.0 if direction > 0 else np.pi),
        speed_mps=np.full(len(frame), 30.0),
        length_m=np.full(len(frame), 4.5),
        width_m=np.full(len(frame), 1.8),
    )
    (made,) = read_recordings(I24Motion(), i24.write(tmp_path / "day.json", rows))
    assert np.abs(made.x_m).max() < 1000
    frame = LocalFrame(**made.provenance["frame"])
    assert (frame.origin_x_m, frame.origin_y_m) == (direction * 98_000.0, 0.0)
    assert np.abs(inferred_accelerations(made)).max() < 1e-3


def points(tracks: RawTracks | Recording) -> np.ndarray:
    return np.stack([tracks.x_m, tracks.y_m], axis=1)


def rows_by_key(recording: Recording) -> dict[tuple[int, int], int]:
    numbers = recording.vehicle_id[recording.row_vehicle].tolist()
    frames = (recording.frame + recording.provenance["first_frame"]).tolist()
    return {key: row for row, key in enumerate(zip(numbers, frames, strict=True))}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_moved_and_the_way_back_is_kept(tmp_path, name):
    """Whatever a reader hands over, 604 and 5790 km away: same recording, other origin."""
    far = np.array(UTM_M)
    for raw in SOURCES[name]().read(WRITERS[name](tmp_path)):
        near = clean.recording(raw)
        road = raw.road and Road(
            raw.road.lane_pointer, raw.road.left_m + far, raw.road.right_m + far
        )
        moved = replace(raw, x_m=raw.x_m + far[0], y_m=raw.y_m + far[1], road=road)
        made = clean.recording(moved)
        assert np.abs(points(made)).max() < 1000
        np.testing.assert_allclose(points(made), points(near), atol=1e-8)
        np.testing.assert_allclose(made.road.left_m, near.road.left_m, atol=1e-6)
        np.testing.assert_allclose(made.heading_rad, near.heading_rad, atol=1e-6)
        back = LocalFrame(**made.provenance["frame"]).to_source(points(made))
        if not raw.at_front:
            source = raw.local_frame.to_source(points(moved))
            where = rows_by_key(made)
            keys = zip(raw.vehicle.tolist(), raw.frame.tolist(), strict=True)
            own = [(row, where[key]) for row, key in enumerate(keys) if key in where]
            assert len(own) > 10
            read, kept = np.array(own).T
            np.testing.assert_allclose(back[kept], source[read], atol=1e-6)
        made.save(tmp_path / "made.h5")
        assert load_recordings([tmp_path / "made.h5"])[0].provenance == made.provenance


def raw_tracks(x_m: np.ndarray, y_m: np.ndarray) -> RawTracks:
    count = len(x_m)
    ones = np.ones(count)
    return RawTracks(
        *("some", "some.csv", 0.1, None),
        *(np.ones(count, np.int64), np.arange(count), x_m, y_m, 4.0 * ones, 2.0 * ones),
    )


def test_a_zero_that_is_near_stays():
    """That of NGSIM's surveys, say: all periods of a site share it, one with a stray row, too."""
    x_m = np.linspace(0.0, 3000.0, 100)
    x_m[0] = 9000.0
    rows = raw_tracks(x_m, np.full(100, -5.0))
    assert around_origin(rows) is rows


def test_origins_are_whole_kilometres_and_axes_are_moved_on_their_own():
    rows = raw_tracks(np.linspace(98_200.0, 98_400.0, 50), np.linspace(1.0, 2.0, 50))
    moved = around_origin(rows)
    assert moved.local_frame == LocalFrame(98_000.0, 0.0, 0.0)
    np.testing.assert_array_equal(moved.y_m, rows.y_m)
    np.testing.assert_array_equal(moved.x_m, rows.x_m - 98_000.0)
    assert around_origin(moved) is moved


def test_a_long_road_is_moved_once():
    rows = raw_tracks(np.linspace(90_000.0, 98_900.0, 50), np.zeros(50))
    once = around_origin(rows)
    assert np.abs(once.x_m).max() > FAR_M and around_origin(once) is once


def test_frames_lead_there_and_back():
    generator = np.random.default_rng(0)
    at = generator.normal(size=(20, 2)) * 100
    frame = LocalFrame(604_000.0, 5_790_000.0, 0.7)
    np.testing.assert_allclose(frame.to_local(frame.to_source(at)), at, atol=1e-8)
    moved = frame.moved(30.0, -40.0)
    np.testing.assert_allclose(moved.to_source(at - (30.0, -40.0)), frame.to_source(at), atol=1e-8)


def test_scenes_of_one_file_share_origin_and_road(tmp_path):
    truth = both_ways(generated())
    second = truth.frame >= 20
    rows = replace(
        truth, frame=truth.frame - 20 * second, x_m=truth.x_m + UTM_M[0], y_m=truth.y_m + UTM_M[1]
    )
    made = read_recordings(
        Interaction(), interaction.write(tmp_path / "far.csv", rows, case=1 + second)
    )
    for one, other in (made[:2], made[2:]):
        assert one.provenance["frame"] == other.provenance["frame"]
        np.testing.assert_array_equal(one.road.left_m, other.road.left_m)
    for recording in made:
        assert recording.provenance["report"]["on_road_share"] > 0.99
        assert np.abs(points(recording)).max() < 2000


def test_ngsims_text_gives_the_original_coordinates(tmp_path):
    (made,) = read_recordings(GenericCsv(), crossing(tmp_path, *UTM_M))
    ngsim_text.write(made, tmp_path / "far.txt")
    table = np.loadtxt(tmp_path / "far.txt")
    half = 0.5 * made.length_m[made.row_vehicle]
    front = np.array(UTM_M) + points(made)
    front += half[:, None] * np.stack([np.cos(made.heading_rad), np.sin(made.heading_rad)], 1)
    np.testing.assert_allclose(table[:, 6:8] * METRES_PER_FOOT, front, atol=1e-3)
    assert np.abs(table[:, 4:6] * METRES_PER_FOOT).max() < 500


def test_the_page_says_where_the_origin_lies(tmp_path):
    path = crossing(tmp_path, *UTM_M)
    run(prepare.main, ["csv", str(path), "--out", str(tmp_path / "crossing.h5")])
    page = (tmp_path / "crossing.report.html").read_text()
    assert "origin at x = 604,000.00 m, y = 5,790,000.00 m of the file, turned by 0.00°" in page


def test_stations_of_a_survey_far_from_its_zero_are_kept(tmp_path):
    first, second = tmp_path / "one.txt", tmp_path / "two.txt"
    ngsim_text.write(generated(), first)
    lines = [line.split() for line in first.read_text().splitlines()]
    for fields in lines:
        fields[5] = f"{float(fields[5]) + 300_000:.3f}"
    first.write_text("\n".join(map(" ".join, lines)) + "\n")
    (made,) = read_recordings(Ngsim(), first)
    assert np.abs(made.x_m).max() < 1000 and made.provenance["frame"]["origin_x_m"] > 90_000
    ngsim_text.write(made, second)
    before, after = (np.loadtxt(path)[:, [0, 1, 4, 5]] for path in (first, second))
    before = before[np.isin(before[:, 0], after[:, 0])]
    # The same to a few millimetres, but where the headings are not quite those that it had.
    assert np.median(np.abs(before - after), axis=0) == pytest.approx([0, 0, 0, 0], abs=0.01)
    assert np.abs(before - after).max() < 1.5
