"""The clips of each update: from the right frames, the same after a restart, few in memory."""

import dataclasses
import itertools
import json
import weakref

import pytest
import torch

import train.batches.clips
from data.clips.events import EventWeights
from data.splits import divide, window
from ppuu.recordings.recording import StoredRecording, save_recordings
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording
from tests.rollouts import TINY_OBSERVATION
from train.batches.clips import ClipSource, ClipStream

HORIZON, BATCH = 5, 4


def recordings(count, frames=30):
    """Each longer than the one before; what is in memory can be told from its name."""
    return [
        straight_recording(
            [Car(3.0 * k, frames=frames + 10 * k), Car(30.0, lane=1)],
            frames + 10 * k,
            road_m=50.0,
            name=f"r{k}",
        )
        for k in range(count)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Five recordings in two files."""
    folder = tmp_path_factory.mktemp("recordings")
    made = recordings(5)
    save_recordings(folder / "a.h5", made[:3])
    save_recordings(folder / "b.h5", made[3:])
    return folder / "a.h5", folder / "b.h5"


def stream(source, balance=None, seed=0):
    return ClipStream(
        source, TINY_OBSERVATION, HORIZON, BATCH, balance or EventWeights(), seed,
        torch.device("cpu"),
    )  # fmt: skip


def drawn(made, update):
    """What an update sees: names of the recordings, vehicles and frames as they number them."""
    clips, index = made.at(update)
    which = clips.scene.vehicle_recording[clips.ego[index]]
    names = [clips.recordings[k].name for k in which.tolist()]
    vehicle = clips.ego[index] - clips.scene.vehicle_offset[which]
    frame = clips.frame[index] - clips.scene.frame_offset[which]
    return list(zip(names, vehicle.tolist(), frame.tolist(), strict=True))


def test_without_a_limit_everything_is_there_and_every_clip_comes_up_once_an_epoch(files):
    made = stream(ClipSource(files, "all"))
    clips, _ = made.at(0)
    assert [recording.name for recording in clips.recordings] == [f"r{k}" for k in range(5)]
    seen = [clip for k in range(-(-len(clips) // BATCH)) for clip in drawn(made, k)]
    assert len(set(seen[: len(clips)])) == len(clips)
    assert made.at(10**6)[0] is clips


@pytest.mark.parametrize("resident", [1, 2, 4])
def test_recordings_take_turns_by_their_share(files, monkeypatch, resident):
    monkeypatch.setattr(train.batches.clips, "VISIT_BATCHES", 20)
    made = stream(ClipSource(files, "all", resident=resident))
    clips = {m.stored.name: m.clips for m in made._members}
    groups = -(-5 // resident)
    names, drawn_from = [], {name: 0 for name in clips}
    for update in range(2 * groups * 20):
        here, _ = made.at(update)
        names.append(tuple(recording.name for recording in here.recordings))
        assert len(names[-1]) <= resident
        for name, _, _ in drawn(made, update):
            drawn_from[name] += 1
    visits = [name for name, _ in itertools.groupby(names)]
    first_round = [name for visit in visits[:groups] for name in visit]
    assert sorted(first_round) == sorted(clips)
    total, count = sum(clips.values()), sum(drawn_from.values())
    for name, times in drawn_from.items():
        assert times / count == pytest.approx(clips[name] / total, abs=0.06)


def test_any_update_is_the_same_after_a_restart(files, monkeypatch):
    monkeypatch.setattr(train.batches.clips, "VISIT_BATCHES", 3)
    source = ClipSource(files, "all", resident=2)
    straight = stream(source, seed=7)
    whole = [drawn(straight, update) for update in range(14)]
    for start in (5, 13):
        resumed = stream(source, seed=7)
        assert [drawn(resumed, update) for update in range(start, 14)] == whole[start:]
    other = stream(source, seed=8)
    assert [drawn(other, update) for update in range(4)] != whole[:4]
    # One recording after the other, also backwards.
    assert drawn(straight, 0) == whole[0]


def test_no_more_than_the_limit_is_in_memory(files, monkeypatch):
    """Counts the recordings that are alive, while all are read and while they take turns."""
    monkeypatch.setattr(train.batches.clips, "VISIT_BATCHES", 2)
    alive, most = weakref.WeakSet(), [0]
    load = StoredRecording.load

    def counted(self):
        recording = load(self)
        alive.add(recording)
        most[0] = max(most[0], len(alive))
        return recording

    monkeypatch.setattr(StoredRecording, "load", counted)
    for resident in (1, 2):
        most[0] = 0
        made = stream(ClipSource(files, "all", resident=resident))
        for update in range(12):
            made.at(update)
        del made
        assert most[0] == resident
    unlimited = stream(ClipSource(files, "all"))
    unlimited.at(0)
    assert most[0] == 5


def test_clips_come_from_the_split(files, tmp_path):
    made = recordings(2, frames=700)
    save_recordings(tmp_path / "long.h5", made)
    for resident in (None, 1):
        by_default = stream(ClipSource((tmp_path / "long.h5",), "val", resident=resident))
        frames = window(made[0], "val")
        for name, _, frame in drawn(by_default, 0):
            if name == "r0":
                assert frames.first + TINY_OBSERVATION.span <= frame < frames.last - HORIZON
    divide(made, "vehicle").save(tmp_path / "split.json")
    source = ClipSource((tmp_path / "long.h5",), "test", tmp_path / "split.json")
    by_vehicle = stream(source)
    parts = divide(made, "vehicle").recordings
    egos = {entry.name: set(entry.parts["test"].egos.tolist()) for entry in parts}
    for update in range(5):
        assert all(vehicle in egos[name] for name, vehicle, _ in drawn(by_vehicle, update))
    assert by_vehicle.identity["manifest"] == divide(made, "vehicle").digest
    json.dumps(by_vehicle.identity)


def test_recordings_of_other_splits_are_left_out(tmp_path):
    made = [
        dataclasses.replace(one, provenance={"site": one.name}) for one in recordings(3, frames=40)
    ]
    save_recordings(tmp_path / "sites.h5", made)
    divide(made, "site").save(tmp_path / "split.json")
    found = {}
    for split in ("train", "val", "test"):
        one = stream(ClipSource((tmp_path / "sites.h5",), split, tmp_path / "split.json"))
        found[split] = [recording.name for recording in one.at(0)[0].recordings]
        assert len(one.identity["recordings"]) == 1
    assert found == {"train": ["r2"], "test": ["r1"], "val": ["r0"]}
    save_recordings(tmp_path / "one.h5", made[:1])
    with pytest.raises(InputError, match="nothing of these recordings is in train"):
        stream(ClipSource((tmp_path / "one.h5",), "train", tmp_path / "split.json"))


def test_balance_draws_lane_changes(tmp_path):
    straight_recording([Car(0.0), Car(40.0, to_lane=1)], 200).save(tmp_path / "one.h5")
    source = ClipSource((tmp_path / "one.h5",), "all")

    def changes(balance):
        made = stream(source, balance)
        clips = [
            clip for update in range(len(made.at(0)[0]) // BATCH) for clip in drawn(made, update)
        ]
        return sum(vehicle == 1 and 55 - HORIZON <= frame < 56 for _, vehicle, frame in clips)

    assert changes(EventWeights(lane_change=10.0)) > 5 * changes(EventWeights())


def test_mistakes_are_named(files, tmp_path):
    with pytest.raises(InputError, match="--resident-recordings 0"):
        ClipSource(files, "all", resident=0)
    with pytest.raises(InputError, match="use --split all"):
        stream(ClipSource(files, "train"))
    straight_recording([Car(0.0)], 10).save(tmp_path / "short.h5")
    short = stream(ClipSource((tmp_path / "short.h5",), "all"))
    with pytest.raises(InputError, match="no track is long enough"):
        short.at(0)
    dataclasses.replace(recordings(1)[0], dt_s=0.2).save(tmp_path / "slow.h5")
    with pytest.raises(InputError, match="differ in frame spacing"):
        stream(ClipSource((*files, tmp_path / "slow.h5"), "all", resident=1))
