"""Splits: by time and site no clip of one shows what a clip of another shows; by vehicle some do.

The leakage tests collect what real clips show, vehicle by vehicle and frame by frame, and compare.
"""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data.splits.rules
from data.clips.clips import Clips
from data.splits import (
    FrameWindow,
    Part,
    SplitManifest,
    by_vehicle,
    divide,
    leak,
    seen_in_training,
    time_windows,
    window,
)
from data.splits.__main__ import main
from data.splits.leakage import data_identity
from data.splits.rules import GAP_S
from ppuu.perception.observation import ObservationConfig
from ppuu.recordings.recording import Recording, save_recordings
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording
from tests.rollouts import TINY

HISTORY = ObservationConfig(frames=2, stride=2, raster=TINY)
NAMES = ("train", "val", "test")


def recording(frames: int, vehicles: int = 1) -> Recording:
    """``vehicles`` cars side by side, straight on, present throughout."""
    rows = frames * vehicles
    return Recording(
        frame=np.tile(np.arange(frames), vehicles),
        x_m=np.tile(np.arange(frames) * 1.0, vehicles),
        y_m=np.repeat(np.arange(vehicles) * 4.0, frames),
        heading_rad=np.zeros(rows),
        speed_mps=np.full(rows, 10.0),
        vehicle_pointer=np.arange(vehicles + 1) * frames,
        vehicle_id=np.arange(vehicles),
        length_m=np.full(vehicles, 4.5),
        width_m=np.full(vehicles, 1.8),
        road=Road.straight(frames, vehicles, 4.0),
    )


def at_site(name, seed, frames=30, cars=3):
    """A recording of a site; another seed, other tracks."""
    made = straight_recording([Car(20.0 * k + seed, lane=k % 3) for k in range(cars)], frames)
    return dataclasses.replace(made, name=f"{name}-{seed}", provenance={"site": name})


@pytest.mark.parametrize("frames", [600, 601, 3000, 9999])
def test_windows_are_ordered_and_separated_by_the_gap(frames):
    windows = time_windows(frames, 0.1)
    train, val, test = (windows[name] for name in NAMES)
    assert train.first == 0 and test.last == frames
    assert val.first - train.last == test.first - val.last == GAP_S / 0.1
    usable = train.frames + val.frames + test.frames
    shares = np.array([train.frames, val.frames, test.frames]) / usable
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=2 / usable)
    assert (windows["all"].first, windows["all"].last) == (0, frames)


def test_a_short_recording_is_one_split():
    short = recording(599)
    assert window(short, "all").frames == 599
    with pytest.raises(InputError, match="--split all"):
        window(short, "test")
    assert window(recording(600), "test").last == 600


def test_an_unknown_split_is_named():
    with pytest.raises(InputError, match="no split 'dev'"):
        window(recording(700), "dev")


def test_by_vehicle_partitions_and_repeats():
    many = recording(2, vehicles=25)
    parts = {name: by_vehicle(many, name) for name in NAMES}
    assert [len(part) for part in parts.values()] == [20, 2, 3]
    np.testing.assert_array_equal(np.sort(np.concatenate([*parts.values()])), np.arange(25))
    np.testing.assert_array_equal(parts["test"], by_vehicle(many, "test"))


def test_by_site_keeps_sites_whole_and_fills_the_shares():
    recordings = [
        at_site("large", 0, 60), at_site("small", 1), at_site("middle", 2, 40),
        at_site("large", 3, 60), at_site("tiny", 4, 12),
    ]  # fmt: skip
    manifest = divide(recordings, "site")
    given = {entry.name: [*entry.parts] for entry in manifest.recordings}
    assert given == {
        "large-0": ["train"], "large-3": ["train"], "middle-2": ["test"], "small-1": ["val"],
        "tiny-4": ["train"],
    }  # fmt: skip


def test_by_site_goes_by_the_road_where_no_site_is_named():
    bare = [dataclasses.replace(at_site("x", seed), provenance={}) for seed in range(3)]
    with pytest.raises(InputError, match=r"1 site\(s\), .* needs three"):
        divide(bare, "site")
    wider = [
        dataclasses.replace(one, road=Road.straight(1000.0, lanes, 4.0))
        for one, lanes in zip(bare, (3, 4, 5), strict=True)
    ]
    assert len({entry.site for entry in divide(wider, "site").recordings}) == 3


# What clips show.


def shown(recordings, manifest, split, horizon):
    """All (recording, vehicle, frame) that clips show: any vehicle, and those of the ego alone."""
    everything, own = set(), set()
    for made in recordings:
        part = manifest.part(made, split)
        if part is None:
            continue
        try:
            clips = Clips([made], [part.window], HISTORY, horizon, egos=[part.egos])
        except InputError:
            continue
        present = {}
        for vehicle, frame in zip(made.row_vehicle.tolist(), made.frame.tolist(), strict=True):
            present.setdefault(frame, []).append(vehicle)
        for ego, now in zip(clips.ego.tolist(), clips.frame.tolist(), strict=True):
            for frame in range(now - HISTORY.span, now + horizon + 1):
                everything |= {(made.content_hash, other, frame) for other in present[frame]}
                own.add((made.content_hash, ego, frame))
    return everything, own


@st.composite
def traffic(draw):
    """A few recordings of cars that come and go."""
    recordings = []
    for number in range(3):
        frames = draw(st.integers(30, 50))
        cars = [Car(0.0, first_frame=0, frames=frames)]
        for k in range(draw(st.integers(0, 4))):
            first = draw(st.integers(0, frames - 2))
            count = draw(st.integers(2, frames - first))
            cars.append(Car(10.0 * k + number, lane=1, first_frame=first, frames=count))
        made = straight_recording(cars, frames, road_m=20.0, name=f"r{number}")
        made.x_m[:] += number  # never the same tracks twice
        recordings.append(dataclasses.replace(made, provenance={"site": f"s{number}"}))
    return recordings


@pytest.mark.parametrize("by", ["time", "site"])
@settings(max_examples=10, deadline=None)
@given(recordings=traffic(), horizon=st.integers(1, 6), gap_s=st.sampled_from([0.0, 0.5]))
def test_no_clip_shows_what_a_clip_of_another_split_shows(by, recordings, horizon, gap_s):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data.splits.rules, "SHORTEST_SPLIT_S", 3.0)
        patch.setattr(data.splits.rules, "GAP_S", gap_s)
        manifest = divide(recordings, by)
    seen = {name: shown(recordings, manifest, name, horizon)[0] for name in NAMES}
    assert seen["train"]
    for one, other in itertools.combinations(NAMES, 2):
        assert not seen[one] & seen[other]


@pytest.mark.parametrize("horizon", [1, 6])
def test_by_vehicle_leaks_and_the_check_says_so(horizon):
    made = straight_recording(
        [Car(9.0 * k, lane=k % 3, first_frame=k, frames=20 + k) for k in range(10)], 40
    )
    manifest = divide([made], "vehicle")
    train, train_own = shown([made], manifest, "train", horizon)
    test, test_own = shown([made], manifest, "test", horizon)
    found = leak(made, manifest.part(made, "train"), manifest.part(made, "test"))
    assert train & test
    assert not train_own & test_own
    assert found.vehicle_frames >= len(train & test)
    assert found.ego_vehicle_frames == found.vehicles == 0


@settings(max_examples=12, deadline=None)
@given(
    recordings=traffic(),
    cuts=st.lists(st.integers(0, 60), min_size=4, max_size=4),
    horizon=st.integers(1, 4),
)
def test_the_check_misses_nothing_that_clips_share(recordings, cuts, horizon):
    """Windows at random: whatever two clips share, the check has counted."""
    made = recordings[0]
    parts = [
        Part(FrameWindow(*sorted(pair)), egos)
        for pair, egos in ((cuts[:2], None), (cuts[2:], np.arange(0, made.vehicles, 2)))
    ]
    entry = dataclasses.replace(
        divide([made], "time").recordings[0], parts=dict(zip(NAMES, parts, strict=False))
    )
    manifest = SplitManifest("time", [entry])
    one, other = (shown([made], manifest, name, horizon) for name in ("train", "val"))
    found = leak(made, *parts)
    assert len(one[0] & other[0]) <= found.vehicle_frames
    assert len(one[1] & other[1]) <= found.ego_vehicle_frames
    if found.vehicle_frames == 0:
        assert not one[0] & other[0]


def test_a_leak_by_hand():
    made = recording(10, vehicles=3)
    early, late = FrameWindow(0, 6), FrameWindow(4, 10)
    found = leak(made, Part(early), Part(late))
    assert (found.vehicle_frames, found.ego_vehicle_frames, found.vehicles) == (6, 6, 3)
    found = leak(made, Part(early, np.array([0])), Part(late, np.array([1, 2])))
    assert (found.vehicle_frames, found.ego_vehicle_frames, found.vehicles) == (6, 0, 0)
    found = leak(made, Part(FrameWindow(0, 4)), Part(late))
    assert (found.vehicle_frames, found.ego_vehicle_frames, found.vehicles) == (0, 0, 3)


# The file.


@pytest.mark.parametrize("by", ["time", "vehicle", "site"])
def test_the_manifest_survives_its_file(tmp_path, by):
    recordings = [at_site(name, seed, 700) for seed, name in enumerate("abc")]
    manifest = divide(recordings, by)
    manifest.save(tmp_path / "split.json")
    again = SplitManifest.load(tmp_path / "split.json")
    assert again.digest == manifest.digest
    for made in recordings:
        for split in (*NAMES, "all"):
            ours, theirs = manifest.part(made, split), again.part(made, split)
            assert (ours is None) == (theirs is None)
            if ours is not None:
                assert ours.window == theirs.window
                np.testing.assert_array_equal(ours.egos, theirs.egos)


def test_by_time_is_what_training_does_without_a_manifest():
    made = recording(900)
    manifest = divide([made], "time")
    for split in (*NAMES, "all"):
        assert manifest.part(made, split).window == window(made, split)


def test_a_recording_that_is_not_in_the_manifest_is_refused():
    manifest = divide([recording(700)], "time")
    with pytest.raises(InputError, match="not in the split manifest"):
        manifest.part(recording(701), "train")
    with pytest.raises(InputError, match="hold the same tracks"):
        divide([recording(700), dataclasses.replace(recording(700), name="copy")], "time")


def _changed(**changes):
    def change(content):
        content.update(changes)

    return change


def _part(**changes):
    def change(content):
        content["recordings"][0]["parts"]["train"].update(changes)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_changed(format="other"), "not a split manifest"),
        (_changed(version=99), "version 99"),
        (_changed(by="colour"), "'colour'"),
        (_changed(recordings=[{}]), "damaged"),
        (_changed(recordings=3), "damaged"),
        (_part(first_frame=-1), "whole number"),
        (_part(last_frame=700), "frames 0 to 700 of 700"),
        (_part(egos=[1, 0]), "must ascend"),
        (_part(egos=[5]), "below 1"),
        (_part(egos=["a"]), "whole number"),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path, change, message):
    path = tmp_path / "split.json"
    divide([recording(700)], "time").save(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as error:
        SplitManifest.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_no_manifest_is_named(tmp_path):
    path = tmp_path / "split.json"
    with pytest.raises(InputError, match="no such file"):
        SplitManifest.load(path)
    path.write_text('{"format":\n oops}')
    with pytest.raises(InputError, match="line 2, column 2"):
        SplitManifest.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        SplitManifest.load(path)


# The command, and what runs remember.


def test_the_command_writes_the_manifest_and_says_what_leaks(tmp_path, capsys):
    path, out = tmp_path / "two.h5", tmp_path / "split.json"
    save_recordings(path, [recording(700, 10), dataclasses.replace(recording(300), name="short")])
    main((path,), out, "time")
    said = capsys.readouterr().out
    assert "short: too short to be divided" in said
    assert "train and test share 0 vehicle-frames (0 of them egos in both); 10 vehicles" in said
    assert SplitManifest.load(out).by == "time"
    main((path,), out, "vehicle")
    assert "train and test share 7000 vehicle-frames (0 of them egos in both); 0 vehicles" in (
        capsys.readouterr().out
    )
    recording(300).save(path)
    with pytest.raises(InputError, match="too short to be divided by time"):
        main((path,), out, "time")


def test_what_a_run_has_seen_is_found_in_its_configuration():
    made = recording(1000)
    parts = {split: Part(window(made, split)) for split in (*NAMES, "all")}
    data = {"data": {"recordings": data_identity([(made.content_hash, parts["train"])])}}
    assert seen_in_training(data, [made], [parts["test"]]) == []
    assert seen_in_training(data, [made], [parts["all"]]) == [made.name]
    assert seen_in_training({"world_model": data}, [made], [parts["train"]]) == [made.name]
    assert seen_in_training(data, [recording(1001)], [parts["all"]]) == []
    assert seen_in_training(None, [made], [parts["all"]]) == []
    assert seen_in_training({"data": {"recordings": ["abc"]}}, [made], [parts["all"]]) == []
